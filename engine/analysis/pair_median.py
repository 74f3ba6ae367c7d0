"""The median over pairs of networks, with an interval that counts that pairs share their networks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

LEAST = 5
"""Networks below which resampling them says nothing."""


class PairMedian(NamedTuple):
    """A median over pairs and its interval, in the units of the values.

    Attributes:
        value: infinite where half of the pairs or more overflow; NaN without any pair.
        low: lower end; NaN with fewer than `LEAST` networks.
        high: upper end; likewise.
        pairs: how many pairs.
    """

    value: float
    low: float
    high: float
    pairs: int


def pair_median(
    values: Float[np.ndarray, "networks networks"],
    counted: Bool[np.ndarray, "networks networks"],
    seed: int,
    resamples: int = 1000,
    confidence: float = 0.95,
) -> PairMedian:
    """Return the median over the pairs that count, with a percentile interval.

    Two pairs that share a network are not independent, so networks are resampled, not pairs: a network that
    is drawn twice counts with each of its pairs twice, and a pair of a network with itself does not count.

    Args:
        values: symmetric; the diagonal is not looked at. An infinite value counts as larger than any other.
        counted: symmetric; which pairs count.
        seed: of the resamples.
        resamples: how many.
        confidence: of the interval, strictly between 0 and 1.

    Raises:
        ValueError: a value that counts is NaN.

    Source:
        Snijders & Borgatti 1999 (the vertex bootstrap), without their fill-in of pairs of one network.
    """
    n = len(values)
    one, other = np.triu_indices(n, 1)
    kept = counted[one, other]
    one, other = one[kept], other[kept]
    each = values[one, other]
    if np.isnan(each).any():
        raise ValueError("`values` must not be NaN where they count.")
    if not len(each):
        return PairMedian(np.nan, np.nan, np.nan, 0)
    middle = float(_median(each, np.ones(len(each))))
    if len(set(one.tolist()) | set(other.tolist())) < LEAST:
        return PairMedian(middle, np.nan, np.nan, len(each))
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(n, np.full(n, 1 / n), size=resamples)
    weights = drawn[:, one] * drawn[:, other]
    order = np.argsort(each)
    found = _weighted(each[order], weights[weights.sum(1) > 0][:, order])
    tail = (1 - confidence) / 2
    # By order statistics, for between a finite and an infinite value there is none.
    low, high = np.quantile(found, [tail, 1 - tail], method="inverted_cdf")
    return PairMedian(middle, float(low), float(high), len(each))


def _median(values: Float[np.ndarray, " pairs"], weights: Float[np.ndarray, " pairs"]) -> float:
    order = np.argsort(values)
    return float(_weighted(values[order], weights[order][None])[0])


def _weighted(ordered: Float[np.ndarray, " pairs"], weights: np.ndarray) -> Float[np.ndarray, " resamples"]:
    """Return the median of ascending values under each row of whole weights; of two middle ones the mean."""
    reached = weights.cumsum(1)
    total = reached[:, -1:]
    lower = ordered[(reached * 2 >= total).argmax(1)]
    upper = ordered[(reached * 2 > total).argmax(1)]
    middle: Float[np.ndarray, " resamples"] = np.where(lower == upper, lower, lower / 2 + upper / 2)
    return middle
