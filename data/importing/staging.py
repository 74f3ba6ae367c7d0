"""Rows of log files as they stand, in a DuckDB file of their own: typed, counted, nothing interpreted yet."""

import resource
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from data.columns import literal
from data.errors import LabError
from data.importers import LogFile, LogTable, importers, recognize, unreadable
from data.importing.gathering import Gathered, Skipped, sha256
from data.importing.limits import Limits
from data.importing.staged import Column, Shape, Staged, Table

Progress = Callable[[int, int, str], bool]
"""Told files done, files in all and which; True stops."""


MISSING = ("", "na", "n/a", "#n/a", "null", "none", "nil", "-", "--", "?", "<na>")
"""Cells, in lower case and without spaces around, that hold no value. NaN is a value."""

_TIMES = ("TIMESTAMP", "DATE", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE")
_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
_NUMBERS = (*_WHOLE, *(f"U{kind}" for kind in _WHOLE), "FLOAT", "DOUBLE", "BOOLEAN")


class StoppedReading(Exception):  # noqa: N818 - a wish, not an error
    """Somebody asked to stop."""


@contextmanager
def bounded(more_bytes: int) -> Iterator[None]:
    """Let this process take at most so much more memory: what a file unpacks to is not known before it does.

    Where the system cannot say (only Linux can), nothing is bounded.
    """
    try:
        status = Path("/proc/self/status").read_text()
        used = int(status.partition("VmData:")[2].split()[0]) << 10
        soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    except (OSError, ValueError, IndexError):
        yield
        return
    most = used + more_bytes if hard == resource.RLIM_INFINITY else min(used + more_bytes, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


@contextmanager
def database(folder: Path, limits: Limits) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the staged rows of an import, with bounded memory.

    Args:
        folder: of the import.
        limits: the memory.
    """
    spill = folder / "spill"
    spill.mkdir(exist_ok=True)
    connection = duckdb.connect(
        str(folder / "staged.duckdb"),
        config={
            "memory_limit": f"{limits.memory_bytes >> 20}MiB",
            "temp_directory": str(spill),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        },
    )
    try:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection
    finally:
        connection.close()
        shutil.rmtree(spill, ignore_errors=True)


def stage(
    gathered: Gathered,
    connection: duckdb.DuckDBPyConnection,
    limits: Limits,
    known: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Staged:
    """Read every file that an importer knows; a file that cannot be read is skipped whole, with the reason.

    Args:
        gathered: the files.
        connection: of `database`, with nothing staged in it yet.
        limits: of rows and columns.
        known: where files of these SHA-256 were imported before; they are skipped.
        progress: told before each file, and several times a second while one is read.

    Raises:
        LabError: there are more rows or columns than the limits allow, or the disk is full.
        StoppedReading: `progress` returned True.
    """
    staged = Staged(skipped=list(gathered.skipped))
    groups = _grouped(gathered.files, staged)
    copies: dict[str, str] = {}
    for place, (importer, files) in enumerate(groups):
        told = f"reading {files[0].name}"

        def tell(place: int = place, told: str = told) -> bool:
            return progress is not None and progress(place, len(groups), told)

        if tell():
            raise StoppedReading
        provenance = [_provenance(file, importer) for file in files]
        before = {(known or {}).get(one["sha256"]) for one in provenance}
        if None not in before:
            where = ", ".join(sorted(f"`{one}`" for one in before if one))
            staged.skipped += [
                Skipped(
                    one["name"], f"it was imported before, into {where}", "Undo that import to take it again."
                )
                for one in provenance
            ]
            continue
        first = staged.tables
        try:
            notes = _stage_group(staged, connection, importer, files, limits, tell)
        except LabError as error:
            if error.title != "This file cannot be read":
                raise
            why = error.message.removeprefix(f"`{files[0].name}`: ").rstrip(".")
            for file in files:  # libraries name the path that they were given, or where it leads
                for path in (file.path.resolve(), file.path):
                    why = why.replace(str(path), file.base)
            staged.skipped.append(Skipped(files[0].name, why, error.remedy))
            continue
        if any(sha256(file.path) != one["sha256"] for file, one in zip(files, provenance, strict=True)):
            _forget(staged, connection, first)
            why = "it changed while it was read"
            staged.skipped.append(Skipped(files[0].name, why, "Import it when nothing writes it any more."))
            continue
        twin = copies.setdefault(provenance[0]["sha256"], files[0].name)
        if len(files) == 1 and twin != files[0].name:
            staged.notes.append(f"`{files[0].name}` has the very bytes of `{twin}`; both are taken.")
        staged.files += provenance
        staged.notes += [f"`{files[0].name}`: {note}" for note in notes]
    for shape in staged.shapes:
        _describe(connection, shape, staged.lines)
    staged.shapes = [shape for shape in staged.shapes if shape.tables]
    return staged


def _grouped(files: Sequence[LogFile], staged: Staged) -> list[tuple[str, list[LogFile]]]:
    """Return each importer's files, those that are read together in one list."""
    groups: dict[tuple[str, str], list[LogFile]] = {}
    for file in files:
        name = recognize(file)
        if name is None:
            staged.skipped.append(Skipped(file.name, *_unknown(file)))
            continue
        group = importers()[name].group
        groups.setdefault((name, group(file) if group else f"{file.name}\0{file.path}"), []).append(file)
    return [(name, files) for (name, _), files in groups.items()]


def _unknown(file: LogFile) -> tuple[str, str]:
    """Return why no importer knows a file, and what would help."""
    if not file.size:
        return "it is empty", "Check that the run wrote it."
    if file.head[:2] in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        return "it is a pickle, which would run code when read", "Save numbers as CSV, JSON lines or .npz."
    return "no importer knows its content", "See docs/uploads.md for the formats that are read."


def _provenance(file: LogFile, importer: str) -> dict[str, Any]:
    return {
        "name": file.name,
        "sha256": sha256(file.path),
        "size": file.size,
        "importer": importer,
        "version": importers()[importer].version,
    }


def _stage_group(
    staged: Staged,
    connection: duckdb.DuckDBPyConnection,
    importer: str,
    files: Sequence[LogFile],
    limits: Limits,
    tell: Callable[[], bool],
) -> list[str]:
    """Stage the tables of files that belong together, all or none, and return what is to be said of them."""
    notes: list[str] = []
    first, found = staged.tables, False
    table: LogTable | None = None
    try:
        for table in importers()[importer].read(connection, files):
            found |= _stage_table(staged, connection, importer, files[0], table, limits, tell)
            notes += table.notes
    except BaseException as error:
        _forget(staged, connection, first)
        if isinstance(error, StoppedReading | LabError):
            raise
        raise _in_words(error, files[0], table) from error
    if not found:
        raise unreadable(files[0], "it has no rows", "Check that the run wrote any.")
    return notes


def _in_words(error: BaseException, file: LogFile, table: LogTable | None) -> BaseException:
    """Return what to raise for an error that came up while a file was read."""
    if not isinstance(error, duckdb.Error | pa.ArrowException | ValueError | OverflowError | MemoryError):
        return error
    said = str(error).strip()
    if "No space left" in said:
        return LabError("The disk is full", f"`{file.name}`: {said}", "Free some space, then try again.")
    if isinstance(error, duckdb.OutOfMemoryException | pa.ArrowMemoryError | MemoryError):
        what = "it unpacks to more memory than an import may use"
        return unreadable(file, what, "Write it in smaller batches or row groups, or as CSV.")
    if isinstance(error, duckdb.Error) and table is not None and table.explain is not None:
        return table.explain(error)
    return unreadable(
        file, said.partition("\n")[0].rstrip(".") or type(error).__name__, "Mend the file, or write it again."
    )


def _stage_table(
    staged: Staged,
    connection: duckdb.DuckDBPyConnection,
    importer: str,
    file: LogFile,
    table: LogTable,
    limits: Limits,
    tell: Callable[[], bool],
) -> bool:
    """Put a table's rows beside those of the same format and columns; return whether it has any."""
    names, kinds = table.rows.columns, [str(kind) for kind in table.rows.types]
    if len(names) > limits.columns:
        what = f"it has {len(names):,} columns, and at most {limits.columns:,} are taken"
        raise unreadable(file, what, "Log fewer metrics, or leave columns out.")
    for name in names:
        if len(name) > limits.name:
            what = f"the name of column `{name[:40]}...` has {len(name):,} characters"
            raise unreadable(file, what, f"Give it at most {limits.name}.")
    columns = [Column(name, table.roles.get(name), table.units.get(name, "")) for name in names]
    same = [(column.name, column.role, column.unit) for column in columns]
    shape = next(
        (
            one
            for one in staged.shapes
            if one.importer == importer
            and [(each.name, each.role, each.unit) for each in one.columns] == same
        ),
        None,
    )
    if shape is None:
        shape = Shape(len(staged.shapes), importer, columns)
        staged.shapes.append(shape)
        body = "".join(f", v{i} DOUBLE, s{i} VARCHAR" for i in range(len(names)))
        connection.execute(f"CREATE TABLE shape{shape.number} (t INTEGER, n BIGINT{body})")
    number = staged.tables
    left = limits.rows - staged.rows
    source = table.rows  # DuckDB finds it by this name
    exact = [_names_runs(column) for column in columns]
    numbers = "".join(f", {_number(f'c{i}', kind)} AS d{i}" for i, kind in enumerate(kinds))
    cells = "".join(f", {_cell(f'c{i}', f'd{i}', kind, exact[i])}" for i, kind in enumerate(kinds))
    aliases = ", ".join(f"c{i}" for i in range(len(names)))
    sql = (
        f"INSERT INTO shape{shape.number} SELECT {number}, row_number() OVER () - 1{cells} "
        f"FROM (SELECT *{numbers} FROM (SELECT * FROM source LIMIT {left + 1}) AS given({aliases}))"
    )
    rows = _watched(connection, sql, {"source": source}, tell)
    if rows > left:
        raise LabError(
            "Too many rows",
            f"`{file.name}` takes the import past {limits.rows:,} rows.",
            "Log less often, or import in several parts.",
        )
    if rows:
        shape.tables.append(Table(number, file.name, table.name, rows, dict(table.facts)))
        if table.find_line is not None:
            staged.lines[number] = table.find_line
    return rows > 0


def _watched(
    connection: duckdb.DuckDBPyConnection,
    sql: str,
    relations: Mapping[str, duckdb.DuckDBPyRelation],
    tell: Callable[[], bool],
) -> int:
    """Run a statement that changes rows, telling now and then that it lives; return the rows."""
    done = threading.Event()
    failed: list[BaseException] = []
    changed: list[int] = []

    def work(source: duckdb.DuckDBPyRelation) -> None:
        try:
            changed.append(int(connection.execute(sql).fetchall()[0][0]))
        except BaseException as error:  # noqa: BLE001 - raised again below, in the thread that waits
            failed.append(error)
        finally:
            done.set()

    threading.Thread(target=work, args=(relations["source"],), daemon=True).start()
    stopped = False
    while not done.wait(0.25):
        if not stopped and tell():
            stopped = True
            connection.interrupt()
    if stopped:
        raise StoppedReading
    if failed:
        raise failed[0]
    return changed[0]


def _number(column: str, kind: str) -> str:
    """Return SQL of a cell as a number; NULL where it is none."""
    if kind.startswith(("VARCHAR", "ENUM")):
        return f"TRY_CAST({column} AS DOUBLE)"
    if kind in _TIMES:
        return f"epoch({column}::TIMESTAMP)"
    if kind in _NUMBERS or (kind.startswith("DECIMAL(") and kind.endswith(")")):
        return f"{column}::DOUBLE"
    return "NULL::DOUBLE"  # lists, structures, bytes


def _names_runs(column: Column) -> bool:
    from data.importing.roles import NAMING  # here: it needs the columns of this module

    return column.role in ("run", "arm") or column.name.strip().lower() in NAMING


def _cell(column: str, number: str, kind: str, exact: bool) -> str:
    """Return SQL of a cell's number and of its text where it is no number, given the SQL of its number.

    Args:
        column: the cell as it stands.
        number: the cell as a number.
        kind: DuckDB's type of the cell.
        exact: whether the text is kept too where a number would not tell how it was written, as of 007.
    """
    if not kind.startswith(("VARCHAR", "ENUM")):
        return f"{number}, NULL"
    bare = f"lower(trim({column}::VARCHAR, ' \t\r\n'))"
    missing = ", ".join(literal(each) for each in MISSING)
    switch = f"CASE {bare} WHEN 'true' THEN 1.0 WHEN 'false' THEN 0.0 END"
    # DuckDB reads "1_2" as 12, but in a name it is none. Only the few cells that are no numbers come to the
    # dear part of each CASE.
    plain = f"{number} IS NOT NULL AND NOT contains({column}::VARCHAR, '_')"
    text = (
        f"CASE WHEN {plain} OR {column} IS NULL THEN NULL ELSE "
        f"CASE WHEN {bare} NOT IN ({missing}, 'true', 'false') THEN {column}::VARCHAR END END"
    )
    if exact:
        missing = ", ".join(literal(each) for each in MISSING if each != "none")
        usual = f"regexp_full_match({bare}, '-?(0|[1-9][0-9]*)([.][0-9]+)?')"
        text = f"CASE WHEN {bare} NOT IN ({missing}) AND NOT {usual} THEN trim({column}::VARCHAR) END"
    return f"CASE WHEN {plain} THEN {number} WHEN {column} IS NOT NULL THEN {switch} END, {text}"


def _forget(staged: Staged, connection: duckdb.DuckDBPyConnection, first: int) -> None:
    """Take the tables from a number on out again."""
    for shape in staged.shapes:
        connection.execute(f"DELETE FROM shape{shape.number} WHERE t >= ?", [first])
        shape.tables = [table for table in shape.tables if table.number < first]


def _describe(
    connection: duckdb.DuckDBPyConnection, shape: Shape, lines: Mapping[int, Callable[[int], str]]
) -> None:
    """Say of every column what is in it."""
    if not shape.tables:
        return
    width = range(len(shape.columns))
    parts = [
        f"count(v{i}), count(s{i}) FILTER (v{i} IS NULL), min(f{i}), max(f{i}), "
        f"coalesce(bool_and(f{i} = floor(f{i})), true), "
        f"min((t, n, s{i})) FILTER (s{i} IS NOT NULL AND v{i} IS NULL)"
        for i in width
    ]
    finite = "".join(f", CASE WHEN isfinite(v{i}) THEN v{i} END AS f{i}" for i in width)
    told = connection.execute(
        f"SELECT {', '.join(parts)} FROM (SELECT *{finite} FROM shape{shape.number})"
    ).fetchall()[0]
    files = {table.number: table.file for table in shape.tables}
    for i, column in enumerate(shape.columns):
        column.numbers, column.texts, column.low, column.high, column.whole, first = told[6 * i : 6 * i + 6]
        if first is not None:
            t, n, text = first if isinstance(first, tuple) else first.values()
            where = lines[t](n) if t in lines else f"row {n + 1:,}"
            column.text = f"{text[:60]!r} in {where} of `{files[t]}`"
        if column.numbers or column.texts:
            column.kind = "number" if column.numbers >= column.texts else "text"
