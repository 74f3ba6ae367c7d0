"""The labels of channels: which axes of which tensors hold the same units, kept by union-find."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

PINNED = -1
"""The label of an axis whose entries keep their order: examples, positions, inputs, outputs."""
UNIFORM = -2
"""The label of an axis along which all entries are the same by construction; it fits every order."""


class Atom(NamedTuple):
    """Some entries with one label."""

    size: int
    label: int


Segment = tuple[Atom, ...]
"""A flattened product of atoms, the last one running fastest; the empty one has one entry."""
LabelledAxis = tuple[Segment, ...]
"""A concatenation of segments."""
Layout = tuple[LabelledAxis, ...]
"""The axes of a tensor."""


def width(segment: Segment) -> int:
    """Return how many entries a segment has."""
    return math.prod([atom.size for atom in segment])


def length(axis: LabelledAxis) -> int:
    """Return how many entries an axis has."""
    return sum([math.prod([atom.size for atom in segment]) for segment in axis])


def plain(size: int, label: int) -> LabelledAxis:
    """Return an axis with one label; an axis of one entry needs none."""
    return ((Atom(size, label),),) if size != 1 else ((),)


def pinned(size: int) -> LabelledAxis:
    """Return an axis whose entries keep their order."""
    return plain(size, PINNED)


def uniform(size: int) -> LabelledAxis:
    """Return an axis along which all entries are the same."""
    return plain(size, UNIFORM)


@dataclass
class _Class:
    """What is known of a set of equal labels.

    Attributes:
        parent: towards the root of the set.
        size: units.
        pinned: whether they keep their order.
        blocks: the labels (blocks, inside a block) of the product that the units were split into.
        parts: the labels of the two parts of the concatenation that they were split into.
        owner: the label of the blocks, where each block may have an order of its own inside.
    """

    parent: int
    size: int
    pinned: bool = False
    blocks: tuple[int, int] | None = None
    parts: tuple[int, int] | None = None
    owner: int | None = None

    @property
    def below(self) -> tuple[int, ...]:
        return (*(self.blocks or ()), *(self.parts or ()))


class Labels:
    """A union-find over labels whose sets can be split into products and concatenations later on.

    Splitting n units into p blocks of q gives the blocks one label and the q units inside a block another,
    which the blocks own: each block may order its units in its own way (attention heads, groups of channels).
    What would mix the blocks up takes this freedom back with :meth:`share`.
    """

    def __init__(self) -> None:
        self._classes: list[_Class] = []

    def fresh(self, size: int, owner: int | None = None) -> int:
        """Return a new label of so many units."""
        self._classes.append(_Class(len(self._classes), size, owner=owner))
        return len(self._classes) - 1

    def find(self, label: int) -> int:
        """Return the root of a label's set."""
        while (parent := self._classes[label].parent) != label:
            self._classes[label].parent = self._classes[parent].parent
            label = parent
        return label

    def root(self, label: int) -> int:
        """Return the root of a label's set, and a mark that is none as it is."""
        return self.find(label) if label >= 0 else label

    def _root(self, label: int) -> _Class:
        return self._classes[self.find(label)]

    def owner(self, label: int) -> int | None:
        """Return the root of the blocks inside which each may order this label's units in its own way."""
        owner = self._root(label).owner if label >= 0 else None
        return None if owner is None else self.find(owner)

    def pin(self, label: int) -> None:
        """Keep the order of a label's units, also of those that it was split into."""
        if label >= 0 and not (root := self._root(label)).pinned:
            root.pinned = True
            for below in root.below:
                self.pin(below)

    def pin_axis(self, axis: LabelledAxis) -> LabelledAxis:
        """Keep the order of a whole axis, and return it so."""
        for segment in axis:
            for atom in segment:
                self.pin(atom.label)
        return pinned(length(axis))

    def within(self, axis: LabelledAxis) -> set[int]:
        """Return the roots of all labels of an axis, and of those that they were split into."""
        found, left = set[int](), [atom.label for segment in axis for atom in segment if atom.label >= 0]
        while left:
            here = self.find(left.pop())
            if here not in found:
                found.add(here)
                left += self._classes[here].below
        return found

    def is_free(self, axis: LabelledAxis) -> bool:
        """Return whether some units of an axis may still be reordered."""
        return any(atom.label >= 0 for segment in self.expand(axis) for atom in segment)

    def expand(self, axis: LabelledAxis) -> LabelledAxis:
        """Return an axis in terms of roots, and of the labels that its own were split into."""
        expanded = list[Segment]()
        for segment in axis:
            products: list[Segment] = [()]
            for atom in segment:
                inner = self._expand(atom)
                if len(inner) == 1:
                    products = [product + inner[0] for product in products]
                elif any(before.label >= 0 for product in products for before in product):
                    # Blocks of which each is a concatenation: no sum of products says this.
                    products = [*self.pin_axis((segment,))]
                    break
                else:
                    copies = sum(width(product) for product in products)
                    products = [part for _ in range(copies) for part in inner]
            expanded += products
        return tuple(expanded)

    def _expand(self, atom: Atom) -> LabelledAxis:
        if atom.size == 1:
            return ((),)
        if atom.label < 0:
            return ((atom,),)
        root = self._root(atom.label)
        if root.pinned:
            return ((Atom(atom.size, PINNED),),)
        if root.parts is None and root.blocks is None:
            return ((Atom(atom.size, self.find(atom.label)),),)
        pieces = [Atom(self._classes[label].size, label) for label in root.below]
        return self.expand((tuple(pieces),) if root.blocks else tuple((piece,) for piece in pieces))

    def split_blocks(self, label: int, count: int) -> None:
        """Split a label that is not split yet into `count` blocks.

        Where it is itself inside of blocks, these stay the ones that what is split off belongs to; what is
        inside of it then has one order for all, so that nothing is ever inside of two.
        """
        self.share_inside(label)
        here = self.find(label)
        owner = self.owner(here)
        blocks = self.fresh(count, owner)
        size = self._classes[here].size // count
        self._classes[here].blocks = (blocks, self.fresh(size, blocks if owner is None else None))

    def split_parts(self, label: int, at: int) -> None:
        """Split a label that is not split yet behind `at` units."""
        self.share(label)
        self.share_inside(label)
        here = self.find(label)
        self._classes[here].parts = (self.fresh(at), self.fresh(self._classes[here].size - at))

    def share(self, label: int) -> None:
        """Give all blocks the same order inside, where each could have its own."""
        self._root(label).owner = None

    def share_inside(self, label: int) -> None:
        """Give all blocks of this label the same order inside."""
        here = self.find(label)
        for other in range(len(self._classes)):
            if self.owner(other) == here:
                self.share(other)

    def unite(self, one: int, other: int) -> None:
        """Make two labels of as many units equal; neither is split."""
        if one < 0 or other < 0:
            if PINNED in (one, other):
                self.pin(max(one, other))
            return
        # The earlier one stays the root, so that names do not depend on the order.
        here, there = sorted((self.find(one), self.find(other)))
        if here == there:
            return
        if self.owner(here) != self.owner(there):
            self.share(here)
            self.share(there)
        if self._classes[here].pinned or self._classes[there].pinned:
            self.pin(here)
        self._classes[there].parent = here
