"""How much later one group of runs converges than another, with its uncertainty."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from engine.analysis.detours.delay import marginal_delays


class RestrictedDifference(NamedTuple):
    """Restricted mean time of the first group less that of the second, in the units of the times.

    Attributes:
        estimate: of the runs as they are.
        low: lower end of the bootstrap interval; NaN where the groups are too small to resample.
        high: upper end.
        n: runs of both groups.
    """

    estimate: float
    low: float
    high: float
    n: int


def restricted_difference(
    times: Float[np.ndarray, " runs"],
    observed: Bool[np.ndarray, " runs"],
    first: Bool[np.ndarray, " runs"],
    seed: int = 0,
    draws: int = 1000,
    confidence: float = 0.95,
) -> RestrictedDifference:
    """Return the difference of two groups, up to the last time at which both Kaplan-Meier curves are defined.

    Args:
        times: of convergence, or how long the run was observed without it.
        observed: whether it converged.
        first: whether a run is in the first group.
        seed: of the bootstrap.
        draws: of the bootstrap: runs are drawn within each group, and percentiles taken.
        confidence: coverage of the interval.

    Raises:
        ValueError: a group without runs, or `confidence` not strictly between 0 and 1.

    Source:
        Royston & Parmar 2013 (difference of restricted means); Efron 1979.
    """
    if first.all() or not first.any():
        raise ValueError("`first` must leave runs in both groups.")
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"`confidence` must be strictly between 0 and 1; got {confidence}.")
    rng = np.random.default_rng(seed)
    counts = np.zeros((draws, len(times)))
    for group in (np.flatnonzero(first), np.flatnonzero(~first)):
        drawn = rng.integers(len(group), size=(draws, len(group)))
        for place, run in enumerate(group):
            counts[:, run] = (drawn == place).sum(axis=1)
    itself = np.ones((1, len(times)))
    estimate = float(marginal_delays(times, observed, first[:, None], itself)[0, 0])
    low, high = float("nan"), float("nan")
    if min(first.sum(), (~first).sum()) > 1:
        resampled = marginal_delays(times, observed, first[:, None], counts)[:, 0]
        low, high = (
            float(end) for end in np.quantile(resampled, [0.5 - confidence / 2, 0.5 + confidence / 2])
        )
    return RestrictedDifference(estimate, low, high, len(times))
