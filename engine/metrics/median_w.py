"""Median of all weights of the stacked weights."""

from jaxtyping import Float
from torch import Tensor

from engine.metrics._metric import Metric, State


def compute(state: State) -> Float[Tensor, " seeds"]:
    """Return the lower median of all entries of all weight matrices."""
    return state.weights.all_weights.median(1).values


METRIC = Metric(
    label="Median of all weights",
    unit="",
    formula="lower median of all entries of all weight matrices",
    source="Hu, Chen, Saphra & Cho 2023, table 1",
    log=False,
    compute=compute,
)
