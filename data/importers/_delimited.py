"""Reads text whose cells are told apart by a character, at DuckDB's speed.

DuckDB reads UTF-8 with line ends of one kind, and takes quotes in a comment for those of cells. A file of
another encoding (UTF-16 with its mark, Latin-1), of mixed line ends or with such comments is rewritten first,
into a temporary file that lives as long as the connection.
"""

import csv
import io
import os
import re
import tempfile
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb

from data.columns import literal, quoted
from data.errors import LabError
from data.importers._importer import HEAD, LogFile, LogTable, Role, unreadable
from data.importers._text import decoded, distinct, encoding

DELIMITERS = ("\t", ";", "|", ",", " ")
"""Tried in this order where several fit equally well; a comma may be part of a number, a space of a name."""

CHECKED = 16 << 20
"""Bytes up to which a file is read through before its rows are given, so that it is known to be sound."""

LONG_HEAD = 1 << 20
"""Bytes that are looked at where the first line is longer than a head, as that of a chart of many runs is."""

RECORDS = 200
"""Rows that are looked at to know a file."""

MISSING = frozenset({"", "na", "n/a", "null", "none", "-"})

_MEND = "Mend or delete that line; a training that was killed may have left its last one unfinished."
_NUMBER = re.compile(r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|nan|inf(?:inity)?)", re.IGNORECASE)
_COMMA = r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?"
_COMMA_NUMBER = re.compile(_COMMA)
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+")


@dataclass(frozen=True)
class Delimited:
    """How a text holds its table.

    Attributes:
        names: of the columns, all different.
        delimiter: between cells; "" for any run of spaces and tabs.
        before: records before the first row of values: comments, blank lines, the header.
        comments: the lines before the header that begin with "#".
        decimal_comma: whether numbers are written as 0,5.
        padded: whether cells have spaces around them.
        sparse: whether a cell is empty, as far as was looked.
        mixed: whether lines end in different ways.
        notes: what a user should know.
    """

    names: tuple[str, ...]
    delimiter: str
    before: int
    comments: tuple[str, ...]
    decimal_comma: bool
    padded: bool
    sparse: bool
    mixed: bool
    notes: tuple[str, ...]


def known(file: LogFile) -> Delimited | None:
    """Return how a file holds its table, judged by its head; None where it holds none."""
    head = file.head
    if len(head) == HEAD and not set(head) & set(b"\r\n") and encoding(file):
        with file.path.open("rb") as content:
            head = content.read(LONG_HEAD)
    return _known(head, len(head) == file.size, file.base.lower().endswith((".csv", ".tsv")))


def names(file: LogFile) -> tuple[str, ...]:
    """Return the names of a file's columns; () where it holds no table."""
    found = known(file)
    return found.names if found else ()


@lru_cache(maxsize=8)
def _known(head: bytes, whole: bool, named: bool) -> Delimited | None:
    """Find delimiter, header and first row. A file named as a table may be broken, or have a header only."""
    written, text = decoded(head, whole)
    if not whole and "\n" not in text:
        return None
    lines = text.split("\n")
    above = next((at for at, line in enumerate(lines) if line.strip() and not line.startswith("#")), None)
    if above is None or lines[above].lstrip()[0] in "{[<":
        return None
    body = "\n".join(lines[above:])
    comments = tuple(line for line in lines[:above] if line.strip())
    found = _split(body, whole, named)
    if found is None:
        return None
    delimiter, records = found
    first, rows = [cell.strip() for cell in records[0]], records[1:]
    notes: list[str] = []
    headed = _is_header(first, rows, delimiter)
    if headed:
        header = [name or f"column {place + 1}" for place, name in enumerate(first)]
    else:
        rows = records
        header = _commented(comments, delimiter, len(first)) or []
        notes.append(
            "The names of the columns come from the comment above them."
            if header
            else "The file has no header; its columns are numbered."
        )
        header = header or [f"column {place + 1}" for place in range(len(first))]
    cells = [cell.strip() for row in rows if len(row) == len(first) for cell in row]
    commas = [cell for cell in cells if _COMMA_NUMBER.fullmatch(cell)]
    decimal_comma = bool(
        delimiter != ","
        and commas
        and not all(map(_THOUSANDS.fullmatch, commas))
        and not any("." in cell and _NUMBER.fullmatch(cell) for cell in cells)
    )
    if not headed and not delimiter.strip() and not all(map(_is_value, cells)):
        return None
    if not _numeric(rows, len(first), decimal_comma) and (rows or not named):
        return None
    if decimal_comma:
        notes.append("Numbers are written with a decimal comma.")
    if written == "latin-1":
        notes.append("The file is not UTF-8; it was read as Latin-1.")
    different, doubled = distinct(header)
    return Delimited(
        names=different,
        delimiter=delimiter,
        before=above + headed,
        comments=comments,
        decimal_comma=decimal_comma,
        padded=delimiter.strip() != "" and bool(re.search(rf"(?m)^ | $|[{delimiter}] | [{delimiter}]", body)),
        sparse=any(not cell for cell in cells),
        mixed=len({b"\r\n" in head, bool(re.search(rb"(?<!\r)\n|\r(?!\n)", head))}) == 1,
        notes=(*notes, *doubled),
    )


def _split(body: str, whole: bool, named: bool) -> tuple[str, list[list[str]]] | None:
    """Return the delimiter that gives most rows as many cells as the first, and most columns of numbers."""
    best: tuple[tuple[float, int], str, list[list[str]]] | None = None
    for delimiter in DELIMITERS:
        runs = delimiter == " " and re.search(r"(?m)^ | {2}|\t| $", body)
        try:
            records = list(islice(_cells(body.split("\n"), "" if runs else delimiter), RECORDS + 1))
        except csv.Error:
            continue
        if len(records) > 2 and (not whole or len(records) > RECORDS):
            records.pop()
        records = [record for record in records if record]
        width = len(records[0]) if records else 0
        rows = records[1:]
        agreeing = sum(_fits(row, width) for row in rows) / len(rows) if rows else 1.0
        if (
            width < 2
            or (delimiter == " " and not rows)
            or (agreeing < 0.5 and (delimiter == " " or not named))
        ):
            continue
        score = (agreeing, _numeric(rows, width, delimiter != ","))
        if best is None or score > best[0]:
            best = (score, "" if runs else delimiter, records)
    if best is None or best[0][0] < 0.5:
        alone = [[line.strip().strip('"')] for line in body.rstrip("\n").split("\n")[: RECORDS + 1]]
        if len(alone) > 1 and all(_is_value(line) for [line] in alone[1:]) and "," not in alone[0][0]:
            return ",", alone
    return best and best[1:]


def _cells(lines: Sequence[str] | io.TextIOBase, delimiter: str) -> Iterator[list[str]]:
    """Split lines into records of cells."""
    if not delimiter:
        return (line.split() for line in lines)
    ended = (line if line.endswith(("\n", "\r")) else line + "\n" for line in lines)
    return csv.reader(ended, delimiter=delimiter, skipinitialspace=delimiter != " ")


def _fits(row: Sequence[str], width: int) -> bool:
    """Whether a row has as many cells as the header, but for a delimiter at its end."""
    return len(row) == width or (len(row) == width + 1 and not row[-1])


def _is_value(cell: str) -> bool:
    return cell.strip().lower() in MISSING or bool(_NUMBER.fullmatch(cell.strip()))


def _is_header(first: Sequence[str], rows: Sequence[Sequence[str]], delimiter: str) -> bool:
    """Whether the first record names the columns; numbers can (a column per seed) beside or below a name."""
    numbers = [cell for cell in first if _NUMBER.fullmatch(cell) or _COMMA_NUMBER.fullmatch(cell)]
    if not numbers:
        return True
    if not first[0] and list(first[1:]) == [str(place) for place in range(len(first) - 1)]:
        return True
    texts = [place for place, cell in enumerate(first) if cell not in numbers and cell.lower() not in MISSING]
    labels = all(cell.isdecimal() for cell in numbers) and len(set(numbers)) == len(numbers)
    repeated = any(len(row) > place and row[place] == first[place] for row in rows[:1] for place in texts)
    return bool(texts) and labels and not repeated and delimiter.strip() != ""


def _commented(comments: Sequence[str], delimiter: str, width: int) -> list[str] | None:
    """Return the names in the last comment, if it has as many as there are columns."""
    if not comments:
        return None
    found = next(iter(_cells([comments[-1].lstrip("# ")], delimiter)), [])
    return [name.strip() for name in found] if len(found) == width and all(map(str.strip, found)) else None


def _numeric(rows: Sequence[Sequence[str]], width: int, comma: bool) -> int:
    """Count the columns that hold numbers only, as every log has and prose has not; broken rows count too."""
    fitting = [row for row in rows if len(row) >= width] or rows
    found = 0
    for column in zip(*(row[:width] for row in fitting), strict=False):
        cells = [cell.strip() for cell in column if cell.strip().lower() not in MISSING]
        found += bool(cells) and all(
            _NUMBER.fullmatch(cell) or (comma and _COMMA_NUMBER.fullmatch(cell)) for cell in cells
        )
    return found


def log_table(
    connection: duckdb.DuckDBPyConnection,
    file: LogFile,
    roles: Mapping[str, Role] | None = None,
    units: Mapping[str, str] | None = None,
    facts: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
) -> LogTable:
    """Read a file as a table whose cells are text; an empty cell is NULL.

    Raises:
        LabError: the file has no rows, or (up to `CHECKED` bytes) is damaged; of a longer file the damage is
            an error of DuckDB when its rows are drawn, which `explained` puts into words.
    """
    found = known(file)
    if found is None:
        raise unreadable(file, "it holds no table", "Give a file whose first line names its columns.")
    plain = (
        encoding(file) in ("utf-8", "utf-8-sig")
        and not found.mixed
        and not any('"' in comment for comment in found.comments)
    )
    path = file.path if plain else _rewritten(connection, file)
    rows = connection.sql(_query(path, found))
    if file.size <= CHECKED:
        counts = ", ".join(f"count({quoted(name)})" for name in found.names)
        try:
            [[count, *_]] = rows.aggregate(f"count(*), {counts}").fetchall()
        except duckdb.Error as error:
            raise explained(file, error) from error
        if not count:
            raise unreadable(
                file, "it has a header and no rows", "Leave it out, or give a run that was logged."
            )
        rows = connection.sql(_query(path, found))
    return LogTable(
        rows=rows,
        roles=roles or {},
        units=units or {},
        facts=facts or {},
        notes=(*found.notes, *notes),
        find_line=lambda place: _find_line(file, found, place),
        explain=lambda error: explained(file, error),
    )


def _query(path: Path, found: Delimited) -> str:
    """Return the SQL that reads a file's cells as text."""
    spaced = not found.delimiter
    columns = ["line"] if spaced else found.names
    typed = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in columns)
    delimiter, quote = (chr(1), "") if spaced else (found.delimiter, '"')
    source = (
        f"read_csv({literal(str(path))}, auto_detect=false, header=false, skip={found.before}, "
        f"columns={{{typed}}}, delim={literal(delimiter)}, quote={literal(quote)}, escape={literal(quote)})"
    )
    if spaced:
        wrong = f"error('a line has ' || len(cells) || ' cells; the header has {len(found.names)}')"
        cut = f"CASE WHEN len(cells) = {len(found.names)} THEN cells ELSE {wrong} END"
        source = (
            f"(SELECT {cut} AS cells FROM "
            f"(SELECT string_split_regex(trim(line, e' \\t\\r'), '[ \\t]+') AS cells "
            f"FROM {source} WHERE trim(line, e' \\t\\r') <> ''))"
        )
    selected = []
    for place, name in enumerate(found.names):
        cell = f"cells[{place + 1}]" if spaced else quoted(name)
        if found.padded:
            cell = f"nullif(trim({cell}), '')"
        if found.decimal_comma:
            comma = f"regexp_full_match({cell}, {literal(_COMMA)})"
            cell = f"CASE WHEN {comma} THEN replace({cell}, ',', '.') ELSE {cell} END"
        selected.append(f"{cell} AS {quoted(name)}")
    return f"SELECT {', '.join(selected)} FROM {source}"


def _rewritten(connection: duckdb.DuckDBPyConnection, file: LogFile) -> Path:
    """Write a file as UTF-8 with line feeds, its comments blank, for as long as the connection lives."""
    handle, name = tempfile.mkstemp(suffix=".csv")
    weakref.finalize(connection, _delete, name)
    try:
        with (
            os.fdopen(handle, "w", encoding="utf-8", newline="\n") as copy,
            file.path.open(encoding=encoding(file)) as text,
        ):
            line = text.readline()
            while line.startswith("#") or line.isspace():
                copy.write("\n")
                line = text.readline()
            copy.write(line)
            while part := text.read(1 << 20):
                copy.write(part)
    except UnicodeError as error:
        raise unreadable(file, f"it is not {encoding(file)} text throughout", "Save it as UTF-8.") from error
    return Path(name)


def _delete(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)


def _records(file: LogFile, found: Delimited) -> Iterator[tuple[int, list[str]]]:
    """Yield the line on which each row of values begins, from 1, and its cells; of blank lines none.

    Raises:
        csv.Error: a cell of more than 131,072 characters, as an open quote makes it.
    """
    with file.path.open(encoding=encoding(file), errors="replace", newline="") as text:
        for place, (line, cells) in enumerate(_numbered(text, found.delimiter)):
            if place >= found.before and (cells or len(found.names) == 1):
                yield line, cells


def _numbered(text: io.TextIOBase, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each record with the line on which it begins, from 1."""
    if not delimiter:
        yield from enumerate(_cells(text, delimiter), 1)
        return
    reader = csv.reader(text, delimiter=delimiter, skipinitialspace=delimiter != " ")
    ended = 0
    for cells in reader:
        yield ended + 1, cells
        ended = reader.line_num


def _find_line(file: LogFile, found: Delimited, place: int) -> str:
    """Tell on which line a row stands, given its place from 0."""
    with suppress(csv.Error):
        for line, _ in islice(_records(file, found), place, None):
            return f"line {line}"
    return f"row {place + 1}"


def explained(file: LogFile, error: duckdb.Error) -> LabError:
    """Put an error that DuckDB raised over the rows of a delimited file into words, with the line."""
    found, said = known(file), str(error)
    place = re.search(r"CSV Error on Line: (\d+)", said)
    line = f"line {place[1]}" if place else "a line"
    if "unterminated quote" in said:
        return unreadable(file, f"{line} has a quoted cell that does not end", _MEND)
    if "Invalid unicode" in said:
        return unreadable(file, f"{line} is not UTF-8 text", "Save the file as UTF-8.")
    if "aximum line size" in said or "max_line_size" in said:
        return unreadable(file, f"{line} is longer than 2 MB", "Give a file with one row a line.")
    with suppress(csv.Error):
        for start, cells in _records(file, found) if found else ():
            if found and not _fits(cells, len(found.names)):
                count, width = len(cells), len(found.names)
                cell = "cell" if count == 1 else "cells"
                return unreadable(file, f"line {start} has {count} {cell}; the header has {width}", _MEND)
    if "invalid state" in said:
        return unreadable(file, "its lines end in different ways", "Save it with line ends of one kind.")
    return unreadable(file, said.split("\n")[0], _MEND)
