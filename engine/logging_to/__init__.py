"""Where a run that logs itself can go: a store on this machine, or a server."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from data.rows import MetricRow, RunStatus


class Row(NamedTuple):
    """What was measured at a step: epoch (None: unknown), seconds since the run began, and the metrics."""

    step: int
    epoch: float | None
    seconds: float
    values: dict[str, float]


class Ended(NamedTuple):
    """How a run ended.

    Attributes:
        status: how.
        what: why, where it failed.
        diverged: first step at which a loss was not finite any more, and which; None where none was.
        finals: last value of every metric.
        seconds: since it began.
    """

    status: RunStatus
    what: str
    diverged: tuple[int, str] | None
    finals: Mapping[str, float]
    seconds: float


class Sink(Protocol):
    """Takes the rows of one run."""

    def write(self, rows: Sequence[Row], metrics: Sequence[MetricRow]) -> bool:
        """Put rows on the disk, all or none; rows that are there already change nothing.

        Args:
            rows: at least one, in the order of their steps.
            metrics: what those that were not in earlier rows are.

        Returns:
            Whether somebody asked the run to stop.

        Raises:
            LabError: they could not be written; the same rows may be given again.
        """
        ...

    def end(self, ended: Ended) -> None:
        """Write down how the run ended; a second end changes nothing."""
        ...
