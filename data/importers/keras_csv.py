"""Keras's CSVLogger: the first column is `epoch`, `loss` is among the others, and there is no step."""

from collections.abc import Iterator, Sequence

import duckdb

from data.importers._delimited import log_table, names
from data.importers._importer import Importer, LogFile, LogTable

_NOT_ITS_OWN = frozenset({"step", "run", "arm", "seed", "study", "_step", "trace"})


def can_read(file: LogFile) -> bool:
    """Whether `epoch` comes first and `loss` is there."""
    found = names(file)
    return (
        found[:1] == ("epoch",)
        and "loss" in found
        and not _NOT_ITS_OWN & set(found)
        and not any("/" in name or "total_timesteps" in name for name in found)
    )


def read(connection: duckdb.DuckDBPyConnection, files: Sequence[LogFile]) -> Iterator[LogTable]:
    """Read one row per epoch."""
    for file in files:
        yield log_table(connection, file, roles={"epoch": "epoch"})


IMPORTER = Importer(title="Keras CSVLogger", can_read=can_read, read=read, rank=10)
