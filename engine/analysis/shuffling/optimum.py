"""The least-squares read-out of normalized features."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Real


def optimum(
    features: Float[np.ndarray, "rows features"], targets: Real[np.ndarray, rows * target]
) -> Float[np.ndarray, "targets features"]:
    """Return M* = Y X^T (X X^T)^+ with examples as columns: of all least-squares M, the shortest.

    The risk around it is L(M) = L* + ||(M - M*) X||_F^2 / n, for squared error summed over targets and
    averaged over the n rows.

    Args:
        features: as ``dataset`` gives them.
        targets: their targets [rows, targets], or labels [rows], which count as one target.

    Returns:
        The read-out M*.

    Raises:
        ValueError: no row, or features and targets of different lengths.

    Source:
        Wu, Yun & Sra 2023, section 3.1.
    """
    if len(features) != len(targets) or not len(features):
        raise ValueError(
            f"`features` and `targets` must have the same rows, at least one; got {len(features)} "
            f"and {len(targets)}."
        )
    columns = targets.reshape(len(targets), -1)
    found: Float[np.ndarray, "targets features"] = np.linalg.lstsq(features, columns, rcond=None)[0].T
    return found
