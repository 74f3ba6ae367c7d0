"""Chains with known states, and the answers to every question about a tiny one by enumeration."""

import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
from scipy import stats

from engine.analysis.latent.parameters import Parameters


class Enumerated(NamedTuple):
    loglik: float
    path: tuple[int, ...]
    posterior: np.ndarray
    filtered: np.ndarray


def _enumerate(parameters: Parameters, run: np.ndarray) -> Enumerated:
    """Sum over every path: K^T terms, plain probabilities, nothing shared with the code under test."""
    n_states, n_steps = len(parameters.startprob), len(run)
    covars = [np.diag(c) if c.ndim == 1 else c for c in parameters.covars]
    density = [
        [stats.multivariate_normal.pdf(z, parameters.means[k], covars[k]) for k in range(n_states)]
        for z in run
    ]

    def joint(path: tuple[int, ...]) -> float:
        probability = parameters.startprob[path[0]] * density[0][path[0]]
        for t in range(1, len(path)):
            probability *= parameters.transmat[path[t - 1], path[t]] * density[t][path[t]]
        return float(probability)

    def paths(length: int) -> dict[tuple[int, ...], float]:
        return {path: joint(path) for path in itertools.product(range(n_states), repeat=length)}

    whole = paths(n_steps)
    total = sum(whole.values())
    posterior, filtered = np.zeros((n_steps, n_states)), np.zeros((n_steps, n_states))
    for t in range(n_steps):
        for path, probability in whole.items():
            posterior[t, path[t]] += probability / total
        for path, probability in paths(t + 1).items():
            filtered[t, path[-1]] += probability
    filtered /= filtered.sum(axis=1, keepdims=True)
    return Enumerated(float(np.log(total)), max(whole, key=whole.__getitem__), posterior, filtered)


@pytest.fixture(scope="session")
def enumerated() -> Callable[[Parameters, np.ndarray], Enumerated]:
    return _enumerate


@pytest.fixture(params=["diag", "full", "tied"])
def tiny(request: pytest.FixtureRequest) -> tuple[Parameters, list[np.ndarray]]:
    """Three overlapping states, two metrics, three short runs."""
    rng = np.random.default_rng(11)
    transmat = rng.dirichlet(np.ones(3), size=3)
    if request.param == "diag":
        covars = rng.uniform(0.5, 2.0, size=(3, 2))
    else:
        roots = rng.normal(size=(3, 2, 2))
        covars = roots @ roots.swapaxes(1, 2) + 0.3 * np.eye(2)
    tied = request.param == "tied"
    if tied:
        covars = np.repeat(covars[:1], 3, axis=0)
    parameters = Parameters(rng.dirichlet(np.ones(3)), transmat, rng.normal(size=(3, 2)), covars, tied)
    return parameters, [rng.normal(size=(n, 2)) for n in (5, 1, 4)]


class Chains(NamedTuple):
    runs: list[np.ndarray]
    paths: list[np.ndarray]


def _chains(
    n_states: int, n_runs: int = 24, n_steps: int = 120, n_metrics: int = 5, seed: int = 0, apart: float = 3.0
) -> Chains:
    """Runs through a chain that mostly moves forward and returns at the end; unit noise."""
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(n_states, n_metrics))
    means *= apart / np.sqrt(n_metrics)
    runs, paths = [], []
    for _ in range(n_runs):
        state, path = 0, []
        for _ in range(n_steps):
            path.append(state)
            if rng.random() < 0.08:
                state = (state + rng.choice([1, 1, 1, 2])) % n_states
        paths.append(np.array(path))
        runs.append(means[path] + rng.normal(size=(n_steps, n_metrics)))
    return Chains(runs, paths)


@pytest.fixture(scope="session")
def chains() -> Callable[..., Chains]:
    return _chains
