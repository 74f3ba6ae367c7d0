"""Latent states of training: fit a Gaussian HMM to metrics of many runs, decode, explain, keep."""

from engine.analysis.latent.candidate import Candidate
from engine.analysis.latent.exchange import from_hmmlearn, from_json, to_json
from engine.analysis.latent.fitting import fit
from engine.analysis.latent.matching import Matching, match
from engine.analysis.latent.model import Decoded, LatentModel, decode
from engine.analysis.latent.parameters import Covariance, Topology
from engine.analysis.latent.preparation import Cut, Dropped, Normalize, Scaling
from engine.analysis.latent.processes import Stopped
from engine.analysis.latent.record import from_record, model_record, to_record
from engine.analysis.latent.selection import Selection
from engine.analysis.latent.transitions import Transition, explain
from engine.analysis.latent.trust import Rival, Trust

__all__ = [
    "Candidate",
    "Covariance",
    "Cut",
    "Decoded",
    "Dropped",
    "LatentModel",
    "Matching",
    "Normalize",
    "Rival",
    "Scaling",
    "Selection",
    "Stopped",
    "Topology",
    "Transition",
    "Trust",
    "decode",
    "explain",
    "fit",
    "from_hmmlearn",
    "from_json",
    "from_record",
    "match",
    "model_record",
    "to_json",
    "to_record",
]
