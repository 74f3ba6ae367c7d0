import math
import sqlite3
import struct
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import duckdb
import google_crc32c
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from data.errors import LabError
from data.importers import LogFile, importers, recognize
from data.importers._tensorboard_messages import Event
from data.importers.numpy_arrays import is_npz
from tests.data.importers.reading import Read, read
from tests.data.importers.written.write_binary import (
    BINARY,
    METRICS,
    SEEDS,
    STEPS,
    moment,
    settings,
    value,
)


def read_folder(name: str, folder: Path) -> list[Read]:
    """Read what one run's folder holds, each file under its path."""
    files = [
        LogFile(str(path.relative_to(BINARY)), path) for path in sorted(folder.rglob("*")) if path.is_file()
    ]
    importer = importers()[name]
    assert {recognize(file) for file in files} == {name}
    assert importer.group is not None
    assert len({importer.group(file) for file in files}) == 1
    return [Read(table, table.rows.df()) for table in importer.read(duckdb.connect(), files)]


def assert_logged(frame: pd.DataFrame, seed: int, per_second: int = 1) -> None:
    """Check long rows against what the tool was given."""
    assert len(frame) == len(STEPS) * len(METRICS)
    for metric, rows in frame.groupby("metric"):
        assert rows["step"].tolist() == list(STEPS)
        assert rows["time"].tolist() == [moment(seed, step) * per_second for step in STEPS]
        np.testing.assert_array_equal(rows["value"], [value(str(metric), seed, step) for step in STEPS])


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("torch*/**/events*", "tensorboard-events"),
        ("tensor*/events*", "tensorboard-events"),
        ("mlflow.db", "mlflow-database"),
        ("mlruns/*/*/**/*", "mlflow-folder"),
        ("mlruns/*/meta.yaml", None),
        ("*.parquet", "parquet"),
        ("*.arrow*", "arrow"),
    ],
)
def test_each_written_file_is_known_by_one_importer_of_its_kind(pattern: str, name: str | None) -> None:
    paths = [path for path in BINARY.glob(pattern) if path.is_file()]
    assert paths
    for path in paths:
        file = LogFile(str(path.relative_to(BINARY)), path)
        knows = {found for found, importer in importers().items() if importer.can_read(file)}
        assert recognize(file) == name
        assert knows - {name} <= {"mlflow-database": {"sqlite-file"}, "mlflow-folder": {"delimited"}}.get(
            name or "", set()
        )


@pytest.mark.parametrize("seed", SEEDS)
def test_torch_events_are_read_back_equal(seed: int) -> None:
    ((table, frame),) = read_folder("tensorboard-events", BINARY / "torch" / f"seed_{seed}")
    assert_logged(frame, seed)
    assert table.roles == {"metric": "metric", "step": "step", "time": "time", "value": "value"}
    assert table.notes == ()


@pytest.mark.parametrize("folder", ["tensors", "tensorboardX"])
def test_tensors_of_one_number_and_other_writers_are_read_back_equal(folder: str) -> None:
    ((_, frame),) = read_folder("tensorboard-events", BINARY / folder)
    assert_logged(frame, 0)


def test_what_is_no_scalar_is_counted() -> None:
    ((table, frame),) = read_folder("tensorboard-events", BINARY / "torch-others")
    assert frame["value"].tolist() == [value("loss", 0, 0)]
    assert table.notes == ("Skipped: 1 images, 1 histograms, 1 text.",)


def test_settings_of_the_hparams_plugin_are_the_runs() -> None:
    ((table, _),) = read_folder("tensorboard-events", BINARY / "torch-hparams")
    assert table.facts["config"] == settings(0)


def test_a_resumed_run_purges_what_it_went_over_again() -> None:
    ((table, frame),) = read_folder("tensorboard-events", BINARY / "torch-resumed")
    assert frame["step"].tolist() == list(STEPS)
    np.testing.assert_array_equal(frame["value"], [value("loss", int(step >= 30), step) for step in STEPS])
    assert "6 rows" in table.notes[0]


def masked(data: bytes) -> bytes:
    checksum = google_crc32c.value(data)
    return struct.pack("<I", ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def record(payload: bytes) -> bytes:
    length = struct.pack("<Q", len(payload))
    return length + masked(length) + payload + masked(payload)


def scalar(step: int, number: float, tag: str = "loss", **tensor: Any) -> bytes:
    given = {"tensor": tensor} if tensor else {"simple_value": number}
    return record(
        Event(wall_time=1.5, step=step, summary={"value": [{"tag": tag, **given}]}).SerializeToString()
    )


START = record(Event(wall_time=1.5, file_version="brain.Event:2").SerializeToString())


def test_a_cut_last_record_keeps_the_rows_before_it(tmp_path: Path) -> None:
    path = tmp_path / "events"
    whole = START + scalar(1, 0.5) + scalar(2, 0.25)
    for cut in range(len(START) + len(scalar(1, 0.5)), len(whole) + 1, 9):
        path.write_bytes(whole[:cut])
        ((table, frame),) = read("tensorboard-events", path)
        complete = cut == len(whole)
        assert frame["step"].tolist() == ([1, 2] if complete else [1])
        broken = cut > len(START) + len(scalar(1, 0.5)) and not complete
        assert [f"after byte {len(START) + len(scalar(1, 0.5))}" in note for note in table.notes] == [
            True
        ] * broken


def test_a_false_checksum_within_the_file_is_named_by_its_byte(tmp_path: Path) -> None:
    path = tmp_path / "events"
    damaged = bytearray(START + scalar(1, 0.5) + scalar(2, 0.25))
    damaged[len(START) + 15] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(LabError, match=f"at byte {len(START)} does not hold"):
        read("tensorboard-events", path)


def test_only_rows_that_no_later_restart_purges_stand(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    path = tmp_path / "events"
    for _ in range(10):
        logged = [(int(step), tag) for step, tag in zip(generator.integers(0, 9, 20), "ab" * 10, strict=True)]
        path.write_bytes(
            START + b"".join(scalar(step, place, tag) for place, (step, tag) in enumerate(logged))
        )
        ((_, frame),) = read("tensorboard-events", path)
        standing: list[tuple[int, int, str]] = []
        for place, (step, tag) in enumerate(logged):
            own = [row[1] for row in standing if row[2] == tag]
            if own and step < own[-1]:
                standing = [row for row in standing if row[2] != tag or row[1] < step]
            standing.append((place, step, tag))
        assert frame["value"].tolist() == [place for place, _, _ in standing]


@pytest.mark.parametrize(
    ("tensor", "expected"),
    [
        ({"dtype": 1, "float_val": [0.5]}, 0.5),
        ({"dtype": 2, "tensor_content": struct.pack("<d", 0.1)}, 0.1),
        ({"dtype": 3, "int_val": [-7]}, -7.0),
        ({"dtype": 9, "int64_val": [1 << 40]}, float(1 << 40)),
        ({"dtype": 10, "bool_val": [True]}, 1.0),
        ({"dtype": 14, "half_val": [0x3FC0]}, 1.5),
        ({"dtype": 14, "tensor_content": b"\xc0\x3f"}, 1.5),
        ({"dtype": 19, "half_val": [0x3E00]}, 1.5),
        ({"dtype": 19, "tensor_content": b"\x00\x3e"}, 1.5),
        ({"dtype": 1, "tensor_shape": {"dim": [{"size": 1}]}, "float_val": [2.0]}, 2.0),
        ({"dtype": 1, "tensor_shape": {"dim": [{"size": 2}]}, "float_val": [2.0, 3.0]}, None),
        ({"dtype": 7}, None),
        ({"dtype": 1, "tensor_content": b"123"}, None),
    ],
)
def test_a_tensor_counts_if_it_is_one_number(tmp_path: Path, tensor: Any, expected: float | None) -> None:
    path = tmp_path / "events"
    path.write_bytes(START + scalar(0, 9.0, "other") + scalar(1, 0, **tensor))
    ((table, frame),) = read("tensorboard-events", path)
    assert frame["value"].tolist() == [9.0] + ([] if expected is None else [expected])
    assert table.notes == (("Skipped: 1 tensors.",) if expected is None else ())


def test_events_without_a_number_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "events"
    path.write_bytes(START)
    with pytest.raises(LabError, match="no scalars"):
        read("tensorboard-events", path)


def test_every_run_of_an_mlflow_database_is_a_table() -> None:
    tables = read("mlflow-database", BINARY / "mlflow.db")
    assert [table.name for table, _ in tables] == ["seed: 0", "seed: 1"]
    for seed, (table, frame) in zip(SEEDS, tables, strict=True):
        assert_logged(frame, seed, per_second=1000)
        assert table.facts["config"] == {key: str(given) for key, given in settings(seed).items()}
        assert table.facts["started"].timestamp() == moment(seed, 0)
        assert "deleted in MLflow: 1" in table.notes[0]


def test_every_run_of_mlflow_folders_is_a_table() -> None:
    folders = [path.parent for path in BINARY.glob("mlruns/*/*/meta.yaml")]
    tables = [table for folder in folders for table in read_folder("mlflow-folder", folder)]
    tables.sort(key=lambda read: read.table.facts["name"])
    assert (len(folders), len(tables)) == (3, 2)
    for seed, (table, frame) in zip(SEEDS, tables, strict=True):
        assert_logged(frame, seed, per_second=1000)
        assert table.facts["name"] == f"seed: {seed}"
        assert table.facts["config"] == {key: str(given) for key, given in settings(seed).items()}
        assert table.facts["started"].timestamp() == moment(seed, 0)


def test_a_line_that_is_none_of_mlflows_is_named(tmp_path: Path) -> None:
    path = tmp_path / "loss"
    path.write_text("1700000000000 0.5 0\n1700000000000 half 1\n")
    file = LogFile("run/metrics/loss", path)
    assert recognize(file) == "mlflow-folder"
    with pytest.raises(LabError, match="line 2"):
        list(importers()["mlflow-folder"].read(duckdb.connect(), [file]))


@pytest.mark.parametrize("file", ["polars.parquet", "polars.arrow", "polars.arrows"])
def test_polars_is_read_back_equal_without_its_lists(file: str) -> None:
    ((table, frame),) = read(Path(file).suffix[1:].removesuffix("s"), BINARY / file)
    assert list(frame) == ["run", "step", *METRICS]
    rows = [(seed, step) for seed in SEEDS for step in STEPS]
    assert frame["run"].tolist() == [f"seed_{seed}" for seed, _ in rows]
    for metric in METRICS:
        np.testing.assert_array_equal(frame[metric], [value(metric, *row) for row in rows])
    assert "`weights`" in table.notes[0]


@pytest.fixture
def columns() -> pa.Table:
    """Return a column of every kind that is taken, or is not."""
    return pa.table(
        {
            "flag": [True, None],
            "count": pa.array([1, None], pa.uint64()),
            "half": pa.array([np.float16(0.5), None], pa.float16()),
            "price": pa.array([None, "1.25"]).cast(pa.decimal128(9, 2)),
            "lasted": pa.array([1500, None], pa.duration("ms")),
            "at": pa.array([1_700_000_000_123_456_789, None], pa.timestamp("ns", "Europe/Berlin")),
            "day": pa.array([0, None], pa.date32()),
            "arm": pa.array(["SS", "RR"]).dictionary_encode(),
            "Arm": ["a", "b"],
            "nothing": pa.nulls(2),
            "nested": [{"a": 1}, None],
            "bytes": [b"a", b"b"],
        }
    )


def write_parquet(table: pa.Table, path: Path) -> None:
    pq.write_table(table, path)


def write_stream(table: pa.Table, path: Path) -> None:
    with pa.ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table)


@pytest.mark.parametrize(
    ("name", "write"),
    [("parquet", write_parquet), ("arrow", pyarrow.feather.write_feather), ("arrow", write_stream)],
)
def test_columns_are_taken_by_their_types(tmp_path: Path, columns: pa.Table, name: str, write: Any) -> None:
    write(columns, tmp_path / "file")
    ((table, frame),) = read(name, tmp_path / "file")
    assert list(frame) == [
        "flag", "count", "half", "price", "lasted", "at", "day", "arm", "Arm (2)", "nothing",
    ]  # fmt: skip
    assert frame["flag"].tolist()[0] is True
    assert frame["count"][0] == 1
    assert frame["half"][0] == 0.5
    assert frame["price"][1] == 1.25
    assert frame["lasted"][0] == 1.5
    assert frame["at"][0] == pd.Timestamp("2023-11-14 22:13:20.123456")
    assert frame["arm"].tolist() == ["SS", "RR"]
    assert frame.loc[1, ["flag", "count", "half", "lasted", "at"]].isna().all()
    assert table.units == {"lasted": "s"}
    assert "`nested`" in table.notes[0]
    assert "`bytes`" in table.notes[0]


def test_feather_1_is_refused_with_a_remedy(tmp_path: Path) -> None:
    path = tmp_path / "old.feather"
    path.write_bytes(b"FEA1" + bytes(60) + b"FEA1")
    with pytest.raises(LabError, match="write_feather"):
        read("arrow", path)


def test_offsets_that_lead_out_of_an_arrow_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.arrow"
    words = pa.table({"word": ["one", "two", "three"]})
    write_stream(words, path)
    offsets = struct.pack("<4i", 0, 3, 6, 11)
    content = path.read_bytes()
    assert offsets in content
    path.write_bytes(content.replace(offsets, struct.pack("<4i", 0, 3, 6, 1 << 30)))
    with pytest.raises(LabError, match="damaged"):
        read("arrow", path)


LOSSES = np.array([[2.0, np.nan, np.inf], [1.0, 0.5, 0.25]])


@pytest.mark.parametrize("kind", ["<f2", ">f4", "<f8", "<i2", ">i8", "?", np.longdouble])
def test_one_axis_is_a_metric_named_after_its_file(tmp_path: Path, kind: Any) -> None:
    values = np.array([0, 1, 3]).astype(kind)
    np.save(tmp_path / "loss.npy", values)
    ((_, frame),) = read("numpy-arrays", tmp_path / "loss.npy")
    assert frame["loss"].tolist() == values.tolist()


def test_what_no_double_can_hold_is_infinite(tmp_path: Path) -> None:
    np.save(tmp_path / "loss.npy", np.array(["1e4000", "1"], np.longdouble))
    ((_, frame),) = read("numpy-arrays", tmp_path / "loss.npy")
    assert frame["loss"].tolist() == [math.inf, 1.0]


@pytest.mark.parametrize("order", ["C", "F"])
def test_two_axes_are_runs_and_steps(tmp_path: Path, order: Any) -> None:
    np.save(tmp_path / "loss.npy", np.asarray(LOSSES, order=order))
    ((table, frame),) = read("numpy-arrays", tmp_path / "loss.npy")
    assert table.roles == {"seed": "seed", "step": "step"}
    np.testing.assert_array_equal(frame.pivot(index="seed", columns="step", values="loss"), LOSSES)
    assert "runs" in table.notes[0]


def test_three_axes_are_runs_steps_and_metrics(tmp_path: Path) -> None:
    values = np.arange(24.0).reshape(2, 3, 4)
    np.save(tmp_path / "loss.npy", values)
    ((_, frame),) = read("numpy-arrays", tmp_path / "loss.npy")
    for metric in range(4):
        found = frame.pivot(index="seed", columns="step", values=f"loss_{metric}")
        np.testing.assert_array_equal(found, values[:, :, metric])


def test_fields_are_columns(tmp_path: Path) -> None:
    kinds = [("step", "<i4"), ("loss", ">f8"), ("arm", "U2"), ("at", "M8[s]"), ("weights", "f4", 2)]
    np.save(tmp_path / "log.npy", np.array([(1, 0.5, "SS", 0, (1, 2)), (2, 0.25, "RR", 1, (3, 4))], kinds))
    ((table, frame),) = read("numpy-arrays", tmp_path / "log.npy")
    assert frame.drop(columns="at").to_dict("list") == {
        "step": [1, 2],
        "loss": [0.5, 0.25],
        "arm": ["SS", "RR"],
    }
    assert frame["at"][1] == pd.Timestamp("1970-01-01 00:00:01")
    assert "weights" in table.notes[0]


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_equal_lengths_are_columns_and_lone_numbers_settings(tmp_path: Path, save: Any) -> None:
    path = tmp_path / "log.npz"
    save(path, step=np.arange(5), loss=np.arange(5) / 2, arm=np.array(["SS"] * 5), lr=0.1)
    ((table, frame),) = read("numpy-arrays", path)
    assert is_npz(path)
    assert frame.to_dict("list") == {"step": [*range(5)], "loss": [0, 0.5, 1, 1.5, 2], "arm": ["SS"] * 5}
    assert table.facts == {"config": {"lr": 0.1}}


def test_axes_of_an_archive_number_its_runs_and_steps(tmp_path: Path) -> None:
    path = tmp_path / "log.npz"
    np.savez(path, loss=LOSSES, risk=LOSSES.T.copy().T, epoch=[0, 10, 20], seeds=[7, 9])
    ((table, frame),) = read("numpy-arrays", path)
    assert table.roles == {"epoch": "epoch", "seeds": "seed"}
    for metric in ("loss", "risk"):
        found = frame.pivot(index="seeds", columns="epoch", values=metric)
        np.testing.assert_array_equal(found, LOSSES)
        assert (found.index.tolist(), found.columns.tolist()) == ([7, 9], [0, 10, 20])


def test_long_arrays_come_in_parts(tmp_path: Path) -> None:
    values = np.arange(300_000.0).reshape(2, -1)
    np.savez_compressed(tmp_path / "log.npz", loss=values)
    ((_, frame),) = read("numpy-arrays", tmp_path / "log.npz")
    np.testing.assert_array_equal(frame["loss"], values.reshape(-1))
    np.testing.assert_array_equal(frame["step"], np.tile(np.arange(150_000), 2))


REFUSED = [
    pytest.param({"a": np.array([{}], object)}, "Python objects", id="objects"),
    pytest.param({"a": np.zeros(3, complex)}, "complex128", id="complex"),
    pytest.param({"a": np.zeros((2, 2, 2, 2))}, "shapes", id="four axes"),
    pytest.param({"a": np.zeros(3), "b": np.zeros(4)}, "shapes", id="two lengths"),
    pytest.param({"a": np.zeros(())}, "shapes", id="no axis"),
    pytest.param({"a": np.zeros((0, 3))}, "holds nothing", id="empty"),
    pytest.param({"a": np.zeros(3, "V0")}, "type", id="nothing a row"),
]


@pytest.mark.parametrize(("arrays", "what"), REFUSED)
def test_arrays_that_make_no_table_are_refused(tmp_path: Path, arrays: Any, what: str) -> None:
    np.savez(tmp_path / "log.npz", **arrays)
    with pytest.raises(LabError, match=what):
        read("numpy-arrays", tmp_path / "log.npz")


def header(shape: tuple[int, ...]) -> bytes:
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}}}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def test_arrays_shorter_than_their_shape_are_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "loss.npy"
    path.write_bytes(header((10**15,)) + bytes(80))
    with pytest.raises(LabError, match="cut short"):
        read("numpy-arrays", path)


def test_an_archive_that_expands_too_far_is_refused_unread(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("data.importers.numpy_arrays.EXPANDED", 1 << 20)
    np.savez_compressed(tmp_path / "log.npz", loss=np.zeros(1 << 18))
    with pytest.raises(LabError, match="in all"):
        read("numpy-arrays", tmp_path / "log.npz")


def test_an_archive_of_other_files_is_no_npz(tmp_path: Path) -> None:
    with ZipFile(tmp_path / "logs.zip", "w") as archive:
        archive.writestr("metrics.csv", "step,loss\n1,2\n")
        archive.writestr("loss.npy", b"")
    assert not is_npz(tmp_path / "logs.zip")
    assert recognize(LogFile("logs.zip", tmp_path / "logs.zip")) is None
    assert not is_npz(BINARY / "polars.arrow")


def test_duckdb_gives_its_tables_with_numbers_and_never_a_view(tmp_path: Path) -> None:
    path, secret = tmp_path / "logs.duckdb", tmp_path / "secret.csv"
    secret.write_text("step,loss\n1,2\n")
    with duckdb.connect(path) as connection:
        connection.execute("CREATE TABLE log AS SELECT range AS step, range / 4 AS loss FROM range(100000)")
        connection.execute("CREATE SCHEMA other; CREATE TABLE other.log (step INTEGER, tag ENUM ('a', 'b'))")
        connection.execute("INSERT INTO other.log VALUES (1, 'b'), (NULL, NULL)")
        connection.execute("CREATE TABLE words AS SELECT 'a' AS word")
        connection.execute(f"CREATE VIEW stolen AS SELECT * FROM read_csv('{secret}')")
        connection.execute("CREATE TABLE computed (step INTEGER, secret AS (step + 1))")
    tables = read("duckdb-file", path)
    assert [table.name for table, _ in tables] == ["computed", "log", "other.log"]
    frames = {table.name: frame for table, frame in tables}
    assert list(frames["computed"]) == ["step"]
    np.testing.assert_array_equal(frames["log"]["loss"], np.arange(100_000) / 4)
    assert frames["other.log"]["tag"].tolist()[0] == "b"
    assert "words" in tables[0].table.notes[0]


def test_sqlite_gives_its_tables_with_numbers_and_never_a_view(tmp_path: Path) -> None:
    path = tmp_path / "logs.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE log (step, loss, mixed, picture, rest BLOB, twice AS (step * 2))")
        rows = [(1, 0.5, 1, b"1", None), (2, math.inf, "two", b"2", 7), (3, 1, None, b"3", b"3")]
        connection.executemany("INSERT INTO log VALUES (?, ?, ?, ?, ?)", rows)
        connection.execute("CREATE VIEW seen AS SELECT * FROM log")
        connection.execute("CREATE TABLE words (word TEXT)")
        connection.execute("CREATE VIRTUAL TABLE found USING fts5 (word)")
    tables = {read.table.name: read for read in read("sqlite-file", path)}
    assert not {"seen", "words", "found"} & set(tables)
    table, frame = tables["log"]
    assert frame["step"].tolist() == [1, 2, 3]
    assert frame["loss"].tolist() == [0.5, math.inf, 1.0]
    assert frame["mixed"].tolist()[:2] == ["1", "two"]
    assert frame["rest"].tolist()[1] == 7
    assert list(frame) == ["step", "loss", "mixed", "rest"]
    assert "`picture`" in table.notes[0]
    assert "words" in table.notes[1]


def test_a_view_that_poses_as_a_table_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "logs.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE log (step)")
    connection.execute("INSERT INTO log VALUES (1)")
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute(
        "INSERT INTO sqlite_master SELECT 'table', 'trap', 'trap', rootpage, "
        "'CREATE VIEW trap AS SELECT step FROM log' FROM sqlite_master WHERE name = 'log'"
    )
    connection.commit()
    connection.close()
    with pytest.raises(LabError, match="SQLite cannot read it"):
        read("sqlite-file", path)


def test_a_database_with_a_journal_says_so(tmp_path: Path) -> None:
    path = tmp_path / "logs.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE log AS SELECT 1 AS step")
    connection.commit()
    connection.close()
    ((table, frame),) = read("sqlite-file", path)
    assert frame["step"].tolist() == [1]
    assert "-wal" in table.notes[0]
