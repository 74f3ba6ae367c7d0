"""L1 norm of the stacked weights."""

from jaxtyping import Float
from torch import Tensor

from engine.metrics._metric import Metric, State


def compute(state: State) -> Float[Tensor, " seeds"]:
    """Return the mean over weight matrices W of sum |w|."""
    return state.weights.mean_over_matrices(lambda matrix, spectrum: matrix.abs().sum((1, 2)))


METRIC = Metric(
    label="L1 norm",
    unit="",
    formula="mean over weight matrices W of sum |w|",
    source="Hu, Chen, Saphra & Cho 2023, table 1",
    log=True,
    compute=compute,
)
