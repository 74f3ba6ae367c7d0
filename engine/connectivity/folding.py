"""Corrections folded into weights: a corrected network is an ordinary one."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from engine.connectivity.corrections import Correction, Place
from engine.connectivity.weights import State


class Affine(nn.Module):
    """Scales and shifts each feature: a batch normalization whose statistics are frozen.

    Args:
        features: columns, or channels of images.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(features))
        self.bias = nn.Parameter(torch.zeros(features))

    def forward(
        self, inputs: Float[Tensor, "examples features *positions"]
    ) -> Float[Tensor, "examples features *positions"]:
        """Return weight x + bias."""
        weight, bias = (one.view(-1, *(1,) * (inputs.ndim - 2)) for one in (self.weight, self.bias))
        return inputs * weight + bias


def with_room(model: nn.Module, where: Sequence[Place], corrections: Mapping[str, Correction]) -> nn.Module:
    """Change a private copy of a model so that corrections can be folded into its weights, and return it.

    Batch normalizations become `Affine`, under the same names; other modules get a bias, and normalizations
    a scale, where they have none.
    """
    for place in where:
        features = corrections[place.name].scale.shape[-1]
        module = model.get_submodule(place.name)
        if place.eps is not None:
            parent, _, name = place.name.rpartition(".")
            setattr(model.get_submodule(parent), name, Affine(features))
            continue
        if module.weight is None:
            module.weight = nn.Parameter(torch.ones(features))
        if module.bias is None:
            module.bias = nn.Parameter(torch.zeros(features))
    return model


def folded(state: State, where: Sequence[Place], corrections: Mapping[str, Correction]) -> State:
    """Return networks, one or stacked, with corrections folded into their weights, in their own precision."""
    folds = dict(state)
    for place in where:
        scale, shift, *_ = corrections[place.name]
        weight, bias = (state.get(f"{place.name}.{one}") for one in ("weight", "bias"))
        if place.eps is not None:
            for key in ("running_mean", "running_var", "num_batches_tracked"):
                folds.pop(f"{place.name}.{key}", None)
            weight, bias = scale, shift
        else:
            weight = (
                scale
                if weight is None
                else weight * scale.view(*scale.shape, *(1,) * (weight.ndim - scale.ndim))
            )
            bias = shift if bias is None else bias * scale + shift
        precision = next(value.dtype for value in state.values() if value.is_floating_point())
        folds[f"{place.name}.weight"] = weight.to(precision)
        folds[f"{place.name}.bias"] = bias.to(precision)
    return folds
