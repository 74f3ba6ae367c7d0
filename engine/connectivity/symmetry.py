"""The permutation symmetries of a network's weights, read off the network itself."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn

from engine.connectivity.labels import Atom, LabelledAxis, Labels, Layout, Segment
from engine.connectivity.tracing import Traced, trace

Site = tuple[str, str | None]
"""What reorders entries: a group, and the group inside its blocks where there is one."""


class Factor(NamedTuple):
    """Entries of an axis that are reordered by one group, or not at all.

    Attributes:
        size: entries.
        group: whose permutation reorders them; None: they keep their order (positions, inputs, outputs).
        inside: the group that reorders the entries inside each block where `group` permutes whole blocks,
            such as the units of an attention head; each block has a permutation of its own. None: no blocks.
    """

    size: int
    group: str | None = None
    inside: str | None = None

    @property
    def site(self) -> Site | None:
        """What reorders these entries; None: nothing."""
        return None if self.group is None else (self.group, self.inside)


class Axis(NamedTuple):
    """One axis of a parameter.

    Attributes:
        parts: concatenated sets of entries, such as the gates of a recurrent cell; each a flattened product
            of factors whose last runs fastest, such as (channels, positions) in front of a read-out.
    """

    parts: tuple[tuple[Factor, ...], ...]

    @property
    def size(self) -> int:
        """How many entries this axis has."""
        return sum([math.prod([factor.size for factor in part]) for part in self.parts])

    @property
    def group(self) -> str | None:
        """The one group that reorders this axis; None where there is none, or more than one."""
        groups = self.groups
        return groups[0] if len(groups) == 1 else None

    @property
    def groups(self) -> tuple[str, ...]:
        """Every group that reorders entries of this axis, in the order of their appearance."""
        found = [name for part in self.parts for one in part for name in (one.group, one.inside) if name]
        return tuple(dict.fromkeys(found))


@dataclass(frozen=True)
class Symmetry:
    """The permutations of units that leave a network's outputs as they are.

    Attributes:
        groups: the size of what each group permutes.
        axes: what each axis of each parameter and buffer is reordered by.
        inside: groups that act inside the blocks of another group, and that group; their permutations are one
            for each block.
        notes: what was not understood and therefore keeps its order, in sentences.
        parameters: the names in `axes` that are trained, a shared parameter once; the others are buffers.
    """

    groups: dict[str, int]
    axes: dict[str, tuple[Axis, ...]]
    inside: dict[str, str]
    notes: tuple[str, ...]
    parameters: tuple[str, ...]


def symmetry(model: nn.Module, example: Tensor) -> Symmetry:
    """Return the permutation symmetries of a network, found by following its channels through its operations.

    A linear or convolutional output opens a group, a sum joins groups, normalizations and elementwise
    operations keep them, concatenation puts them side by side, flattening repeats them over positions. Heads
    of an attention trade places as a whole, and within a head queries with keys, and values with what reads
    them. Group normalization lets whole groups trade places, and channels inside each of them. Inputs and
    outputs keep their order, and so does whatever reaches an operation that is not understood.

    Args:
        model: any module that takes one tensor; it is not changed.
        example: a batch of its inputs.

    Raises:
        ValueError: the model refuses the example, or its operations depend on the values that it sees.

    Source:
        Ainsworth, Hayase & Srinivasa 2022 (Git Re-Basin), section 2 and appendix A.2, where the
        specification is written by hand; attention: Verma & Elbayad 2024, section 3.
    """
    traced = trace(model, example)
    return describe(traced, {name for name, _ in model.named_parameters(remove_duplicate=False)})


def describe(traced: Traced, trained: set[str]) -> Symmetry:
    """Return the symmetries that the labels of a traced network allow.

    Args:
        traced: the network.
        trained: the names of its parameters.
    """
    labels, weights = traced.labels, traced.weights
    names = group_names(traced)
    groups, inside, axes = dict[str, int](), dict[str, str](), dict[str, tuple[Axis, ...]]()
    for name, layout in weights.items():
        axes[name] = tuple(_axis(labels, axis, names) for axis in layout)
        for axis in layout:
            for segment in labels.expand(axis):
                for atom in segment:
                    if atom.label >= 0:
                        groups.setdefault(names[atom.label], atom.size)
                        owner = labels.owner(atom.label)
                        if owner is not None:
                            inside[names[atom.label]] = names[owner]
    ordered = tuple(name for name in axes if name in trained)
    axes |= {alias: axes[name] for alias, name in traced.recording.aliases.items() if name in axes}
    return Symmetry(groups, axes, inside, _notes(traced, trained), ordered)


def group_names(traced: Traced) -> dict[int, str]:
    """Return the name of each label that may be reordered."""
    labels, weights = traced.labels, traced.weights
    for name in traced.unused:
        for axis in weights[name]:
            labels.pin_axis(axis)
    _require_blocks_beside(labels, weights)
    return _names(labels, weights)


def _require_blocks_beside(labels: Labels, weights: Mapping[str, Layout]) -> None:
    """Give blocks one order inside where a parameter does not hold them right before what is inside."""
    for layout in weights.values():
        for axis in layout:
            for segment in labels.expand(axis):
                for before, atom in zip((Atom(1, -1), *segment), segment, strict=False):
                    owner = labels.owner(atom.label)
                    if owner is not None and before.label != owner:
                        labels.share(atom.label)


def _names(labels: Labels, weights: Mapping[str, Layout]) -> dict[int, str]:
    """Return the name of each label: of the first parameter that opens it, else of any that has it.

    A parameter opens the group of its first axis; an embedding, whose rows keep their order, of its last.
    """
    opened, held = dict[int, str](), dict[int, str]()
    for name, layout in weights.items():
        free = [at for at, axis in enumerate(layout) if labels.is_free(axis)]
        for at, axis in enumerate(layout):
            for atom in (atom for segment in labels.expand(axis) for atom in segment if atom.label >= 0):
                held.setdefault(atom.label, name)
                if at == 0 or free == [len(layout) - 1]:
                    opened.setdefault(atom.label, name)
    names, taken = dict[int, str](), set[str]()
    for label in held:
        name = opened.get(label, held[label]).removesuffix(".weight").removesuffix(".bias")
        name += ".inside" if labels.owner(label) is not None else ""
        unique, count = name, 1
        while unique in taken:
            count += 1
            unique = f"{name}.{count}"
        names[label] = unique
        taken.add(unique)
    return names


def _axis(labels: Labels, axis: LabelledAxis, names: Mapping[int, str]) -> Axis:
    return Axis(tuple(_factors(labels, segment, names) for segment in labels.expand(axis)))


def _factors(labels: Labels, segment: Segment, names: Mapping[int, str]) -> tuple[Factor, ...]:
    factors = list[Factor]()
    for atom in segment:
        if atom.label < 0:
            factors.append(Factor(atom.size))
        elif labels.owner(atom.label) is not None:
            blocks = factors.pop()
            factors.append(Factor(blocks.size * atom.size, blocks.group, names[atom.label]))
        else:
            factors.append(Factor(atom.size, names[atom.label]))
    return tuple(factors)


def _notes(traced: Traced, trained: set[str]) -> tuple[str, ...]:
    """Return what was not understood, in sentences."""
    labels, notes = traced.labels, list[str]()
    held: dict[int, list[str]] = {}
    for name, layout in traced.weights.items():
        for axis in layout:
            for label in labels.within(axis):
                held.setdefault(label, []).append(name)
    for operation, axes in traced.notes:
        fixed = dict.fromkeys(
            name for axis in axes for label in sorted(labels.within(axis)) for name in held.get(label, ())
        )
        if fixed:
            notes.append(
                f"`{operation}` is not understood, so that the units which reach it keep their order: "
                f"{', '.join(fixed)}."
            )
    unused = [name for name in traced.unused if name in trained]
    if unused:
        notes.append(f"No output depends on {', '.join(unused)}, which therefore keep their order.")
    return tuple(dict.fromkeys(notes))
