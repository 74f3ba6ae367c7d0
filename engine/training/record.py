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
    """A replica left the ensemble: its loss stopped being finite.

    Attributes:
        replica: its index.
        step: steps it had taken.
        what: the value that its loss took.
    """

    replica: int
    step: int
    what: str


class Stretch(NamedTuple):
    """A part of the training of one stack, from one evaluation to just before the next.

    Attributes:
        rows: what was measured.
        diverged: replicas that were frozen.
        steps_done: steps that all stacks together have taken or, where frozen, been spared.
    """

    rows: list[Rows]
    diverged: list[Divergence]
    steps_done: int
