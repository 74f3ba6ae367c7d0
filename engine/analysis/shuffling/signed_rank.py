"""Whether values lie around 0, whatever one of them does: Wilcoxon's signed ranks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy import stats


class SignedRank(NamedTuple):
    """Where the middle of some values lies.

    Attributes:
        estimate: median of the means of all pairs of values (Hodges & Lehmann).
        low: lower end of its interval, by inverting the test; NaN where so few values give none.
        high: upper end.
        p: two-sided and exact: the chance of rank sums at least as uneven, had each value either sign.
        n: values.
        minimum_p: the least p that n values can reach.
    """

    estimate: float
    low: float
    high: float
    p: float
    n: int
    minimum_p: float


def signed_rank(values: Float[np.ndarray, " seeds"], confidence: float = 0.95) -> SignedRank:
    """Return the signed-rank test of "symmetric around 0" with its estimate and interval.

    A single value, however large, moves the result by no more than its rank; +inf is the largest value there
    is. Zeros keep their rank and count for neither side.

    Args:
        values: one per seed, not NaN, none of them -inf.
        confidence: coverage of the interval.

    Raises:
        ValueError: no value, or one that is NaN or -inf.

    Source:
        Wilcoxon 1945; Pratt 1959 (zeros); Hodges & Lehmann 1963.
    """
    n = len(values)
    if not n or np.isnan(values).any() or np.isneginf(values).any():
        raise ValueError("`values` must hold at least one number, and neither NaN nor -inf.")
    # Doubled, so that the ranks of ties are whole numbers too.
    ranks = np.rint(2 * stats.rankdata(np.abs(values))).astype(np.int64)
    chances = _rank_sums(np.where(values == 0, 0, ranks))
    seen = int(ranks[values > 0].sum())
    p = min(1.0, 2 * min(float(chances[: seen + 1].sum()), float(chances[seen:].sum())))
    first, second = np.triu_indices(n)
    walsh = np.sort(0.5 * values[first] + 0.5 * values[second])
    # The k-th smallest and largest mean of pairs, k from the distribution without ties.
    below = np.cumsum(_rank_sums(2 * np.arange(1, n + 1))[::2])
    k = int((below <= (1 - confidence) / 2).sum())
    low, high = (walsh[k - 1], walsh[-k]) if k else (np.nan, np.nan)
    with np.errstate(invalid="ignore"):
        middle = float(np.median(walsh))
    return SignedRank(middle, float(low), float(high), p, n, min(1.0, 2.0 ** (1 - n)))


def _rank_sums(ranks: Int[np.ndarray, " seeds"]) -> Float[np.ndarray, " sums"]:
    """Return the chance of every sum of ranks, each of them in or out with chance one half."""
    chances = np.zeros(int(ranks.sum()) + 1)
    chances[0] = 1.0
    for rank in ranks:
        shifted = chances if rank == 0 else np.r_[np.zeros(rank), chances[:-rank]]
        chances = 0.5 * (chances + shifted)
    return chances
