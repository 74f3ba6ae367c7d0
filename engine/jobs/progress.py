"""What a job says while it runs and when it ends."""

from typing import Any, Literal, NamedTuple, Protocol


class Progress(Protocol):
    """Called by a job as often as it likes; the listener decides what to write down and when."""

    def __call__(self, step: int, steps: int, message: str = "") -> bool:
        """Take note of how far the job is.

        Args:
            step: units of work done.
            steps: units of work in all.
            message: what it is doing, beside the throughput and time left that the listener adds.

        Returns:
            True when the job was asked to stop: it then keeps what it has and ends as ``"stopped"``.
        """
        ...


class Ending(NamedTuple):
    """How a job ended by itself; one that fails raises instead.

    Attributes:
        status: ``"done"``, or ``"stopped"`` when it was asked to stop.
        result: JSON-able figures to keep with the job, for example ``{"runs": 64, "rows": 409664}``.
    """

    status: Literal["done", "stopped"]
    result: dict[str, Any]


def duration(seconds: float) -> str:
    """Return a length of time in words, for example ``1 min 34 s``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
