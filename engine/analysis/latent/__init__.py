"""Latent states of training: fit a Gaussian HMM to metrics of many runs, decode, explain, keep."""

from engine.analysis.latent.candidate import Candidate
from engine.analysis.latent.fitting import Stopped, fit
from engine.analysis.latent.model import Decoded, LatentModel, decode
from engine.analysis.latent.parameters import Covariance
from engine.analysis.latent.preparation import Cut, Dropped, Normalize, Scaling
from engine.analysis.latent.record import from_record, to_record
from engine.analysis.latent.selection import Selection
from engine.analysis.latent.transitions import Transition, explain
from engine.analysis.latent.trust import Trust

__all__ = [
    "Candidate",
    "Covariance",
    "Cut",
    "Decoded",
    "Dropped",
    "LatentModel",
    "Normalize",
    "Scaling",
    "Selection",
    "Stopped",
    "Transition",
    "Trust",
    "decode",
    "explain",
    "fit",
    "from_record",
    "to_record",
]
