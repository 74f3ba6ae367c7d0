"""Stochastic gradient descent on stacked parameters."""

import torch
from jaxtyping import Bool
from torch import Tensor

from engine.training.ensemble import Stacked


class StackedSGD:
    """torch's own SGD: its update is elementwise, so that stacked parameters update as if alone.

    Args:
        parameters: the stacked parameters; updated in place.
        lr: step size.
        momentum: heavy-ball momentum, without dampening.
        weight_decay: L2 coefficient added to the gradient.
    """

    def __init__(self, parameters: Stacked, lr: float, momentum: float, weight_decay: float) -> None:
        self._lr, self._momentum, self._weight_decay = lr, momentum, weight_decay
        self._parameters = parameters
        self._optimizer = self._make()

    def _make(self) -> torch.optim.SGD:
        return torch.optim.SGD(
            list(self._parameters.values()),
            lr=self._lr,
            momentum=self._momentum,
            weight_decay=self._weight_decay,
            fused=True,
        )

    def step(self, gradients: Stacked) -> None:
        """Move the parameters one step down the gradients."""
        for name, value in self._parameters.items():
            value.grad = gradients[name]
        self._optimizer.step()

    def keep(self, alive: Bool[Tensor, " seeds"], parameters: Stacked) -> None:
        """Go on with the alive replicas, whose parameters are passed; their momentum is kept."""
        old = self._optimizer.state
        previous, self._parameters = self._parameters, parameters
        self._optimizer = self._make()
        for name, value in parameters.items():
            buffer = old[previous[name]].get("momentum_buffer")
            if buffer is not None:
                self._optimizer.state[value]["momentum_buffer"] = buffer[alive]
