"""Median of all weights of the stacked weights."""

from engine.metrics._entries_metric import entries_metric
from engine.metrics._lower_median import lower_median

METRIC = entries_metric("lower median", "weights", log=False, quantity=lower_median)
