"""ReDo: recycles dormant units."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool
from torch import Tensor

from engine.metrics._dormancy import dormant
from engine.models._units import Units

__all__ = ["dormant", "recycle"]


@torch.no_grad()
def recycle(
    parameters: Mapping[str, Tensor],
    moments: Sequence[Mapping[str, Tensor]],
    units: Sequence[Units],
    dormant: Mapping[str, Bool[Tensor, "seeds units"]],
    fresh: Mapping[str, Tensor],
) -> None:
    """Give dormant units fresh incoming parameters and outgoing weights of zero, and both moments of zero.

    Everything happens in place. A weight between two dormant units becomes zero: what a silent unit said
    stays unsaid, so that recycling units of score 0 changes no output (but through a normalization of
    their layer).

    Args:
        parameters: stacked, by name.
        moments: the optimizer's running moments, each stacked like the parameters.
        units: what leads into and out of each nonlinearity.
        dormant: which units of each nonlinearity to recycle, by its module's name.
        fresh: freshly initialized parameters, stacked like the parameters.

    Source:
        Sokar, Agarwal, Castro & Evci 2023, algorithm 1.
    """
    for into in units:
        chosen = dormant[into.activation]
        for name in into.incoming:
            _fill(parameters[name], chosen, 1, fresh[name])
            for moment in moments:
                _fill(moment[name], chosen, 1, 0.0)
    for out in units:
        for name in out.outgoing:
            for stacked in (parameters, *moments):
                _fill(stacked[name], dormant[out.activation], 2, 0.0)


def _fill(stacked: Tensor, chosen: Bool[Tensor, "seeds units"], axis: int, by: Tensor | float) -> None:
    """Replace what belongs to the chosen units, which lie along an axis of a stacked tensor."""
    shape = [1] * stacked.ndim
    shape[0], shape[axis] = chosen.shape
    stacked.copy_(torch.where(chosen.view(shape), by, stacked))
