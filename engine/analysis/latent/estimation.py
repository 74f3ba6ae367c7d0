"""Gaussian HMM by EM from one start: hmmlearn, with a faster E step and what it does silently checked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from hmmlearn import _hmmc
from hmmlearn.base import ConvergenceMonitor
from hmmlearn.hmm import GaussianHMM
from jaxtyping import Float, Int

from engine.analysis.latent.parameters import (
    Parameters,
    floored,
    natural_parameters,
    sufficient_statistics,
)

PSEUDOCOUNT = 0.01
"""Added to each expected first state and allowed transition, so that a transition first seen in a held-out
run costs about 10 nats rather than the whole likelihood."""
TOLERANCE = 1e-5
"""EM stops when a step gains less than this, in nats per observation."""
MAX_STEPS = 500
EMPTY = 1e-3
"""Expected visits below which a state keeps its last emission parameters instead of 0 / 0."""
_BLOCK = 8192
"""Rows whose sufficient statistics are made at once."""
_KEPT_BYTES = 2**28
"""Sufficient statistics up to this size are kept between EM steps; larger ones are made anew in each."""


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
    `implementation="scaling"` fails where all densities of a row underflow, and "log" takes many times as
    long. Here each row of densities is divided by its largest before scaling, and a run whose scaled pass
    still fails (its likeliest states cannot be reached) is done in logarithms. A transition that starts
    at 0 stays 0: hmmlearn's M step keeps it.
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
        covars = floored(parameters.covars)
        self._covars_ = covars[0] if parameters.tied else covars
        self._kept: list[tuple[slice, Float[np.ndarray, "_ statistics"]]] = []
        self._kept_of: Float[np.ndarray, "rows features"] | None = None

    @property
    def parameters(self) -> Parameters:
        """The current parameters."""
        tied = self.covariance_type == "tied"
        covars: Float[np.ndarray, "states features *features"] = (
            np.repeat(self._covars_[None], self.n_components, axis=0) if tied else self._covars_
        )
        return Parameters(self.startprob_, self.transmat_, self.means_, covars, tied)

    def _blocks(
        self, X: Float[np.ndarray, "rows features"]
    ) -> Iterator[tuple[slice, Float[np.ndarray, "_ statistics"]]]:
        """Yield the sufficient statistics of X, block by block."""
        if self._kept_of is X:
            yield from self._kept
            return
        D = X.shape[1]
        width = 2 * D if self.covariance_type == "diag" else D * (D + 3) // 2
        keep = X.shape[0] * width * X.itemsize <= _KEPT_BYTES
        kept = []
        for begin in range(0, len(X), _BLOCK):
            rows = slice(begin, min(begin + _BLOCK, len(X)))
            block = sufficient_statistics(X[rows], self.covariance_type)
            if keep:
                kept.append((rows, block))
            yield rows, block
        if keep:
            self._kept, self._kept_of = kept, X

    def _do_estep(
        self, X: Float[np.ndarray, "rows features"], lengths: Int[np.ndarray, " runs"]
    ) -> tuple[dict[str, Any], float]:
        eta, constant = natural_parameters(self.parameters)
        log_density = np.empty((len(X), self.n_components))
        for rows, block in self._blocks(X):
            np.matmul(block, eta, out=log_density[rows])
        log_density += constant
        stats = self._initialize_sufficient_statistics()
        posterior, stats["trans"], loglik = expectations(
            self.startprob_, self.transmat_, log_density, lengths
        )
        stats["nobs"] = len(lengths)
        stats["start"] = posterior[np.cumsum(lengths) - lengths].sum(axis=0)
        stats["post"] = posterior.sum(axis=0)
        moments = sum(posterior[rows].T @ block for rows, block in self._blocks(X))
        D = X.shape[1]
        stats["obs"], second = moments[:, :D], moments[:, D:]
        if self.covariance_type == "diag":
            stats["obs**2"] = second
        else:
            i, j = np.triu_indices(D)
            stats["obs*obs.T"] = np.empty((self.n_components, D, D))
            stats["obs*obs.T"][:, i, j] = stats["obs*obs.T"][:, j, i] = second
        return stats, loglik

    def _do_mstep(self, stats: dict[str, Any]) -> None:
        before = self.parameters
        empty = stats["post"] < EMPTY
        if empty.any():
            # A trace of a row at the old mean, so that no 0 / 0 spreads into a covariance that is tied.
            trace = np.where(empty, 1e-12, 0.0)[:, None]
            stats["post"] = np.where(empty, 1e-12, stats["post"])
            stats["obs"] = np.where(empty[:, None], trace * before.means, stats["obs"])
            if self.covariance_type == "diag":
                stats["obs**2"] = np.where(empty[:, None], trace * before.means**2, stats["obs**2"])
            else:
                outer = trace[:, :, None] * before.means[:, :, None] * before.means[:, None, :]
                stats["obs*obs.T"] = np.where(empty[:, None, None], outer, stats["obs*obs.T"])
        super()._do_mstep(stats)
        self.means_ = np.where(empty[:, None], before.means, self.means_)
        covars = self.parameters.covars
        if self.covariance_type != "tied":
            covars = np.where(empty.reshape(-1, *[1] * (covars.ndim - 1)), before.covars, covars)
        # Raising variances (eigenvalues) to the floor is the exact constrained maximum, so EM still climbs.
        if np.isfinite(covars).all():
            covars = floored(covars)
        self._covars_ = covars[0] if self.covariance_type == "tied" else covars

    def _compute_lower_bound(self, curr_logprob: float) -> float:
        # The pseudocounts are a Dirichlet prior; EM climbs the likelihood times that prior.
        allowed = self.transmat_[self.transmat_ > 0]
        return curr_logprob + PSEUDOCOUNT * float(np.log(self.startprob_).sum() + np.log(allowed).sum())


def expectations(
    startprob: Float[np.ndarray, " states"],
    transmat: Float[np.ndarray, "states states"],
    log_density: Float[np.ndarray, "rows states"],
    lengths: Int[np.ndarray, " runs"],
) -> tuple[Float[np.ndarray, "rows states"], Float[np.ndarray, "states states"], float]:
    """Return posteriors of every row, expected transitions, and the log-likelihood of all runs in nats.

    Source:
        Rabiner 1989, section V.A (scaling), on densities divided by the largest of their row.
    """
    # Column by column: numpy's own reductions over a short last axis take several times as long.
    highest = reduce(np.maximum, log_density.T)[:, None]
    forward, backward = np.ones_like(log_density), np.ones_like(log_density)
    loglik = 0.0
    ends = np.cumsum(lengths)
    runs = [slice(end - length, end) for end, length in zip(ends, lengths, strict=True)]
    # exp of a large negative number is a true 0 at this precision; a pass that overflows is done again below
    with np.errstate(under="ignore", over="ignore", invalid="ignore", divide="ignore"):
        density = np.exp(log_density - highest)
        scaled = np.zeros(len(runs))
        for index, run in enumerate(runs):
            try:
                scaled[index], forward[run], scales = _hmmc.forward_scaling(startprob, transmat, density[run])
            except ValueError:  # hmmlearn: "forward pass failed with underflow"
                scaled[index] = np.nan
                continue
            backward[run] = _hmmc.backward_scaling(startprob, transmat, density[run], scales)
        posterior = forward * backward
        posterior /= posterior @ np.ones((len(startprob), 1))
    trans = np.zeros_like(transmat)
    sound = np.isfinite(scaled).all() and np.isfinite(posterior).all()
    for index, run in enumerate([] if sound else runs):
        if np.isfinite(scaled[index]) and np.isfinite(posterior[run]).all():
            continue
        scaled[index], posterior[run], found = _in_logarithms(startprob, transmat, log_density[run])
        scaled[index] -= highest[run].sum()
        trans += found
        forward[run] = backward[run] = 0.0
    forward[ends - 1] = 0.0  # nothing follows the last row of a run
    with np.errstate(under="ignore"):
        trans += transmat * (forward[:-1].T @ (density[1:] * backward[1:]))
    loglik = float(highest.sum() + scaled.sum())
    return posterior, trans, loglik


def _in_logarithms(
    startprob: Float[np.ndarray, " states"],
    transmat: Float[np.ndarray, "states states"],
    log_density: Float[np.ndarray, "steps states"],
) -> tuple[float, Float[np.ndarray, "steps states"], Float[np.ndarray, "states states"]]:
    """Return log-likelihood, posteriors and expected transitions of one run, which cannot underflow."""
    log_density = np.ascontiguousarray(log_density)
    loglik, forward = _hmmc.forward_log(startprob, transmat, log_density)
    backward = _hmmc.backward_log(startprob, transmat, log_density)
    trans = np.zeros_like(transmat)
    with np.errstate(under="ignore", divide="ignore"):
        posterior = np.exp(forward + backward - loglik)
        posterior /= posterior.sum(axis=1, keepdims=True)
        if len(log_density) > 1:
            trans = np.exp(_hmmc.compute_log_xi_sum(forward, transmat, backward, log_density))
    return float(loglik), posterior, trans


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
        start: where to start; its covariances are floored first, its zero transitions stay zero.
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
