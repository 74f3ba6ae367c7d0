"""A linear network with batch normalization after every hidden layer, or without any."""

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor, nn

from engine.datasets import Shape
from engine.models._batch_norm import BatchNorm
from engine.models._init import initialize
from engine.models._settings import at_least, flat_inputs, one_of


class LinearNetwork(nn.Module):
    """Hidden linear layers without a bias, each followed by its normalization, then a linear read-out.

    Args:
        shape: of the data; an example is flattened.
        width: units of a hidden layer.
        depth: hidden layers.
        norm: what follows a hidden layer, ``batch`` or ``none``.
        normalize_inputs: whether a batch normalization comes first; with `depth` 0, W Gamma BN(X).
        bias: whether the read-out has one.
        affine: what normalizations train: ``scale and shift``, ``scale`` as in the theory, or ``none``.
        eps: added to every variance.
        init: a name of ``engine.models._init.SCHEMES``.
        init_scale: multiplies the initial weights.

    Attributes:
        eps: as given.
        normalize_inputs: as given.
        fixed_features: whether no trained parameter comes before the features.

    Raises:
        ValueError: a setting breaks its rule.

    Source:
        Wu, Yun & Sra 2023, section 3: W1 G1 BN(W2 G2 BN(... X)).
    """

    def __init__(
        self,
        shape: Shape,
        width: int = 64,
        depth: int = 3,
        norm: str = "batch",
        normalize_inputs: bool = False,
        bias: bool = True,
        affine: str = "scale and shift",
        eps: float = 1e-5,
        init: str = "default",
        init_scale: float = 1.0,
    ) -> None:
        super().__init__()
        one_of("norm", norm, ("batch", "none"))
        at_least(1, width=width)
        at_least(0, depth=depth)
        if not 0 <= eps < float("inf"):
            raise ValueError(f"`eps` must be a finite number of at least 0; got {eps!r}.")
        self.eps, self.normalize_inputs, self.fixed_features = eps, normalize_inputs, depth == 0
        inputs, layers = flat_inputs(shape), list[nn.Module]()
        if normalize_inputs:
            layers.append(BatchNorm(inputs, eps, affine=affine))
        for layer in range(depth):
            layers.append(nn.Linear(inputs if layer == 0 else width, width, bias=False))
            # With or without normalization a layer has the same name, so that metrics of layers compare.
            batch = norm == "batch"
            layers.append(BatchNorm(width, eps, affine=affine) if batch else nn.Identity())
        layers.append(nn.Linear(width if depth else inputs, shape.outputs, bias=bias))
        self.layers = nn.Sequential(*layers)
        initialize(self, init, init_scale)

    def forward(self, inputs: Float[Tensor, "examples *example"]) -> Float[Tensor, "examples outputs"]:
        """Return the outputs."""
        outputs: Tensor = self.layers(inputs.flatten(1))
        return outputs

    def features(self, inputs: Float[Tensor, "examples *example"]) -> Float[Tensor, "examples features"]:
        """Return what the matrix of `readout` acts on.

        That is what reaches the read-out, or, where a batch normalization stands right before it, what this
        normalizes, without its gamma and beta.
        """
        last = self.layers[-2] if len(self.layers) > 1 else None
        normalized = isinstance(last, BatchNorm)
        reached: Tensor = self.layers[: -2 if normalized else -1](inputs.flatten(1))
        return last.normalize(reached) if isinstance(last, BatchNorm) else reached

    @staticmethod
    def readout(parameters: Mapping[str, Tensor]) -> Float[Tensor, "*seeds outputs features"]:
        """Return M = W Gamma of the read-out and the normalization right before it; M = W without one.

        Args:
            parameters: of such a network by name, one replica's or stacked.
        """
        last = max(int(name.split(".")[1]) for name in parameters)
        weight, before = parameters[f"layers.{last}.weight"], parameters.get(f"layers.{last - 1}.weight")
        if before is None or before.ndim == weight.ndim:
            return weight
        return weight * before[..., None, :]


MODEL = LinearNetwork
