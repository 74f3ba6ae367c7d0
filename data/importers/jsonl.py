"""JSON lines: an object on every line, as many logging libraries and scripts append them."""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any

import duckdb

from data.errors import LabError
from data.importers._importer import HEAD, Importer, LogFile, LogTable, unreadable
from data.importers._json_rows import LONGEST, MEND, decoded, log_table, opened
from data.importers._text import head_text


def is_lines(file: LogFile) -> bool:
    """Whether the first two lines are an object each; where there is one only, its name must say so too."""
    lines = [line.strip() for line in islice(filter(str.strip, head_text(file).split("\n")), 2)]
    if not lines or not lines[0].startswith("{"):
        return False
    if len(lines) == 1 and len(file.head) < HEAD:
        return file.base.lower().endswith((".jsonl", ".ndjson"))
    return lines[0].endswith("}") and all(line.startswith("{") for line in lines)


def rows(file: LogFile) -> Iterator[tuple[str, Any]]:
    """Yield each row with its line.

    Raises:
        LabError: a line is not JSON.
    """
    number = 0
    with opened(file) as text:
        while True:
            number += 1

            def fail(what: str, number: int = number) -> LabError:
                return unreadable(file, f"line {number} {what}", MEND)

            try:
                line = text.readline(LONGEST)
            except UnicodeError as error:
                raise fail("is no text") from error
            if not line:
                return
            if len(line) == LONGEST:
                raise fail(f"is longer than {LONGEST >> 20} MB")
            if line.strip():
                yield f"line {number}", decoded(line, fail)


def find_line(file: LogFile, place: int) -> str:
    """Tell on which line a row stands, given its place from 0."""
    with opened(file) as text:
        filled = (number for number, line in enumerate(text, 1) if line.strip())
        return f"line {next(islice(filled, place, None), place + 1)}"


def read(connection: duckdb.DuckDBPyConnection, files: Sequence[LogFile]) -> Iterator[LogTable]:
    """Read one row per line."""
    for file in files:
        yield log_table(connection, file, partial(rows, file), find_line=partial(find_line, file))


IMPORTER = Importer(title="JSON lines", can_read=is_lines, read=read)
