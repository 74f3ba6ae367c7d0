"""A database of DuckDB (`DUCK` at byte 8): each of its tables that has numbers, never a view."""

from collections.abc import Iterator, Sequence

import duckdb

from data.importers._arrow_columns import BATCH, columns, has_numbers, stream
from data.importers._importer import Importer, LogFile, LogTable, unreadable

_LOCKED: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    "autoload_known_extensions": "false",
    "autoinstall_known_extensions": "false",
    "allow_persistent_secrets": "false",
    "lock_configuration": "true",
    "threads": "1",
    "memory_limit": "1GB",
}
"""An instance of its own reaches no other file, and damage that ends it leaves the caller's alone."""


def _read(connection: duckdb.DuckDBPyConnection, files: Sequence[LogFile]) -> Iterator[LogTable]:
    for file in files:
        try:
            yield from _tables(connection, file)
        except duckdb.Error as error:
            raise unreadable(
                file,
                f"DuckDB cannot open it: {str(error).partition(chr(10))[0]}",
                "Close the program that writes it, and copy it again; or export its tables as Parquet.",
            ) from error


def _tables(connection: duckdb.DuckDBPyConnection, file: LogFile) -> Iterator[LogTable]:
    inside = duckdb.connect(file.path, read_only=True, config=_LOCKED)
    stored = inside.execute(
        "SELECT schema_name, table_name, list(column_name ORDER BY column_index) FROM duckdb_columns() "
        "JOIN duckdb_tables() USING (database_name, schema_name, table_name) "
        "WHERE database_name = current_database() AND NOT is_generated "
        "GROUP BY schema_name, table_name ORDER BY schema_name, table_name"
    ).fetchall()
    tables, without = [], []
    for schema, name, names in stored:
        full = name if schema == "main" else f"{schema}.{name}"
        chosen = ", ".join(map(_quoted, names))
        query = f"SELECT {chosen} FROM {_quoted(schema)}.{_quoted(name)}"
        taken = columns(inside.sql(f"{query} LIMIT 0").to_arrow_reader().schema)
        if has_numbers(taken.schema):
            tables.append((full, query, taken))
        else:
            without.append(full)
    if not tables:
        raise unreadable(
            file, "none of its tables has a column of numbers", "Import the file with the metrics."
        )
    notes = (f"Left out, for they hold no numbers: {', '.join(without)}.",) if without else ()
    for name, query, taken in tables:
        found = inside.cursor().sql(query).to_arrow_reader(BATCH)
        rows = stream(connection, taken.schema, taken.batches(found))
        yield LogTable(rows, name=name, units=taken.units, notes=taken.notes + notes)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _can_read(file: LogFile) -> bool:
    return file.head[8:12] == b"DUCK"


IMPORTER = Importer(title="DuckDB", can_read=_can_read, read=_read)
