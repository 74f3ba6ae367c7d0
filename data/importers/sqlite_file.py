"""A database of SQLite (begins with `SQLite format 3`): each of its tables that has numbers, never a view."""

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

import duckdb
import pyarrow as pa

from data.importers._arrow_columns import BATCH, stream
from data.importers._importer import Importer, LogFile, LogTable, unreadable
from data.importers._sqlite import DAMAGE, MAGIC, journal_notes, open_stored, quoted, stored_columns

_KINDS = ("integer", "real", "text", "blob")
_NUMBERS = {"integer", "real"}
_TOGETHER = 250
"""Columns that are asked for at once; SQLite gives 2000 results at most."""


def _read(connection: duckdb.DuckDBPyConnection, files: Sequence[LogFile]) -> Iterator[LogTable]:
    for file in files:
        try:
            yield from _tables(connection, file)
        except DAMAGE as error:
            raise unreadable(
                file, f"SQLite cannot read it: {error}", "Copy it again, with no program writing to it."
            ) from error


def _tables(connection: duckdb.DuckDBPyConnection, file: LogFile) -> Iterator[LogTable]:
    opened = open_stored(file.path)
    tables, without = [], []
    for name, names in stored_columns(opened).items():
        cells = _kinds(opened, name, names)
        if any(kinds & _NUMBERS for kinds in cells.values()):
            tables.append((name, {column: _type(kinds) for column, kinds in cells.items()}))
        else:
            without.append(name)
    if not tables:
        raise unreadable(
            file, "none of its tables has a column of numbers", "Import the file with the metrics."
        )
    notes = [f"Left out, for they hold no numbers: {', '.join(without)}."] if without else []
    notes += journal_notes(file)
    for name, kinds in tables:
        schema = pa.schema([(column, kind) for column, kind in kinds.items() if kind is not None])
        blobs = [f"`{column}`" for column, kind in kinds.items() if kind is None]
        own = [f"Left out, for they hold bytes: {', '.join(blobs)}."] if blobs else []
        rows = stream(connection, schema, _batches(opened, name, schema))
        yield LogTable(rows, name=name, notes=(*own, *notes))


def _kinds(opened: sqlite3.Connection, table: str, names: list[str]) -> dict[str, set[str]]:
    """Return which kinds of cells each column has, for in SQLite every cell has its own: "real", "text"..."""
    found: dict[str, set[str]] = {}
    for start in range(0, len(names), _TOGETHER):
        some = names[start : start + _TOGETHER]
        asked = [f"max(typeof({quoted(name)}) = {kind!r})" for name in some for kind in _KINDS]
        told = iter(opened.execute(f"SELECT {', '.join(asked)} FROM {quoted(table)}").fetchone())
        found |= {name: {kind for kind in _KINDS if next(told)} for name in some}
    return found


def _type(kinds: set[str]) -> pa.DataType | None:
    """Return the type of a column with cells of some kinds; None where all have bytes."""
    if "text" in kinds or not kinds:
        return pa.string()
    if kinds & _NUMBERS:
        return pa.float64() if "real" in kinds else pa.int64()
    return None


def _batches(opened: sqlite3.Connection, table: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    chosen = ", ".join(map(quoted, schema.names))
    cursor = opened.execute(f"SELECT {chosen} FROM {quoted(table)}")
    while rows := cursor.fetchmany(BATCH):
        columns = zip(zip(*rows, strict=True), schema.types, strict=True)
        yield pa.record_batch([_array(cells, kind) for cells, kind in columns], schema)


def _array(cells: tuple[Any, ...], kind: pa.DataType) -> pa.Array:
    """Return cells as a column; bytes among others have no value."""
    given = (None if isinstance(cell, bytes) else cell for cell in cells)
    if pa.types.is_string(kind):
        return pa.array([cell if cell is None else str(cell) for cell in given], kind)
    if pa.types.is_floating(kind):
        return pa.array([cell if cell is None else float(cell) for cell in given], kind)
    return pa.array(given, kind)


def _can_read(file: LogFile) -> bool:
    return file.head.startswith(MAGIC)


IMPORTER = Importer(title="SQLite", can_read=_can_read, read=_read)
