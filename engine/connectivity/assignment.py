"""The best permutation for a matrix of similarities between units, and of blocks with units inside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment

from engine.connectivity.permutations import Order, Permutations
from engine.connectivity.symmetry import Site, Symmetry

Similarity = Float[np.ndarray, "entries entries"]
"""Of each entry of the first network, in rows, to each of the second."""


class Family(NamedTuple):
    """A group together with those that act inside its blocks; they are solved as one.

    Attributes:
        group: the group.
        inside: those inside its blocks, none for ordinary units.
    """

    group: str
    inside: tuple[str, ...]


def families(symmetry: Symmetry) -> list[Family]:
    """Return the groups of a network with those inside their blocks."""
    return [
        Family(name, tuple(one for one, owner in symmetry.inside.items() if owner == name))
        for name in symmetry.groups
        if name not in symmetry.inside
    ]


def best(similarity: Similarity) -> Int[np.ndarray, " entries"]:
    """Return for each unit of the first network its partner in the second, most similar in sum.

    Source:
        Crouse 2016, through ``scipy.optimize.linear_sum_assignment``.
    """
    return np.asarray(linear_sum_assignment(similarity, maximize=True)[1], dtype=np.int64)


def solve(family: Family, similarities: Mapping[Site, Similarity], blocks: int) -> Permutations:
    """Return the permutations of a family with the largest sum of similarities.

    Every pair of blocks is compared with their units in the best order for it, so that the optimum over
    blocks and units inside is the true one.

    Args:
        family: what to permute.
        similarities: of its entries by site, block after block where there are units inside.
        blocks: the size of the family's group.
    """
    total = similarities.get((family.group, None))
    score = np.zeros((blocks, blocks)) if total is None else total.copy()
    orders = dict[str, np.ndarray]()
    for name in family.inside:
        pairs = _in_pairs(similarities[family.group, name], blocks)
        units = pairs.shape[-1]
        order = np.array([[best(pair) for pair in row] for row in pairs])
        score += np.take_along_axis(pairs, order[..., None], -1)[..., 0].sum(-1)
        orders[name] = order.reshape(blocks, blocks, units)
    group = best(score)
    found = {family.group: group}
    for name, order in orders.items():
        found[name] = order[np.arange(blocks), group]
    return found


def _in_pairs(similarity: Similarity, blocks: int) -> Float[np.ndarray, "blocks blocks units units"]:
    """Return similarities of units for each pair of blocks."""
    units = len(similarity) // blocks
    return similarity.reshape(blocks, units, blocks, units).transpose(0, 2, 1, 3)


def value(similarities: Mapping[Site, Similarity], orders: Mapping[Site, Order]) -> float:
    """Return the sum of similarities between partners."""
    return sum(float(one[np.arange(len(one)), orders[site]].sum()) for site, one in similarities.items())
