"""`explain`: what their data orders do to a study's runs at every kept checkpoint, in the foreground."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from typing import Any

import numpy as np
import pandas as pd

from data.analyses import load
from data.rows import AnalysisRow
from data.store import Store
from engine.analysis.proportions import share
from engine.analysis.shuffling.explanation import table as rows_of
from engine.cli.command import Command, Outcome, names, open_lab
from engine.cli.once import once
from engine.cli.table import table
from engine.jobs.explain_request import explain_request, stored
from engine.jobs.request import read_seeds


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("study", metavar="STUDY", help="a study in the store, trained here")
    parser.add_argument("--arms", metavar="A,B", type=names, help="only these arms")
    parser.add_argument("--seeds", metavar="N|A..B", help="only the first N seeds, or seed A to seed B")
    parser.add_argument(
        "--classes",
        metavar="I,J",
        type=_classes,
        help="which two classes to tell apart (default: the two that the networks tell apart worst)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of the batches drawn for Random Reshuffle (default: 0)"
    )


def _classes(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ArgumentTypeError(f"expected two classes, for example 3,8; got {text!r}") from None


def _run(arguments: Namespace) -> Outcome:
    store = open_lab(arguments)
    seeds = list(read_seeds(arguments.seeds)) if arguments.seeds is not None else None
    wanted = explain_request(store, arguments.study, arguments.arms, seeds, arguments.classes, arguments.seed)
    row = stored(store, wanted, store.traces.version(wanted.study))
    return once(store, "explain", wanted.study, wanted.spec, row, _outcome)


def _outcome(store: Store, row: AnalysisRow, first: str) -> Outcome:
    told = row.summary
    frame = rows_of(told["runs"], told["cautions"], load(store, row))
    arms = [_arm(frame[frame["arm"] == arm], arm) for arm in told["arms"]]
    classes = told["classes"]
    lines = [first, "", *_table(arms, told["task"])]
    if told["task"] == "classes":
        lines += ["", f"Separable and diverging: class {classes[0]} against class {classes[1]}."]
    lines += dict.fromkeys(note for notes in told["notes"].values() for note in notes)
    if lost := told["not_finite"]:
        lines.append(f"{len(lost)} checkpoints have weights that are not finite and are left out.")
    data = {
        "job": row.job,
        "study": row.study,
        "status": "done",
        "analysis": row.id,
        "task": told["task"],
        "classes": classes,
        "steps": told["steps"],
        "arms": arms,
        "one_against_rest": told["one_against_rest"],
        "notes": told["notes"],
        "not_finite": lost,
    }
    return Outcome("\n".join(lines), data)


def _arm(rows: pd.DataFrame, arm: str) -> dict[str, Any]:
    """Return what the last checkpoint of each run of an arm says, the middle over its seeds."""
    last = rows.loc[rows.groupby("seed")["step"].idxmax()]
    middle = {
        name: _finite(last[name].median())
        for name in ("own", "reshuffled", "reshuffled_se", "full", "slope", "margin", "alignment",
                     "separable", "distance_own", "distance_reshuffled", "distance_full")
    }  # fmt: skip
    found: dict[str, Any] = {"arm": arm, "n": len(last), **middle, "diverging": None}
    judged = last[last["kind"] != ""]
    if len(judged):
        ends = share((judged["kind"] == "GD risk diverges").to_numpy(bool))
        found["diverging"] = {
            "runs": ends.happened,
            "share": ends.estimate,
            "low": ends.low,
            "high": ends.high,
        }
        found["certified"] = int(((judged["kind"] == "bounded") & (judged["caution"] == "")).sum())
        found["final"] = int(judged["complete"].sum())
        found["cautions"] = int((judged["caution"] != "").sum())
    return found


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _table(arms: list[dict[str, Any]], task: str) -> list[str]:
    if task == "values":
        headings = ("arm", "n", "L_pi", "L_RR", "L_GD", "to M*_pi", "to M*_RR", "to M*_GD")
        distances = ("distance_own", "distance_reshuffled", "distance_full")
        rows = [
            (
                one["arm"],
                one["n"],
                *(_number(one[name]) for name in ("own", "reshuffled", "full", *distances)),
            )
            for one in arms
        ]
        return [table(headings, rows)]
    told = ("arm", "n", "L_pi", "L_RR", "L_GD", "separable", "diverging", "slope", "certified")
    lines = []
    for one in arms:
        seen = one["diverging"]
        lines.append(
            (
                one["arm"], one["n"], *(_number(one[name]) for name in ("own", "reshuffled", "full")),
                "-" if one["separable"] is None else f"{one['separable']:.0%}",
                f"{seen['runs']} [{seen['low']:.0%}, {seen['high']:.0%}]",
                _number(one["slope"]), one["certified"],
            )
        )  # fmt: skip
    return [table(told, lines)]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


COMMAND = Command(
    "explain",
    "Say at each checkpoint what the data orders do, and whether they must diverge.",
    _arguments,
    _run,
)
