"""What each unit's inputs are multiplied by and moved by, so that their moments reach their goals."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from engine.connectivity.layers import BATCH_NORMS, Trace, axis_of_units
from engine.connectivity.moments import Moments
from engine.connectivity.weights import State

METHODS = ("repair", "rescale", "reshift", "reset")

DEAD = 1e-7
"""A unit varies by less than this share of its mean, or of its goal: the rounding of single precision."""


class Place(NamedTuple):
    """A module whose output is corrected.

    Attributes:
        name: of the module.
        axis: which axis of its output counts units.
        eps: of a batch normalization, whose statistics are frozen; None of other modules.
        corrected: whether goals are set for its output.
    """

    name: str
    axis: int
    eps: float | None
    corrected: bool

    @property
    def changes(self) -> bool:
        """Whether anything is done to what the module returns."""
        return self.corrected or self.eps is not None


class Correction(NamedTuple):
    """An affine map of each unit, and the moments of what it is applied to.

    It acts on the output of a module, or on the input of a batch normalization and in its stead.

    Attributes:
        scale: of each unit.
        shift: added after it.
        mean: before the goals were applied, with frozen statistics where there are any.
        deviation: likewise.
    """

    scale: Float[Tensor, "*points units"]
    shift: Float[Tensor, "*points units"]
    mean: Float[Tensor, "*points units"]
    deviation: Float[Tensor, "*points units"]


class Goals(NamedTuple):
    """The moments that the inputs of units shall have.

    Attributes:
        mean: of each unit.
        deviation: standard deviation of each.
    """

    mean: Float[Tensor, "*points units"]
    deviation: Float[Tensor, "*points units"]


def places(model: nn.Module, traced: Trace, method: str) -> list[Place]:
    """Return where a model is corrected, in the order in which it runs.

    Every layer with weights but the last is corrected right behind it or, where a normalization alone reads
    it, right behind that: there the inputs of the nonlinearity are. Batch normalizations are frozen wherever
    they stand. For `reset` that is all.

    Raises:
        ValueError: an unknown method; `reset` without batch normalization; a layer that runs more than once.
    """
    if method not in METHODS:
        raise ValueError(f"`method` must be one of {', '.join(METHODS)}; got {method!r}.")
    if method == "reset" and not traced.batch_norms:
        raise ValueError(
            "`method` reset takes the statistics of batch normalizations anew, and `model` has none; choose "
            "repair, rescale or reshift."
        )
    corrected = set[str]() if method == "reset" else {layer.last for layer in traced.layers[:-1]}
    found = list[Place]()
    for name, runs in traced.runs.items():
        if name not in corrected and name not in traced.batch_norms:
            continue
        if runs > 1:
            raise ValueError(
                f"`model` must run each layer once to be corrected per unit; `{name}` runs {runs} times in "
                "one pass, as in a recurrent network, so that there is no single input of its units."
            )
        module = model.get_submodule(name)
        eps = float(module.eps) if isinstance(module, BATCH_NORMS) else None
        found.append(Place(name, axis_of_units(module), eps, name in corrected))
    return found


def correction(place: Place, seen: Moments, state: State, goals: Goals | None, method: str) -> Correction:
    """Return the correction of one place, of one network or of stacked ones.

    With frozen statistics the moments behind a batch normalization follow from those before it: its output
    has mean beta and standard deviation |gamma| sd / sqrt(var + eps).

    Args:
        place: where.
        seen: moments of the module's output; of a batch normalization, those of its input.
        state: the networks' weights.
        goals: None leaves the moments as they are.
        method: ``repair`` (z - m) sd / s + mu, ``rescale`` z sd / s, ``reshift`` z - m + mu; ``reset`` sets
            no goals. A unit that is dead is moved and not scaled.

    Source:
        Jordan et al. 2022 (REPAIR); its two halves: Qu & Horvath 2024 (RESCALE, RESHIFT).
    """
    mean, deviation = seen.mean, seen.deviation
    scale, shift = torch.ones_like(mean), torch.zeros_like(mean)
    if place.eps is not None:
        gamma, beta = (state.get(f"{place.name}.{one}") for one in ("weight", "bias"))
        reciprocal = torch.rsqrt(seen.variance + place.eps)
        if place.eps == 0:  # as the project's batch normalization, which makes a constant feature 0
            reciprocal = reciprocal.masked_fill(deviation <= DEAD * mean.abs(), 0.0)
        scale = reciprocal if gamma is None else gamma * reciprocal
        shift = -mean * scale if beta is None else beta - mean * scale
        mean, deviation = mean * scale + shift, scale.abs() * deviation
    if goals is None or not place.corrected:
        return Correction(scale, shift, mean, deviation)
    alive = deviation > DEAD * (mean.abs() + goals.deviation)
    ratio = torch.where(alive, goals.deviation / deviation.masked_fill(~alive, 1.0), 1.0)
    if method == "reshift":
        ratio = torch.ones_like(ratio)
    move = torch.zeros_like(mean) if method == "rescale" else goals.mean - mean * ratio
    return Correction(scale * ratio, shift * ratio + move, mean, deviation)
