"""Variance of all weights of the stacked weights."""

from engine.metrics._entries_metric import entries_metric

METRIC = entries_metric(
    "unbiased variance", "weights", log=True, quantity=lambda entries: entries.var(1), least=2
)
