"""Weights & Biases: a chart's CSV (columns `RUN - METRIC`, with `__MIN` and `__MAX`), and a run's history.

A history is CSV or JSON lines with `_step` and `_runtime` or `_timestamp`. Histograms, images and tables in
it are left out.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import duckdb

from data.columns import literal, quoted
from data.importers import _delimited, _json_rows, jsonl
from data.importers._importer import Importer, LogFile, LogTable, Role, unreadable
from data.importers._text import head_text

_HISTORY: dict[str, Role] = {"_step": "step", "_runtime": "seconds", "_timestamp": "time"}

_AXES: dict[str, Role] = {
    "step": "step",
    "_step": "step",
    "epoch": "epoch",
    "relative time (process)": "seconds",
    "relative time (wall)": "seconds",
    "_runtime": "seconds",
    "wall time": "time",
    "_timestamp": "time",
}
_COLUMN = re.compile(r"(?P<run>.*) - (?P<metric>.*?)(?P<end>__MIN|__MAX|)(?P<again> \(\d+\)|)", re.DOTALL)


def can_read(file: LogFile) -> bool:
    """Whether the columns are those of a chart, or the first row those of a history."""
    names = _delimited.names(file)
    if names:
        return _is_chart(names) or _is_history(names)
    first = head_text(file).lstrip().partition("\n")[0]
    return jsonl.is_lines(file) and _is_history(re.findall(r'"(_\w+)"\s*:', first))


def _is_history(names: Sequence[str]) -> bool:
    return "_step" in names and ("_runtime" in names or "_timestamp" in names)


def _is_chart(names: Sequence[str]) -> bool:
    """Whether all columns but the first come in threes: `RUN - METRIC`, with __MIN, and with __MAX."""
    found = [_parts(name) for name in names[1:]]
    main = [parts[:2] for parts in found if parts and not parts[2]]
    return bool(main) and {*found} == {(*parts, end) for parts in main for end in ("", "__MIN", "__MAX")}


def _parts(name: str) -> tuple[str, str, str] | None:
    """Return run, metric and range of a column; of runs of one name the later ones are told by a number.

    A run's name may hold " - "; what follows the last one is the metric.
    """
    found = _COLUMN.fullmatch(name)
    return (found["run"] + found["again"], found["metric"], found["end"]) if found else None


def read(connection: duckdb.DuckDBPyConnection, files: Sequence[LogFile]) -> Iterator[LogTable]:
    """Read a chart as rows of `run` and its metrics, a history as it stands."""
    for file in files:
        names = _delimited.names(file)
        if not names:
            yield _json_rows.log_table(
                connection,
                file,
                partial(jsonl.rows, file),
                find_line=partial(jsonl.find_line, file),
                left_out=_is_typed,
                roles=_HISTORY,
            )
        elif _is_history(names):
            yield _history(connection, file, names)
        else:
            yield _chart(connection, file, names)


def _is_typed(value: Any) -> bool:
    """Whether a value is one of W&B's own: a histogram, an image, a table."""
    return isinstance(value, dict) and "_type" in value


def _history(connection: duckdb.DuckDBPyConnection, file: LogFile, names: Sequence[str]) -> LogTable:
    """Read a history as CSV; pandas's count of rows and columns of histograms are skipped."""
    table = _delimited.log_table(connection, file)
    typed = ", ".join(f"count(*) FILTER (regexp_matches({quoted(n)}, '^\\{{.*_type'))" for n in names)
    try:
        [counts] = table.rows.aggregate(typed).fetchall()
    except duckdb.Error as error:
        raise _delimited.explained(file, error) from error
    left_out = [name for name, count in zip(names, counts, strict=True) if count]
    roles: dict[str, Role] = {name: role for name, role in _HISTORY.items() if name in names}
    roles |= dict.fromkeys(left_out, "skip")
    if names[0] == "column 1":
        roles["column 1"] = "skip"
    notes = table.notes
    if left_out:
        said = ", ".join(f"`{name}`" for name in left_out)
        notes = (*notes, f"Left out, because they are no numbers: {said}.")
    return replace(table, roles=roles, notes=notes)


def _chart(connection: duckdb.DuckDBPyConnection, file: LogFile, names: Sequence[str]) -> LogTable:
    """Turn the columns of each run into rows of its own; ranges that say nothing new are left out."""
    axis, table = names[0], _delimited.log_table(connection, file)
    columns = {parts: name for name in names[1:] if (parts := _parts(name))}
    differing = ", ".join(
        f"coalesce(bool_or({quoted(name)} IS DISTINCT FROM {quoted(columns[run, metric, ''])}), false)"
        for (run, metric, _), name in columns.items()
    )
    try:
        [differs] = table.rows.aggregate(differing).fetchall()
    except duckdb.Error as error:
        raise _delimited.explained(file, error) from error
    runs: dict[str, dict[str, str]] = {}
    for ((run, metric, end), name), differ in zip(columns.items(), differs, strict=True):
        if differ or not end:
            runs.setdefault(run, {})[metric + end] = name
    metrics = list(dict.fromkeys(metric for of_run in runs.values() for metric in of_run))
    if {axis.lower(), "run"} & {metric.lower() for metric in metrics} or axis.lower() == "run":
        raise unreadable(file, "a metric has the name of the axis, or `run`", "Rename it in the first line.")
    # One scan for all runs: a scan for each takes minutes for some hundred runs.
    structs = ", ".join(
        f"struct_pack(run := {literal(run)}, "
        + ", ".join(
            f"{quoted(m)} := {quoted(of_run[m]) if m in of_run else 'NULL::VARCHAR'}" for m in metrics
        )
        + ")"
        for run, of_run in runs.items()
    )
    stacked = table.rows.project(f"{quoted(axis)}, unnest([{structs}], recursive := true)")
    logged = stacked.filter(f"coalesce({', '.join(map(quoted, metrics))}) IS NOT NULL")
    roles: dict[str, Role] = {"run": "run"}
    if axis.lower() in _AXES:
        roles[axis] = _AXES[axis.lower()]
    return replace(table, rows=logged, roles=roles, find_line=None)


IMPORTER = Importer(title="Weights & Biases export", can_read=can_read, read=read, rank=10)
