"""Parameters of a Gaussian HMM, and the densities they give to rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

Covariance = Literal["diag", "full", "tied"]
Topology = Literal["ergodic", "left-to-right"]

COVARIANCE_FLOOR = 1e-3
"""Least variance in any direction, in squared model units: a standard deviation of 0.03 of the whole."""


@dataclass(frozen=True)
class Parameters:
    """Parameters of a Gaussian HMM.

    Attributes:
        startprob: probability of each state at the first row.
        transmat: probability of the next state (column) given the present one (row).
        means: mean emission of each state.
        covars: variances [states, features], or covariance matrices [states, features, features].
        tied: the states share one covariance matrix, which `covars` repeats.
    """

    startprob: Float[np.ndarray, " states"]
    transmat: Float[np.ndarray, "states states"]
    means: Float[np.ndarray, "states features"]
    covars: Float[np.ndarray, "states features *features"]
    tied: bool = False

    @property
    def covariance(self) -> Covariance:
        """Shape of the covariances."""
        if self.covars.ndim == 2:
            return "diag"
        return "tied" if self.tied else "full"

    def permuted(self, order: Int[np.ndarray, " states"]) -> Parameters:
        """Return the same model with state `order[k]` renamed k."""
        return Parameters(
            self.startprob[order],
            self.transmat[np.ix_(order, order)],
            self.means[order],
            self.covars[order],
            self.tied,
        )


def floored(
    covars: Float[np.ndarray, "states features *features"],
) -> Float[np.ndarray, "states features *features"]:
    """Return the nearest covariances with no variance below the floor in any direction."""
    if covars.ndim == 2:
        raised: Float[np.ndarray, "states features *features"] = np.maximum(covars, COVARIANCE_FLOOR)
        return raised
    values, vectors = np.linalg.eigh((covars + covars.swapaxes(1, 2)) / 2)
    full = (vectors * np.maximum(values, COVARIANCE_FLOOR)[:, None, :]) @ vectors.swapaxes(1, 2)
    symmetric: Float[np.ndarray, "states features *features"] = (full + full.swapaxes(1, 2)) / 2
    return symmetric


def sufficient_statistics(
    X: Float[np.ndarray, "rows features"], covariance: Covariance
) -> Float[np.ndarray, "rows statistics"]:
    """Return what a Gaussian density sees of each row: x beside x^2, or beside x_i x_j for every i <= j.

    Densities of all states and the expected moments of an E step are then one matrix product each.
    """
    if covariance == "diag":
        return np.concatenate([X, X**2], axis=1)
    i, j = np.triu_indices(X.shape[1])
    return np.concatenate([X, X[:, i] * X[:, j]], axis=1)


def natural_parameters(
    parameters: Parameters,
) -> tuple[Float[np.ndarray, "statistics states"], Float[np.ndarray, " states"]]:
    """Return eta and c with ln N(x | mean_k, covariance_k) = T(x) eta_k + c_k, T the sufficient statistics.

    Source:
        The Gaussian as an exponential family, eta = (S^-1 mu, -S^-1 / 2); Bishop 2006, section 2.4.
    """
    means, covars = parameters.means, parameters.covars
    if covars.ndim == 2:
        linear = means / covars
        second = -0.5 / covars
        log_det = np.log(covars).sum(axis=1)
    else:
        inverse = np.linalg.inv(covars)
        linear = np.einsum("kij,kj->ki", inverse, means)
        i, j = np.triu_indices(means.shape[1])
        # x_i x_j stands for x_j x_i too
        second = -inverse[:, i, j] * np.where(i == j, 0.5, 1.0)
        log_det = np.linalg.slogdet(covars)[1]
    constant = -0.5 * ((means * linear).sum(axis=1) + log_det + means.shape[1] * np.log(2 * np.pi))
    return np.concatenate([linear, second], axis=1).T, constant


def log_densities(
    parameters: Parameters, X: Float[np.ndarray, "rows features"]
) -> Float[np.ndarray, "rows states"]:
    """Return ln N(x | mean_k, covariance_k) for every row and state."""
    eta, constant = natural_parameters(parameters)
    densities: Float[np.ndarray, "rows states"] = (
        sufficient_statistics(X, parameters.covariance) @ eta + constant
    )
    return densities


def count_parameters(
    n_states: int, n_features: int, covariance: Covariance, topology: Topology = "ergodic"
) -> int:
    """Return the free parameters: K - 1 start, the transitions, K D mean, and the covariances.

    A row of allowed transitions sums to 1: K (K - 1) are free, or K (K - 1) / 2 from left to right.
    """
    transitions = n_states * (n_states - 1)
    if topology == "left-to-right":
        transitions //= 2
    matrix = n_features * (n_features + 1) // 2
    covariances = {"diag": n_states * n_features, "full": n_states * matrix, "tied": matrix}
    return n_states - 1 + transitions + n_states * n_features + covariances[covariance]
