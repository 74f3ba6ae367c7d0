"""Mean singular value of the stacked weights."""

from jaxtyping import Float
from torch import Tensor

from engine.metrics._metric import Metric, State


def compute(state: State) -> Float[Tensor, " seeds"]:
    """Return the mean over weight matrices W of the mean of the singular values."""
    return state.weights.mean_over_matrices(lambda matrix, spectrum: spectrum.mean(1))


METRIC = Metric(
    label="Mean singular value",
    unit="",
    formula="mean over weight matrices W of the mean of the singular values",
    source="Hu, Chen, Saphra & Cho 2023, table 1",
    log=True,
    compute=compute,
)
