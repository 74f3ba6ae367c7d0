"""Which replicas of a stack are one run so far, and keeping them so to the last bit."""

from collections.abc import Hashable, Sequence

import numpy as np
import torch
from jaxtyping import Bool

from engine.training.ensemble import Stacked
from engine.training.orderings import Order


class Siblings:
    """Replicas of one arm with the same initial weights are one run as long as they visit the same orders.

    Their steps are the same numbers, but not the same bits: elementwise operations take the last few elements
    of a stack by other instructions than the rest, and matrix products depend on where a matrix lies in
    memory. An unstable training makes a difference of one rounding one of 0.4 in a weight within 128 steps
    (perceptron of width 64 on digits, momentum 0.9, batches of 16). So the first of them stands for all.

    Args:
        families: what each replica shares with those that begin as it does.
        device: where their weights live.
    """

    def __init__(self, families: Sequence[Hashable], device: torch.device) -> None:
        self._labels, self._device = _numbered(families), device
        self._find()

    def _find(self) -> None:
        """Note who follows whom: every replica but the first of those with its label."""
        _, first, inverse = np.unique(self._labels, return_index=True, return_inverse=True)
        leaders = first[inverse]
        followers = np.flatnonzero(leaders != np.arange(len(leaders)))
        self._followers = torch.from_numpy(followers).to(self._device)
        self._leaders = torch.from_numpy(leaders[followers]).to(self._device)

    @property
    def any(self) -> bool:
        """Whether some replica is still the same run as another."""
        return bool(len(self._followers))

    def visit(self, orders: Sequence[Order]) -> None:
        """Part those whose orders of the next epoch differ; once parted they stay so."""
        if self.any:
            seen = [order.tobytes() for order in orders]
            self._labels = _numbered(list(zip(self._labels.tolist(), seen, strict=True)))
            self._find()

    def tie(self, stacked: Sequence[Stacked]) -> None:
        """Give those that are one run the bits of the first of them, in place."""
        for tensors in stacked:
            for value in tensors.values():
                value[self._followers] = value[self._leaders]

    def keep(self, alive: Bool[np.ndarray, " seeds"]) -> None:
        """Go on without the replicas that are not alive."""
        self._labels = self._labels[alive]
        self._find()


def _numbered(names: Sequence[Hashable]) -> np.ndarray:
    places = {name: place for place, name in enumerate(dict.fromkeys(names))}
    return np.array([places[name] for name in names], dtype=np.int64)
