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
        """Climb from one start."""
        X, lengths = _training(self, task.fold)
        begun = start(X, lengths, task.n_states, self.covariance, task.restart, self.seed, self.topology)
        return estimate(X, lengths, begun)


@lru_cache(maxsize=1)
def _training(
    search: Search, fold: int
) -> tuple[Float[np.ndarray, "rows features"], Int[np.ndarray, " runs"]]:
    return search.training(fold)
