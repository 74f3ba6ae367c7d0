"""What the training loop reports: rows of measurements and replicas that diverged."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int


class Replica(NamedTuple):
    """One run: an arm of the study under one seed."""

    arm: str
    seed: int


class Rows(NamedTuple):
    """What was measured of some replicas.

    Attributes:
        replicas: index of the replica of each row.
        steps: optimizer steps taken before the measurement.
        epochs: examples visited before it, as a share of the training rows.
        columns: values by metric; a metric that is not named was not measured in these rows.
    """

    replicas: Int[np.ndarray, " rows"]
    steps: Int[np.ndarray, " rows"]
    epochs: Float[np.ndarray, " rows"]
    columns: Mapping[str, Float[np.ndarray, " rows"]]


class Divergence(NamedTuple):
    """A replica left the ensemble: its loss stopped being finite, or passed the study's bound.

    Attributes:
        replica: its index.
        step: steps it had taken.
        what: the value that its loss took.
    """

    replica: int
    step: int
    what: str


class Convergence(NamedTuple):
    """A replica left the ensemble: a metric reached the value at which the study stops it.

    Attributes:
        replica: its index.
        step: steps it had taken.
        what: the metric and its value.
    """

    replica: int
    step: int
    what: str


class StackState(NamedTuple):
    """All that a stack needs to go on from a step to the same bits; a copy in host memory.

    Attributes:
        stack: which stack of the training.
        step: steps taken.
        replicas: indices of its replicas, in their order.
        tensors: parameters, optimizer state and whatever else goes on, by name; the first axis of each
            is the replica, but for tensors whose name begins with ``shared/``.
    """

    stack: int
    step: int
    replicas: Int[np.ndarray, " seeds"]
    tensors: Mapping[str, np.ndarray]


class Kept(NamedTuple):
    """Weights worth keeping: at a step that the study names, at the end, or of a replica that left.

    Attributes:
        step: steps taken.
        replicas: indices of the replicas.
        parameters: by name, stacked; a copy in host memory.
    """

    step: int
    replicas: Int[np.ndarray, " seeds"]
    parameters: Mapping[str, np.ndarray]


class Stretch(NamedTuple):
    """A part of the training of one stack, from one evaluation to just before the next.

    Attributes:
        rows: what was measured; all rows up to the step of `state` and of `kept` are in this or an earlier
            stretch.
        diverged: replicas that were frozen.
        converged: replicas that the study's rule stopped.
        steps_done: steps that all stacks together have taken or, where a replica left, been spared.
        state: to go on from, where it was due; valid once the rows are acknowledged.
        kept: weights to keep.
    """

    rows: list[Rows]
    diverged: list[Divergence]
    converged: list[Convergence]
    steps_done: int
    state: StackState | None = None
    kept: tuple[Kept, ...] = ()
