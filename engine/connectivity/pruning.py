"""Global magnitude pruning."""

import torch
from torch import nn

from engine.connectivity.layers import WEIGHTS
from engine.connectivity.weights import State, Weights, checked


def prune(model: nn.Module, state: Weights, sparsity: float) -> State:
    """Return a network without its smallest weights.

    Of the weight matrices and kernels of all layers together, the read-out's too, the share `sparsity` that
    is smallest in absolute value becomes 0, exactly round(sparsity x weights) of them: of equal ones those
    that come first. Biases, normalizations and embeddings stay.

    Args:
        model: the architecture.
        state: the dense network, which stays as it is.
        sparsity: from 0 to 1.

    Raises:
        ValueError: `sparsity` is outside of [0, 1], or the network does not fit.

    Source:
        Han et al. 2015, section 3, with one threshold for all layers as in Frankle & Carbin 2019.
    """
    if not 0 <= sparsity <= 1:
        raise ValueError(f"`sparsity` must be in [0, 1]; got {sparsity}.")
    (pruned,) = checked(model, state=state)
    names = [f"{name}.weight" for name, module in model.named_modules() if isinstance(module, WEIGHTS)]
    if not names:
        raise ValueError("`model` must have a linear layer or a convolution; it has none.")
    weights = torch.cat([pruned[name].flatten() for name in names])
    order = weights.abs().argsort(stable=True)
    kept = torch.ones_like(weights)
    kept[order[: round(sparsity * len(weights))]] = 0
    masks = torch.split(kept, [pruned[name].numel() for name in names])
    # Multiplied, a pruned negative weight would be -0, which some counts of zeros and hashes tell from 0.
    return pruned | {
        name: torch.where(mask.view_as(pruned[name]) > 0, pruned[name], 0.0)
        for name, mask in zip(names, masks, strict=True)
    }
