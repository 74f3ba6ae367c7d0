"""A small convolutional network."""

from collections import OrderedDict

from jaxtyping import Float
from torch import Tensor, nn

from engine.datasets import Shape
from engine.models._init import initialize
from engine.models._settings import ACTIVATIONS, at_least, image_inputs, normalization, one_of
from engine.models._units import Units


class CNN(nn.Module):
    """Convolutions of 3 x 3 pixels, each halving the image, the mean over positions and a linear read-out.

    The number of channels doubles at every layer. Stacked replicas become groups of one convolution. On
    one CPU core, 8 and 16 replicas, batch 32, its gradient from 16 channels on took 0.2 to 0.75 times as
    long as the best of four ways to unfold images for batched matrix products; from 1 or 3 channels it
    took 1.1 to 2.1 times, and of 1 x 1 pixel 2.2 to 2.5 times as long, too little of a network to keep
    two ways.

    Args:
        shape: of the data, which must be images.
        width: channels of the first layer.
        depth: convolutions; every side of the image must have at least 2^depth pixels.
        norm: ``batch``, ``layer`` (over channels and positions of one image) or ``none``.
        activation: ``relu``, ``tanh`` or ``gelu``.
        init: a name of ``engine.models._init.SCHEMES``.
        init_scale: multiplies the initial weights and biases.

    Raises:
        ValueError: a setting breaks its rule, or the data are no images or too small.

    Source:
        LeCun et al. 1998, section 2 (layers); Lin, Chen & Yan 2014, section 3.2 (mean over positions).
    """

    def __init__(
        self,
        shape: Shape,
        width: int = 16,
        depth: int = 2,
        norm: str = "batch",
        activation: str = "relu",
        init: str = "default",
        init_scale: float = 1.0,
    ) -> None:
        super().__init__()
        at_least(1, width=width, depth=depth)
        one_of("activation", activation, ACTIVATIONS)
        channels, height, rows = image_inputs(shape)
        if min(height, rows) < 2**depth:
            raise ValueError(
                f"`depth` must leave a pixel of an image of {height} x {rows} after halving; got {depth}."
            )
        self.layers = nn.ModuleList()
        for layer in range(depth):
            size = width * 2**layer
            self.layers.append(
                nn.Sequential(
                    OrderedDict[str, nn.Module](
                        convolution=nn.Conv2d(channels, size, 3, padding=1, bias=norm != "batch"),
                        norm=normalization(norm, size, images=True),
                        activation=ACTIVATIONS[activation](),
                        pool=nn.MaxPool2d(2),
                    )
                )
            )
            channels = size
        self.head = nn.Linear(channels, shape.outputs)
        initialize(self, init, init_scale)

    def forward(
        self, inputs: Float[Tensor, "examples channels height width"]
    ) -> Float[Tensor, "examples outputs"]:
        """Return the outputs."""
        image = inputs
        for layer in self.layers:
            image = layer(image)
        outputs: Tensor = self.head(image.mean((2, 3)))
        return outputs

    def units(self) -> tuple[Units, ...]:
        """Return the channels of every layer."""
        names = [f"layers.{layer}" for layer in range(len(self.layers))]
        following = [*(f"{name}.convolution.weight" for name in names[1:]), "head.weight"]
        return tuple(
            Units(
                f"{name}.activation",
                tuple(f"{name}.{parameter}" for parameter, _ in layer.named_parameters()),
                (outgoing,),
            )
            for name, layer, outgoing in zip(names, self.layers, following, strict=True)
        )


MODEL = CNN
