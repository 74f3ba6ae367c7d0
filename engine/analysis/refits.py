"""States of the same runs under models refitted to bootstrap samples of them, in the form that is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Int8, Int16


class Refits(NamedTuple):
    """What refits say about each run.

    Attributes:
        paths: per run, the most probable state at each of its rows under each refit, [refits, rows]; states
            are matched to those of the fit itself, and -1 has no counterpart there.
        counts: how often the sample of each refit holds each run.
    """

    paths: list[Int8[np.ndarray, "refits _"]]
    counts: Int16[np.ndarray, "refits runs"]

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what a store keeps: refit_path [refits, rows of all runs] and refit_counts."""
        return {"refit_path": np.concatenate(self.paths, axis=1), "refit_counts": self.counts}

    def agreement(self, paths: Sequence[Int[np.ndarray, " _"]]) -> list[float]:
        """Return, per refit, the share of rows in the same state as on these paths of the same runs."""
        same: list[float] = (
            (np.concatenate(self.paths, axis=1) == np.concatenate(paths)).mean(axis=1).tolist()
        )
        return same


def refits_of(arrays: Mapping[str, np.ndarray], runs: Sequence[int] | None = None) -> Refits | None:
    """Return the refits of a stored fit, or None where it has none.

    Args:
        arrays: of the stored fit.
        runs: positions of the runs wanted, in the order wanted; all when None.
    """
    if "refit_path" not in arrays:
        return None
    paths = np.split(arrays["refit_path"], arrays["offsets"][1:-1], axis=1)
    chosen = list(range(len(paths)) if runs is None else runs)
    return Refits([paths[run] for run in chosen], arrays["refit_counts"][:, chosen])
