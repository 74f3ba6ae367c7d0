"""Traces of Hu et al. 2023, a CSV per run that pandas wrote: norms of the weights with `step` or `epoch`.

Five metrics are given the names that this lab has for them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import duckdb

from data.columns import quoted
from data.importers._delimited import log_table, names
from data.importers._importer import Importer, LogFile, LogTable, Role

NORMS = frozenset({"l1", "l2", "trace", "mean_w"})

RENAMED = {
    "spectral": "spectral_norm",
    "code_sparsity": "l1_over_l2",
    "computational_sparsity": "trace_over_spectral_norm",
    "mean_lambda": "mean_singular_value",
    "variance_lambda": "var_singular_value",
}


def can_read(file: LogFile) -> bool:
    """Whether norms, trace and mean of the weights are there, by step or epoch, of one run."""
    found = set(names(file))
    return found >= NORMS and bool(found & {"step", "epoch"}) and not found & {"run", "arm", "seed", "study"}


def read(connection: duckdb.DuckDBPyConnection, files: Sequence[LogFile]) -> Iterator[LogTable]:
    """Read the rows; the count of rows that pandas writes first is left out."""
    for file in files:
        found = names(file)
        given = {name: new for name, new in RENAMED.items() if name in found and new not in found}
        roles: dict[str, Role] = {}
        if "step" in found:
            roles["step"] = "step"
        if "epoch" in found:
            roles["epoch"] = "epoch"
        if found[0] == "column 1":
            roles["column 1"] = "skip"
        notes = [f"`{name}` is called `{new}` here." for name, new in given.items()]
        table = log_table(connection, file, roles=roles, notes=notes)
        columns = ", ".join(f"{quoted(name)} AS {quoted(given.get(name, name))}" for name in found)
        yield replace(table, rows=table.rows.project(columns))


IMPORTER = Importer(title="Traces of Hu et al. 2023", can_read=can_read, read=read, rank=10)
