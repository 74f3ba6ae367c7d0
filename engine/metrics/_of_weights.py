"""The metrics that need nothing but a network's weights, of one network at a time."""

from collections.abc import Mapping
from typing import Any, NoReturn

import torch
from torch import Tensor

from engine.metrics._metric import State
from engine.metrics._weights import Weights

OF_WEIGHTS = (
    *("l1", "l2", "l1_over_l2", "mean_w", "median_w", "var_w", "mean_b", "median_b", "var_b", "trace"),
    *("spectral_norm", "trace_over_spectral_norm", "mean_singular_value", "var_singular_value"),
)
"""The 14 of Hu, Chen, Saphra & Cho 2023, table 1."""


def of_weights(parameters: Mapping[str, Tensor]) -> dict[str, float]:
    """Return those of the 14 metrics that a network has, see `Weights` for what counts as a weight or a bias.

    Args:
        parameters: by name; of one network, not stacked.

    Raises:
        ValueError: no parameter has two dimensions or more.
    """
    from engine.metrics import metrics

    stacked = {name: value.detach()[None] for name, value in parameters.items()}
    weights = Weights(stacked)
    if not weights.matrices:
        raise ValueError(f"`parameters` must hold a weight matrix; got {sorted(parameters)}.")
    none = (torch.empty(0, 1), torch.empty(0))
    state = State(
        "values", weights, stacked, stacked, _unknown, _unknown, _unknown, _unknown, train=none, test=none
    )
    values = {name: metrics()[name].compute(state) for name in OF_WEIGHTS}
    return {name: float(value[0]) for name, value in values.items() if value is not None}


def _unknown(*_: Any) -> NoReturn:
    raise RuntimeError("A metric of weights asked for outputs, of which nothing is known.")
