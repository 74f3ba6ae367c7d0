"""The ways of cutting examples into batches, which many orders share."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np

Batching = tuple[tuple[int, ...], ...]
"""Batches of example indices, each sorted, in the order of their first; a smaller one at the end."""


def batching(order: Sequence[int], batch_size: int) -> Batching:
    """Return the batches of an order, written so that orders with the same batches give the same."""
    cut = [tuple(sorted(order[k : k + batch_size])) for k in range(0, len(order), batch_size)]
    whole = len(order) // batch_size
    return (*sorted(cut[:whole]), *cut[whole:])


def count(examples: int, batch_size: int) -> int:
    """Return how many batchings there are: n! over the orders that share one."""
    return math.factorial(examples) // orders_of_each(examples, batch_size)


def orders_of_each(examples: int, batch_size: int) -> int:
    """Return how many orders have the same batches: the same number for every batching."""
    whole, rest = divmod(examples, batch_size)
    return int(math.factorial(batch_size) ** whole) * math.factorial(whole) * math.factorial(rest)


def all_batchings(examples: int, batch_size: int) -> Iterator[Batching]:
    """Return every batching once."""
    indices = range(examples)
    for last in itertools.combinations(indices, examples % batch_size):
        for whole in _cut(tuple(i for i in indices if i not in last), batch_size):
            yield (*whole, last) if last else whole


def sampled_batchings(examples: int, batch_size: int, draws: int, seed: int) -> dict[Batching, int]:
    """Return the batchings of random orders, each with how many of the orders have it."""
    rng = np.random.default_rng(seed)
    found: dict[Batching, int] = {}
    for _ in range(draws):
        one = batching(rng.permutation(examples).tolist(), batch_size)
        found[one] = found.get(one, 0) + 1
    return found


def _cut(indices: tuple[int, ...], size: int) -> Iterator[Batching]:
    if not indices:
        yield ()
        return
    # The first index is in some batch: choose its companions, then cut the others.
    for others in itertools.combinations(indices[1:], size - 1):
        batch = (indices[0], *others)
        for rest in _cut(tuple(i for i in indices[1:] if i not in others), size):
            yield (batch, *rest)
