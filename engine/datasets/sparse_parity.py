"""Sparse parity: the product of a few of many random signs."""

from typing import Any

import numpy as np

from engine.datasets._dataset import Dataset, Shape, Split
from engine.datasets._settings import defaults, require_at_least, require_setting


def shape(bits: int = 40, relevant: int = 3, train_rows: int = 1000, **_: Any) -> Shape:
    """Describe the task: the parity is a sign, so one output and the logistic loss.

    Raises:
        LabError: a setting out of range.
    """
    require_at_least(1, bits=bits, relevant=relevant, train_rows=train_rows)
    require_setting(relevant <= bits, "relevant", f"at most `bits` = {bits}", relevant)
    return Shape(train_rows, (bits,), 1, "signs")


def load(
    bits: int = 40, relevant: int = 3, train_rows: int = 1000, test_rows: int = 1000, seed: int = 0
) -> Split:
    """Return uniform signs and the product of the first `relevant` of them.

    Which bits are relevant does not matter to a network whose initialization treats its inputs alike, so
    they are the first. Rows are drawn independently: with few bits a test row may also be a training row.

    Args:
        bits: length of an example.
        relevant: bits that the parity depends on.
        train_rows: training examples.
        test_rows: held-out examples; changing them leaves the training rows as they are.
        seed: of the draw.

    Raises:
        LabError: a setting out of range.
    """
    shape(bits, relevant, train_rows)
    require_at_least(0, test_rows=test_rows, seed=seed)
    train, test = (
        1.0 - 2.0 * rng.integers(0, 2, (rows, bits))
        for rng, rows in zip(np.random.default_rng(seed).spawn(2), (train_rows, test_rows), strict=True)
    )
    return Split(train, train[:, :relevant].prod(1), test, test[:, :relevant].prod(1))


DATASET = Dataset(
    title="Sparse parity",
    source="Barak et al. 2022; 40 bits, 3 relevant, 1,000 rows as in Merrill, Tsilivis & Shukla 2023",
    shape=shape,
    load=load,
    settings=defaults(load),
)
