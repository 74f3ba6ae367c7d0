"""Staged rows put in the shape that the store has: a row a run and step, a column a metric."""

from collections.abc import Mapping, Sequence

import duckdb
import pyarrow as pa

from data.columns import literal
from data.importing.cells import EXACT, joined_text, moment_of, place_of, seed_of, text_of
from data.importing.roles import Choice, Corrections
from data.importing.run_names import Key
from data.importing.staged import Shape

ROWS = "rows"
"""The table that is made: run (counted from 0 in the order of the plan), step, epoch, seconds and the metrics
as m0, m1, ... No name from a file is ever a name in SQL."""

ID = "run, step"


def fill(
    connection: duckdb.DuckDBPyConnection,
    shapes: Sequence[Shape],
    choices: Sequence[Sequence[Choice]],
    keys: Sequence[Key],
    names: Mapping[str, str],
    said: Corrections,
    warnings: list[str],
) -> None:
    """Make the table `ROWS`: run, step, epoch, seconds and the metrics, one row a run and step."""
    columns = metric_columns(names)
    body = "".join(f", {column} DOUBLE" for column in columns.values())
    for table in (ROWS, "gathered"):
        connection.execute(f"DROP TABLE IF EXISTS {table}")
    connection.execute(
        f"CREATE TABLE gathered (run INTEGER, step BIGINT, epoch DOUBLE, seconds DOUBLE{body}, place BIGINT)"
    )
    stored = {name: columns[ours] for name, ours in names.items()}
    offset, lost = 0, 0
    for shape, chosen in zip(shapes, choices, strict=True):
        rows = sum(table.rows for table in shape.tables)
        lost += _gather(
            connection,
            shape,
            chosen,
            [key for key in keys if key.shape is shape],
            stored,
            offset,
            said,
            warnings,
        )
        offset += rows
    if lost:
        warnings.append(f"{lost:,} rows without a whole number as their step are left out.")
    backward = connection.execute(
        "SELECT count(*) FROM (SELECT step < lag(step) OVER (PARTITION BY run ORDER BY place) AS back "
        "FROM gathered) WHERE back"
    ).fetchall()[0][0]
    if backward:
        warnings.append(f"Steps go back {backward:,} times within a run; rows were put in order.")
    twice = connection.execute(
        f"SELECT count(*) FROM (SELECT 1 FROM gathered GROUP BY {ID} HAVING count(*) > 1)"
    ).fetchall()[0][0]
    if not twice:
        connection.execute("ALTER TABLE gathered DROP place")
        connection.execute(f"ALTER TABLE gathered RENAME TO {ROWS}")
        return
    # The first row of a step tells its time, the last value of a metric counts.
    values = "".join(f", arg_max({one}, place) AS {one}" for one in columns.values())
    counted = " + ".join(f"greatest(count({one}) - 1, 0)" for one in columns.values())
    connection.execute(
        f"CREATE TABLE {ROWS} AS SELECT {ID}, arg_max(epoch, place) AS epoch, "
        f"min(seconds) AS seconds{values}, {counted} AS repeated FROM gathered GROUP BY {ID}"
    )
    repeated = connection.execute(f"SELECT sum(repeated) FROM {ROWS}").fetchall()[0][0]
    connection.execute(f"ALTER TABLE {ROWS} DROP repeated")
    connection.execute("DROP TABLE gathered")
    if repeated:
        warnings.append(
            f"{int(repeated):,} values stand at a step that was written before; the last ones count."
        )


def _gather(
    connection: duckdb.DuckDBPyConnection,
    shape: Shape,
    chosen: Sequence[Choice],
    keys: Sequence[Key],
    stored: Mapping[str, str],
    offset: int,
    said: Corrections,
    warnings: list[str],
) -> int:
    """Append a shape's rows to the table ``gathered``, and return how many have no step."""
    before = _rows_before(shape)
    began: dict[int, float] = {}
    for key in keys:
        if key.started is not None:
            began[key.index] = min(began.get(key.index, key.started), key.started)
    connection.register(
        "keys",
        pa.table(
            {
                "kt": pa.array([key.table for key in keys], pa.int32()),
                "krun": pa.array([key.run for key in keys], pa.string()),
                "karm": pa.array([key.arm for key in keys], pa.string()),
                "kseed": pa.array([key.seed for key in keys], pa.int64()),
                "run": pa.array([key.index for key in keys], pa.int32()),
                "began": pa.array([began.get(key.index) for key in keys], pa.float64()),
                "before": pa.array([before[key.table] for key in keys], pa.int64()),
            }
        ),
    )
    parts = {
        "krun": joined_text(chosen, "run"),
        "karm": joined_text(chosen, "arm"),
        "kseed": seed_of(place_of(chosen, "seed")),
    }
    on = " AND ".join(
        ["t = kt", *(f"{name} IS NOT DISTINCT FROM {sql}" for name, sql in parts.items() if sql != "NULL")]
    )
    epoch, seconds, time = place_of(chosen, "epoch"), place_of(chosen, "seconds"), place_of(chosen, "time")
    if seconds is not None:
        elapsed = f"v{seconds}"
    else:
        elapsed = "NULL::DOUBLE" if time is None else f"{moment_of(time)} - began"
    if time is not None:
        missed, first = connection.execute(
            f"SELECT count(*), arg_min(s{time}, (t, n)) FROM shape{shape.number} "
            f"WHERE s{time} IS NOT NULL AND {moment_of(time)} IS NULL"
        ).fetchall()[0]
        if missed:
            name = shape.columns[time].name
            warnings.append(
                f"{missed:,} cells of `{name}` are no moments and count as missing: first {first[:60]!r}."
            )
    joined = f"shape{shape.number} JOIN keys ON {on}"
    step, order = _step(connection, shape, chosen, joined, said, warnings)
    inner = (
        f"SELECT *, {order} AS counted, {offset} + before + n AS place, {elapsed} AS elapsed, "
        f"{'NULL::DOUBLE' if epoch is None else f'v{epoch}'} AS passes FROM {joined}"
    )
    metric, value = place_of(chosen, "metric"), place_of(chosen, "value")
    taken: dict[str, list[str]] = {}
    for i, (column, choice) in enumerate(zip(shape.columns, chosen, strict=True)):
        if choice.role is None or (choice.role == "value" and metric is None):
            taken.setdefault(stored[column.name], []).append(f"v{i}")
    cells = {into: f"coalesce({', '.join(each)})" for into, each in taken.items()}
    whole = f"({step} IS NOT NULL AND {step} = floor({step}) AND abs({step}) <= {EXACT})"
    lost = connection.execute(
        f"SELECT count(*) FROM ({inner}) WHERE NOT coalesce({whole}, false)"
    ).fetchall()[0][0]
    first = f"SELECT run, {step}::BIGINT AS step, passes AS epoch, elapsed AS seconds"
    if metric is None:
        values = "".join(f", {cell} AS {into}" for into, cell in cells.items())
        connection.execute(
            f"INSERT INTO gathered BY NAME {first}{values}, place FROM ({inner}) WHERE {whole}"
        )
        return int(lost)
    # A long table: of a metric's several values at a step the last counts.
    named: dict[str, list[str]] = {}
    for name, into in stored.items():
        named.setdefault(into, []).append(literal(name))
    pivoted = {
        into: f"arg_max(v{value}, place) FILTER ({text_of(metric)} IN ({', '.join(each)}))"
        for into, each in named.items()
    }
    wide = {into: f"arg_max({cell}, place)" for into, cell in cells.items()}
    values = "".join(
        f", coalesce({', '.join(each[into] for each in (pivoted, wide) if into in each)}) AS {into}"
        for into in pivoted | wide
    )
    connection.execute(
        f"INSERT INTO gathered BY NAME SELECT run, step, arg_max(epoch, place) AS epoch, "
        f"min(seconds) AS seconds{values}, max(place) AS place FROM ("
        f"SELECT *, {step}::BIGINT AS step, passes AS epoch, elapsed AS seconds FROM ({inner}) WHERE {whole}"
        f") GROUP BY {ID}"
    )
    doubles = connection.execute(
        f"SELECT coalesce(sum(c - 1), 0) FROM (SELECT count(*) AS c FROM ({inner}) "
        f"WHERE {whole} AND v{value} IS NOT NULL GROUP BY run, {step}, {text_of(metric)})"
    ).fetchall()[0][0]
    if doubles:
        warnings.append(
            f"{int(doubles):,} values stand at a step that was written before; the last ones count."
        )
    return int(lost)


def _begins_anew(
    connection: duckdb.DuckDBPyConnection,
    shape: Shape,
    step: int,
    epoch: int,
    joined: str,
    said: Corrections,
) -> bool:
    """Whether a column that was guessed to be the step holds most of its numbers in several epochs."""
    column = shape.columns[step]
    if column.role == "step" or said.roles.get(column.name) == "step":
        return False
    several, all_ = connection.execute(
        f"SELECT count(*) FILTER (epochs > 1), count(*) FROM (SELECT count(DISTINCT v{epoch}) AS epochs "
        f"FROM {joined} WHERE v{step} IS NOT NULL GROUP BY run, v{step})"
    ).fetchall()[0]
    return bool(2 * several > all_)


def _rows_before(shape: Shape) -> dict[int, int]:
    """Return how many rows of the shape stand before each of its tables, by the table's number."""
    before, total = {}, 0
    for table in shape.tables:
        before[table.number] = total
        total += table.rows
    return before


def _step(
    connection: duckdb.DuckDBPyConnection,
    shape: Shape,
    chosen: Sequence[Choice],
    joined: str,
    said: Corrections,
    warnings: list[str],
) -> tuple[str, str]:
    """Return SQL of a row's step, and of the place in its run where that is needed.

    Without a column of steps, epochs are steps where they are whole and each stands once in a run; else rows
    are counted.
    """
    step, epoch = place_of(chosen, "step"), place_of(chosen, "epoch")
    file = shape.tables[0].file
    if step is not None and (epoch is None or not _begins_anew(connection, shape, step, epoch, joined, said)):
        return f"v{step}", "NULL"
    if step is not None:
        name = shape.columns[step].name
        warnings.append(f"`{name}` begins anew in every epoch; rows are counted as steps in `{file}`.")
        return _counted(chosen)
    if epoch is not None and shape.columns[epoch].whole:
        again = (
            place_of(chosen, "metric") is None
            and connection.execute(
                f"SELECT count(*) FROM (SELECT 1 FROM {joined} WHERE v{epoch} IS NOT NULL "
                f"GROUP BY run, v{epoch} HAVING count(*) > 1)"
            ).fetchall()[0][0]
        )
        if not again:
            warnings.append(f"`{shape.columns[epoch].name}` counts as the step of `{file}`: it has no other.")
            return f"v{epoch}", "NULL"
    warnings.append(f"Rows are counted as steps in `{file}`: no column holds any.")
    return _counted(chosen)


def _counted(chosen: Sequence[Choice]) -> tuple[str, str]:
    """Return SQL of a row's place in its run, in a long table among those of its metric."""
    metric = place_of(chosen, "metric")
    each = "run" if metric is None else f"run, {text_of(metric)}"
    return "counted::DOUBLE", f"row_number() OVER (PARTITION BY {each} ORDER BY t, n) - 1"


def metric_columns(names: Mapping[str, str]) -> dict[str, str]:
    """Return the column of `ROWS` that holds each metric, by its name in the store."""
    return {name: f"m{place}" for place, name in enumerate(dict.fromkeys(names.values()))}
