"""What one number of states achieved."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Candidate:
    """What one number of states achieved. Log-likelihoods are in nats per observation (row).

    Attributes:
        n_states: K.
        heldout_loglik: mean over held-out runs of each run's log-likelihood per observation.
        heldout_se: standard error of that mean over held-out runs; NaN with a single one.
        heldout_logliks: the value of each held-out run, in the order of `Trust.held_out`.
        shortfall: mean over held-out runs of (K with the highest mean - this K): 0 for the highest.
        shortfall_se: standard error of that paired difference: runs differ more than models do.
        train_loglik: of the best restart on the training runs.
        bic: -2 ln L + parameters ln(training observations), in nats; lower is better.
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
