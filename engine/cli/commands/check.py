"""`check`: whether the store's files are what the catalogue says."""

from argparse import ArgumentParser, Namespace

from data.integrity import check, clear
from engine.cli.command import Command, Outcome, open_lab
from engine.cli.table import table


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--clear", action="store_true", help="remove files of which nothing is left to use")


def _run(arguments: Namespace) -> Outcome:
    store = open_lab(arguments)
    found = check(store)
    damaged = [one for one in found if one.kind == "damaged"]
    freed = clear(store, found) if arguments.clear else 0
    lines = [f"{len(damaged)} damaged, {len(found) - len(damaged)} orphans in {store.root}."]
    lines += [table(("", "file", "what", "what to do"), found)] if found else []
    lines += [f"Cleared {freed:,} bytes."] if arguments.clear else []
    data = {"damaged": len(damaged), "findings": [one._asdict() for one in found], "freed": freed}
    return Outcome("\n".join(lines), data, 1 if damaged else 0)


COMMAND = Command("check", "Hold every file of the store to the catalogue and its hash.", _arguments, _run)
