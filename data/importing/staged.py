"""What was found in log files: tables by their columns, counted; their rows lie in a DuckDB file beside."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from data.importers import Role
from data.importing.gathering import Skipped

Kind = Literal["number", "text", "empty"]


@dataclass
class Column:
    """A column of a shape.

    Attributes:
        name: as in the file.
        role: what the format says it is, None where it says nothing.
        unit: what the format says, "" where nothing.
        kind: what its cells are; "empty" without any. Text among numbers makes no text of a column.
        numbers: cells that are numbers.
        texts: cells that are text.
        low: smallest finite number; None without any.
        high: largest finite number.
        whole: whether all its finite numbers are whole.
        text: the first text in it, with where it stands; empty without any.
    """

    name: str
    role: Role | None = None
    unit: str = ""
    kind: Kind = "empty"
    numbers: int = 0
    texts: int = 0
    low: float | None = None
    high: float | None = None
    whole: bool = True
    text: str = ""


@dataclass
class Table:
    """A table of a file: rows of the shape that have its number.

    Attributes:
        number: of the table.
        file: its file's name, of the first where several were read together.
        name: what tells it from others of the file.
        rows: how many it has.
        facts: what the format says of its run.
    """

    number: int
    file: str
    name: str
    rows: int
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass
class Shape:
    """Tables of one format with the same columns; their rows are the DuckDB table ``shape<number>``.

    It has the columns ``t`` (number of the table), ``n`` (place of the row in its table, from 0) and, of the
    i-th column, ``v<i>`` (number; of a moment, seconds since 1970) and ``s<i>`` (text that is no number).
    """

    number: int
    importer: str
    columns: list[Column]
    tables: list[Table] = field(default_factory=list)


@dataclass
class Staged:
    """What was found in the files.

    Attributes:
        shapes: tables by format and columns.
        files: of each file taken: name, sha256, size, importer, version.
        skipped: what was not taken, and why.
        notes: what a user should know of how files were read.
    """

    shapes: list[Shape] = field(default_factory=list)
    files: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    lines: dict[int, Callable[[int], str]] = field(default_factory=dict, repr=False, compare=False)
    """Tells where a row of a table stands in its file, while the file is there."""

    @property
    def tables(self) -> int:
        """Tables in all."""
        return sum(len(shape.tables) for shape in self.shapes)

    @property
    def rows(self) -> int:
        """Rows in all."""
        return sum(table.rows for shape in self.shapes for table in shape.tables)


def to_json(staged: Staged) -> str:
    """Write what was found as JSON, the rows apart."""
    plain = {
        "shapes": [
            {**vars(shape), "columns": [vars(one) for one in shape.columns],
             "tables": [vars(one) for one in shape.tables]}
            for shape in staged.shapes
        ],
        "files": staged.files,
        "skipped": [list(one) for one in staged.skipped],
        "notes": staged.notes,
    }  # fmt: skip
    return json.dumps(plain, default=lambda moment: moment.isoformat())


def from_json(text: str) -> Staged:
    """Read what `to_json` wrote; moments in facts stay ISO 8601 text."""
    told = json.loads(text)
    shapes = [
        Shape(
            one["number"], one["importer"], [Column(**each) for each in one["columns"]],
            [Table(**each) for each in one["tables"]],
        )
        for one in told["shapes"]
    ]  # fmt: skip
    return Staged(shapes, told["files"], [Skipped(*one) for one in told["skipped"]], told["notes"])
