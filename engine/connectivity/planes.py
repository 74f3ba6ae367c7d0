"""The loss on the plane through three networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from engine.connectivity.evaluation import evaluate, examples, require_whole_batches, together
from engine.connectivity.layers import private, trace
from engine.connectivity.weights import Array, State, Weights, checked, mixed, stacked
from engine.tasks import Task


class Plane(NamedTuple):
    """Loss and accuracy on a grid; distances are Euclidean, over all weights together.

    Attributes:
        x: coordinates along the first axis, from the first network towards the second.
        y: coordinates along the second axis, across it towards the third.
        loss: mean over examples; inf or NaN where a network overflows.
        accuracy: share of examples; None for the task ``values``.
        anchors: where the three networks are: (0, 0), (|u|, 0) and the third.
        axes: the two unit vectors, by parameter.
    """

    x: Float[np.ndarray, " columns"]
    y: Float[np.ndarray, " rows"]
    loss: Float[np.ndarray, "rows columns"]
    accuracy: Float[np.ndarray, "rows columns"] | None
    anchors: Float[np.ndarray, "networks coordinates"]
    axes: tuple[State, State]


def plane(
    model: nn.Module,
    states: Sequence[Weights],
    X: Array,
    y: Array,
    points: int = 21,
    margin: float = 0.2,
    batch_size: int | None = None,
    task: Task = "classes",
) -> Plane:
    """Return the loss on a grid over the plane through three networks.

    With u = theta_2 - theta_1 and w = theta_3 - theta_1 the axes are u / |u| and what Gram-Schmidt leaves of
    w, at length 1.

    Args:
        model: the architecture.
        states: three networks that are not on one line.
        X: inputs; batch normalization uses their statistics at every point.
        y: targets.
        points: of the grid along each axis.
        margin: how far the grid goes beyond the networks, as a share of their extent along each axis.
        batch_size: examples evaluated together; all by default.
        task: what the targets are, and with it the loss.

    Raises:
        ValueError: not three networks, networks on one line, or an argument that breaks its rule.

    Source:
        Garipov et al. 2018, section 3 and appendix A.1.
    """
    if len(states) != 3:
        raise ValueError(f"`states` must be three networks; got {len(states)}.")
    if points < 2 or not 0 <= margin < float("inf"):
        raise ValueError(f"`points` must be at least 2 and `margin` at least 0; got {points} and {margin}.")
    networks = checked(model, **{f"states[{number}]": one for number, one in enumerate(states)})
    anchors, axes = _frame(networks)
    x, across = (_grid(anchors[:, axis], points, margin) for axis in range(2))
    corners, copied = stacked(networks), private(model)
    seen = examples(X, y, task, batch_size, networks[0])
    require_whole_batches(model, batch_size)
    at = np.stack(np.meshgrid(x, across), -1).reshape(-1, 2)
    weights = torch.tensor(barycentric(anchors, at), device=seen.X.device)
    traced = trace(copied, networks[0], seen.X)
    evaluated = evaluate(
        copied,
        lambda start, stop: mixed(corners, weights[start:stop]),
        len(at),
        seen,
        together(networks[0], batch_size or len(seen.X), traced.widest),
    )
    accuracy = None if evaluated.accuracy is None else evaluated.accuracy.reshape(points, points)
    return Plane(x, across, evaluated.loss.reshape(points, points), accuracy, anchors, axes)


def barycentric(
    anchors: Float[np.ndarray, "networks coordinates"], at: Float[np.ndarray, "points coordinates"]
) -> Float[np.ndarray, "points networks"]:
    """Return how points of a plane are weighted sums of its three networks.

    At an anchor the weights are 0 and 1 exactly, so that the plane goes through the networks themselves and
    not only near them.

    Args:
        anchors: as in ``Plane``.
        at: coordinates of the points.
    """
    third = at[:, 1] / anchors[2, 1]
    second = (at[:, 0] - third * anchors[2, 0]) / anchors[1, 0]
    return np.stack([1 - second - third, second, third], 1)


def _frame(
    networks: Sequence[State],
) -> tuple[Float[np.ndarray, "networks coordinates"], tuple[State, State]]:
    """Return the networks' coordinates and the two axes, by Gram-Schmidt in float64.

    Raises:
        ValueError: the networks are on one line.
    """
    names = [key for key, value in networks[0].items() if value.is_floating_point()]
    first, second, third = (torch.cat([one[key].double().flatten() for key in names]) for one in networks)
    u, w = second - first, third - first
    length = u.norm()
    along = u / length
    inside = w @ along
    v = w - inside * along
    height = v.norm()
    if not height > 1e-6 * w.norm() or not length > 0:  # less is the rounding of single precision
        raise ValueError("`states` must be three networks that are not on one line; these are.")
    anchors = np.array([[0.0, 0.0], [float(length), 0.0], [float(inside), float(height)]])
    sizes = [networks[0][key].numel() for key in names]
    axes = [
        {
            key: part.reshape(networks[0][key].shape)
            for key, part in zip(names, torch.split(axis, sizes), strict=True)
        }
        for axis in (along, v / height)
    ]
    return anchors, (axes[0], axes[1])


def _grid(
    anchors: Float[np.ndarray, " networks"], points: int, margin: float
) -> Float[np.ndarray, " points"]:
    beyond = margin * (anchors.max() - anchors.min())
    return np.linspace(anchors.min() - beyond, anchors.max() + beyond, points)
