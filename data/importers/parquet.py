"""Parquet, as pandas, polars, Spark, DuckDB and Hugging Face Datasets write it; begins with `PAR1`."""

from collections.abc import Iterator, Sequence
from itertools import chain

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from data.importers._arrow_columns import BATCH, DAMAGE, columns, require_columns, stream
from data.importers._importer import Importer, LogFile, LogTable, unreadable


def _read(connection: duckdb.DuckDBPyConnection, files: Sequence[LogFile]) -> Iterator[LogTable]:
    for file in files:
        try:
            yield _table(connection, file)
        except DAMAGE as error:
            raise unreadable(
                file, f"it is damaged, or no whole Parquet file: {error}", "Copy or write it again."
            ) from error


def _table(connection: duckdb.DuckDBPyConnection, file: LogFile) -> LogTable:
    """Return the table of a file, whose first rows are read at once so that damage is told early."""
    metadata = pq.read_metadata(file.path)
    given = metadata.schema.to_arrow_schema()
    taken = columns(given)
    require_columns(file, taken)
    names = list(dict.fromkeys(given.names[place] for place in taken.places))
    # Text comes as codes into a dictionary, so that a long word on many rows is held once.
    text = [name for name in names if pa.types.is_string(given.types[given.names.index(name)])]
    opened = pq.ParquetFile(
        file.path, metadata=metadata, read_dictionary=text, page_checksum_verification=True, pre_buffer=False
    )
    batches = opened.iter_batches(BATCH, columns=names, use_threads=False)
    first = next(batches, None)
    if first is None:
        return LogTable(stream(connection, taken.schema, ()), units=taken.units, notes=taken.notes)
    read = columns(first.schema)
    rows = stream(connection, read.schema, read.batches(chain([first], batches)))
    return LogTable(rows, units=read.units, notes=taken.notes)


def _can_read(file: LogFile) -> bool:
    return file.head.startswith(b"PAR1")


IMPORTER = Importer(title="Parquet", can_read=_can_read, read=_read)
