"""Puts the units of one network into the order of another's."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn

from engine.connectivity.activation_matching import match_activations
from engine.connectivity.blocks import State, as_arrays
from engine.connectivity.invariance import verified_symmetry
from engine.connectivity.permutations import Permutations, identity, permute, require_weights
from engine.connectivity.straight_through import Loss, match_straight_through, usual_loss
from engine.connectivity.symmetry import Symmetry
from engine.connectivity.untrained import untrained
from engine.connectivity.weight_matching import WeightMatching

METHODS = ("weights", "activations", "ste")
Build = Callable[[int], Mapping[str, Tensor]]


class Null(NamedTuple):
    """What the same matching makes of pairs of untrained networks.

    Attributes:
        mean: of their similarity after matching.
        sd: its standard deviation over pairs; NaN for one pair.
        before: the mean of their similarity before.
        pairs: how many pairs.
    """

    mean: float
    sd: float
    before: float
    pairs: int


@dataclass(frozen=True)
class Matching:
    """One network in the order of another.

    Attributes:
        permutations: by group, as for ``permute``.
        aligned: the second network's weights in that order, bit for bit.
        distance_before: Euclidean distance of all parameters before, in units of the weights.
        distance_after: after.
        similarity_before: cosine of all parameters that some group reorders, before.
        similarity_after: after.
        null: the similarity that untrained networks reach; None where it was not asked for.
        starts: the similarity that each start of weight matching reached, for other methods none.
        method: how.
        symmetry: of the architecture.
    """

    permutations: Permutations
    aligned: dict[str, Tensor]
    distance_before: float
    distance_after: float
    similarity_before: float
    similarity_after: float
    null: Null | None
    starts: tuple[float, ...]
    method: str
    symmetry: Symmetry


class _Found(NamedTuple):
    permutations: Permutations
    starts: tuple[float, ...]


_nulls: WeakKeyDictionary[nn.Module, dict[tuple[object, ...], Null]] = WeakKeyDictionary()


def match(
    model: nn.Module,
    a: State,
    b: State,
    example: Tensor,
    method: str = "weights",
    data: Tensor | tuple[Tensor, Tensor] | None = None,
    restarts: int = 8,
    seed: int = 0,
    build: Build | None = None,
    null_pairs: int = 3,
    loss: Loss = usual_loss,
) -> Matching:
    """Return the second network with its units in the order of the first.

    Args:
        model: gives the architecture; its own weights do not matter, and it is not changed.
        a: weights of the first network, every parameter and buffer by name.
        b: those of the second.
        example: a batch of inputs, by which the architecture is traced.
        method: ``weights``: close weights; ``activations``: correlated activations on `data`; ``ste``: a low
            loss half-way on `data`, starting from close weights.
        data: inputs, or inputs and targets, which ``ste`` needs.
        restarts: starts of weight matching, the first from the order as it is.
        seed: of everything random.
        build: returns the weights of an untrained network for a seed; without it modules draw their own, see
            ``untrained``.
        null_pairs: pairs of untrained networks that are matched alike; 0: none.
        loss: of outputs and targets, a mean, which ``ste`` lowers; see ``usual_loss``.

    Raises:
        ValueError: an unknown method, data that are missing, networks of other architectures, weights that
            are not finite, or a model whose symmetries cannot be found.

    Source:
        Ainsworth, Hayase & Srinivasa 2022.
    """
    if method not in METHODS:
        raise ValueError(f"`method` must be one of {', '.join(METHODS)}; got {method!r}.")
    if restarts < 1 or null_pairs < 0:
        raise ValueError(
            f"`restarts` must be at least 1 and `null_pairs` at least 0; got {restarts}, {null_pairs}."
        )
    inputs, targets = data if isinstance(data, tuple) else (data, None)
    if method != "weights" and (inputs is None or (method == "ste" and targets is None)):
        needed = "inputs" if method == "activations" else "a pair (inputs, targets)"
        raise ValueError(f"`data` must be {needed} for the method {method!r}; got {type(data).__name__}.")
    symmetry = verified_symmetry(model, example)
    first, second = (tensors(symmetry, state, what) for state, what in ((a, "a"), (b, "b")))

    def found(one: dict[str, Tensor], other: dict[str, Tensor], seed: int) -> _Found:
        return _match(model, symmetry, one, other, method, inputs, targets, restarts, seed, loss)

    best = found(first, second, seed)
    aligned = permute(symmetry, best.permutations, second)
    return Matching(
        best.permutations,
        aligned,
        distance(symmetry, first, second),
        distance(symmetry, first, aligned),
        similarity(symmetry, first, second),
        similarity(symmetry, first, aligned),
        _null(model, symmetry, found, build, null_pairs, (method, restarts, id(data))),
        best.starts,
        method,
        symmetry,
    )


def _match(
    model: nn.Module,
    symmetry: Symmetry,
    a: dict[str, Tensor],
    b: dict[str, Tensor],
    method: str,
    inputs: Tensor | None,
    targets: Tensor | None,
    restarts: int,
    seed: int,
    loss: Loss,
) -> _Found:
    if not symmetry.groups:
        return _Found(identity(symmetry), ())
    if method == "activations" and inputs is not None:
        return _Found(match_activations(model, symmetry, a, b, inputs), ())
    ascent = WeightMatching(symmetry, as_arrays(a), as_arrays(b)).match(restarts, seed)
    if method == "ste" and inputs is not None and targets is not None:
        start = ascent.permutations
        trained = match_straight_through(model, symmetry, a, b, (inputs, targets), start, seed, loss=loss)
        return _Found(trained, ascent.starts)
    return _Found(ascent.permutations, ascent.starts)


def _null(
    model: nn.Module,
    symmetry: Symmetry,
    found: Callable[[dict[str, Tensor], dict[str, Tensor], int], _Found],
    build: Build | None,
    pairs: int,
    how: tuple[object, ...],
) -> Null | None:
    """Return the similarity of untrained networks; it is remembered with the model where that is safe."""
    if not pairs:
        return None
    known = _nulls.setdefault(model, {})
    key = (*how, pairs)
    if key in known and how[0] == "weights" and build is None:
        return known[key]
    before, after = list[float](), list[float]()
    for pair in range(pairs):
        one, other = (
            tensors(symmetry, build(seed) if build else untrained(model, seed), "build")
            for seed in (2 * pair, 2 * pair + 1)
        )
        before.append(similarity(symmetry, one, other))
        aligned = permute(symmetry, found(one, other, pair).permutations, other)
        after.append(similarity(symmetry, one, aligned))
    sd = float(np.std(after, ddof=1)) if pairs > 1 else math.nan
    null = Null(float(np.mean(after)), sd, float(np.mean(before)), pairs)
    if how[0] == "weights" and build is None:
        known[key] = null
    return null


def tensors(symmetry: Symmetry, state: State, what: str) -> dict[str, Tensor]:
    """Return a state dict of the architecture as tensors.

    Raises:
        ValueError: a tensor is missing, unknown, of another shape, or not finite.
    """
    require_weights(symmetry, state, what)
    found = {name: torch.as_tensor(value).detach() for name, value in state.items()}
    for name, value in found.items():
        if not bool(torch.isfinite(value).all()):
            raise ValueError(f"`{what}` must be finite to be matched; `{name}` holds NaN or infinity.")
    return found


def distance(symmetry: Symmetry, a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> float:
    """Return the Euclidean distance of all parameters, in units of the weights."""
    squares = [(a[name].double() - b[name].double()).square().sum() for name in symmetry.parameters]
    return math.sqrt(sum(map(float, squares)))


def similarity(symmetry: Symmetry, a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> float:
    """Return the cosine of the parameters that some group reorders; NaN where there are none, or all are 0.

    Scales and shifts of normalizations count as well, which start alike in all networks: see the null.
    """
    product, norms = 0.0, [0.0, 0.0]
    for name in symmetry.parameters:
        if any(axis.groups for axis in symmetry.axes[name]):
            one, other = a[name].double(), b[name].double()
            product += float((one * other).sum())
            norms = [norms[0] + float(one.square().sum()), norms[1] + float(other.square().sum())]
    scale = math.sqrt(norms[0] * norms[1])
    return product / scale if scale else math.nan
