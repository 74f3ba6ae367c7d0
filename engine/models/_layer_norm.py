"""Normalization of each example by itself."""

from jaxtyping import Float
from torch import Tensor, nn


class LayerNorm(nn.LayerNorm):
    """Normalizes each row over its features, in the weights' precision under autocast too.

    Source:
        Ba, Kiros & Hinton 2016, equation 4.
    """

    def forward(self, inputs: Float[Tensor, "*examples features"]) -> Float[Tensor, "*examples features"]:
        """Return gamma (x - mean) / sqrt(var + eps) + beta with each row's own mean and variance."""
        return super().forward(inputs.to(self.weight.dtype))


class ImageLayerNorm(nn.GroupNorm):
    """Normalizes each image over channels and positions, with a gamma and beta of every channel.

    Source:
        Ba, Kiros & Hinton 2016; Wu & He 2018, section 3.1, with one group.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(1, channels)

    def forward(
        self, inputs: Float[Tensor, "examples channels height width"]
    ) -> Float[Tensor, "examples channels height width"]:
        """Return gamma (x - mean) / sqrt(var + eps) + beta with each image's own mean and variance."""
        return super().forward(inputs.to(self.weight.dtype))
