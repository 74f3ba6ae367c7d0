"""What the orders of a data set would do to its full-batch risk, without training any of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Real
from scipy import stats

from engine.analysis.shuffling.batchings import (
    Batching,
    all_batchings,
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
"""Batchings between two reports of progress."""
ROWS = 4096
"""Rows of the subsets that stand for all of Random Reshuffle's, where they are more; at least 200 subsets."""


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
        orders: looked at: all n!, or as many random ones as were asked for.
        exact: whether they are all.
        counts: how many of them are bounded, do not diverge, diverge.
        share: of them that diverge.
        low: lower end of its interval (Clopper-Pearson, 95 %); `share` itself where `exact`.
        high: upper end.
        judged: every different batching looked at, from the steepest slope down.
        worst: the batching whose full-batch risk grows fastest.
        best: the one whose full-batch risk falls fastest, or else is bounded, or grows least.
        reshuffled: the verdict on Random Reshuffle, whose data are all subsets of the batch size. Where they
            are many it is that of a sample: "bounded" with a complete certificate is final, the rest is not.
        reshuffled_separability: behind it.
        notes: what of the data a reader must know, in sentences.
        seed: of the random orders and subsets.
    """

    orders: int
    exact: bool
    counts: dict[Kind, int]
    share: float
    low: float
    high: float
    judged: tuple[Judged, ...]
    worst: Judged
    best: Judged
    reshuffled: Verdict
    reshuffled_separability: Separability
    notes: tuple[str, ...]
    seed: int


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
    progress: Callable[[float], None] | None = None,
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
        progress: told the share that is done.

    Raises:
        ValueError: `batch_size` outside 1 to the number of examples, labels that are not signs, or an `X`
            that is not finite.

    Source:
        Wu, Yun & Sra 2023, section 5; Ji & Telgarsky 2019.
    """
    if not np.isfinite(X).all():
        raise ValueError("`X` must be finite; leave out the rows that are not.")
    full = dataset(X, labels, batch_size, "gd", eps)
    n = len(X)
    exact = count(n, batch_size) <= all_up_to
    if exact:
        batchings = dict.fromkeys(all_batchings(n, batch_size), orders_of_each(n, batch_size))
    else:
        batchings = sampled_batchings(n, batch_size, draws, seed)
    # A batch is shared by many batchings, and so is its normalization.
    normalized: dict[tuple[int, ...], Float[np.ndarray, "batch features"]] = {}
    judged, ways = list[Judged](), list(batchings.items())
    for first in range(0, len(ways), AT_ONCE):
        some = ways[first : first + AT_ONCE]
        data = []
        for batches, _ in some:
            for batch in batches:
                if batch not in normalized:
                    normalized[batch] = normalize(X[list(batch)], eps)
            features = np.concatenate([normalized[batch] for batch in batches])
            data.append((features, labels[np.concatenate(batches)]))
        splits = separabilities(data, intercept, scale_trained)
        for (batches, orders), split in zip(some, splits, strict=True):
            judged.append(Judged(batches, orders, split, verdict(split, *full)))
        if progress is not None:
            progress(len(judged) / len(ways))
    judged.sort(key=_badness, reverse=True)
    counts: dict[Kind, int] = {"bounded": 0, "no divergence": 0, "GD risk diverges": 0}
    for one in judged:
        counts[one.verdict.kind] += one.orders
    orders = sum(counts.values())
    diverging = counts["GD risk diverges"]
    low = high = share = diverging / orders
    if not exact:
        low, high = stats.binomtest(diverging, orders).proportion_ci(0.95)
    subsets = max(ROWS // batch_size, 200)
    every = dataset(X, labels, batch_size, "rr", eps, subsets, seed)
    reshuffled = separability(*every, intercept, scale_trained)
    return WhatIf(
        orders, exact, counts, share, float(low), float(high), tuple(judged), judged[0], judged[-1],
        verdict(reshuffled, *full), reshuffled, remarks(X, batch_size, eps, labels), seed,
    )  # fmt: skip


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
