"""Stable-Baselines3 and OpenAI Baselines (progress.csv): known by their column of total timesteps."""

from collections.abc import Iterator, Sequence

import duckdb

from data.importers._delimited import log_table, names
from data.importers._importer import Importer, LogFile, LogTable, Role

_STEPS = ("time/total_timesteps", "misc/total_timesteps", "total_timesteps")
_SECONDS = ("time/time_elapsed", "misc/time_elapsed", "time_elapsed")


def can_read(file: LogFile) -> bool:
    """Whether a column counts the timesteps of the environment."""
    return bool(set(_STEPS) & set(names(file)))


def read(connection: duckdb.DuckDBPyConnection, files: Sequence[LogFile]) -> Iterator[LogTable]:
    """Read the rows, with the timesteps as steps and the elapsed seconds."""
    for file in files:
        found = names(file)
        roles: dict[str, Role] = {next(name for name in _STEPS if name in found): "step"}
        roles |= {name: "seconds" for name in _SECONDS if name in found}
        yield log_table(connection, file, roles=roles)


IMPORTER = Importer(title="Baselines progress.csv", can_read=can_read, read=read, rank=10)
