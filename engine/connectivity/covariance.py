"""Correlations between the units of two networks, from data that come in batches."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


class CrossCorrelation:
    """The correlation of every unit of one network with every unit of another, exact whatever the batches.

    Args:
        units: of each network.

    Source:
        Chan, Golub & LeVeque 1983, equations 2.1 (sums of products of two sets from those of each).
    """

    def __init__(self, units: int) -> None:
        self._count = 0
        self._means = [np.zeros(units), np.zeros(units)]
        self._squares = [np.zeros(units), np.zeros(units)]
        self._products = np.zeros((units, units))

    def add(self, a: Float[np.ndarray, "samples units"], b: Float[np.ndarray, "samples units"]) -> None:
        """Count in the activations of both networks on the same samples."""
        count = len(a)
        means = [values.mean(0) for values in (a, b)]
        centred = [values - mean for values, mean in zip((a, b), means, strict=True)]
        moved = [mean - known for mean, known in zip(means, self._means, strict=True)]
        total = self._count + count
        weight = self._count * count / total
        for which in (0, 1):
            self._squares[which] += (centred[which] ** 2).sum(0) + weight * moved[which] ** 2
            self._means[which] += moved[which] * (count / total)
        self._products += centred[0].T @ centred[1] + weight * np.outer(*moved)
        self._count = total

    def correlation(self) -> Float[np.ndarray, "units units"]:
        """Return Pearson's correlation; a unit that never changes correlates 0 with every other."""
        # Sums of squares that rounding alone can make are those of a constant.
        noise = [self._count * (1e-14 * mean) ** 2 for mean in self._means]
        scales = [
            np.where(squares > least, squares, np.inf) ** -0.5
            for squares, least in zip(self._squares, noise, strict=True)
        ]
        return self._products * np.outer(*scales)
