"""`export`: write a study's traces to one file."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from engine.cli.command import Command, Outcome, open_lab


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("study", metavar="STUDY", help="a study in the store")
    parser.add_argument("out", metavar="OUT", type=Path, help="a file that ends in .parquet, .csv or .duckdb")


def _run(arguments: Namespace) -> Outcome:
    store = open_lab(arguments)
    store.catalog.study(arguments.study)
    rows = store.traces.export(arguments.study, arguments.out)
    text = f"Wrote {rows:,} rows of `{arguments.study}` to {arguments.out}."
    return Outcome(text, {"study": arguments.study, "path": str(arguments.out), "rows": rows})


COMMAND = Command("export", "Write a study's traces to a Parquet, CSV or DuckDB file.", _arguments, _run)
