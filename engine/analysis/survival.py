"""Times to an event of which some are only known to be longer: curves, means and a test."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Real
from scipy import stats


class KaplanMeier(NamedTuple):
    """Share of runs still without the event, after each time at which one happened.

    Attributes:
        times: distinct times of events, ascending.
        at_risk: runs without the event and still observed just before.
        events: events at that time.
        survival: share without the event just after; 1 before the first time.
        low: lower ends of the pointwise interval; NaN where the share is 0.
        high: upper ends; NaN where the share is 0.
    """

    times: Float[np.ndarray, " times"]
    at_risk: Int[np.ndarray, " times"]
    events: Int[np.ndarray, " times"]
    survival: Float[np.ndarray, " times"]
    low: Float[np.ndarray, " times"]
    high: Float[np.ndarray, " times"]


class RestrictedMean(NamedTuple):
    """Mean of min(time, horizon), in the units of the times, and the variance of that estimate."""

    mean: float
    variance: float


class LogRank(NamedTuple):
    """Comparison of two groups of times.

    Attributes:
        observed: events in the first group.
        expected: events it would have had if the groups were alike.
        variance: of their difference (hypergeometric, ties counted).
        z: (expected - observed) / root of the variance: positive where the first group is later.
        p: two-sided, from the normal distribution.
    """

    observed: int
    expected: float
    variance: float
    z: float
    p: float


def kaplan_meier(
    times: Real[np.ndarray, " runs"], observed: Bool[np.ndarray, " runs"], confidence: float = 0.95
) -> KaplanMeier:
    """Return the product of (1 - events / at risk), with Greenwood's variance on the log-log scale.

    Args:
        times: of the event, or how long the run was observed without it.
        observed: whether the event happened; a run censored at the time of an event is still at risk.
        confidence: coverage of the interval at each time, between 0 and 1.

    Raises:
        ValueError: times that are not finite, of another number than `observed`, or none at all;
            `confidence` out of range.

    Source:
        Kaplan & Meier 1958; Kalbfleisch & Prentice 2002, section 1.4 (log-log interval).
    """
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"`confidence` must be strictly between 0 and 1; got {confidence}.")
    at, events, at_risk = _tables(times, observed)
    survival = np.cumprod(1 - events / at_risk)
    alive = survival > 0
    greenwood = np.cumsum(events / np.where(at_risk > events, at_risk * (at_risk - events), np.inf))
    log = np.log(np.where(alive, survival, 0.5))
    half = stats.norm.ppf(0.5 + confidence / 2) * np.sqrt(greenwood) / np.abs(log)
    low = np.where(alive, np.exp(log * np.exp(half)), np.nan)
    high = np.where(alive, np.exp(log * np.exp(-half)), np.nan)
    return KaplanMeier(at, at_risk, events, survival, low, high)


def restricted_mean(
    times: Real[np.ndarray, " runs"], observed: Bool[np.ndarray, " runs"], horizon: float
) -> RestrictedMean:
    """Return the area under the Kaplan-Meier curve from 0 to the horizon.

    Beyond the last observation of a group whose last run is censored the curve is continued flat.

    Raises:
        ValueError: as `kaplan_meier`, or a horizon that is negative.

    Source:
        Irwin 1949; Klein & Moeschberger 2003, equations 4.5.1 and 4.5.2.
    """
    if not horizon >= 0:
        raise ValueError(f"`horizon` must not be negative; got {horizon}.")
    curve = kaplan_meier(times, observed)
    inside = curve.times < horizon
    edges = np.concatenate([[0.0], curve.times[inside], [horizon]])
    pieces = np.diff(edges) * np.concatenate([[1.0], curve.survival[inside]])
    rest = pieces[::-1].cumsum()[::-1][1:]
    risk, events = curve.at_risk[inside], curve.events[inside]
    per_time = events / np.where(risk > events, risk * (risk - events), np.inf)
    return RestrictedMean(float(pieces.sum()), float((rest**2 * per_time).sum()))


def pseudo_values(
    times: Real[np.ndarray, " runs"], observed: Bool[np.ndarray, " runs"], horizon: float
) -> Float[np.ndarray, " runs"]:
    """Return each run's part in the restricted mean: n mean - (n - 1) mean without the run.

    Where nothing is censored before the horizon this is min(time, horizon); where something is, it stands in
    for that time in a regression.

    Raises:
        ValueError: as `restricted_mean`, or a single run.

    Source:
        Andersen, Hansen & Klein 2004, section 2.
    """
    n = len(times)
    if n < 2:
        raise ValueError(f"`times` must hold at least two runs; got {n}.")
    if np.all(observed | (times >= horizon)):
        restricted: Float[np.ndarray, " runs"] = np.minimum(times, horizon).astype(float)
        return restricted
    others = ~np.eye(n, dtype=bool)
    without = [restricted_mean(times[keep], observed[keep], horizon).mean for keep in others]
    whole = restricted_mean(times, observed, horizon).mean
    values: Float[np.ndarray, " runs"] = n * whole - (n - 1) * np.array(without)
    return values


def log_rank(
    times: Real[np.ndarray, " runs"],
    observed: Bool[np.ndarray, " runs"],
    first: Bool[np.ndarray, " runs"],
) -> LogRank:
    """Return the log-rank test of the runs in `first` against the others.

    Args:
        times: as for `kaplan_meier`.
        observed: as for `kaplan_meier`.
        first: whether a run is in the first group.

    Returns:
        The test; z = 0 and p = 1 where the groups never share a time at which an event could tell.

    Raises:
        ValueError: as `kaplan_meier`, or a group without runs.

    Source:
        Mantel 1966; Peto & Peto 1972.
    """
    if first.all() or not first.any():
        raise ValueError("`first` must leave runs in both groups.")
    at, events, at_risk = _tables(times, observed)
    ours = (times[first][None, :] >= at[:, None]).sum(axis=1)
    share = ours / at_risk
    ties = (at_risk - events) / np.maximum(at_risk - 1, 1)
    expected, variance = float((events * share).sum()), float((events * share * (1 - share) * ties).sum())
    seen = int((observed & first).sum())
    z = (expected - seen) / np.sqrt(variance) if variance > 0 else 0.0
    return LogRank(seen, expected, variance, float(z), float(2 * stats.norm.sf(abs(z))))


def log_rank_scores(
    times: Real[np.ndarray, " runs"], observed: Bool[np.ndarray, " runs"]
) -> Float[np.ndarray, " runs"]:
    """Return events expected of each run (Nelson-Aalen, up to its time) less events seen; they sum to 0.

    Late runs score high. Summed over a group they are expected less observed of the log-rank test.

    Source:
        Peto & Peto 1972, section 5; martingale residuals in Therneau, Grambsch & Fleming 1990.
    """
    at, events, at_risk = _tables(times, observed)
    hazard = np.concatenate([[0.0], np.cumsum(events / at_risk)])
    scores: Float[np.ndarray, " runs"] = hazard[np.searchsorted(at, times, side="right")] - observed
    return scores


def _tables(
    times: Real[np.ndarray, " runs"], observed: Bool[np.ndarray, " runs"]
) -> tuple[Float[np.ndarray, " times"], Int[np.ndarray, " times"], Int[np.ndarray, " times"]]:
    """Return the distinct times of events, the events at each and the runs at risk just before."""
    if len(times) != len(observed) or not len(times):
        raise ValueError(
            f"`times` and `observed` must have one value per run, and at least one run; got {len(times)} "
            f"and {len(observed)}."
        )
    if not np.isfinite(times).all():
        raise ValueError("`times` must be finite; give a run without the event the time it was observed.")
    at, events = np.unique(times[observed].astype(float), return_counts=True)
    at_risk = len(times) - np.searchsorted(np.sort(times), at, side="left")
    return at, events, at_risk
