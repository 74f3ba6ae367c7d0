"""When the stacks of a training report the state to go on from."""

import time
from collections.abc import Callable, Collection


class Rounds:
    """Asks every stack for its state every so often, and once more before the end of a stopped training.

    Args:
        seconds: between two states of a stack; 0 for one after every stretch.
        training: the stacks that still train.
    """

    def __init__(self, seconds: float, training: Callable[[], Collection[int]]) -> None:
        self._seconds, self._training = seconds, training
        self._began = time.monotonic()
        self._asked: dict[int, float] = {}
        self._stopping = False
        self._saved: set[int] = set()

    def due(self, stack: int) -> bool:
        """Whether a stack that ends a stretch is to report its state."""
        now = time.monotonic()
        if not self._stopping and now - self._asked.get(stack, self._began) < self._seconds:
            return False
        self._asked[stack] = now
        return True

    def saved(self, stack: int) -> None:
        """Take note that a stack's state was saved."""
        if self._stopping:
            self._saved.add(stack)

    def stop(self) -> None:
        """Have every stack report its state, the last one."""
        self._stopping = True

    @property
    def over(self) -> bool:
        """Whether, since the stop, every stack that still trains had its state saved."""
        return self._stopping and set(self._training()) <= self._saved
