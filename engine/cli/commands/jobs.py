"""`jobs`: what runs, what ran and how it ended."""

import sys
import time
from argparse import ArgumentParser, Namespace
from typing import Any

from data.rows import JobRow
from data.store import Store
from engine.cli.command import Command, Outcome, open_lab
from engine.cli.table import table
from engine.jobs import queue

_EVERY_S = 1.0


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--watch", action="store_true", help="show progress until no job is queued or running"
    )


def _run(arguments: Namespace) -> Outcome:
    store = open_lab(arguments)
    shown = ""
    while arguments.watch and any(job.status in ("queued", "running") for job in store.catalog.jobs()):
        text = _text(store.catalog.jobs())
        if text != shown and not arguments.json:
            _redraw(text, shown)
            shown = text
        time.sleep(_EVERY_S)
        queue.reap(store)
    if shown and sys.stdout.isatty():
        _erase(shown)
    return _outcome(store)


def _outcome(store: Store) -> Outcome:
    jobs = store.catalog.jobs()
    return Outcome(_text(jobs), [_data(job) for job in jobs])


def _text(jobs: list[JobRow]) -> str:
    if not jobs:
        return "No job yet. `python -m engine train STUDY` starts one."
    rows = [
        (
            job.id,
            job.kind,
            job.study,
            job.status,
            f"{job.step:,}/{job.steps:,}",
            job.error["title"] if job.error else job.message,
        )
        for job in jobs
    ]
    return table(("job", "kind", "study", "status", "steps", "message"), rows)


def _data(job: JobRow) -> dict[str, Any]:
    return {
        "job": job.id,
        "kind": job.kind,
        "study": job.study,
        "status": job.status,
        "step": job.step,
        "steps": job.steps,
        "rate": job.rate,
        "message": job.message,
        "error": job.error,
        "result": job.result,
    }


def _redraw(text: str, before: str) -> None:
    if sys.stdout.isatty():
        _erase(before)
    print(text, flush=True)


def _erase(text: str) -> None:
    """Move the cursor up over the text printed before and clear from there on."""
    if text:
        print(f"\x1b[{text.count(chr(10)) + 1}A\x1b[J", end="")


COMMAND = Command("jobs", "List jobs, newest first.", _arguments, _run)
