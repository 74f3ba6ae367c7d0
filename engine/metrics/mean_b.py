"""Mean of all biases of the stacked weights."""

from engine.metrics._entries_metric import entries_metric

METRIC = entries_metric("mean", "biases", log=False, quantity=lambda entries: entries.mean(1))
