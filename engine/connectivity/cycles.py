"""How far matchings of pairs of networks agree with each other around a cycle."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import NamedTuple

import numpy as np

from engine.connectivity.permutations import Permutations, compose, factor_order, inverse
from engine.connectivity.symmetry import Factor, Symmetry


class CycleConsistency(NamedTuple):
    """For which share of units the way around three networks leads back to the same unit.

    Attributes:
        share: of all units, over all triples.
        by_group: of each group's; of units inside blocks those that come back to their block and place.
    """

    share: float
    by_group: dict[str, float]


def between(symmetry: Symmetry, to: Permutations, of: Permutations) -> Permutations:
    """Return P_AB = P_A P_B^T: what brings network B into the order of A, given what brings each to a third.

    Args:
        symmetry: of both.
        to: the permutations of A.
        of: those of B.
    """
    return compose(symmetry, of, inverse(symmetry, to))


def cycle_consistency(symmetry: Symmetry, pairs: Mapping[tuple[int, int], Permutations]) -> CycleConsistency:
    """Return the share of units for which the 3-cycle of pairwise matchings is the identity.

    Args:
        symmetry: of the networks.
        pairs: for i < j what brings network j into the order of network i; all pairs of three or more.

    Raises:
        ValueError: fewer than three networks, or a pair is missing.

    Source:
        Crisostomi et al. 2024, section 3.
    """
    networks = sorted({one for pair in pairs for one in pair})
    if len(networks) < 3:
        raise ValueError(f"`pairs` must match at least three networks; got {len(networks)}.")
    for pair in combinations(networks, 2):
        if pair not in pairs:
            raise ValueError(f"`pairs` must match every network with every later one; {pair} is missing.")
    agree: dict[str, list[np.ndarray]] = {name: [] for name in symmetry.groups}
    for i, j, k in combinations(networks, 3):
        around = compose(symmetry, pairs[j, k], pairs[i, j])
        for name, size in symmetry.groups.items():
            owner = symmetry.inside.get(name)
            blocks = 1 if owner is None else symmetry.groups[owner]
            factor = Factor(size * blocks, owner or name, None if owner is None else name)
            orders = [factor_order(factor, one) for one in (around, pairs[i, k])]
            agree[name].append(orders[0] == orders[1])
    by_group = {name: float(np.concatenate(one).mean()) for name, one in agree.items()}
    whole = np.concatenate([one for each in agree.values() for one in each])
    return CycleConsistency(float(whole.mean()), by_group)
