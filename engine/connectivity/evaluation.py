"""Loss and accuracy of many networks of one architecture, evaluated together."""

from collections.abc import Callable
from typing import NamedTuple, cast, get_args

import numpy as np
import torch
from jaxtyping import Float, Num, Shaped
from torch import Tensor, nn
from torch.func import functional_call, vmap

from engine.connectivity.layers import BATCH_NORMS
from engine.connectivity.weights import Array, State, as_inputs, one_of
from engine.losses import correct, losses
from engine.tasks import Task

At = Callable[[int, int], State]
"""Returns the stacked networks from one point up to another."""


class Examples(NamedTuple):
    """What networks are evaluated on.

    Attributes:
        X: inputs.
        y: targets.
        task: what they are.
        batch_size: examples evaluated together; None takes all.
    """

    X: Shaped[Tensor, "examples *example"]
    y: Num[Tensor, "examples *target"]
    task: Task
    batch_size: int | None


class Evaluated(NamedTuple):
    """Loss and accuracy at each point.

    Attributes:
        loss: mean over examples; inf or NaN where a network overflows.
        accuracy: share of examples; an output that is not finite is wrong; None for the task ``values``.
    """

    loss: Float[np.ndarray, " points"]
    accuracy: Float[np.ndarray, " points"] | None


def examples(
    X: Array,
    y: Array,
    task: str,
    batch_size: int | None,
    like: State,
) -> Examples:
    """Return examples on the networks' device and in their precision.

    Raises:
        ValueError: inputs and targets of different number, an unknown task, or a `batch_size` below 1.
    """
    if task not in get_args(Task):
        raise ValueError(f"`task` must be one of {', '.join(get_args(Task))}; got {task!r}.")
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"`batch_size` must be at least 1, or None for all examples; got {batch_size}.")
    inputs = as_inputs(X, like)
    if len(y) != len(inputs):
        raise ValueError(f"`y` must have a row for each of the {len(inputs)} rows of `X`; got {len(y)}.")
    targets = torch.as_tensor(np.array(y) if isinstance(y, np.ndarray) else y, device=inputs.device)
    one = next(value for value in like.values() if value.is_floating_point())
    targets = targets.to(torch.int64 if task == "classes" else one.dtype)
    return Examples(inputs, targets, cast(Task, task), batch_size)


def require_whole_batches(model: nn.Module, batch_size: int | None) -> None:
    """Refuse to split examples where batch normalization would see the difference.

    Raises:
        ValueError: it would.
    """
    if batch_size is not None and any(isinstance(one, BATCH_NORMS) for one in model.modules()):
        raise ValueError(
            "`batch_size` must be None for a model with batch normalization, which uses the statistics of "
            f'the examples that it is given; got {batch_size}. Freeze them, as renormalize="reset" does.'
        )


@torch.no_grad()
def evaluate(model: nn.Module, at: At, points: int, seen: Examples, together: int) -> Evaluated:
    """Return loss and accuracy of so many networks.

    Args:
        model: the architecture, a private copy.
        at: makes the networks, a few at a time.
        points: how many there are.
        seen: what they are evaluated on.
        together: how many are evaluated in one call.
    """

    def sums(state: State, X: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        outputs: Tensor = functional_call(model, state, (X,))
        total = losses(seen.task, outputs, y).sum(dtype=torch.float64)
        if seen.task == "values":
            return total, torch.zeros_like(total)
        right = correct(seen.task, outputs, y) & outputs.isfinite().flatten(1).all(1)
        return total, right.sum(dtype=torch.float64)

    def sums_of_one(states: State, X: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return sums(one_of(states, 0), X, y)

    # Alone a network does without vmap, which adds biases apart from products: 25 networks of width 256 took
    # 272 ms through it one by one, and 173 ms in a plain loop.
    every = sums_of_one if together == 1 else vmap(sums, in_dims=(0, None, None))
    size = seen.batch_size or len(seen.X)
    loss, right = (np.zeros(points) for _ in range(2))
    for start in range(0, points, together):
        states, here = at(start, min(points, start + together)), slice(start, start + together)
        for X, y in zip(torch.split(seen.X, size), torch.split(seen.y, size), strict=True):
            both = every(states, X, y)
            loss[here] += both[0].cpu().numpy()
            right[here] += both[1].cpu().numpy()
    return Evaluated(loss / len(seen.X), None if seen.task == "values" else right / len(seen.X))


# On one CPU core, with the digits' 773 test rows in single precision, products are what takes the time: 25
# networks of width 16, 32 and 64 took 11.5, 17.9 and 30 ms at 2^20 numbers, more with fewer or with more,
# and 17.7, 20.5 and 35 ms in a plain loop. From width 128 on, where fewer than 8 networks fit, no number of
# them was faster than one by one.
_CPU, _GPU = 1 << 20, 1 << 28
_FEWEST = 8


def together(state: State, rows: int, widest: int) -> int:
    """Return how many networks to evaluate in one call, so that their weights and activations stay small.

    Args:
        state: one network.
        rows: examples in one call.
        widest: values per example of the widest layer.
    """
    numbers = rows * widest + sum(value.numel() for value in state.values())
    if next(iter(state.values())).device.type != "cpu":
        return max(1, _GPU // numbers)
    fitting = _CPU // numbers
    return fitting if fitting >= _FEWEST else 1
