"""From staged rows to runs: what each column is taken as, whose row it is, what counts where two stand."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Self

import duckdb

from data.errors import LabError
from data.importing.cells import place_of, text_of
from data.importing.filling import fill, metric_columns
from data.importing.limits import Limits
from data.importing.outcomes import describe
from data.importing.roles import Choice, Corrections, choose, metric_names
from data.importing.run_names import Key, PlannedRun, keys_of, listed, name_runs
from data.importing.staged import Shape, Staged


@dataclass
class Plan:
    """What would be imported; its rows are the table `ROWS` of the connection that it was made in.

    Attributes:
        runs: in the order of their numbers.
        metrics: name in the store, by what the files call it.
        units: of metrics whose unit a file states, by name in the store.
        log: metrics that are normally drawn on a logarithmic axis: all positive, over two decades or more.
        warnings: what a user should know, a sentence each.
        choices: of every shape, what its columns are taken as.
    """

    runs: list[PlannedRun]
    metrics: dict[str, str]
    units: dict[str, str]
    log: set[str]
    warnings: list[str]
    choices: list[list[Choice]]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON, for a page to show."""
        told = asdict(self) | {
            "log": sorted(self.log),
            "choices": [[list(c) for c in one] for one in self.choices],
        }
        return json.loads(json.dumps(told, default=lambda moment: moment.isoformat()))  # type: ignore[no-any-return]

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Self:
        """Read what `to_json` returned."""
        runs = [PlannedRun(**one) for one in told["runs"]]
        for run in runs:
            run.steps = (run.steps[0], run.steps[1]) if run.steps else None
            run.started = datetime.fromisoformat(str(run.started)) if run.started else None
        choices = [[Choice(*one) for one in chosen] for chosen in told["choices"]]
        return cls(runs, told["metrics"], told["units"], set(told["log"]), told["warnings"], choices)


def plan(staged: Staged, connection: duckdb.DuckDBPyConnection, said: Corrections, limits: Limits) -> Plan:
    """Work out runs and rows of what was staged.

    Rows of one run and step become one row. Where a metric stands there twice, the last in the files counts;
    a cell without a value never hides one that has some. A row without a step is left out, and said.

    Args:
        staged: what was found.
        connection: of the staged rows; the table `ROWS` in it is replaced.
        said: what somebody corrected.
        limits: of runs and metrics.

    Raises:
        LabError: nothing was staged, a correction names what is not there or cannot be, no metric is left, or
            there are too many runs or metrics.
    """
    if not staged.shapes:
        raise LabError(
            "Nothing to import", _why_nothing(staged), "See docs/uploads.md for the formats that are read."
        )
    _require_known(staged, said)
    choices = [choose(shape, said) for shape in staged.shapes]
    warnings = list(staged.notes)
    keys: list[Key] = []
    for shape, chosen in zip(staged.shapes, choices, strict=True):
        keys += keys_of(connection, shape, chosen)
        warnings += _of_cells(shape, chosen)
    keys.sort(key=lambda key: key.table)
    names = _metrics(connection, staged.shapes, choices, said)
    if not names:
        raise LabError(
            "No metric is left",
            f"No column of {listed(one['name'] for one in staged.files)} holds numbers to draw.",
            "Map a column of numbers as a metric.",
        )
    for what, count, most in (("metrics", len(names), limits.columns), ("runs", len(keys), limits.runs)):
        if count > most:
            raise LabError(
                f"Too many {what}",
                f"There are {count:,} {what}; at most {most:,} are taken.",
                "Import fewer.",
            )
    for name in names.values():
        _require_short("Metric", name, limits)
    runs = name_runs(staged, keys, choices, said, warnings)
    for run in runs:
        _require_short("Arm", run.arm, limits)
    fill(connection, staged.shapes, choices, keys, names, said, warnings)
    units = _units(staged.shapes, choices, names)
    drawn_log = describe(connection, runs, metric_columns(names))
    empty = [run for run in runs if not run.rows]
    if empty:
        warnings.append(
            f"{len(empty)} runs have no row with a step and are left out: "
            f"{listed(run.name for run in empty)}."
        )
    if len(empty) == len(runs):
        raise LabError(
            "No row has a step",
            f"No row of {listed(run.name for run in runs)} has a whole number as its step.",
            "Map another column as step, or skip the one that is.",
        )
    return Plan(runs, names, units, drawn_log, list(dict.fromkeys(warnings)), choices)


def _require_short(what: str, name: str, limits: Limits) -> None:
    if len(name) > limits.name:
        raise LabError(
            "A name is too long",
            f"{what} `{name[:40]}...` has {len(name):,} characters.",
            f"Give it at most {limits.name}.",
        )


def _why_nothing(staged: Staged) -> str:
    said = [f"`{one.name}`: {one.why}" for one in staged.skipped]
    more = f", and {len(said) - 5:,} more" if len(said) > 5 else ""
    return f"{'; '.join(said[:5])}{more}." if said else "Nothing was given."


def _require_known(staged: Staged, said: Corrections) -> None:
    """Refuse a correction of a column that no file has."""
    columns = {column.name for shape in staged.shapes for column in shape.columns}
    long = any(column.role == "metric" or said.roles.get(column.name) == "metric" or column.kind == "text"
               for shape in staged.shapes for column in shape.columns)  # fmt: skip
    unknown = [name for name in [*said.roles, *([] if long else said.names)] if name not in columns]
    if unknown:
        raise LabError(
            "Unknown column",
            f"No file has a column `{unknown[0]}`; they have {listed(sorted(columns))}.",
            "Map a column that is there.",
        )


def _of_cells(shape: Shape, chosen: Sequence[Choice]) -> list[str]:
    """Say what is not taken of a shape's columns."""
    said = []
    for column, choice in zip(shape.columns, chosen, strict=True):
        numeric = choice.role in (None, "step", "epoch", "seconds", "seed", "value")
        if numeric and column.texts:
            said.append(
                f"{column.texts:,} cells of `{column.name}` are no numbers and count as missing: "
                f"first {column.text}."
            )
    left = [column.name for column, choice in zip(shape.columns, chosen, strict=True)
            if choice.role == "skip" and column.kind != "number" and column.role != "skip"]  # fmt: skip
    if left:
        said.append(f"Columns without numbers are left out: {listed(left)}.")
    return said


def _metrics(
    connection: duckdb.DuckDBPyConnection,
    shapes: Sequence[Shape],
    choices: Sequence[Sequence[Choice]],
    said: Corrections,
) -> dict[str, str]:
    """Return the store's name of every metric by what the files call it, in the order of first appearance."""
    wanted: dict[str, str] = {}
    for shape, chosen in zip(shapes, choices, strict=True):
        metric = place_of(chosen, "metric")
        for column, choice in zip(shape.columns, chosen, strict=True):
            if choice.role is None or (choice.role == "value" and metric is None):
                wanted.setdefault(column.name, choice.name or column.name)
        if metric is not None:
            found = connection.execute(
                f"SELECT {text_of(metric)} AS name FROM shape{shape.number} WHERE name IS NOT NULL "
                f"GROUP BY 1 ORDER BY min((t, n))"
            ).fetchall()
            for (name,) in found:
                wanted.setdefault(name, said.names.get(name, name))
    given = metric_names(dict.fromkeys(wanted.values()))
    return {name: given[one] for name, one in wanted.items()}


def _units(
    shapes: Sequence[Shape], choices: Sequence[Sequence[Choice]], names: dict[str, str]
) -> dict[str, str]:
    return {
        names[column.name]: column.unit
        for shape, chosen in zip(shapes, choices, strict=True)
        for column, choice in zip(shape.columns, chosen, strict=True)
        if choice.role is None and column.unit
    }
