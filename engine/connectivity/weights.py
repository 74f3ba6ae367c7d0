"""State dicts of one architecture: checked, brought to one precision and one device, and mixed."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

Weights = Mapping[str, Tensor | np.ndarray]
"""A network as it is given: a state dict, or arrays by the same names."""
Array = Shaped[Tensor, "..."] | Shaped[np.ndarray, "..."]
"""Inputs or targets with examples in rows."""
State = dict[str, Tensor]
"""A network as it is computed with; stacked, every tensor has a leading axis of points."""


def checked(model: nn.Module, **networks: Weights) -> list[State]:
    """Return networks as tensors of one precision on one device: the widest that occurs, the first's device.

    Args:
        model: the architecture; its own weights are not read.
        networks: by the names that errors call them.

    Raises:
        ValueError: a parameter is missing, unknown, of another shape or not finite.
    """
    tensors = dict[str, State]()
    for name, network in networks.items():
        _require_same(model, name, network)
        tensors[name] = {key: _tensor(network[key]) for key in model.state_dict()}
        _require_finite(name, tensors[name])
    floats = [value for one in tensors.values() for value in one.values() if value.is_floating_point()]
    if not floats:
        raise ValueError("`model` must have weights; it has none.")
    dtype, device = floats[0].dtype, floats[0].device
    for value in floats:
        dtype = torch.promote_types(dtype, value.dtype)
    return [
        {key: value.to(device, dtype if value.is_floating_point() else None) for key, value in one.items()}
        for one in tensors.values()
    ]


def _tensor(value: Tensor | np.ndarray) -> Tensor:
    return value.detach() if isinstance(value, Tensor) else torch.from_numpy(np.array(value))


def _require_same(model: nn.Module, name: str, network: Weights) -> None:
    expected = model.state_dict()
    for key, value in expected.items():
        if key not in network:
            raise ValueError(f"`{name}` must have all parameters of `model`; `{key}` is missing.")
        if tuple(network[key].shape) != tuple(value.shape):
            raise ValueError(
                f"`{name}` must be of the architecture of `model`, where `{key}` is {tuple(value.shape)}; "
                f"got {tuple(network[key].shape)}."
            )
    for key in network:
        if key not in expected:
            raise ValueError(f"`{name}` must have the parameters of `model` only; it does not have `{key}`.")


def _require_finite(name: str, network: State) -> None:
    for key, value in network.items():
        # A sum is not finite where an entry is not: one pass without a mask; a rare overflow is looked into.
        if value.is_floating_point() and not value.sum().isfinite():
            wrong = int((~value.isfinite()).sum())
            if wrong:
                raise ValueError(
                    f"`{name}` must be finite; `{key}` has {wrong} entries that are not. Take a checkpoint "
                    "from before the run diverged."
                )


def stacked(networks: Sequence[State]) -> State:
    """Return networks along a leading axis."""
    return {key: torch.stack([one[key] for one in networks]) for key in networks[0]}


def mixed(
    corners: State,
    coefficients: Float[Tensor, "points corners"],
    apart: Mapping[str, Float[Tensor, "points corners"]] | None = None,
) -> State:
    """Return weighted sums of networks, stacked; what is not a floating-point number is the first network's.

    Args:
        corners: the networks, stacked.
        coefficients: of each network at each point; (1, 0, ...) gives back the first one exactly.
        apart: coefficients of parameters that are weighted in another way, by name.
    """
    sums: State = {}
    for key, value in corners.items():
        if value.is_floating_point():
            weight = coefficients if apart is None else apart.get(key, coefficients)
            sums[key] = torch.tensordot(weight.to(value), value, 1)
        else:
            sums[key] = value[0].expand(len(coefficients), *value.shape[1:])
    return sums


def one_of(networks: State, point: int) -> State:
    """Return one network of a stack."""
    return {key: value[point] for key, value in networks.items()}


def as_inputs(X: Array, like: State) -> Tensor:
    """Return inputs on the networks' device, measurements in their precision, tokens as they are.

    Raises:
        ValueError: there are no examples.
    """
    if not X.ndim or not len(X):
        raise ValueError(f"`X` must have at least one example in its rows; got shape {tuple(X.shape)}.")
    one = next(value for value in like.values() if value.is_floating_point())
    inputs = _tensor(X)
    return inputs.to(one.device, one.dtype if inputs.is_floating_point() else None)
