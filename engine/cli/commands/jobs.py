"""`jobs`: what runs, what ran and how it ended."""

import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import Any

from engine.cli.command import Command, Outcome, open_lab
from engine.cli.table import table
from engine.jobs import queue
from engine.jobs.described import jobs_told
from engine.server import Server

_EVERY_S = 1.0


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--watch", action="store_true", help="show progress until no job is queued or running"
    )


def _run(arguments: Namespace) -> Outcome:
    store = open_lab(arguments)
    queue.pump(store)

    def ask() -> list[dict[str, Any]]:
        queue.tend(store)
        return jobs_told(store)

    return _shown(ask, arguments)


def _remote(arguments: Namespace, server: Server) -> Outcome:
    return _shown(lambda: list(server.call("/api/jobs")["jobs"]), arguments)


def _shown(ask: Callable[[], list[dict[str, Any]]], arguments: Namespace) -> Outcome:
    """Show the jobs, again and again while some are at work where that is asked for."""
    told, shown = ask(), ""
    while arguments.watch and any(job["status"] in ("queued", "running") for job in told):
        text = _text(told)
        if text != shown and not arguments.json:
            _redraw(text, shown)
            shown = text
        time.sleep(_EVERY_S)
        told = ask()
    if shown and sys.stdout.isatty():
        _erase(shown)
    return Outcome(_text(told), told)


def _text(told: list[dict[str, Any]]) -> str:
    if not told:
        return "No job yet. `python -m engine train STUDY` starts one."
    rows = [
        (
            job["job"],
            job["kind"],
            job["study"],
            job["person"],
            job["status"],
            f"{job['step']:,}/{job['steps']:,}",
            _said(job),
        )
        for job in told
    ]
    return table(("job", "kind", "study", "person", "status", "steps", "message"), rows)


def _said(job: dict[str, Any]) -> str:
    if job["position"] is not None:
        return f"number {job['position']} in the queue" + (
            f": {job['waits_for']}" if job["waits_for"] else ""
        )
    return str(job["error"]["title"] if job["error"] else job["message"])


def _redraw(text: str, before: str) -> None:
    if sys.stdout.isatty():
        _erase(before)
    print(text, flush=True)


def _erase(text: str) -> None:
    """Move the cursor up over the text printed before and clear from there on."""
    if text:
        print(f"\x1b[{text.count(chr(10)) + 1}A\x1b[J", end="")


COMMAND = Command("jobs", "List jobs, newest first.", _arguments, _run, _remote)
