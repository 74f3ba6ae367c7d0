"""Reads rows written as JSON objects, in two passes: names and kinds first, then the rows, batch by batch.

Objects within an object are flattened to names such as "train/loss"; lists and texts stay text. NaN and
Infinity are taken, as Python and most tools write them. No more than one value is decoded at a time.
"""

import io
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import duckdb
import pyarrow as pa

from data.errors import LabError
from data.importers._importer import LogFile, LogTable, Role, unreadable
from data.importers._text import distinct, encoding

LONGEST = 1 << 24
"""Characters of the longest line, or of the longest value in a list, that is read."""

CELLS = 1 << 18
"""Cells of a batch of rows; a batch has 4096 rows at most."""

MEND = "Mend or delete it; a training that was killed may have left its last line unfinished."

Fail = Callable[[str], LabError]
"""Makes an error of what is wrong."""

_CHUNK = 1 << 16
_BOOL, _INTEGER, _FLOAT, _TEXT = range(4)
_TYPES = (pa.bool_(), pa.int64(), pa.float64(), pa.string())
_CONVERT: tuple[Callable[[Any], Any], ...] = (bool, int, float, lambda value: _written(value))


def log_table(
    connection: duckdb.DuckDBPyConnection,
    file: LogFile,
    rows: Callable[[], Iterator[tuple[str, Any]]],
    find_line: Callable[[int], str],
    left_out: Callable[[Any], bool] = lambda value: False,
    roles: Mapping[str, Role] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> LogTable:
    """Read objects as the rows of a table, each column of the narrowest kind that holds all its values.

    Args:
        connection: that reads the rows.
        file: they are from.
        rows: yields them from the start, each time it is called, with their places: ("line 7", {...}).
        find_line: tells where a row stands.
        left_out: whether a value is of a kind that is not read; its name is noted.
        roles: of columns; those of names that no row has are passed over.
        facts: of the run.

    Raises:
        LabError: there is no row, or one is no object, has a name twice once flattened, or holds what is no
            text.
    """
    kinds: dict[str, int | None] = {}
    skipped: dict[str, None] = {}
    empty = True
    for place, row in rows():
        empty = False
        if not isinstance(row, dict):
            raise unreadable(file, f"{place} is not an object in braces", "Give one object for each row.")
        try:
            for name, value in _flat(row, left_out, skipped).items():
                kind = _kind(value)
                if name not in kinds:
                    name.encode()
                known = kinds.get(name)
                kinds[name] = kind if known is None else known if kind is None else max(known, kind)
        except UnicodeEncodeError as error:
            raise unreadable(file, f"{place} has bytes or characters that are no UTF-8 text", MEND) from error
        except RecursionError as error:
            raise unreadable(file, f"{place} is nested too deeply", MEND) from error
        except KeyError as error:
            raise unreadable(file, f"{place} has two values for `{error.args[0]}`", MEND) from error
    if empty or not kinds:
        raise unreadable(file, "it has no rows with values", "Leave it out, or give a run that was logged.")
    names, notes = distinct(name or "column 1" for name in kinds)
    if skipped:
        notes = (*notes, f"Left out, because they are no numbers: {', '.join(f'`{n}`' for n in skipped)}.")
    return LogTable(
        rows=connection.from_arrow(_reader(rows, dict(zip(kinds, names, strict=True)), kinds, left_out)),
        roles={name: role for name, role in (roles or {}).items() if name in kinds},
        facts=facts or {},
        notes=notes,
        find_line=find_line,
    )


def _reader(
    rows: Callable[[], Iterator[tuple[str, Any]]],
    names: Mapping[str, str],
    kinds: Mapping[str, int | None],
    left_out: Callable[[Any], bool],
) -> pa.RecordBatchReader:
    """Stream rows as Arrow batches."""
    columns = {name: _FLOAT if kind is None else kind for name, kind in kinds.items()}
    schema = pa.schema([(names[name], _TYPES[kind]) for name, kind in columns.items()])
    size = max(1, min(4096, CELLS // len(columns)))

    def batch(held: list[dict[str, Any]]) -> pa.RecordBatch:
        arrays = []
        for name, kind in columns.items():
            cells = [row.get(name) for row in held]
            convert = _CONVERT[kind]
            arrays.append(pa.array([None if cell is None else convert(cell) for cell in cells], _TYPES[kind]))
        return pa.RecordBatch.from_arrays(arrays, schema=schema)

    def batches() -> Iterator[pa.RecordBatch]:
        held: list[dict[str, Any]] = []
        for _, row in rows():
            held.append(_flat(row, left_out, {}))
            if len(held) == size:
                yield batch(held)
                held = []
        if held:
            yield batch(held)

    return pa.RecordBatchReader.from_batches(schema, batches())


def _flat(row: dict[str, Any], left_out: Callable[[Any], bool], skipped: dict[str, None]) -> dict[str, Any]:
    """Flatten objects within a row; what is left out goes to `skipped`.

    Raises:
        KeyError: two values have the same name.
    """
    found: dict[str, Any] = {}
    for name, value in row.items():
        if left_out(value):
            skipped[name] = None
            continue
        inner = (
            {f"{name}/{under}": cell for under, cell in _flat(value, left_out, skipped).items()}
            if isinstance(value, dict)
            else {name: value}
        )
        for key, cell in inner.items():
            if key in found:
                raise KeyError(key)
            found[key] = cell
    return found


def _kind(value: Any) -> int | None:
    """Return the kind of a value, None of a missing one.

    Raises:
        UnicodeEncodeError: it holds half of a surrogate pair.
    """
    if value is None:
        return None
    if isinstance(value, bool):
        return _BOOL
    if isinstance(value, int):
        return _INTEGER if -(1 << 63) <= value < 1 << 63 else _TEXT
    if isinstance(value, float):
        return _FLOAT
    written = _written(value)
    if not written.isascii():
        written.encode()
    return _TEXT


def _written(value: Any) -> str:
    """Return a text, and anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def opened(file: LogFile) -> io.TextIOBase:
    """Open a file's text; bytes that are no UTF-8 become halves of surrogates, which `log_table` finds."""
    written = encoding(file)
    return file.path.open(encoding="utf-8" if written == "latin-1" else written, errors="surrogateescape")


def decoded(text: str, fail: Fail) -> Any:
    """Decode one JSON value."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise fail(f"is not JSON: {error.msg.lower()} at character {error.pos + 1}") from error
    except RecursionError as error:
        raise fail("is nested too deeply") from error
    except ValueError as error:
        raise fail("has a number of too many digits") from error


def items(text: io.TextIOBase, fail: Fail) -> Iterator[tuple[str | None, bool, Any]]:
    """Go through one JSON array or object without holding it.

    Yields:
        Of an array each value, as (None, True, value); of an object each value as (name, False, value), and
        of a list in it each value, as (name, True, value).

    Raises:
        LabError: made by `fail` of a clause such as "line 7 is not JSON"; it is none, or ends too early.
    """
    stream = _Stream(text, fail)
    if stream.take("[{") == "[":
        for value in stream.values():
            yield None, True, value
    elif stream.peek() == "}":
        stream.take("}")
    else:
        while True:
            name = stream.value()
            if not isinstance(name, str):
                raise stream.wrong("has a name that is no text")
            stream.take(":")
            if stream.peek() == "[":
                stream.take("[")
                for value in stream.values():
                    yield name, True, value
            else:
                yield name, False, stream.value()
            if stream.take(",}") == "}":
                break
    if stream.peek():
        raise stream.wrong("goes on after the end of the JSON")


class _Stream:
    """Text that is decoded value by value; it holds little more than the value at hand."""

    def __init__(self, text: io.TextIOBase, fail: Fail) -> None:
        self.text, self.fail = text, fail
        self.buffer, self.at, self.line, self.ended = "", 0, 1, False
        self.decoder = json.JSONDecoder()

    def wrong(self, what: str, at: int | None = None) -> LabError:
        """Make an error of a clause about the line of a place in the buffer."""
        line = self.line + self.buffer.count("\n", 0, self.at if at is None else at)
        return self.fail(f"line {line} {what}")

    def fill(self) -> None:
        """Read on, at least as much again as is held, and forget what is decoded."""
        self.line += self.buffer.count("\n", 0, self.at)
        rest = self.buffer[self.at :]
        try:
            more = self.text.read(max(_CHUNK, len(rest)))
        except UnicodeError as error:
            raise self.wrong("is followed by bytes that are no text") from error
        self.buffer, self.at, self.ended = rest + more, 0, not more

    def peek(self) -> str:
        """Return the next character that is no space, "" at the end."""
        while True:
            while self.at < len(self.buffer):
                if not self.buffer[self.at].isspace():
                    return self.buffer[self.at]
                self.at += 1
            if self.ended:
                return ""
            self.fill()

    def take(self, expected: str) -> str:
        """Return the next character, which must be one of those expected."""
        found = self.peek()
        if not found or found not in expected:
            wanted = " or ".join(f"`{character}`" for character in expected)
            raise self.wrong(f"has {f'`{found}`' if found else 'the end of the file'} instead of {wanted}")
        self.at += 1
        return found

    def value(self) -> Any:
        """Decode the next value."""
        self.peek()
        while True:
            try:
                value, end = self.decoder.raw_decode(self.buffer, self.at)
            except json.JSONDecodeError as error:
                if self.ended:
                    raise self.wrong(f"is not JSON: {error.msg.lower()}", error.pos) from error
            except RecursionError as error:
                raise self.wrong("is nested too deeply") from error
            except ValueError as error:
                raise self.wrong("has a number of too many digits") from error
            else:
                # A number that ends with the buffer may go on after it.
                if end < len(self.buffer) or self.ended:
                    self.at = end
                    return value
            if len(self.buffer) - self.at > LONGEST:
                raise self.wrong(f"begins a value that is not JSON or longer than {LONGEST >> 20} MB")
            self.fill()

    def values(self) -> Iterator[Any]:
        """Decode the values of a list that was begun."""
        if self.peek() == "]":
            self.take("]")
            return
        while True:
            yield self.value()
            if self.take(",]") == "]":
                return
