"""Trace / spectral norm (computational sparsity) of the stacked weights."""

from jaxtyping import Float
from torch import Tensor

from engine.metrics._metric import Metric, State


def compute(state: State) -> Float[Tensor, " seeds"]:
    """Return the mean over weight matrices W of trace(W) / largest singular value."""
    return state.weights.mean_over_matrices(
        lambda matrix, spectrum: matrix.diagonal(dim1=1, dim2=2).sum(1) / spectrum[:, 0]
    )


METRIC = Metric(
    label="Trace / spectral norm (computational sparsity)",
    unit="",
    formula="mean over weight matrices W of trace(W) / largest singular value",
    source="Hu, Chen, Saphra & Cho 2023, table 1",
    log=False,
    compute=compute,
)
