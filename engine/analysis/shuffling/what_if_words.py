"""What is found of an order, in sentences that say what it means and why it is certain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

MOST_NAMED = 8
"""Examples that are named one by one."""


def meaning(told: Mapping[str, Any]) -> str:
    """Return what becomes of the full-batch risk, and why.

    Args:
        told: an order of a record, see ``to_record``.
    """
    rows, separable = told["rows"], told["separable"]
    noun = "rows" if "sampled" in told else "examples"
    if told["kind"] == "bounded":
        return (
            "Nothing separates the examples under these batches: the weights stay finite, and so does the "
            "full-batch risk."
        )
    apart = "All" if separable == rows else f"{separable:,} of {rows:,}"
    found = f"{apart} {noun} are separated ever more, by a margin of {_number(told['margin'])};"
    if told["kind"] == "no divergence":
        return (
            f"{found} that direction puts no example of the full batch on the wrong side, so that the "
            "full-batch risk does not grow."
        )
    wrong = told["misclassified"]
    puts = f"example {wrong[0]}" if len(wrong) == 1 else f"{len(wrong):,} examples ({_listed(wrong)})"
    grows = (
        "grows without end"
        if told["slope"] is None
        else f"grows by {_number(told['slope'])} nats per ln(step), without end"
    )
    return (
        f"{found} that direction puts {puts} of the full batch on the wrong side, so that the full-batch "
        f"risk {grows}."
    )


def proof(told: Mapping[str, Any], inputs: int) -> str:
    """Return what the certificate of an order proves.

    Args:
        told: an order of a record, see ``to_record``.
        inputs: features, and one more with an intercept.
    """
    found, bounded = told["certificate"], told["rows"] - told["separable"]
    noun = "rows" if "sampled" in told else "examples"
    if not bounded:
        return "Nothing is bounded, so that there is no certificate: the margin is the proof."
    cancel = (
        f"positive weights with which {'all' if bounded == told['rows'] else 'the other'} {bounded:,} {noun} "
        f"cancel (residual {_number(found['residual'])}), rank {found['rank']} of {inputs}"
    )
    if found["complete"]:
        return f"Certificate, complete: {cancel}; no further batch can make anything separable."
    if told["separable"]:
        return f"Certificate of the bounded part: {cancel}."
    if told.get("sampled") is False:
        return f"Certificate: {cancel}; there is no further batch."
    return f"Certificate: {cancel}; a further batch with another direction could be separable."


def reshuffled(told: Mapping[str, Any], batch_size: int) -> str:
    """Return what becomes of Random Reshuffle, whose data are all subsets of the batch size, or a sample."""
    subsets = told["rows"] // batch_size
    of = f"a sample of {subsets:,}" if told["sampled"] else f"all {subsets:,}"
    final = not told["sampled"] or told["certificate"]["complete"]
    sure = "" if final else " More subsets may change that."
    return f"Of {of} subsets of {batch_size:,}: {meaning(told)}{sure}"


def _number(value: float | None) -> str:
    if value is None:
        return "unknown size"
    return f"{value:.3g}" if value else "0"


def _listed(indices: Sequence[int]) -> str:
    told = ", ".join(map(str, indices[:MOST_NAMED]))
    return f"{told}, …" if len(indices) > MOST_NAMED else told
