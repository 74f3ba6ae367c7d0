"""Follows the labels of channels through the operations of a recorded network, one rule per operation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

from engine.connectivity.alignment import meet, settle
from engine.connectivity.labels import Labels, Layout, pinned, uniform

Value = Layout | tuple[Layout, ...]
Rule = Callable[["Follower", Node], Value]


class UnfollowedError(Exception):
    """An operation, or the way it is used here, has no rule."""


def operation(node: Node) -> str:
    """Return the name of a node's operation, without overload and without the mark of in-place operations."""
    if isinstance(node.target, torch._ops.OpOverload):
        name = node.target._schema.name.removeprefix("aten::")
        return name.rstrip("_") if not name.startswith("__") else name
    return getattr(node.target, "__name__", str(node.target))


def arguments(node: Node) -> dict[str, Any]:
    """Return a node's arguments by their names in the schema, defaults included."""
    assert isinstance(node.target, torch._ops.OpOverload)
    schema = node.target._schema.arguments
    given = dict(zip((one.name for one in schema), node.args, strict=False)) | dict(node.kwargs)
    return {one.name: given.get(one.name, one.default_value) for one in schema}


def shape(node: Node) -> tuple[int, ...]:
    """Return the shape of what a node returns, or of the first tensor of several."""
    value = node.meta["val"]
    while isinstance(value, tuple | list):
        value = value[0]
    return tuple(value.shape)


def first_only(node: Node) -> None:
    """Check that only the first of a node's results is used.

    Raises:
        UnfollowedError: another one is.
    """
    if any(user.args[1] != 0 for user in node.users):
        raise UnfollowedError


class Follower:
    """The layouts of all values computed so far.

    Attributes:
        labels: of all of them.
        layouts: of the values by node.
        notes: each operation that fixed an order because it is not understood, with the axes it fixed.
    """

    def __init__(self, recorded: GraphModule, rules: dict[str, Rule]) -> None:
        self.labels, self.layouts = Labels(), dict[Node, Value]()
        self.notes = list[tuple[str, Layout]]()
        self._recorded, self._rules = recorded, rules

    def follow(self, node: Node) -> None:
        """Set the layout of what a node returns."""
        if node.op == "get_attr":
            self.layouts[node] = _constant(getattr(self._recorded, str(node.target)))
            return
        rule = self._rules.get(operation(node))
        if rule is None and isinstance(node.target, torch._ops.OpOverload):
            rule = pointwise if torch.Tag.pointwise in node.target.tags else None
        try:
            if rule is None:
                raise UnfollowedError
            value: Any = rule(self, node)
        except UnfollowedError:
            value = self._give_up(node)
        several = isinstance(node.meta["val"], tuple | list)
        self.layouts[node] = (
            tuple(settle(self.labels, one) for one in value) if several else settle(self.labels, value)
        )

    def layout(self, node: Node) -> Layout:
        """Return the layout of a value that is one tensor."""
        value: Any = self.layouts[node]
        return value  # type: ignore[no-any-return]

    def meet(
        self, node: Node, operands: Sequence[tuple[Layout, Sequence[int]]], result: Sequence[int]
    ) -> Layout:
        """Make labels equal as ``alignment.meet`` does, and note where that is impossible."""
        layout, fits = meet(self.labels, operands, result)
        if not fits:
            self.notes.append((operation(node), tuple(axis for operand, _ in operands for axis in operand)))
        return layout

    def understood(self, node: Node, followed: tuple[Layout, bool]) -> Layout:
        """Return a layout, and note it if it is not the whole truth."""
        layout, understood = followed
        if not understood:
            self.notes.append((operation(node), tuple(self._inputs(node))))
        return layout

    def broadcast(self, node: Node, operands: Sequence[Layout], dims: int) -> Layout:
        """Return what tensors of these layouts give entry by entry, their last axes side by side."""
        placed = [(layout, range(dims - len(layout), dims)) for layout in operands]
        return self.meet(node, placed, range(dims))

    def pin(self, axes: Layout) -> None:
        """Keep the order of axes."""
        for axis in axes:
            self.labels.pin_axis(axis)

    def _inputs(self, node: Node) -> list[Any]:
        axes = list[Any]()
        for source in node.all_input_nodes:
            value: Any = self.layouts[source]
            for one in [value] if not value or not _is_many(source) else value:
                axes += one
        return axes

    def _give_up(self, node: Node) -> Value:
        """Keep the order of everything that reaches a node."""
        axes = tuple(self._inputs(node))
        if any(self.labels.is_free(axis) for axis in axes):
            self.notes.append((operation(node), axes))
        self.pin(axes)
        value = node.meta["val"]
        if isinstance(value, tuple | list):
            return tuple(_fixed(one) for one in value)
        return _fixed(value)


def _is_many(node: Node) -> bool:
    return isinstance(node.meta.get("val"), tuple | list)


def _fixed(value: object) -> Layout:
    return tuple(pinned(size) for size in value.shape) if isinstance(value, Tensor) else ()


def _constant(value: Tensor) -> Layout:
    """Return the layout of a tensor that is part of the code: free along an axis where nothing changes."""
    return tuple(
        uniform(size) if bool((value == value.narrow(axis, 0, 1)).all()) else pinned(size)
        for axis, size in enumerate(value.shape)
    )


def pointwise(follower: Follower, node: Node) -> Layout:
    """Follow an operation that works entry by entry."""
    dims = len(shape(node))
    operands = [follower.layout(source) for source in node.all_input_nodes]
    return follower.broadcast(node, [layout for layout in operands if len(layout) <= dims], dims)
