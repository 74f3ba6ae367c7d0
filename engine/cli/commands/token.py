"""`token`: by which programs elsewhere log their runs to this lab's server."""

from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from getpass import getuser

from engine.cli.command import Command, Outcome, open_lab
from engine.cli.table import table


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--add", metavar="NAME", help="make one; its text is shown this once")
    parser.add_argument("--revoke", metavar="N", type=int, help="let token number N be of no use from now on")


def _run(arguments: Namespace) -> Outcome:
    store = open_lab(arguments, create=arguments.add is not None)
    if arguments.add is not None:
        row, text = store.catalog.add_token(arguments.add, "log", getuser())
        lines = [
            f"Token {row.id}, for {row.name}. It is shown this once:",
            text,
            "Whoever has it may write runs. Keep it in DETOUR_TOKEN.",
        ]
        return Outcome("\n".join(lines), {"id": row.id, "name": row.name, "token": text})
    if arguments.revoke is not None:
        row = store.catalog.revoke_token(arguments.revoke)
        return Outcome(f"Token {row.id}, for {row.name}, is revoked.", {"id": row.id, "revoked": True})
    rows = store.catalog.tokens()
    shown = [
        (row.id, row.name, row.person, *map(_date, (row.created_at, row.last_used_at, row.revoked_at)))
        for row in rows
    ]
    told = [{name: str(value) for name, value in asdict(row).items()} for row in rows]
    if not rows:
        return Outcome("There is no token yet. Make one with: python -m engine token --add NAME", [])
    return Outcome(table(("number", "for", "made by", "made", "last used", "revoked"), shown), told)


def _date(moment: object) -> str:
    return "never" if moment is None else f"{moment:%Y-%m-%d}"


COMMAND = Command("token", "Make, list and revoke the tokens by which programs log here.", _arguments, _run)
