"""Members of a network's symmetry group: drawn, joined, turned back, and applied to weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from engine.connectivity.symmetry import Axis, Factor, Symmetry

Permutations = dict[str, Int[np.ndarray, "..."]]
"""By group: the old place of each unit [units]; inside blocks, for each new block a row [blocks, units]."""

Order = Int[np.ndarray, " _"]
"""The old place of each entry of an axis."""

Weights = TypeVar("Weights", Tensor, np.ndarray)


def identity(symmetry: Symmetry) -> Permutations:
    """Return the permutations that change nothing."""
    return {
        name: np.broadcast_to(np.arange(size), _shape(symmetry, name)).copy()
        for name, size in symmetry.groups.items()
    }


def random_permutations(symmetry: Symmetry, generator: np.random.Generator) -> Permutations:
    """Return a member of the group, each with the same probability.

    Args:
        symmetry: of the network.
        generator: where chance comes from.
    """
    return {name: generator.permuted(one, axis=-1) for name, one in identity(symmetry).items()}


def _shape(symmetry: Symmetry, name: str) -> tuple[int, ...]:
    owner = symmetry.inside.get(name)
    size = symmetry.groups[name]
    return (size,) if owner is None else (symmetry.groups[owner], size)


def compose(symmetry: Symmetry, first: Permutations, second: Permutations) -> Permutations:
    """Return the permutations that do what `first` does and then what `second` does."""
    joined = Permutations()
    for name, one in first.items():
        owner = symmetry.inside.get(name)
        if owner is None:
            joined[name] = one[second[name]]
        else:
            joined[name] = np.take_along_axis(one[second[owner]], second[name], 1)
    return joined


def inverse(symmetry: Symmetry, permutations: Permutations) -> Permutations:
    """Return the permutations that undo these."""
    turned = Permutations()
    for name, one in permutations.items():
        owner = symmetry.inside.get(name)
        turned[name] = np.argsort(one if owner is None else one[np.argsort(permutations[owner])], -1)
    return turned


def factor_order(factor: Factor, permutations: Permutations) -> Order:
    """Return the old place of each entry of a factor."""
    if factor.group is None:
        return np.arange(factor.size)
    order: Int[np.ndarray, " blocks"] = permutations[factor.group]
    if factor.inside is None:
        return order
    inside: Int[np.ndarray, "blocks units"] = permutations[factor.inside]
    entries: Order = (order[:, None] * inside.shape[1] + inside).ravel()
    return entries


def axis_order(axis: Axis, permutations: Permutations) -> Order:
    """Return the old place of each entry of an axis."""
    orders, offset = list[np.ndarray](), 0
    for part in axis.parts:
        order = np.zeros(1, dtype=np.int64)
        for factor in part:
            order = (order[:, None] * factor.size + factor_order(factor, permutations)).ravel()
        orders.append(offset + order)
        offset += len(order)
    return np.concatenate(orders)


def permute(
    symmetry: Symmetry, permutations: Permutations, state: Mapping[str, Weights]
) -> dict[str, Weights]:
    """Return a network's weights with its units in another order: the same function, the same bits.

    Args:
        symmetry: of the network.
        permutations: by group; a group that is not there keeps its order.
        state: every parameter and buffer by name.

    Returns:
        New tensors or arrays, as they were given.

    Raises:
        ValueError: an unknown group, an order that is no permutation, or a tensor that is missing, unknown or
            of another shape.
    """
    permutations = identity(symmetry) | require_permutations(symmetry, permutations)
    require_weights(symmetry, state, "state")
    return {name: _reordered(value, symmetry.axes[name], permutations) for name, value in state.items()}


def _reordered(value: Weights, axes: tuple[Axis, ...], permutations: Permutations) -> Weights:
    for at, axis in enumerate(axes):
        if axis.groups:
            order = axis_order(axis, permutations)
            if isinstance(value, Tensor):
                value = value.index_select(at, torch.from_numpy(order).to(value.device))
            else:
                value = value.take(order, at)
    return value.clone() if isinstance(value, Tensor) else value.copy()


def require_permutations(symmetry: Symmetry, permutations: Permutations) -> Permutations:
    """Return permutations as whole numbers.

    Raises:
        ValueError: an unknown group, or an order that is no permutation of its units.
    """
    as_they_are = identity(symmetry)
    for name, order in permutations.items():
        if name not in symmetry.groups:
            raise ValueError(
                f"`permutations` has a group `{name}` that the network does not; its groups are "
                f"{', '.join(symmetry.groups) or 'none'}."
            )
        expected = as_they_are[name]
        if np.shape(order) != expected.shape or not np.array_equal(np.sort(order, -1), expected):
            raise ValueError(
                f"`permutations` of `{name}` must hold every number from 0 to {symmetry.groups[name] - 1} "
                f"once in {'a row' if expected.ndim == 1 else f'each of {len(expected)} rows'}; "
                f"got shape {np.shape(order)}."
            )
    return {name: np.asarray(order, dtype=np.int64) for name, order in permutations.items()}


def require_weights(symmetry: Symmetry, state: Mapping[str, Tensor | np.ndarray], what: str) -> None:
    """Check that a state dict is one of this network.

    Raises:
        ValueError: a tensor is missing, unknown or of another shape.
    """
    for name, axes in symmetry.axes.items():
        if name not in state:
            raise ValueError(f"`{what}` has no `{name}`; give every parameter and buffer of the network.")
        expected = tuple(axis.size for axis in axes)
        if tuple(state[name].shape) != expected:
            raise ValueError(
                f"`{what}`: `{name}` must have the shape {expected} of the network; "
                f"got {tuple(state[name].shape)}."
            )
    for name in state:
        if name not in symmetry.axes:
            raise ValueError(
                f"`{what}` has `{name}`, which the network does not; is it another architecture?"
            )
