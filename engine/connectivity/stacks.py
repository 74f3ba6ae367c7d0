"""Finds where one of several maps that are stored side by side is picked, such as an attention's queries.

A layer that computes queries, keys and values at once is often viewed as [..., 3, units], moved around and
then indexed along the axis of 3. Its units are three concatenated sets, and not three blocks that could
trade places, which only the index tells; so indices are followed back to the view before labels are.
"""

from __future__ import annotations

from itertools import accumulate
from operator import mul
from typing import NamedTuple

from torch.fx import Node

from engine.connectivity.following import Follower, arguments, operation, shape
from engine.connectivity.labels import Layout, length
from engine.connectivity.view_operations import VIEWS, move, permutation
from engine.connectivity.view_rules import picked, reshaped, sliced


class Stack(NamedTuple):
    """How the axis that is indexed came about.

    Attributes:
        source: the value whose axis was viewed as several.
        axis: that axis.
        path: each operation from the view to the index, with the axis of its result that is indexed.
    """

    source: Node
    axis: int
    path: tuple[tuple[Node, int], ...]


def stack(node: Node) -> Stack | None:
    """Return how the axis that a ``select`` or ``unbind`` indexes was divided from another, if it was."""
    if operation(node) not in ("select", "unbind"):
        return None
    at: Node = node.all_input_nodes[0]
    axis, path = arguments(node)["dim"] % len(shape(at)), list[tuple[Node, int]]()
    while at.op == "call_function" and at.all_input_nodes:
        source = at.all_input_nodes[0]
        path.append((at, axis))
        if operation(at) in VIEWS:
            before, divided = _through_view(shape(source), shape(at), axis)
            if divided and before is not None:
                return Stack(source, before, tuple(reversed(path)))
        else:
            before = _through_move(at, source, axis)
        if before is None:
            return None
        at, axis = source, before
    return None


def _through_move(node: Node, source: Node, axis: int) -> int | None:
    """Return which axis of its input an axis of a node's result was, if there is one and it is a move."""
    name, dims = operation(node), len(shape(source))
    if not hasattr(node.target, "_schema"):
        return None
    order = permutation(node, dims)
    if order is not None:
        return order[axis]
    if name == "unsqueeze":
        put = arguments(node)["dim"] % (dims + 1)
        return None if axis == put else axis - (axis > put)
    if name == "squeeze" and isinstance(taken := arguments(node).get("dim"), int):
        taken %= dims
        return axis if shape(source)[taken] != 1 else axis + (axis >= taken)
    return None


def _through_view(before: tuple[int, ...], after: tuple[int, ...], axis: int) -> tuple[int | None, bool]:
    """Return which axis an axis of a view was, and whether it is now the first factor of it."""
    if after[axis] == 1:
        return None, False
    starts = list(accumulate(after[:axis], mul, initial=1))
    covered = starts[-1]
    for which, (size, start) in enumerate(zip(before, accumulate(before, mul, initial=1), strict=False)):
        if start == covered and size != 1:
            if size == after[axis]:
                return which, False
            return (which, True) if size % after[axis] == 0 else (None, False)
    return None, False


def pick(follower: Follower, found: Stack, index: int) -> Layout:
    """Return the layout of one entry of the axis that is indexed."""
    view, divided = found.path[0]
    count = shape(view)[divided]
    layout = follower.layout(found.source)
    each = length(layout[found.axis]) // count
    index %= count
    layout = follower.understood(
        view, sliced(follower.labels, layout, found.axis, index * each, (index + 1) * each)
    )
    # The axis stays with one entry, so that what follows can be done as it was recorded.
    for node, axis in found.path:
        if operation(node) in VIEWS:
            sizes = [1 if at == axis else size for at, size in enumerate(shape(node))]
            layout = follower.understood(node, reshaped(follower.labels, layout, sizes))
        else:
            layout = move(layout, node)
    return picked(follower.labels, layout, found.path[-1][1])
