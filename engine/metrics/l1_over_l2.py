"""L1 / L2 (code sparsity) of the stacked weights."""

from engine.metrics._matrix_metric import matrix_metric

METRIC = matrix_metric(
    "L1 / L2 (code sparsity)",
    "sum |w| / sqrt(sum w^2)",
    log=False,
    quantity=lambda weights, layer: weights.l1[layer] / weights.l2[layer],
)
