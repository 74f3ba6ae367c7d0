"""The quantities measured during training, one file each."""

from functools import cache

from data.plugins import discover
from engine.metrics._metric import Metric, Optima, State
from engine.metrics._of_weights import OF_WEIGHTS, of_weights
from engine.metrics._weights import Weights

__all__ = ["OF_WEIGHTS", "Metric", "Optima", "State", "Weights", "metrics", "of_weights"]


@cache
def metrics() -> dict[str, Metric]:
    """Return every metric by its column name; a metric is one file that defines ``METRIC``."""
    return {
        name.replace("-", "_"): metric
        for name, metric in discover("engine.metrics", "METRIC", Metric).items()
    }
