"""Runs ready to be judged: each up to its convergence, and which states can be tested."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, SupportsFloat

import numpy as np
from jaxtyping import Bool, Float, Int, Real

from engine.analysis.detours.visits import Visits, visits

PATIENCE = 3
MIN_RUNS = 3
Paths = Sequence[Int[np.ndarray, " _"]]


class Prepared(NamedTuple):
    """Runs that can be used, each up to its convergence.

    Attributes:
        positions: of these runs among those given.
        times: of convergence, or the last step where it was not seen.
        observed: whether it was seen.
        visits: of every state.
        tested: the optional states.
        converged_untouched: runs that converged without a single row in the state.
    """

    positions: Int[np.ndarray, " runs"]
    times: Float[np.ndarray, " runs"]
    observed: Bool[np.ndarray, " runs"]
    visits: Visits
    tested: Int[np.ndarray, " tested"]
    converged_untouched: Int[np.ndarray, " states"]


def require_matching(
    paths: Paths,
    converged_at: Sequence[SupportsFloat | None],
    n_states: int,
    steps: Sequence[Real[np.ndarray, " _"]] | None,
) -> None:
    """Raise ValueError unless runs, states and times of convergence fit together."""
    if len(paths) != len(converged_at):
        raise ValueError(
            f"`converged_at` must have one entry per run; got {len(converged_at)} for {len(paths)} paths."
        )
    if sum(len(path) > 0 for path in paths) < 2:
        raise ValueError("`paths` must hold at least two runs with rows.")
    if steps is not None and list(map(len, steps)) != list(map(len, paths)):
        raise ValueError("`steps` must have one step for each row of each path.")
    for run, path in enumerate(paths):
        if len(path) and not 0 <= path.min() <= path.max() < n_states:
            raise ValueError(f"`paths[{run}]` must hold states 0 to {n_states - 1}; got {path.max()}.")
    for run, step in enumerate(converged_at):
        if step is not None and not np.isfinite(float(step)):
            raise ValueError(f"`converged_at[{run}]` must be a step, or None for never; got {step}.")


def prepare(
    paths: Paths,
    converged_at: Sequence[SupportsFloat | None],
    n_states: int,
    steps: Sequence[Real[np.ndarray, " _"]] | None,
    patience: int,
    min_runs: int,
) -> Prepared:
    """Cut every run at its convergence and count its visits; arguments as for `find`."""
    positions, times, before = [], [], []
    for run, (path, step) in enumerate(zip(paths, converged_at, strict=True)):
        if not len(path):
            continue
        at = np.arange(len(path)) if steps is None else steps[run]
        positions.append(run)
        times.append(float(at[-1] if step is None else step))
        before.append(path if step is None else path[at < float(step)])
    observed = np.array([converged_at[run] is not None for run in positions], dtype=bool)
    found = visits(before, n_states, patience, min_runs)
    untouched = (observed[:, None] & ~found.touched).sum(axis=0)
    tested = np.flatnonzero((found.visited.sum(axis=0) >= min_runs) & (untouched >= min_runs))
    return Prepared(np.array(positions), np.array(times), observed, found, tested, untouched)
