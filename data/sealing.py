"""Turns journals into DuckDB files sorted by run and step, which never change once they have a name."""

import hashlib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from data.columns import literal, quoted
from data.durable import put_in_place, refused
from data.errors import LabError
from data.summaries import BLOCKS, SIZES, batches, summarize

TABLE = "traces"
"""Name of the table of rows in a sealed file; beside it lies that of their blocks (`data.summaries`)."""


def seal_table(folder: Path, job: int, part: int, table: pa.Table) -> dict[str, Any]:
    """Write rows as one sealed file and return what its catalogue row says, less the job.

    Args:
        folder: where sealed files lie; the path returned is relative to its parent.
        job: whose rows they are.
        part: the part of the job that they make up.
        table: at least one row, in any order.

    Raises:
        LabError: a (run, step) stands there twice, or the disk is full; no file is left behind then.
    """

    def fill(connection: duckdb.DuckDBPyConnection) -> None:
        connection.register("journal", table)
        _create(connection, [(field.name, _sql_type(field.type)) for field in table.schema])
        connection.execute(f"INSERT INTO aside.{TABLE} SELECT * FROM journal ORDER BY run, step")

    return _sealed(folder, job, part, fill)


def merge_files(
    folder: Path, job: int, part: int, files: list[Path], without: Collection[int] = ()
) -> dict[str, Any]:
    """Write the rows of several sealed files as one; columns that a file lacks are NULL for its rows.

    Rows of the runs `without` are left out; at least one row must be left.

    Raises:
        LabError: a (run, step) stands in two files, or the disk is full; no file is left behind then.
    """

    def fill(connection: duckdb.DuckDBPyConnection) -> None:
        columns: dict[str, str] = {}
        for place, file in enumerate(files):
            connection.execute(f"ATTACH {literal(str(file))} AS old{place} (READ_ONLY)")
            for name, kind in connection.execute(
                "SELECT column_name, data_type FROM duckdb_columns() "
                "WHERE database_name = ? AND table_name = ?",
                [f"old{place}", TABLE],
            ).fetchall():
                columns[name] = "DOUBLE" if "DOUBLE" in (kind, columns.get(name)) else kind
        _create(connection, list(columns.items()))
        union = " UNION ALL BY NAME ".join(f"SELECT * FROM old{place}.{TABLE}" for place in range(len(files)))
        where = f" WHERE run NOT IN ({', '.join(str(int(run)) for run in without)})" if without else ""
        connection.execute(
            f"INSERT INTO aside.{TABLE} BY NAME SELECT * FROM ({union}){where} ORDER BY run, step"
        )

    return _sealed(folder, job, part, fill)


def seal_staged(
    folder: Path,
    job: int,
    part: int,
    staged: Path,
    table: str,
    runs: Mapping[int, int],
    metrics: Mapping[str, str],
    memory_bytes: int,
) -> dict[str, Any]:
    """Write rows of another DuckDB file as one sealed file, in double precision.

    Args:
        folder: where sealed files lie.
        job: whose rows they are.
        part: the part of the job that they make up.
        staged: the file, which nobody has open.
        table: its table, with `run`, `step`, `epoch`, `seconds` and the metrics' columns.
        runs: id by the number that the table has; rows of other numbers are left out.
        metrics: column of the table by the metric's name in the sealed file.
        memory_bytes: that DuckDB may use.

    Raises:
        LabError: a (run, step) stands there twice, or the disk is full; no file is left behind then.
    """

    def fill(connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute(f"SET memory_limit = '{memory_bytes >> 20}MiB'")
        connection.execute(f"ATTACH {literal(str(staged))} AS staged (READ_ONLY)")
        ids = pa.table(
            {"given": pa.array(runs.keys(), pa.int32()), "id": pa.array(runs.values(), pa.int32())}
        )
        connection.register("ids", ids)
        columns = [("run", "INTEGER"), ("step", "BIGINT"), ("epoch", "DOUBLE"), ("seconds", "DOUBLE")]
        _create(connection, [*columns, *((name, "DOUBLE") for name in metrics)])
        values = "".join(f", {column}" for column in metrics.values())
        connection.execute(
            f"INSERT INTO aside.{TABLE} SELECT id, step, epoch, seconds{values} "
            f"FROM staged.{table} JOIN ids ON run = given ORDER BY id, step"
        )

    return _sealed(folder, job, part, fill)


def _sealed(
    folder: Path, job: int, part: int, fill: Callable[[duckdb.DuckDBPyConnection], None]
) -> dict[str, Any]:
    aside = folder / f"{job}-{part}.tmp"
    _forget(aside)
    try:
        connection = duckdb.connect(config={"temp_directory": str(folder / f"{job}-{part}.spill.tmp")})
        try:
            connection.execute(f"ATTACH {literal(str(aside))} AS aside")
            fill(connection)
            _require_sorted(connection, job)
            _sum_up(connection)
            rows, first, last = connection.execute(
                f"SELECT count(*), min(step), max(step) FROM aside.{TABLE}"
            ).fetchall()[0]
            connection.execute("CHECKPOINT aside")
            connection.execute("DETACH aside")
        finally:
            connection.close()
        digest = _sha256(aside)
        path = folder / f"{job}-{part}-{digest[:16]}.duckdb"
        size = aside.stat().st_size
        put_in_place(aside, path)
    except (duckdb.Error, OSError) as error:
        raise refused(error, "A trace file", aside) from error
    finally:
        _forget(aside)
    return {
        "part": part,
        "path": f"{folder.name}/{path.name}",
        "rows": rows,
        "first_step": first,
        "last_step": last,
        "bytes": size,
        "sha256": digest,
    }


def _create(connection: duckdb.DuckDBPyConnection, columns: list[tuple[str, str]]) -> None:
    required = {"run", "step"}
    body = ", ".join(f"{quoted(name)} {kind}{' NOT NULL' * (name in required)}" for name, kind in columns)
    connection.execute(f"CREATE TABLE aside.{TABLE} ({body})")


def _sum_up(connection: duckdb.DuckDBPyConnection) -> None:
    """Put the blocks of the rows beside them, a few rows at a time."""
    done = 0
    for rows in batches(connection.cursor().sql(f"SELECT * FROM aside.{TABLE}")):
        for size in SIZES:
            connection.register("summed", summarize(rows, size, done))
            table = f"aside.{BLOCKS}{size}"
            verb = f"INSERT INTO {table}" if done else f"CREATE TABLE {table} AS"
            connection.execute(f"{verb} SELECT * FROM summed")
        done += rows.num_rows


def _require_sorted(connection: duckdb.DuckDBPyConnection, job: int) -> None:
    """Hold every row to be after the one before it: this proves the order and that no row is double."""
    found = connection.execute(
        f"SELECT run, step FROM (SELECT run, step, lag(run) OVER () AS before, lag(step) OVER () AS earlier "
        f"FROM aside.{TABLE}) WHERE run < before OR (run = before AND step <= earlier) LIMIT 1"
    ).fetchall()
    if found:
        run, step = found[0]
        raise LabError(
            "A row was written twice",
            f"Job {job} holds run {run}, step {step} more than once.",
            "Write all metrics of a step in one row; the rows are still in the job's journal.",
        )


def _sql_type(kind: pa.DataType) -> str:
    names = {pa.int32(): "INTEGER", pa.int64(): "BIGINT", pa.float32(): "FLOAT", pa.float64(): "DOUBLE"}
    return names[kind]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _forget(aside: Path) -> None:
    for path in (aside, aside.with_name(aside.name + ".wal")):
        path.unlink(missing_ok=True)
