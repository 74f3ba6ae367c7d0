"""Distance of every replica from its initialization."""

from engine.metrics._norm_metric import norm_metric

METRIC = norm_metric(
    "Distance from initialization",
    "Euclidean distance of all parameters from those before the first step",
    "the usual definition",
    lambda state: {name: value - state.initial[name] for name, value in state.parameters.items()},
)
