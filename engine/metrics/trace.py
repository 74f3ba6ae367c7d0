"""Trace of the stacked weights."""

from engine.metrics._matrix_metric import matrix_metric

METRIC = matrix_metric(
    "Trace",
    "the sum of the diagonal of the leading square",
    log=False,
    quantity=lambda weights, layer: weights.trace[layer],
)
