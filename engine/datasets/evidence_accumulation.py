"""Noisy evidence for one of two sides, whose total sign is asked at the end."""

from typing import Any

import numpy as np
from jaxtyping import Float

from engine.datasets._dataset import Dataset, Shape, Split
from engine.datasets._settings import defaults, require_at_least, require_setting


def shape(rows: int = 1024, steps: int = 40, **_: Any) -> Shape:
    """Describe the task.

    Raises:
        LabError: a setting out of range.
    """
    require_at_least(1, rows=rows, steps=steps)
    return Shape(rows, (steps, 1), 1, "signs")


def load(rows: int = 1024, steps: int = 40, drift: float = 0.1, test_rows: int = 256, seed: int = 0) -> Split:
    """Return evidence N(+-drift, 1) per step, the side drawn per sequence; target: the sign of its sum.

    The target is what was seen and not the side that it came from, so perfect integration makes no errors.

    Args:
        rows: training sequences.
        steps: length of a sequence.
        drift: mean evidence per step for the sequence's side; its deviation is 1.
        test_rows: held-out sequences; changing them leaves the training rows as they are.
        seed: of the draw.

    Raises:
        LabError: a setting out of range.
    """
    shape(rows, steps)
    require_at_least(0, test_rows=test_rows, seed=seed)
    require_setting(0 <= drift < np.inf, "drift", "at least 0 and finite", drift)
    train, test = np.random.default_rng(seed).spawn(2)
    return Split(*_draw(train, rows, steps, drift), *_draw(test, test_rows, steps, drift))


def _draw(
    rng: np.random.Generator, rows: int, steps: int, drift: float
) -> tuple[Float[np.ndarray, "examples steps 1"], Float[np.ndarray, " examples"]]:
    side = 1.0 - 2.0 * rng.integers(0, 2, (rows, 1, 1))
    evidence = drift * side + rng.standard_normal((rows, steps, 1))
    return evidence, np.sign(evidence.sum((1, 2)))


DATASET = Dataset(
    title="Evidence accumulation",
    source="integration of evidence in perceptual decisions (Gold & Shadlen 2007)",
    shape=shape,
    load=load,
    settings=defaults(load),
)
