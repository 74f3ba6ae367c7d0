"""What it means for labels that tensors meet in one operation: axes that run together are the same units."""

from __future__ import annotations

from collections.abc import Sequence

from engine.connectivity.labels import (
    PINNED,
    UNIFORM,
    Atom,
    LabelledAxis,
    Labels,
    Layout,
    Segment,
    length,
    width,
)

Place = tuple[int, int, int]
"""Where an atom stands: the index that its axis runs over, its segment and its position therein."""


class MisalignedError(Exception):
    """Two axes cannot be split into the same units."""


class StaleError(Exception):
    """A label was split since its axis was expanded; expanding it again helps."""


def meet(
    labels: Labels, operands: Sequence[tuple[Layout, Sequence[int]]], result: Sequence[int]
) -> tuple[Layout, bool]:
    """Make the labels of axes equal that run over the same index, as in an Einstein summation.

    Args:
        labels: changed in place.
        operands: a layout each, with the index that each of its axes runs over. An axis of one entry is
            repeated where others have more.
        result: the indices that the axes of the result run over; the others are summed, or reduced in another
            way that does not depend on the order.

    Returns:
        The layout of the result, and whether all axes could be split into the same units; those that could
        not keep their order.
    """
    indices = sorted({index for _, axes in operands for index in axes})
    together, fits = dict[int, LabelledAxis](), True
    for index in indices:
        met = [layout[axis] for layout, axes in operands for axis, at in enumerate(axes) if at == index]
        try:
            together[index] = _common(labels, met)
        except MisalignedError:
            fits = False
            together[index] = next(labels.pin_axis(axis) for axis in met if length(axis) != 1)
    _unite(labels, operands, together)
    return settle(labels, tuple(together[index] for index in result)), fits


def _common(labels: Labels, axes: Sequence[LabelledAxis]) -> LabelledAxis:
    """Split axes into the same atoms and return them; of several labels at one place the most definite."""
    longest = max(map(length, axes))
    axes = [axis for axis in axes if length(axis) == longest]
    common = axes[0]
    if len(axes) == 1:
        return labels.expand(common)
    for axis in (*axes, *axes):  # twice: a later axis can split what an earlier one has too
        common, axis = align(labels, common, axis)
        common = tuple(
            tuple(b if a.label == UNIFORM else a for a, b in zip(mine, theirs, strict=True))
            for mine, theirs in zip(common, axis, strict=True)
        )
    return common


def align(labels: Labels, one: LabelledAxis, other: LabelledAxis) -> tuple[LabelledAxis, LabelledAxis]:
    """Return two axes of the same length, split into atoms of the same sizes.

    Raises:
        MisalignedError: they cannot be.
    """
    while True:
        one, other = labels.expand(one), labels.expand(other)
        if _sizes(one) == _sizes(other):
            return one, other
        try:
            one, other = _align_once(labels, one, other)
        except StaleError:
            continue


def _sizes(axis: LabelledAxis) -> list[list[int]]:
    return [[atom.size for atom in segment] for segment in axis]


def _align_once(labels: Labels, one: LabelledAxis, other: LabelledAxis) -> tuple[LabelledAxis, LabelledAxis]:
    left, right = list(reversed(one)), list(reversed(other))
    done_left, done_right = list[Segment](), list[Segment]()
    while left and right:
        first, second = left.pop(), right.pop()
        least = min(width(first), width(second))
        if width(first) > least:
            first, rest = cut(labels, first, least)
            left += reversed(rest)
        elif width(second) > least:
            second, rest = cut(labels, second, least)
            right += reversed(rest)
        first, second = _align_segments(labels, first, second)
        done_left.append(first)
        done_right.append(second)
    return tuple(done_left), tuple(done_right)


def _align_segments(labels: Labels, first: Segment, second: Segment) -> tuple[Segment, Segment]:
    if not first or not second:
        return first, second
    left, right = list(reversed(first)), list(reversed(second))
    done = list[Atom](), list[Atom]()
    while left and right:
        a, b = left.pop(), right.pop()
        if a.size > b.size:
            a, rest = factor(labels, a, b.size)
            left.append(rest)
        elif b.size > a.size:
            b, rest = factor(labels, b, a.size)
            right.append(rest)
        done[0].append(a)
        done[1].append(b)
    return tuple(done[0]), tuple(done[1])


def factor(labels: Labels, atom: Atom, count: int) -> tuple[Atom, Atom]:
    """Split an atom that is not split yet into `count` blocks; return the blocks and what is inside.

    Raises:
        MisalignedError: its size is no multiple of `count`.
        StaleError: it was split in the meantime.
    """
    if atom.size % count:
        raise MisalignedError
    if atom.label < 0:
        return Atom(count, atom.label), Atom(atom.size // count, atom.label)
    _require_fresh(labels, atom)
    labels.split_blocks(atom.label, count)
    blocks, inside = labels.expand(((atom,),))[0]
    return blocks, inside


def cut(labels: Labels, segment: Segment, at: int) -> tuple[Segment, list[Segment]]:
    """Cut a segment behind `at` entries; return what is before and what is behind.

    Raises:
        MisalignedError: the cut is inside a block.
        StaleError: it was split in the meantime.
    """
    lead, inner = segment[0], segment[1:]
    first, within = divmod(at, width(inner))
    if within:
        raise MisalignedError
    if lead.label < 0:
        pieces = labels.expand(tuple((Atom(size, lead.label),) for size in (first, lead.size - first)))
    else:
        _require_fresh(labels, lead)
        labels.split_parts(lead.label, first)
        pieces = labels.expand(((lead,),))
    before, behind = (piece + inner for piece in pieces)
    return before, [behind]


def _require_fresh(labels: Labels, atom: Atom) -> None:
    """Check that an atom is still what its axis expands to.

    Raises:
        StaleError: it is not.
    """
    if labels.expand(((atom,),)) != ((atom,),):
        raise StaleError


def _unite(
    labels: Labels, operands: Sequence[tuple[Layout, Sequence[int]]], together: dict[int, LabelledAxis]
) -> None:
    """Make the labels equal that stand at the same place, those of blocks before those inside."""
    placed = list[dict[Place, Atom]]()
    for operand in (*operands, *operands):  # twice, as splitting one can split another
        placed.append(_places(labels, operand, together))
    placed = placed[len(operands) :]
    met: dict[Place, list[dict[Place, Atom]]] = {}
    for places in placed:
        for place, atom in places.items():
            if atom.label != UNIFORM:
                met.setdefault(place, []).append(places)
    owned = {
        place
        for place, where in met.items()
        if any(labels.owner(places[place].label) is not None for places in where)
    }
    for place in (*(met.keys() - owned), *owned):
        atoms = [places[place] for places in met[place]]
        if place in owned:
            owners = {_owner_place(labels, places, places[place]) for places in met[place]}
            if len(owners) > 1 or None in owners:
                for atom in atoms:
                    if atom.label >= 0:
                        labels.share(atom.label)
        for atom in atoms[1:]:
            labels.unite(atoms[0].label, atom.label)


def _places(
    labels: Labels, operand: tuple[Layout, Sequence[int]], together: dict[int, LabelledAxis]
) -> dict[Place, Atom]:
    """Return the atoms of one operand by the place where they stand; an axis that is repeated has none."""
    places = dict[Place, Atom]()
    for axis, index in zip(*operand, strict=True):
        if length(axis) != length(together[index]):
            continue
        try:
            axis, _ = align(labels, axis, together[index])
        except MisalignedError:
            axis = labels.pin_axis(axis)
        for row, segment in enumerate(axis):
            places |= {(index, row, column): atom for column, atom in enumerate(segment)}
    return places


def _owner_place(labels: Labels, places: dict[Place, Atom], atom: Atom) -> Place | None:
    """Return where the blocks of an atom stand beside it; None where they do not, or more than once."""
    owner = labels.owner(atom.label)
    if owner is None:
        return None
    found = [place for place, other in places.items() if labels.root(other.label) == owner]
    return found[0] if len(found) == 1 else None


def settle(labels: Labels, layout: Layout) -> Layout:
    """Return a layout in terms of roots, neighbours without a label joined.

    Units that are inside of blocks which are not there, or more than once, have one order for all blocks.
    """
    layout = tuple(labels.expand(axis) for axis in layout)
    atoms = [atom for axis in layout for segment in axis for atom in segment]
    for atom in atoms:
        owner = labels.owner(atom.label)
        if owner is not None and sum(other.label == owner for other in atoms) != 1:
            labels.share(atom.label)
    return tuple(tuple(_joined(segment) for segment in _merged(axis)) for axis in layout)


def _joined(segment: Segment) -> Segment:
    """Return a segment with neighbouring atoms joined that have no label of their own."""
    joined = list[Atom]()
    for atom in segment:
        if joined and atom.label < 0 and joined[-1].label == atom.label:
            joined[-1] = Atom(joined[-1].size * atom.size, atom.label)
        else:
            joined.append(atom)
    return tuple(joined)


def _merged(axis: LabelledAxis) -> LabelledAxis:
    """Return an axis with neighbouring segments joined that hold nothing but fixed entries."""
    merged = list[Segment]()
    for segment in axis:
        fixed = all(atom.label == PINNED for atom in segment)
        if merged and fixed and all(atom.label == PINNED for atom in merged[-1]):
            merged[-1] = (Atom(width(merged[-1]) + width(segment), PINNED),)
        else:
            merged.append(segment)
    return tuple(merged)
