"""The columns of a trace, one definition for the journal, the sealed file and the reader."""

from collections.abc import Sequence
from typing import Literal

import pyarrow as pa

KEYS = ("run", "step", "epoch", "seconds")
"""Whose row it is and when it was measured; every other column is a metric."""

RESERVED = frozenset({*KEYS, "study", "arm", "seed", "x", "value", "kind", "metric", "rowid"})
"""Names that a metric cannot have, because results carry them, or DuckDB itself does."""

Precision = Literal["float32", "float64"]


def schema(metrics: Sequence[str], dtype: Precision) -> pa.Schema:
    """Return the Arrow columns of a journal.

    Args:
        metrics: names of the metrics, in the order they shall have.
        dtype: what one value is kept as.

    Raises:
        ValueError: a name that is empty, doubled (case does not count) or reserved; an unknown `dtype`.
    """
    if dtype not in ("float32", "float64"):
        raise ValueError(f"`dtype` must be float32 or float64; got {dtype!r}.")
    lowered = [name.lower() for name in metrics]
    bad = [name for name in metrics if not name or name.lower() in RESERVED or "\0" in name]
    bad += [name for name in metrics if lowered.count(name.lower()) > 1]
    if bad:
        raise ValueError(f"`metrics` must be different names, none of {sorted(RESERVED)}; got {bad}.")
    value = pa.float32() if dtype == "float32" else pa.float64()
    keys = [
        pa.field("run", pa.int32(), nullable=False),
        pa.field("step", pa.int64(), nullable=False),
        pa.field("epoch", pa.float64()),
        pa.field("seconds", pa.float64()),
    ]
    return pa.schema([*keys, *(pa.field(name, value) for name in metrics)])


def quoted(name: str) -> str:
    """Write a column or table name into SQL so that no character of it can end it."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Write a text into SQL where a parameter cannot stand (the path of an ATTACH)."""
    return "'" + text.replace("'", "''") + "'"
