"""EM from every start, for every number of states, on all runs and on every fold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from engine.analysis.latent.estimation import Estimate, estimate
from engine.analysis.latent.parameters import Covariance, Topology
from engine.analysis.latent.preparation import stack
from engine.analysis.latent.processes import Work
from engine.analysis.latent.starts import KINDS, start

CANDIDATES = 6
"""Starts of which each restart on all runs takes the most promising. On 9 sets of 1,600 to 4,000 rows through
5 states (K = 6, full) hmmlearn's best of ten was ahead by 0.011 nats per row on average with one start and
behind by 0.006 with six; where it stayed ahead it rested on variances below our floor, but for one set. Folds
need them too: one that misses the optimum speaks against its K, and a true 6 became 7."""
SCREENING_STEPS = 5
SCREENING_ROWS = 4096
"""Rows, of whole runs evenly spaced over all, on which candidates are compared."""


class Task(NamedTuple):
    """One climb.

    Attributes:
        fold: the fold whose runs are held out; -1 for none.
        n_states: K.
        restart: number of the start.
    """

    fold: int
    n_states: int
    restart: int


@dataclass(frozen=True, eq=False)
class Search(Work[Task, Estimate]):
    """What is fitted.

    Attributes:
        rows: the runs in model units.
        folds: positions in `rows` that each fold holds out.
        covariance: shape of the covariances.
        topology: which transitions are allowed.
        seed: source of chance of the starts.
    """

    rows: Sequence[Float[np.ndarray, "_ features"]]
    folds: tuple[tuple[int, ...], ...]
    covariance: Covariance
    topology: Topology
    seed: int

    def tasks(self, states: Sequence[int], restarts: int) -> list[Task]:
        """Return every climb: all restarts on all runs, one of each kind of start in every fold.

        A single start for K = 1, whose likelihood has one maximum. The largest K come first, so that
        processes end at about the same time.
        """
        starts = {-1: restarts} | dict.fromkeys(range(len(self.folds)), min(restarts, len(KINDS)))
        return [
            Task(fold, k, restart)
            for fold, count in starts.items()
            for k in sorted(states, reverse=True)
            for restart in range(count if k > 1 else 1)
        ]

    def training(self, fold: int) -> tuple[Float[np.ndarray, "rows features"], Int[np.ndarray, " runs"]]:
        """Return the rows that a fold fits on, and the length of each run."""
        left_out = set(self.folds[fold]) if fold >= 0 else set()
        return stack([run for index, run in enumerate(self.rows) if index not in left_out])

    def solve(self, task: Task) -> Estimate:
        """Climb from the one of some candidate starts that begins to climb best."""
        X, lengths = _training(self, task.fold)
        turn, kind = divmod(task.restart, len(KINDS))
        candidates = CANDIDATES if task.n_states > 1 else 1
        starts = [
            start(
                X,
                lengths,
                task.n_states,
                self.covariance,
                kind + len(KINDS) * (candidates * turn + candidate),
                self.seed,
                self.topology,
            )
            for candidate in range(candidates)
        ]
        if candidates == 1:
            return estimate(X, lengths, starts[0])
        some = _some(self, task.fold)
        climbs = [estimate(*some, each, max_steps=SCREENING_STEPS).loglik for each in starts]
        return estimate(X, lengths, starts[int(np.argmax(climbs))])


@lru_cache(maxsize=1)
def _training(
    search: Search, fold: int
) -> tuple[Float[np.ndarray, "rows features"], Int[np.ndarray, " runs"]]:
    return search.training(fold)


@lru_cache(maxsize=1)
def _some(search: Search, fold: int) -> tuple[Float[np.ndarray, "rows features"], Int[np.ndarray, " runs"]]:
    """Return the rows of evenly spaced runs that a fold fits on, about `SCREENING_ROWS` of them."""
    X, lengths = _training(search, fold)
    number = max(1, min(len(lengths), round(len(lengths) * SCREENING_ROWS / len(X))))
    runs = np.split(X, np.cumsum(lengths)[:-1])
    return stack([runs[run] for run in np.linspace(0, len(lengths) - 1, number).round().astype(int)])
