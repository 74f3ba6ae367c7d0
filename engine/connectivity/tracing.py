"""Records a network as a list of tensor operations, and follows the labels of its channels through them."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call, functionalize
from torch.fx import GraphModule, Node
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.attention import SDPBackend, sdpa_kernel

from engine.connectivity.computing_operations import COMPUTING_OPERATIONS
from engine.connectivity.following import Follower, shape
from engine.connectivity.labels import Labels, Layout, pinned, plain
from engine.connectivity.stacks import Stack, pick, stack
from engine.connectivity.view_operations import VIEW_OPERATIONS

_RULES = {**COMPUTING_OPERATIONS, **VIEW_OPERATIONS}
_REFUSALS = (RuntimeError, TypeError, ValueError, NotImplementedError, AttributeError, LookupError)


class Recording(NamedTuple):
    """A network in evaluation mode as operations on its weights and one batch of inputs.

    Attributes:
        operations: called with the weights by name and the inputs; no operation changes a tensor in place.
        names: of its parameters and buffers, each shared one once, in the order of the first placeholders.
        aliases: other names of shared ones, and the name each has in `names`.
    """

    operations: GraphModule
    names: tuple[str, ...]
    aliases: dict[str, str]


class Traced(NamedTuple):
    """What the labels of a recorded network are.

    Attributes:
        recording: the network.
        labels: of all channels.
        weights: the layout of each parameter and buffer.
        layouts: of what each operation returns.
        notes: operations that fixed an order because they are not understood, with what they fixed.
        unused: parameters and buffers that no output depends on.
    """

    recording: Recording
    labels: Labels
    weights: dict[str, Layout]
    layouts: dict[Node, Any]
    notes: list[tuple[str, Layout]]
    unused: tuple[str, ...]


@contextmanager
def elementary() -> Iterator[None]:
    """Keep torch from fusing attention, so that it is recorded as products and a softmax."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def in_double(model: nn.Module) -> nn.Module:
    """Return a copy in float64 and evaluation mode: with running statistics, and without dropout."""
    return copy.deepcopy(model).double().eval()


def doubled(inputs: Tensor) -> Tensor:
    """Return inputs in float64, tokens as they are."""
    return inputs.double() if inputs.is_floating_point() else inputs


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """Return a module's parameters and persistent buffers by name, each shared one once."""
    kept = model.state_dict().keys()
    named = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return {name: value.detach() for name, value in named.items() if name in kept}


def aliases_of(model: nn.Module) -> dict[str, str]:
    """Return the further names of shared parameters and buffers, with the name that each has first."""
    first: dict[int, str] = {}
    both = (
        *model.named_parameters(remove_duplicate=False),
        *model.named_buffers(remove_duplicate=False),
    )
    return {name: known for name, value in both if (known := first.setdefault(id(value), name)) != name}


def record(model: nn.Module, example: Tensor) -> Recording:
    """Return a network as the operations that it does on an example batch.

    Raises:
        ValueError: the model refuses the example, or its operations depend on the values that it sees.
    """
    model, example = in_double(model), doubled(example)
    state = weights_of(model)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    with elementary(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model(example)
        except _REFUSALS as error:
            raise ValueError(
                f"`example` must be a batch that the model takes; got shape {tuple(example.shape)}, and the "
                f"model said: {_short(error)}"
            ) from error

        def run(weights: Mapping[str, Tensor], inputs: Tensor) -> object:
            return functional_call(model, dict(weights), (inputs,))

        try:
            operations: GraphModule = make_fx(functionalize(run))(state, example)
        except _REFUSALS as error:
            raise ValueError(
                f"`model` must do the same operations on every input to be traced; {type(model).__name__} "
                f"does not: {_short(error)}"
            ) from error
    operations.graph.eliminate_dead_code()
    operations.recompile()
    return Recording(operations, tuple(state), aliases_of(model))


def _short(error: BaseException) -> str:
    """Return the first sentence of a message of torch, which can run to pages."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].split(".  ")[0].split(" - erroring out")[0]


def trace(model: nn.Module, example: Tensor) -> Traced:
    """Return the labels of a network's channels, equal for axes whose units only trade places together.

    Args:
        model: any module that takes one tensor.
        example: a batch of its inputs, examples first.

    Raises:
        ValueError: the model cannot be traced.
    """
    recording = record(model, example)
    follower = Follower(recording.operations, _RULES)
    nodes = list(recording.operations.graph.nodes)
    placeholders = [node for node in nodes if node.op == "placeholder"]
    stacks, needed = _plan(nodes)
    for node, name in zip(placeholders, (*recording.names, None), strict=True):
        follower.layouts[node] = tuple(
            pinned(size) if name is None else plain(size, follower.labels.fresh(size)) for size in shape(node)
        )
    weights = {name: follower.layout(node) for name, node in zip(recording.names, placeholders, strict=False)}
    for node in nodes:
        if node.op == "output":
            for source in node.all_input_nodes:
                follower.pin(follower.layout(source))
        elif node in needed and node.op != "placeholder":
            if node in stacks:
                follower.layouts[node] = _picked(follower, node, stacks[node])
            else:
                follower.follow(node)
    unused = tuple(
        name for name, node in zip(recording.names, placeholders, strict=False) if node not in needed
    )
    return Traced(recording, follower.labels, weights, follower.layouts, follower.notes, unused)


def _picked(follower: Follower, node: Node, found: Stack) -> Layout | tuple[Layout, ...]:
    values = node.meta["val"]
    if isinstance(values, tuple | list):
        return tuple(pick(follower, found, index) for index in range(len(values)))
    index = node.args[2]
    assert isinstance(index, int)
    return pick(follower, found, index)


def _plan(nodes: list[Node]) -> tuple[dict[Node, Stack], set[Node]]:
    """Return the indices into stacks of maps, and the nodes to follow where such a way is one step."""
    stacks = {node: found for node in nodes if node.op == "call_function" and (found := stack(node))}
    needed = set[Node]()
    for node in reversed(nodes):
        if node.op == "output" or node in needed:
            needed.add(node)
            needed.update([stacks[node].source] if node in stacks else node.all_input_nodes)
    return stacks, needed
