"""A multi-layer perceptron with a residual stream."""

from jaxtyping import Float
from torch import Tensor, nn

from engine.datasets import Shape
from engine.models._init import initialize
from engine.models._settings import ACTIVATIONS, at_least, flat_inputs, normalization, one_of
from engine.models._units import Units


class ResidualBlock(nn.Module):
    """Adds second(activation(first(norm(x)))) to x, all of one width.

    Source:
        He et al. 2016b (Identity mappings), figure 1: the normalization stands inside the branch.
    """

    def __init__(self, width: int, norm: str, activation: str) -> None:
        super().__init__()
        self.norm = normalization(norm, width)
        self.first = nn.Linear(width, width)
        self.activation = ACTIVATIONS[activation]()
        self.second = nn.Linear(width, width)

    def forward(self, stream: Float[Tensor, "examples units"]) -> Float[Tensor, "examples units"]:
        """Return the stream behind this block."""
        added: Tensor = self.second(self.activation(self.first(self.norm(stream))))
        return stream + added


class ResidualMLP(nn.Module):
    """A linear map into a stream, residual blocks that add to it, a normalization and a linear read-out.

    Args:
        shape: of the data; an example is flattened.
        width: units of the stream and of the hidden layer in each block.
        blocks: residual blocks.
        norm: ``batch``, ``layer`` or ``none``.
        activation: ``relu``, ``tanh`` or ``gelu``.
        init: a name of ``engine.models._init.SCHEMES``.
        init_scale: multiplies the initial weights and biases.

    Raises:
        ValueError: a setting breaks its rule.

    Source:
        He et al. 2016b (Identity mappings), with linear maps in place of convolutions.
    """

    def __init__(
        self,
        shape: Shape,
        width: int = 64,
        blocks: int = 2,
        norm: str = "none",
        activation: str = "relu",
        init: str = "default",
        init_scale: float = 1.0,
    ) -> None:
        super().__init__()
        at_least(1, width=width)
        at_least(0, blocks=blocks)
        one_of("activation", activation, ACTIVATIONS)
        self.stem = nn.Linear(flat_inputs(shape), width)
        self.blocks = nn.Sequential(*(ResidualBlock(width, norm, activation) for _ in range(blocks)))
        self.norm = normalization(norm, width)
        self.head = nn.Linear(width, shape.outputs)
        initialize(self, init, init_scale)

    def forward(self, inputs: Float[Tensor, "examples *example"]) -> Float[Tensor, "examples outputs"]:
        """Return the outputs."""
        outputs: Tensor = self.head(self.norm(self.blocks(self.stem(inputs.flatten(1)))))
        return outputs

    def units(self) -> tuple[Units, ...]:
        """Return the units inside every block; those of the stream have no nonlinearity."""
        return tuple(
            Units(
                f"blocks.{block}.activation",
                (f"blocks.{block}.first.weight", f"blocks.{block}.first.bias"),
                (f"blocks.{block}.second.weight",),
            )
            for block in range(len(self.blocks))
        )


MODEL = ResidualMLP
