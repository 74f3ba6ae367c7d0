"""What a normalized layer sees of the data: the batches of an order, each by its own statistics."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int, Real

NUMBERS = 2**25
"""Numbers in the features of all subsets, unless asked otherwise: 256 MiB."""
CHUNK = 10_000
"""Batches normalized at once, so that intermediate results stay small beside the features."""


def normalize(
    batch: Float[np.ndarray, "examples features"], eps: float = 0.0
) -> Float[np.ndarray, "examples features"]:
    """Return the batch with each feature centred and divided by its own standard deviation.

    The variance is the biased one (divisor: examples) and `eps` stands inside the root. A feature that is
    the same in every example becomes 0, the limit of eps -> 0, instead of 0 / 0.

    Args:
        batch: one batch, examples in rows.
        eps: added to the variance, in squared units of the batch.

    Returns:
        Batch normalization without its affine part.

    Raises:
        ValueError: `eps` is negative, or the batch has no example.

    Source:
        Ioffe & Szegedy 2015; Wu, Yun & Sra 2023, section 2 (eps = 0 in their toy code, 1e-5 in torch).
    """
    if batch.shape[0] == 0:
        raise ValueError("`batch` must hold at least one example; got 0.")
    return _normalized(batch, eps)


def _normalized(
    batches: Float[np.ndarray, "*batches examples features"], eps: float
) -> Float[np.ndarray, "*batches examples features"]:
    if not eps >= 0:
        raise ValueError(f"`eps` must not be negative; got {eps}.")
    # Asked of the values, not of the variance: the rounding of a mean makes the variance of equal values
    # tiny instead of 0, and dividing by its root would turn that rounding into +-1.
    constant = batches.max(axis=-2, keepdims=True) == batches.min(axis=-2, keepdims=True)
    deviation = batches - batches.mean(axis=-2, keepdims=True)
    scale = np.sqrt((deviation**2).mean(axis=-2, keepdims=True) + eps)
    normalized: Float[np.ndarray, "*batches examples features"] = np.where(
        constant, 0.0, deviation / np.where(constant, 1.0, scale)
    )
    return normalized


Through = Callable[
    [Float[np.ndarray, "batches examples inputs"]], Float[np.ndarray, "batches examples features"]
]
"""Makes features of batches, each by its own statistics."""


class NormalizedData(NamedTuple):
    """The data of an order, as the layer behind a batch normalization sees them.

    Attributes:
        features: one row for every example of every batch; an example may have many.
        targets: the targets of these rows.
    """

    features: Float[np.ndarray, "rows features"]
    targets: Real[np.ndarray, rows * target]


def dataset(
    X: Float[np.ndarray, "examples features"],
    Y: Real[np.ndarray, examples * target],
    batch_size: int,
    ordering: Sequence[int] | Int[np.ndarray, " examples"] | Literal["gd", "rr"],
    eps: float = 0.0,
    subsets: int | None = None,
    seed: int = 0,
    through: Through | None = None,
) -> NormalizedData:
    """Return the examples normalized as an order of the data puts them into batches.

    Of a permutation pi: [BN(X_pi^1) ... BN(X_pi^m)], its last batch smaller where `batch_size` does not
    divide the examples. Of "gd": BN(X). Of "rr": every subset of `batch_size` examples with the same weight,
    what Random Reshuffle's batches are on average; beyond `subsets` of them as many drawn at random, the
    disjoint batches of random permutations, so that every example counts nearly as often as any other.

    Args:
        X: examples in rows.
        Y: targets [examples, targets], or labels [examples].
        batch_size: examples a batch; for "gd" it has no effect.
        ordering: example indices in their order, "gd" or "rr".
        eps: added to the variance, in squared units of X.
        subsets: up to how many subsets all are taken, and how many are drawn where there are more; the result
            has `batch_size` times as many rows. None: as many as give 2^25 numbers (256 MiB), which is all of
            them for 64 examples of 10 features and a batch size of 4.
        seed: of the subsets that are drawn.
        through: what makes features of stacked batches in place of this normalization, for example a deep
            network up to its last one, at the weights of a checkpoint.

    Returns:
        The features with their targets.

    Raises:
        ValueError: `batch_size` outside 1 to the number of examples, `subsets` below 1, X and Y of different
            lengths, or an ordering that is none of the above.

    Source:
        Wu, Yun & Sra 2023, section 3.
    """
    n = len(X)
    if len(Y) != n:
        raise ValueError(f"`Y` must have a row for each of the {n} examples; got {len(Y)}.")
    if not 1 <= batch_size <= n:
        raise ValueError(f"`batch_size` must be from 1 to the {n} examples; got {batch_size}.")
    if subsets is None:
        subsets = max(NUMBERS // (batch_size * X.shape[1]), 1)
    if subsets < 1:
        raise ValueError(f"`subsets` must be at least 1; got {subsets}.")
    if isinstance(ordering, str):
        if ordering == "gd":
            batches = [np.arange(n)[None]]
        elif ordering == "rr":
            batches = [_subsets(n, batch_size, subsets, seed)]
        else:
            raise ValueError(f'`ordering` must be a permutation, "gd" or "rr"; got {ordering!r}.')
    else:
        order = np.asarray(ordering)
        if not np.array_equal(np.sort(order), np.arange(n)):
            raise ValueError(f"`ordering` must hold each index from 0 to {n - 1} once.")
        whole = n - n % batch_size
        batches = [order[:whole].reshape(-1, batch_size), *([order[None, whole:]] if whole < n else [])]
    parts = [part for rows in batches for part in np.array_split(rows, -(-len(rows) // CHUNK))]
    made = [_normalized(X[part], eps) if through is None else through(X[part]) for part in parts]
    features = np.concatenate([batch.reshape(-1, batch.shape[-1]) for batch in made])
    return NormalizedData(features, Y[np.concatenate([rows.ravel() for rows in batches])])


def _subsets(n: int, size: int, most: int, seed: int) -> Int[np.ndarray, "subsets size"]:
    """Return all subsets of `size` of n examples, or `most` of them where there are more."""
    if math.comb(n, size) <= most:
        return np.array(list(itertools.combinations(range(n), size)))
    rng, each = np.random.default_rng(seed), n // size
    orders = rng.permuted(np.broadcast_to(np.arange(n), (-(-most // each), n)), axis=1)
    return orders[:, : each * size].reshape(-1, size)[:most]
