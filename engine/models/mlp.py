"""A multi-layer perceptron."""

from collections import OrderedDict

from jaxtyping import Float
from torch import Tensor, nn

from engine.datasets import Shape
from engine.models._init import initialize
from engine.models._settings import ACTIVATIONS, NORMS, at_least, flat_inputs, normalization, one_of
from engine.models._units import Units


class MLP(nn.Module):
    """Hidden layers of linear map, normalization and nonlinearity, then a linear read-out.

    A linear map before a batch normalization has no bias: the normalization would take it away.

    Args:
        shape: of the data; an example is flattened.
        width: units of a hidden layer.
        depth: hidden layers.
        norm: ``batch``, ``layer`` or ``none``.
        activation: ``relu``, ``tanh`` or ``gelu``.
        init: a name of ``engine.models._init.SCHEMES``.
        init_scale: multiplies the initial weights and biases.

    Raises:
        ValueError: a setting breaks its rule.

    Source:
        Rumelhart, Hinton & Williams 1986; Ioffe & Szegedy 2015, section 3.2 (where the normalization stands);
        Ba, Kiros & Hinton 2016.
    """

    def __init__(
        self,
        shape: Shape,
        width: int = 64,
        depth: int = 2,
        norm: str = "none",
        activation: str = "relu",
        init: str = "default",
        init_scale: float = 1.0,
    ) -> None:
        super().__init__()
        at_least(1, width=width)
        at_least(0, depth=depth)
        one_of("norm", norm, NORMS)
        one_of("activation", activation, ACTIVATIONS)
        inputs = flat_inputs(shape)
        self.hidden = nn.ModuleList()
        for layer in range(depth):
            linear = nn.Linear(width if layer else inputs, width, bias=norm != "batch")
            parts = OrderedDict[str, nn.Module](linear=linear, norm=normalization(norm, width))
            parts["activation"] = ACTIVATIONS[activation]()
            self.hidden.append(nn.Sequential(parts))
        self.head = nn.Linear(width if depth else inputs, shape.outputs)
        initialize(self, init, init_scale)

    def forward(self, inputs: Float[Tensor, "examples *example"]) -> Float[Tensor, "examples outputs"]:
        """Return the outputs."""
        units = inputs.flatten(1)
        for layer in self.hidden:
            units = layer(units)
        outputs: Tensor = self.head(units)
        return outputs

    def units(self) -> tuple[Units, ...]:
        """Return the units of every hidden layer."""
        names = [f"hidden.{layer}" for layer in range(len(self.hidden))]
        following = [*(f"{name}.linear.weight" for name in names[1:]), "head.weight"]
        return tuple(
            Units(
                f"{name}.activation",
                tuple(f"{name}.{parameter}" for parameter, _ in layer.named_parameters()),
                (outgoing,),
            )
            for name, layer, outgoing in zip(names, self.hidden, following, strict=True)
        )


MODEL = MLP
