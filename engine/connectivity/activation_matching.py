"""Permutations that pair the units of two networks whose activations correlate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.fx import Interpreter, Node

from engine.connectivity.assignment import Similarity, families, solve
from engine.connectivity.blocks import State
from engine.connectivity.covariance import CrossCorrelation
from engine.connectivity.following import operation
from engine.connectivity.labels import Atom
from engine.connectivity.permutations import Permutations, identity
from engine.connectivity.symmetry import Site, Symmetry, group_names
from engine.connectivity.tracing import Traced, doubled, elementary, trace

_NONLINEAR = {
    *("relu", "tanh", "gelu", "sigmoid", "silu", "elu", "leaky_relu", "softplus", "hardtanh", "hardswish"),
    *("hardsigmoid", "mish", "threshold", "_prelu_kernel"),
}
_SUMS = {"add"}
_MAPS = {"mm", "addmm", "bmm", "baddbmm", "convolution", "embedding", "index"}

_traces: WeakKeyDictionary[nn.Module, dict[torch.Size, Traced]] = WeakKeyDictionary()


class Place(NamedTuple):
    """Where the units of a group can be watched.

    Attributes:
        operation: its number in the recorded network.
        site: the group, and the group inside its blocks.
        shape: of the operation's result with its units' axis split into blocks, units and positions.
        axes: those of blocks and of units.
    """

    operation: int
    site: Site
    shape: tuple[int, ...]
    axes: tuple[int, ...]

    def units(self, value: Tensor) -> Float[np.ndarray, "samples units"]:
        """Return the activations in columns; every example and every position is a row."""
        split = value.reshape(self.shape).movedim(self.axes, tuple(range(-len(self.axes), 0)))
        return split.reshape(-1, int(np.prod(split.shape[split.ndim - len(self.axes) :]))).double().numpy()


def places(traced: Traced) -> list[Place]:
    """Return where to watch each group: behind its nonlinearities.

    Units without one, such as those of a residual stream, are watched where they are summed, or else behind
    the maps that make them.
    """
    found: dict[Site, list[list[Place]]] = {}
    names, reached = group_names(traced), _reached(traced)
    for index, node in enumerate(traced.recording.operations.graph.nodes):
        kind = [kinds for kinds in (_NONLINEAR, _SUMS, _MAPS) if operation(node) in kinds]
        if node not in reached or not kind or node not in traced.layouts:
            continue
        rank = 0 if kind[0] is _NONLINEAR else 1 if kind[0] is _SUMS else 2
        if rank == 1 and len(node.all_input_nodes) < 2:
            continue
        for place in _places_of(traced, node, index, names):
            found.setdefault(place.site, [[], [], []])[rank].append(place)
    return [place for ranked in found.values() for place in next(filter(None, ranked))]


def _reached(traced: Traced) -> set[Node]:
    """Return the operations whose results depend on the inputs."""
    nodes = list(traced.recording.operations.graph.nodes)
    inputs = [node for node in nodes if node.op == "placeholder"][-1]
    reached = {inputs}
    for node in nodes:
        if any(source in reached for source in node.all_input_nodes):
            reached.add(node)
    return reached


def _places_of(traced: Traced, node: Node, index: int, names: Mapping[int, str]) -> Iterator[Place]:
    layout: Any = traced.layouts[node]
    if isinstance(node.meta["val"], tuple | list):
        return
    axes = [traced.labels.expand(axis) for axis in layout]
    if any(len(axis) != 1 for axis in axes):
        return
    atoms: list[Atom] = [atom for axis in axes for atom in axis[0]]
    shape = tuple(atom.size for atom in atoms)
    for at, atom in enumerate(atoms):
        if atom.label not in names:
            continue
        owner = traced.labels.owner(atom.label)
        if owner is not None:
            blocks = [other for other, one in enumerate(atoms) if one.label == owner]
            yield Place(index, (names[owner], names[atom.label]), shape, (blocks[0], at))
        elif not any(traced.labels.owner(one.label) == atom.label for one in atoms):
            yield Place(index, (names[atom.label], None), shape, (at,))


class _Watcher(Interpreter):
    """Runs a recorded network and keeps the results of some operations."""

    def __init__(self, traced: Traced, indices: set[int]) -> None:
        super().__init__(traced.recording.operations)
        nodes = list(traced.recording.operations.graph.nodes)
        self._watched = {nodes[index]: index for index in indices}
        self.seen = dict[int, Tensor]()

    def run_node(self, n: Node) -> Any:
        value = super().run_node(n)
        if n in self._watched:
            self.seen[self._watched[n]] = value
        return value


def match_activations(
    model: nn.Module, symmetry: Symmetry, a: State, b: State, inputs: Tensor, batch_size: int = 256
) -> Permutations:
    """Return the permutations of `b` that pair units with correlated activations.

    Args:
        model: the architecture.
        symmetry: of it.
        a: weights of the first network.
        b: those of the second.
        inputs: examples on which both are watched.
        batch_size: examples at a time; the result does not depend on it.

    Returns:
        By group; a group that cannot be watched anywhere keeps its order.

    Source:
        Li et al. 2015, section 3; Ainsworth et al. 2022, section 3.1, with correlations as in Jordan et al.
        2022, section 2.
    """
    correlations = dict[int, CrossCorrelation]()
    watched = list[Place]()
    # A recording holds for one shape of batch; the null matches more networks on the same ones.
    traces = _traces.setdefault(model, {})
    for start in range(0, len(inputs), batch_size):
        batch = doubled(inputs[start : start + batch_size])
        if batch.shape not in traces:
            traces[batch.shape] = trace(model, batch)
        traced = traces[batch.shape]
        watched = places(traced)
        both = [_activations(traced, state, batch, watched) for state in (a, b)]
        for which, (one, other) in enumerate(zip(*both, strict=True)):
            correlations.setdefault(which, CrossCorrelation(one.shape[1])).add(one, other)
    similarities: dict[str, dict[Site, Similarity]] = {}
    for which, place in enumerate(watched):
        known = similarities.setdefault(place.site[0], {})
        correlation = correlations[which].correlation()
        known[place.site] = known[place.site] + correlation if place.site in known else correlation
    found = identity(symmetry)
    for family in families(symmetry):
        known = similarities.get(family.group, {})
        if known and all((family.group, name) in known for name in family.inside):
            found |= solve(family, known, symmetry.groups[family.group])
    return found


def _activations(
    traced: Traced, state: State, batch: Tensor, watched: list[Place]
) -> list[Float[np.ndarray, "samples units"]]:
    watcher = _Watcher(traced, {place.operation for place in watched})
    weights = [doubled(torch.as_tensor(state[name])) for name in traced.recording.names]
    with elementary():
        watcher.run(*weights, batch, enable_io_processing=False)
    return [place.units(watcher.seen[place.operation]) for place in watched]
