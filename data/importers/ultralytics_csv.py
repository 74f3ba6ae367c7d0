"""Ultralytics (results.csv of YOLO): `epoch` first, then `train/...` and `metrics/...`, padded."""

from collections.abc import Iterator, Sequence

import duckdb

from data.importers._delimited import log_table, names
from data.importers._importer import Importer, LogFile, LogTable, Role


def can_read(file: LogFile) -> bool:
    """Whether `epoch` comes first and there are columns `train/...` and `metrics/...`."""
    found = names(file)
    return found[:1] == ("epoch",) and all(
        any(name.startswith(start) for name in found) for start in ("train/", "metrics/")
    )


def read(connection: duckdb.DuckDBPyConnection, files: Sequence[LogFile]) -> Iterator[LogTable]:
    """Read one row per epoch, with the seconds since the start where they were written (`time`)."""
    for file in files:
        roles: dict[str, Role] = {"epoch": "epoch"}
        if "time" in names(file):
            roles["time"] = "seconds"
        yield log_table(connection, file, roles=roles)


IMPORTER = Importer(title="Ultralytics results.csv", can_read=can_read, read=read, rank=10)
