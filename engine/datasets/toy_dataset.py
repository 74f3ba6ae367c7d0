"""ToyDataset(m): 2 m + 6 points of the plane on which batch normalization makes single shuffle diverge."""

from typing import Any

import numpy as np

from engine.datasets._dataset import Dataset, Shape, Split
from engine.datasets._settings import defaults, require_at_least


def shape(m: int = 13, **_: Any) -> Shape:
    """Describe the task.

    Raises:
        LabError: `m` is below 1.
    """
    require_at_least(1, m=m)
    return Shape(2 * m + 6, (2,), 1, "signs")


def load(m: int = 13) -> Split:
    """Return the points in the order of their definition; nothing is held out.

    (-3, 1.5) labelled 1 and (1, -0.5) labelled -1; m points evenly from (-2.2, 1.8) to (-1.8, 2.2) labelled
    1; the negatives of all these with flipped labels; (300, 110) labelled 1 and (-300, -110) labelled -1.

    Args:
        m: points on the segment.

    Raises:
        LabError: `m` is below 1.
    """
    shape(m)
    points = np.vstack([[(-3.0, 1.5), (1.0, -0.5)], np.linspace((-2.2, 1.8), (-1.8, 2.2), m)])
    signs = np.array([1.0, -1.0] + [1.0] * m)
    far = np.array([300.0, 110.0])
    return Split(
        np.vstack([points, -points, far, -far]),
        np.concatenate([signs, -signs, [1.0, -1.0]]),
        np.empty((0, 2)),
        np.empty(0),
    )


DATASET = Dataset(
    title="ToyDataset(m) in the plane",
    source="construction of Wu, Yun & Sra 2023",
    shape=shape,
    load=load,
    settings=defaults(load),
)
