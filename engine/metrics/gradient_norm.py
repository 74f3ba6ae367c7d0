"""Gradient norm of every replica."""

from engine.metrics._norm_metric import norm_metric

METRIC = norm_metric(
    "Gradient norm",
    "Euclidean norm of the gradient over all parameters, of the step just taken",
    "the usual definition",
    lambda state: state.gradients,
)
