"""What operations that only move entries do to the labels of axes."""

from __future__ import annotations

from collections.abc import Sequence

from engine.connectivity.alignment import MisalignedError, StaleError, cut, factor, settle
from engine.connectivity.labels import (
    LabelledAxis,
    Labels,
    Layout,
    Segment,
    length,
    pinned,
    uniform,
    width,
)


def reshaped(labels: Labels, layout: Layout, shape: Sequence[int]) -> tuple[Layout, bool]:
    """Return the layout behind a view of another shape, and whether all of it was understood.

    Axes that are merged become a product; an axis that is divided is split into blocks.
    """
    old, new = [axis for axis in layout if length(axis) != 1], [size for size in shape if size != 1]
    understood, result = True, list[LabelledAxis]()
    while old:
        merged, sizes = [old.pop(0)], [new.pop(0)]
        while (have := _product(map(length, merged))) != (want := _product(sizes)):
            if have < want:
                merged.append(old.pop(0))
            else:
                sizes.append(new.pop(0))
        regrouped = None
        while regrouped is None:
            try:
                regrouped = _regrouped(labels, merged, sizes)
            except StaleError:
                continue
            except MisalignedError:
                understood = False
                for axis in merged:
                    labels.pin_axis(axis)
                regrouped = [pinned(size) for size in sizes]
        result += regrouped
    axes = iter(result)
    return settle(labels, tuple(((),) if size == 1 else next(axes) for size in shape)), understood


def _product(sizes: Sequence[int] | map[int]) -> int:
    product = 1
    for size in sizes:
        product *= size
    return product


def _regrouped(labels: Labels, merged: list[LabelledAxis], sizes: list[int]) -> list[LabelledAxis]:
    """Return axes of these sizes that hold, one after the other, the entries of the merged axes.

    Raises:
        MisalignedError: a concatenation is divided or stands behind another axis, or a size divides no block.
        StaleError: a label was split on the way.
    """
    if len(merged) == len(sizes) == 1:
        return merged
    first, others = labels.expand(merged[0]), [labels.expand(axis) for axis in merged[1:]]
    if any(len(axis) > 1 for axis in others) or (len(first) > 1 and len(sizes) > 1):
        raise MisalignedError
    behind: Segment = tuple(atom for axis in others for atom in axis[0])
    if len(sizes) == 1:
        return [tuple(segment + behind for segment in first)]
    atoms, axes = list(reversed(first[0] + behind)), list[LabelledAxis]()
    for size in sizes:
        taken: Segment = ()
        while (missing := size // width(taken)) > 1:
            atom = atoms.pop()
            if atom.size > missing:
                atom, rest = factor(labels, atom, missing)
                atoms.append(rest)
            elif missing % atom.size:
                raise MisalignedError
            taken += (atom,)
        axes.append((taken,))
    return axes


def sliced(labels: Labels, layout: Layout, dim: int, start: int, stop: int) -> tuple[Layout, bool]:
    """Return the layout of some entries of an axis, `stop` not included, and whether it was understood."""
    axis = layout[dim]
    if (start, stop) == (0, length(axis)):
        return layout, True
    try:
        _, behind = _cut_axis(labels, axis, start)
        left, _ = _cut_axis(labels, behind, stop - start)
        understood = True
    except MisalignedError:
        labels.pin_axis(axis)
        left, understood = pinned(stop - start), False
    return settle(labels, (*layout[:dim], left, *layout[dim + 1 :])), understood


def _cut_axis(labels: Labels, axis: LabelledAxis, at: int) -> tuple[LabelledAxis, LabelledAxis]:
    """Return the first `at` entries of an axis, and the others."""
    before, rest = list[Segment](), list(labels.expand(axis))
    while at:
        segment = rest.pop(0)
        if width(segment) > at:
            # An earlier cut of the same label may have divided this one too.
            try:
                segment, behind = cut(labels, segment, at)
            except StaleError:
                behind = list(labels.expand((segment,)))
                segment = behind.pop(0)
            rest = behind + rest
            if width(segment) > at:
                rest.insert(0, segment)
                continue
        before.append(segment)
        at -= width(segment)
    return labels.expand(tuple(before)), labels.expand(tuple(rest))


def picked(labels: Labels, layout: Layout, dim: int) -> Layout:
    """Return the layout of one entry of an axis, whose order is then fixed."""
    labels.pin_axis(layout[dim])
    return settle(labels, layout[:dim] + layout[dim + 1 :])


def expanded(layout: Layout, shape: Sequence[int]) -> Layout:
    """Return the layout where axes of one entry, or none, are repeated to reach a shape."""
    axes = [((),)] * (len(shape) - len(layout)) + list(layout)
    return tuple(uniform(size) if length(axis) == 1 else axis for axis, size in zip(axes, shape, strict=True))


def padded(axis: LabelledAxis, before: int, behind: int) -> LabelledAxis:
    """Return an axis with equal entries before and behind it."""
    return concatenated(
        [*([uniform(before)] if before else []), axis, *([uniform(behind)] if behind else [])]
    )


def concatenated(axes: Sequence[LabelledAxis]) -> LabelledAxis:
    """Return axes one behind the other."""
    return tuple(segment for axis in axes for segment in axis)
