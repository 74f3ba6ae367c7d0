"""The interval of a median, which asks nothing of how the values are distributed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Num
from scipy import stats


class Median(NamedTuple):
    """A median and its interval, in the units of the values; NaN where there are too few of them."""

    value: float
    low: float
    high: float


def median_interval(values: Num[np.ndarray, " n"], confidence: float = 0.95) -> Median:
    """Return the median and the narrowest symmetric pair of order statistics that covers it.

    [x_(k), x_(n + 1 - k)] misses the median of a continuous distribution with probability
    2 P(Binomial(n, 1/2) < k); k is the largest that keeps this within 1 - confidence.

    Args:
        values: independent, one per run.
        confidence: least coverage, strictly between 0 and 1.

    Returns:
        NaN for the ends where even the extremes cover less, at fewer than six values for 95 %; NaN for
        everything without a value.

    Raises:
        ValueError: `confidence` is not strictly between 0 and 1.

    Source:
        David & Nagaraja 2003, section 7.1.
    """
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"`confidence` must be strictly between 0 and 1; got {confidence}.")
    ordered = np.sort(np.asarray(values, dtype=float))
    n = len(ordered)
    if n == 0:
        return Median(np.nan, np.nan, np.nan)
    misses = 2 * stats.binom.cdf(np.arange(n // 2 + 1), n, 0.5)
    k = int(np.searchsorted(misses, 1 - confidence, side="right"))
    middle = float(np.median(ordered))
    return (
        Median(middle, float(ordered[k - 1]), float(ordered[n - k])) if k else Median(middle, np.nan, np.nan)
    )
