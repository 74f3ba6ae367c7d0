"""`tidy`: what was deleted long enough ago is removed for good."""

from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from datetime import timedelta

from data.retention import tidy
from data.settings import settings
from engine.cli.command import Command, Outcome, open_lab


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="say what would go, and change nothing")
    parser.add_argument(
        "--undo-days", type=float, metavar="N", help="in which a deletion can be undone (keeping.undo_days)"
    )
    parser.add_argument(
        "--state-days",
        type=float,
        metavar="N",
        help="for which an ended training keeps its states (keeping.state_days)",
    )


def _run(arguments: Namespace) -> Outcome:
    keeping = settings().keeping
    undo = keeping.undo_days if arguments.undo_days is None else arguments.undo_days
    states = keeping.state_days if arguments.state_days is None else arguments.state_days
    store = open_lab(arguments)
    done = tidy(store, timedelta(days=undo), timedelta(days=states), dry_run=arguments.dry_run)
    lines = [
        f"{'Would remove' if arguments.dry_run else 'Removed'} {len(done.runs):,} runs, "
        f"{len(done.studies):,} studies, {done.states:,} states of ended trainings and {len(done.files):,} "
        "files that belong to nothing." + ("" if arguments.dry_run else f" {done.freed:,} bytes are free.")
    ]
    lines += [f"Study {name} is gone." for name in done.studies if not arguments.dry_run]
    lines += [f"Left for the next time: {one}" for one in done.left]
    return Outcome("\n".join(lines), asdict(done))


COMMAND = Command("tidy", "Remove for good what was deleted long enough ago.", _arguments, _run)
