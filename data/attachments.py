"""One in-memory DuckDB per process that keeps sealed files attached, read-only, for every thread."""

import os
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from data.columns import literal
from data.errors import LabError
from data.sealing import TABLE
from data.summaries import BLOCKS, SIZES

LIMIT = 512
"""Sealed files kept open when nobody reads them."""


@dataclass
class Attached:
    """A sealed file under the name by which SQL reaches it, with its columns and their types.

    `summed`: it keeps the blocks of its rows, as files of the first versions do not.
    """

    name: str
    columns: dict[str, str]
    summed: bool
    readers: int = field(default=0)


class Attachments:
    """Sealed files, attached once and shared; each reader gets a cursor of its own, for one thread.

    A file stays attached while somebody reads it. Files that are gone are let go when the next one is
    attached, and of the others the `limit` used last are kept.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._files: OrderedDict[Path, Attached] = OrderedDict()
        self._count = 0
        self._parents: list[duckdb.DuckDBPyConnection | None] = []
        self._database: duckdb.DuckDBPyConnection | None = None
        os.register_at_fork(after_in_child=self._start_anew)

    def _start_anew(self) -> None:
        # A forked child lacks the threads of its parent's database: closing it would wait for them or crash.
        # So it is kept, unused, until the child ends.
        self._parents.append(self._database)
        self._lock = threading.Lock()
        self._files = OrderedDict()
        self._database = None

    def _main(self) -> duckdb.DuckDBPyConnection:
        if self._database is None:
            self._database = duckdb.connect(
                config={
                    "temp_directory": str(Path(tempfile.gettempdir()) / f"detour-{os.getpid()}"),
                    "autoinstall_known_extensions": False,
                }
            )
        return self._database

    @contextmanager
    def reading(self, paths: Sequence[Path]) -> Iterator[tuple[duckdb.DuckDBPyConnection, list[Attached]]]:
        """Give a cursor and the attached files, in the order of `paths`.

        Raises:
            FileNotFoundError: a file is gone; its rows are in another by now.
            LabError: a file is damaged.
        """
        files: list[Attached] = []
        cursor: duckdb.DuckDBPyConnection | None = None
        try:
            with self._lock:
                main = self._main()
                for path in paths:
                    files.append(self._attach(main, path))
                    files[-1].readers += 1  # at once, so that attaching the next one cannot let it go
                cursor = main.cursor()
            yield cursor, files
        finally:
            if cursor is not None:
                cursor.close()
            with self._lock:
                for file in files:
                    file.readers -= 1

    def _attach(self, main: duckdb.DuckDBPyConnection, path: Path) -> Attached:
        found = self._files.get(path)
        if found is not None:
            self._files.move_to_end(path)
            return found
        if not path.exists():
            raise FileNotFoundError(str(path))
        self._let_go(main)
        self._count += 1
        name = f"sealed{self._count}"
        try:
            main.execute(f"ATTACH {literal(str(path))} AS {name} (READ_ONLY)")
            described = main.execute(f"DESCRIBE {name}.{TABLE}").fetchall()
            tables = main.execute(f"SHOW TABLES FROM {name}").fetchall()
            summed = all((f"{BLOCKS}{size}",) in tables for size in SIZES)
        except duckdb.Error as error:
            if not path.exists():
                raise FileNotFoundError(str(path)) from error
            raise LabError(
                "A trace file is damaged",
                f"`{path}` cannot be read ({error}).",
                "Restore it from a backup, or delete the runs whose rows it holds.",
            ) from error
        self._files[path] = Attached(name, {row[0]: row[1] for row in described}, summed)
        return self._files[path]

    def _let_go(self, main: duckdb.DuckDBPyConnection) -> None:
        idle = [path for path, file in self._files.items() if file.readers == 0]
        gone = {path for path in idle if not path.exists()}
        surplus = len(self._files) - len(gone) - self._limit + 1
        kept = [path for path in idle if path not in gone]
        for path in [*gone, *kept[: max(surplus, 0)]]:
            main.execute(f"DETACH {self._files.pop(path).name}")


SHARED = Attachments()
"""The process's own, shared by every store it opens."""
