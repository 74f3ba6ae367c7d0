"""The running average of the iterates of the second half of training."""

from collections.abc import Mapping

import torch
from jaxtyping import Bool
from torch import Tensor

from engine.training.ensemble import Stacked

ASKING = frozenset({"tail_average_risk", "tail_excess_risk"})
"""The metrics for which the average is kept."""


class TailAverage:
    """Mean of the parameters at the starts of the epochs k = 1, ..., K with k > K/2.

    Args:
        epochs: K.

    Source:
        Rakhlin, Shamir & Sridharan 2012 (suffix averaging); Cha, Lee & Yun 2023 for shuffled orders.
    """

    def __init__(self, epochs: int) -> None:
        self._epochs, self._count = epochs, 0
        self._mean: Stacked = {}

    def see(self, epoch: int, parameters: Stacked) -> None:
        """Take the parameters at the start of an epoch, counted from 0."""
        if 2 * (epoch + 1) <= self._epochs:
            return
        self._count += 1
        if not self._mean:
            self._mean = {name: value.clone() for name, value in parameters.items()}
        for name, value in parameters.items():
            self._mean[name] += (value - self._mean[name]) / self._count

    def mean(self) -> Stacked | None:
        """Return a copy of the average; None before it has begun."""
        return {name: value.clone() for name, value in self._mean.items()} or None

    def keep(self, alive: Bool[Tensor, " seeds"]) -> None:
        """Go on with the alive replicas."""
        self._mean = {name: value[alive] for name, value in self._mean.items()}

    def state(self) -> Stacked:
        """Return what goes on from step to step."""
        return {"shared/count": torch.tensor(self._count), **self._mean}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from what :meth:`state` returned."""
        self._count = int(tensors["shared/count"])
        self._mean = {name: value for name, value in tensors.items() if name != "shared/count"}
