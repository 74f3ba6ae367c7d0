"""The plain recurrent network."""

import torch
from jaxtyping import Float
from torch import Tensor

from engine.models._recurrent import Recurrent


class RNN(Recurrent):
    """h_t = tanh(W_x x_t + W_h h_{t-1} + b), and a linear read-out; all settings are those of `Recurrent`.

    Each of the two maps has a bias, whose sum is b.

    Source:
        Elman 1990; torch.nn.RNN.
    """

    gates = 1

    def step(
        self, drive: Float[Tensor, "examples units"], state: Float[Tensor, "examples units"]
    ) -> Float[Tensor, "examples units"]:
        """Return the next state."""
        return torch.tanh(drive + self.from_state(state))


MODEL = RNN
