"""Reads a small table that somebody pasted or uploaded: examples in rows, one column with two classes."""

from __future__ import annotations

import codecs
import csv
import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from data.errors import LabError

MOST_ROWS, MOST_FEATURES, MOST_NUMBERS = 2_000, 200, 20_000
"""A data set whose orders can be tried in minutes: 400 orders of 20,000 numbers take about one."""
MOST_CHARACTERS = 1_000_000
LEAST_SIZE, MOST_SIZE = 1e-100, 1e100
"""Sizes between which a number can be squared, as normalization does, without becoming 0 or infinite."""

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
_LIMIT = (
    f"At most {MOST_ROWS:,} examples, {MOST_FEATURES} features and {MOST_NUMBERS:,} numbers together "
    "can be read"
)
_SHORTER = "Paste a part of it, for example a random sample of the rows."
_SHOWN = 6
_SEPARATORS = {"\t": "tabs", ";": "semicolons", ",": "commas", "": "spaces"}


@dataclass(frozen=True)
class LabelledTable:
    """Examples of two classes.

    Attributes:
        X: the examples in rows, all finite.
        labels: -1 or +1 for each.
        negative: what the label column says for -1; empty where no example has it.
        positive: what it says for +1; empty where no example has it.
        features: names of the columns of `X`.
        label: name of the label column.
        told: what was made of the text, in sentences.
    """

    X: Float[np.ndarray, "examples features"]
    labels: Float[np.ndarray, " examples"]
    negative: tuple[str, ...]
    positive: tuple[str, ...]
    features: tuple[str, ...]
    label: str
    told: tuple[str, ...]

    @property
    def sha256(self) -> str:
        """Checksum of the numbers and signs: the same for the same data, however they were written."""
        content = np.column_stack([self.X, self.labels]).astype("<f8") + 0.0  # -0.0 is 0.0
        return hashlib.sha256(repr(content.shape).encode() + content.tobytes()).hexdigest()


def read_table(text: str, label: str | None = None, positive: str | None = None) -> LabelledTable:
    """Read examples and their two classes from text; nothing in it is ever evaluated.

    Cells are separated by tabs, semicolons, commas or spaces, the first of these that the first line has.
    Between semicolons a comma is a decimal point where no number has a point. A first line without any number
    among its features is a header. Lines that are empty or begin with # are left out.

    Args:
        text: the table.
        label: which column holds the class: its name in the header, or its number, the first being 1; the
            last column when None.
        positive: the class that becomes +1, all others becoming -1. When None there must be two at most: the
            smaller number, or the first in the alphabet, becomes -1, the other +1; a single one becomes +1.

    Raises:
        LabError: the text is no such table, or a larger one than can be read; the message names line and
            column of what is wrong.
    """
    if len(text) > MOST_CHARACTERS:
        raise LabError(
            "The data are too large",
            f"The text has {len(text):,} characters; at most {MOST_CHARACTERS:,} can be read.",
            _SHORTER,
        )
    rows, separator = _cells(text)
    column = _label_column(rows, label)
    header = _header(rows, column)
    names = header or [f"column {place}" for place in range(1, len(rows[0][1]) + 1)]
    examples = rows[1:] if header else rows
    _require_size(len(examples), len(names) - 1)
    places = [place for place in range(len(names)) if place != column]
    commas = separator == ";" and not any("." in cells[place] for _, cells in examples for place in places)
    X = np.array(
        [[_number(cells[place], line, names, place, commas) for place in places] for line, cells in examples]
    )
    classes = [_class(cells[column], line, names, column) for line, cells in examples]
    below, above = _sides(classes, names[column], positive)
    told = [
        f"Read {len(X):,} rows between {_SEPARATORS[separator]}, {'with' if header else 'without'} a header."
    ]
    if remarks := len(re.findall(r"^[^\S\r\n]*#", text, re.MULTILINE)):
        told.append(f"Left out {remarks:,} lines that begin with #.")
    if commas and any("," in cells[place] for _, cells in examples for place in places):
        told.append("Commas are read as decimal points.")
    if np.array_equal(X[:, 0] - X[0, 0], np.arange(len(X))) and len(X) > 2:
        told.append(
            f"`{names[places[0]]}` counts the rows and is read as a feature: leave it out if it is none."
        )
    signs = np.array([1.0 if one in above else -1.0 for one in classes])
    return LabelledTable(
        X, signs, below, above, tuple(names[place] for place in places), names[column], tuple(told)
    )  # fmt: skip


def decoded(content: bytes, name: str) -> str:
    """Return the text of an uploaded file, whatever its name promises.

    Raises:
        LabError: it is no text, or too large.
    """
    if len(content) > 2 * MOST_CHARACTERS:
        raise LabError(
            "The file is too large", f"`{name}` has {len(content):,} bytes; {_LIMIT.lower()}.", _SHORTER
        )
    encoding = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise LabError(
            "The file is no text",
            f"`{name}` holds something else than a table in UTF-8.",
            "Save the table as CSV, for example from the spreadsheet program, and choose that file.",
        )
    return text


def _cells(text: str) -> tuple[list[tuple[int, list[str]]], str]:
    """Return the cells of each line with its number, the first being 1, and what separates them."""
    plain = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")
    lines = plain.split("\n")
    first = next((line for line in lines if line.strip() and not line.lstrip().startswith("#")), None)
    if first is None:
        raise LabError(
            "No data",
            "The text is empty." if not plain.strip() else "Every line begins with #.",
            "Give one example a line: its features, then its class.",
        )
    separator = next((one for one in "\t;," if one in first), "")
    rows = list[tuple[int, list[str]]]()
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            cells = _split(line, separator)
        except csv.Error as error:
            raise LabError(
                "A line cannot be read",
                f"Line {number}: {error}.",
                "Write one example a line, without quotes.",
            ) from error
        if rows and len(cells) != len(rows[0][1]):
            raise LabError(
                "The rows have different lengths",
                f"Line {number} has {len(cells)} cells, line {rows[0][0]} has {len(rows[0][1])}.",
                "Give every example the same number of features and one class.",
            )
        if len(cells) < 2:
            raise LabError(
                "Only one column",
                f"Line {number} has one cell, `{_short(line)}`.",
                "Give each example at least one feature and its class, for example `0.5, a`.",
            )
        rows.append((number, cells))
        if len(rows) > MOST_ROWS + 1 or len(cells) > MOST_FEATURES + 1:
            _require_size(len(rows), len(cells) - 1)
    return rows, separator


def _split(line: str, separator: str) -> list[str]:
    if not separator:
        return line.split()
    return [cell.strip() for cell in next(csv.reader([line], delimiter=separator, skipinitialspace=True))]


def _require_size(examples: int, features: int) -> None:
    if examples > MOST_ROWS or features > MOST_FEATURES or examples * features > MOST_NUMBERS:
        more = "more than " if examples > MOST_ROWS else ""
        told = f"{more}{min(examples, MOST_ROWS):,} examples of {features:,} features"
        raise LabError("The data are too large", f"The text has {told}. {_LIMIT}.", _SHORTER)
    if examples < 2:
        raise LabError(
            "Too few examples", f"The text has {examples}; an order needs at least two.", "Add examples."
        )


def _label_column(rows: Sequence[tuple[int, list[str]]], label: str | None) -> int:
    """Return the place of the label column, counted from 0."""
    line, first = rows[0]
    if label is None or not label.strip():
        return len(first) - 1
    wanted = label.strip()
    if first.count(wanted) == 1 and not _NUMBER.fullmatch(wanted):
        return first.index(wanted)
    if re.fullmatch("[0-9]{1,4}", wanted, re.ASCII) and 1 <= int(wanted) <= len(first):
        return int(wanted) - 1
    raise LabError(
        "Unknown label column",
        f"Line {line} has no single column `{_short(wanted)}`; it has {len(first)} columns: "
        f"{_listed(first)}.",
        f"Choose one by its name in the header or by its number, 1 to {len(first)}.",
    )


def _header(rows: Sequence[tuple[int, list[str]]], column: int) -> list[str] | None:
    """Return the names of the columns; None where the first line is an example."""
    features = [cell for place, cell in enumerate(rows[0][1]) if place != column]
    numbers = (_signed(cell).replace(",", ".", 1) for cell in features)
    if any(_NUMBER.fullmatch(number) or _NOT_FINITE.fullmatch(number) for number in numbers):
        return None
    return [cell or f"column {place}" for place, cell in enumerate(rows[0][1], 1)]


def _number(cell: str, line: int, names: Sequence[str], place: int, commas: bool) -> float:
    written = _signed(cell)
    if commas:
        written = written.replace(",", ".", 1)
    where = f"Line {line}, {_where(names, place)}"
    if not _NUMBER.fullmatch(written):
        what = "is empty" if not cell else f"is `{_short(cell)}`"
        if _NOT_FINITE.fullmatch(cell):
            raise LabError(
                "A number is not finite", f"{where} {what}.", "Leave out examples with missing values."
            )
        raise LabError(
            "A cell is no number",
            f"{where} {what}.",
            "Give numbers as features; choose the label column if it is not the last one.",
        )
    value = float(written)
    if math.isinf(value) or (value and not LEAST_SIZE <= abs(value) <= MOST_SIZE):
        raise LabError(
            "A number is too large or too small",
            f"{where} is `{_short(cell)}`; 0 and sizes from {LEAST_SIZE:g} to {MOST_SIZE:g} can be "
            "normalized.",
            "Use other units.",
        )
    return value


def _class(cell: str, line: int, names: Sequence[str], place: int) -> str:
    if not cell or cell.lower() == "nan":
        raise LabError(
            "A class is missing",
            f"Line {line}, {_where(names, place)} is {'empty' if not cell else f'`{cell}`'}.",
            "Leave out examples without a class.",
        )
    return cell


def _sides(classes: list[str], column: str, positive: str | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what becomes -1 and what becomes +1; equal numbers become one class, in place."""
    values = [_value(one) for one in classes]
    if None not in values:
        classes[:] = [repr(value).removesuffix(".0") for value in values]
        distinct = sorted(set(classes), key=lambda one: _value(one) or 0.0)
    else:
        distinct = sorted(set(classes))
    if positive is not None and positive.strip():
        wanted = positive.strip()
        value = _value(wanted) if None not in values else None
        above = [one for one in distinct if one == wanted or (value is not None and _value(one) == value)]
        if not above:
            raise LabError(
                "Unknown class",
                f"`{column}` never says `{_short(wanted)}`; it says {_listed(distinct)}.",
                "Choose one of these as the positive class.",
            )
        return tuple(one for one in distinct if one not in above), tuple(above)
    if len(distinct) > 2:
        raise LabError(
            "More than two classes",
            f"`{column}` has {len(distinct):,} different values: {_listed(distinct)}.",
            f"Choose one class against the rest, for example `{_short(distinct[0])}` as the positive class, "
            "or another column as the label.",
        )
    return tuple(distinct[:-1]), tuple(distinct[-1:])


def _value(text: str) -> float | None:
    written = _signed(text)
    value = float(written) if _NUMBER.fullmatch(written) else math.nan
    return value if math.isfinite(value) else None


def _signed(cell: str) -> str:
    return cell.replace("\u2212", "-", 1)  # the minus of a typeset table


def _where(names: Sequence[str], place: int) -> str:
    own = f"column {place + 1}"
    return own if names[place] == own else f"{own} (`{_short(names[place])}`)"


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:39]}…"


def _listed(words: Sequence[str]) -> str:
    told = ", ".join(f"`{_short(word)}`" for word in words[:_SHOWN])
    return f"{told}, …" if len(words) > _SHOWN else told
