"""`studies`: what can be trained here."""

import textwrap
from argparse import ArgumentParser, Namespace
from typing import Any

from data.store import Store, catalogue_file, locate
from engine.cli.command import Command, Outcome, open_lab
from engine.jobs.progress import duration
from engine.jobs.request import measured_seconds, request
from engine.studies import Study, studies


def _arguments(parser: ArgumentParser) -> None:
    pass


def _run(arguments: Namespace) -> Outcome:
    # Listing what could be trained needs no store; one that is named must be usable all the same.
    store = open_lab(arguments) if arguments.store or catalogue_file(locate(None)) else None
    known = [_describe(definition, store) for definition in studies().values()]
    others = (
        [] if store is None else [row.name for row in store.catalog.studies() if row.name not in studies()]
    )
    text = "\n\n".join(_text(one) for one in known)
    if others:
        text += f"\n\nAlso in the store: {', '.join(others)}"
    return Outcome(text, {"studies": known, "also_in_store": others})


def _describe(definition: Study, store: Store | None) -> dict[str, Any]:
    runs = [] if store is None else store.catalog.runs(definition.name, archived=True)
    finished = sum(run.status in ("done", "diverged") for run in runs)
    measured = None if store is None else measured_seconds(request(definition.name), store.catalog.jobs())
    return {
        "study": definition.name,
        "title": definition.title,
        "claim": definition.claim,
        "arms": [arm.name for arm in definition.arms],
        "seeds": definition.seeds,
        "steps": definition.steps,
        "runs_finished": finished,
        "runs_in_store": len(runs),
        "source": definition.source,
        "expected_seconds": definition.expected_seconds if measured is None else round(measured[0], 1),
        "expected_gpu_seconds": definition.expected_gpu_seconds,
        "measured_in_job": None if measured is None else measured[1],
    }


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


COMMAND = Command("studies", "List the studies: claim, arms, size, expected time here.", _arguments, _run)
