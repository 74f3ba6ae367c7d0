"""Moments of every layer's units in networks that are corrected layer by layer, stacked ones at once."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from engine.connectivity.corrections import Correction, Goals, Place, correction
from engine.connectivity.layers import watched
from engine.connectivity.moments import Moments, moments
from engine.connectivity.weights import State

Affine = tuple[Tensor, Tensor]


class _Reached(Exception):  # noqa: N818 - no error
    """The last module that is measured in this pass has run; what comes behind it is not needed."""


class _Stage(NamedTuple):
    """What one pass over a batch measures.

    Attributes:
        measured: places in the order in which they run.
        at_once: whether they are corrected in the same pass, which is right if the batch is all there is.
        method: of the correction.
    """

    measured: dict[str, Place]
    at_once: bool
    method: str


@torch.no_grad()
def calibrate(
    model: nn.Module,
    where: Sequence[Place],
    states: State,
    X: Tensor,
    goals: Mapping[str, Goals] | None,
    method: str,
    batch_size: int | None = None,
) -> dict[str, Correction]:
    """Return the correction of each place, with those of the places before it applied.

    One pass where all examples are one batch. Otherwise moments need all batches before the next layer can
    be corrected: one pass over the data for each place, which ends there. All in float64.

    Args:
        model: a private copy, whose modules are watched for a while.
        where: the places, in the order in which they run.
        states: stacked networks.
        X: calibration inputs.
        goals: stacked like the networks, by place; None corrects nothing.
        method: of the correction.
        batch_size: examples in one pass; None takes them all at once.
    """
    states = {key: value.double() if value.is_floating_point() else value for key, value in states.items()}
    X = X.double() if X.is_floating_point() else X
    batches = torch.split(X, batch_size or len(X))
    found = dict[str, Correction]()
    for places in _stages(where, goals is not None, len(batches) == 1):
        stage = _Stage({place.name: place for place in places}, len(batches) == 1, method)
        seen = dict[str, Moments]()
        for batch in batches:
            new = _pass(model, stage, states, batch, goals, found, {place.name: place for place in where})
            seen = {name: seen[name].merged(one) if seen else one for name, one in new.items()}
        for place in places:
            goal = None if goals is None or not place.corrected else goals[place.name]
            found[place.name] = correction(place, seen[place.name], _of(states, place), goal, method)
    return found


def _stages(where: Sequence[Place], goals: bool, at_once: bool) -> list[list[Place]]:
    """Return which places one pass can measure: all that come before a change, and the one that makes it."""
    if at_once:
        return [list(where)] if where else []
    stages = list[list[Place]]()
    open_stage = list[Place]()
    for place in where:
        open_stage.append(place)
        if place.eps is not None or (goals and place.corrected):
            stages.append(open_stage)
            open_stage = []
    return [*stages, open_stage] if open_stage else stages


def _of(states: State, place: Place) -> State:
    """Return the parameters of one module, by the names that they have in the whole."""
    return {key: value for key, value in states.items() if key.rpartition(".")[0] == place.name}


def _pass(
    model: nn.Module,
    stage: _Stage,
    states: State,
    batch: Tensor,
    goals: Mapping[str, Goals] | None,
    found: Mapping[str, Correction],
    every: Mapping[str, Place],
) -> dict[str, Moments]:
    """Return the moments of a stage's places on one batch, in all stacked networks."""
    counts, last = dict[str, int](), list(stage.measured)[-1]
    known = {name: (one.scale, one.shift) for name, one in found.items()}

    def measure(
        state: State, goals: Mapping[str, Goals] | None, known: Mapping[str, Affine]
    ) -> dict[str, Affine]:
        seen = dict[str, Affine]()

        def see(name: str, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
            place = every[name]
            value = output if place.eps is None else inputs[0]
            if name in known:
                return _applied(value, known[name], place.axis)
            if name not in stage.measured:
                return None
            now = moments(value, place.axis)
            counts[name], seen[name] = now.number, (now.mean, now.squares)
            if name == last:
                raise _Reached
            if not stage.at_once:
                return None
            goal = None if goals is None or not place.corrected else goals[name]
            made = correction(place, now, _of(state, place), goal, stage.method)
            return _applied(value, (made.scale, made.shift), place.axis)

        with watched(model, list(every), see):
            try:
                functional_call(model, state, (batch,))
            except _Reached:
                return seen
        raise AssertionError(f"{last} did not run")

    stack = (0, None if goals is None else 0, 0)
    measured: dict[str, Affine] = vmap(measure, in_dims=stack)(states, goals, known)
    return {name: Moments(counts[name], *measured[name]) for name in stage.measured}


def _applied(value: Tensor, affine: Affine, axis: int) -> Tensor:
    """Return values with each unit scaled and shifted."""
    behind = value.ndim - 1 - axis % value.ndim
    scale, shift = (one.view(-1, *(1,) * behind) for one in affine)
    return torch.addcmul(shift, value, scale)
