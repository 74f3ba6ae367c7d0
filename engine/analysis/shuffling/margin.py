"""The direction of the largest margin, in which separable examples drive a read-out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.optimize import linprog, nnls


class Margin(NamedTuple):
    """The unit direction u whose least product with the rows is largest.

    Attributes:
        direction: u, of length 1.
        margin: min_i z_i . u, in units of the rows; not positive where the rows are not separable.
        gap: how much longer than `margin` a convex combination of the rows is, as a share of its length: 0
            where the direction is the very best of all, which the combination proves.
    """

    direction: Float[np.ndarray, " features"]
    margin: float
    gap: float


def max_margin(
    rows: Float[np.ndarray, "examples features"], opposed: Float[np.ndarray, "others features"]
) -> Margin:
    """Return the direction of the largest margin of `rows` among those orthogonal to all `opposed`.

    The shortest vector of the convex hull of the rows, seen in the complement of the span of `opposed`, found
    as a problem of non-negative least squares; the direction is then solved for on the rows that it touches.

    Args:
        rows: signed examples y_i x_i of the separable part, at least one.
        opposed: those of the bounded part, possibly none.

    Source:
        Ji & Telgarsky 2019, section 2; Lawson & Hanson 1974, chapter 23 (least distance programming).
    """
    basis = _complement(opposed, rows.shape[1])
    inside = rows @ basis
    longest = float(np.linalg.norm(inside, axis=1).max(initial=0.0))
    if longest == 0:
        return Margin(np.zeros(rows.shape[1]), 0.0, 0.0)
    inside = inside / longest
    system = np.vstack([inside.T, np.ones(len(inside))])
    weights, _ = nnls(system, np.append(np.zeros(inside.shape[1]), 1.0), maxiter=30 * len(inside))
    weights /= weights.sum()
    shortest = inside.T @ weights
    touched = inside[weights > 0]
    solved = np.linalg.lstsq(touched, np.ones(len(touched)), rcond=None)[0]
    # What is solved for is exact where the touched rows are the right ones; else what was found stays.
    found = max((shortest, solved), key=lambda one: float((inside @ one).min() / np.linalg.norm(one)))
    unit = found / np.linalg.norm(found)
    margin, length = float((inside @ unit).min()), float(np.linalg.norm(shortest))
    return Margin(basis @ unit, margin * longest, 1 - margin / length)


def sparse_margin(
    rows: Float[np.ndarray, "examples features"], opposed: Float[np.ndarray, "others features"]
) -> Margin:
    """Return the direction of the largest margin for its sum of absolute entries, of length 1 as before.

    It is what a product of two trained factors a feature grows along, as weights and a trained scale are:
    by a linear program, minimize ||u||_1 with z_i . u >= 1 and u orthogonal to all `opposed`.

    Args:
        rows: as for ``max_margin``.
        opposed: as for ``max_margin``.

    Source:
        Gunasekar, Lee, Soudry & Srebro 2018, theorem 10 (two-layer diagonal linear networks).
    """
    features = rows.shape[1]
    program = linprog(
        np.ones(2 * features),
        A_ub=-np.hstack([rows, -rows]),
        b_ub=-np.ones(len(rows)),
        A_eq=np.hstack([opposed, -opposed]) if len(opposed) else None,
        b_eq=np.zeros(len(opposed)) if len(opposed) else None,
    )
    if program.x is None:
        return Margin(np.zeros(features), 0.0, 0.0)
    found = program.x[:features] - program.x[features:]
    unit = found / np.linalg.norm(found)
    return Margin(unit, float((rows @ unit).min()), 0.0)


def _complement(
    rows: Float[np.ndarray, "examples features"], features: int
) -> Float[np.ndarray, "features kept"]:
    """Return an orthonormal basis of what is orthogonal to all rows."""
    if not len(rows):
        return np.eye(features)
    _, values, right = np.linalg.svd(rows, full_matrices=len(rows) < features)
    rank = int((values > values.max(initial=0.0) * 1e-9).sum())
    basis: Float[np.ndarray, "features kept"] = right[rank:].T
    return basis
