"""What is taken of Arrow data: flat columns of numbers, truth values, text and moments."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from data.importers._importer import LogFile, unreadable
from data.importers._text import distinct

BATCH = 1 << 16
"""Rows that are held at once."""

DAMAGE = (pa.ArrowException, OSError, ValueError, KeyError, OverflowError, MemoryError)
"""What Arrow raises over bytes that are not what they claim to be."""

_PER_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}


class Columns(NamedTuple):
    """The columns that are taken of a schema.

    Attributes:
        schema: of what is taken.
        places: of each in the schema that it is taken from.
        units: "s" for durations.
        notes: a sentence over what is left out, if anything is.
    """

    schema: pa.Schema
    places: list[int]
    units: dict[str, str]
    notes: tuple[str, ...]

    def of(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return a batch of the schema they are taken from as one of what is taken, every offset checked."""
        batch.validate(full=True)
        kinds = zip(self.places, self.schema.types, strict=True)
        return pa.record_batch([_cast(batch.column(place), kind) for place, kind in kinds], self.schema)

    def batches(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield what is taken of batches of any size, `BATCH` rows at most at once."""
        for batch in batches:
            for start in range(0, batch.num_rows, BATCH):
                yield self.of(batch.slice(start, BATCH))


def columns(schema: pa.Schema) -> Columns:
    """Choose the columns that are taken; lists, structures, bytes and times of day are not."""
    taken = [(place, kind) for place, field in enumerate(schema) if (kind := _taken_as(field.type))]
    places = [place for place, _ in taken]
    names, _ = distinct(schema.field(place).name or f"column {place + 1}" for place in places)
    left_out = [
        f"`{field.name}` ({field.type})" for place, field in enumerate(schema) if place not in set(places)
    ]
    notes = (f"Left out, for they hold no single numbers: {_listed(left_out)}.",) if left_out else ()
    units = {
        name: "s"
        for name, place in zip(names, places, strict=True)
        if pa.types.is_duration(schema.types[place])
    }
    kinds = [(name, kind) for name, (_, kind) in zip(names, taken, strict=True)]
    return Columns(pa.schema(kinds), places, units, notes)


def require_columns(file: LogFile, taken: Columns) -> None:
    """Refuse a file of which no column is taken.

    Raises:
        LabError: there is none.
    """
    if not taken.places:
        raise unreadable(file, "it has no column of single numbers", "Import the file with the metrics.")


def has_numbers(schema: pa.Schema) -> bool:
    """Tell whether a column of numbers is among those that are taken."""
    return any(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in schema.types)


def stream(
    connection: duckdb.DuckDBPyConnection, schema: pa.Schema, batches: Iterable[pa.RecordBatch]
) -> duckdb.DuckDBPyRelation:
    """Return batches as rows that are drawn once, when they are needed."""
    return connection.from_arrow(pa.RecordBatchReader.from_batches(schema, batches))


def _listed(names: list[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _taken_as(kind: pa.DataType) -> pa.DataType | None:
    """Return the type that a column of a type is taken as; None where it is left out."""
    types = pa.types
    if types.is_dictionary(kind):
        inner = _taken_as(kind.value_type)
        return kind if inner == kind.value_type and _is_text(inner) else inner
    if types.is_boolean(kind) or types.is_integer(kind) or types.is_date32(kind) or _is_text(kind):
        return kind
    if types.is_floating(kind):
        return pa.float32() if types.is_float16(kind) else kind
    if types.is_decimal(kind) or types.is_duration(kind):
        return pa.float64()
    if types.is_timestamp(kind) or types.is_date64(kind):
        return pa.timestamp("us")
    return pa.string() if types.is_null(kind) else None


def _is_text(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _cast(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return a column as the type it is taken as: durations in seconds, moments in UTC."""
    if values.type == kind:
        return values
    if pa.types.is_dictionary(values.type):
        return _cast(values.dictionary_decode(), kind)
    if pa.types.is_duration(values.type):
        return pc.divide(values.cast(pa.int64()).cast(kind, safe=False), _PER_SECOND[values.type.unit])
    finer = pa.types.is_timestamp(values.type) and values.type.unit == "ns"
    return values.cast(kind, safe=not finer)
