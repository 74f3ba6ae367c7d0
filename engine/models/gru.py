"""The gated recurrent network."""

import torch
from jaxtyping import Float
from torch import Tensor

from engine.models._recurrent import Recurrent


class GRU(Recurrent):
    """A recurrent network with a reset and an update gate; all settings are those of `Recurrent`.

    r, z = sigmoid(W_x x_t + W_h h_{t-1} + b); n = tanh(W_x x_t + b_x + r (W_h h_{t-1} + b_h));
    h_t = (1 - z) n + z h_{t-1}. The rows of the two weights belong to r, z and n in this order.

    Source:
        Cho et al. 2014, equations 5 to 8, with the reset behind the matrix as in torch.nn.GRU.
    """

    gates = 3

    def step(
        self, drive: Float[Tensor, "examples gates"], state: Float[Tensor, "examples units"]
    ) -> Float[Tensor, "examples units"]:
        """Return the next state."""
        reset_x, update_x, new_x = drive.chunk(3, -1)
        reset_h, update_h, new_h = self.from_state(state).chunk(3, -1)
        reset, update = torch.sigmoid(reset_x + reset_h), torch.sigmoid(update_x + update_h)
        new = torch.tanh(new_x + reset * new_h)
        return new + update * (state - new)


MODEL = GRU
