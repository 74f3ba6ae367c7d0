"""What the rows of a plan say of each run: its ends, its last values, whether it diverged."""

from collections.abc import Mapping

import duckdb

from data.importing.filling import ROWS
from data.importing.run_names import PlannedRun


def describe(
    connection: duckdb.DuckDBPyConnection, runs: list[PlannedRun], metrics: Mapping[str, str]
) -> set[str]:
    """Say of every run what its rows hold, and return the metrics to draw on a log axis.

    Args:
        connection: with the table `ROWS`.
        runs: in the order of their numbers.
        metrics: column by name.
    """
    ends = "".join(f", arg_max({column}, step), count({column})" for column in metrics.values())
    found = connection.execute(
        f"SELECT run, count(*), min(step), max(step), max(seconds){ends} FROM {ROWS} GROUP BY run"
    )
    while row := found.fetchone():
        run = runs[row[0]]
        run.rows, run.steps, run.seconds = row[1], (row[2], row[3]), row[4]
        for i, name in enumerate(metrics):
            last, measured = row[5 + 2 * i : 7 + 2 * i]
            if measured:
                run.metrics.append(name)
                run.finals[name] = last
    for name, column in metrics.items():
        if "loss" in name.lower():
            _diverged(connection, runs, name, column)
    return _log(connection, metrics)


def _diverged(connection: duckdb.DuckDBPyConnection, runs: list[PlannedRun], loss: str, column: str) -> None:
    """Mark the runs in which a loss is never finite again from some step on.

    Where NaN stands between finite values it means "not measured", as in a table that pandas filled up.
    """
    after = "(finite IS NULL OR step > finite)"
    found = connection.execute(
        f"SELECT run, min(step) FILTER ({after}) AS begun, arg_min(value, step) FILTER ({after}) "
        f"FROM (SELECT run, step, {column} AS value, max(step) FILTER (isfinite({column})) "
        f"OVER (PARTITION BY run) AS finite FROM {ROWS} WHERE {column} IS NOT NULL) "
        f"GROUP BY run HAVING begun IS NOT NULL AND count(*) FILTER (isnan(value) AND NOT {after}) = 0"
    ).fetchall()
    for index, step, value in found:
        run = runs[index]
        if run.diverged_at is None or step < run.diverged_at:
            run.diverged_at, run.diverged_what = step, f"{loss} is {value}"


def _log(connection: duckdb.DuckDBPyConnection, metrics: Mapping[str, str]) -> set[str]:
    """Return metrics whose finite values are all positive and span two decades or more."""
    columns = metrics.values()
    ends = ", ".join(f"{end}({one}) FILTER (isfinite({one}))" for one in columns for end in ("min", "max"))
    told = connection.execute(f"SELECT {ends} FROM {ROWS}").fetchall()[0]
    pairs = zip(metrics, told[::2], told[1::2], strict=True)
    return {name for name, low, high in pairs if low is not None and low > 0 and high >= 100 * low}
