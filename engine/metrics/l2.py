"""L2 norm of the stacked weights."""

from engine.metrics._matrix_metric import matrix_metric

METRIC = matrix_metric(
    "L2 norm", "sqrt(sum w^2)", log=True, quantity=lambda weights, layer: weights.l2[layer]
)
