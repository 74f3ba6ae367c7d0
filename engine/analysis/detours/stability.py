"""In what share of refits to bootstrap samples a state is a detour again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import SupportsFloat

import numpy as np
from jaxtyping import Float, Real

from engine.analysis.detours.evidence import again_detours
from engine.analysis.detours.prepared import MIN_RUNS, PATIENCE, prepare, require_matching
from engine.analysis.refits import Refits

PERMUTATIONS = 499
"""For each refit: the verdict of 50 needs no finer p, and 4,999 each would take a second."""


def stability(
    refits: Refits,
    converged_at: Sequence[SupportsFloat | None],
    n_states: int,
    seed: int = 0,
    *,
    steps: Sequence[Real[np.ndarray, " _"]] | None = None,
    patience: int = PATIENCE,
    min_runs: int = MIN_RUNS,
    alpha: float = 0.05,
    permutations: int = PERMUTATIONS,
) -> Float[np.ndarray, " states"]:
    """Return the share of refits in which each state is a detour.

    Each refit is judged on its own sample of runs, and their states are those of its own model: both the
    runs and the states are uncertain. A state is a detour there if it is optional, its adjusted p is at most
    alpha, and its joint delay is above 0; a sample is not itself sampled again, as `find` would.

    Args:
        refits: of the runs; none in it means a share of NaN.
        converged_at: step of convergence of each run, None for never.
        n_states: number of states of the fit.
        seed: of the permutations.
        steps: step of each row of each run, ascending; the row's own number where None.
        patience: consecutive rows that make a visit.
        min_runs: least number of runs of a sample on both sides.
        alpha: level over all states together, one-sided.
        permutations: drawn for each refit.

    Raises:
        ValueError: refits of other runs, or a state that does not exist.

    Source:
        Efron & Tibshirani 1993, chapter 6 (bootstrap); the use follows Meinshausen & Buhlmann 2010
        (stability of a selection under resampling).
    """
    found = np.zeros(n_states)
    # A state without counterpart is one more: it can take blame, but none of those asked about.
    states = [np.where(paths < 0, n_states, paths) for paths in refits.paths]
    for number, counts in enumerate(refits.counts):
        paths = [each[number] for each in states]
        if number == 0:
            require_matching(paths, converged_at, n_states + 1, steps)
        drawn = [run for run, n in enumerate(counts) for _ in range(n) if len(paths[run])]
        data = prepare(
            [paths[run] for run in drawn],
            [converged_at[run] for run in drawn],
            n_states + 1,
            None if steps is None else [steps[run] for run in drawn],
            patience,
            min_runs,
        )
        again = again_detours(data, alpha, permutations, seed)
        found[again[again < n_states]] += 1
    return found / len(refits.counts) if len(refits.counts) else np.full(n_states, np.nan)
