"""Mean of all biases of the stacked weights."""

from jaxtyping import Float
from torch import Tensor

from engine.metrics._metric import Metric, State


def compute(state: State) -> Float[Tensor, " seeds"] | None:
    """Return the mean of all entries of all biases; None without biases."""
    biases = state.weights.all_biases
    return None if biases is None else biases.mean(1)


METRIC = Metric(
    label="Mean of all biases",
    unit="",
    formula="mean of all entries of all biases",
    source="Hu, Chen, Saphra & Cho 2023, table 1",
    log=False,
    compute=compute,
)
