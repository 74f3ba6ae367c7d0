"""The optima and the risks of a linear read-out: under one order, under all, and under the full batch."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Num, Real
from scipy.special import log_softmax

from engine.analysis.shuffling.normalization import NormalizedData, Through, dataset
from engine.analysis.shuffling.optimum import optimum
from engine.tasks import Task

NUMBERS = 2**20
"""Numbers in the features of the subsets that stand for all, 8 MiB, unless asked otherwise."""
GROUPS = 50
"""Parts of a sample that a standard error is read from."""


class Sampled(NamedTuple):
    """A quantity of Random Reshuffle, over all its batches or a sample of them.

    Attributes:
        value: the quantity.
        standard_error: of the sample, by the jackknife over 50 groups of whole epochs; 0 where all are taken.
        subsets: batches taken.
        exact: whether they are all there are.
    """

    value: Float[np.ndarray, "*shape"]
    standard_error: Float[np.ndarray, "*shape"]
    subsets: int
    exact: bool


class Optima(NamedTuple):
    """Least-squares read-outs: of a permutation's batches, of all batches, of the full batch.

    Attributes:
        own: M*_SS(pi).
        reshuffled: M*_RR.
        full: M*_GD.
    """

    own: Float[np.ndarray, "targets features"]
    reshuffled: Sampled
    full: Float[np.ndarray, "targets features"]


class Risks(NamedTuple):
    """Mean losses of one read-out on the three data, in nats or in squared units of the targets.

    Attributes:
        own: L_SS(pi).
        reshuffled: L_RR.
        full: L_GD.
    """

    own: float
    reshuffled: Sampled
    full: float


class Distances(NamedTuple):
    """||M - M*||_F / ||M*||_F of a read-out to each optimum; NaN where that is 0.

    Attributes:
        own: to M*_SS(pi).
        reshuffled: to M*_RR.
        full: to M*_GD.
    """

    own: float
    reshuffled: float
    full: float


def risk(
    M: Float[np.ndarray, "targets features"],
    features: Float[np.ndarray, "rows features"],
    targets: Num[np.ndarray, rows * target],
    task: Task = "values",
) -> float:
    """Return the mean loss over rows of the outputs M x.

    Args:
        M: the read-out; one row for signs, a row a class for classes.
        features: as ``dataset`` gives them.
        targets: values, signs +1 and -1, or classes from 0.
        task: squared error summed over targets, logistic loss in nats, or cross-entropy in nats.
    """
    outputs = features @ M.T
    if task == "values":
        return float(((outputs - targets.reshape(len(targets), -1)) ** 2).sum(axis=1).mean())
    if task == "signs":
        return float(np.logaddexp(0.0, -targets * outputs[:, 0]).mean())
    rows = np.arange(len(targets))
    return float(-log_softmax(outputs, axis=1)[rows, targets.astype(int)].mean())


def optima(
    X: Float[np.ndarray, "examples inputs"],
    Y: Real[np.ndarray, examples * target],
    batch_size: int,
    order: Sequence[int] | Int[np.ndarray, " examples"],
    eps: float = 0.0,
    subsets: int | None = None,
    seed: int = 0,
    through: Through | None = None,
) -> Optima:
    """Return the three optima; see ``dataset`` for the arguments and ``optimum`` for what they are.

    Source:
        Wu, Yun & Sra 2023, section 3.1.
    """
    own, full = (optimum(*dataset(X, Y, batch_size, which, eps, through=through)) for which in (order, "gd"))

    def solved(data: NormalizedData) -> Float[np.ndarray, "targets features"]:
        return optimum(data.features, data.targets)

    return Optima(own, _reshuffled(solved, X, Y, batch_size, eps, subsets, seed, through), full)


def risks(
    M: Float[np.ndarray, "targets features"],
    X: Float[np.ndarray, "examples inputs"],
    Y: Num[np.ndarray, examples * target],
    batch_size: int,
    order: Sequence[int] | Int[np.ndarray, " examples"],
    task: Task = "values",
    eps: float = 0.0,
    subsets: int | None = None,
    seed: int = 0,
    through: Through | None = None,
) -> Risks:
    """Return the risks of one read-out under an order, under all of them and under the full batch.

    All by the statistics of the batch itself, never by running averages. A last batch of another size counts
    by its examples. Of L_RR it has the size `batch_size` alone.

    Source:
        Wu, Yun & Sra 2023, section 3.
    """
    own, full = (
        risk(M, *dataset(X, Y, batch_size, which, eps, through=through), task) for which in (order, "gd")
    )

    def measured(data: NormalizedData) -> Float[np.ndarray, ""]:
        return np.array(risk(M, data.features, data.targets, task))

    return Risks(own, _reshuffled(measured, X, Y, batch_size, eps, subsets, seed, through), full)


def distance(
    M: Float[np.ndarray, "*steps targets features"], to: Float[np.ndarray, "targets features"]
) -> Float[np.ndarray, "*steps"]:
    """Return ||M - M*||_F / ||M*||_F of one read-out or of many, one after the other.

    Raises:
        ValueError: M* is 0, as where every feature normalizes to 0: nothing is a share of it.
    """
    length = np.linalg.norm(to)
    if length == 0:
        raise ValueError("`to` must not be 0, which no distance can be a share of; got a zero optimum.")
    found: Float[np.ndarray, "*steps"] = np.asarray(np.linalg.norm(M - to, axis=(-2, -1)) / length)
    return found


def _reshuffled(
    of: Callable[[NormalizedData], Float[np.ndarray, "*shape"]],
    X: Float[np.ndarray, "examples inputs"],
    Y: Num[np.ndarray, examples * target],
    batch_size: int,
    eps: float,
    subsets: int | None,
    seed: int,
    through: Through | None,
) -> Sampled:
    """Return a quantity of all subsets, or of a sample with its jackknife standard error."""
    if subsets is None:
        subsets = max(NUMBERS // (batch_size * X.shape[1]), GROUPS)
    data = dataset(X, Y, batch_size, "rr", eps, subsets, seed, through)
    return of_subsets(of, data, len(X), batch_size, math.comb(len(X), batch_size) <= subsets)


def of_subsets(
    of: Callable[[NormalizedData], Float[np.ndarray, "*shape"]],
    data: NormalizedData,
    examples: int,
    batch_size: int,
    exact: bool,
) -> Sampled:
    """Return a quantity of Random Reshuffle's data, of a sample with its jackknife standard error.

    Args:
        of: the quantity of some data.
        data: as ``dataset`` gives them for "rr".
        examples: of the data set.
        batch_size: examples a batch.
        exact: whether the data are all subsets.

    Source:
        Efron & Tibshirani 1993, chapter 11 (jackknife), over groups of whole permutations.
    """
    value, taken = of(data), len(data.features) // batch_size
    if exact:
        return Sampled(value, np.zeros_like(value), taken, True)
    # Batches of one permutation depend on each other, so that a group holds whole ones.
    epoch = examples // batch_size
    epochs = -(-taken // epoch)
    edges = np.linspace(0, epochs, min(GROUPS, epochs) + 1).astype(int) * epoch * batch_size
    without = []
    for first, last in itertools.pairwise(edges.tolist()):
        kept = np.r_[0:first, min(last, len(data.features)) : len(data.features)]
        if len(kept):
            without.append(of(NormalizedData(data.features[kept], data.targets[kept])))
    n = len(without)
    spread = np.std(without, axis=0) * np.sqrt(n - 1) if n > 1 else np.full_like(value, np.nan)
    return Sampled(value, spread, taken, False)
