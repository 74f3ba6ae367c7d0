"""What happens to each layer of a merge: its variance, its norm, and how linear its features are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from engine.connectivity.layers import Trace, axis_of_units, private, trace, watched
from engine.connectivity.moments import moments
from engine.connectivity.weights import Array, State, Weights, as_inputs, checked, mixed, one_of, stacked


class Diagnostics(NamedTuple):
    """Numbers of each layer with weights, in the order in which they run.

    Attributes:
        layers: names of their modules.
        variance_ratio: summed variance of the units of the merge over the mean of those of the ends, of what
            the layer returns or, where a normalization alone reads it, of what this returns; activations
            collapse where it is far below 1. NaN where no end varies.
        norm_ratio: Frobenius norm of the merge's weight over the mean of the ends' norms; 1 / sqrt(2)
            half-way between orthogonal ends of equal length. NaN where both ends are 0.
        linearity_gap: 1 - cos(f(merge), (1 - lambda) f(a) + lambda f(b)), averaged over examples; 0 is
            layerwise linear feature connectivity. f is what the nonlinearity returns that alone reads the
            layer, or else what `variance_ratio` looks at. NaN where all features of an example are 0.
        distance: Frobenius norm of the difference of the ends' weights.
    """

    layers: tuple[str, ...]
    variance_ratio: Float[np.ndarray, " layers"]
    norm_ratio: Float[np.ndarray, " layers"]
    linearity_gap: Float[np.ndarray, " layers"]
    distance: Float[np.ndarray, " layers"]


def diagnostics(
    model: nn.Module,
    a: Weights,
    b: Weights,
    X: Array,
    lam: float = 0.5,
) -> Diagnostics:
    """Return what happens to each layer at (1 - lambda) a + lambda b.

    The outputs of all layers of three networks are kept in memory for these examples: a few thousand are
    enough. Where a layer runs more than once, all its outputs count.

    Args:
        model: the architecture.
        a: one end.
        b: the other.
        X: inputs; batch normalization uses their statistics.
        lam: where the merge is, from 0 to 1.

    Raises:
        ValueError: the ends do not fit, or `lam` is outside of [0, 1].

    Source:
        Variance ratio: Jordan et al. 2022, section 3. Linear features: Zhou et al. 2023, definition 2.
    """
    if not 0 <= lam <= 1:
        raise ValueError(f"`lam` must be in [0, 1]; got {lam}.")
    one, other = checked(model, a=a, b=b)
    inputs, copied = as_inputs(X, one), private(model)
    traced = trace(copied, one, inputs)
    weights = torch.tensor([[1 - lam, lam]], dtype=torch.float64)
    merge = one_of(mixed(stacked([one, other]), weights), 0)
    ends = [_outputs(copied, traced, state, inputs) for state in (one, other)]
    middle = _outputs(copied, traced, merge, inputs)
    rows = list[tuple[float, float, float, float]]()
    for layer in traced.layers:
        norms = [float(state[f"{layer.name}.weight"].double().norm()) for state in (one, other, merge)]
        apart = float((one[f"{layer.name}.weight"].double() - other[f"{layer.name}.weight"].double()).norm())
        axis = axis_of_units(copied.get_submodule(layer.last))
        spread = [float(moments(seen[layer.last], axis).squares.sum()) for seen in (*ends, middle)]
        features = layer.activation or layer.last
        mean = (1 - lam) * ends[0][features] + lam * ends[1][features]
        turned = 1 - _cosine(middle[features], mean)
        rows.append((_ratio(spread), _ratio(norms), turned, apart))
    return Diagnostics(tuple(layer.name for layer in traced.layers), *np.array(rows).T)


def _ratio(three: list[float]) -> float:
    """Return the last number over the mean of the first two."""
    first, second, last = three
    return 2 * last / (first + second) if first + second > 0 else float("nan")


def _cosine(one: Float[Tensor, examples * features], other: Float[Tensor, examples * features]) -> float:
    """Return the cosine between the rows of two sets of features, averaged over examples."""
    one, other = one.double().flatten(1), other.double().flatten(1)
    cosines = (one * other).sum(1) / (one.norm(dim=1) * other.norm(dim=1))
    return float(cosines.mean())


@torch.no_grad()
def _outputs(model: nn.Module, traced: Trace, state: State, inputs: Tensor) -> State:
    """Return what each layer, its normalization and its nonlinearity return; runs of one along examples."""
    seen = dict[str, list[Tensor]]()

    def see(name: str, module: nn.Module, inputs: object, output: Tensor) -> None:
        seen.setdefault(name, []).append(output)

    names = {name for layer in traced.layers for name in (layer.last, layer.activation or layer.last)}
    with watched(model, list(names), see):
        functional_call(model, state, (inputs,))
    return {name: torch.cat(outputs) for name, outputs in seen.items()}
