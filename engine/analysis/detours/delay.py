"""How much later visitors converge: each state by itself, and all states at once."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

SMALLEST_DIRECTION = 0.1
"""Directions in the space of visits with less than this share of the largest are left alone: there two states
have all but the same visitors (correlation beyond 0.8), and their delay is shared equally."""


def marginal_delays(
    times: Float[np.ndarray, " runs"],
    observed: Bool[np.ndarray, " runs"],
    visited: Bool[np.ndarray, "runs states"],
    counts: Float[np.ndarray, "draws runs"],
) -> Float[np.ndarray, "draws states"]:
    """Return the restricted mean time of visitors less that of the others, in steps.

    The horizon of a state is the last time at which both Kaplan-Meier curves are defined. A draw that holds
    no visitor, or nobody else, is NaN.

    Args:
        times: of convergence, or how long the run was observed without it.
        observed: whether it converged.
        visited: before convergence.
        counts: how often each draw holds each run; all 1 for the data itself.

    Source:
        Royston & Parmar 2013 (difference of restricted means).
    """
    delays = np.full((len(counts), visited.shape[1]), np.nan)
    for state, visitor in enumerate(visited.T):
        sides = (visitor, ~visitor)
        if not all(side.any() for side in sides):
            continue
        horizon = min(_last(times[side], observed[side], times.max()) for side in sides)
        first, second = (
            _restricted_means(times[side], observed[side], counts[:, side], horizon) for side in sides
        )
        delays[:, state] = first - second
    return delays


def joint_delays(
    restricted: Float[np.ndarray, " runs"],
    visited: Bool[np.ndarray, "runs states"],
    excess: Float[np.ndarray, "draws runs states"],
    counts: Float[np.ndarray, "draws runs"],
) -> Float[np.ndarray, "draws states"]:
    """Return the delay of each state with the visits to all the others held fixed, in steps.

    The delays b for which time less the sum of b over the states visited no longer goes with excess visits:
    sum over runs of excess_k (time - mean - sum_j b_j (visited_j - mean)) = 0 for each state k. With equal
    exposure this is the least-squares regression of time on the states visited.

    Args:
        restricted: pseudo-values of the restricted mean time, which stand for the time of censored runs.
        visited: before convergence.
        excess: visits beyond what exposure explains, with the rates of each draw.
        counts: how often each draw holds each run.

    Source:
        Robins 1994 (G-estimation of a structural nested mean model); Andersen, Hansen & Klein 2004
        (pseudo-values); small directions dropped as in principal-component regression (Massy 1965).
    """
    total = counts.sum(axis=1)
    share = counts / total[:, None]
    mean_visits = share @ visited
    centred = visited[None] - mean_visits[:, None]
    late = restricted[None] - (share @ restricted)[:, None]
    weighted = share[:, :, None] * (excess - np.einsum("br,brk->bk", share, excess)[:, None])
    spread = np.sqrt(np.einsum("br,brk->bk", share, centred**2))
    spread = np.where(spread > 0, spread, 1.0)
    against = np.einsum("brk,brj->bkj", weighted, centred) / (spread[:, :, None] * spread[:, None, :])
    target = np.einsum("brk,br->bk", weighted, late) / spread
    delays: Float[np.ndarray, "draws states"] = (
        np.einsum("bjk,bk->bj", np.linalg.pinv(against, rcond=SMALLEST_DIRECTION), target) / spread
    )
    return delays


def _last(times: Float[np.ndarray, " runs"], observed: Bool[np.ndarray, " runs"], end: float) -> float:
    """Return the last time at which a group's curve is defined: for ever once it is at 0."""
    last = float(times.max())
    return float(end) if observed[times == last].all() else last


def _restricted_means(
    times: Float[np.ndarray, " runs"],
    observed: Bool[np.ndarray, " runs"],
    counts: Float[np.ndarray, "draws runs"],
    horizon: float,
) -> Float[np.ndarray, " draws"]:
    """Return the area under each draw's Kaplan-Meier curve; NaN for a draw without a run."""
    at = np.unique(times[observed & (times < horizon)])
    events = counts @ (observed[:, None] & (times[:, None] == at)).astype(float)
    risk = counts @ (times[:, None] >= at).astype(float)
    survival = np.cumprod(1 - events / np.where(risk > 0, risk, 1.0), axis=1)
    widths = np.diff(np.concatenate([[0.0], at, [horizon]]))
    means: Float[np.ndarray, " draws"] = widths[0] + survival @ widths[1:]
    return np.where(counts.sum(axis=1) > 0, means, np.nan)
