"""Where EM starts: k-means, random and left-to-right labellings of the rows."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from engine.analysis.latent.parameters import Covariance, Parameters

KINDS = ("k-means", "random", "left-to-right")
"""Restart r starts as KINDS[r mod 3]."""
KMEANS_STEPS = 20


def start(
    X: Float[np.ndarray, "rows features"],
    lengths: Int[np.ndarray, " runs"],
    n_states: int,
    covariance: Covariance,
    restart: int,
    seed: int,
) -> Parameters:
    """Return the parameters that restart number `restart` begins with.

    k-means: 20 Lloyd steps from a k-means++ seeding. random: the nearest of K rows drawn at random.
    left-to-right: every run cut into K stretches, equal in the first such restart, then of shares drawn
    from a flat Dirichlet distribution.

    Args:
        X: rows of all runs under one another, in model units.
        lengths: rows of each run.
        n_states: K.
        covariance: "diag" or "full".
        restart: number of the restart.
        seed: together with K and the restart's number, the whole source of chance.

    Source:
        Arthur & Vassilvitskii 2007 (k-means++).
    """
    rng = np.random.default_rng([seed, n_states, restart])
    kind = KINDS[restart % len(KINDS)]
    if kind == "k-means":
        labels = _kmeans(X, n_states, rng)
    elif kind == "random":
        labels = _nearest(X, X[rng.choice(len(X), n_states, replace=False)])
    else:
        equal = restart < len(KINDS)
        shares = np.full(n_states, 1 / n_states) if equal else rng.dirichlet(np.ones(n_states))
        position = np.concatenate([(np.arange(length) + 0.5) / length for length in lengths])
        labels = np.searchsorted(np.cumsum(shares)[:-1], position)
    return _from_labels(X, lengths, labels, n_states, covariance)


def _nearest(
    X: Float[np.ndarray, "rows features"], centres: Float[np.ndarray, "states features"]
) -> Int[np.ndarray, " rows"]:
    # ||x - c||^2 without ||x||^2, which is the same for every centre
    nearest: Int[np.ndarray, " rows"] = ((centres**2).sum(axis=1) - 2 * X @ centres.T).argmin(axis=1)
    return nearest


def _kmeans(
    X: Float[np.ndarray, "rows features"], n_states: int, rng: np.random.Generator
) -> Int[np.ndarray, " rows"]:
    chosen = [int(rng.integers(len(X)))]
    distance = ((X - X[chosen[0]]) ** 2).sum(axis=1)
    while len(chosen) < n_states:
        total = distance.sum()
        share = distance / total if total > 0 else np.full(len(X), 1 / len(X))
        chosen.append(int(rng.choice(len(X), p=share)))
        distance = np.minimum(distance, ((X - X[chosen[-1]]) ** 2).sum(axis=1))
    centres = X[chosen]
    labels = _nearest(X, centres)
    for _ in range(KMEANS_STEPS):
        members = np.eye(n_states)[labels]
        size = members.sum(axis=0)[:, None]
        centres = np.where(size > 0, members.T @ X / np.maximum(size, 1), centres)
        labels, before = _nearest(X, centres), labels
        if np.array_equal(labels, before):
            break
    return labels


def _from_labels(
    X: Float[np.ndarray, "rows features"],
    lengths: Int[np.ndarray, " runs"],
    labels: Int[np.ndarray, " rows"],
    n_states: int,
    covariance: Covariance,
) -> Parameters:
    """Return the parameters a labelling implies, each count raised by one, variances shrunk to the whole's.

    The shrinkage weighs as many rows as there are features, so that a label of few rows starts wide, not
    singular.
    """
    whole = X.var(axis=0) if covariance == "diag" else np.atleast_2d(np.cov(X, rowvar=False, bias=True))
    means, covars = [], []
    for state in range(n_states):
        rows = X[labels == state]
        mean = rows.mean(axis=0) if len(rows) else X.mean(axis=0)
        deviation = rows - mean
        scatter = (deviation**2).sum(axis=0) if covariance == "diag" else deviation.T @ deviation
        means.append(mean)
        covars.append((scatter + X.shape[1] * whole) / (len(rows) + X.shape[1]))
    ends = np.cumsum(lengths)
    firsts, inside = ends - lengths, np.ones(len(X) - 1, dtype=bool)
    inside[ends[:-1] - 1] = False
    transitions = np.ones((n_states, n_states))
    np.add.at(transitions, (labels[:-1][inside], labels[1:][inside]), 1)
    beginnings = np.ones(n_states)
    np.add.at(beginnings, labels[firsts], 1)
    return Parameters(
        startprob=beginnings / beginnings.sum(),
        transmat=transitions / transitions.sum(axis=1, keepdims=True),
        means=np.array(means),
        covars=np.array(covars),
    )
