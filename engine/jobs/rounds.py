"""When the stacks of a training report the state to go on from: each once a round, a round every so often."""

import time
from collections.abc import Callable, Collection


class Rounds:
    """Says which states are due and which are worth saving.

    The loop asks `due` after a stretch without saying of which stack, and hands the state over one stretch
    later. So as many are asked for as stacks are missing, and one that came twice is passed over.

    Args:
        seconds: from the end of a round to the next; 0 for a state of every stretch.
        training: the stacks that still train.
    """

    def __init__(self, seconds: float, training: Callable[[], Collection[int]]) -> None:
        self._seconds = seconds
        self._training = training
        self._since = time.monotonic()
        self._saved: set[int] | None = None
        self._coming = 0
        self._last = False

    def due(self) -> bool:
        """Whether the stack that is asked now is to report its state."""
        if self._saved is None and time.monotonic() - self._since >= self._seconds:
            self._saved = set()
        if self._coming >= len(self._missing()):
            return False
        self._coming += 1
        return True

    def take(self, stack: int) -> bool:
        """Take note of a state that came; False when it need not be saved."""
        self._coming -= 1
        if self._saved is None or stack in self._saved:
            return False
        self._saved.add(stack)
        self._missing()
        return True

    def stop(self) -> None:
        """Begin the last round at once."""
        if not self._last:
            self._last, self._saved = True, set()

    @property
    def over(self) -> bool:
        """Whether the last round has a state of every stack that still trains."""
        return self._last and not self._missing()

    def _missing(self) -> set[int]:
        """Return the stacks that this round waits for, and end it when there is none."""
        if self._saved is None:
            return set()
        missing = set(self._training()) - self._saved
        if not missing and not self._last:
            self._saved, self._since = None, time.monotonic()
        return missing
