"""Runs of different lengths on one grid of steps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Real


def on_one_grid(
    steps: Sequence[Real[np.ndarray, " _"]], values: Sequence[Float[np.ndarray, "_ metrics"]]
) -> tuple[Real[np.ndarray, " grid"], Float[np.ndarray, "runs grid metrics"]]:
    """Return the steps of the run that got furthest, and every run's last value at each of them.

    After a run's own last step it has none, NaN; so it has before its first.

    Args:
        steps: ascending, of each run.
        values: the same runs' metrics at these steps.

    Raises:
        ValueError: no run, or one without a step.
    """
    if not steps or not all(len(one) for one in steps):
        raise ValueError("`steps` must hold at least one run, each with at least one step.")
    grid = max(steps, key=lambda one: (one[-1], len(one)))
    placed = np.full((len(steps), len(grid), values[0].shape[1]), np.nan)
    for run, (own, measured) in enumerate(zip(steps, values, strict=True)):
        inside = (grid >= own[0]) & (grid <= own[-1])
        placed[run, inside] = measured[np.searchsorted(own, grid[inside], side="right") - 1]
    return grid, placed
