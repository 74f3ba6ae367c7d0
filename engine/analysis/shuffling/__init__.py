"""Data orders and batch normalization: what an order makes of the data, and comparisons of orders."""

from engine.analysis.shuffling.divergence import Divergence, divergence
from engine.analysis.shuffling.effects import Effect, paired_effect
from engine.analysis.shuffling.gridding import on_one_grid
from engine.analysis.shuffling.normalization import NormalizedData, dataset, normalize
from engine.analysis.shuffling.optimum import optimum
from engine.analysis.shuffling.plane import Plane, hull, plane
from engine.analysis.shuffling.prediction import Verdict, settling_time, verdict
from engine.analysis.shuffling.rates import REFERENCE_RATES, Level, Rate, ReferenceRate, level, rate
from engine.analysis.shuffling.reversal import LEAST_RATIO, Reading, differs, read, same, underpowered
from engine.analysis.shuffling.risks import Optima, Risks, Sampled, distance, optima, risk, risks
from engine.analysis.shuffling.separation import (
    Certificate,
    Separability,
    one_against_rest,
    separabilities,
    separability,
)
from engine.analysis.shuffling.signed_rank import SignedRank, signed_rank
from engine.analysis.shuffling.unpaired import UnpairedEffect, unpaired_effect
from engine.analysis.shuffling.what_if import Judged, WhatIf, remarks, what_if

__all__ = [
    "LEAST_RATIO",
    "REFERENCE_RATES",
    "Certificate",
    "Divergence",
    "Effect",
    "Judged",
    "Level",
    "NormalizedData",
    "Optima",
    "Plane",
    "Rate",
    "Reading",
    "ReferenceRate",
    "Risks",
    "Sampled",
    "Separability",
    "SignedRank",
    "UnpairedEffect",
    "Verdict",
    "WhatIf",
    "dataset",
    "differs",
    "distance",
    "divergence",
    "hull",
    "level",
    "normalize",
    "on_one_grid",
    "one_against_rest",
    "optima",
    "optimum",
    "paired_effect",
    "plane",
    "rate",
    "read",
    "remarks",
    "risk",
    "risks",
    "same",
    "separabilities",
    "separability",
    "settling_time",
    "signed_rank",
    "underpowered",
    "unpaired_effect",
    "verdict",
    "what_if",
]
