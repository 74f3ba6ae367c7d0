"""Variance of singular values of the stacked weights."""

from jaxtyping import Float
from torch import Tensor

from engine.metrics._metric import Metric, State


def compute(state: State) -> Float[Tensor, " seeds"]:
    """Return the mean over weight matrices W of their unbiased variance of singular values."""
    return state.weights.mean_over_matrices(lambda matrix, spectrum: spectrum.var(1))


METRIC = Metric(
    label="Variance of singular values",
    unit="",
    formula="mean over weight matrices W of the unbiased variance of the singular values",
    source="Hu, Chen, Saphra & Cho 2023, table 1",
    log=True,
    compute=compute,
)
