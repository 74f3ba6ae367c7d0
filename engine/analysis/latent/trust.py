"""How far to believe a fitted model of latent states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from engine.analysis.decorrelation import AUTOCORRELATED, advised_thinning
from engine.analysis.latent.candidate import Candidate
from engine.analysis.latent.estimation import MAX_STEPS, Estimate
from engine.analysis.latent.matching import match
from engine.analysis.latent.model import LatentModel, decode_rows
from engine.analysis.latent.parameters import COVARIANCE_FLOOR, Parameters
from engine.analysis.latent.preparation import DIVERGED, MIN_ROWS, Cut, is_constant

HIT = 1e-3
"""Restarts closer than this, in nats per observation, reached the same optimum for any purpose."""
RIVALS = 4
"""Restarts below the best whose states are compared with the best's."""
DISAGREEMENT = 0.05
"""Share of rows that a fit of equal likelihood may put in other states before it is worth a warning."""
FALL = 1e-6
"""Fall of the penalized log-likelihood, relative to its size, that rounding does not explain."""


class Rival(NamedTuple):
    """Another restart beside the best.

    Attributes:
        shortfall: log-likelihood of the best restart less that of this one, nats per observation.
        agreement: share of rows in the same state on both most probable paths, after states are matched.
    """

    shortfall: float
    agreement: float


@dataclass(frozen=True)
class Trust:
    """Diagnostics of a fit.

    Attributes:
        runs: positions of the runs fitted, in the order of the held-out log-likelihoods.
        folds: positions held out in each fold of the cross-validation that chose K.
        left_out: positions of runs with fewer than five usable rows, which are in no fold.
        cuts: runs cut at a value that is not finite or at least 1e12 in size.
        rule: how the number of states was chosen, in a sentence.
        restart_hits: restarts of the chosen K that ended within 0.001 nats per observation of the best.
        restart_spread: log-likelihood of the best restart less that of the worst, nats per observation.
        rivals: up to four restarts of the chosen K, the highest below the best first.
        occupancy: share of all rows in each state, on the most probable paths.
        entropy: mean entropy of the posterior over rows, as a share of ln K: 0 certain, 1 a guess.
        autocorrelation: lag-1 correlation, per metric, of what a state leaves unexplained (row less the
            state's mean, in the state's standard deviations) at neighbouring rows in one state. The model
            assumes 0. NaN where there are fewer than three such pairs.
        warnings: everything that should lower the belief, in sentences.
    """

    runs: tuple[int, ...]
    folds: tuple[tuple[int, ...], ...]
    left_out: tuple[int, ...]
    cuts: tuple[Cut, ...]
    rule: str
    restart_hits: int
    restart_spread: float
    rivals: tuple[Rival, ...]
    occupancy: Float[np.ndarray, " states"]
    entropy: float
    autocorrelation: Float[np.ndarray, " features"]
    warnings: tuple[str, ...]


def mean_entropy(posteriors: list[Float[np.ndarray, "_ states"]]) -> float:
    """Return the mean over rows of -sum p ln p, divided by ln K; 0 for a single state."""
    rows = np.concatenate(posteriors)
    if rows.shape[1] == 1:
        return 0.0
    entropy = -(rows * np.log(np.where(rows > 0, rows, 1.0))).sum(axis=1)
    return float(entropy.mean() / np.log(rows.shape[1]))


def residual_autocorrelation(
    parameters: Parameters,
    runs: list[Float[np.ndarray, "_ features"]],
    paths: list[Int[np.ndarray, " _"]],
) -> Float[np.ndarray, " features"]:
    """Return the lag-1 correlation of standardized residuals at neighbouring rows in one state.

    sum of r_t r_{t+1} over the root of (sum of r_t^2 times sum of r_{t+1}^2), over all pairs of rows that
    follow one another in a run without a change of state; the model's means are the centre.
    """
    variance = parameters.covars if parameters.covars.ndim == 2 else np.diagonal(parameters.covars, 0, 1, 2)
    now, following = [], []
    for run, path in zip(runs, paths, strict=True):
        residual = (run - parameters.means[path]) / np.sqrt(variance[path])
        same = path[1:] == path[:-1]
        now.append(residual[:-1][same])
        following.append(residual[1:][same])
    earlier, later = np.concatenate(now), np.concatenate(following)
    if len(earlier) < 3:
        return np.full(parameters.means.shape[1], np.nan)
    scale = np.sqrt((earlier**2).sum(axis=0) * (later**2).sum(axis=0))
    correlation: Float[np.ndarray, " features"] = (earlier * later).sum(axis=0) / np.where(
        scale > 0, scale, 1.0
    )
    return correlation


def path_agreements(
    climbs: list[Estimate],
    rows: list[Float[np.ndarray, "_ features"]],
    paths: list[Int[np.ndarray, " _"]],
    n_states: int,
) -> tuple[Rival, ...]:
    """Return how far the best restarts agree on the states of the rows.

    Args:
        climbs: every restart of the chosen number of states.
        rows: the runs in model units.
        paths: most probable states under the best restart.
        n_states: their number.
    """
    ranked = sorted((each for each in climbs if each.parameters), key=lambda each: -each.loglik)
    rivals = []
    for each in ranked[1 : RIVALS + 1]:
        assert each.parameters is not None  # as just filtered
        theirs = decode_rows(each.parameters, rows).paths
        agreement = match(theirs, paths, n_states, n_states).agreement
        rivals.append(Rival((ranked[0].loglik - each.loglik) / sum(map(len, rows)), agreement))
    return tuple(rivals)


def doubts_about_data(
    model: LatentModel,
    rows: list[Float[np.ndarray, "_ features"]],
    cuts: tuple[Cut, ...],
    left_out: list[int],
) -> list[str]:
    """Return what the preparation had to leave out, in sentences."""
    doubts = []
    if model.scaling.every > 1:
        n = model.scaling.every
        doubts.append(
            f"Only rows 0, {n}, {2 * n}, ... of each run are used; a step of the model is {n} rows."
        )
    if cuts:
        shown = ", ".join(
            f"run {each.run} at row {each.row} ({each.metric} = {each.value:g})" for each in cuts[:5]
        )
        more = f" and {len(cuts) - 5} more" if len(cuts) > 5 else ""
        doubts.append(
            f"{_count(len(cuts), 'run')} cut at the first value that is not finite or reaches {DIVERGED:g}: "
            f"{shown}{more}."
        )
    if left_out:
        doubts.append(
            f"{_count(len(left_out), 'run')} left out, with fewer than {MIN_ROWS} usable rows: "
            f"{', '.join(map(str, left_out))}."
        )
    if model.dropped:
        doubts.append(
            f"{_count(len(model.dropped), 'metric')} left out: "
            + "; ".join(f"{each.metric}, {each.why}" for each in model.dropped)
            + "."
        )
    linear = [name for name in model.names if name not in model.scaling.logged]
    if model.normalize == "log-pooled" and linear:
        doubts.append(f"Not positive everywhere, so kept on a linear scale: {', '.join(linear)}.")
    short = sum(len(run) < model.n_states for run in rows)
    if short:
        doubts.append(
            f"{_count(short, 'run')} with fewer rows than the {model.n_states} states, so unable to visit "
            f"all of them."
        )
    return doubts


def doubts_about_fit(
    table: tuple[Candidate, ...], chosen: Candidate, tried: dict[int, list[Estimate]]
) -> list[str]:
    """Return what the search over starts and numbers of states leaves open, in sentences."""
    doubts = []
    restarts = len(chosen.restart_logliks)
    if chosen.n_states == max(tried) and len(tried) > 1:
        doubts.append(
            f"The chosen {chosen.n_states} states are the most that were tried; more may fit better."
        )
    if chosen.shortfall > 2 * chosen.shortfall_se:
        highest = min(table, key=lambda row: row.shortfall)
        doubts.append(
            f"Run by run, {highest.n_states} states beat the chosen {chosen.n_states} by "
            f"{chosen.shortfall:.3g} nats per observation (standard error {chosen.shortfall_se:.2g}): the "
            f"rule is cautious because runs differ from one another."
        )
    if restarts > 1 and chosen.best_restart_hits == 1:
        doubts.append(
            f"Only one of {restarts} restarts reached the best likelihood; more may find a better one."
        )
    if chosen.converged < restarts:
        doubts.append(
            f"{_count(restarts - chosen.converged, 'restart')} of {restarts} had not converged after "
            f"{MAX_STEPS} EM steps."
        )
    failed = {k: sum(each.parameters is None for each in found) for k, found in tried.items()}
    doubts += [
        f"{_count(count, 'restart')} with {k} states ended in values that are not finite."
        for k, count in failed.items()
        if count
    ]
    fell = max(
        (each.fell / (1 + abs(each.loglik)) for each in tried[chosen.n_states] if each.parameters),
        default=0.0,
    )
    if fell > FALL:
        doubts.append(f"The likelihood fell during EM by {fell:.1g} of its size, which it should never do.")
    return doubts


def doubts_about_model(
    model: LatentModel,
    rows: list[Float[np.ndarray, "_ features"]],
    paths: list[Int[np.ndarray, " _"]],
    autocorrelation: Float[np.ndarray, " features"],
    rivals: tuple[Rival, ...],
) -> list[str]:
    """Return where the chosen model is degenerate or its assumptions fail, in sentences."""
    doubts = []
    variances = model.covars if model.covars.ndim == 2 else np.linalg.eigvalsh(model.covars)
    floored = int((variances <= COVARIANCE_FLOOR * (1 + 1e-9)).sum())
    if floored:
        doubts.append(
            f"{floored} of {variances.size} variances rest on the floor of {COVARIANCE_FLOOR:g}: rows "
            f"there are nearly equal."
        )
    for state in range(model.n_states):
        visitors = sum(bool((path == state).any()) for path in paths)
        if visitors == 0:
            doubts.append(f"State {state} is on no most probable path.")
        elif visitors == 1 and len(paths) > 1:
            doubts.append(f"State {state} is visited by a single run.")
    typical = float(np.median(autocorrelation))
    if typical > AUTOCORRELATED:
        apart = advised_thinning(typical, max(map(len, paths), default=0))
        remedy = (
            f"fit again with one row in {model.scaling.every * apart}."
            if apart
            else "no thinning would leave enough rows, so read the states as sections of a drift; how many "
            "there are says how finely it is cut."
        )
        doubts.append(
            f"Within states neighbouring rows still correlate (median over metrics {typical:.2f} at lag 1; "
            f"the model assumes 0). Likelihood and BIC then choose too many states: {remedy}"
        )
    equal = [each.agreement for each in rivals if each.shortfall <= HIT]
    if equal and min(equal) < 1 - DISAGREEMENT:
        doubts.append(
            f"A restart of equal likelihood puts {1 - min(equal):.0%} of the rows in other states: these "
            f"runs do not determine them."
        )
    flat = sum(bool(is_constant(run).any()) for run in rows)
    if model.normalize == "per-run" and flat:
        doubts.append(f"{_count(flat, 'run')} with a metric that never moves in it, which counts as 0 there.")
    return doubts


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"
