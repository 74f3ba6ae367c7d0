"""What the orders of a data set would do, as a summary for people and arrays for figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from engine.analysis.shuffling.batchings import batching
from engine.analysis.shuffling.prediction import Kind, Verdict
from engine.analysis.shuffling.separation import Separability
from engine.analysis.shuffling.what_if import Judged, WhatIf

KINDS: tuple[Kind, ...] = ("bounded", "no divergence", "GD risk diverges")
"""What the numbers of the array `kind` stand for."""
COUNTABLE = 2**53
"""Orders beyond which a summary counts batchings alone: no program would read the number exactly."""


def to_record(
    found: WhatIf, orders: Sequence[Sequence[int]] = ()
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return a JSON-able summary and the arrays that it does not hold.

    Args:
        found: what the orders do.
        orders: those that were given, in the order in which a reader looks for them.

    Returns:
        The summary: `orders` and `counts` (both None beyond 2^53 orders), `batchings`, `batching_counts`,
        `selection`, `share` with `low` and `high`, `worst`, `best`, `reshuffled`, `notes`, `seed`, `doubtful`
        (batchings with a caution). What is not finite is None. The arrays, one entry a batching from the
        steepest slope down: `slope` and `least` [nats per ln step], `margin`, `kind`, `times` (orders with
        it; 1 where all were looked at), `doubtful`, `batches` (example indices in their order); and `given`,
        the place of each given order among them.
    """
    judged = found.judged
    kinds = [one.verdict.kind for one in judged]
    countable = found.orders <= COUNTABLE
    summary = {
        "orders": found.orders if countable else None,
        "counts": dict(found.counts) if countable else None,
        "batchings": len(judged),
        "batching_counts": {kind: kinds.count(kind) for kind in KINDS},
        "selection": found.selection,
        "share": found.share,
        "low": found.low,
        "high": found.high,
        "worst": _judged(found.worst, countable),
        "best": _judged(found.best, countable),
        "reshuffled": {
            "sampled": found.reshuffled_sampled,
            **_told(found.reshuffled, found.reshuffled_separability),
        },
        "notes": list(found.notes),
        "seed": found.seed,
        "doubtful": sum(bool(one.verdict.caution) for one in judged),
    }
    every = found.selection == "all"
    arrays = {
        "slope": np.array([one.verdict.slope for one in judged]),
        "least": np.array([one.verdict.least for one in judged]),
        "margin": np.array([one.separability.margin for one in judged]),
        "kind": np.array([KINDS.index(kind) for kind in kinds], dtype=np.int8),
        "times": np.array([1 if every else one.orders for one in judged], dtype=np.int64),
        "doubtful": np.array([bool(one.verdict.caution) for one in judged]),
        "batches": np.array([np.concatenate(one.batches) for one in judged], dtype=np.int16),
    }
    if orders:
        place = {one.batches: at for at, one in enumerate(judged)}
        size = len(judged[0].batches[0])
        arrays["given"] = np.array([place[batching(order, size)] for order in orders], dtype=np.int32)
    return summary, arrays


def _judged(one: Judged, countable: bool) -> dict[str, Any]:
    return {
        "batches": [list(batch) for batch in one.batches],
        "orders": one.orders if countable else None,
        **_told(one.verdict, one.separability),
    }


def _told(verdict: Verdict, split: Separability) -> dict[str, Any]:
    proof = split.certificate
    return {
        "kind": verdict.kind,
        "slope": _finite(verdict.slope),
        "least": _finite(verdict.least),
        "misclassified": np.flatnonzero(verdict.misclassified).tolist(),
        "settles_after": _finite(verdict.settles_after),
        "caution": verdict.caution,
        "margin": _finite(split.margin),
        "separable": int(split.separable.sum()),
        "rows": len(split.separable),
        "certificate": {
            "residual": _finite(proof.residual),
            "rank": proof.rank,
            "complete": bool(proof.complete),
        },
    }


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
