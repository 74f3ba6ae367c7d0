"""Gaussian HMM by EM from one start: hmmlearn, with what it does silently checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from hmmlearn import _hmmc
from hmmlearn.base import ConvergenceMonitor
from hmmlearn.hmm import GaussianHMM
from jaxtyping import Float, Int

Covariance = Literal["diag", "full"]

COVARIANCE_FLOOR = 1e-3
"""Least variance in any direction, in squared model units: a standard deviation of 0.03 of the whole."""
PSEUDOCOUNT = 0.01
"""Added to each expected first state and transition, so that a transition first seen in a held-out run costs
about 10 nats rather than the whole likelihood."""
TOLERANCE = 1e-5
"""EM stops when a step gains less than this, in nats per observation."""
MAX_STEPS = 500
EMPTY = 1e-3
"""Expected visits below which a state keeps its last emission parameters instead of 0 / 0."""


@dataclass(frozen=True)
class Parameters:
    """Parameters of a Gaussian HMM.

    Attributes:
        startprob: probability of each state at the first row.
        transmat: probability of the next state (column) given the present one (row).
        means: mean emission of each state.
        covars: variances [states, features], or covariance matrices [states, features, features].
    """

    startprob: Float[np.ndarray, " states"]
    transmat: Float[np.ndarray, "states states"]
    means: Float[np.ndarray, "states features"]
    covars: Float[np.ndarray, "states features *features"]

    @property
    def covariance(self) -> Covariance:
        """Shape of the covariances."""
        return "diag" if self.covars.ndim == 2 else "full"

    def permuted(self, order: Int[np.ndarray, " states"]) -> Parameters:
        """Return the same model with state `order[k]` renamed k."""
        return Parameters(
            self.startprob[order], self.transmat[np.ix_(order, order)], self.means[order], self.covars[order]
        )


@dataclass(frozen=True)
class Estimate:
    """Where EM ended from one start.

    Attributes:
        parameters: the last ones; None when they are not finite.
        loglik: log-likelihood of the training rows in nats, priors left out; -inf when not finite.
        steps: EM steps made.
        converged: the last step gained less than the tolerance.
        fell: the largest fall of the penalized log-likelihood in one step, nats; 0 in exact arithmetic.
    """

    parameters: Parameters | None
    loglik: float
    steps: int
    converged: bool
    fell: float


class _Monitor(ConvergenceMonitor):  # type: ignore[misc]  # hmmlearn has no types
    """hmmlearn's monitor, but a falling likelihood is kept in `history` instead of logged and forgotten."""

    def report(self, log_prob: float) -> None:
        self.history.append(log_prob)
        self.iter += 1

    @property
    def converged(self) -> bool:
        # hmmlearn's own is also true when it merely ran out of iterations.
        return len(self.history) >= 2 and bool(self.history[-1] - self.history[-2] < self.tol)


class FlooredHMM(GaussianHMM):  # type: ignore[misc]  # hmmlearn has no types
    """hmmlearn's Gaussian HMM with a covariance floor in every M step and one E step for all runs.

    hmmlearn applies its floor at the start only, and biases every variance by a prior instead. Its
    `implementation="scaling"` fails where all densities of a row underflow, and "log" takes 4 times as long
    (48 runs of 201 rows, 14 metrics, 8 states: 57 ms against 13 ms). Here each row of densities is divided by
    its largest before scaling, which cannot underflow.
    """

    def __init__(self, parameters: Parameters, tol: float = 0.0, n_iter: int = MAX_STEPS) -> None:
        super().__init__(
            len(parameters.startprob),
            covariance_type=parameters.covariance,
            startprob_prior=1 + PSEUDOCOUNT,
            transmat_prior=1 + PSEUDOCOUNT,
            covars_prior=0.0,
            covars_weight=1.0,
            init_params="",
            n_iter=n_iter,
            tol=tol,
        )
        self.monitor_ = _Monitor(tol, n_iter, False)
        self.n_features = parameters.means.shape[1]
        self.startprob_ = parameters.startprob
        self.transmat_ = parameters.transmat
        self.means_ = parameters.means
        self.covars_ = floored(parameters.covars)

    @property
    def parameters(self) -> Parameters:
        """The current parameters."""
        covars: Float[np.ndarray, "states features *features"] = self._covars_
        return Parameters(self.startprob_, self.transmat_, self.means_, covars)

    def _do_estep(
        self, X: Float[np.ndarray, "rows features"], lengths: Int[np.ndarray, " runs"]
    ) -> tuple[dict[str, Any], float]:
        log_density = log_densities(self.parameters, X)
        highest = log_density.max(axis=1, keepdims=True)
        # exp of a large negative number is a true 0 at this precision
        with np.errstate(under="ignore"):
            density = np.exp(log_density - highest)
        loglik = float(highest.sum())
        stats = self._initialize_sufficient_statistics()
        posterior = np.empty_like(density)
        ends = np.cumsum(lengths)
        for start, end in zip(ends - lengths, ends, strict=True):
            rows = density[start:end]
            run_loglik, forward, scales = _hmmc.forward_scaling(self.startprob_, self.transmat_, rows)
            backward = _hmmc.backward_scaling(self.startprob_, self.transmat_, rows, scales)
            with np.errstate(under="ignore"):
                both = forward * backward
                posterior[start:end] = both / both.sum(axis=1, keepdims=True)
            stats["start"] += posterior[start]
            if end - start > 1:
                stats["trans"] += _hmmc.compute_scaling_xi_sum(forward, self.transmat_, backward, rows)
            loglik += run_loglik
        stats["nobs"] = len(lengths)
        stats["post"] = posterior.sum(axis=0)
        stats["obs"] = posterior.T @ X
        if self.covariance_type == "diag":
            stats["obs**2"] = posterior.T @ X**2
        else:
            stats["obs*obs.T"] = np.stack([(X * weight[:, None]).T @ X for weight in posterior.T])
        return stats, loglik

    def _do_mstep(self, stats: dict[str, Any]) -> None:
        before = self.parameters
        with np.errstate(divide="ignore", invalid="ignore"):
            super()._do_mstep(stats)
        empty = stats["post"] < EMPTY
        after = self.parameters
        self.means_ = np.where(empty[:, None], before.means, after.means)
        per_state = empty.reshape(-1, *[1] * (before.covars.ndim - 1))
        covars: Float[np.ndarray, "states features *features"] = np.where(
            per_state, before.covars, after.covars
        )
        # Raising variances (eigenvalues) to the floor is the exact constrained maximum, so EM still climbs.
        self._covars_ = floored(covars) if np.isfinite(covars).all() else covars

    def _compute_lower_bound(self, curr_logprob: float) -> float:
        # The pseudocounts are a Dirichlet prior; EM climbs the likelihood times that prior.
        return curr_logprob + PSEUDOCOUNT * float(
            np.log(self.startprob_).sum() + np.log(self.transmat_).sum()
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


def log_densities(
    parameters: Parameters, X: Float[np.ndarray, "rows features"]
) -> Float[np.ndarray, "rows states"]:
    """Return ln N(x | mean_k, covariance_k) for every row and state."""
    constant = X.shape[1] * np.log(2 * np.pi)
    columns = []
    for mean, covar in zip(parameters.means, parameters.covars, strict=True):
        if covar.ndim == 1:
            distance = (X - mean) ** 2 @ (1 / covar)
            log_det = np.log(covar).sum()
        else:
            factor = np.linalg.cholesky(covar)
            distance = (np.linalg.solve(factor, (X - mean).T) ** 2).sum(axis=0)
            log_det = 2 * np.log(np.diagonal(factor)).sum()
        columns.append(-0.5 * (constant + log_det + distance))
    return np.stack(columns, axis=1)


def estimate(
    X: Float[np.ndarray, "rows features"],
    lengths: Int[np.ndarray, " runs"],
    start: Parameters,
    tolerance: float = TOLERANCE,
    max_steps: int = MAX_STEPS,
) -> Estimate:
    """Climb the likelihood from `start` by EM.

    Args:
        X: rows of all runs under one another, in model units.
        lengths: rows of each run.
        start: where to start; its covariances are floored first.
        tolerance: gain at which to stop, in nats per observation.
        max_steps: EM steps after which to stop anyway.

    Source:
        Rabiner 1989, section III.C; pseudocounts and floor as documented on the constants.
    """
    model = FlooredHMM(start, tol=tolerance * len(X), n_iter=max_steps)
    model.fit(X, lengths)
    history = np.array(model.monitor_.history)
    falls = -np.diff(history)
    found = model.parameters
    arrays = (found.startprob, found.transmat, found.means, found.covars)
    if not all(np.isfinite(array).all() for array in arrays) or not np.isfinite(history).all():
        return Estimate(None, float("-inf"), len(history), False, float("inf"))
    return Estimate(
        parameters=found,
        loglik=float(model._do_estep(X, lengths)[1]),
        steps=len(history),
        converged=bool(model.monitor_.converged),
        fell=float(max(0.0, falls.max(initial=0.0))),
    )


def count_parameters(n_states: int, n_features: int, covariance: Covariance) -> int:
    """Return the free parameters: K - 1 start, K (K - 1) transition, K D mean, and the covariances."""
    per_state = n_features if covariance == "diag" else n_features * (n_features + 1) // 2
    return n_states - 1 + n_states * (n_states - 1) + n_states * (n_features + per_state)
