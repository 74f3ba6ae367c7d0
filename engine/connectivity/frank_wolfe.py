"""The common order of several networks in which all pairs are close at once, by the Frank-Wolfe method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from engine.connectivity.assignment import families, solve
from engine.connectivity.blocks import Array, Piece, leading, pieces
from engine.connectivity.permutations import Permutations, factor_order
from engine.connectivity.symmetry import Factor, Site, Symmetry

Mixing = dict[Site, Float[np.ndarray, "_ _"]]
"""Doubly stochastic matrices by site: how much of each old entry, in columns, is at each common place."""

LEAST_GAIN = 1e-9
"""The smallest gain of a step that counts, as a share of the objective."""
MOST_STEPS = 100


def common_order(
    symmetry: Symmetry,
    networks: Sequence[Mapping[str, Array]],
    start: Sequence[Permutations],
) -> tuple[list[Permutations], int]:
    """Return permutations P_A of all networks to a common order that maximize the similarity of all pairs.

    The objective is the sum over pairs and weights of <P_A W_A P_A^T, P_B W_B P_B^T>, each P acting on the
    axes of its group, relaxed to doubly stochastic matrices. A step goes towards the permutations that the
    gradient favours, found by assignment, as far as is best along the way: the objective is a polynomial
    there. The end is rounded to permutations by assignment; the start is kept if it was better.

    Args:
        symmetry: of the networks.
        networks: weights, float64.
        start: permutations to begin with.

    Returns:
        The permutations, and the number of steps.

    Source:
        Crisostomi et al. 2024, equation 4 and algorithm 1; Jaggi 2013, algorithm 1.
    """
    objective = _Objective(symmetry, networks)
    mixings = [objective.vertex(one) for one in start]
    first = reached = objective.value(mixings)
    steps, climbing = 0, True
    while climbing and steps < MOST_STEPS:
        towards = [objective.vertex(one) for one in objective.favoured(mixings)]
        moved, value = objective.farthest(mixings, towards)
        climbing = value - reached > LEAST_GAIN * abs(reached)
        if climbing:
            mixings, reached, steps = moved, value, steps + 1
    rounded = [objective.nearest(one) for one in mixings]
    if objective.value([objective.vertex(one) for one in rounded]) > first:
        return rounded, steps
    return list(start), steps


class _Objective:
    """The similarity of all pairs of networks as a function of how their units are mixed."""

    def __init__(self, symmetry: Symmetry, networks: Sequence[Mapping[str, np.ndarray]]) -> None:
        self._symmetry, self._families = symmetry, families(symmetry)
        self._pieces = pieces(symmetry)
        self._weights = [[piece.of(network) for piece in self._pieces] for network in networks]
        self._factors: dict[Site, Factor] = {
            factor.site: factor for piece in self._pieces for factor in piece.factors if factor.site
        }
        self._degree: int = 2 * max(len(_axes(piece)) for piece in self._pieces)

    def vertex(self, permutations: Permutations) -> Mixing:
        """Return permutations as matrices."""
        return {
            site: np.eye(factor.size)[factor_order(factor, permutations)]
            for site, factor in self._factors.items()
        }

    def nearest(self, mixing: Mixing) -> Permutations:
        """Return the permutations that are closest to a mixing."""
        found = Permutations()
        for family in self._families:
            own = {site: matrix for site, matrix in mixing.items() if site[0] == family.group}
            found |= solve(family, own, self._symmetry.groups[family.group])
        return found

    def value(self, mixings: Sequence[Mixing]) -> float:
        """Return the sum over pairs, from |sum|^2 = sum of squares + 2 sum over pairs."""
        total = 0.0
        for index, piece in enumerate(self._pieces):
            mixed = [
                _mixed(weights[index], piece, mixing)
                for weights, mixing in zip(self._weights, mixings, strict=True)
            ]
            summed = np.sum(mixed, 0)
            total += float(np.vdot(summed, summed) - sum(np.vdot(one, one) for one in mixed)) / 2
        return total

    def favoured(self, mixings: Sequence[Mixing]) -> list[Permutations]:
        """Return, for each network, the permutations in the direction of the steepest rise."""
        slopes = [
            {site: np.zeros((factor.size,) * 2) for site, factor in self._factors.items()} for _ in mixings
        ]
        for index, piece in enumerate(self._pieces):
            mixed = [
                _mixed(weights[index], piece, mixing)
                for weights, mixing in zip(self._weights, mixings, strict=True)
            ]
            summed = np.sum(mixed, 0)
            for network, mixing in enumerate(mixings):
                others = summed - mixed[network]
                for axis, site in _axes(piece):
                    held = _mixed(self._weights[network][index], piece, mixing, but=axis)
                    slopes[network][site] += leading(others, axis) @ leading(held, axis).T
        return [self.nearest(slope) for slope in slopes]

    def farthest(self, mixings: Sequence[Mixing], towards: Sequence[Mixing]) -> tuple[list[Mixing], float]:
        """Return the best mixings on the way, and their value.

        Along the way the value is a polynomial, which as many values as it has coefficients determine.
        """
        nodes = (1 - np.cos(np.linspace(0, np.pi, self._degree + 1))) / 2
        values = [self.value(_between(mixings, towards, share)) for share in nodes]
        polynomial = np.polynomial.Polynomial.fit(nodes, values, self._degree)
        turns = np.asarray(polynomial.deriv().roots(), dtype=np.complex128)
        inner = turns.real[(np.abs(turns.imag) < 1e-9) & (turns.real > 0) & (turns.real < 1)]
        shares = np.concatenate([[0.0, 1.0], inner])
        share = float(shares[np.argmax(polynomial(shares))])
        moved = _between(mixings, towards, share)
        return moved, self.value(moved)


def _axes(piece: Piece) -> list[tuple[int, Site]]:
    return [(axis, factor.site) for axis, factor in enumerate(piece.factors) if factor.site]


def _mixed(weights: Array, piece: Piece, mixing: Mixing, but: int = -1) -> Array:
    for axis, site in _axes(piece):
        if axis != but:
            weights = np.moveaxis(np.tensordot(mixing[site], weights, (1, axis)), 0, axis)
    return weights


def _between(mixings: Sequence[Mixing], towards: Sequence[Mixing], share: float) -> list[Mixing]:
    return [
        {site: (1 - share) * matrix + share * ahead[site] for site, matrix in mixing.items()}
        for mixing, ahead in zip(mixings, towards, strict=True)
    ]
