"""Features in the plane in which a read-out decides, with the hulls of their classes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Real
from scipy.spatial import ConvexHull, QhullError


class Plane(NamedTuple):
    """A plane of feature space whose first axis is a direction of decision.

    Attributes:
        axes: two orthonormal rows; the second is 0 where the features have one dimension only.
        shift: added to the first coordinate, so that 0 is where the read-out changes its mind.
        shown: share of the features' variance that lies in the plane; 0 where they do not vary.
    """

    axes: Float[np.ndarray, "2 features"]
    shift: float
    shown: float

    def of(self, features: Float[np.ndarray, "rows features"]) -> Float[np.ndarray, "rows 2"]:
        """Return coordinates: the signed distance to the decision, and the rest's main direction."""
        placed: Float[np.ndarray, "rows 2"] = features @ self.axes.T + np.array([self.shift, 0.0])
        return placed


def plane(
    direction: Float[np.ndarray, " features"],
    features: Float[np.ndarray, "rows features"],
    offset: float = 0.0,
) -> Plane:
    """Return the plane of a direction and of what varies most beside it.

    Args:
        direction: of a read-out M or of the largest margin, of any length but 0.
        features: what the picture shows; their second moment beside the direction chooses the other axis.
        offset: what the read-out adds to direction . x.

    Raises:
        ValueError: the direction is 0.
    """
    length = float(np.linalg.norm(direction))
    if length == 0:
        raise ValueError("`direction` must not be 0, which decides nothing.")
    first = direction / length
    beside = features - np.outer(features @ first, first)
    values, vectors = np.linalg.eigh(beside.T @ beside)
    # A sign by convention, so that the picture does not flip from checkpoint to checkpoint.
    second = vectors[:, -1] * (values[-1] > 1e-12 * max(float((features**2).sum()), 1e-300))
    second = second * (np.sign(second[np.abs(second).argmax()]) or 1.0)
    axes = np.stack([first, second])
    whole = float(features.var(axis=0).sum())
    inside = float((features @ axes.T).var(axis=0).sum())
    return Plane(axes, offset / length, inside / whole if whole else 0.0)


def hull(points: Real[np.ndarray, "rows 2"]) -> Int[np.ndarray, " corners"]:
    """Return the rows on the convex hull, anticlockwise; of points on a line its two ends, of one itself."""
    distinct, where = np.unique(points, axis=0, return_index=True)
    if len(distinct) > 2:
        try:
            found: Int[np.ndarray, " corners"] = where[ConvexHull(distinct).vertices]
            return found
        except QhullError:  # they lie on a line, whose ends unique has sorted first and last
            pass
    return where[[0, -1]] if len(distinct) > 1 else where
