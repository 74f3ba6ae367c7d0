"""Update norm of every replica."""

from engine.metrics._norm_metric import norm_metric

METRIC = norm_metric(
    "Update norm",
    "Euclidean norm of the change of all parameters in the step just taken",
    "the usual definition",
    lambda state: state.updates,
)
