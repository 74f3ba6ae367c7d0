"""Which examples a linear read-out can separate for ever: the split of Ji & Telgarsky, with its proof."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Real
from scipy.optimize import linprog
from scipy.sparse import block_diag, hstack

from engine.analysis.shuffling.margin import max_margin, sparse_margin

ROUNDING = 1e-7
"""Margin, as a share of the longest example, below which the linear program cannot tell it from none."""
TOGETHER = 640
"""Examples in one linear program, unless a single problem has more."""
_WITHIN = "within rounding of none: whether anything separates them cannot be told."


class Certificate(NamedTuple):
    """Why nothing separates the bounded part: weights alpha > 0 on it with sum_i alpha_i z_i = 0.

    If some u had z_i . u >= 0 for all and > 0 for one of them, alpha would make that sum positive.

    Attributes:
        weights: alpha; 0 for examples of the separable part.
        residual: length of sum_i alpha_i z_i as a share of sum_i alpha_i ||z_i||; 0 but for rounding.
        rank: of the bounded part.
        complete: whether nothing is separable and `rank` is that of the whole space: then no further batch
            makes anything separable either, and the risk has one finite minimizer.
    """

    weights: Float[np.ndarray, " examples"]
    residual: float
    rank: int
    complete: bool


class Separability(NamedTuple):
    """The split of signed examples z_i = y_i x_i into a separable and a bounded part.

    Attributes:
        separable: whether an example is in the separable part: some u has z_i . u > 0 and z_j . u >= 0 for
            all j.
        direction: unit direction of the largest margin of the separable part in the complement of the span of
            the bounded part, or with `scale_trained` its sparse counterpart; None where nothing is separable.
            With an intercept it and `offset` have length 1 together.
        margin: of that direction, in units of the features; 0 where nothing is separable.
        certificate: for the bounded part.
        offset: the part of the direction that belongs to the constant feature; 0 without an intercept.
        intercept: whether there was one.
        caution: why the split is not to be relied on; empty where it is.
    """

    separable: Bool[np.ndarray, " examples"]
    direction: Float[np.ndarray, " features"] | None
    margin: float
    certificate: Certificate
    offset: float
    intercept: bool
    caution: str


def separability(
    features: Float[np.ndarray, "examples features"],
    labels: Real[np.ndarray, " examples"],
    intercept: bool = False,
    scale_trained: bool = False,
) -> Separability:
    """Split examples into those that gradient descent separates ever more and those whose loss stays.

    By one linear program, the dual of "maximize sum t_i with z_i . u >= t_i, 0 <= t_i <= 1": maximize
    sum min(alpha_i, 1) over alpha >= 0 with sum_i alpha_i z_i = 0. Its alpha is the certificate; where it is
    0 the example is separable. An example without features (a constant feature, a batch of one) is bounded.

    Args:
        features: normalized as the batches of an order are, see ``dataset``.
        labels: +1 or -1; for classes see ``one_against_rest``.
        intercept: whether the read-out has a bias, or the normalization a trained shift, which is one.
        scale_trained: whether the normalization trains its scale: weights and scale together then grow along
            the direction of the largest margin for its sum of absolute entries. The split stays the same.

    Raises:
        ValueError: no example, labels that are not signs, or a feature that is not finite.

    Source:
        Ji & Telgarsky 2019, section 2; Wu, Yun & Sra 2023, section 3.2.
    """
    return separabilities([(features, labels)], intercept, scale_trained)[0]


def separabilities(
    data: Sequence[tuple[Float[np.ndarray, "_ features"], Real[np.ndarray, " _"]]],
    intercept: bool = False,
    scale_trained: bool = False,
) -> list[Separability]:
    """Return what ``separability`` says of each of many data, by fewer and larger linear programs.

    Small programs cost more to set up than to solve: 400 of 32 examples take 1.2 s one by one, 0.35 s in
    programs of `TOGETHER` examples that do not touch each other.
    """
    problems = [_Problem.of(_signed(features, labels, intercept)) for features, labels in data]
    found, first = list[Separability](), 0
    while first < len(problems):
        last, rows = first + 1, len(problems[first].unique)
        while last < len(problems) and rows + len(problems[last].unique) <= TOGETHER:
            rows += len(problems[last].unique)
            last += 1
        solved = _weights([problem.unique for problem in problems[first:last]])
        found += [
            _explained(problem, weights, intercept, scale_trained)
            for problem, weights in zip(problems[first:last], solved, strict=True)
        ]
        first = last
    return found


class _Problem(NamedTuple):
    """Signed examples, and what the program sees of them: their different directions where they vary alike.

    Neither the length of an example nor its repetition nor an invertible map of the features changes the
    split, and each can cost the program time or digits: with a feature of 1e-4 of the others it failed.
    """

    signed: Float[np.ndarray, "examples inputs"]
    scale: Float[np.ndarray, " examples"]
    unique: Float[np.ndarray, "different rank"]
    which: Int[np.ndarray, " nonzero"]
    times: Int[np.ndarray, " different"]

    @classmethod
    def of(cls, signed: Float[np.ndarray, "examples inputs"]) -> _Problem:
        length = np.linalg.norm(signed, axis=1)
        # The example at its batch's mean is 0 but for rounding, which must not give it a direction.
        nothing = length <= 1e-12 * length.max()
        signed, length = np.where(nothing[:, None], 0.0, signed), np.where(nothing, 1.0, length)
        left, values, _ = np.linalg.svd(signed / length[:, None], full_matrices=False)
        evened = left[:, values > 1e-9 * values.max(initial=1e-300)]
        size = np.linalg.norm(evened, axis=1)
        nothing |= size <= 1e-12
        scale = np.where(nothing, 0.0, size * length)
        directions = np.round(evened[~nothing] / size[~nothing, None], 12)
        return cls(signed, scale, *np.unique(directions, axis=0, return_inverse=True, return_counts=True))


def _explained(
    problem: _Problem, weights: Float[np.ndarray, " different"], intercept: bool, scale_trained: bool
) -> Separability:
    """Return the split that the program's weights make, with what proves both of its parts."""
    signed, some = problem.signed, problem.scale > 0
    length = np.linalg.norm(signed, axis=1)
    alpha = np.ones(len(signed))
    alpha[some] = (weights / problem.times)[problem.which] / problem.scale[some]
    separable = alpha == 0
    apart, rest = signed[separable], signed[~separable]
    if len(rest):
        # The nearest weights whose sum is zero but for the rounding of this very step.
        kept = alpha[~separable]
        alpha[~separable] = kept - rest @ np.linalg.lstsq(rest, kept, rcond=None)[0]
    rank = int(np.linalg.matrix_rank(rest)) if len(rest) else 0
    total = float((np.abs(alpha) * length).sum())
    residual = float(np.linalg.norm(signed.T @ np.where(separable, 0.0, alpha))) / (total or 1.0)
    complete = not separable.any() and rank == signed.shape[1]
    certificate = Certificate(alpha, residual, rank, complete)
    proven = residual < 1e-10 and bool((alpha[~separable] > 0).all())
    caution = "" if proven else f"Some example is separable by a margin {_WITHIN}"
    if not separable.any():
        return Separability(separable, None, 0.0, certificate, 0.0, intercept, caution)
    found = (sparse_margin if scale_trained else max_margin)(apart, rest)
    if found.margin < ROUNDING * length.max():
        caution = f"The examples are separable by a margin of {max(found.margin, 0.0):.2g}, {_WITHIN}"
    width = signed.shape[1] - intercept
    offset = float(found.direction[width]) if intercept else 0.0
    return Separability(
        separable, found.direction[:width], found.margin, certificate, offset, intercept, caution
    )


def one_against_rest(
    features: Float[np.ndarray, "examples features"],
    classes: Int[np.ndarray, " examples"],
    intercept: bool = False,
    scale_trained: bool = False,
) -> dict[int, Separability]:
    """Return the split of each class against all others, by class."""
    return {
        int(one): separability(features, np.where(classes == one, 1, -1), intercept, scale_trained)
        for one in np.unique(classes)
    }


def _signed(
    features: Float[np.ndarray, "examples features"], labels: Real[np.ndarray, " examples"], intercept: bool
) -> Float[np.ndarray, "examples inputs"]:
    """Return y_i x_i, with a constant feature last where there is an intercept."""
    if len(features) != len(labels) or not len(features):
        raise ValueError(
            f"`features` and `labels` must have the same rows, at least one; got {len(features)} "
            f"and {len(labels)}."
        )
    if other := sorted({float(one) for one in np.unique(labels)} - {-1.0, 1.0}):
        raise ValueError(f"`labels` must be +1 or -1; got {other[0]:g}. For classes use `one_against_rest`.")
    if not np.isfinite(features).all():
        raise ValueError("`features` must be finite; leave out the runs that diverged.")
    if intercept:
        features = np.column_stack([features, np.ones(len(features))])
    signed: Float[np.ndarray, "examples inputs"] = features * labels[:, None].astype(float)
    return signed


def _weights(
    problems: Sequence[Float[np.ndarray, "_ _"]],
) -> list[Float[np.ndarray, " _"]]:
    """Return for each problem alpha >= 0 with sum_i alpha_i z_i = 0, at least 1 where bounded and else 0."""
    sizes = [len(rows) for rows in problems]
    n = sum(sizes)
    if not n:
        return [np.empty(0) for _ in problems]
    apart = block_diag([rows.T for rows in problems], format="csc")
    both: Any = hstack([apart, apart])  # scipy takes sparse matrices, its type stubs do not
    # alpha = capped + excess, of which only the capped part, at most 1, counts.
    bounds = np.c_[np.zeros(2 * n), np.r_[np.ones(n), np.full(n, np.inf)]]
    # Presolving takes longer than it saves here, and of 1,086 examples of a trained network it left nothing.
    for presolve in (False, True):
        program = linprog(
            np.r_[-np.ones(n), np.zeros(n)],
            A_eq=both,
            b_eq=np.zeros(apart.shape[0]),
            bounds=bounds,
            options={"presolve": presolve},
        )
        if program.x is not None:
            break
    else:
        raise ArithmeticError(f"HiGHS found no split of {n} examples: {program.message}")
    alpha = np.where(program.x[:n] > 0.5, program.x[:n] + program.x[n:], 0.0)
    return np.split(alpha, np.cumsum(sizes)[:-1])
