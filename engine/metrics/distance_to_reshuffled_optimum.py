"""Distance of every replica's read-out to the optimum of Random Reshuffle."""

from engine.metrics._optimum_distance import optimum_distance

METRIC = optimum_distance(
    "Distance to M*_RR",
    "the least-squares optimum on all subsets of the batch size, each normalized by itself",
    lambda optima: optima.reshuffled,
)
