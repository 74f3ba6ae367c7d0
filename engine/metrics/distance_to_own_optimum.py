"""Distance of every replica's read-out to the optimum of its own first permutation."""

from engine.metrics._optimum_distance import optimum_distance

METRIC = optimum_distance(
    "Distance to its own M*_SS",
    "the least-squares optimum on the batches of the replica's first permutation, each normalized by itself",
    lambda optima: optima.own,
)
