"""The layers with weights in the order in which they run, and what alone reads the output of each."""

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from engine.connectivity.weights import State
from engine.models._batch_norm import BatchNorm

WEIGHTS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
BATCH_NORMS = (BatchNorm, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
NONLINEAR = (nn.ReLU, nn.GELU, nn.Tanh, nn.SiLU, nn.Sigmoid, nn.LeakyReLU, nn.Softplus, nn.ELU)


class Layer(NamedTuple):
    """A layer with weights.

    Attributes:
        name: of its module, linear or a convolution.
        norm: of the normalization that reads its output, if nothing else does.
        activation: of the nonlinearity that reads what comes out of these, if nothing else does and it is a
            module.
    """

    name: str
    norm: str | None
    activation: str | None

    @property
    def last(self) -> str:
        """Name of the module that returns the inputs of the units' nonlinearity."""
        return self.norm or self.name


class Trace(NamedTuple):
    """How a model runs.

    Attributes:
        layers: in the order in which they run first.
        batch_norms: all of them, also those that follow no layer.
        runs: how often each of the modules watched runs in one pass, in the order in which they run first.
        widest: the most values per example that a watched module returns.
    """

    layers: tuple[Layer, ...]
    batch_norms: tuple[str, ...]
    runs: dict[str, int]
    widest: int


def private(model: nn.Module) -> nn.Module:
    """Return a copy in evaluation mode whose modules may be watched and replaced."""
    return copy.deepcopy(model).eval()


def is_norm(module: nn.Module) -> bool:
    """Return whether a module normalizes and has, or could have, a scale and a shift for every unit."""
    if isinstance(module, nn.LayerNorm):
        return len(module.normalized_shape) == 1
    return isinstance(module, (*BATCH_NORMS, nn.GroupNorm))


def axis_of_units(module: nn.Module) -> int:
    """Return which axis of a module's output counts units: channels of images, else the last one."""
    return -1 if isinstance(module, nn.Linear | nn.LayerNorm) else 1


class _Readers(TorchFunctionMode):
    """Notes which module's operations read which tensor; None stands for operations outside of all."""

    def __init__(self) -> None:
        super().__init__()
        self.inside: str | None = None
        self._read: dict[int, list[tuple[Tensor, str | None]]] = {}  # tensors are kept, so that ids are too

    def __torch_function__(
        self, func: Callable[..., Any], types: object, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if any(isinstance(leaf, Tensor) for leaf in tree_leaves(result)):  # a shape reads no values
            for leaf in tree_leaves((args, kwargs)):
                if isinstance(leaf, Tensor):
                    self._read.setdefault(id(leaf), []).append((leaf, self.inside))
        return result

    def only(self, tensor: Tensor) -> str | None:
        """Return the module that reads a tensor, if nothing else does."""
        readers = {name for _, name in self._read.get(id(tensor), ())}
        return readers.pop() if len(readers) == 1 else None


@contextmanager
def watched(
    model: nn.Module,
    names: Mapping[str, object] | list[str],
    see: Callable[[str, nn.Module, Any, Tensor], Tensor | None],
) -> Iterator[None]:
    """Call `see` with name, module, inputs and output whenever one of these modules has run.

    What it returns, other than None, takes the place of the output.
    """

    def hook(name: str) -> Callable[[nn.Module, Any, Tensor], Tensor | None]:
        return lambda module, inputs, output: see(name, module, inputs, output)

    handles = [model.get_submodule(name).register_forward_hook(hook(name)) for name in names]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def trace(model: nn.Module, state: State, inputs: Tensor) -> Trace:
    """Run a private copy of a model on two examples, and return what ran in which order.

    Raises:
        ValueError: no layer with weights runs.
    """
    kinds = (*WEIGHTS, *NONLINEAR)
    modules = {name: one for name, one in model.named_modules() if is_norm(one) or isinstance(one, kinds)}
    readers, runs, returned = _Readers(), dict[str, int](), dict[str, Tensor]()

    def enter(name: str) -> Callable[..., None]:
        return lambda *_: setattr(readers, "inside", name)

    def see(name: str, module: nn.Module, inputs: object, output: Tensor) -> None:
        readers.inside = None
        runs[name] = runs.get(name, 0) + 1
        returned.setdefault(name, output)

    handles = [one.register_forward_pre_hook(enter(name)) for name, one in modules.items()]
    try:
        with watched(model, modules, see), readers:
            functional_call(model, state, (inputs[:2],))
    finally:
        for handle in handles:
            handle.remove()
    layers = list[Layer]()
    for name in runs:
        if isinstance(modules[name], WEIGHTS):
            norm = readers.only(returned[name])
            norm = norm if norm is not None and is_norm(modules[norm]) else None
            reader = readers.only(returned[norm or name])
            activation = reader if reader is not None and isinstance(modules[reader], NONLINEAR) else None
            layers.append(Layer(name, norm, activation))
    if not layers:
        raise ValueError("`model` must run a linear layer or a convolution; it runs none.")
    return Trace(
        tuple(layers),
        tuple(name for name in runs if isinstance(modules[name], BATCH_NORMS)),
        runs,
        max(output.numel() // len(inputs[:2]) for output in returned.values()),
    )
