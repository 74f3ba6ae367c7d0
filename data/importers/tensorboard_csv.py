"""TensorBoard's download as CSV: `Wall time,Step,Value` of one tag, which the file's name tells."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

import duckdb

from data.columns import quoted
from data.importers._delimited import log_table, names
from data.importers._importer import Importer, LogFile, LogTable
from data.importers._text import distinct

_NAME = re.compile(r"run-(?P<run>.+?)-tag-(?P<tag>.+?)(?: \(\d+\))?\.csv", re.IGNORECASE)


def can_read(file: LogFile) -> bool:
    """Whether the columns are exactly `Wall time,Step,Value`."""
    return names(file) == ("Wall time", "Step", "Value")


def read(connection: duckdb.DuckDBPyConnection, files: Sequence[LogFile]) -> Iterator[LogTable]:
    """Read the values under the tag of `run-NAME-tag-TAG.csv`; in a file of another name they are `Value`."""
    for file in files:
        table = log_table(connection, file, roles={"Wall time": "time", "Step": "step"})
        named = _NAME.fullmatch(file.base)
        if named:
            (*_, tag), _ = distinct(("Wall time", "Step", named["tag"]))
            rows = table.rows.project(f'"Wall time", "Step", "Value" AS {quoted(tag)}')
            facts = {} if named["run"] == "." else {"name": named["run"]}
            table = replace(table, rows=rows, facts=facts)
        yield table


IMPORTER = Importer(title="TensorBoard CSV", can_read=can_read, read=read, rank=10)
