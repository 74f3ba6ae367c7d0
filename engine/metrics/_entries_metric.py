"""Metrics that are a statistic of all weights, or of all biases, together."""

from collections.abc import Callable
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from engine.metrics._metric import Metric, State

_NAMES = {"weights": "weight matrices", "biases": "biases"}


def entries_metric(
    statistic: str,
    kind: Literal["weights", "biases"],
    log: bool,
    quantity: Callable[[Float[Tensor, "seeds entries"]], Float[Tensor, " seeds"]],
    least: int = 1,
) -> Metric:
    """Return the metric of a statistic of entries: of all layers' together, and of each layer's.

    Args:
        statistic: its name in lower case.
        kind: whose entries.
        log: whether it is normally drawn on a logarithmic axis.
        quantity: the statistic over the last axis.
        least: entries below which there is no such statistic.

    Source:
        Hu, Chen, Saphra & Cho 2023, table 1.
    """

    def compute(state: State) -> Float[Tensor, " seeds"] | None:
        weights = state.weights
        entries = weights.all_weights if kind == "weights" else weights.all_biases
        return None if entries is None or entries.shape[1] < least else quantity(entries)

    def layers(state: State) -> dict[str, Float[Tensor, " seeds"]]:
        named = state.weights.matrices if kind == "weights" else state.weights.biases
        entries = {layer: value.flatten(1) for layer, value in named.items()}
        return {layer: quantity(value) for layer, value in entries.items() if value.shape[1] >= least}

    return Metric(
        label=f"{statistic.removeprefix('lower ').removeprefix('unbiased ').capitalize()} of all {kind}",
        unit="",
        formula=f"{statistic} of all entries of all {_NAMES[kind]}",
        source="Hu, Chen, Saphra & Cho 2023, table 1",
        log=log,
        compute=compute,
        layers=layers,
        needs=f"a model with {'two ' if least > 1 else ''}{kind}{' or more' if least > 1 else ''}",
    )
