"""EM from every start, for every number of states, on all runs and on every fold, in some processes."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context, parent_process
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from threadpoolctl import threadpool_limits

from engine.analysis.latent.estimation import Estimate, estimate
from engine.analysis.latent.parameters import Covariance, Topology
from engine.analysis.latent.preparation import stack
from engine.analysis.latent.starts import KINDS, start

Progress = Callable[[int, int], object]

_POLL_S = 1.0


class Stopped(Exception):  # noqa: N818  # not an error: the caller asked for it
    """The progress callback asked the fit to stop."""


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
class Search:
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

    def run(
        self, tasks: Sequence[Task], workers: int = 1, progress: Progress | None = None
    ) -> dict[Task, Estimate]:
        """Climb from every start; the result is the same for any number of workers.

        Args:
            tasks: what to do.
            workers: processes, each with one thread; 1 works in this process.
            progress: called with (tasks done, tasks in all); stops the search by returning True.

        Raises:
            Stopped: `progress` returned True.
        """
        found: dict[Task, Estimate] = {}

        def told() -> None:
            if progress is not None and progress(len(found), len(tasks)) is True and len(found) < len(tasks):
                raise Stopped(f"stopped after {len(found)} of {len(tasks)} restarts")

        told()
        # Matrices this small are faster with one thread, and their sums then round alike everywhere.
        climbs = self._serially(tasks) if workers < 2 else self._apart(tasks, workers, told)
        with threadpool_limits(1), closing(climbs):
            for task, result in climbs:
                found[task] = result
                told()
        return found

    def _serially(self, tasks: Sequence[Task]) -> Generator[tuple[Task, Estimate]]:
        for task in tasks:
            yield task, self.solve(task)

    def _apart(
        self, tasks: Sequence[Task], workers: int, told: Callable[[], None]
    ) -> Generator[tuple[Task, Estimate]]:
        """Yield results as they come; `told` is called about once a second, and may raise to stop."""
        with ProcessPoolExecutor(workers, get_context("spawn"), _begin_worker, (self,)) as pool:
            try:
                names = {pool.submit(_solve, task): task for task in tasks}
                pending = set(names)
                while pending:
                    done, pending = wait(pending, timeout=_POLL_S, return_when=FIRST_COMPLETED)
                    if not done:
                        told()
                    for future in done:
                        yield names[future], future.result()
            finally:
                pool.shutdown(cancel_futures=True)


@lru_cache(maxsize=1)
def _training(
    search: Search, fold: int
) -> tuple[Float[np.ndarray, "rows features"], Int[np.ndarray, " runs"]]:
    return search.training(fold)


_search: Search | None = None
"""What a worker process works on; set once when it begins, so that the rows travel once."""


def _begin_worker(search: Search) -> None:
    global _search
    _search = search
    threadpool_limits(1)
    # The parent is interrupted by the same Ctrl-C and stops its workers in good order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Leave when the parent is gone, however it went: a worker of a killed job would wait for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _solve(task: Task) -> Estimate:
    assert _search is not None  # `_begin_worker` ran first
    return _search.solve(task)
