"""The loss along the straight line between two networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from engine.connectivity.evaluation import evaluate, examples, require_whole_batches, together
from engine.connectivity.layers import private, trace
from engine.connectivity.renormalization import Renormalizer
from engine.connectivity.weights import Array, State, Weights, as_inputs, checked, mixed, one_of, stacked
from engine.tasks import Task

POINTS = 25
BIASES = ("linear", "homogeneous")


class Path(NamedTuple):
    """Loss and accuracy along a way between two networks.

    Attributes:
        lambdas: how far along it each point is, from 0 to 1.
        loss: mean over examples, in nats for classes and signs; inf or NaN where a network overflows.
        accuracy: share of examples; an output that is not finite is wrong; None for the task ``values``.
    """

    lambdas: Float[np.ndarray, " lambdas"]
    loss: Float[np.ndarray, " lambdas"]
    accuracy: Float[np.ndarray, " lambdas"] | None


def path(
    model: nn.Module,
    a: Weights,
    b: Weights,
    X: Array,
    y: Array,
    lambdas: Sequence[float] | Float[np.ndarray, " lambdas"] | None = None,
    renormalize: str = "none",
    bias: str = "linear",
    calibration: Array | None = None,
    batch_size: int | None = None,
    task: Task = "classes",
) -> Path:
    """Return loss and accuracy at (1 - lambda) a + lambda b for many lambda, evaluated together.

    Args:
        model: the architecture.
        a: the network at lambda 0.
        b: the network at lambda 1.
        X: inputs.
        y: targets.
        lambdas: rising, within [0, 1]; 25 evenly spaced ones by default.
        renormalize: ``none``, or the method by which the units of every network on the way are corrected, see
            ``renormalize``. With ``none``, batch normalization uses the statistics of `X` at every point.
        bias: how biases are mixed, see ``interpolate``.
        calibration: inputs that moments are taken on where there is a correction; `X` by default.
        batch_size: examples evaluated together; all by default.
        task: what the targets are, and with it the loss.

    Raises:
        ValueError: the ends do not fit, or an argument breaks its rule.

    Source:
        Frankle et al. 2020, section 2; renormalized: Jordan et al. 2022; biases: Qu & Horvath 2024.
    """
    one, other = checked(model, a=a, b=b)
    ends, steps = stacked([one, other]), rising(lambdas)
    seen, copied = examples(X, y, task, batch_size, one), private(model)
    traced = trace(copied, one, seen.X)
    line = _coefficients(steps, ends)
    apart = _biases(line, [layer.name for layer in traced.layers], bias, one)
    rows = batch_size or len(seen.X)
    if renormalize == "none":
        require_whole_batches(model, batch_size)
        evaluated = evaluate(
            copied,
            lambda start, stop: mixed(
                ends, line[start:stop], {key: value[start:stop] for key, value in apart.items()}
            ),
            len(steps),
            seen,
            together(one, rows, traced.widest),
        )
        return Path(steps, *evaluated)
    moments_of = seen.X if calibration is None else as_inputs(calibration, one)
    renormalizer = Renormalizer(model, ends, moments_of, renormalize, batch_size)
    rows = max(rows, batch_size or len(moments_of))

    def corrected(start: int, stop: int) -> State:
        here = {key: value[start:stop] for key, value in apart.items()}
        return renormalizer.corrected(mixed(ends, line[start:stop], here), line[start:stop])

    evaluated = evaluate(renormalizer.model, corrected, len(steps), seen, together(one, rows, traced.widest))
    return Path(steps, *evaluated)


def interpolate(
    model: nn.Module,
    a: Weights,
    b: Weights,
    lam: float,
    bias: str = "linear",
    example: Array | None = None,
) -> State:
    """Return the network at (1 - lambda) a + lambda b.

    Args:
        model: the architecture.
        a: the network at lambda 0.
        b: the network at lambda 1.
        lam: from 0 to 1.
        bias: ``linear``, or ``homogeneous``: the bias of the h-th layer with weights, in the order in which
            they run, is (1 - lambda)^h b_a + lambda^h b_b. In a network of ReLUs weights that shrink by a
            factor make the output of h layers shrink by its h-th power; so biases shrink like the rest.
            Scales and shifts of normalizations are mixed linearly.
        example: inputs on which the order of the layers is found, for ``homogeneous``.

    Raises:
        ValueError: the ends do not fit, `lam` is outside of [0, 1], or `example` is missing.

    Source:
        Qu & Horvath 2024.
    """
    if not 0 <= lam <= 1:
        raise ValueError(f"`lam` must be in [0, 1]; got {lam}.")
    one, other = checked(model, a=a, b=b)
    names = list[str]()
    if bias == "homogeneous":
        if example is None:
            raise ValueError(
                "`example` must be given for homogeneous biases; the order in which layers run is found on "
                "it. Any two inputs will do."
            )
        names = [layer.name for layer in trace(private(model), one, as_inputs(example, one)).layers]
    ends = stacked([one, other])
    line = _coefficients(np.array([float(lam)]), ends)
    return one_of(mixed(ends, line, _biases(line, names, bias, one)), 0)


def rising(lambdas: Sequence[float] | Float[np.ndarray, " lambdas"] | None) -> Float[np.ndarray, " lambdas"]:
    """Return the points of a way, 25 evenly spaced ones by default.

    Raises:
        ValueError: they do not rise, or leave [0, 1].
    """
    if lambdas is None:
        return np.linspace(0.0, 1.0, POINTS)
    steps = np.asarray(lambdas, dtype=np.float64)
    if (
        steps.ndim != 1
        or not len(steps)
        or not ((steps >= 0) & (steps <= 1)).all()
        or (np.diff(steps) <= 0).any()
    ):
        raise ValueError(f"`lambdas` must rise within [0, 1]; got {np.array2string(steps, threshold=8)}.")
    return steps


def _coefficients(lambdas: Float[np.ndarray, " lambdas"], ends: State) -> Float[Tensor, "lambdas ends"]:
    device = next(iter(ends.values())).device
    return torch.tensor(np.stack([1 - lambdas, lambdas], 1), device=device)


def _biases(
    line: Float[Tensor, "lambdas ends"], layers: Sequence[str], bias: str, state: State
) -> Mapping[str, Float[Tensor, "lambdas ends"]]:
    """Return the coefficients of those parameters that are not mixed like the weights."""
    if bias not in BIASES:
        raise ValueError(f"`bias` must be one of {', '.join(BIASES)}; got {bias!r}.")
    if bias == "linear":
        return {}
    depths = {f"{name}.bias": depth for depth, name in enumerate(layers, 1)}
    return {key: line**depth for key, depth in depths.items() if key in state}
