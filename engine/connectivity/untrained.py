"""Freshly initialized networks of a given architecture."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


@torch.no_grad()
def untrained(model: nn.Module, seed: int) -> dict[str, Tensor]:
    """Return the weights of a freshly initialized network of the model's architecture.

    Every module with a ``reset_parameters`` draws its own. A parameter whose module has none is drawn
    normally with the size that it has in `model` if it is a matrix, and is 1 (a scale) or 0 (a ``bias``) if
    it is not.

    Args:
        model: any module; it is not changed.
        seed: of torch's global generator while weights are drawn; afterwards it is as before.
    """
    fresh = copy.deepcopy(model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for module in fresh.modules():
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()
            else:
                _draw(module)
    return {name: value.detach() for name, value in fresh.state_dict().items()}


def _draw(module: nn.Module) -> None:
    for name, parameter in module.named_parameters(recurse=False):
        if parameter.ndim >= 2:
            nn.init.normal_(parameter, std=float(parameter.square().mean().sqrt()))
        else:
            nn.init.constant_(parameter, 0.0 if name.endswith("bias") else 1.0)
