"""Which hidden units are dormant."""

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def scores(
    hidden: Mapping[str, Float[Tensor, "seeds examples *units"]],
) -> dict[str, Float[Tensor, "seeds units"]]:
    """Return the score of every unit of each nonlinearity, E|h_i| / mean_j E|h_j|.

    The expectation is over examples and positions: the units of an image [channels, height, width] are its
    channels, those of anything else its last axis. Where all are silent all scores are 0; in a replica that
    is not finite they are NaN.

    Args:
        hidden: what each nonlinearity returned, by its module's name.

    Source:
        Sokar, Agarwal, Castro & Evci 2023, definition 3.1.
    """
    found = {}
    for name, outputs in hidden.items():
        units = outputs.ndim - (3 if outputs.ndim >= 5 else 1)
        sizes = outputs.abs().mean([axis for axis in range(1, outputs.ndim) if axis != units])
        mean = sizes.mean(1, keepdim=True)
        # The last term makes all units of a replica with an infinite one NaN.
        found[name] = torch.where(mean == 0, 0.0, sizes / mean + 0 * mean)
    return found


def dormant(
    hidden: Mapping[str, Float[Tensor, "seeds examples *units"]], threshold: float
) -> dict[str, Bool[Tensor, "seeds units"]]:
    """Return which units have a score of at most the threshold; none of a replica that is not finite.

    Args:
        hidden: what each nonlinearity returned, by its module's name.
        threshold: 0 counts the units that are silent on all of these examples.
    """
    return {name: score <= threshold for name, score in scores(hidden).items()}
