"""The one-layer transformer that learns modular addition."""

import math

from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from engine.datasets import Shape
from engine.models._init import initialize
from engine.models._layer_norm import LayerNorm
from engine.models._settings import at_least, one_of
from engine.models._units import Units


class Transformer(nn.Module):
    """A decoder of one layer that answers at the last position.

    Token and learned position embeddings, causal attention without biases, an MLP with ReLU, both added to
    the stream, and an unembedding without a bias. The causal mask hides nothing from the last position, and
    in one layer nothing of the others is read but their keys and values, so nothing else is computed.
    Embeddings are looked up by indexing: on one CPU core its gradient, stacked over 8 replicas, took 0.7 to
    0.8 of the time of ``functional.embedding`` or of a product with one-hot tokens.

    Args:
        shape: of the data, which must be tokens (length,).
        width: of the stream, d_model.
        heads: attention heads, which divide `width`.
        hidden: units of the MLP.
        norm: ``layer`` (before the attention, the MLP and the unembedding) or ``none``.
        init: a name of ``engine.models._init.SCHEMES``; ``default`` is the source's: normal with variance
            1 / width, of the unembedding 1 / outputs, no biases.
        init_scale: multiplies the initial weights.

    Raises:
        ValueError: a setting breaks its rule, or the data are no tokens.

    Source:
        Nanda et al. 2023, section 3 and its code; layer normalization before each part: Xiong et al. 2020.
    """

    def __init__(
        self,
        shape: Shape,
        width: int = 128,
        heads: int = 4,
        hidden: int = 512,
        norm: str = "none",
        init: str = "default",
        init_scale: float = 1.0,
    ) -> None:
        super().__init__()
        at_least(1, width=width, heads=heads, hidden=hidden)
        one_of("norm", norm, ("layer", "none"))
        if width % heads:
            raise ValueError(f"`heads` must divide `width` = {width}; got {heads}.")
        if shape.tokens is None or len(shape.inputs) != 1:
            raise ValueError(f"`inputs` must be tokens (length,); got measurements {shape.inputs}.")
        self._heads = heads
        self.embedding = nn.Embedding(shape.tokens, width)
        self.position = nn.Embedding(shape.inputs[0], width)
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.output = nn.Linear(width, width, bias=False)
        self.hidden = nn.Linear(width, hidden)
        self.activation = nn.ReLU()
        self.back = nn.Linear(hidden, width)
        self.unembedding = nn.Linear(width, shape.outputs, bias=False)
        normalizations = [LayerNorm(width) if norm == "layer" else nn.Identity() for _ in range(3)]
        self.norm1, self.norm2, self.norm3 = normalizations
        if init == "default":
            for name, parameter in self.named_parameters():
                if parameter.ndim == 2:
                    fan = shape.outputs if name == "unembedding.weight" else width
                    nn.init.normal_(parameter, std=1 / math.sqrt(fan))
                elif name.endswith("bias"):
                    nn.init.zeros_(parameter)
        initialize(self, init, init_scale)

    def forward(self, inputs: Int[Tensor, "examples length"]) -> Float[Tensor, "examples outputs"]:
        """Return the logits at the last position."""
        stream = self.embedding.weight[inputs] + self.position.weight
        last = stream[:, -1]
        last = last + self._attend(self.norm1(stream))
        last = last + self.back(self.activation(self.hidden(self.norm2(last))))
        logits: Tensor = self.unembedding(self.norm3(last))
        return logits

    def _attend(self, stream: Float[Tensor, "examples length width"]) -> Float[Tensor, "examples width"]:
        """Return what the attention of the last position to all adds to it."""
        split = (self._heads, stream.shape[-1] // self._heads)
        query = self.query(stream[:, -1]).unflatten(-1, split)
        key, value = self.key(stream).unflatten(-1, split), self.value(stream).unflatten(-1, split)
        scores = (query[:, None] * key).sum(-1) / math.sqrt(split[1])
        weights = functional.softmax(scores, 1)
        added: Tensor = self.output((weights[..., None] * value).sum(1).flatten(1))
        return added

    def units(self) -> tuple[Units, ...]:
        """Return the units of the MLP."""
        return (Units("activation", ("hidden.weight", "hidden.bias"), ("back.weight",)),)


MODEL = Transformer
