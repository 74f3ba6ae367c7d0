"""Data orders and batch normalization: what an order makes of the data, and paired comparisons of orders."""

from engine.analysis.shuffling.effects import Effect, paired_effect
from engine.analysis.shuffling.normalization import NormalizedData, dataset, normalize
from engine.analysis.shuffling.optimum import optimum
from engine.analysis.shuffling.reversal import LEAST_RATIO, Reading, differs, read, same, underpowered

__all__ = [
    "LEAST_RATIO",
    "Effect",
    "NormalizedData",
    "Reading",
    "dataset",
    "differs",
    "normalize",
    "optimum",
    "paired_effect",
    "read",
    "same",
    "underpowered",
]
