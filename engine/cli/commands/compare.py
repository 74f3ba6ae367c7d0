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
    store = open_lab(arguments)
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
    version = store.traces.version(arguments.study)
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
    shared = wide.reindex(columns=[a, b]).dropna(how="all").to_numpy(dtype=np.float64)
    effect: Effect = paired_effect(shared[:, 0], shared[:, 1], seed=seed)
    return {
        "ratio": math.exp(effect.estimate),
        "low": math.exp(effect.low),
        "high": math.exp(effect.high),
        "log_ratio": effect.estimate,
        "p": effect.p,
        "n": effect.n,
        "exact": effect.exact,
        "left_out": effect.dropped,
        "median_a": float(np.nanmedian(shared[:, 0])),
        "median_b": float(np.nanmedian(shared[:, 1])),
    }


def _text(study: str, effects: list[dict[str, Any]]) -> str:
    rows = [
        (
            f"{one['a']} / {one['b']}",
            one["role"],
            one["metric"],
            f"{one['median_a']:.3g}",
            f"{one['median_b']:.3g}",
            f"{one['ratio']:.3f}",
            f"{one['low']:.3f} to {one['high']:.3f}",
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
        "flipping the sign of each seed's log ratio in every way, or in 10^5 random ways. n: shared seeds."
    )


COMMAND = Command(
    "compare", "Compare arms, paired by seed: ratio of risks, interval, exact p.", _arguments, _run
)
