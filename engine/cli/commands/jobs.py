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
    queue.pump(store)
    shown = ""
    while arguments.watch and any(job.status in ("queued", "running") for job in store.catalog.jobs()):
        text = _text(store)
        if text != shown and not arguments.json:
            _redraw(text, shown)
            shown = text
        time.sleep(_EVERY_S)
        queue.tend(store)
    if shown and sys.stdout.isatty():
        _erase(shown)
    return _outcome(store)


def _outcome(store: Store) -> Outcome:
    places = _places(store)
    return Outcome(_text(store), [_data(job, places.get(job.id)) for job in store.catalog.jobs()])


def _places(store: Store) -> dict[int, int]:
    return {one.job.id: number for number, one in enumerate(queue.line(store), 1)}


def _text(store: Store) -> str:
    jobs = store.catalog.jobs()
    if not jobs:
        return "No job yet. `python -m engine train STUDY` starts one."
    waiting = {
        one.job.id: f"number {number} in the queue" + (f": {one.why}" if one.why else "")
        for number, one in enumerate(queue.line(store), 1)
    }
    rows = [
        (
            job.id,
            job.kind,
            job.study,
            job.person,
            job.status,
            f"{job.step:,}/{job.steps:,}",
            waiting.get(job.id) or (job.error["title"] if job.error else job.message),
        )
        for job in jobs
    ]
    return table(("job", "kind", "study", "person", "status", "steps", "message"), rows)


def _data(job: JobRow, position: int | None) -> dict[str, Any]:
    return {
        "job": job.id,
        "kind": job.kind,
        "study": job.study,
        "person": job.person,
        "status": job.status,
        "position": position,
        "gpu": job.gpu,
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
