"""L2 norm of the stacked weights."""

import torch
from jaxtyping import Float
from torch import Tensor

from engine.metrics._metric import Metric, State


def compute(state: State) -> Float[Tensor, " seeds"]:
    """Return the mean over weight matrices W of sqrt(sum w^2)."""
    return state.weights.mean_over_matrices(
        lambda matrix, spectrum: torch.linalg.vector_norm(matrix, dim=(1, 2))
    )


METRIC = Metric(
    label="L2 norm",
    unit="",
    formula="mean over weight matrices W of sqrt(sum w^2)",
    source="Hu, Chen, Saphra & Cho 2023, table 1",
    log=True,
    compute=compute,
)
