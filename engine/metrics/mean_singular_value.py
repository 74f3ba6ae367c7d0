"""Mean singular value of the stacked weights."""

from engine.metrics._matrix_metric import matrix_metric

METRIC = matrix_metric(
    "Mean singular value",
    "the mean of the singular values",
    log=True,
    quantity=lambda weights, layer: weights.singular_values[layer].mean(1),
)
