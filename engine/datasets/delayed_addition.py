"""The adding problem: remember two marked numbers of a sequence and give their sum at its end."""

from typing import Any

import numpy as np
from jaxtyping import Float

from engine.datasets._dataset import Dataset, Shape, Split
from engine.datasets._settings import defaults, require_at_least


def shape(rows: int = 1024, steps: int = 30, **_: Any) -> Shape:
    """Describe the task: per step a value and a marker.

    Raises:
        LabError: a setting out of range.
    """
    require_at_least(1, rows=rows)
    require_at_least(2, steps=steps)
    return Shape(rows, (steps, 2), 1, "values")


def load(rows: int = 1024, steps: int = 30, test_rows: int = 256, seed: int = 0) -> Split:
    """Return values uniform in [0, 1) beside markers; target: the sum of the marked values.

    One marker lies in each half of the sequence. Always answering 1 has a mean squared error of 1/6.

    Args:
        rows: training sequences.
        steps: length of a sequence.
        test_rows: held-out sequences; changing them leaves the training rows as they are.
        seed: of the draw.

    Raises:
        LabError: a setting out of range.
    """
    shape(rows, steps)
    require_at_least(0, test_rows=test_rows, seed=seed)
    train, test = np.random.default_rng(seed).spawn(2)
    return Split(*_draw(train, rows, steps), *_draw(test, test_rows, steps))


def _draw(
    rng: np.random.Generator, rows: int, steps: int
) -> tuple[Float[np.ndarray, "examples steps 2"], Float[np.ndarray, "examples 1"]]:
    values, markers = rng.random((rows, steps)), np.zeros((rows, steps))
    half, each = steps // 2, np.arange(rows)
    markers[each, rng.integers(0, half, rows)] = 1
    markers[each, rng.integers(half, steps, rows)] = 1
    return np.stack([values, markers], 2), (values * markers).sum(1, keepdims=True)


DATASET = Dataset(
    title="Delayed addition",
    source="Hochreiter & Schmidhuber 1997, with values in [0, 1) and the plain sum as in Le et al. 2015",
    shape=shape,
    load=load,
    settings=defaults(load),
)
