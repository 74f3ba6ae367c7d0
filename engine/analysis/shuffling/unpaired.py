"""The comparison of two arms that share no seeds: a randomization test, with rerandomization if asked for."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Real

from engine.analysis.shuffling.effects import Statistic

ALL_UP_TO = 200_000
"""Assignments up to which all are counted."""
DRAWS = 100_000
"""Assignments drawn where there are more."""


@dataclass(frozen=True)
class UnpairedEffect:
    """How far arm a lies from arm b when nothing pairs their runs.

    Attributes:
        estimate: mean of ln a less mean of ln b, or of a less that of b.
        low: lower end of the shifts that the test does not reject; -inf where it can reject none.
        high: upper end; inf where it can reject none.
        p: two-sided share of the accepted assignments with a difference at least as large.
        n: runs in both arms.
        exact: whether every assignment was looked at (else `draws` random ones and the observed).
        minimum_p: the least p that the accepted assignments can reach.
        draws: assignments looked at.
        accepted: those balanced at least as well as the threshold; all of them without covariates.
        balance: of the observed assignment, (n0 n1 / (n0 + n1)) d^T S^-1 d; 0 without covariates.
        threshold: up to which an assignment is accepted; inf without covariates.
        statistic: "log ratio" or "difference".
        seed: of the random assignments.
    """

    estimate: float
    low: float
    high: float
    p: float
    n: int
    exact: bool
    minimum_p: float
    draws: int
    accepted: int
    balance: float
    threshold: float
    statistic: Statistic
    seed: int


def unpaired_effect(
    a: Real[np.ndarray, " runs_a"],
    b: Real[np.ndarray, " runs_b"],
    seed: int = 0,
    statistic: Statistic = "log ratio",
    covariates: Float[np.ndarray, "runs covariates"] | None = None,
    acceptance: float = 1.0,
    alpha: float = 0.05,
) -> UnpairedEffect:
    """Compare two arms by giving their runs to the arms in every other way.

    With covariates and an `acceptance` below 1 only that share of the assignments counts which balances the
    covariates best: the test is then of a design that would have drawn no other.

    Args:
        a: one finite value per run of arm a.
        b: one finite value per run of arm b.
        seed: of the random assignments.
        statistic: "log ratio" for positive quantities such as risks, "difference" for any.
        covariates: what was known of each run before training, first those of a, then of b.
        acceptance: share of the assignments to keep, above 0 and at most 1.
        alpha: one less the coverage of the interval, which holds for a constant shift.

    Raises:
        ValueError: an arm without runs, a value that is not finite or has no logarithm, `acceptance` out of
            range, covariates that do not match, or an observed assignment that would not have been accepted.

    Source:
        Fisher 1935; Morgan & Rubin 2012 (rerandomization); Goldstein et al. 2025 (fastrerandomize).
    """
    values = np.concatenate([a, b]).astype(float)
    n_a, n = len(a), len(values)
    if not n_a or n_a == n:
        raise ValueError(f"`a` and `b` must hold at least one run each; got {n_a} and {n - n_a}.")
    if not 0 < acceptance <= 1:
        raise ValueError(f"`acceptance` must be above 0 and at most 1; got {acceptance}.")
    if not np.isfinite(values).all() or (statistic == "log ratio" and (values <= 0).any()):
        kind = "finite and positive" if statistic == "log ratio" else "finite"
        raise ValueError(f"`a` and `b` must be {kind}; leave out the runs that are not, and say so.")
    if covariates is not None and (len(covariates) != n or not np.isfinite(covariates).all()):
        raise ValueError(f"`covariates` must be finite, one row for each of the {n} runs.")
    if statistic == "log ratio":
        values = np.log(values)
    in_a, exact = _assignments(n, n_a, seed)
    draws, balances, threshold = len(in_a), np.zeros(1), math.inf
    if covariates is not None:
        balances = _balance(in_a, covariates, n_a)
        threshold = float(np.quantile(balances, acceptance, method="higher"))
        if balances[0] > threshold * (1 + 1e-12):
            raise ValueError(
                f"`acceptance` must keep the observed assignment; its balance is {balances[0]:.3g} and the "
                f"threshold {threshold:.3g}. Raise `acceptance`, or test without rerandomization."
            )
        in_a = in_a[balances <= threshold * (1 + 1e-12)]
    mean_a, mean_b = in_a @ values / n_a, ~in_a @ values / (n - n_a)
    differences = mean_a - mean_b
    observed = float(differences[0])
    tie = 1e-12 * float(np.abs(values).max())
    extreme = np.abs(differences) >= abs(observed) - tie
    low, high = _interval(differences, in_a, n_a, alpha)
    return UnpairedEffect(
        observed, low, high, float(extreme.mean()), n, exact, _least(in_a) / len(in_a), draws, len(in_a),
        float(balances[0]), threshold, statistic, seed,
    )  # fmt: skip


def _assignments(n: int, n_a: int, seed: int) -> tuple[Bool[np.ndarray, "draws runs"], bool]:
    """Return which runs are in a, the observed assignment first, and whether these are all there are."""
    if math.comb(n, n_a) <= ALL_UP_TO:
        chosen = np.array(list(itertools.combinations(range(n), n_a)))
        in_a = np.zeros((len(chosen), n), dtype=bool)
        np.put_along_axis(in_a, chosen, True, axis=1)  # combinations begin with the first n_a
        return in_a, True
    first = np.arange(n) < n_a
    drawn = np.random.default_rng(seed).permuted(np.broadcast_to(first, (DRAWS, n)), axis=1)
    return np.vstack([first, drawn]), False


def _balance(
    in_a: Bool[np.ndarray, "draws runs"], covariates: Float[np.ndarray, "runs covariates"], n_a: int
) -> Float[np.ndarray, " draws"]:
    """Return Mahalanobis' distance of the arms' mean covariates for each assignment."""
    n = in_a.shape[1]
    centred = covariates - covariates.mean(axis=0)
    # Centred, the mean of b is -n_a / n_b times that of a.
    apart = in_a @ centred / n_a * (n / (n - n_a))
    inverse = np.linalg.pinv(centred.T @ centred / (n - 1))
    distances: Float[np.ndarray, " draws"] = (
        n_a * (n - n_a) / n * np.einsum("dc,ce,de->d", apart, inverse, apart)
    )
    return distances


def _least(in_a: Bool[np.ndarray, "draws runs"]) -> int:
    """Return how many assignments differ as much as any: 2 where the mirror image of the observed is one."""
    mirrored = 2 * int(in_a[0].sum()) == in_a.shape[1] and bool((in_a == ~in_a[0]).all(axis=1).any())
    return 1 + mirrored


def _interval(
    differences: Float[np.ndarray, " draws"], in_a: Bool[np.ndarray, "draws runs"], n_a: int, alpha: float
) -> tuple[float, float]:
    """Return the ends of all shifts tau of which neither tail is at most alpha / 2.

    With tau taken off the observed a, an assignment that keeps the share c of it (c = 1 for the observed)
    differs by D_w - tau c_w against D - tau, so that it is at least as high from tau = (D - D_w) / (1 - c_w)
    on: the tails are counts of these turning points.
    """
    n = in_a.shape[1]
    kept = in_a[:, :n_a].sum(axis=1) / n_a - (~in_a)[:, :n_a].sum(axis=1) / (n - n_a)
    same = np.isclose(kept, 1.0)
    turning = np.sort((differences[0] - differences[~same]) / (1 - kept[~same]))
    # (same + turning points at or below tau) / all > alpha / 2
    needed = math.floor(alpha / 2 * len(in_a) + 1e-9) + 1 - int(same.sum())
    if needed <= 0:
        return -math.inf, math.inf
    return float(turning[needed - 1]), float(turning[-needed])
