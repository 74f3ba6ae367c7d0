"""The rows of trackers that log one metric at a time: its name, the step, the moment and the value."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from types import MappingProxyType

import pyarrow as pa

from data.importers._arrow_columns import BATCH
from data.importers._importer import Role

ROLES: MappingProxyType[str, Role] = MappingProxyType(
    {"metric": "metric", "step": "step", "time": "time", "value": "value"}
)


def long_schema(time: pa.DataType) -> pa.Schema:
    """Return the columns of such rows: `time` is float64 for seconds since 1970, int64 for milliseconds."""
    return pa.schema([("metric", pa.string()), ("step", pa.int64()), ("time", time), ("value", pa.float64())])


def long_batches(
    rows: Iterable[tuple[str, int | None, float | None, float | None]], schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """Yield rows, each of a metric, step, time and value, as batches."""
    left = iter(rows)
    while some := list(islice(left, BATCH)):
        columns = zip(zip(*some, strict=True), schema.types, strict=True)
        yield pa.record_batch([pa.array(cells, kind) for cells, kind in columns], schema)


def moment(seconds: float) -> datetime | None:
    """Return the moment some seconds after 1970 began; None where no calendar has it."""
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    except (OverflowError, ValueError):
        return None
