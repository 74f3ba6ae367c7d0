"""Median of all biases of the stacked weights."""

from engine.metrics._entries_metric import entries_metric

METRIC = entries_metric(
    "lower median", "biases", log=False, quantity=lambda entries: entries.median(1).values
)
