"""Lightning's CSVLogger (metrics.csv): `step`, `epoch` and metrics, sorted or with empty cells."""

from collections.abc import Iterator, Sequence

import duckdb

from data.importers._delimited import known, log_table
from data.importers._importer import Importer, LogFile, LogTable
from data.importers.hu_traces_csv import NORMS

_OF_MANY_RUNS = frozenset({"run", "arm", "seed", "study", "_step"})


def can_read(file: LogFile) -> bool:
    """Whether the columns are `step`, `epoch` and metrics, its header sorted or some cells empty."""
    found = known(file)
    if found is None or found.delimiter != ",":
        return False
    names = set(found.names)
    if not {"step", "epoch"} < names or names & _OF_MANY_RUNS or names >= NORMS or "column 1" in names:
        return False
    return not any("total_timesteps" in name for name in names) and (
        found.sparse or list(found.names) == sorted(found.names)
    )


def read(connection: duckdb.DuckDBPyConnection, files: Sequence[LogFile]) -> Iterator[LogTable]:
    """Read the rows as they stand; what was logged apart at one step stays apart."""
    for file in files:
        yield log_table(connection, file, roles={"step": "step", "epoch": "epoch"})


IMPORTER = Importer(title="Lightning metrics.csv", can_read=can_read, read=read, rank=10)
