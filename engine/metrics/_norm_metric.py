"""Metrics that are the Euclidean norm of something stacked like the parameters."""

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from engine.metrics._metric import Metric, State, global_norm
from engine.metrics._weights import weight_matrices


def norm_metric(
    label: str, formula: str, source: str, of: Callable[[State], Mapping[str, Tensor] | None]
) -> Metric:
    """Return the metric of a norm: over all parameters together, and over each weight matrix.

    Args:
        label: what axes and tables call it.
        formula: how it is computed, in one line.
        source: who defined it.
        of: what the norm is taken of, by the parameter's name; None where there is none at this step.
    """

    def compute(state: State) -> Float[Tensor, " seeds"] | None:
        stacked = of(state)
        return None if stacked is None else global_norm(stacked)

    def layers(state: State) -> dict[str, Float[Tensor, " seeds"]]:
        matrices = weight_matrices(of(state) or {})
        return {
            layer: torch.linalg.vector_norm(matrix, 2, (1, 2), dtype=torch.float64)
            for layer, matrix in matrices.items()
        }

    return Metric(
        label=label, unit="", formula=formula, source=source, log=True, compute=compute, layers=layers
    )
