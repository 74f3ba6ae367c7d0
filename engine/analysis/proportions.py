"""How often something happens in two groups of runs, and how far the shares are apart."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool
from scipy import stats


class Share(NamedTuple):
    """Share of runs, with Wilson's interval.

    Attributes:
        happened: runs in which it did.
        n: all runs.
        estimate: happened / n.
        low: lower end of the interval.
        high: upper end.
    """

    happened: int
    n: int
    estimate: float
    low: float
    high: float


class ShareDifference(NamedTuple):
    """Share of the first group less that of the second, and its interval."""

    estimate: float
    low: float
    high: float


def share(happened: Bool[np.ndarray, " runs"], confidence: float = 0.95) -> Share:
    """Return the share of runs, with an interval that keeps its coverage at small n and at 0 or n of n.

    Raises:
        ValueError: no run, or `confidence` not strictly between 0 and 1.

    Source:
        Wilson 1927; Agresti & Coull 1998.
    """
    if not len(happened):
        raise ValueError("`happened` must hold at least one run.")
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"`confidence` must be strictly between 0 and 1; got {confidence}.")
    found, n = int(happened.sum()), len(happened)
    ends = stats.binomtest(found, n).proportion_ci(confidence, method="wilson")
    return Share(found, n, found / n, float(ends.low), float(ends.high))


def share_difference(
    first: Bool[np.ndarray, " first"],
    second: Bool[np.ndarray, " second"],
    paired: bool = False,
    confidence: float = 0.95,
) -> ShareDifference:
    """Return how much more often it happened in the first group, from the two Wilson intervals.

    With d1, d2 the distances from the shares to their own ends, the lower end is the difference less
    sqrt(d1^2 - 2 phi d1 d2 + d2^2), likewise the upper; phi is the correlation of the pairs, 0 without pairs.

    Args:
        first: whether it happened in each run of the first group.
        second: the same of the second group.
        paired: whether run i of both groups has the same seed.
        confidence: coverage of the interval.

    Raises:
        ValueError: as `share`, or pairs of unequal number.

    Source:
        Newcombe 1998a, method 10 (independent groups); Newcombe 1998b, method 10 (pairs).
    """
    if paired and len(first) != len(second):
        raise ValueError(f"`first` and `second` must match in pairs; got {len(first)} and {len(second)}.")
    a, b = share(first, confidence), share(second, confidence)
    phi = _correlation(first, second) if paired else 0.0
    difference = a.estimate - b.estimate
    below = _joined(a.estimate - a.low, b.high - b.estimate, phi)
    above = _joined(a.high - a.estimate, b.estimate - b.low, phi)
    return ShareDifference(difference, difference - below, difference + above)


def _joined(one: float, other: float, phi: float) -> float:
    return float(np.sqrt(max(one**2 - 2 * phi * one * other + other**2, 0.0)))


def _correlation(first: Bool[np.ndarray, " pairs"], second: Bool[np.ndarray, " pairs"]) -> float:
    """Return phi of the 2 x 2 table of pairs, a positive one corrected for continuity; 0 if not defined."""
    both, neither = int((first & second).sum()), int((~first & ~second).sum())
    only_first, only_second = int((first & ~second).sum()), int((~first & second).sum())
    margins = float(
        (both + only_first) * (only_second + neither) * (both + only_second) * (only_first + neither)
    )
    if margins == 0:
        return 0.0
    excess = float(both * neither - only_first * only_second)
    if excess > 0:
        excess = max(excess - len(first) / 2, 0.0)
    return excess / float(np.sqrt(margins))
