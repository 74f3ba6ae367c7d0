"""`people`: who may sign in, in which role."""

from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from typing import get_args

from data.errors import LabError
from data.people import ROLES, Role
from engine.cli.command import Command, Outcome, open_lab
from engine.cli.table import table


def _arguments(parser: ArgumentParser) -> None:
    roles = "; ".join(f"{role}: {what}" for role, what in ROLES.items())
    parser.add_argument("--role", nargs=2, metavar=("ADDRESS", "ROLE"), help=f"give somebody a role. {roles}")
    parser.add_argument("--shut-out", metavar="ADDRESS", help="let somebody in no more; what they made stays")


def _run(arguments: Namespace) -> Outcome:
    store = open_lab(arguments, create=arguments.role is not None)
    if arguments.role is not None:
        address, role = arguments.role
        if role not in get_args(Role):
            raise LabError(
                "No such role", f"A role is one of {', '.join(ROLES)}; got `{role}`.", "Give one of them."
            )
        store.catalog.set_role(address, role)
        return Outcome(
            f"{address.lower()} is {role}: {ROLES[role]}.", {"person": address.lower(), "role": role}
        )
    if arguments.shut_out is not None:
        store.catalog.shut_out(arguments.shut_out.lower())
        return Outcome(f"{arguments.shut_out.lower()} is shut out.", {"person": arguments.shut_out.lower()})
    rows = store.catalog.people()
    shown = [
        (row.name, row.shown_as, "shut out" if row.shut_out_at else row.role, _date(row.seen_at))
        for row in rows
    ]
    told = [{name: str(value) for name, value in asdict(row).items()} for row in rows]
    if not rows:
        return Outcome("Nobody has signed in or was added yet.", [])
    return Outcome(table(("person", "name", "role", "last seen"), shown), told)


def _date(moment: object) -> str:
    return "never" if moment is None else f"{moment:%Y-%m-%d}"


COMMAND = Command("people", "Show who may sign in, and give roles.", _arguments, _run)
