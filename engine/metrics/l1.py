"""L1 norm of the stacked weights."""

from engine.metrics._matrix_metric import matrix_metric

METRIC = matrix_metric("L1 norm", "sum |w|", log=True, quantity=lambda weights, layer: weights.l1[layer])
