"""Exact moments of units over examples that come in batches."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class Moments(NamedTuple):
    """Mean and spread of each unit; stacked networks have a leading axis in both tensors.

    Attributes:
        number: of the values of one unit: examples times positions.
        mean: of each unit.
        squares: sum of the squared deviations from it.
    """

    number: int
    mean: Float[Tensor, "*points units"]
    squares: Float[Tensor, "*points units"]

    @property
    def variance(self) -> Float[Tensor, "*points units"]:
        """The biased variance of each unit."""
        return self.squares / self.number

    @property
    def deviation(self) -> Float[Tensor, "*points units"]:
        """The standard deviation of each unit, the root of the biased variance."""
        return self.variance.sqrt()

    def merged(self, other: "Moments") -> "Moments":
        """Return the moments of both sets of values together.

        Source:
            Chan, Golub & LeVeque 1983, equations 1.5a and 1.5b.
        """
        number = self.number + other.number
        apart = other.mean - self.mean
        return Moments(
            number,
            self.mean + apart * (other.number / number),
            self.squares + other.squares + apart.square() * (self.number * other.number / number),
        )


def moments(values: Float[Tensor, "examples *units"], axis: int) -> Moments:
    """Return the moments of one batch in float64; equal values have exactly no spread.

    Args:
        values: of one network.
        axis: which axis counts units; the moments are taken over all others.
    """
    values = values.to(torch.float64)
    others = [one for one in range(values.ndim) if one != axis % values.ndim]
    first = values
    for one in others:
        first = first.narrow(one, 0, 1)
    # The mean of equal values is rounded, and is off by the last digit; that of their differences is 0.
    values = values - first
    mean = values.mean(others, keepdim=True)
    # Two thirds of the time of a sum of squares.
    squares = torch.linalg.vector_norm(values - mean, dim=others).square()
    return Moments(values.numel() // values.shape[axis], (first + mean).flatten(), squares)
