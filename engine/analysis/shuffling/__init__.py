"""Data orders and batch normalization: what an order makes of the data, and paired comparisons of orders."""

from engine.analysis.shuffling.effects import Effect, paired_effect
from engine.analysis.shuffling.normalization import NormalizedData, dataset, normalize
from engine.analysis.shuffling.optimum import optimum

__all__ = ["Effect", "NormalizedData", "dataset", "normalize", "optimum", "paired_effect"]
