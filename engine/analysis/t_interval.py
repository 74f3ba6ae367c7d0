"""The interval of a mean over few seeds, by Student's t."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Num
from scipy import stats


class Interval(NamedTuple):
    """Ends of a confidence interval, in the units of the mean.

    Attributes:
        low: lower ends; NaN where fewer than two values were seen.
        high: upper ends; NaN where fewer than two values were seen.
    """

    low: Float[np.ndarray, "*shape"]
    high: Float[np.ndarray, "*shape"]


def t_interval(
    mean: Float[np.ndarray, "*shape"],
    sd: Float[np.ndarray, "*shape"],
    n: Num[np.ndarray, "*shape"],
    confidence: float = 0.95,
) -> Interval:
    """Return mean -+ t sd / sqrt(n), with the t quantile of n - 1 degrees of freedom.

    At n = 5 the quantile is 2.78, not 1.96: a normal interval there would cover 88 %, not 95 %.

    Args:
        mean: means over seeds, at as many points as one likes.
        sd: standard deviations over the same seeds, with divisor n - 1, in the units of the mean.
        n: how many seeds stand behind each mean.
        confidence: coverage, between 0 and 1.

    Returns:
        The ends; NaN where n < 2, since one value says nothing about its spread.

    Raises:
        ValueError: `confidence` is not strictly between 0 and 1, or an `sd` is negative.

    Source:
        Student 1908.
    """
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"`confidence` must be strictly between 0 and 1; got {confidence}.")
    if np.any(np.asarray(sd) < 0):
        raise ValueError(f"`sd` must not be negative; got {np.min(sd)}.")
    mean = np.asarray(mean, dtype=float)
    count = np.asarray(n, dtype=float)
    enough = count >= 2
    safe = np.where(enough, count, 2.0)
    quantile = stats.t.ppf(0.5 + confidence / 2, safe - 1)
    half = np.where(enough, quantile * np.asarray(sd, dtype=float) / np.sqrt(safe), np.nan)
    return Interval(mean - half, mean + half)
