"""The flip-flop memory: each output holds the sign of the last pulse on its input."""

from typing import Any

import numpy as np
from jaxtyping import Float

from engine.datasets._dataset import Dataset, Shape, Split
from engine.datasets._settings import defaults, require_at_least, require_setting


def shape(rows: int = 512, steps: int = 40, bits: int = 3, **_: Any) -> Shape:
    """Describe the task; there is a target at every step.

    Raises:
        LabError: a setting out of range.
    """
    require_at_least(1, rows=rows, steps=steps, bits=bits)
    return Shape(rows, (steps, bits), bits, "values")


def load(
    rows: int = 512, steps: int = 40, bits: int = 3, pulses: float = 0.1, test_rows: int = 128, seed: int = 0
) -> Split:
    """Return pulses of -1 or 1, else 0, and for every step the last pulse of each channel.

    Every channel has a pulse at the first step, so that the targets are -1 or 1 from there on.

    Args:
        rows: training sequences.
        steps: length of a sequence.
        bits: channels.
        pulses: probability of a pulse per step and channel.
        test_rows: held-out sequences; changing them leaves the training rows as they are.
        seed: of the draw.

    Raises:
        LabError: a setting out of range.
    """
    shape(rows, steps, bits)
    require_at_least(0, test_rows=test_rows, seed=seed)
    require_setting(0 <= pulses <= 1, "pulses", "in [0, 1]", pulses)
    train, test = np.random.default_rng(seed).spawn(2)
    return Split(*_draw(train, (rows, steps, bits), pulses), *_draw(test, (test_rows, steps, bits), pulses))


def _draw(
    rng: np.random.Generator, size: tuple[int, int, int], pulses: float
) -> tuple[Float[np.ndarray, "examples steps bits"], Float[np.ndarray, "examples steps bits"]]:
    there = rng.random(size) < pulses
    there[:, 0] = True
    inputs = there * (1.0 - 2.0 * rng.integers(0, 2, size))
    # The step of the last pulse so far is the running maximum of the steps that have one.
    last = np.maximum.accumulate(there * np.arange(size[1])[:, None], axis=1)
    return inputs, np.take_along_axis(inputs, last, axis=1)


DATASET = Dataset(
    title="3-bit flip-flop",
    source="Sussillo & Barak 2013",
    shape=shape,
    load=load,
    settings=defaults(load),
)
