"""A linear network with batch normalization after every hidden layer, or without any."""

from jaxtyping import Float
from torch import Tensor, nn

from engine.models._batch_norm import BatchNorm


class LinearNetwork(nn.Module):
    """Hidden linear layers without a bias, each followed by its normalization, then a linear read-out.

    Args:
        inputs: features of an example.
        outputs: classes.
        width: units of a hidden layer.
        depth: hidden layers.
        norm: ``"batch"`` or ``"none"``.

    Source:
        Wu, Yun & Sra 2023, section 3: W1 G1 BN(W2 G2 BN(... X)).
    """

    def __init__(
        self, inputs: int, outputs: int, width: int = 64, depth: int = 3, norm: str = "batch"
    ) -> None:
        super().__init__()
        if norm not in ("batch", "none"):
            raise ValueError(f"`norm` must be batch or none; got {norm!r}.")
        if width < 1 or depth < 0:
            raise ValueError(f"`width` must be at least 1 and `depth` at least 0; got {width} and {depth}.")
        layers: list[nn.Module] = []
        for layer in range(depth):
            layers.append(nn.Linear(inputs if layer == 0 else width, width, bias=False))
            if norm == "batch":
                layers.append(BatchNorm(width))
        layers.append(nn.Linear(width if depth else inputs, outputs))
        self.layers = nn.Sequential(*layers)

    def forward(self, inputs: Float[Tensor, "examples features"]) -> Float[Tensor, "examples classes"]:
        """Return the logits of every class."""
        logits: Tensor = self.layers(inputs)
        return logits


MODEL = LinearNetwork
