"""Puts the units of several networks into one common order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from torch import Tensor, nn

from engine.connectivity.blocks import State, as_arrays
from engine.connectivity.frank_wolfe import common_order
from engine.connectivity.invariance import verified_symmetry
from engine.connectivity.matching import distance, tensors
from engine.connectivity.permutations import Permutations, identity, permute
from engine.connectivity.symmetry import Symmetry
from engine.connectivity.weight_matching import LEAST_GAIN, WeightMatching

MANY_METHODS = ("mean", "cycle")


@dataclass(frozen=True)
class ManyMatching:
    """Several networks in one order.

    Attributes:
        permutations: of each network towards the common order.
        aligned: the weights of each in that order, bit for bit.
        distance_before: root of the mean squared Euclidean distance over pairs, before.
        distance_after: after.
        sweeps: passes over the networks, or steps of the optimizer.
        method: how.
        symmetry: of the architecture.
    """

    permutations: tuple[Permutations, ...]
    aligned: tuple[dict[str, Tensor], ...]
    distance_before: float
    distance_after: float
    sweeps: int
    method: str
    symmetry: Symmetry


def match_many(
    model: nn.Module,
    states: Sequence[State],
    example: Tensor,
    method: str = "cycle",
    restarts: int = 8,
    seed: int = 0,
) -> ManyMatching:
    """Return several networks with their units in one common order.

    What brings one into the order of another, ``between``, is then the same by every way around.

    Args:
        model: gives the architecture.
        states: weights of two or more networks.
        example: a batch of inputs.
        method: ``mean``: each in turn, in random order, to the mean of the others until their summed distance
            stops falling; ``cycle``: all at once to a common order, see ``common_order``. Both begin with all
            networks matched to the first.
        restarts: starts of the matching to the first network.
        seed: of everything random.

    Raises:
        ValueError: an unknown method, fewer than two networks, or networks that ``match`` refuses.

    Source:
        mean: Ainsworth et al. 2022, algorithm 3. cycle: Crisostomi et al. 2024, algorithm 1.
    """
    if method not in MANY_METHODS:
        raise ValueError(f"`method` must be one of {', '.join(MANY_METHODS)}; got {method!r}.")
    if len(states) < 2:
        raise ValueError(f"`states` must hold at least two networks; got {len(states)}.")
    symmetry = verified_symmetry(model, example)
    given = [tensors(symmetry, state, f"states[{index}]") for index, state in enumerate(states)]
    arrays = [as_arrays(state) for state in given]
    start = [identity(symmetry)]
    for index, state in enumerate(arrays[1:]):
        start.append(WeightMatching(symmetry, arrays[0], state).match(restarts, seed + index).permutations)
    if method == "mean":
        permutations, sweeps = _to_the_mean(symmetry, arrays, start, np.random.default_rng(seed))
    else:
        permutations, sweeps = common_order(symmetry, arrays, start)
    aligned = [permute(symmetry, one, state) for one, state in zip(permutations, given, strict=True)]
    return ManyMatching(
        tuple(permutations),
        tuple(aligned),
        _spread(symmetry, given),
        _spread(symmetry, aligned),
        sweeps,
        method,
        symmetry,
    )


def _spread(symmetry: Symmetry, states: Sequence[dict[str, Tensor]]) -> float:
    squares = [distance(symmetry, one, other) ** 2 for one, other in combinations(states, 2)]
    return math.sqrt(sum(squares) / len(squares))


def _to_the_mean(
    symmetry: Symmetry,
    arrays: Sequence[dict[str, np.ndarray]],
    start: Sequence[Permutations],
    generator: np.random.Generator,
) -> tuple[list[Permutations], int]:
    """Match each network in turn to the mean of the others until none moves."""
    permutations = list(start)
    aligned = [permute(symmetry, one, state) for one, state in zip(permutations, arrays, strict=True)]
    total = {name: sum(state[name] for state in aligned) for name in aligned[0]}
    sweeps, moved = 0, True
    while moved:
        moved = False
        sweeps += 1
        for index in generator.permutation(len(arrays)):
            others = {name: (total[name] - one) / (len(arrays) - 1) for name, one in aligned[index].items()}
            matching = WeightMatching(symmetry, others, arrays[index])
            found, _ = matching.ascend(permutations[index], generator)
            gain = matching.objective(found) - matching.objective(permutations[index])
            if gain > LEAST_GAIN * matching.scale:
                moved = True
                permutations[index] = found
                after = permute(symmetry, found, arrays[index])
                total = {name: total[name] + after[name] - aligned[index][name] for name in total}
                aligned[index] = after
    return permutations, sweeps
