"""What an importer is, the file that it looks at, and the table that it finds in it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import duckdb

from data.errors import LabError

Role = Literal["step", "epoch", "seconds", "time", "run", "arm", "seed", "metric", "value", "skip"]
"""What a column says, where it is no metric itself. `seconds` are elapsed; `time` is a moment: seconds or
milliseconds since 1970, ISO 8601 text, or a timestamp. A long table has its metrics' names in the column
`metric` and their values in the column `value`. `skip` is left out."""

HEAD = 1 << 16
"""Bytes of a file that are looked at to know what it is."""


@dataclass(frozen=True)
class LogFile:
    """A file that was given, wherever its bytes lie now.

    Attributes:
        name: what it was called within what was given, with forward slashes: "runs/SS/seed_3/metrics.csv".
        path: where its bytes are; the name there says nothing and holds no character that DuckDB expands.
    """

    name: str
    path: Path

    @cached_property
    def size(self) -> int:
        """Length in bytes."""
        return self.path.stat().st_size

    @cached_property
    def head(self) -> bytes:
        """The first bytes, at most `HEAD`."""
        with self.path.open("rb") as file:
            return file.read(HEAD)

    @property
    def base(self) -> str:
        """The name without its folders."""
        return self.name.rpartition("/")[2]

    @property
    def folder(self) -> str:
        """The folders before the name, "" where there are none."""
        return self.name.rpartition("/")[0]


@dataclass(frozen=True)
class LogTable:
    """A table of rows found in a file, as it stands there: its rows in the file's order, its columns by name.

    Attributes:
        rows: lazy, streamed once. Columns of text are read as numbers later, cell by cell, so a reader need
            not guess their type. A cell without a value is NULL; NaN and infinities are values.
        name: what tells it from other tables of the same file, and "" where it is the only one.
        roles: of columns whose meaning the format fixes; all others are guessed, and shown to the user.
        units: of columns whose unit the format states.
        facts: what the format says of the run itself: "name", "config" (flat, JSON-able), "started" (an aware
            moment). Only for a table of one run.
        notes: what a user should know of how it was read, a sentence each.
        find_line: tells where a row stands, for example "line 7", given its place from 0; None where no such
            place can be told.
        explain: puts an error that comes out of the rows into words; None: the error's own are used.
    """

    rows: duckdb.DuckDBPyRelation
    name: str = ""
    roles: Mapping[str, Role] = field(default_factory=lambda: MappingProxyType({}))
    units: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    facts: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    notes: tuple[str, ...] = ()
    find_line: Callable[[int], str] | None = None
    explain: Callable[[duckdb.Error], LabError] | None = None


@dataclass(frozen=True)
class Importer:
    """One format of logs; a file of this package defines one as `IMPORTER`.

    Attributes:
        title: what a person calls it, for example "Lightning metrics.csv".
        can_read: whether a file is of this format, by its content (`LogFile.head` as a rule), never by its
            name alone. It must not raise and must be cheap.
        read: the tables in files that belong together (one file, unless `group` says otherwise), made in the
            connection it is given. It may read lazily, after it has returned. Nothing is ever unpickled.
        rank: of several importers that can read a file the one of the highest rank does. 0 reads any table
            of its kind; 10 knows a dialect of it by its columns.
        group: names the files that are read together, given one of them; None: each alone.
        version: raised whenever the same file would give other rows.

    `read` raises `unreadable(...)` where a file is not what it seemed, lacks what it must have or is damaged.
    Errors of DuckDB and Arrow that come out of the lazy rows are put into words by whoever draws them.
    """

    title: str
    can_read: Callable[[LogFile], bool]
    read: Callable[[duckdb.DuckDBPyConnection, Sequence[LogFile]], Iterator[LogTable]]
    rank: int = 0
    group: Callable[[LogFile], str] | None = None
    version: str = "1"


def unreadable(file: LogFile, what: str, remedy: str) -> LabError:
    """Return the error of a file that cannot be taken: what is wrong, where, and what to do.

    Args:
        file: that cannot be read.
        what: is wrong in it, a clause with the line or column: "line 7 has 5 cells; the header has 4".
        remedy: a sentence.
    """
    return LabError("This file cannot be read", f"`{file.name}`: {what}.", remedy)
