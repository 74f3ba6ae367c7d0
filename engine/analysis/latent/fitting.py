"""Fit latent states to runs: prepare, search, choose K by cross-validation, and say how far to trust it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
from jaxtyping import Float, Int

from engine.analysis.latent.candidate import Candidate
from engine.analysis.latent.estimation import Estimate
from engine.analysis.latent.model import Decoded, LatentModel, decode_rows, logliks
from engine.analysis.latent.parameters import Covariance, Parameters, Topology, count_parameters
from engine.analysis.latent.preparation import (
    MIN_ROWS,
    Cut,
    Normalize,
    Runs,
    Scaling,
    cut,
    learn_scaling,
    thinning,
)
from engine.analysis.latent.processes import Progress, Stopped
from engine.analysis.latent.refitting import Refit, Refitting
from engine.analysis.latent.search import Search, Task
from engine.analysis.latent.selection import RULE, Selection, by_group, choose, folds, standard_error
from engine.analysis.latent.trust import (
    HIT,
    Trust,
    doubts_about_data,
    doubts_about_fit,
    doubts_about_model,
    mean_entropy,
    path_agreements,
    residual_autocorrelation,
)
from engine.analysis.refits import Refits

__all__ = ["Stopped", "first_visits", "fit"]

MOST_STATES = 12
"""More states than this on a training run are a curve, not phases."""


@dataclass(frozen=True)
class _Data:
    """Usable runs in model units, in one order whatever the order given."""

    scaling: Scaling
    usable: list[int]
    rows: list[Float[np.ndarray, "_ features"]]
    labels: list[Hashable]
    folds: tuple[tuple[int, ...], ...]
    cuts: tuple[Cut, ...]
    left_out: list[int]


def fit(
    runs: Runs,
    metrics: Sequence[str],
    n_states: Iterable[int] = range(1, 9),
    covariance: Covariance = "diag",
    normalize: Normalize = "per-run",
    restarts: int = 10,
    seed: int = 0,
    progress: Progress | None = None,
    groups: Sequence[Hashable] | None = None,
    topology: Topology = "ergodic",
    every: int | None = None,
    workers: int = 1,
    refits: int = 0,
) -> Selection:
    """Fit a Gaussian HMM to all runs for every K, and choose K by cross-validation over groups of runs.

    Every K is estimated by EM from `restarts` starts (see `starts`; a single one for K = 1, whose likelihood
    has one maximum); the best by training likelihood stands for K. For the choice of K alone each of five
    folds of the groups is held out in turn, and the rest fitted from one start of each kind. Scales are
    learnt once on all runs: they are the same for every K, so they favour none. States are numbered by the
    mean step of their first visit over all runs. Nothing depends on the order of the runs or on `workers`.

    The chosen K is then fitted again to bootstrap samples of the groups, from the best fit on: how stable
    are the states, and what follows from them?

    Args:
        runs: metrics of each run, one row per measured step; cut at the first row that is not finite or
            at least 1e12 in size.
        metrics: names of the columns, distinct.
        n_states: numbers of states to try, 1 to 12.
        covariance: "diag", "full", or "tied" (one matrix for all states).
        normalize: "per-run", "pooled" over all runs, or "log-pooled" (see `Scaling`).
        restarts: starts for every K > 1.
        seed: the whole source of chance, together with the data.
        progress: called with (climbs done, climbs in all), refits included; stops the fit by returning True.
        groups: a label per run; runs of one label are held out together, and count as one observation in
            standard errors. Give the seed, so that paired arms with one initialization stay together.
            Default: every run by itself.
        topology: "ergodic", or "left-to-right": no transition to a state left before.
        every: use rows 0, n, 2n, ... of each run; None uses the least n that leaves at most 1,000 rows.
        workers: processes that share the search. More than one starts processes that import this package,
            so the caller's main module must be importable (`if __name__ == "__main__"`).
        refits: bootstrap samples to which the chosen K is fitted again.

    Returns:
        The table over K, the chosen model with its decoded runs, its diagnostics, and its refits.

    Raises:
        ValueError: an argument outside its values, or data that cannot be fitted; the message says which.
        Stopped: `progress` returned True.

    Source:
        Hu, Chen, Saphra & Cho 2023, with K chosen by the one-standard-error rule on cross-validated
        likelihood (Hastie, Tibshirani & Friedman 2009, section 7.10).
    """
    states = _checked_states(n_states, covariance, normalize, topology, restarts, seed)
    if refits < 0:
        raise ValueError(f"`refits` must not be negative; got {refits}.")
    data = _prepared(runs, metrics, normalize, groups, every, seed)
    search = Search(data.rows, data.folds, covariance, topology, seed)
    _require_rows(search, states)
    tasks = search.tasks(states, restarts)

    def told(done: int, refitted: int) -> object:
        return progress is not None and progress(done + refitted, len(tasks) + refits)

    estimates = search.run(tasks, workers, lambda done, _: told(done, 0))
    table, chosen = _table(data, search, estimates)
    row = table[chosen]
    climbs = [each for task, each in estimates.items() if task[:2] == (-1, row.n_states)]
    best = max(climbs, key=lambda each: each.loglik)
    assert best.parameters is not None  # `_table` has no row without one
    order = first_visits(decode_rows(best.parameters, data.rows).paths, row.n_states)
    model = _model(best.parameters.permuted(order), topology, data, len(runs))
    trust = _trust(data, model, table, row, estimates)
    if not refits:
        return Selection(table, model, trust)
    paths = [model.paths[run] for run in data.usable]
    again = Refitting(data.rows, data.labels, model.parameters, paths, seed)
    refitted = again.run(range(refits), workers, lambda done, _: told(len(tasks), done))
    return Selection(table, model, trust, _refits(data, again, refitted, len(runs)))


def _prepared(
    runs: Runs,
    metrics: Sequence[str],
    normalize: Normalize,
    groups: Sequence[Hashable] | None,
    every: int | None,
    seed: int,
) -> _Data:
    kept, cuts = cut(runs, metrics)
    if groups is not None and len(groups) != len(runs):
        raise ValueError(f"`groups` must label each of the {len(runs)} runs; got {len(groups)} labels.")
    step = thinning(max(map(len, kept)), every)
    thinned = [run[::step] for run in kept]
    digests = [hashlib.sha256(run.tobytes()).hexdigest() for run in thinned]
    labels: Sequence[Hashable] = digests if groups is None else groups
    # One order whatever the order given, so that sums round the same way and draws meet the same rows.
    canonical = sorted(range(len(runs)), key=lambda run: (repr(labels[run]), digests[run]))
    usable = [run for run in canonical if len(thinned[run]) >= MIN_ROWS]
    held_out = folds(usable, labels, seed)
    scaling = learn_scaling([thinned[run] for run in usable], metrics, normalize, step)
    place = {run: index for index, run in enumerate(usable)}
    return _Data(
        scaling,
        usable,
        [scaling.apply(thinned[run]) for run in usable],
        [labels[run] for run in usable],
        tuple(tuple(place[run] for run in fold) for fold in held_out),
        cuts,
        [run for run in range(len(runs)) if len(thinned[run]) < MIN_ROWS],
    )


def _checked_states(
    n_states: Iterable[int], covariance: str, normalize: str, topology: str, restarts: int, seed: int
) -> list[int]:
    states = sorted(set(n_states))
    if not states or states[0] < 1 or states[-1] > MOST_STATES:
        raise ValueError(f"`n_states` must hold whole numbers from 1 to {MOST_STATES}; got {states}.")
    for name, value, choices in (
        ("covariance", covariance, get_args(Covariance)),
        ("normalize", normalize, [each for each in get_args(Normalize) if each != "none"]),
        ("topology", topology, get_args(Topology)),
    ):
        if value not in choices:
            raise ValueError(f"`{name}` must be one of {', '.join(choices)}; got {value!r}.")
    if restarts < 1:
        raise ValueError(f"`restarts` must be at least 1; got {restarts}.")
    if seed < 0:
        raise ValueError(f"`seed` must not be negative; got {seed}.")
    return states


def _require_rows(search: Search, states: list[int]) -> None:
    """Refuse more parameters than the smallest training set has numbers."""
    X = min((search.training(fold)[0] for fold in range(len(search.folds))), key=len)
    needed = count_parameters(states[-1], X.shape[1], search.covariance, search.topology)
    if X.size < needed:
        raise ValueError(
            f"`n_states` up to {states[-1]} needs {needed} parameters; without one fold the runs hold only "
            f"{X.size} values ({X.shape[0]} rows of {X.shape[1]} metrics). Try fewer states or more runs."
        )


def _table(data: _Data, search: Search, estimates: dict[Task, Estimate]) -> tuple[tuple[Candidate, ...], int]:
    """Return a candidate for every K that could be estimated, and the position of the chosen one."""
    observations = sum(map(len, data.rows))
    climbs: dict[tuple[int, int], list[Estimate]] = {}
    for task, found in estimates.items():
        climbs.setdefault((task.fold, task.n_states), []).append(found)
    states = sorted({task.n_states for task in estimates})
    scores = {k: _held_out(data, climbs, k) for k in states}
    scores = {k: values for k, values in scores.items() if np.isfinite(values).all()}
    if not scores:
        raise ValueError("`runs` cannot be fitted: EM ended in values that are not finite from every start.")
    highest = max(scores.values(), key=lambda values: by_group(values, data.labels).mean())
    table = []
    for k, values in scores.items():
        logliks_ = np.array([each.loglik for each in climbs[-1, k]]) / observations
        parameters = count_parameters(k, len(data.scaling.names), search.covariance, search.topology)
        table.append(
            Candidate(
                n_states=k,
                heldout_loglik=float(by_group(values, data.labels).mean()),
                heldout_se=standard_error(by_group(values, data.labels)),
                heldout_logliks=tuple(map(float, values)),
                shortfall=float(by_group(highest - values, data.labels).mean()),
                shortfall_se=standard_error(by_group(highest - values, data.labels)),
                train_loglik=float(logliks_.max()),
                bic=-2 * float(logliks_.max()) * observations + parameters * math.log(observations),
                parameters=parameters,
                best_restart_hits=int((logliks_ >= logliks_.max() - HIT).sum()),
                restart_logliks=tuple(map(float, logliks_)),
                converged=sum(each.converged for each in climbs[-1, k]),
            )
        )
    return tuple(table), choose([row.heldout_loglik for row in table], [row.heldout_se for row in table])


def _held_out(
    data: _Data, climbs: dict[tuple[int, int], list[Estimate]], k: int
) -> Float[np.ndarray, " runs"]:
    """Return the log-likelihood per observation of each run under the fold's model; NaN where it has none."""
    values = np.full(len(data.rows), np.nan)
    if all(each.parameters is None for each in climbs[-1, k]):
        return values
    for number, fold in enumerate(data.folds):
        best = max(climbs[number, k], key=lambda each: each.loglik)
        if best.parameters is not None:
            rows = [data.rows[run] for run in fold]
            values[list(fold)] = logliks(best.parameters, rows) / np.array([len(run) for run in rows])
    return values


def first_visits(paths: Sequence[Int[np.ndarray, " _"]], n_states: int) -> Int[np.ndarray, " states"]:
    """Return the states in the order of the mean row of their first visit; never visited ones last."""
    mean = np.full(n_states, np.inf)
    for state in range(n_states):
        firsts = [np.flatnonzero(path == state)[0] for path in paths if (path == state).any()]
        if firsts:
            mean[state] = np.mean(firsts)
    return np.argsort(mean, kind="stable")


def _model(parameters: Parameters, topology: Topology, data: _Data, n_runs: int) -> LatentModel:
    """Return the model with the runs decoded, in the order in which they were given."""
    empty = np.zeros((0, len(data.scaling.names)))
    place = {run: index for index, run in enumerate(data.usable)}
    rows = [data.rows[place[run]] if run in place else empty for run in range(n_runs)]
    decoded: Decoded = decode_rows(parameters, rows)
    return LatentModel(
        n_states=len(parameters.startprob),
        startprob=parameters.startprob,
        transmat=parameters.transmat,
        means=parameters.means,
        covars=parameters.covars,
        scaling=data.scaling,
        paths=decoded.paths,
        posteriors=decoded.posteriors,
        tied=parameters.tied,
        topology=topology,
    )


def _refits(data: _Data, again: Refitting, refitted: dict[int, Refit | None], n_runs: int) -> Refits:
    """Return the refits that succeeded, with the runs in the order in which they were given."""
    numbers = sorted(number for number, path in refitted.items() if path is not None)
    paths = np.array([refitted[number] for number in numbers], dtype=np.int8)
    bounds = np.cumsum([len(run) for run in data.rows])
    paths = paths.reshape(len(numbers), bounds[-1])
    place = dict(zip(data.usable, np.split(paths, bounds[:-1], axis=1), strict=True))
    counts = np.zeros((len(numbers), n_runs), dtype=np.int16)
    for index, number in enumerate(numbers):
        counts[index, data.usable] = again.counts(number)
    return Refits([place.get(run, paths[:, :0]) for run in range(n_runs)], counts)


def _trust(
    data: _Data,
    model: LatentModel,
    table: tuple[Candidate, ...],
    chosen: Candidate,
    estimates: dict[Task, Estimate],
) -> Trust:
    paths = [model.paths[run] for run in data.usable]
    autocorrelation = residual_autocorrelation(model.parameters, data.rows, paths)
    tried: dict[int, list[Estimate]] = {}
    for task, each in estimates.items():
        tried.setdefault(task.n_states, []).append(each)
    climbs = [each for task, each in estimates.items() if task[:2] == (-1, chosen.n_states)]
    found = [value for value in chosen.restart_logliks if math.isfinite(value)]
    rivals = path_agreements(climbs, data.rows, paths, model.n_states)
    return Trust(
        runs=tuple(data.usable),
        folds=tuple(tuple(data.usable[run] for run in fold) for fold in data.folds),
        left_out=tuple(data.left_out),
        cuts=data.cuts,
        rule=RULE,
        restart_hits=chosen.best_restart_hits,
        restart_spread=max(found) - min(found),
        rivals=rivals,
        occupancy=np.bincount(np.concatenate(paths), minlength=model.n_states) / sum(map(len, paths)),
        entropy=mean_entropy([model.posteriors[run] for run in data.usable]),
        autocorrelation=autocorrelation,
        warnings=(
            *doubts_about_data(model, data.rows, data.cuts, data.left_out),
            *doubts_about_fit(table, chosen, tried),
            *doubts_about_model(model, data.rows, paths, autocorrelation, rivals),
        ),
    )
