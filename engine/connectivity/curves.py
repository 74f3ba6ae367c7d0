"""Curves of low loss between two networks: a third network bends the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from engine.connectivity.evaluation import Examples, evaluate, examples, require_whole_batches, together
from engine.connectivity.layers import private, trace
from engine.connectivity.path import Path, rising
from engine.connectivity.weights import Array, State, Weights, checked, mixed, stacked
from engine.losses import losses
from engine.tasks import Task

KINDS = ("bezier", "polyline")
OPTIMIZERS = ("adam", "sgd")


class Curve(NamedTuple):
    """A curve from one network to another.

    Attributes:
        kind: ``bezier`` or ``polyline``.
        bend: the network that bends it; a polyline goes through it, a Bezier curve towards it.
        path: loss and accuracy along t.
        losses: of the batch of each training step, at its own t.
    """

    kind: str
    bend: State
    path: Path
    losses: Float[np.ndarray, " steps"]


class Training(NamedTuple):
    """How the bend is trained.

    Attributes:
        steps: of the optimizer, each at one t drawn uniformly from [0, 1].
        batch_size: examples of a step.
        optimizer: ``adam`` or ``sgd``.
        lr: learning rate.
        momentum: of ``sgd``.
        seed: of every t and every batch.
    """

    steps: int = 1000
    batch_size: int = 128
    optimizer: str = "adam"
    lr: float = 1e-3
    momentum: float = 0.9
    seed: int = 0


def coefficients(kind: str, t: Float[np.ndarray, " points"]) -> Float[np.ndarray, "points networks"]:
    """Return how points of a curve are weighted sums of (a, bend, b).

    Args:
        kind: ``bezier``: (1-t)^2, 2t(1-t), t^2. ``polyline``: from a to the bend and on to b, in halves.
        t: from 0 to 1.

    Raises:
        ValueError: another kind.

    Source:
        Garipov et al. 2018, equations 3 and 4.
    """
    if kind not in KINDS:
        raise ValueError(f"`kind` must be one of {', '.join(KINDS)}; got {kind!r}.")
    if kind == "bezier":
        return np.stack([(1 - t) ** 2, 2 * t * (1 - t), t**2], 1)
    return np.stack([np.maximum(1 - 2 * t, 0), 1 - np.abs(1 - 2 * t), np.maximum(2 * t - 1, 0)], 1)


def curve(
    model: nn.Module,
    a: Weights,
    b: Weights,
    X: Array,
    y: Array,
    seed: int,
    kind: str = "bezier",
    steps: int = 1000,
    batch_size: int = 128,
    optimizer: str = "adam",
    lr: float = 1e-3,
    momentum: float = 0.9,
    t: Sequence[float] | Float[np.ndarray, " points"] | None = None,
    task: Task = "classes",
    progress: Callable[[int, int], None] | None = None,
) -> Curve:
    """Train the bend of a curve so that the mean loss over it is low, and return the loss along it.

    Every step draws a t uniformly and a batch without replacement, and follows the gradient of the loss there
    with respect to the bend, which begins half-way between the ends. Batch normalization uses the statistics
    of the batch in training and those of `X` at evaluation, taken anew at every t.

    Args:
        model: the architecture.
        a: the network at t = 0.
        b: the network at t = 1.
        X: inputs of the training set.
        y: targets.
        seed: of every t and every batch.
        kind: ``bezier``, quadratic, or ``polyline``, with one bend.
        steps: of the optimizer.
        batch_size: examples of a step, at most all.
        optimizer: ``adam`` or ``sgd``.
        lr: learning rate.
        momentum: of ``sgd``.
        t: where the curve is evaluated; 25 evenly spaced points by default.
        task: what the targets are, and with it the loss.
        progress: called with the steps done and all steps after each.

    Raises:
        ValueError: the ends do not fit, an argument breaks its rule, or the training diverges.

    Source:
        Garipov et al. 2018, section 3 and equation 2.
    """
    if steps < 0 or batch_size < 1 or not 0 < lr < float("inf"):
        raise ValueError(
            "`steps` must be at least 0, `batch_size` at least 1 and `lr` above 0; "
            f"got {steps}, {batch_size} and {lr}."
        )
    points = rising(t)
    weights = torch.tensor(coefficients(kind, points))
    one, other = checked(model, a=a, b=b)
    seen, copied = examples(X, y, task, None, one), private(model)
    training = Training(steps, min(batch_size, len(seen.X)), optimizer, lr, momentum, seed)
    bend, along = _trained(copied, kind, one, other, seen, training, progress)
    corners = stacked([one, bend, other])
    evaluated = evaluate(
        copied,
        lambda start, stop: mixed(corners, weights[start:stop]),
        len(points),
        seen,
        together(one, len(seen.X), trace(copied, one, seen.X).widest),
    )
    return Curve(kind, bend, Path(points, *evaluated), along)


def curve_path(
    model: nn.Module,
    a: Weights,
    curve: Curve,
    b: Weights,
    X: Array,
    y: Array,
    t: Sequence[float] | Float[np.ndarray, " points"] | None = None,
    batch_size: int | None = None,
    task: Task = "classes",
) -> Path:
    """Return loss and accuracy along a trained curve on other examples, such as the test set.

    Args:
        model: the architecture.
        a: the network at t = 0.
        curve: as it was trained between the two.
        b: the network at t = 1.
        X: inputs.
        y: targets.
        t: where; 25 evenly spaced points by default.
        batch_size: examples evaluated together; all by default.
        task: what the targets are, and with it the loss.

    Raises:
        ValueError: the networks do not fit, or an argument breaks its rule.
    """
    points = rising(t)
    weights = torch.tensor(coefficients(curve.kind, points))
    corners = checked(model, a=a, bend=curve.bend, b=b)
    require_whole_batches(model, batch_size)
    seen, copied = examples(X, y, task, batch_size, corners[0]), private(model)
    all_three = stacked(corners)
    evaluated = evaluate(
        copied,
        lambda start, stop: mixed(all_three, weights[start:stop]),
        len(points),
        seen,
        together(corners[0], batch_size or len(seen.X), trace(copied, corners[0], seen.X).widest),
    )
    return Path(points, *evaluated)


def _trained(
    model: nn.Module,
    kind: str,
    a: State,
    b: State,
    seen: Examples,
    training: Training,
    progress: Callable[[int, int], None] | None,
) -> tuple[State, Float[np.ndarray, " steps"]]:
    """Return the trained bend, and the loss of every step.

    Raises:
        ValueError: a loss is not finite.
    """
    generator = np.random.default_rng(training.seed)
    trained = {key for key, _ in model.named_parameters()}
    bend = {key: (a[key] + b[key]) / 2 if key in trained else a[key].clone() for key in a}
    leaves = [bend[key].requires_grad_() for key in a if key in trained]
    follow = _optimizer(leaves, training)
    found = np.zeros(training.steps)
    for step in range(training.steps):
        at = coefficients(kind, np.array([generator.uniform()]))[0]
        rows = torch.from_numpy(generator.choice(len(seen.X), training.batch_size, replace=False))
        rows = rows.to(seen.X.device)
        here = {
            key: float(at[0]) * a[key] + float(at[1]) * bend[key] + float(at[2]) * b[key]
            if a[key].is_floating_point()
            else a[key]
            for key in a
        }
        loss = losses(seen.task, functional_call(model, here, (seen.X[rows],)), seen.y[rows]).mean()
        found[step] = loss.item()
        if not np.isfinite(found[step]):
            raise ValueError(
                f"`lr` must let the training converge; the loss is {found[step]} at step {step} with "
                f"{training.lr:g}. Choose a smaller one."
            )
        follow.zero_grad()
        torch.autograd.backward(loss)
        follow.step()
        if progress is not None:
            progress(step + 1, training.steps)
    return {key: value.detach() for key, value in bend.items()}, found


def _optimizer(leaves: list[Tensor], training: Training) -> torch.optim.Optimizer:
    """Return the optimizer of the bend.

    Raises:
        ValueError: an unknown one.
    """
    if training.optimizer == "adam":
        return torch.optim.Adam(leaves, lr=training.lr)
    if training.optimizer == "sgd":
        return torch.optim.SGD(leaves, lr=training.lr, momentum=training.momentum)
    raise ValueError(f"`optimizer` must be one of {', '.join(OPTIMIZERS)}; got {training.optimizer!r}.")
