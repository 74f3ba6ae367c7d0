"""Gaussian inputs labelled by the sign of a linear teacher."""

from typing import Any

import numpy as np

from engine.datasets._dataset import Dataset, Shape, Split
from engine.datasets._settings import defaults, require_at_least


def shape(rows: int = 32, features: int = 16, **_: Any) -> Shape:
    """Describe the task.

    Raises:
        LabError: a setting out of range.
    """
    require_at_least(1, rows=rows, features=features)
    return Shape(rows, (features,), 1, "signs")


def load(rows: int = 32, features: int = 16, test_rows: int = 256, seed: int = 0) -> Split:
    """Return X ~ N(0, I) and y = sign(X w) of a Gaussian teacher w, which separates them.

    Args:
        rows: training examples.
        features: length of an example.
        test_rows: held-out examples; changing them leaves the training rows as they are.
        seed: of the draw.

    Raises:
        LabError: a setting out of range.
    """
    shape(rows, features)
    require_at_least(0, test_rows=test_rows, seed=seed)
    teacher_rng, *parts = np.random.default_rng(seed).spawn(3)
    teacher = teacher_rng.standard_normal(features)
    train, test = (
        rng.standard_normal((count, features)) for rng, count in zip(parts, (rows, test_rows), strict=True)
    )
    return Split(train, np.sign(train @ teacher), test, np.sign(test @ teacher))


DATASET = Dataset(
    title="Gaussian inputs, labels of a linear teacher",
    source="after the classification experiments of Wu, Yun & Sra 2023",
    shape=shape,
    load=load,
    settings=defaults(load),
)
