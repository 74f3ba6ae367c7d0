"""Metrics that are the mean over weight matrices of a quantity of one."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from engine.metrics._metric import Metric, State
from engine.metrics._weights import Weights


def matrix_metric(
    label: str,
    formula: str,
    log: bool,
    quantity: Callable[[Weights, str], Float[Tensor, " seeds"] | None],
    needs: str = "",
) -> Metric:
    """Return the metric of a quantity of a weight matrix W: its mean over matrices, and each by its layer.

    Args:
        label: what axes and tables call it.
        formula: of the quantity of one W.
        log: whether it is normally drawn on a logarithmic axis.
        quantity: of the weights and the layer's name; None for a matrix that has none, which is left out.
        needs: what a model must have for it, see ``Metric``.

    Source:
        Hu, Chen, Saphra & Cho 2023, table 1.
    """

    def layers(state: State) -> dict[str, Float[Tensor, " seeds"]]:
        found = {layer: quantity(state.weights, layer) for layer in state.weights.matrices}
        return {layer: value for layer, value in found.items() if value is not None}

    def compute(state: State) -> Float[Tensor, " seeds"] | None:
        values = list(layers(state).values())
        return torch.stack(values).mean(0) if values else None

    return Metric(
        label=label,
        unit="",
        formula=f"mean over weight matrices W of {formula}",
        source="Hu, Chen, Saphra & Cho 2023, table 1",
        log=log,
        compute=compute,
        layers=layers,
        needs=needs,
    )
