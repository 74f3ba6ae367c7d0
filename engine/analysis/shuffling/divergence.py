"""Whether the risks of an arm grow: on its own batches too, or on the full batch alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int, Real
from scipy import ndimage, stats

from engine.analysis.shuffling.signed_rank import SignedRank, signed_rank

Kind = Literal["distortion divergence", "blow-up", "none", "undecided"]
BLOCKS = 10
"""Parts of the last half of training whose medians the slope is read from."""
LEAST_GROWTH = 0.01
"""Share by which a risk must rise over the last half to count as growing."""


@dataclass(frozen=True)
class Divergence:
    """What the risks of an arm do over the last half of training, and when each seed began to diverge.

    Attributes:
        kind: "distortion divergence" where the full-batch risk grows and the risk of the own batches does
            not, "blow-up" where both grow, "none", or "undecided" with fewer seeds than can reach `alpha`.
        slope: of the full-batch risk against ln(step), the middle over seeds; in units of the risk.
        low: lower end of its interval; NaN where so few seeds give none.
        high: upper end.
        p: exact two-sided signed-rank p-value of "slopes are symmetric around 0".
        n: seeds.
        growth: share by which the full-batch risk rises over the last half, median over seeds.
        own: the same test of the slopes of the own-batch risk.
        own_growth: as `growth`, of the own-batch risk.
        slopes: of the full-batch risk, by seed; inf where a seed ended with a risk that is not finite.
        own_slopes: of the own-batch risk, by seed.
        at: step from which on a seed diverges; NaN for a seed that does not.
        last: the last step, at which the seeds that do not diverge are censored.
        sentence: the verdict in words.
    """

    kind: Kind
    slope: float
    low: float
    high: float
    p: float
    n: int
    growth: float
    own: SignedRank
    own_growth: float
    slopes: Float[np.ndarray, " seeds"]
    own_slopes: Float[np.ndarray, " seeds"]
    at: Float[np.ndarray, " seeds"]
    last: float
    sentence: str

    @property
    def observed(self) -> Bool[np.ndarray, " seeds"]:
        """Whether a seed diverges, as ``kaplan_meier`` and ``log_rank`` want it."""
        found: Bool[np.ndarray, " seeds"] = np.isfinite(self.at)
        return found

    @property
    def times(self) -> Float[np.ndarray, " seeds"]:
        """Return the step from which on a seed diverges, or the last one."""
        return np.where(self.observed, self.at, self.last)


def divergence(
    steps: Real[np.ndarray, " steps"],
    own_risk: Float[np.ndarray, "seeds steps"],
    full_risk: Float[np.ndarray, "seeds steps"],
    alpha: float = 0.05,
    least_growth: float = LEAST_GROWTH,
    bound: float | None = None,
) -> Divergence:
    """Tell distortion divergence from blow-up and from neither.

    Each seed's slope against ln(step) over the last half is that of Theil and Sen through the medians of ten
    parts of it, which a spike that falls back does not move. A risk grows where the signed-rank test over
    seeds says so, which one seed cannot sway, and where it rises by a share of `least_growth` or more.
    A seed by itself diverges where its ten medians rise by Kendall's exact test at `alpha` over the number of
    seeds, or where it ends with a risk that is not finite or above `bound`; it does so from the step on after
    which its (smoothed) full-batch risk is never again within `least_growth` of its lowest.

    Args:
        steps: ascending, of the columns of both risks.
        own_risk: on the batches of the arm's own order; NaN where a run had ended.
        full_risk: on the full batch.
        alpha: level of the tests.
        least_growth: see above.
        bound: full-batch risk above which a seed diverges however it got there; None for none.

    Raises:
        ValueError: no seed, fewer than three positive steps in the last half, or shapes that do not match.

    Source:
        Wu, Yun & Sra 2023, section 3.2; Sen 1968; Kendall 1938.
    """
    if own_risk.shape != full_risk.shape or full_risk.shape[1:] != steps.shape or not len(full_risk):
        raise ValueError(
            f"`own_risk` and `full_risk` must be [seeds, {len(steps)} steps] with at least one seed; got "
            f"{own_risk.shape} and {full_risk.shape}."
        )
    late = (steps >= steps[-1] / 2) & (steps > 0)
    if late.sum() < 3:
        raise ValueError(f"`steps` must hold at least three in their last half; got {int(late.sum())}.")
    log_steps = np.log(steps[late].astype(float))
    own, full = _trend(log_steps, own_risk, late), _trend(log_steps, full_risk, late)
    n = len(full_risk)
    by_own, by_full = signed_rank(own.slopes, 1 - alpha), signed_rank(full.slopes, 1 - alpha)
    grows = {
        name: test.p <= alpha and test.estimate > 0 and trend.growth >= least_growth
        for name, test, trend in (("own", by_own, own), ("full", by_full, full))
    }
    smooth = max(1, len(steps) // 20)
    alone = (full.p <= alpha / n) & (full.slopes > 0) & (full.each >= least_growth)
    ends = np.isfinite(own.slopes) & np.isfinite(full.slopes)
    at = np.full(n, np.nan)
    for seed in range(n):
        risk = full_risk[seed]
        if not ends[seed]:
            at[seed] = _from(steps, np.isfinite(own_risk[seed]) & np.isfinite(risk))
        elif bound is not None and risk[-1] > bound:
            at[seed] = _from(steps, ~(risk > bound))
        elif alone[seed]:
            whole = np.where(np.isfinite(risk), risk, risk[np.isfinite(risk)].max())
            level = ndimage.median_filter(whole, smooth, mode="nearest")
            at[seed] = _from(steps, level <= level.min() + least_growth * abs(level.min()))
    kind, sentence = _told(grows, by_own, by_full, full.growth, own.growth, alpha, at)
    return Divergence(
        kind, by_full.estimate, by_full.low, by_full.high, by_full.p, n, full.growth, by_own, own.growth,
        full.slopes, own.slopes, at, float(steps[-1]), sentence,
    )  # fmt: skip


@dataclass(frozen=True)
class _Trend:
    """By seed: slopes, the share by which the risk rises, Kendall's p; and the median rise over seeds."""

    slopes: Float[np.ndarray, " seeds"]
    each: Float[np.ndarray, " seeds"]
    growth: float
    p: Float[np.ndarray, " seeds"]


def _trend(
    log_steps: Float[np.ndarray, " late"],
    risk: Float[np.ndarray, "seeds steps"],
    late: Bool[np.ndarray, " steps"],
) -> _Trend:
    parts = np.array_split(np.arange(len(log_steps)), min(BLOCKS, len(log_steps)))
    x = np.array([np.median(log_steps[part]) for part in parts])
    first, second = np.triu_indices(len(x), 1)
    slopes, each, p = (np.full(len(risk), fill) for fill in (np.inf, np.inf, 1.0))
    for seed, values in enumerate(risk[:, late]):
        if not np.isfinite(values[-1]):
            continue
        # A value that is not finite before the end is a spike like any other.
        values = np.where(np.isfinite(values), values, np.finfo(float).max)
        y = np.array([np.median(values[part]) for part in parts])
        slopes[seed] = np.median((y[second] - y[first]) / (x[second] - x[first]))
        each[seed] = _rise(x, y, slopes[seed], first, second)
        p[seed] = stats.kendalltau(x, y).pvalue if np.ptp(y) else 1.0
    return _Trend(slopes, each, float(np.median(each)), p)


def _rise(
    x: Float[np.ndarray, " parts"],
    y: Float[np.ndarray, " parts"],
    slope: float,
    first: Int[np.ndarray, " pairs"],
    second: Int[np.ndarray, " pairs"],
) -> float:
    """Return by what share a risk rises while the steps double: by its logarithm where it is positive."""
    if (y > 0).all():
        logs = np.log(y)
        return float(np.expm1(np.median((logs[second] - logs[first]) / (x[second] - x[first])) * np.log(2)))
    level = abs(float(np.median(y)))
    return float(slope * np.log(2) / level) if level else 0.0


def _from(steps: Real[np.ndarray, " steps"], calm: Bool[np.ndarray, " steps"]) -> float:
    """Return the step after the last calm one, or the first where none is."""
    last = np.flatnonzero(calm)
    return float(steps[min(last[-1] + 1, len(steps) - 1)]) if len(last) else float(steps[0])


def _told(
    grows: dict[str, bool],
    own: SignedRank,
    full: SignedRank,
    full_growth: float,
    own_growth: float,
    alpha: float,
    at: Float[np.ndarray, " seeds"],
) -> tuple[Kind, str]:
    diverging = f"{int(np.isfinite(at).sum())} of {full.n} seeds diverge by themselves"
    if full.minimum_p > alpha:
        needed = next(n for n in range(1, 99) if 2.0 ** (1 - n) <= alpha)
        return "undecided", (
            f"{full.n} seeds cannot reach p = {alpha:g} (least attainable {full.minimum_p:.2g}); train at "
            f"least {needed}. {diverging}."
        )
    numbers = (
        f"over the last half the full-batch risk {_changes(full_growth)} ({_slope(full.estimate)}"
        f"p = {full.p:.2g}), the own-batch risk {_changes(own_growth)} (p = {own.p:.2g}); {diverging}."
    )
    if grows["full"] and grows["own"]:
        return "blow-up", f"Blow-up: {numbers}"
    if grows["full"]:
        return "distortion divergence", f"Distortion divergence: {numbers}"
    return "none", f"No divergence: {numbers}"


def _changes(growth: float) -> str:
    return f"changes by {growth:+.1%}" if np.isfinite(growth) else "grows without bound"


def _slope(slope: float) -> str:
    return f"slope {slope:.3g} per ln step, " if np.isfinite(slope) else ""
