"""Monitor of Stable-Baselines3 and Gym (monitor.csv): a comment `#{...}` of JSON, then columns `r,l,t`."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import duckdb

from data.columns import quoted
from data.importers._delimited import known, log_table
from data.importers._importer import Importer, LogFile, LogTable, unreadable
from data.importers._text import distinct


def can_read(file: LogFile) -> bool:
    """Whether the first line is `#{...}` and the columns begin with `r,l,t`."""
    found = known(file)
    return (
        found is not None
        and found.names[:3] == ("r", "l", "t")
        and any(line.startswith("#{") for line in found.comments)
    )


def read(connection: duckdb.DuckDBPyConnection, files: Sequence[LogFile]) -> Iterator[LogTable]:
    """Read one row per episode; its step is the running sum of the lengths, the timesteps at its end."""
    for file in files:
        found = known(file)
        columns, comments = (found.names, found.comments) if found else ((), ())
        table = log_table(connection, file)
        (*_, step), _ = distinct((*columns, "step"))
        numbered = table.rows.project("row_number() OVER () - 1 AS place, l")
        for place, length in numbered.filter("try_cast(l AS BIGINT) IS NULL").limit(1).fetchall():
            line = table.find_line(place) if table.find_line else "a line"
            raise unreadable(file, f"{line} has no whole number as `l`, but {length!r}", "Mend that line.")
        running = "sum(CAST(l AS BIGINT)) OVER (ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"
        yield replace(
            table,
            rows=table.rows.project(f"CAST({running} AS BIGINT) AS {quoted(step)}, *"),
            roles={step: "step", "t": "seconds"},
            units={"t": "s"},
            facts=_facts(file, comments),
        )


def _facts(file: LogFile, comments: Sequence[str]) -> dict[str, Any]:
    """Return when a run began and what its environment was."""
    try:
        said = json.loads(next(line for line in comments if line.startswith("#{"))[1:])
        facts: dict[str, Any] = {}
        if "t_start" in said:
            facts["started"] = datetime.fromtimestamp(float(said["t_start"]), UTC)
        if said.get("env_id"):
            facts["config"] = {"env_id": str(said["env_id"])}
    except (ValueError, TypeError, OverflowError, OSError, RecursionError) as error:
        raise unreadable(file, "line 1 is not the JSON that Monitor writes", "Mend or delete it.") from error
    return facts


IMPORTER = Importer(title="Baselines monitor.csv", can_read=can_read, read=read, rank=10)
