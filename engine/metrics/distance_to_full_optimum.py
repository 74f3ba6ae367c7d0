"""Distance of every replica's read-out to the optimum of gradient descent."""

from engine.metrics._optimum_distance import optimum_distance

METRIC = optimum_distance(
    "Distance to M*_GD",
    "the least-squares optimum on all training rows normalized as one batch",
    lambda optima: optima.full,
)
