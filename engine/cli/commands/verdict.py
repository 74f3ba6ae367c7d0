"""`verdict`: what the runs of a study say of its claim."""

import dataclasses
import textwrap
from argparse import ArgumentParser, Namespace

from data.errors import LabError
from engine.cli.command import Command, Outcome, open_lab
from engine.cli.table import table
from engine.studies import Verdict, verdict


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("study", metavar="STUDY", help="a study in the store")


def _run(arguments: Namespace) -> Outcome:
    store = open_lab(arguments)
    judge = verdict(arguments.study)
    if judge is None:
        name = store.catalog.study(arguments.study).name
        raise LabError(
            "No verdict",
            f"`{name}` has no verdict of its own.",
            f"Compare two of its arms: python -m engine compare {name} --arms A,B.",
        )
    found = judge(store)
    known, version = store.catalog.study(arguments.study), store.traces.version(arguments.study)
    data = {
        "study": known.name,
        "claim": known.claim,
        "data_version": version,
        "verdict": found.kind,
        **dataclasses.asdict(found),
    }
    del data["kind"]
    return Outcome(_text(known.name, known.claim, found), data)


def _text(name: str, claim: str, found: Verdict) -> str:
    rows = [
        (
            part.what,
            "none" if part.effect is None else f"{part.effect:.3g}",
            "none" if part.low is None or part.high is None else f"{part.low:.3g} to {part.high:.3g}",
            "" if part.p is None else f"{part.p:.2g}",
            part.n,
            part.kind,
        )
        for part in found.details
    ]
    words = [
        *textwrap.wrap(f"{name}: {claim}", 100),
        "",
        *textwrap.wrap(f"{found.kind.capitalize()}. {found.sentence}", 100),
    ]
    return (
        "\n".join(words)
        + "\n\n"
        + table(("comparison", "effect", "95 % interval", "p", "n", "part of the claim"), rows)
    )


COMMAND = Command("verdict", "Say whether a study's claim holds, by the runs of the store.", _arguments, _run)
