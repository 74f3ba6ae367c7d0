"""What recurrent networks share: a loop over steps, and a read-out at its end or at every step."""

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from engine.datasets import Shape
from engine.models._init import initialize
from engine.models._settings import at_least, one_of, positive


class Recurrent(nn.Module, ABC):
    """A hidden state that begins at 0 and is moved by every input.

    The loop is written out because ``torch.nn.RNN`` and ``torch.nn.GRU`` cannot be stacked by ``vmap``.

    Args:
        shape: of the data; an example is [steps, channels].
        width: hidden units.
        readout: ``last``: one output from the last state; ``all``: an output from every state.
        init: a name of ``engine.models._init.SCHEMES``; ``default`` draws everything uniformly with
            variance 1 / (3 width).
        recurrent: how the matrices from state to state are drawn: ``same`` as the others, ``orthogonal``, or
            ``normal`` with variance 1 / width.
        recurrent_scale: multiplies these: the spectral radius of an orthogonal matrix, and of a normal one
            for many units.

    Raises:
        ValueError: a setting breaks its rule, or the data are no sequences.

    Source:
        PyTorch, torch.nn.RNNBase.reset_parameters; orthogonal: Saxe et al. 2014; normal: Sompolinsky et al.
        1988.
    """

    gates: ClassVar[int]
    """Matrices in each of the two weights of the cell."""

    def __init__(
        self,
        shape: Shape,
        width: int = 64,
        readout: str = "last",
        init: str = "default",
        recurrent: str = "same",
        recurrent_scale: float = 1.0,
    ) -> None:
        super().__init__()
        at_least(1, width=width)
        one_of("readout", readout, ("last", "all"))
        one_of("recurrent", recurrent, ("same", "orthogonal", "normal"))
        positive(recurrent_scale=recurrent_scale)
        if shape.tokens is not None or len(shape.inputs) != 2:
            raise ValueError(f"`inputs` must be sequences (steps, channels); got {shape.inputs}.")
        self._last = readout == "last"
        self.from_input = nn.Linear(shape.inputs[1], self.gates * width)
        self.from_state = nn.Linear(width, self.gates * width)
        self.trajectory = nn.Identity()
        self.head = nn.Linear(width, shape.outputs)
        if init == "default":
            for parameter in self.parameters():
                nn.init.uniform_(parameter, -1 / math.sqrt(width), 1 / math.sqrt(width))
        initialize(self, init)
        with torch.no_grad():
            for matrix in torch.split(self.from_state.weight, width):
                if recurrent == "orthogonal":
                    nn.init.orthogonal_(matrix)
                elif recurrent == "normal":
                    nn.init.normal_(matrix, std=1 / math.sqrt(width))
                matrix.mul_(recurrent_scale)

    @abstractmethod
    def step(
        self, drive: Float[Tensor, "examples gates"], state: Float[Tensor, "examples units"]
    ) -> Float[Tensor, "examples units"]:
        """Return the next state.

        Args:
            drive: what ``from_input`` makes of this step's input.
            state: of the step before.
        """

    def forward(self, inputs: Float[Tensor, "examples steps channels"]) -> Float[Tensor, "examples *output"]:
        """Return the outputs, [examples, outputs] or [examples, steps, outputs]."""
        drives = self.from_input(inputs).unbind(1)
        state, states = drives[0].new_zeros(len(inputs), self.head.in_features), list[Tensor]()
        for drive in drives:
            state = self.step(drive, state)
            states.append(state)
        trajectory = self.trajectory(torch.stack(states, 1))
        outputs: Tensor = self.head(trajectory[:, -1] if self._last else trajectory)
        return outputs
