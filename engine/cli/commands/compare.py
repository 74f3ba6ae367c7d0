"""`compare`: the paired effect of two arms, seed by seed."""

import math
from argparse import ArgumentParser, Namespace
from typing import Any

import numpy as np
import pandas as pd

from data.errors import LabError
from data.store import Store
from engine.analysis.shuffling import Effect, paired_effect
from engine.cli.command import Command, Outcome, names, open_lab
from engine.cli.table import table

_METRICS = ("own_batch_risk", "full_batch_risk")
_SHARE = 0.1


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("study", metavar="STUDY", help="a study in the store")
    parser.add_argument(
        "--arms",
        metavar="A,B",
        type=names,
        help="the two arms; by default, the comparisons that the study names",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the bootstrap and of random sign flips (default: 0)"
    )


def _run(arguments: Namespace) -> Outcome:
    if arguments.seed < 0:
        raise LabError(
            "Seed out of range", f"`--seed` must be at least 0; got {arguments.seed}.", "Choose another."
        )
    store = open_lab(arguments)
    version = store.traces.version(arguments.study)
    pairs = _pairs(store, arguments.study, arguments.arms)
    arms = sorted({arm for a, b, _ in pairs for arm in (a, b)})
    ends = store.traces.last(arguments.study, list(_METRICS), share=_SHARE)
    missing = [arm for arm in arms if arm not in set(ends["arm"])]
    if missing:
        raise LabError(
            "Nothing to compare",
            f"`{arguments.study}` has no measured runs of {', '.join(missing)} in this store.",
            f"Train them: python -m engine train {arguments.study}.",
        )
    effects = [
        {"a": a, "b": b, "role": role, "metric": metric, **_effect(ends, a, b, metric, arguments.seed)}
        for a, b, role in pairs
        for metric in _METRICS
    ]
    data = {"study": arguments.study, "share": _SHARE, "data_version": version, "effects": effects}
    return Outcome(_text(arguments.study, effects), data)


def _pairs(store: Store, study: str, arms: list[str] | None) -> list[tuple[str, str, str]]:
    config = store.catalog.study(study).config
    known = [arm["name"] for arm in config.get("arms", [])]
    known = known or sorted({run.arm for run in store.catalog.runs(study, archived=True)})
    if arms is None:
        pairs = [(one["a"], one["b"], one["role"]) for one in config.get("comparisons", [])]
        if not pairs:
            raise LabError(
                "Which arms?",
                f"`{study}` names no comparison of its own.",
                f"Give two: --arms {','.join(known[:2])}.",
            )
        return pairs
    unknown = [arm for arm in arms if arm not in known]
    if unknown or len(arms) != 2 or arms[0] == arms[1]:
        raise LabError(
            "Two arms are compared",
            f"`--arms` must name two different arms of `{study}`; got {','.join(arms)!r}.",
            f"Its arms: {', '.join(known)}.",
        )
    return [(arms[0], arms[1], "asked")]


def _effect(ends: pd.DataFrame, a: str, b: str, metric: str, seed: int) -> dict[str, Any]:
    """Return the effect of a against b on the mean over each run's last tenth; seeds of both arms only."""
    wide = ends[ends["metric"] == metric].pivot(index="seed", columns="arm", values="value")
    wide = wide.reindex(columns=[a, b])
    usable = wide[(wide > 0) & np.isfinite(wide)].dropna()
    if usable.empty:
        raise LabError(
            "No pairs to compare",
            f"No seed of {a} and {b} has both runs at their end with a positive {metric}.",
            "Train the same seeds in both arms; runs that diverged or were stopped have no end to compare.",
        )
    shared = usable.to_numpy(dtype=np.float64)
    effect: Effect = paired_effect(shared[:, 0], shared[:, 1], seed=seed)
    return {
        "ratio": math.exp(effect.estimate),
        "low": _finite(math.exp(effect.low)),
        "high": _finite(math.exp(effect.high)),
        "log_ratio": effect.estimate,
        "p": effect.p,
        "n": effect.n,
        "exact": effect.exact,
        "left_out": len(wide) - len(usable),
        "median_a": float(np.median(shared[:, 0])),
        "median_b": float(np.median(shared[:, 1])),
    }


def _finite(value: float) -> float | None:
    """Return a number that JSON can hold; None for the ends of an interval that one pair does not give."""
    return value if math.isfinite(value) else None


def _text(study: str, effects: list[dict[str, Any]]) -> str:
    rows = [
        (
            f"{one['a']} / {one['b']}",
            one["role"],
            one["metric"],
            f"{one['median_a']:.3g}",
            f"{one['median_b']:.3g}",
            f"{one['ratio']:.3f}",
            "none" if one["low"] is None else f"{one['low']:.3f} to {one['high']:.3f}",
            f"{one['p']:.2g}{'' if one['exact'] else ' (random)'}",
            str(one["n"]) + (f" ({one['left_out']} left out)" if one["left_out"] else ""),
        )
        for one in effects
    ]
    headings = ("arms", "role", "metric", "median a", "median b", "ratio", "95 % interval", "p", "n")
    return (
        f"{study}: risks over the last {_SHARE:.0%} of training, paired by seed\n\n"
        f"{table(headings, rows)}\n\n"
        "ratio: geometric mean over seeds of a / b, with a BCa bootstrap interval. p: two-sided, by\n"
        "flipping the sign of each seed's log ratio in every way, or in 10^5 random ways. n: seeds whose\n"
        "runs in both arms came to their end."
    )


COMMAND = Command(
    "compare", "Compare arms, paired by seed: ratio of risks, interval, exact p.", _arguments, _run
)
