"""Arithmetic modulo p as a task for a transformer: every pair of operands is one sequence of three tokens."""

from typing import Any

import numpy as np

from engine.datasets._dataset import Dataset, Shape, Split
from engine.datasets._settings import defaults, require_at_least, require_setting

OPERATIONS = ("add", "subtract", "multiply")


def shape(p: int = 113, train_share: float = 0.3, operation: str = "add", **_: Any) -> Shape:
    """Describe the task: p + 1 tokens (the operands and "="), p answers.

    Raises:
        LabError: a setting out of range.
    """
    require_at_least(2, p=p)
    require_setting(operation in OPERATIONS, "operation", f"one of {', '.join(OPERATIONS)}", operation)
    rows = int(train_share * p * p) if 0 < train_share < 1 else 0
    require_setting(
        0 < rows < p * p, "train_share", "above 0 and below 1, with rows on both sides", train_share
    )
    return Shape(rows, (3,), p, "classes", tokens=p + 1)


def load(p: int = 113, train_share: float = 0.3, operation: str = "add", split: int = 0) -> Split:
    """Return all p^2 sequences (a, b, =) with the class (a o b) mod p, in a random order, cut once.

    Args:
        p: modulus; "=" is token p.
        train_share: share of the pairs that is trained on.
        operation: ``"add"``, ``"subtract"`` or ``"multiply"``.
        split: seed of the cut.

    Raises:
        LabError: a setting out of range.
    """
    rows = shape(p, train_share, operation).train_rows
    require_at_least(0, split=split)
    order = np.random.default_rng(split).permutation(p * p).astype(np.int64)
    a, b = np.divmod(order, p)
    tokens = np.stack([a, b, np.full_like(a, p)], 1)
    classes = {"add": a + b, "subtract": a - b, "multiply": a * b}[operation] % p
    return Split(tokens[:rows], classes[:rows], tokens[rows:], classes[rows:])


DATASET = Dataset(
    title="Arithmetic modulo p",
    source="Power et al. 2022; p = 113 and 30 % of the pairs as in Nanda et al. 2023",
    shape=shape,
    load=load,
    settings=defaults(load),
)
