"""What the files of this package share: how they say how far they are, and numbers that JSON can hold."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from engine.connectivity.barriers import Barriers
from engine.connectivity.matching import Matching
from engine.jobs.progress import Progress

Record = tuple[dict[str, Any], dict[str, np.ndarray]]


class Stopped(Exception):  # noqa: N818 - nothing went wrong
    """The job was asked to stop."""


class Tell:
    """Counts units of work.

    Args:
        progress: of the job.
        total: units in all.
        what: the connection in words.
    """

    def __init__(self, progress: Progress, total: int, what: str) -> None:
        self._progress, self._total, self._what, self._done = progress, total, what, 0

    def __call__(self, doing: str, units: int = 1) -> None:
        """Say what begins, once the `units` before it are done.

        Raises:
            Stopped: the job was asked to stop.
        """
        if self._progress(min(self._done, self._total), self._total, f"{self._what}: {doing}"):
            raise Stopped
        self._done += units


def number(value: float | None) -> float | None:
    """Return a finite number, else None."""
    return None if value is None or not math.isfinite(value) else float(value)


def told_barriers(found: Barriers) -> dict[str, float | None]:
    """Return barriers for a summary; an infinite one is told by `overflows`."""
    return {name: number(value) for name, value in found._asdict().items()} | {
        "overflows": math.isinf(found.loss_chord)
    }


def told_matching(found: Matching) -> dict[str, Any]:
    """Return what a matching did, for a summary."""
    null = found.null
    return {
        "method": found.method,
        "distance_before": found.distance_before,
        "distance_after": found.distance_after,
        "similarity_before": number(found.similarity_before),
        "similarity_after": number(found.similarity_after),
        "null": None if null is None else {"mean": null.mean, "sd": number(null.sd), "pairs": null.pairs},
        "starts": list(found.starts),
        "groups": dict(found.symmetry.groups),
        "notes": list(found.symmetry.notes),
    }


def merged(arrays: Mapping[str, list[np.ndarray]]) -> dict[str, np.ndarray]:
    """Return lists of equal arrays as arrays with an axis more, in front."""
    return {name: np.stack(parts) for name, parts in arrays.items()}
