"""What the runs that a store holds of two arms say beside each other, for the command line and the views."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from data.errors import LabError
from data.store import Store
from engine.analysis.shuffling import (
    Divergence,
    Effect,
    UnpairedEffect,
    divergence,
    on_one_grid,
    paired_effect,
    unpaired_effect,
)
from engine.analysis.shuffling.effects import Statistic

OWN, FULL = "own_batch_risk", "full_batch_risk"
SHARE = 0.1
"""Share of a run's measurements, the last ones, whose mean it is compared by."""


class Compared(NamedTuple):
    """Two arms on one metric.

    Attributes:
        effect: paired where the arms share seeds, else of two groups.
        left_out: seeds, or runs of two groups, without a value to compare.
        medians: of both arms' values.
    """

    effect: Effect | UnpairedEffect
    left_out: int
    medians: tuple[float, float]


def compared(
    ends: pd.DataFrame,
    a: str,
    b: str,
    metric: str,
    statistic: Statistic = "log ratio",
    seed: int = 0,
    covariates: pd.DataFrame | None = None,
    acceptance: float = 1.0,
) -> Compared:
    """Return the effect of arm a against arm b on the values that `Traces.last` gives.

    Seeds of both arms are paired; where the arms share none, their runs are compared as two groups.

    Args:
        ends: arm, seed, run, metric and value.
        a: arm in the numerator.
        b: arm in the denominator.
        metric: which of the metrics.
        statistic: "log ratio" or "difference".
        seed: of the bootstrap and of what is drawn.
        covariates: by run; of two groups, what assignments are balanced on.
        acceptance: share of the assignments kept, the most balanced ones.

    Raises:
        LabError: nothing to compare, or an assignment that rerandomization would not have accepted.
    """
    ends = ends[ends["metric"] == metric].set_index("seed")
    values = {arm: ends[ends["arm"] == arm]["value"].astype(np.float64) for arm in (a, b)}
    usable = {
        arm: one[np.isfinite(one) & ((one > 0) | (statistic == "difference"))] for arm, one in values.items()
    }
    shared = usable[a].index.intersection(usable[b].index)
    paired = bool(len(values[a].index.intersection(values[b].index)))
    every = len(values[a].index.union(values[b].index))
    if len(shared):
        left, right = (usable[arm].loc[shared].to_numpy() for arm in (a, b))
        effect: Effect | UnpairedEffect = paired_effect(left, right, seed=seed, statistic=statistic)
        return Compared(effect, every - len(shared), (float(np.median(left)), float(np.median(right))))
    if paired or not len(usable[a]) or not len(usable[b]):
        what = "positive" if statistic == "log ratio" else "finite"
        raise LabError(
            "No pairs to compare",
            f"No seed of {a} and {b} has both runs at their end with a {what} {metric}.",
            "Train the same seeds in both arms; runs that diverged or were stopped have no end to compare.",
        )
    left, right = (usable[arm].to_numpy() for arm in (a, b))
    known = None
    if covariates is not None:
        runs = [run for arm in (a, b) for run in ends[ends["arm"] == arm].loc[usable[arm].index, "run"]]
        known = covariates.reindex(runs).to_numpy(np.float64)
    try:
        effect = unpaired_effect(left, right, seed, statistic, known, acceptance)
    except ValueError as error:
        raise LabError(
            "The groups cannot be compared", f"{a} and {b} on {metric}: {error}", "Choose other covariates."
        ) from error
    return Compared(effect, every - effect.n, (float(np.median(left)), float(np.median(right))))


def covariates(store: Store, study: str, names: Sequence[str]) -> pd.DataFrame:
    """Return what was measured of every run before its first step, by run: the covariates of a fair draw.

    Raises:
        LabError: a metric that is not there, or not measured at the start of every run.
    """
    frame = store.traces.frame(study, list(names), last=0).set_index("run")[list(names)].astype(np.float64)
    for name in names:
        if frame.empty or not np.isfinite(frame[name]).all():
            raise LabError(
                "No covariate",
                f"`{study}` has no finite {name} at the start of every run.",
                "Balance on metrics that are measured before the first step.",
            )
    return frame


class Trend(NamedTuple):
    """What the risks of an arm do.

    Attributes:
        seeds: of its runs that came to their end, in the order of the divergence's arrays.
        divergence: of these.
    """

    seeds: tuple[int, ...]
    divergence: Divergence


def trend(store: Store, study: str, arm: str) -> Trend | None:
    """Return what both risks of an arm do over the last half; None where too little of them is measured."""
    ended = {run.id for run in store.catalog.runs(study, archived=True) if run.status in ("done", "diverged")}
    runs = [run for run in store.traces.matrices(study, [OWN, FULL], [arm]) if run.run in ended]
    runs = [run for run in runs if len(run.steps)]
    if not runs:
        return None
    steps, risks = on_one_grid([run.steps for run in runs], [run.values for run in runs])
    if ((steps > 0) & (steps >= steps[-1] / 2)).sum() < 3:
        return None
    return Trend(tuple(run.seed for run in runs), divergence(steps, risks[..., 0], risks[..., 1]))
