"""A fitted model of latent states, and what it says about runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from hmmlearn import _hmmc
from hmmlearn.hmm import GaussianHMM
from jaxtyping import Float, Int
from scipy.special import softmax

from engine.analysis.latent.parameters import Covariance, Parameters, Topology, log_densities
from engine.analysis.latent.preparation import Dropped, Normalize, Runs, Scaling


@dataclass(frozen=True)
class LatentModel:
    """A Gaussian HMM of training, its states numbered by the mean step of their first visit.

    Attributes:
        n_states: K.
        startprob: probability of each state at the first row.
        transmat: probability of the next state (column) given the present one (row).
        means: mean emission of each state, in model units (see `scaling`).
        covars: variances [states, features] or covariance matrices [states, features, features].
        scaling: how a run's metrics become model units, and which were dropped.
        paths: most probable state at every row used of each run fitted, in the order given: every
            `scaling.every`-th row up to where the run was cut; empty where it was left out.
        posteriors: probability of each state at those rows, given the whole run.
        tied: the states share one covariance matrix, which `covars` repeats.
        topology: which transitions were allowed: all, or none to a state left before.
    """

    n_states: int
    startprob: Float[np.ndarray, " states"]
    transmat: Float[np.ndarray, "states states"]
    means: Float[np.ndarray, "states features"]
    covars: Float[np.ndarray, "states features *features"]
    scaling: Scaling
    paths: list[Int[np.ndarray, " _"]]
    posteriors: list[Float[np.ndarray, "_ states"]]
    tied: bool = False
    topology: Topology = "ergodic"

    @property
    def names(self) -> tuple[str, ...]:
        """Metrics behind the columns of `means`."""
        return self.scaling.names

    @property
    def dropped(self) -> tuple[Dropped, ...]:
        """Metrics asked for but left out, and why."""
        return self.scaling.dropped

    @property
    def normalize(self) -> Normalize:
        """How metrics were standardized."""
        return self.scaling.normalize

    @property
    def covariance(self) -> Covariance:
        """Shape of the covariances: "diag", "full" or "tied"."""
        return self.parameters.covariance

    @property
    def parameters(self) -> Parameters:
        """The parameters of the HMM alone."""
        return Parameters(self.startprob, self.transmat, self.means, self.covars, self.tied)


class Decoded(NamedTuple):
    """States of runs under a model.

    Attributes:
        paths: most probable sequence of states (Viterbi) of each run, at the rows that the model uses.
        posteriors: probability of each state at each row given the whole run (smoothed).
    """

    paths: list[Int[np.ndarray, " _"]]
    posteriors: list[Float[np.ndarray, "_ states"]]


def decode(model: LatentModel, runs: Runs) -> Decoded:
    """Return the states of runs, seen in the fit or not.

    Args:
        model: a fitted model.
        runs: [steps, metrics], the columns of `model.scaling.requested` in that order; a run is cut at its
            first row that is not finite or at least 1e12 in size, and thinned as the fit was.

    Raises:
        ValueError: wrong columns, or a metric on a log scale that is not positive.

    Source:
        Rabiner 1989, sections III.A and III.B.
    """
    return decode_rows(model.parameters, model.scaling.rows_of(runs))


def decode_rows(parameters: Parameters, runs: list[Float[np.ndarray, "_ features"]]) -> Decoded:
    """Return the states of runs that are in model units already."""
    hmm = as_hmmlearn(parameters)
    paths, posteriors = [], []
    for run in runs:
        if len(run) == 0:
            paths.append(np.zeros(0, dtype=int))
            posteriors.append(np.zeros((0, len(parameters.startprob))))
            continue
        paths.append(hmm.decode(run)[1].astype(int))
        posteriors.append(hmm.predict_proba(run))
    return Decoded(paths, posteriors)


def logliks(
    parameters: Parameters, runs: list[Float[np.ndarray, "_ features"]]
) -> Float[np.ndarray, " runs"]:
    """Return ln p(run) of each run in nats, over all its rows."""
    hmm = as_hmmlearn(parameters)
    return np.array([hmm.score(run) for run in runs], dtype=float)


def filtered_probabilities(
    parameters: Parameters, run: Float[np.ndarray, "steps features"]
) -> Float[np.ndarray, "steps states"]:
    """Return p(s_t = k | z_1..t): the belief at each row before the rest of the run is known.

    Source:
        Rabiner 1989, equations 19 and 20, in logarithms and normalized at every row.
    """
    joint = _hmmc.forward_log(parameters.startprob, parameters.transmat, log_densities(parameters, run))[1]
    probabilities: Float[np.ndarray, "steps states"] = softmax(joint, axis=1)
    return probabilities


def as_hmmlearn(parameters: Parameters) -> GaussianHMM:
    """Return hmmlearn's model with these parameters, working in logarithms."""
    kind = "diag" if parameters.covars.ndim == 2 else "full"
    hmm = GaussianHMM(len(parameters.startprob), covariance_type=kind, implementation="log")
    hmm.startprob_, hmm.transmat_ = parameters.startprob, parameters.transmat
    hmm.means_ = parameters.means
    hmm.covars_ = parameters.covars
    return hmm
