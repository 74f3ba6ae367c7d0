"""Arrow IPC and Feather, as pyarrow and polars write them: `ARROW1` at the start, or a stream's schema."""

import struct
from collections.abc import Iterator, Sequence
from itertools import chain

import duckdb
import pyarrow as pa

from data.importers._arrow_columns import DAMAGE, columns, require_columns, stream
from data.importers._importer import Importer, LogFile, LogTable, unreadable

_FEATHER_1 = b"FEA1"
_FILE = b"ARROW1"


def _read(connection: duckdb.DuckDBPyConnection, files: Sequence[LogFile]) -> Iterator[LogTable]:
    for file in files:
        if file.head.startswith(_FEATHER_1):
            raise unreadable(
                file,
                "it is of version 1 of Feather, which is no longer read",
                "Write it again with pandas.DataFrame.to_feather or pyarrow.feather.write_feather.",
            )
        try:
            yield _table(connection, file)
        except DAMAGE as error:
            raise unreadable(
                file, f"it is damaged, or no whole Arrow file: {error}", "Copy or write it again."
            ) from error


def _table(connection: duckdb.DuckDBPyConnection, file: LogFile) -> LogTable:
    """Return the table of a file, whose first batch is read at once so that damage is told early."""
    mapped = pa.memory_map(str(file.path))
    if file.head.startswith(_FILE):
        opened = pa.ipc.open_file(mapped)
        batches: Iterator[pa.RecordBatch] = map(opened.get_batch, range(opened.num_record_batches))
    else:
        opened = pa.ipc.open_stream(mapped)
        batches = iter(opened)
    taken = columns(opened.schema)
    require_columns(file, taken)
    first = next(batches, None)
    if first is not None:
        first.validate(full=True)
        batches = chain([first], batches)
    rows = stream(connection, taken.schema, taken.batches(() if first is None else batches))
    return LogTable(rows, units=taken.units, notes=taken.notes)


def _can_read(file: LogFile) -> bool:
    return file.head.startswith((_FILE, _FEATHER_1)) or _is_stream(file)


def _is_stream(file: LogFile) -> bool:
    """Tell whether a file begins with the message of a schema, of which a very long one is not read."""
    if len(file.head) < 16 or not file.head.startswith(b"\xff\xff\xff\xff"):
        return False
    (length,) = struct.unpack_from("<i", file.head, 4)
    if length <= 0 or length % 8 or length + 8 > file.size:
        return False
    if length + 8 > len(file.head):
        return True
    try:
        pa.ipc.read_schema(pa.py_buffer(file.head[: length + 8]))
    except DAMAGE:
        return False
    return True


IMPORTER = Importer(title="Arrow or Feather", can_read=_can_read, read=_read)
