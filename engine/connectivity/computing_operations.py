"""The rules of operations that compute: sums over channels, normalizations, pooling, look-up."""

from __future__ import annotations

import re

from torch.fx import Node

from engine.connectivity.following import (
    Follower,
    Rule,
    UnfollowedError,
    Value,
    arguments,
    first_only,
    pointwise,
    shape,
)
from engine.connectivity.labels import Layout, length, pinned
from engine.connectivity.view_rules import reshaped, sliced


def _product(*places: tuple[str, tuple[int, ...]], result: tuple[int, ...]) -> Rule:
    """Return the rule of a product of tensors, given the indices of each as in an Einstein summation."""

    def rule(follower: Follower, node: Node) -> Layout:
        given = arguments(node)
        operands = []
        for name, axes in places:
            layout = follower.layout(given[name])
            operands.append((layout, axes[len(axes) - len(layout) :]))
        return follower.meet(node, operands, result)

    return rule


def _kept(follower: Follower, node: Node) -> Layout:
    """Follow what treats all entries of an axis alike, such as a softmax."""
    return follower.layout(node.all_input_nodes[0])


def _dims(node: Node, dims: int) -> list[int]:
    given = arguments(node)
    which = given.get("dim", given.get("dims"))
    if which is None or which == []:
        return list(range(dims))
    return [one % dims for one in ([which] if isinstance(which, int) else which)] if dims else []


def _reduced(follower: Follower, node: Node) -> Value:
    layout = follower.layout(node.all_input_nodes[0])
    gone, keep = _dims(node, len(layout)), arguments(node).get("keepdim", False)
    reduced = tuple(
        ((),) if axis in gone else one for axis, one in enumerate(layout) if keep or axis not in gone
    )
    result = follower.meet(node, [(reduced, range(len(reduced)))], range(len(reduced)))
    values = node.meta["val"]
    return tuple(result for _ in values) if isinstance(values, tuple | list) else result


def _extreme(follower: Follower, node: Node) -> Value:
    """Follow a maximum along an axis; which entry it was would depend on the order."""
    if isinstance(node.meta["val"], tuple | list):
        first_only(node)
    return _reduced(follower, node)


def _along(follower: Follower, node: Node) -> Layout:
    """Follow what goes along some axes in their order, such as a cumulative sum."""
    layout = follower.layout(node.all_input_nodes[0])
    for axis in _dims(node, len(layout)):
        follower.labels.pin_axis(layout[axis])
    return tuple(follower.labels.expand(axis) for axis in layout)


def _triangle(follower: Follower, node: Node) -> Layout:
    layout = follower.layout(node.all_input_nodes[0])
    follower.pin(layout[-2:])
    return tuple(follower.labels.expand(axis) for axis in layout)


def _in_groups(follower: Follower, node: Node, layout: Layout, axis: int, groups: int) -> Layout:
    """Return a layout with one axis split into groups and what is inside."""
    sizes = [length(one) for one in layout]
    sizes[axis : axis + 1] = [groups, sizes[axis] // groups]
    return follower.understood(node, reshaped(follower.labels, layout, sizes))


def _convolution(follower: Follower, node: Node) -> Layout:
    given = arguments(node)
    inputs, weight = follower.layout(given["input"]), follower.layout(given["weight"])
    bias = () if given["bias"] is None else follower.layout(given["bias"])
    for layout in (inputs, weight):
        follower.pin(layout[2:])
    groups, positions = given["groups"], tuple(pinned(size) for size in shape(node)[2:])
    inputs, weight = inputs[:2], weight[:2]
    if groups == 1:
        places = (1, 2) if given["transposed"] else (2, 1)
        operands = [(inputs, (0, 1)), (weight, places), *([(bias, (2,))] if bias else [])]
        return follower.meet(node, operands, (0, 2)) + positions
    inputs = _in_groups(follower, node, inputs, 1, groups)
    weight = _in_groups(follower, node, weight, 0, groups)
    operands = [(inputs, (0, 1, 2)), (weight, (1, 2, 3) if given["transposed"] else (1, 3, 2))]
    if bias:
        operands.append((_in_groups(follower, node, bias, 0, groups), (1, 3)))
    result = follower.meet(node, operands, (0, 1, 3))
    return follower.understood(node, reshaped(follower.labels, result, shape(node)[:2])) + positions


def _batch_norm(follower: Follower, node: Node) -> Value:
    first_only(node)
    given = arguments(node)
    layout = follower.layout(given["input"])
    names = ("weight", "bias", "running_mean", "running_var")
    channels = [follower.layout(given[name]) for name in names if isinstance(given.get(name), Node)]
    operands = [(layout, range(len(layout))), *((one, (1,)) for one in channels)]
    return (follower.meet(node, operands, range(len(layout))),)


def _layer_norm(follower: Follower, node: Node) -> Value:
    first_only(node)
    given = arguments(node)
    layouts = [
        follower.layout(given[name])
        for name in ("input", "weight", "bias")
        if isinstance(given.get(name), Node)
    ]
    return (follower.broadcast(node, layouts, len(layouts[0])),)


def _group_norm(follower: Follower, node: Node) -> Value:
    """Follow group normalization: whole groups trade places, and channels inside each of them."""
    first_only(node)
    given = arguments(node)
    layout, groups = follower.layout(given["input"]), given["group"]
    split = _in_groups(follower, node, layout, 1, groups)
    operands = [(split, tuple(range(len(split))))]
    for name in ("weight", "bias"):
        if given[name] is not None:
            channels = follower.layout(given[name])
            operands.append((_in_groups(follower, node, channels, 0, groups), (1, 2)))
    result = follower.meet(node, operands, range(len(split)))
    return (follower.understood(node, reshaped(follower.labels, result, shape(node))),)


def _weight_norm(follower: Follower, node: Node) -> Value:
    first_only(node)
    return (pointwise(follower, node),)


def _spatial(follower: Follower, node: Node) -> Value:
    """Follow what works on the positions of each channel alone, such as pooling."""
    found = re.search(r"([123])d", str(node.target))
    positions = int(found[1]) if found else 0
    layout = follower.layout(node.all_input_nodes[0])
    kept = layout[: len(layout) - positions]
    follower.pin(layout[len(kept) :])
    result = kept + tuple(pinned(size) for size in shape(node)[len(kept) :])
    if isinstance(node.meta["val"], tuple | list):
        first_only(node)
        return (result,)
    return result


def _embedding(follower: Follower, node: Node) -> Layout:
    given = arguments(node)
    weight = follower.layout(given["weight"])
    follower.labels.pin_axis(weight[0])
    return follower.layout(given["indices"]) + weight[1:]


def _indexed(follower: Follower, node: Node) -> Layout:
    given = arguments(node)
    layout, indices = follower.layout(given["self"]), given["indices"]
    at = [axis for axis, index in enumerate(indices) if index is not None]
    for axis in at:
        follower.labels.pin_axis(layout[axis])
    kept = [one for axis, one in enumerate(layout) if axis not in at]
    neighbours = at == list(range(at[0], at[0] + len(at)))
    before = at[0] if neighbours else 0
    places = shape(node)[before : before + len(shape(node)) - len(kept)]
    follower.pin(tuple(axis for index in indices if index is not None for axis in follower.layout(index)))
    return (*kept[:before], *(pinned(size) for size in places), *kept[before:])


def _index_selected(follower: Follower, node: Node) -> Layout:
    given = arguments(node)
    layout = follower.layout(given["self"])
    dim = given["dim"] % len(layout)
    follower.labels.pin_axis(layout[dim])
    return (*layout[:dim], pinned(shape(node)[dim]), *layout[dim + 1 :])


def _arranged(follower: Follower, node: Node) -> Layout:
    """Follow a new tensor whose entries depend on where they stand."""
    if node.all_input_nodes:
        raise UnfollowedError
    return tuple(pinned(size) for size in shape(node))


def _gated(follower: Follower, node: Node) -> Layout:
    """Follow the product of one half of an axis with what a sigmoid makes of the other."""
    layout = follower.layout(node.all_input_nodes[0])
    dim = arguments(node)["dim"] % len(layout)
    half = shape(node)[dim]
    halves = [
        follower.understood(node, sliced(follower.labels, layout, dim, start, start + half))
        for start in (0, half)
    ]
    return follower.broadcast(node, halves, len(layout))


_SYMMETRIC = ("sum", "mean", "amax", "amin", "var", "std", "prod", "any", "all", "logsumexp", "var_mean")
_POOLING = (
    *(f"{kind}{size}d" for size in (1, 2, 3) for kind in ("avg_pool", "_adaptive_avg_pool")),
    *(f"{kind}{size}d" for size in (2, 3) for kind in ("adaptive_max_pool", "fractional_max_pool")),
    *(f"max_pool{size}d_with_indices" for size in (2, 3)),
    *(f"{kind}_pad{size}d" for size in (1, 2, 3) for kind in ("reflection", "replication")),
    *(f"upsample_{kind}" for kind in ("nearest1d", "nearest2d", "nearest3d", "bilinear2d", "bicubic2d")),
)
_BATCH_NORMS = ("native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training")

COMPUTING_OPERATIONS: dict[str, Rule] = {
    **dict.fromkeys((*_SYMMETRIC, "linalg_vector_norm", "norm"), _reduced),
    **dict.fromkeys(("max", "min"), _extreme),
    **dict.fromkeys(("_softmax", "_log_softmax", "_safe_softmax", "softmax", "log_softmax"), _kept),
    **dict.fromkeys(("flip", "cumsum", "cumprod"), _along),
    **dict.fromkeys(("tril", "triu"), _triangle),
    **dict.fromkeys(_BATCH_NORMS, _batch_norm),
    **dict.fromkeys(("native_layer_norm", "_fused_rms_norm"), _layer_norm),
    **dict.fromkeys(_POOLING, _spatial),
    **dict.fromkeys(("arange", "eye", "empty", "linspace", "tril_indices"), _arranged),
    "mm": _product(("self", (0, 1)), ("mat2", (1, 2)), result=(0, 2)),
    "bmm": _product(("self", (0, 1, 2)), ("mat2", (0, 2, 3)), result=(0, 1, 3)),
    "addmm": _product(("self", (0, 2)), ("mat1", (0, 1)), ("mat2", (1, 2)), result=(0, 2)),
    "baddbmm": _product(("self", (0, 1, 3)), ("batch1", (0, 1, 2)), ("batch2", (0, 2, 3)), result=(0, 1, 3)),
    "mv": _product(("self", (0, 1)), ("vec", (1,)), result=(0,)),
    "addmv": _product(("self", (0,)), ("mat", (0, 1)), ("vec", (1,)), result=(0,)),
    "dot": _product(("self", (0,)), ("tensor", (0,)), result=()),
    "convolution": _convolution,
    "native_group_norm": _group_norm,
    "_weight_norm_interface": _weight_norm,
    "_prelu_kernel": pointwise,
    "glu": _gated,
    "embedding": _embedding,
    "index": _indexed,
    "index_select": _index_selected,
}
