"""Fit latent states to runs: prepare, split, estimate, choose K, and say how far to trust it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from engine.analysis.latent.candidate import Candidate
from engine.analysis.latent.estimation import Estimate, estimate
from engine.analysis.latent.model import Decoded, LatentModel, decode_rows, logliks
from engine.analysis.latent.parameters import Covariance, Parameters, count_parameters
from engine.analysis.latent.preparation import (
    MIN_ROWS,
    Cut,
    Normalize,
    Runs,
    Scaling,
    cut,
    learn_scaling,
    stack,
)
from engine.analysis.latent.selection import (
    RULE,
    RULE_WITHOUT_ERROR,
    Selection,
    choose,
    split,
    standard_error,
)
from engine.analysis.latent.starts import start
from engine.analysis.latent.trust import (
    Trust,
    doubts_about_data,
    doubts_about_fit,
    doubts_about_model,
    mean_entropy,
    residual_autocorrelation,
)

Progress = Callable[[int, int], object]
Rows = list[Float[np.ndarray, "_ features"]]

HIT = 1e-3
"""Restarts closer than this, in nats per observation, reached the same optimum for any purpose."""


class Stopped(Exception):  # noqa: N818  # not an error: the caller asked for it
    """The progress callback asked the fit to stop."""


@dataclass(frozen=True)
class _Split:
    """Runs in model units; positions count the runs as given."""

    scaling: Scaling
    rows: Rows
    training: list[int]
    held_out: list[int]
    groups: Sequence[Hashable]

    def by_group(self, values: Float[np.ndarray, " runs"]) -> Float[np.ndarray, " groups"]:
        """Return the mean over the held-out runs of each group: arms of one seed are not independent."""
        members: dict[Hashable, list[float]] = {}
        for run, value in zip(self.held_out, values, strict=True):
            members.setdefault(self.groups[run], []).append(float(value))
        return np.array([np.mean(each) for each in members.values()])

    def training_rows(self) -> Rows:
        return [self.rows[run] for run in self.training]

    def held_out_rows(self) -> Rows:
        return [self.rows[run] for run in self.held_out]


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
    held_out: Sequence[int] | None = None,
) -> Selection:
    """Fit a Gaussian HMM to training runs for every K, and choose K on runs held out.

    Every K is estimated by EM from `restarts` starts (k-means, random, left-to-right in turn; a single one
    for K = 1, whose likelihood has one maximum); the best by training likelihood stands for K. States are
    numbered by the mean step of their first visit over all runs. Nothing depends on the order of the runs.

    Args:
        runs: metrics of each run, one row per measured step; cut at the first row that is not finite or
            at least 1e12 in size.
        metrics: names of the columns, distinct.
        n_states: numbers of states to try.
        covariance: "diag", or "full".
        normalize: "per-run", "pooled" over training runs, or "log-pooled" (see `Scaling`).
        restarts: starts for every K > 1.
        seed: the whole source of chance, together with the data.
        progress: called with (restarts done, restarts in all); stops the fit by returning True.
        groups: a label per run; runs of one label are never on both sides of the split. Give the seed, so
            that paired arms with one initialization stay together. Default: every run by itself.
        held_out: positions of the runs to hold out, whole groups; default a quarter of the groups.

    Returns:
        The table over K, the chosen model with its decoded runs, and its diagnostics.

    Raises:
        ValueError: an argument outside its values, or data that cannot be fitted; the message says which.
        Stopped: `progress` returned True.

    Source:
        Hu, Chen, Saphra & Cho 2023, with K chosen by the one-standard-error rule on held-out runs.
    """
    states = _checked_states(n_states, covariance, normalize, restarts, seed)
    kept, cuts = cut(runs, metrics)
    if groups is not None and len(groups) != len(runs):
        raise ValueError(f"`groups` must label each of the {len(runs)} runs; got {len(groups)} labels.")
    digests = [hashlib.sha256(run.tobytes()).hexdigest() for run in kept]
    labels: Sequence[Hashable] = digests if groups is None else groups
    # One order whatever the order given, so that sums round the same way and draws meet the same rows.
    canonical = sorted(range(len(kept)), key=lambda run: (repr(labels[run]), digests[run]))
    usable = [run for run in canonical if len(kept[run]) >= MIN_ROWS]
    left_out = [run for run in range(len(kept)) if len(kept[run]) < MIN_ROWS]
    training, testing = split(usable, labels, held_out, seed)
    scaling = learn_scaling(
        [kept[run] for run in training], [kept[run] for run in usable], metrics, normalize
    )
    empty = np.zeros((0, len(scaling.names)))
    rows = [empty if run in left_out else scaling.apply(values) for run, values in enumerate(kept)]
    parts = _Split(scaling, rows, training, testing, labels)
    estimates = _estimate_all(parts, states, covariance, restarts, seed, progress)
    table, chosen = _table(parts, estimates, covariance)
    best = estimates[table[chosen].n_states][int(np.argmax(table[chosen].restart_logliks))]
    assert best.parameters is not None  # `_table` has no row without one
    decoded = decode_rows(best.parameters, rows)
    order = first_visits(decoded.paths, len(best.parameters.startprob))
    model = _model(best.parameters.permuted(order), scaling, decoded, order)
    trust = _trust(parts, model, table, table[chosen], estimates, cuts, left_out)
    return Selection(table, model, trust)


def _checked_states(
    n_states: Iterable[int], covariance: str, normalize: str, restarts: int, seed: int
) -> list[int]:
    states = sorted(set(n_states))
    if not states or states[0] < 1:
        raise ValueError(f"`n_states` must hold whole numbers from 1 up; got {states}.")
    if covariance not in ("diag", "full"):
        raise ValueError(f'`covariance` must be "diag" or "full"; got {covariance!r}.')
    if normalize not in ("per-run", "pooled", "log-pooled"):
        raise ValueError(f'`normalize` must be "per-run", "pooled" or "log-pooled"; got {normalize!r}.')
    if restarts < 1:
        raise ValueError(f"`restarts` must be at least 1; got {restarts}.")
    if seed < 0:
        raise ValueError(f"`seed` must not be negative; got {seed}.")
    return states


def _estimate_all(
    parts: _Split,
    states: list[int],
    covariance: Covariance,
    restarts: int,
    seed: int,
    progress: Progress | None,
) -> dict[int, list[Estimate]]:
    X, lengths = stack(parts.training_rows())
    needed = count_parameters(states[-1], X.shape[1], covariance)
    if X.size < needed:
        raise ValueError(
            f"`n_states` up to {states[-1]} needs {needed} parameters; the training runs hold only {X.size} "
            f"values ({X.shape[0]} rows of {X.shape[1]} metrics). Try fewer states or more runs."
        )
    plan = [(k, restart) for k in states for restart in range(restarts if k > 1 else 1)]
    estimates: dict[int, list[Estimate]] = {k: [] for k in states}
    for done, (k, restart) in enumerate(plan):
        if progress is not None and progress(done, len(plan)) is True:
            raise Stopped(f"stopped after {done} of {len(plan)} restarts")
        estimates[k].append(estimate(X, lengths, start(X, lengths, k, covariance, restart, seed)))
    if progress is not None:
        progress(len(plan), len(plan))
    return estimates


def _table(
    parts: _Split, estimates: dict[int, list[Estimate]], covariance: Covariance
) -> tuple[tuple[Candidate, ...], int]:
    """Return a candidate for every K that could be estimated, and the position of the chosen one."""
    observations = sum(len(run) for run in parts.training_rows())
    held_out = parts.held_out_rows()
    lengths = np.array([len(run) for run in held_out])
    best = {k: max(found, key=lambda each: each.loglik) for k, found in estimates.items()}
    scores = {k: logliks(each.parameters, held_out) / lengths for k, each in best.items() if each.parameters}
    if not scores:
        raise ValueError("`runs` cannot be fitted: EM ended in values that are not finite from every start.")
    highest = max(scores.values(), key=lambda values: parts.by_group(values).mean())
    table = []
    for k, values in scores.items():
        restart_logliks = np.array([each.loglik for each in estimates[k]]) / observations
        n_parameters = count_parameters(k, len(parts.scaling.names), covariance)
        table.append(
            Candidate(
                n_states=k,
                heldout_loglik=float(parts.by_group(values).mean()),
                heldout_se=standard_error(parts.by_group(values)),
                heldout_logliks=tuple(map(float, values)),
                shortfall=float(parts.by_group(highest - values).mean()),
                shortfall_se=standard_error(parts.by_group(highest - values)),
                train_loglik=float(restart_logliks.max()),
                bic=-2 * best[k].loglik + n_parameters * math.log(observations),
                parameters=n_parameters,
                best_restart_hits=int((restart_logliks >= restart_logliks.max() - HIT).sum()),
                restart_logliks=tuple(map(float, restart_logliks)),
                converged=sum(each.converged for each in estimates[k]),
            )
        )
    return tuple(table), choose([row.heldout_loglik for row in table], [row.heldout_se for row in table])


def first_visits(paths: Sequence[Int[np.ndarray, " _"]], n_states: int) -> Int[np.ndarray, " states"]:
    """Return the states in the order of the mean row of their first visit; never visited ones last."""
    mean = np.full(n_states, np.inf)
    for state in range(n_states):
        firsts = [np.flatnonzero(path == state)[0] for path in paths if (path == state).any()]
        if firsts:
            mean[state] = np.mean(firsts)
    return np.argsort(mean, kind="stable")


def _model(
    parameters: Parameters, scaling: Scaling, decoded: Decoded, order: Int[np.ndarray, " states"]
) -> LatentModel:
    rank = np.argsort(order)
    return LatentModel(
        n_states=len(order),
        startprob=parameters.startprob,
        transmat=parameters.transmat,
        means=parameters.means,
        covars=parameters.covars,
        scaling=scaling,
        paths=[rank[path] for path in decoded.paths],
        posteriors=[posterior[:, order] for posterior in decoded.posteriors],
    )


def _trust(
    parts: _Split,
    model: LatentModel,
    table: tuple[Candidate, ...],
    chosen: Candidate,
    estimates: dict[int, list[Estimate]],
    cuts: tuple[Cut, ...],
    left_out: list[int],
) -> Trust:
    usable = parts.training + parts.held_out
    rows = [parts.rows[run] for run in usable]
    paths = [model.paths[run] for run in usable]
    autocorrelation = residual_autocorrelation(model.parameters, rows, paths)
    found = [value for value in chosen.restart_logliks if math.isfinite(value)]
    return Trust(
        training=tuple(parts.training),
        held_out=tuple(parts.held_out),
        left_out=tuple(left_out),
        cuts=cuts,
        rule=RULE_WITHOUT_ERROR if math.isnan(chosen.heldout_se) else RULE,
        restart_hits=chosen.best_restart_hits,
        restart_spread=max(found) - min(found),
        occupancy=np.bincount(np.concatenate(paths), minlength=model.n_states) / sum(map(len, paths)),
        entropy=mean_entropy([model.posteriors[run] for run in usable]),
        autocorrelation=autocorrelation,
        warnings=(
            *doubts_about_data(model, cuts, left_out),
            *doubts_about_fit(table, chosen, estimates),
            *doubts_about_model(model, rows, paths, autocorrelation),
        ),
    )
