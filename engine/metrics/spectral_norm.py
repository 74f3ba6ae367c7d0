"""Spectral norm of the stacked weights."""

from jaxtyping import Float
from torch import Tensor

from engine.metrics._metric import Metric, State


def compute(state: State) -> Float[Tensor, " seeds"]:
    """Return the mean over weight matrices W of the largest singular value."""
    return state.weights.mean_over_matrices(lambda matrix, spectrum: spectrum[:, 0])


METRIC = Metric(
    label="Spectral norm",
    unit="",
    formula="mean over weight matrices W of the largest singular value",
    source="Hu, Chen, Saphra & Cho 2023, table 1",
    log=True,
    compute=compute,
)
