"""Whatever is written as CSV or JSON lines is read back equal, and no bytes do more than refuse."""

import csv
import io
import json
import math
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import LabError
from data.importers import LogFile, importers, recognize
from tests.data.importers.reading import WRITTEN

CONNECTION = duckdb.connect()
FIXTURES = sorted((WRITTEN / "text").iterdir())
WORDS = st.text(st.characters(categories=["L", "P", "S"]) | st.just(" "), max_size=8)
NAMES = st.lists(
    WORDS.map(str.strip).filter(lambda name: name and name.lower() not in ("step", "nan", "inf", "infinity")),
    min_size=1,
    max_size=4,
    unique_by=lambda name: name.lower(),
)
NUMBERS = st.none() | st.floats() | st.integers(-(10**12), 10**12)


def read_back(name: str, content: bytes) -> tuple[str | None, list[str], list[Sequence[Any]]]:
    """Return the importer that knows a file of this content, the columns and the rows."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(content)
        file = LogFile(name, path)
        found = recognize(file)
        if found is None:
            return None, [], []
        table = next(importers()[found].read(CONNECTION, [file]))
        columns, rows = table.rows.columns, table.rows.fetchall()
        assert table.find_line is None or rows == [] or table.find_line(len(rows) - 1)
        return found, columns, rows


def same(found: Any, expected: Any) -> bool:
    return found == expected or (
        isinstance(expected, float)
        and isinstance(found, float)
        and math.isnan(expected)
        and math.isnan(found)
    )


@settings(max_examples=60, deadline=None)
@given(
    data=st.data(),
    names=NAMES,
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    ending=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_delimited_text_round_trips(
    data: st.DataObject, names: list[str], delimiter: str, quoting: Any, ending: str, encoding: str
) -> None:
    text, *metrics = names
    row = st.tuples(WORDS, *[NUMBERS] * len(metrics))
    rows = [[step, *cells] for step, cells in enumerate(data.draw(st.lists(row, min_size=1, max_size=6)))]
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter=delimiter, quoting=quoting, lineterminator=ending)
    writer.writerows([["step", text, *metrics], *rows])
    _, columns, found = read_back("log.csv", buffer.getvalue().encode(encoding))
    assert columns == ["step", text, *metrics]
    assert len(found) == len(rows)
    for cells, [step, words, *values] in zip(found, rows, strict=True):
        assert int(cells[0]) == step
        assert (cells[1] or "").strip() == words.strip()
        for cell, value in zip(cells[2:], values, strict=True):
            assert cell is None if value is None else same(type(value)(cell), value)


def cell_of(kind: str) -> st.SearchStrategy[Any]:
    kinds: dict[str, st.SearchStrategy[Any]] = {
        "integer": st.integers(-(2**63), 2**63 - 1),
        "float": st.floats(),
        "truth": st.booleans(),
        "text": WORDS,
    }
    return st.none() | kinds[kind]


@settings(max_examples=50, deadline=None)
@given(data=st.data(), names=NAMES, indent=st.sampled_from([None, 1]), ascii_only=st.booleans())
def test_json_round_trips(
    data: st.DataObject, names: list[str], indent: int | None, ascii_only: bool
) -> None:
    kinds = [data.draw(st.sampled_from(["integer", "float", "truth", "text"])) for _ in names]
    cells = {name: cell_of(kind) for name, kind in zip(names, kinds, strict=True)}
    drawn = data.draw(st.lists(st.fixed_dictionaries({}, optional=cells), min_size=1, max_size=6))
    rows = [{"step": step, "in": {"it": step}, **row} for step, row in enumerate(drawn)]
    lines = "".join(json.dumps(row, ensure_ascii=ascii_only) + "\n" for row in rows)
    array = json.dumps(rows, ensure_ascii=ascii_only, indent=indent)
    for name, content, importer in (("log.jsonl", lines, "jsonl"), ("log.json", array, "json-array")):
        known, columns, found = read_back(name, content.encode())
        assert known == importer
        assert {*columns} == {"step", "in/it", *(name for row in drawn for name in row)}
        for values, row in zip(found, rows, strict=True):
            flat = {**row, "in/it": row["in"]["it"]}
            assert all(
                same(value, flat.get(column)) for column, value in zip(columns, values, strict=True)
            ), (values, flat)


def refused_or_read(name: str, content: bytes) -> None:
    """Read a file, which may be refused but must not fail in another way."""
    with suppress(LabError):
        read_back(name, content)


@settings(max_examples=50, deadline=None)
@given(
    name=st.sampled_from(["log.csv", "log.jsonl", "log.json"]),
    start=st.sampled_from(
        [b"", b"a,b\n1,2\n", b'{"a": 1}\n', b'[{"a": 1},', b'{"a": [1,', b"\xff\xfe", b"# a b\n1 2\n"]
    ),
    rest=st.binary(max_size=60)
    | st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass")),
)
def test_no_bytes_do_more_than_refuse(name: str, start: bytes, rest: bytes) -> None:
    refused_or_read(name, start + rest)


@settings(max_examples=60, deadline=None)
@given(path=st.sampled_from(FIXTURES), data=st.data())
def test_damaged_fixtures_do_no_more_than_refuse(path: Path, data: st.DataObject) -> None:
    content = path.read_bytes()
    at = data.draw(st.integers(0, len(content)))
    length = data.draw(st.integers(0, 8))
    put = data.draw(
        st.binary(max_size=4) | st.sampled_from([b",", b'"', b"\n", b"{", b"]", b"\0", b"\\ud800", b"1e999"])
    )
    refused_or_read(path.name, content[:at] + put + content[at + length :])
