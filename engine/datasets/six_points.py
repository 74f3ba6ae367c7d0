"""Six points on which single shuffle with batch normalization diverges and random reshuffling does not."""

import numpy as np

from engine.datasets._dataset import Dataset, Shape, Split

E = 0.01


SIGNS = ((0, 1, 1), (1, 0, -1), (1, 1, 0))
"""Sign of a pair's (e, -e), (-e, e) in each block; its own block holds (1, 0), (0, 1).

The source leaves the signs open. Of all choices with opposite points in each pair only this one, up to
symmetry, has the 480 diverging, 192 separable and 48 bounded orders of 720 and the slopes reported for it.
"""


def load() -> Split:
    """Return three pairs in R^6: (1, 0) and (0, 1) in a block of their own, (e, -e) and (-e, e) elsewhere.

    The labels are 1, 1, 1, -1, -1, -1, so that the middle pair has one of each. Batches have two points; a
    feature that is constant over a batch must be normalized to 0, not to 0/0. Nothing is held out.
    """
    away = E * np.array([[1.0, -1.0], [-1.0, 1.0]])
    inputs = np.kron(np.eye(3), np.eye(2)) + np.kron(np.array(SIGNS), away)
    return Split(inputs, np.array([1.0, 1.0, 1.0, -1.0, -1.0, -1.0]), np.empty((0, 6)), np.empty(0))


DATASET = Dataset(
    title="Six points in R^6",
    source="construction of Wu, Yun & Sra 2023, with e = 0.01",
    shape=lambda: Shape(6, (6,), 1, "signs"),
    load=load,
)
