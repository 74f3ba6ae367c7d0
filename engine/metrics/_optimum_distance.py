"""Metrics that say how far a linear read-out is from a least-squares optimum."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from engine.metrics._metric import Metric, Optima, State

READOUT = "squared errors of a read-out without bias on fixed features (`linear-network` of depth 0)"


def optimum_distance(label: str, formula: str, of: Callable[[Optima], Float[Tensor, "..."]]) -> Metric:
    """Return the metric ||M - M*||_F / ||M*||_F; None of a model that is not linear in fixed features.

    Args:
        label: what axes and tables call it.
        formula: which M* it is.
        of: that M* of the optima, for all replicas or for each.

    Source:
        Wu, Yun & Sra 2023, section 3.1.
    """

    def compute(state: State) -> Float[Tensor, " seeds"] | None:
        if state.matrix is None or state.optima is None:
            return None
        best = of(state.optima).double()
        return _norm(state.matrix.double() - best) / _norm(best)

    return Metric(
        label=label,
        unit="",
        formula=f"||M - M*||_F / ||M*||_F with M the linear read-out and M* {formula}",
        source="Wu, Yun & Sra 2023, section 3.1",
        log=True,
        compute=compute,
        default=False,
        needs=READOUT,
    )


def _norm(matrices: Float[Tensor, "*seeds outputs features"]) -> Float[Tensor, "*seeds"]:
    norms: Tensor = torch.linalg.vector_norm(matrices, dim=(-2, -1))
    return norms
