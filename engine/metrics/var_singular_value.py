"""Variance of singular values of the stacked weights."""

from jaxtyping import Float
from torch import Tensor

from engine.metrics._matrix_metric import matrix_metric
from engine.metrics._weights import Weights


def quantity(weights: Weights, layer: str) -> Float[Tensor, " seeds"] | None:
    """Return the unbiased variance of the singular values; None of a matrix of one row or column."""
    values = weights.singular_values[layer]
    return values.var(1) if values.shape[1] > 1 else None


METRIC = matrix_metric(
    "Variance of singular values",
    "the unbiased variance of the singular values (a W of one row or column has none and is left out)",
    log=True,
    quantity=quantity,
    needs="a weight matrix of at least two rows and two columns",
)
