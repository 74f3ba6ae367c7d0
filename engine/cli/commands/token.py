"""`token`: by which programs elsewhere log their runs to this lab's server."""

from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from typing import get_args

from data.catalog_tokens import SCOPES
from data.rows import Scope
from engine.cli.command import Command, Outcome, open_lab
from engine.cli.table import table


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--add", metavar="NAME", help="make one; its text is shown this once")
    scopes = "; ".join(f"{scope}: {what}" for scope, what in SCOPES.items())
    parser.add_argument("--scope", choices=get_args(Scope), default="log", help=f"{scopes} (default: log)")
    parser.add_argument("--days", metavar="N", type=int, help="after which it is of no use (default: never)")
    parser.add_argument("--revoke", metavar="N", type=int, help="let token number N be of no use from now on")


def _run(arguments: Namespace) -> Outcome:
    store = open_lab(arguments, create=arguments.add is not None)
    if arguments.add is not None:
        row, text = store.catalog.add_token(arguments.add, arguments.scope, arguments.days)
        lines = [
            f"Token {row.id}, for {row.name}. It is shown this once:",
            text,
            f"Whoever has it {SCOPES[row.scope]}. Keep it in DETOUR_TOKEN.",
        ]
        return Outcome("\n".join(lines), {"id": row.id, "name": row.name, "token": text})
    if arguments.revoke is not None:
        row = store.catalog.revoke_token(arguments.revoke)
        return Outcome(f"Token {row.id}, for {row.name}, is revoked.", {"id": row.id, "revoked": True})
    rows = store.catalog.tokens()
    shown = [
        (row.id, row.name, row.scope, row.person, *map(_date, moments))
        for row in rows
        if (moments := (row.created_at, row.last_used_at, row.revoked_at))
    ]
    told = [{name: str(value) for name, value in asdict(row).items()} for row in rows]
    if not rows:
        return Outcome("There is no token yet. Make one with: python -m engine token --add NAME", [])
    return Outcome(table(("number", "for", "scope", "made by", "made", "last used", "revoked"), shown), told)


def _date(moment: object) -> str:
    return "never" if moment is None else f"{moment:%Y-%m-%d}"


COMMAND = Command("token", "Make, list and revoke the tokens by which programs log here.", _arguments, _run)
