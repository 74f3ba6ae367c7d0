"""Variance of all biases of the stacked weights."""

from jaxtyping import Float
from torch import Tensor

from engine.metrics._metric import Metric, State


def compute(state: State) -> Float[Tensor, " seeds"] | None:
    """Return the unbiased variance of all entries of all biases; None without biases."""
    biases = state.weights.all_biases
    return None if biases is None else biases.var(1)


METRIC = Metric(
    label="Variance of all biases",
    unit="",
    formula="unbiased variance of all entries of all biases",
    source="Hu, Chen, Saphra & Cho 2023, table 1",
    log=True,
    compute=compute,
)
