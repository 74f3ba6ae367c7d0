"""What one number of states achieved."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Candidate:
    """What one number of states achieved. Log-likelihoods are in nats per observation (row).

    Attributes:
        n_states: K.
        heldout_loglik: mean over groups of runs of the log-likelihood per observation of each run under the
            model of the fold that held it out.
        heldout_se: standard error of that mean over groups.
        heldout_logliks: the value of each run, in the order of `Trust.runs`.
        shortfall: mean over groups of (K with the highest mean - this K): 0 for the highest.
        shortfall_se: standard error of that paired difference: runs differ more than models do.
        train_loglik: of the best restart on all runs.
        bic: -2 ln L + parameters ln(observations), in nats; lower is better.
        parameters: free parameters.
        best_restart_hits: restarts within 0.001 nats per observation of the best.
        restart_logliks: training log-likelihood of each restart, in order; -inf where EM failed.
        converged: restarts whose last EM step gained less than the tolerance.
    """

    n_states: int
    heldout_loglik: float
    heldout_se: float
    heldout_logliks: tuple[float, ...]
    shortfall: float
    shortfall_se: float
    train_loglik: float
    bic: float
    parameters: int
    best_restart_hits: int
    restart_logliks: tuple[float, ...]
    converged: int
