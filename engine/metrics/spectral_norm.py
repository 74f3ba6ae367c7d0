"""Spectral norm of the stacked weights."""

from engine.metrics._matrix_metric import matrix_metric

METRIC = matrix_metric(
    "Spectral norm",
    "the largest singular value",
    log=True,
    quantity=lambda weights, layer: weights.singular_values[layer][:, 0],
)
