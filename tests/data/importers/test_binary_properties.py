"""What is written is read back equal; what is damaged gives rows or a LabError and never ends the process."""

import math
import sqlite3
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import LabError
from data.importers import LogFile, importers
from tests.data.importers.test_binary_formats import START, scalar
from tests.data.importers.written.write_binary import BINARY

Columns = dict[str, list[Any]]

FLOATS = st.none() | st.floats()
NUMBERS = st.integers(-(2**63), 2**63 - 1)
TEXT = st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=9)


@st.composite
def tables(draw: st.DrawFn) -> Columns:
    """Draw columns of 1 to 20 rows: whole numbers, floats with all their special values, and text."""
    rows = draw(st.integers(1, 20))
    kinds = {"step": NUMBERS, "loss": FLOATS, "arm": TEXT}
    return {name: draw(st.lists(kind, min_size=rows, max_size=rows)) for name, kind in kinds.items()}


def arrow(table: Columns) -> pa.Table:
    kinds = {"step": pa.int64(), "loss": pa.float64(), "arm": pa.string()}
    return pa.table({name: pa.array(cells, kinds[name]) for name, cells in table.items()})


def write_parquet(table: Columns, path: Path) -> None:
    pq.write_table(arrow(table), path, row_group_size=7)


def write_file(table: Columns, path: Path) -> None:
    pyarrow.feather.write_feather(arrow(table), path, compression="zstd", chunksize=7)


def write_stream(table: Columns, path: Path) -> None:
    given = arrow(table)
    given = given.set_column(2, "arm", given["arm"].dictionary_encode())
    with pa.ipc.new_stream(path, given.schema) as writer:
        writer.write_table(given, max_chunksize=7)


def write_duckdb(table: Columns, path: Path) -> None:
    with duckdb.connect(path) as connection:
        connection.from_arrow(arrow(table)).create("log")


def write_sqlite(table: Columns, path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE log (step, loss REAL, arm)")
    connection.executemany("INSERT INTO log VALUES (?, ?, ?)", zip(*table.values(), strict=True))
    connection.commit()
    connection.close()


def write_npz(table: Columns, path: Path) -> None:
    losses = np.array([math.nan if cell is None else cell for cell in table["loss"]])
    words = np.array([(cell or "").rstrip("\0") for cell in table["arm"]], "U9")
    with path.open("wb") as file:
        np.savez_compressed(file, step=np.array(table["step"]), loss=losses, arm=words)


def write_npy(table: Columns, path: Path) -> None:
    rows = [
        (step, math.nan if loss is None else loss)
        for step, loss in zip(table["step"], table["loss"], strict=True)
    ]
    with path.open("wb") as file:
        np.save(file, np.array(rows, [("step", ">i8"), ("loss", "<f8")]))


def write_events(table: Columns, path: Path) -> None:
    content = b"".join(
        scalar(step, 0, dtype=2, double_val=[math.nan if loss is None else loss])
        for step, loss in sorted(zip(table["step"], table["loss"], strict=True), key=lambda row: row[0])
    )
    path.write_bytes(START + content)


WRITERS: dict[str, tuple[str, Callable[[Columns, Path], None]]] = {
    "parquet": ("parquet", write_parquet),
    "arrow file": ("arrow", write_file),
    "arrow stream": ("arrow", write_stream),
    "npz": ("numpy-arrays", write_npz),
    "npy": ("numpy-arrays", write_npy),
    "events": ("tensorboard-events", write_events),
    "sqlite": ("sqlite-file", write_sqlite),
    "duckdb": ("duckdb-file", write_duckdb),
}
SLOW = {"duckdb", "sqlite"}
LOG: Columns = {
    "step": list(range(40)),
    "loss": [None, math.nan, math.inf, *(1 / place for place in range(1, 38))],
    "arm": [None, *("SS", "RR") * 19, "long words"],
}


@cache
def connection() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"threads": 1})


def frames(name: str, path: Path) -> list[pd.DataFrame]:
    file = LogFile(path.name, path)
    assert importers()[name].can_read(file)
    return [table.rows.df() for table in importers()[name].read(connection(), [file])]


def assert_equal(found: pd.Series, cells: list[Any]) -> None:
    """Compare bit for bit, but for the sign of zero and the bits of NaN; None and NaN are both no number."""
    for cell, expected in zip(found.tolist(), cells, strict=True):
        missing = expected is None or expected != expected
        assert pd.isna(cell) if missing else cell == expected


@pytest.mark.parametrize("kind", WRITERS)
def test_what_is_written_is_read_back_equal(kind: str) -> None:
    name, write = WRITERS[kind]

    @settings(max_examples=3 if kind in SLOW else 12, deadline=None)
    @given(tables())
    def check(table: Columns) -> None:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "log"
            write(table, path)
            (frame,) = frames(name, path)
        if kind == "events":
            pairs = sorted(zip(table["step"], table["loss"], strict=True), key=lambda row: row[0])
            table = {"step": [step for step, _ in pairs], "value": [loss for _, loss in pairs]}
        if kind == "npy":
            del table["arm"]
        if kind == "npz":
            table = table | {"arm": [cell or "" for cell in table["arm"]]}
        for column, cells in table.items():
            assert_equal(frame[column], cells)

    check()


@cache
def written(kind: str) -> bytes:
    """Return a whole file of a format."""
    if kind == "mlflow-database":
        return (BINARY / "mlflow.db").read_bytes()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "log"
        WRITERS[kind][1](LOG, path)
        return path.read_bytes()


def survives(name: str, content: bytes) -> None:
    """Read a file that may be damaged: a LabError, or rows, or an error of DuckDB while they are drawn."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "log"
        path.write_bytes(content)
        file = LogFile("log", path)
        if not importers()[name].can_read(file):
            return
        tables = importers()[name].read(connection(), [file])
        while True:
            try:
                table = next(tables, None)
            except LabError:
                return
            if table is None:
                return
            try:
                table.rows.fetchall()
            except duckdb.Error:
                continue


DAMAGED = {kind: name for kind, (name, _) in WRITERS.items()} | {"mlflow-database": "mlflow-database"}


@pytest.mark.parametrize("kind", DAMAGED)
def test_damage_gives_rows_or_a_lab_error(kind: str) -> None:
    whole = written(kind)

    @settings(max_examples=5 if kind in ("duckdb", "mlflow-database") else 25, deadline=None)
    @given(
        st.none() | st.integers(0, len(whole)),
        st.lists(st.tuples(st.integers(0, len(whole) - 1), st.integers(1, 255)), max_size=6),
    )
    def check(cut: int | None, flips: list[tuple[int, int]]) -> None:
        content = bytearray(whole)
        for place, bits in flips:
            content[place] ^= bits
        survives(DAMAGED[kind], bytes(content[:cut]))

    check()
