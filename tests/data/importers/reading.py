"""Reads a file as the lab does, with the importer that knows it."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import duckdb
import pandas as pd

from data.importers import LogFile, LogTable, importers, recognize

HERE = Path(__file__).parent
WRITTEN = HERE / "written"
"""Files that the real tools wrote; `written/README.md` says how."""


class Read(NamedTuple):
    """A table, with its rows as a frame of what DuckDB holds."""

    table: LogTable
    frame: pd.DataFrame


def read(name: str, paths: Sequence[Path] | Path) -> list[Read]:
    """Read files that belong together, which must be known as of the format `name`."""
    paths = [paths] if isinstance(paths, Path) else list(paths)
    files = [LogFile(path.name, path) for path in paths]
    assert {recognize(file) for file in files} == {name}
    connection = duckdb.connect()
    return [Read(table, table.rows.df()) for table in importers()[name].read(connection, files)]
