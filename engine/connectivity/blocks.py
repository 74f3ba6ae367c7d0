"""Weights cut into pieces of which every axis is reordered by one group, or keeps its order."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import product
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from torch import Tensor

from engine.connectivity.permutations import Order
from engine.connectivity.symmetry import Axis, Factor, Site, Symmetry

Array = Float[np.ndarray, "..."]
State = Mapping[str, Tensor | np.ndarray]


class Piece(NamedTuple):
    """Where a piece is.

    Attributes:
        name: of the parameter.
        slices: of each of its axes.
        factors: of the axes that the piece is then viewed with.
    """

    name: str
    slices: tuple[slice, ...]
    factors: tuple[Factor, ...]

    def of(self, arrays: Mapping[str, Array]) -> Array:
        """Return this piece of a network's weights."""
        return arrays[self.name][self.slices].reshape([factor.size for factor in self.factors])


def pieces(symmetry: Symmetry) -> list[Piece]:
    """Return the pieces of all parameters that a group reorders; buffers and shared parameters are left out.

    Running statistics of batch normalization are buffers: in the objective they made matchings worse.
    """
    found = list[Piece]()
    for name in symmetry.parameters:
        axes = symmetry.axes[name]
        for parts in product(*(_parts(axis) for axis in axes)):
            factors = tuple(factor for _, part in parts for factor in part if factor.size != 1)
            if any(factor.group for factor in factors):
                found.append(Piece(name, tuple(where for where, _ in parts), factors))
    return found


def _parts(axis: Axis) -> list[tuple[slice, tuple[Factor, ...]]]:
    found, start = list[tuple[slice, tuple[Factor, ...]]](), 0
    for part in axis.parts:
        size = math.prod([factor.size for factor in part])
        found.append((slice(start, start + size), part))
        start += size
    return found


def reordered(piece: Piece, array: Array, orders: Mapping[Site, Order], but: int = -1) -> Array:
    """Return a piece with all of its axes reordered that have an order, but one."""
    for axis, factor in enumerate(piece.factors):
        if axis != but and factor.site is not None and factor.site in orders:
            array = array.take(orders[factor.site], axis)
    return array


def leading(array: Array, axis: int) -> Float[np.ndarray, "units others"]:
    """Return a matrix with one axis in rows and all others in columns."""
    return np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1)


def as_arrays(state: State) -> dict[str, Array]:
    """Return the floating-point weights of a state dict as float64 arrays."""
    arrays = dict[str, np.ndarray]()
    for name, weights in state.items():
        array = (
            weights.detach().double().cpu().numpy() if isinstance(weights, Tensor) else np.asarray(weights)
        )
        if np.issubdtype(array.dtype, np.floating):
            arrays[name] = array.astype(np.float64, copy=False)
    return arrays
