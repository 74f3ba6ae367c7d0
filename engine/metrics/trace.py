"""Trace of the stacked weights."""

from jaxtyping import Float
from torch import Tensor

from engine.metrics._metric import Metric, State


def compute(state: State) -> Float[Tensor, " seeds"]:
    """Return the mean over weight matrices W of the sum of the diagonal of the leading square."""
    return state.weights.mean_over_matrices(lambda matrix, spectrum: matrix.diagonal(dim1=1, dim2=2).sum(1))


METRIC = Metric(
    label="Trace",
    unit="",
    formula="mean over weight matrices W of the sum of the diagonal of the leading square",
    source="Hu, Chen, Saphra & Cho 2023, table 1",
    log=False,
    compute=compute,
)
