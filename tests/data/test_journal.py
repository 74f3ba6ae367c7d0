"""The journal: what was acknowledged is read back whole, whatever happened to the rest."""

import resource
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.columns import schema
from data.errors import LabError
from data.journal import JournalWriter, read_journal

COLUMNS = schema(["loss", "layer/norm"], "float32")


def batch(start: int, rows: int) -> pa.RecordBatch:
    values = pa.array([None, np.nan, np.inf, -np.inf, 1.5] * rows, pa.float32(), from_pandas=False)[:rows]
    number = np.arange(start, start + rows)
    return pa.record_batch(
        [
            pa.array(number, pa.int32()),
            pa.array(number),
            pa.array(number / 2),
            pa.array(number / 4),
            values,
            values,
        ],
        schema=COLUMNS,
    )


def test_torn_at_every_byte_of_the_last_batch(tmp_path: Path) -> None:
    path = tmp_path / "0.arrows"
    writer = JournalWriter(path, COLUMNS)
    ends = [writer.bytes]
    for number in range(3):
        writer.append(batch(5 * number, 5))
        ends.append(writer.bytes)
    writer.close()
    content = path.read_bytes()
    assert ends[-1] == len(content)
    whole = read_journal(path)
    torn = tmp_path / "torn.arrows"
    for length in range(len(content) + 1):
        torn.write_bytes(content[:length])
        rows = 5 * sum(length >= end for end in ends[1:])
        found = read_journal(torn)
        assert found.num_rows == rows, length
        if rows:
            assert identical(found, whole.slice(0, rows))


def identical(left: pa.Table, right: pa.Table) -> bool:
    """Compare with NaN equal to NaN and NULL equal to NULL only."""
    return [repr(row) for row in left.to_pylist()] == [repr(row) for row in right.to_pylist()]


def test_null_and_non_finite_values_stay_apart(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "0.arrows", COLUMNS)
    writer.append(batch(0, 5))
    writer.close()
    assert repr(read_journal(tmp_path / "0.arrows")["loss"].to_pylist()) == "[None, nan, inf, -inf, 1.5]"


def test_a_mapped_table_outlives_the_file(tmp_path: Path) -> None:
    path = tmp_path / "0.arrows"
    writer = JournalWriter(path, COLUMNS)
    writer.append(batch(0, 1000))
    table = read_journal(path)
    writer.append(batch(1000, 1000))
    writer.close()
    path.unlink()
    assert table["step"].to_pylist() == list(range(1000))
    with pytest.raises(FileNotFoundError):
        read_journal(path)


def test_an_empty_or_strange_file(tmp_path: Path) -> None:
    empty = tmp_path / "0.arrows"
    empty.touch()
    assert read_journal(empty).num_rows == 0
    writer = JournalWriter(tmp_path / "1.arrows", COLUMNS)
    writer.append(batch(0, 5))
    writer.close()
    content = bytearray((tmp_path / "1.arrows").read_bytes())
    content[8:24] = b"\xff" * 16
    (tmp_path / "1.arrows").write_bytes(content)
    with pytest.raises(LabError, match="damaged"):
        read_journal(tmp_path / "1.arrows")


def test_refuses_other_columns_and_a_second_writer(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "0.arrows", COLUMNS)
    with pytest.raises(ValueError, match="must have the journal's columns"):
        writer.append(pa.record_batch({"run": pa.array([1], pa.int32())}))
    with pytest.raises(LabError):
        JournalWriter(tmp_path / "0.arrows", COLUMNS)
    writer.close()
    writer.close()
    with pytest.raises(ValueError, match="closed"):
        writer.append(batch(0, 1))


def test_a_refused_batch_hides_no_later_one(tmp_path: Path) -> None:
    path = tmp_path / "0.arrows"
    writer = JournalWriter(path, COLUMNS)
    writer.append(batch(0, 5))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (writer.bytes + 1000, limits[1]))
    try:
        with pytest.raises(LabError, match="disk is full") as raised:
            writer.append(batch(5, 5000))
        assert raised.value.remedy
        assert path.stat().st_size == writer.bytes
        writer.append(batch(5, 2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    writer.append(batch(7, 5000))
    writer.close()
    assert read_journal(path)["step"].to_pylist() == list(range(5007))


@settings(max_examples=25, deadline=None)
@given(sizes=st.lists(st.integers(0, 50), max_size=8), cut=st.integers(0, 10_000))
def test_any_prefix_gives_whole_batches(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], cut: int
) -> None:
    path = tmp_path_factory.mktemp("journal") / "0.arrows"
    writer = JournalWriter(path, COLUMNS)
    ends, rows = [], []
    for size in sizes:
        writer.append(batch(sum(rows), size))
        ends.append(writer.bytes)
        rows.append(size)
    writer.close()
    content = path.read_bytes()
    path.write_bytes(content[:cut])
    expected = sum(size for size, end in zip(rows, ends, strict=True) if end <= min(cut, len(content)))
    assert read_journal(path).num_rows == expected


@settings(max_examples=100, deadline=None)
@given(tail=st.one_of(st.binary(min_size=1, max_size=200), st.integers(1, 200).map(bytes)))
def test_anything_after_the_last_batch_is_a_torn_write(
    tmp_path_factory: pytest.TempPathFactory, tail: bytes
) -> None:
    path = tmp_path_factory.mktemp("journal") / "0.arrows"
    writer = JournalWriter(path, COLUMNS)
    writer.append(batch(0, 5))
    writer.close()
    path.write_bytes(path.read_bytes() + tail)
    assert read_journal(path)["step"].to_pylist() == list(range(5))


@pytest.mark.parametrize("wrong", [b"\0" * 16, b"\xff\xff\xff\xff\xff\xff\xff\x7f", b"\x17" * 8])
def test_damage_before_the_last_batch_is_no_torn_write(tmp_path: Path, wrong: bytes) -> None:
    path = tmp_path / "0.arrows"
    writer = JournalWriter(path, COLUMNS)
    writer.append(batch(0, 5))
    second = writer.bytes
    writer.append(batch(5, 5))
    writer.append(batch(10, 5))
    writer.close()
    content = bytearray(path.read_bytes())
    content[second : second + len(wrong)] = wrong
    path.write_bytes(content)
    with pytest.raises(LabError, match=f"damaged.*byte {second:,}"):
        read_journal(path)
