"""`studies`: what can be trained here."""

import textwrap
from argparse import ArgumentParser, Namespace
from typing import Any

from data.store import catalogue_file, locate
from engine.cli.command import Command, Outcome, open_lab
from engine.jobs.described import studies_told
from engine.jobs.progress import duration
from engine.server import Server


def _arguments(parser: ArgumentParser) -> None:
    pass


def _run(arguments: Namespace) -> Outcome:
    # Listing what could be trained needs no store; one that is named must be usable all the same.
    store = open_lab(arguments) if arguments.store or catalogue_file(locate(None)) else None
    return _outcome(studies_told(store))


def _remote(arguments: Namespace, server: Server) -> Outcome:
    return _outcome(server.call("/api/studies"))


def _outcome(told: dict[str, Any]) -> Outcome:
    text = "\n\n".join(_text(one) for one in told["studies"])
    if told["also_in_store"]:
        text += f"\n\nAlso in the store: {', '.join(told['also_in_store'])}"
    return Outcome(text, told)


def _text(one: dict[str, Any]) -> str:
    if one["expected_seconds"] is None:
        time = "not yet measured"
    elif one["measured_in_job"] is None:
        time = f"about {duration(one['expected_seconds'])} on 2 cores"
    else:
        time = f"about {duration(one['expected_seconds'])} here, as measured in job {one['measured_in_job']}"
    if one["expected_gpu_seconds"] is None:
        time += "; not measured on a GPU"
    else:
        time += f"; about {duration(one['expected_gpu_seconds'])} on a GPU"
    lines = [
        f"{one['study']}: {one['title']}",
        *textwrap.wrap(one["claim"], 96, initial_indent="  ", subsequent_indent="  "),
        *textwrap.wrap(one["source"], 96, initial_indent="  source ", subsequent_indent="         "),
        *textwrap.wrap(", ".join(one["arms"]), 96, initial_indent="  arms   ", subsequent_indent="         "),
        f"  size   {len(one['arms'])} arms x {one['seeds']} seeds, {one['steps']:,} steps each",
        f"  store  {one['runs_finished']} finished runs of {one['runs_in_store']}",
        f"  time   {time}",
    ]
    return "\n".join(lines)


COMMAND = Command("studies", "List the studies: claim, arms, size, expected time.", _arguments, _run, _remote)
