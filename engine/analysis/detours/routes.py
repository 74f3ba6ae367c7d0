"""The ways runs take through the states: grouped paths, occupancy over time, dwell times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, SupportsFloat

import numpy as np
from jaxtyping import Float, Int, Real
from scipy import stats

from engine.analysis.detours.visits import stays


class Route(NamedTuple):
    """Runs that went through the same states in the same order.

    Attributes:
        states: in order; neighbours differ.
        runs: positions, earliest convergence first, those that never converged last.
        converged_at: of those runs.
    """

    states: tuple[int, ...]
    runs: tuple[int, ...]
    converged_at: tuple[float | None, ...]


class Occupancy(NamedTuple):
    """Share of runs in each state at each row, and how many runs that is of."""

    share: Float[np.ndarray, "steps states"]
    n: Int[np.ndarray, " steps"]


class Dwell(NamedTuple):
    """How long a state lasts, in rows.

    Attributes:
        stays: seen, those cut off by the end of a run included.
        left: stays whose end was seen.
        mean: posterior mean; infinite where no end was seen.
        low: lower end of the credible interval.
        high: upper end.
    """

    stays: int
    left: int
    mean: float
    low: float
    high: float


def routes(
    paths: Sequence[Int[np.ndarray, " _"]],
    converged_at: Sequence[SupportsFloat | None],
    steps: Sequence[Real[np.ndarray, " _"]] | None = None,
    patience: int = 3,
) -> list[Route]:
    """Group runs by the states they went through before they converged, the largest group first.

    Args:
        paths: state at every row of each run.
        converged_at: step of convergence, None for never.
        steps: step of each row; the row's own number where None.
        patience: stays shorter than this are passed over.

    Raises:
        ValueError: runs that do not match.
    """
    if len(paths) != len(converged_at) or (steps is not None and len(steps) != len(paths)):
        raise ValueError(f"`converged_at` and `steps` must have one entry per run; there are {len(paths)}.")
    times = [None if step is None else float(step) for step in converged_at]
    groups: dict[tuple[int, ...], list[int]] = {}
    for run, (path, step) in enumerate(zip(paths, times, strict=True)):
        at = np.arange(len(path)) if steps is None else steps[run]
        before = path if step is None else path[at < step]
        groups.setdefault(tuple(stay.state for stay in stays(before, patience)), []).append(run)

    def time(run: int) -> float:
        step = times[run]
        return float("inf") if step is None else step

    found = [(states, sorted(runs, key=lambda run: (time(run), run))) for states, runs in groups.items()]
    found.sort(key=lambda group: (-len(group[1]), time(group[1][0]), group[0]))
    return [Route(states, tuple(runs), tuple(times[run] for run in runs)) for states, runs in found]


def occupancy(paths: Sequence[Int[np.ndarray, " _"]], n_states: int) -> Occupancy:
    """Return the share of runs in each state at each row; NaN where no run has that row."""
    length = max(map(len, paths), default=0)
    counts = np.zeros((length, n_states), dtype=int)
    for path in paths:
        counts[np.arange(len(path)), path] += 1
    n = counts.sum(axis=1)
    return Occupancy(counts / np.where(n > 0, n, np.nan)[:, None], n)


def dwells(paths: Sequence[Int[np.ndarray, " _"]], n_states: int, confidence: float = 0.95) -> list[Dwell]:
    """Return how long each state lasts, as the hidden Markov model sees it: geometric.

    Each row is left with probability q, with a uniform prior; after e ends and r rows that were followed by
    another in the same state q is Beta(1 + e, 1 + r), and the dwell time 1 / q has mean (e + r + 1) / e. A
    stay cut off by the end of its run counts with its rows and without an end.

    Raises:
        ValueError: `confidence` is not strictly between 0 and 1.

    Source:
        Gelman et al. 2013, section 2.4 (binomial likelihood, conjugate Beta prior).
    """
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"`confidence` must be strictly between 0 and 1; got {confidence}.")
    ends, followed, seen = (np.zeros(n_states, dtype=int) for _ in range(3))
    for path in paths:
        leaves = path[:-1] != path[1:]
        np.add.at(ends, path[:-1][leaves], 1)
        np.add.at(followed, path[:-1][~leaves], 1)
        np.add.at(seen, [stay.state for stay in stays(path)], 1)
    found = []
    for e, r, count in zip(ends.tolist(), followed.tolist(), seen.tolist(), strict=True):
        low, high = (
            1 / float(stats.beta.ppf(level, 1 + e, 1 + r))
            for level in (0.5 + confidence / 2, 0.5 - confidence / 2)
        )
        found.append(Dwell(count, e, (e + r + 1) / e if e else float("inf"), low, high))
    return found
