"""Variance of all weights of the stacked weights."""

from jaxtyping import Float
from torch import Tensor

from engine.metrics._metric import Metric, State


def compute(state: State) -> Float[Tensor, " seeds"]:
    """Return the unbiased variance of all entries of all weight matrices."""
    return state.weights.all_weights.var(1)


METRIC = Metric(
    label="Variance of all weights",
    unit="",
    formula="unbiased variance of all entries of all weight matrices",
    source="Hu, Chen, Saphra & Cho 2023, table 1",
    log=True,
    compute=compute,
)
