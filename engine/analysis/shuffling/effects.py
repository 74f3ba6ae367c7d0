"""The paired comparison of two arms that share their seeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Real
from scipy import stats

Statistic = Literal["log ratio", "difference"]

EXACT_UP_TO = 20
"""Pairs up to which all 2^n sign patterns are counted: 2^19 sums by symmetry, 4 MB."""
RANDOM_DRAWS = 100_000
"""Sign patterns drawn beyond that."""
BOOTSTRAP_DRAWS = 10_000
"""Resamples behind an interval: the 2.5 % point then rests on 250 of them."""


@dataclass(frozen=True)
class Effect:
    """How far arm a lies from arm b over the seeds they share.

    Attributes:
        estimate: mean over pairs of ln(a / b), or of a - b.
        low: lower end of the BCa bootstrap interval of `estimate`; NaN with a single pair.
        high: upper end; NaN with a single pair.
        p: two-sided randomization p-value of "the arms are exchangeable within each seed".
        n: pairs used.
        exact: whether every sign pattern was counted (else `draws` random ones).
        minimum_p: the least p that n pairs can reach.
        seeds_needed: the least number of pairs whose `minimum_p` is at most `alpha`.
        dropped: pairs left out, because a member is not finite or (log ratio) not positive.
        dropped_why: one line per reason, with its count; empty when none was dropped.
        ratio: exp(estimate), the geometric mean of a / b; None for a difference.
        statistic: "log ratio" or "difference".
        draws: sign patterns counted.
        confidence: coverage aimed at by `low` and `high`.
        alpha: the level `seeds_needed` speaks of.
        seed: of the bootstrap and, when not exact, of the sign patterns.
    """

    estimate: float
    low: float
    high: float
    p: float
    n: int
    exact: bool
    minimum_p: float
    seeds_needed: int
    dropped: int
    dropped_why: tuple[str, ...]
    ratio: float | None
    statistic: Statistic
    draws: int
    confidence: float
    alpha: float
    seed: int


def paired_effect(
    a: Real[np.ndarray, " seeds"],
    b: Real[np.ndarray, " seeds"],
    seed: int = 0,
    statistic: Statistic = "log ratio",
    alpha: float = 0.05,
    confidence: float = 0.95,
) -> Effect:
    """Compare two arms that share their seeds, hence their initializations and data.

    If the arms were exchangeable, each pair's difference would have had either sign: p is the share of sign
    patterns whose mean difference is at least as far from 0 as the one observed. Up to 20 pairs all patterns
    are counted; beyond, 10^5 random ones and the observed one, which is the +1 above and below. The
    interval is the BCa bootstrap over pairs, 10^4 resamples; under about 8 pairs it covers less than it says.
    Neither depends on the order of the pairs.

    Args:
        a: one value per seed in arm a.
        b: the value of the same seed in arm b.
        seed: of the random draws.
        statistic: "log ratio" for positive quantities such as risks, "difference" for any.
        alpha: the level that `seeds_needed` speaks of.
        confidence: coverage of the interval.

    Returns:
        The effect. With a single pair p is 1 and the interval NaN.

    Raises:
        ValueError: no usable pair, an unknown `statistic`, or `alpha` or `confidence` outside (0, 1).

    Source:
        Fisher 1935; Phipson & Smyth 2010 (+1); Efron 1987 (BCa).
    """
    for name, value in (("alpha", alpha), ("confidence", confidence)):
        if not 0.0 < value < 1.0:
            raise ValueError(f"`{name}` must be strictly between 0 and 1; got {value}.")
    if statistic not in ("log ratio", "difference"):
        raise ValueError(f'`statistic` must be "log ratio" or "difference"; got {statistic!r}.')
    if len(a) != len(b):
        raise ValueError(f"`a` and `b` must pair up; got {len(a)} and {len(b)} values.")
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    finite = np.isfinite(a) & np.isfinite(b)
    usable = finite & (a > 0) & (b > 0) if statistic == "log ratio" else finite
    why = []
    if n_infinite := int((~finite).sum()):
        why.append(f"{n_infinite} with a value that is not finite")
    if n_negative := int((finite & ~usable).sum()):
        why.append(f"{n_negative} with a value that is not positive, which has no log ratio")
    n = int(usable.sum())
    if n == 0:
        reasons = "; ".join(why) or "none was given"
        raise ValueError(f"`a` and `b` must share at least one usable pair; of {len(a)} pairs: {reasons}.")
    # Logarithms apart: a / b overflows where ln a - ln b does not.
    differences = np.log(a[usable]) - np.log(b[usable]) if statistic == "log ratio" else a[usable] - b[usable]
    differences = np.sort(differences)
    estimate = float(differences.mean())
    exact = n <= EXACT_UP_TO
    p = _exact_p(differences) if exact else _random_p(differences, np.random.default_rng([seed, 0]))
    low, high = _bca(differences, confidence, np.random.default_rng([seed, 1]))
    floor = 2.0 ** (1 - n)
    with np.errstate(over="ignore"):
        ratio = float(np.exp(estimate)) if statistic == "log ratio" else None
    return Effect(
        estimate=estimate,
        low=low,
        high=high,
        p=p,
        n=n,
        exact=exact,
        minimum_p=floor if exact else 1.0 / (1 + RANDOM_DRAWS),
        seeds_needed=_seeds_needed(alpha),
        dropped=len(usable) - n,
        dropped_why=tuple(why),
        ratio=ratio,
        statistic=statistic,
        draws=2**n if exact else RANDOM_DRAWS,
        confidence=confidence,
        alpha=alpha,
        seed=seed,
    )


def _seeds_needed(alpha: float) -> int:
    """Return the least n with 2^(1 - n) <= alpha."""
    n = 1
    while 2.0 ** (1 - n) > alpha:
        n += 1
    return n


def _tie(differences: Float[np.ndarray, " seeds"]) -> float:
    """Return the rounding within which two sums of the same terms count as equal."""
    return 1e-12 * float(np.abs(differences).sum())


def _exact_p(differences: Float[np.ndarray, " seeds"]) -> float:
    # |sum| is the same for a pattern and its negative, so the first sign is held: half the patterns.
    sums = differences[:1]
    for difference in differences[1:]:
        sums = np.concatenate([sums + difference, sums - difference])
    extreme = np.abs(sums) >= abs(differences.sum()) - _tie(differences)
    return float(extreme.mean())


def _random_p(differences: Float[np.ndarray, " seeds"], rng: np.random.Generator) -> float:
    bound = abs(differences.sum()) - _tie(differences)
    extreme = 0
    for _ in range(10):
        signs = rng.integers(0, 2, size=(RANDOM_DRAWS // 10, len(differences)), dtype=np.int8)
        # sum of s d with s = +-1 is 2 (sum of the kept) - (sum of all)
        extreme += int((np.abs(2 * (signs @ differences) - differences.sum()) >= bound).sum())
    return (1 + extreme) / (1 + RANDOM_DRAWS)


def _bca(
    values: Float[np.ndarray, " seeds"], confidence: float, rng: np.random.Generator
) -> tuple[float, float]:
    """Return the bias-corrected and accelerated bootstrap interval of the mean."""
    n = len(values)
    if n < 2:
        return float("nan"), float("nan")
    mean = values.mean()
    if np.ptp(values) <= _tie(values):
        return float(mean), float(mean)
    resampled = np.concatenate(
        [values[rng.integers(0, n, size=(BOOTSTRAP_DRAWS // 10, n))].mean(axis=1) for _ in range(10)]
    )
    # Share below the estimate, ties half: z0 of Efron 1987, equation 2.8.
    below = (resampled < mean).mean() + 0.5 * (resampled == mean).mean()
    z0 = stats.norm.ppf(np.clip(below, 1 / BOOTSTRAP_DRAWS, 1 - 1 / BOOTSTRAP_DRAWS))
    # For a mean the jackknife acceleration is the skewness of the values / (6 sqrt(n)).
    deviation = values - mean
    acceleration = (deviation**3).sum() / (6 * (deviation**2).sum() ** 1.5)
    tails = stats.norm.ppf([0.5 - confidence / 2, 0.5 + confidence / 2])
    shares = stats.norm.cdf(z0 + (z0 + tails) / (1 - acceleration * (z0 + tails)))
    low, high = np.quantile(resampled, shares)
    return float(low), float(high)
