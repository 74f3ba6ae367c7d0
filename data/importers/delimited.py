"""Any CSV or TSV: cells between commas, semicolons, tabs, bars or spaces, with or without a header."""

from collections.abc import Iterator, Sequence

import duckdb

from data.importers._delimited import known, log_table
from data.importers._importer import Importer, LogFile, LogTable


def can_read(file: LogFile) -> bool:
    """Whether a delimiter gives most rows as many cells as the first, and a column holds numbers only."""
    return known(file) is not None


def read(connection: duckdb.DuckDBPyConnection, files: Sequence[LogFile]) -> Iterator[LogTable]:
    """Read the one table, all of its cells as text."""
    for file in files:
        yield log_table(connection, file)


IMPORTER = Importer(title="CSV or TSV", can_read=can_read, read=read)
