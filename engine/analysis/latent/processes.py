"""Many independent computations on the same data, in this process or shared by several."""

from __future__ import annotations

import os
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Hashable, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import closing
from multiprocessing import get_context, parent_process
from typing import Any, Generic, TypeVar

from threadpoolctl import threadpool_limits

Progress = Callable[[int, int], object]
Task = TypeVar("Task", bound=Hashable)
Result = TypeVar("Result")

_POLL_S = 1.0


class Stopped(Exception):  # noqa: N818  # not an error: the caller asked for it
    """The progress callback asked the fit to stop."""


class Work(ABC, Generic[Task, Result]):
    """Data, and what can be asked of them; it travels to each process once."""

    @abstractmethod
    def solve(self, task: Task) -> Result:
        """Return the answer to one task, which depends on nothing else."""

    def run(
        self, tasks: Sequence[Task], workers: int = 1, progress: Progress | None = None
    ) -> dict[Task, Result]:
        """Solve every task; the result is the same for any number of workers.

        Args:
            tasks: what to do.
            workers: processes, each with one thread; 1 works in this process.
            progress: called with (tasks done, tasks in all); stops the work by returning True.

        Raises:
            Stopped: `progress` returned True.
        """
        found: dict[Task, Result] = {}

        def told() -> None:
            if progress is not None and progress(len(found), len(tasks)) is True and len(found) < len(tasks):
                raise Stopped(f"stopped after {len(found)} of {len(tasks)} restarts")

        told()
        # Matrices this small are faster with one thread, and their sums then round alike everywhere.
        solved = self._serially(tasks) if workers < 2 else self._apart(tasks, workers, told)
        with threadpool_limits(1), closing(solved):
            for task, result in solved:
                found[task] = result
                told()
        return found

    def _serially(self, tasks: Sequence[Task]) -> Generator[tuple[Task, Result]]:
        for task in tasks:
            yield task, self.solve(task)

    def _apart(
        self, tasks: Sequence[Task], workers: int, told: Callable[[], None]
    ) -> Generator[tuple[Task, Result]]:
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


_work: Work[Any, Any] | None = None
"""What a worker process works on; set once when it begins, so that the rows travel once."""


def _begin_worker(work: Work[Any, Any]) -> None:
    global _work
    _work = work
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


def _solve(task: Any) -> Any:
    assert _work is not None  # `_begin_worker` ran first
    return _work.solve(task)
