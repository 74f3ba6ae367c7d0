"""`export`: write a study's traces to one file."""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from urllib.parse import quote

from engine.cli.command import Command, Outcome, open_lab
from engine.server import Server


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("study", metavar="STUDY", help="a study in the store")
    parser.add_argument("out", metavar="OUT", type=Path, help="a file that ends in .parquet, .csv or .duckdb")


def _run(arguments: Namespace) -> Outcome:
    store = open_lab(arguments)
    store.catalog.study(arguments.study)
    rows = store.traces.export(arguments.study, arguments.out)
    text = f"Wrote {rows:,} rows of `{arguments.study}` to {arguments.out}."
    return Outcome(text, {"study": arguments.study, "path": str(arguments.out), "rows": rows})


def _remote(arguments: Namespace, server: Server) -> Outcome:
    kind = arguments.out.suffix.lower().removeprefix(".")
    server.fetch(f"/api/studies/{quote(arguments.study)}/rows.{kind or 'unknown'}", arguments.out)
    text = f"Wrote the rows of `{arguments.study}` to {arguments.out}."
    return Outcome(text, {"study": arguments.study, "path": str(arguments.out)})


COMMAND = Command("export", "Write a study's traces to a file for other tools.", _arguments, _run, _remote)
