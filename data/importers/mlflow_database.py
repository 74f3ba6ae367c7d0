"""MLflow's own database of SQLite: known by its tables `metrics` and `runs`; every run is a table."""

import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import duckdb
import pyarrow as pa

from data.importers._arrow_columns import BATCH, stream
from data.importers._importer import Importer, LogFile, LogTable, unreadable
from data.importers._long import ROLES, long_batches, long_schema, moment
from data.importers._sqlite import DAMAGE, MAGIC, journal_notes, open_stored, stored_columns

_COLUMNS = {
    "metrics": {"key", "value", "timestamp", "run_uuid", "step", "is_nan"},
    "runs": {"run_uuid", "name", "start_time", "lifecycle_stage"},
    "params": {"key", "value", "run_uuid"},
}
_SCHEMA = long_schema(pa.int64())
_INFINITY = 1.7976931348623157e308
"""What MLflow stores for an infinite value, which databases have not."""


def _can_read(file: LogFile) -> bool:
    """Tell by the tables; their definitions may lie anywhere in the file, so they are asked of SQLite."""
    if not file.head.startswith(MAGIC):
        return False
    try:
        with closing(open_stored(file.path)) as opened:
            found = stored_columns(opened)
    except DAMAGE:
        return False
    return all(names <= set(found.get(table, ())) for table, names in _COLUMNS.items())


def _read(connection: duckdb.DuckDBPyConnection, files: Sequence[LogFile]) -> Iterator[LogTable]:
    for file in files:
        try:
            yield from _runs(connection, file)
        except DAMAGE as error:
            raise unreadable(
                file, f"SQLite cannot read it: {error}", "Copy it again, with no program writing to it."
            ) from error


def _runs(connection: duckdb.DuckDBPyConnection, file: LogFile) -> Iterator[LogTable]:
    opened = open_stored(file.path)
    runs = opened.execute(
        "SELECT run_uuid, name, start_time, lifecycle_stage FROM runs ORDER BY start_time, run_uuid"
    ).fetchall()
    logged = {run for (run,) in opened.execute("SELECT DISTINCT run_uuid FROM metrics")}
    standing = [run for run in runs if run[3] != "deleted" and run[0] in logged]
    if not standing:
        raise unreadable(
            file, f"none of its {len(runs)} runs has a metric", "Import the database with the metrics."
        )
    notes = journal_notes(file)
    if deleted := sum(run[3] == "deleted" for run in runs):
        notes.append(f"Left out, for they were deleted in MLflow: {deleted} runs.")
    times = Counter(name for _, name, *_ in standing)
    for run, name, started, _ in standing:
        facts: dict[str, Any] = {"name": str(name or run)}
        facts["config"] = dict(
            opened.execute("SELECT key, value FROM params WHERE run_uuid = ? ORDER BY key", (run,))
        )
        if isinstance(started, int) and (began := moment(started / 1000)):
            facts["started"] = began
        rows = stream(connection, _SCHEMA, long_batches(_rows(opened, run), _SCHEMA))
        unique = f"{name} {run}" if name and times[name] > 1 else str(name or run)
        yield LogTable(rows, name=unique, roles=ROLES, units={"time": "ms"}, facts=facts, notes=tuple(notes))


def _rows(opened: sqlite3.Connection, run: str) -> Iterator[tuple[str, int, int, float]]:
    cursor = opened.execute(
        "SELECT key, step, timestamp, value, is_nan FROM metrics WHERE run_uuid = ? ORDER BY rowid", (run,)
    )
    while rows := cursor.fetchmany(BATCH):
        for key, step, time, value, is_nan in rows:
            yield str(key), step, time, float("nan") if is_nan else _value(value)


def _value(stored: float) -> float:
    return stored * 2 if abs(stored) == _INFINITY else stored


IMPORTER = Importer(title="MLflow database", can_read=_can_read, read=_read, rank=10)
