"""What the orders of a data set would do to its full-batch risk, without training any of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Real
from scipy import stats

from engine.analysis.shuffling.batchings import (
    Batching,
    all_batchings,
    batching,
    count,
    orders_of_each,
    sampled_batchings,
)
from engine.analysis.shuffling.normalization import dataset, normalize
from engine.analysis.shuffling.prediction import Kind, Verdict, verdict
from engine.analysis.shuffling.separation import Separability, separabilities, separability

ALL_UP_TO = 1000
"""Batchings up to which all are looked at."""
DRAWS = 400
"""Random orders where there are more: a share is then known to 5 %."""
AT_ONCE = 100
"""Batchings between two reports of progress, unless they have more rows than `ROWS_AT_ONCE`."""
ROWS_AT_ONCE = 6400
"""Rows between two reports: about a second with 64 features."""
ROWS = 4096
"""Rows of the subsets that stand for all of Random Reshuffle's, where they are more; at least 200 subsets,
as long as these do not have more than `MOST_ROWS`."""
MOST_ROWS = 16_384
"""Of those rows: with 40 features their program takes 4 s, one of three times as many rows 34 s."""

Selection = Literal["all", "random", "given"]


class Stopped(Exception):  # noqa: N818  # not an error: the caller asked for it
    """Raised when `progress` asked to stop."""


class Judged(NamedTuple):
    """One way of cutting the data into batches and what comes of it.

    Attributes:
        batches: example indices; in this order, or in any other order of batches and within them, they make
            the same risk.
        orders: how many of the orders looked at have these batches.
        separability: of the data under them.
        verdict: for the full-batch risk.
    """

    batches: Batching
    orders: int
    separability: Separability
    verdict: Verdict


@dataclass(frozen=True)
class WhatIf:
    """What the orders of a data set would do.

    Attributes:
        orders: looked at: all n!, as many random ones as were asked for, or those that were given.
        selection: which of these.
        counts: how many of them are bounded, do not diverge, diverge.
        share: of them that diverge.
        low: lower end of its interval (Clopper-Pearson, 95 %) for all orders; `share` itself unless the
            orders are random.
        high: upper end.
        judged: every different batching looked at, from the steepest slope down.
        worst: the batching whose full-batch risk grows fastest.
        best: the one whose full-batch risk falls fastest, or else is bounded, or grows least.
        reshuffled: the verdict on Random Reshuffle, whose data are all subsets of the batch size. Where they
            are many it is that of a sample: "bounded" with a complete certificate is final, the rest is not.
        reshuffled_separability: behind it.
        reshuffled_sampled: whether it is that of a sample.
        notes: what of the data a reader must know, in sentences.
        seed: of the random orders and subsets.
    """

    orders: int
    selection: Selection
    counts: dict[Kind, int]
    share: float
    low: float
    high: float
    judged: tuple[Judged, ...]
    worst: Judged
    best: Judged
    reshuffled: Verdict
    reshuffled_separability: Separability
    reshuffled_sampled: bool
    notes: tuple[str, ...]
    seed: int

    @property
    def exact(self) -> bool:
        """Whether `share` is that of the very orders asked about, not of a sample of them."""
        return self.selection != "random"


def what_if(
    X: Float[np.ndarray, "examples features"],
    labels: Real[np.ndarray, " examples"],
    batch_size: int,
    eps: float = 0.0,
    intercept: bool = False,
    scale_trained: bool = False,
    all_up_to: int = ALL_UP_TO,
    draws: int = DRAWS,
    seed: int = 0,
    progress: Callable[[int, int], bool] | None = None,
    orders: Sequence[Sequence[int]] | None = None,
) -> WhatIf:
    """Say how many orders of the data make the full-batch risk diverge under Single Shuffle.

    Logistic regression on batch-normalized examples. Orders with the same batches share one linear program.
    The last batch is smaller where `batch_size` does not divide the examples, and is normalized by itself.

    Args:
        X: examples in rows.
        labels: +1 or -1.
        batch_size: examples a batch.
        eps: added to the variance.
        intercept: see ``separability``.
        scale_trained: see ``separability``.
        all_up_to: different batchings up to which all are looked at.
        draws: random orders where there are more.
        seed: of these.
        progress: told after every few batchings how many are judged and how many there are; True stops.
        orders: permutations of the examples, counted from 0, that alone are looked at.

    Raises:
        ValueError: `batch_size` outside 1 to the number of examples, labels that are not signs, an `X` that
            is not finite, or `orders` that are no permutations.
        Stopped: `progress` returned True before the end.

    Source:
        Wu, Yun & Sra 2023, section 5; Ji & Telgarsky 2019.
    """
    if not np.isfinite(X).all():
        raise ValueError("`X` must be finite; leave out the rows that are not.")
    full = dataset(X, labels, batch_size, "gd", eps)
    n = len(X)
    selection: Selection = "all"
    if orders is not None:
        selection, batchings = "given", _given(orders, n, batch_size)
    elif count(n, batch_size) <= all_up_to:
        batchings = dict.fromkeys(all_batchings(n, batch_size), orders_of_each(n, batch_size))
    else:
        selection, batchings = "random", sampled_batchings(n, batch_size, draws, seed)
    _tell(progress, 0, len(batchings))
    subsets = max(ROWS // batch_size, min(200, MOST_ROWS // batch_size))
    every = dataset(X, labels, batch_size, "rr", eps, subsets, seed)
    reshuffled = separability(*every, intercept, scale_trained)
    # A batch is shared by many batchings, and so is its normalization.
    normalized: dict[tuple[int, ...], Float[np.ndarray, "batch features"]] = {}
    judged, ways = list[Judged](), list(batchings.items())
    at_once = max(min(AT_ONCE, ROWS_AT_ONCE // n), 1)
    for first in range(0, len(ways), at_once):
        some = ways[first : first + at_once]
        data = []
        for batches, _ in some:
            for batch in batches:
                if batch not in normalized:
                    normalized[batch] = normalize(X[list(batch)], eps)
            features = np.concatenate([normalized[batch] for batch in batches])
            data.append((features, labels[np.concatenate(batches)]))
        splits = separabilities(data, intercept, scale_trained)
        for (batches, times), split in zip(some, splits, strict=True):
            judged.append(Judged(batches, times, split, verdict(split, *full)))
        _tell(progress, len(judged), len(ways))
    judged.sort(key=_badness, reverse=True)
    counts: dict[Kind, int] = {"bounded": 0, "no divergence": 0, "GD risk diverges": 0}
    for one in judged:
        counts[one.verdict.kind] += one.orders
    looked_at, diverging = sum(counts.values()), counts["GD risk diverges"]
    low = high = share = diverging / looked_at
    if selection == "random":
        low, high = stats.binomtest(diverging, looked_at).proportion_ci(0.95)
    return WhatIf(
        looked_at, selection, counts, share, float(low), float(high), tuple(judged), judged[0], judged[-1],
        verdict(reshuffled, *full), reshuffled, math.comb(n, batch_size) > subsets,
        remarks(X, batch_size, eps, labels), seed,
    )  # fmt: skip


def _given(orders: Sequence[Sequence[int]], n: int, batch_size: int) -> dict[Batching, int]:
    """Return the batchings of these orders, each with how many of them have it."""
    if not len(orders):
        raise ValueError("`orders` must hold at least one permutation; got none.")
    found: dict[Batching, int] = {}
    for place, order in enumerate(orders):
        if sorted(order) != list(range(n)):
            raise ValueError(f"`orders[{place}]` must hold each index from 0 to {n - 1} once.")
        one = batching(order, batch_size)
        found[one] = found.get(one, 0) + 1
    return found


def _tell(progress: Callable[[int, int], bool] | None, done: int, total: int) -> None:
    if progress is not None and progress(done, total) and done < total:
        raise Stopped


def remarks(
    X: Float[np.ndarray, "examples features"],
    batch_size: int,
    eps: float = 0.0,
    labels: Real[np.ndarray, " examples"] | None = None,
) -> tuple[str, ...]:
    """Return a sentence for each way in which normalization leaves less of these data than one may think."""
    n, rest = len(X), len(X) % batch_size
    found = []
    if batch_size == 1:
        found.append("A batch of one example normalizes to zeros: nothing is left to learn from.")
    elif rest == 1:
        found.append("The last batch has one example, which normalizes to zeros and teaches nothing.")
    if rest > 1:
        found.append(f"The last batch has {rest} of {batch_size} examples and is normalized by itself.")
    if batch_size == 2 and eps == 0:
        found.append("Batches of two without eps keep only signs: every feature becomes +1, -1 or 0.")
    if batch_size >= n:
        found.append("The batch is the whole data set: every order is full-batch gradient descent.")
    if constant := int((X.max(axis=0) == X.min(axis=0)).sum()):
        found.append(f"Constant features normalize to 0 and have no effect: {constant} of {X.shape[1]}.")
    if labels is not None and len(np.unique(labels)) == 1:
        found.append(
            "All examples have one label: without an intercept nothing separates them from normalized data, "
            "whose mean is 0; with one, the intercept alone does."
        )
    return tuple(found)


def _badness(one: Judged) -> tuple[float, float]:
    """Return what is larger the worse the full-batch risk fares: its slope, then its slowest example."""
    return one.verdict.slope, -one.verdict.least
