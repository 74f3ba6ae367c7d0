"""Median of all biases of the stacked weights."""

from jaxtyping import Float
from torch import Tensor

from engine.metrics._metric import Metric, State


def compute(state: State) -> Float[Tensor, " seeds"] | None:
    """Return the lower median of all entries of all biases; None without biases."""
    biases = state.weights.all_biases
    return None if biases is None else biases.median(1).values


METRIC = Metric(
    label="Median of all biases",
    unit="",
    formula="lower median of all entries of all biases",
    source="Hu, Chen, Saphra & Cho 2023, table 1",
    log=False,
    compute=compute,
)
