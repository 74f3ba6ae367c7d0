"""Trace / spectral norm (computational sparsity) of the stacked weights."""

from engine.metrics._matrix_metric import matrix_metric

METRIC = matrix_metric(
    "Trace / spectral norm (computational sparsity)",
    "trace(W) / largest singular value",
    log=False,
    quantity=lambda weights, layer: weights.trace[layer] / weights.singular_values[layer][:, 0],
)
