"""Writes a study's rows to one file that other tools read."""

from collections.abc import Callable
from pathlib import Path

import duckdb

from data.columns import literal, quoted
from data.durable import put_in_place, refused
from data.errors import LabError
from data.formulas import guarded, guarded_sql
from data.view import View


def export(view: View, study: str, path: Path) -> int:
    """Write study, arm, seed, step, epoch, seconds and every metric, ordered by arm, seed, step.

    The file is written aside and renamed, so it is whole or not there. In CSV an empty field was not
    measured, NaN and infinities are the words nan, inf and -inf, and no text can be taken for a formula. A
    DuckDB file holds one table, `traces`.

    Returns:
        How many rows were written.

    Raises:
        LabError: the suffix is none of .parquet, .csv and .duckdb, or the file cannot be written; an older
            file of that name is then as it was.
    """
    write = _FORMATS.get(path.suffix.lower())
    if write is None:
        raise LabError(
            "Unknown format",
            f"`{path.name}` does not say how to write it.",
            f"Let the name end in {', '.join(_FORMATS)}.",
        )
    if not path.parent.is_dir():
        raise LabError("There is no such folder", f"`{path.parent}` is not a folder.", "Make it first.")
    if path.is_dir():
        raise LabError("That is a folder", f"`{path}` is a folder.", "Name a file.")
    if path.suffix.lower() == ".csv":
        columns = [f"{literal(guarded(study))} AS study", f"{guarded_sql('arm')} AS arm"]
        metrics = [f"{quoted(metric)} AS {quoted(guarded(metric))}" for metric in view.metrics]
    else:
        columns, metrics = [f"{literal(study)} AS study", "arm"], [quoted(one) for one in view.metrics]
    columns += ["seed", "step", "epoch", '"seconds"', *metrics]
    query = f"SELECT {', '.join(columns)} FROM {view.rows(view.metrics)} "
    query += "JOIN chosen USING (run) ORDER BY chosen.arm, seed, step"
    aside = path.with_name(f".{path.name}.{id(view):x}.tmp")
    try:
        rows = write(view.cursor, query, aside)
        put_in_place(aside, path)
    except (duckdb.Error, OSError) as error:
        raise refused(error, "The export", path) from error
    finally:
        for left in (aside, aside.with_name(aside.name + ".wal")):
            left.unlink(missing_ok=True)
    return rows


def _copy(options: str) -> Callable[[duckdb.DuckDBPyConnection, str, Path], int]:
    def write(cursor: duckdb.DuckDBPyConnection, query: str, aside: Path) -> int:
        return int(cursor.execute(f"COPY ({query}) TO {literal(str(aside))} ({options})").fetchall()[0][0])

    return write


def _database(cursor: duckdb.DuckDBPyConnection, query: str, aside: Path) -> int:
    name = f"export{aside.stem.rsplit('.', 1)[-1]}"
    cursor.execute(f"ATTACH {literal(str(aside))} AS {name}")
    try:
        rows = cursor.execute(f"CREATE TABLE {name}.traces AS {query}").fetchall()[0][0]
        cursor.execute(f"CHECKPOINT {name}")
    finally:
        cursor.execute(f"DETACH {name}")
    return int(rows)


_FORMATS: dict[str, Callable[[duckdb.DuckDBPyConnection, str, Path], int]] = {
    ".parquet": _copy("FORMAT parquet, COMPRESSION zstd"),
    ".csv": _copy("FORMAT csv, HEADER"),
    ".duckdb": _database,
}
