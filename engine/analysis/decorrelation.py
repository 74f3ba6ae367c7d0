"""Whether neighbouring rows correlate too much for a hidden Markov model, and how far apart they do not."""

import math

AUTOCORRELATED = 0.3
"""Median lag-1 correlation within states from which K is likely too high: at 0.7 a true 4 became 6 to 8."""
ENOUGH_ROWS = 30
"""Rows of the longest run that thinning must leave for it to be advised."""


def decorrelation(autocorrelation: float) -> int:
    """Return after how many rows a first-order autoregression with this lag-1 correlation has lost it.

    The least n with r^n at most 0.2, at least 2.
    """
    return max(2, math.ceil(math.log(0.2) / math.log(min(autocorrelation, 0.999))))


def advised_thinning(autocorrelation: float, rows: int) -> int | None:
    """Return one row in how many leaves neighbours uncorrelated; None where too few would be left.

    Args:
        autocorrelation: at lag 1 within states, the median over metrics.
        rows: of the longest run.
    """
    apart = decorrelation(autocorrelation)
    return apart if rows >= ENOUGH_ROWS * apart else None
