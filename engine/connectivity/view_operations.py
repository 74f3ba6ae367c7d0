"""The rules of operations that only move entries."""

from __future__ import annotations

from typing import Any

from torch.fx import Node

from engine.connectivity.following import Follower, Rule, UnfollowedError, arguments, operation, shape
from engine.connectivity.labels import UNIFORM, Atom, Layout, length, pinned, uniform
from engine.connectivity.view_rules import concatenated, expanded, padded, picked, reshaped, sliced

COPIES = ("clone", "alias", "detach", "contiguous", "lift_fresh_copy", "lift", "_to_copy", "lift_fresh")
VIEWS = ("view", "_unsafe_view", "reshape", "_reshape_alias")


def permutation(node: Node, dims: int) -> list[int] | None:
    """Return which axis of its input each axis of a node's result is; None where it is no transposition."""
    given, name = arguments(node), operation(node)
    order = list(range(dims))
    if name == "permute":
        return [dim % dims for dim in given["dims"]]
    if name == "transpose":
        first, second = given["dim0"] % dims, given["dim1"] % dims
        order[first], order[second] = second, first
        return order
    if name == "t":
        return order[::-1]
    return order if name in COPIES else None


def move(layout: Layout, node: Node) -> Layout:
    """Return the layout behind a transposition, a copy, or an axis of one entry put in or taken out."""
    order = permutation(node, len(layout))
    if order is not None:
        return tuple(layout[axis] for axis in order)
    name, dims = operation(node), len(layout)
    if name == "unsqueeze":
        dim = arguments(node)["dim"] % (dims + 1)
        return (*layout[:dim], ((),), *layout[dim:])
    dim = arguments(node).get("dim")
    which = range(dims) if dim is None else [one % dims for one in ([dim] if isinstance(dim, int) else dim)]
    return tuple(axis for at, axis in enumerate(layout) if at not in which or length(axis) != 1)


def _moved(follower: Follower, node: Node) -> Layout:
    return move(follower.layout(node.all_input_nodes[0]), node)


def _reshaped(follower: Follower, node: Node) -> Layout:
    layout = follower.layout(node.all_input_nodes[0])
    return follower.understood(node, reshaped(follower.labels, layout, shape(node)))


def _expanded(follower: Follower, node: Node) -> Layout:
    return expanded(follower.layout(node.all_input_nodes[0]), shape(node))


def _copied(follower: Follower, node: Node) -> Layout:
    return expanded(follower.layout(arguments(node)["src"]), shape(node))


def _selected(follower: Follower, node: Node) -> Layout:
    given, layout = arguments(node), follower.layout(node.all_input_nodes[0])
    return picked(follower.labels, layout, given["dim"] % len(layout))


def _unbound(follower: Follower, node: Node) -> tuple[Layout, ...]:
    return tuple(_selected(follower, node) for _ in node.meta["val"])


def _sliced(follower: Follower, node: Node) -> Layout:
    given, layout = arguments(node), follower.layout(node.all_input_nodes[0])
    dim = given["dim"] % len(layout)
    if given["step"] != 1:
        follower.labels.pin_axis(layout[dim])
        return (*layout[:dim], pinned(shape(node)[dim]), *layout[dim + 1 :])
    start, _, _ = slice(given["start"], None).indices(length(layout[dim]))
    stop = start + shape(node)[dim]
    return follower.understood(node, sliced(follower.labels, layout, dim, start, stop))


def _split(follower: Follower, node: Node) -> tuple[Layout, ...]:
    given, layout = arguments(node), follower.layout(node.all_input_nodes[0])
    dim, start, pieces = given["dim"] % len(layout), 0, list[Layout]()
    for value in node.meta["val"]:
        stop = start + value.shape[dim]
        pieces.append(follower.understood(node, sliced(follower.labels, layout, dim, start, stop)))
        start = stop
    return tuple(pieces)


def _joined(follower: Follower, node: Node, layouts: list[Layout], dim: int) -> Layout:
    """Return the layout of tensors one behind the other along an axis; their other axes are the same."""
    dims = len(layouts[0])
    others = [axis for axis in range(dims) if axis != dim]
    placed = [(tuple(layout[axis] for axis in others), others) for layout in layouts]
    result = iter(follower.meet(node, placed, others))
    along = concatenated([layout[dim] for layout in layouts])
    return tuple(along if axis == dim else next(result) for axis in range(dims))


def _concatenated(follower: Follower, node: Node) -> Layout:
    given, dims = arguments(node), len(shape(node))
    layouts = [follower.layout(one) for one in given["tensors"]]
    return _joined(follower, node, [one for one in layouts if len(one) == dims], given["dim"] % dims)


def _stacked(follower: Follower, node: Node) -> Layout:
    given, dims = arguments(node), len(shape(node))
    dim = given["dim"] % dims
    layouts = [follower.layout(one) for one in given["tensors"]]
    layouts = [(*one[:dim], ((),), *one[dim:]) for one in layouts]
    result = _joined(follower, node, layouts, dim)
    return (*result[:dim], pinned(len(layouts)), *result[dim + 1 :])


def _scattered(follower: Follower, node: Node) -> Layout:
    given: dict[str, Any] = arguments(node)
    layout, source = follower.layout(given["self"]), follower.layout(given["src"])
    dim = given["dim"] % len(layout)
    if given["step"] != 1:
        raise UnfollowedError
    whole = length(layout[dim])
    start, _, _ = slice(given["start"], None).indices(whole)
    stop = start + length(source[dim])
    pieces = [
        follower.understood(node, sliced(follower.labels, layout, dim, *ends))
        for ends in ((0, start), (stop, whole))
        if ends[0] < ends[1]
    ]
    pieces.insert(1 if start else 0, source)
    return _joined(follower, node, pieces, dim)


def _padded(follower: Follower, node: Node) -> Layout:
    given = arguments(node)
    layout, pads = list(follower.layout(given["self"])), given["pad"]
    for at in range(len(pads) // 2):
        before, behind = pads[2 * at : 2 * at + 2]
        if min(before, behind) < 0:
            raise UnfollowedError
        axis = len(layout) - 1 - at
        layout[axis] = padded(layout[axis], before, behind)
    return tuple(layout)


def _repeated(follower: Follower, node: Node) -> Layout:
    repeats = arguments(node)["repeats"]
    layout = follower.layout(node.all_input_nodes[0])
    layout = (((),),) * (len(repeats) - len(layout)) + layout
    return tuple(
        ((Atom(times, UNIFORM), *axis[0]),) if len(axis) == 1 else concatenated([axis] * times)
        for axis, times in zip(layout, repeats, strict=True)
    )


def _shuffled(follower: Follower, node: Node) -> Layout:
    """Follow channels that are spread over positions, a square of them for each channel of the result."""
    factor = arguments(node)["upscale_factor"]
    *leading, channels, rows, columns = follower.layout(node.all_input_nodes[0])
    follower.pin((rows, columns))
    after = shape(node)
    split = follower.understood(node, reshaped(follower.labels, (channels,), (after[-3], factor**2)))
    follower.pin(split[1:])
    return (*leading, split[0], pinned(after[-2]), pinned(after[-1]))


def _item(follower: Follower, node: Node) -> Layout:
    source, which = node.args
    assert isinstance(source, Node)
    values: Any = follower.layouts[source]
    return values[which]  # type: ignore[no-any-return]


def _created(follower: Follower, node: Node) -> Layout:
    return tuple(uniform(size) for size in shape(node))


_EQUAL = (
    *("zeros", "ones", "full", "zeros_like", "ones_like", "full_like"),
    *("new_zeros", "new_ones", "new_full", "scalar_tensor"),
)

VIEW_OPERATIONS: dict[str, Rule] = {
    **dict.fromkeys((*COPIES, "permute", "transpose", "t", "unsqueeze", "squeeze"), _moved),
    **dict.fromkeys(VIEWS, _reshaped),
    **dict.fromkeys(("split", "split_with_sizes", "unsafe_split", "unsafe_split_with_sizes"), _split),
    **dict.fromkeys(_EQUAL, _created),
    "expand": _expanded,
    "copy": _copied,
    "select": _selected,
    "unbind": _unbound,
    "slice": _sliced,
    "cat": _concatenated,
    "stack": _stacked,
    "slice_scatter": _scattered,
    "constant_pad_nd": _padded,
    "repeat": _repeated,
    "pixel_shuffle": _shuffled,
    "getitem": _item,
}
