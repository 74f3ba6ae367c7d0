"""When a run converged: a metric passes a threshold and stays beyond it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Num, Real

Direction = Literal["above", "below"]


def converged_at(
    values: Sequence[Num[np.ndarray, " _"]],
    threshold: float,
    direction: Direction = "above",
    patience: int = 3,
    steps: Sequence[Real[np.ndarray, " _"]] | None = None,
) -> list[float | None]:
    """Return, per run, the first step from which a metric is beyond a threshold and stays for the patience.

    Args:
        values: the metric of each run, one value per row; a value that is not a number is not beyond.
        threshold: to reach; a value equal to it has reached it.
        direction: "above" for accuracies, "below" for losses.
        patience: rows in a row that must be beyond, the first included.
        steps: the step of each row, ascending; the row's own number where None.

    Returns:
        Steps, as floats; None for a run that never stays. A run that ends before the patience is over has
        not been seen to stay.

    Raises:
        ValueError: `patience` below 1, a direction that is neither, or steps that do not match the values.

    Source:
        Hu, Chen, Saphra & Cho 2023, section 3.4; the patience is ours.
    """
    if patience < 1:
        raise ValueError(f"`patience` must be at least 1; got {patience}.")
    if direction not in ("above", "below"):
        raise ValueError(f"`direction` must be 'above' or 'below'; got {direction!r}.")
    if steps is not None and list(map(len, steps)) != list(map(len, values)):
        raise ValueError("`steps` must have one step for each value of each run.")
    found: list[float | None] = []
    for run, metric in enumerate(values):
        beyond = metric >= threshold if direction == "above" else metric <= threshold
        stays = np.convolve(beyond, np.ones(patience), "valid") == patience if len(beyond) >= patience else []
        rows = np.flatnonzero(stays)
        if len(rows):
            found.append(float(rows[0] if steps is None else steps[run][rows[0]]))
        else:
            found.append(None)
    return found
