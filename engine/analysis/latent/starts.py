"""Where EM starts: k-means, sticky k-means, time segments and random labellings of the rows."""

from __future__ import annotations

import warnings

import numpy as np
from jaxtyping import Float, Int
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning

from engine.analysis.latent.parameters import Covariance, Parameters, Topology

KINDS = ("k-means", "sticky k-means", "segments", "random")
"""Restart r starts as KINDS[r mod 4]."""
KMEANS_STEPS = 20
KMEANS_SEEDINGS = 10
"""Seedings of which the first k-means keeps the best, as hmmlearn does; later ones take one, to differ."""
KMEANS_ROWS = 2048
"""Rows that k-means sees, evenly spaced over all: on 40,000 rows of 14 metrics it would otherwise take as
long as ten EM steps."""


def start(
    X: Float[np.ndarray, "rows features"],
    lengths: Int[np.ndarray, " runs"],
    n_states: int,
    covariance: Covariance,
    restart: int,
    seed: int,
    topology: Topology = "ergodic",
) -> Parameters:
    """Return the parameters that restart number `restart` begins with.

    k-means: 20 Lloyd steps from a k-means++ seeding (the first: the best of ten), every transition equally
    likely and every covariance that of all rows, as hmmlearn starts.
    sticky k-means: the same clusters with their own covariances, and a stay probability as if each run
    passed once through K states.
    segments: every run cut into K stretches, equal in the first such restart, then of shares drawn from a
    flat Dirichlet distribution; transitions counted. random: the nearest of K rows drawn at random; counted.

    From left to right the labels are renamed by their mean relative position in the runs, and transitions
    back start at zero, where EM leaves them.

    Args:
        X: rows of all runs under one another, in model units.
        lengths: rows of each run.
        n_states: K.
        covariance: "diag", "full" or "tied".
        restart: number of the restart.
        seed: together with K and the restart's number, the whole source of chance.
        topology: "ergodic", or "left-to-right".

    Source:
        Arthur & Vassilvitskii 2007 (k-means++); Rabiner 1989, section IV.A (left-to-right models).
    """
    kind, turn = KINDS[restart % len(KINDS)], restart // len(KINDS)
    # Both k-means kinds of one turn draw alike: they differ in their transitions only.
    rng = np.random.default_rng([seed, n_states, turn, max(1, KINDS.index(kind))])
    position = np.concatenate([(np.arange(length) + 0.5) / length for length in lengths])
    if kind == "segments":
        shares = np.full(n_states, 1 / n_states) if turn == 0 else rng.dirichlet(np.ones(n_states))
        labels = np.searchsorted(np.cumsum(shares)[:-1], position)
    elif kind == "random":
        labels = _nearest(X, X[rng.choice(len(X), n_states, replace=False)])
    else:
        labels = _kmeans(X, n_states, KMEANS_SEEDINGS if turn == 0 else 1, rng)
    if topology == "left-to-right":
        labels = _in_time(labels, position, n_states)
    if kind == "k-means":
        transmat = np.full((n_states, n_states), 1 / n_states)
    elif kind == "sticky k-means":
        leave = min(0.5, n_states / lengths.mean())
        transmat = np.full((n_states, n_states), leave / max(1, n_states - 1))
        np.fill_diagonal(transmat, 1 - leave)
    else:
        transmat = _counted(labels, lengths, n_states)
    if topology == "left-to-right":
        transmat = np.triu(transmat)
    beginnings = 1 + np.bincount(labels[np.cumsum(lengths) - lengths], minlength=n_states)
    means, covars = _emissions(X, labels, n_states, covariance)
    if kind == "k-means":
        covars = np.repeat(_whole(X, covariance)[None], n_states, axis=0)
    return Parameters(
        startprob=beginnings / beginnings.sum(),
        transmat=transmat / transmat.sum(axis=1, keepdims=True),
        means=means,
        covars=covars,
        tied=covariance == "tied",
    )


def _nearest(
    X: Float[np.ndarray, "rows features"], centres: Float[np.ndarray, "states features"]
) -> Int[np.ndarray, " rows"]:
    # ||x - c||^2 without ||x||^2, which is the same for every centre
    nearest: Int[np.ndarray, " rows"] = ((centres**2).sum(axis=1) - 2 * X @ centres.T).argmin(axis=1)
    return nearest


def _kmeans(
    X: Float[np.ndarray, "rows features"], n_states: int, seedings: int, rng: np.random.Generator
) -> Int[np.ndarray, " rows"]:
    some = X[np.linspace(0, len(X) - 1, min(len(X), KMEANS_ROWS)).round().astype(int)]
    clusters = KMeans(n_states, n_init=seedings, max_iter=KMEANS_STEPS, random_state=int(rng.integers(2**31)))
    with warnings.catch_warnings():  # fewer distinct rows than clusters: a state then starts empty, and wide
        warnings.simplefilter("ignore", ConvergenceWarning)
        return _nearest(X, clusters.fit(some).cluster_centers_)


def _in_time(
    labels: Int[np.ndarray, " rows"], position: Float[np.ndarray, " rows"], n_states: int
) -> Int[np.ndarray, " rows"]:
    """Rename labels by the mean relative position of their rows; unused ones last."""
    counts = np.bincount(labels, minlength=n_states)
    total = np.bincount(labels, weights=position, minlength=n_states)
    mean = np.where(counts > 0, total / np.maximum(counts, 1), np.inf)
    rank: Int[np.ndarray, " states"] = np.argsort(np.argsort(mean, kind="stable"))
    renamed: Int[np.ndarray, " rows"] = rank[labels]
    return renamed


def _counted(
    labels: Int[np.ndarray, " rows"], lengths: Int[np.ndarray, " runs"], n_states: int
) -> Float[np.ndarray, "states states"]:
    """Return how often each label follows each within a run, every count raised by one."""
    inside = np.ones(len(labels) - 1, dtype=bool)
    inside[np.cumsum(lengths)[:-1] - 1] = False
    transitions = np.ones((n_states, n_states))
    np.add.at(transitions, (labels[:-1][inside], labels[1:][inside]), 1)
    return transitions


def _whole(X: Float[np.ndarray, "rows features"], covariance: Covariance) -> Float[np.ndarray, "*features"]:
    """Return the variances or the covariance of all rows."""
    if covariance == "diag":
        variances: Float[np.ndarray, "*features"] = X.var(axis=0)
        return variances
    return np.atleast_2d(np.cov(X, rowvar=False, bias=True))


def _emissions(
    X: Float[np.ndarray, "rows features"],
    labels: Int[np.ndarray, " rows"],
    n_states: int,
    covariance: Covariance,
) -> tuple[Float[np.ndarray, "states features"], Float[np.ndarray, "states features *features"]]:
    """Return mean and covariance of each label, shrunk to the whole's.

    The shrinkage weighs as many rows as there are features, so that a label of few rows starts wide, not
    singular.
    """
    whole = _whole(X, covariance)
    means, covars = [], []
    for state in range(n_states):
        rows = X[labels == state]
        mean = rows.mean(axis=0) if len(rows) else X.mean(axis=0)
        deviation = rows - mean
        scatter = (deviation**2).sum(axis=0) if covariance == "diag" else deviation.T @ deviation
        means.append(mean)
        covars.append((scatter + X.shape[1] * whole) / (len(rows) + X.shape[1]))
    if covariance == "tied":
        share = np.bincount(labels, minlength=n_states) / len(labels)
        covars = [np.tensordot(share, np.array(covars), 1)] * n_states
    return np.array(means), np.array(covars)
