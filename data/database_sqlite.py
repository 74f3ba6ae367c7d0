"""The catalogue as a SQLite file in the store's folder."""

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry

from data.backend import BUSY_SECONDS, to_json
from data.errors import LabError


class SQLite:
    """A file in WAL mode: readers never wait, and every commit is fsynced.

    Writers take the lock when they begin (BEGIN IMMEDIATE) and queue for it, so no transaction fails half-way
    because another one committed first.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def engines(self) -> tuple[Engine, Engine]:
        """Make the engines to read and to write with."""
        engine = create_engine(
            URL.create("sqlite", database=str(self.path)),
            connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False},
            json_serializer=to_json,
            pool_size=8,
            max_overflow=-1,
        )

        @event.listens_for(engine, "connect")
        def _connected(connection: Any, entry: ConnectionPoolEntry) -> None:
            connection.isolation_level = None  # the driver's own BEGIN would come too late to be IMMEDIATE
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA foreign_keys=ON")

        @event.listens_for(engine, "begin")
        def _begin(connection: Connection) -> None:
            writing = connection.get_execution_options().get("detour_writing")
            connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

        return engine, engine.execution_options(detour_writing=True)

    def revision(self) -> str:
        """Return the revision; see `revision_of`."""
        return revision_of(self.path)

    def explain(self, error: Exception) -> LabError:
        """Say what an error means; see `explain`."""
        return explain(error, self.path)

    def lost(self, error: DBAPIError) -> bool:
        """Return False: a file does not go away."""
        return False

    def kept(self, connection: Connection, transaction: str) -> bool:
        """Never asked, as nothing is lost."""
        raise NotImplementedError

    def faults(self, connection: Connection) -> list[str]:
        """Let SQLite check its pages and indices, and every reference to another row."""
        said = [str(row[0]) for row in connection.execute(text("PRAGMA integrity_check"))]
        broken = connection.execute(text("PRAGMA foreign_key_check")).fetchall()
        return [f"SQLite finds: {one}" for one in said[:1] if said != ["ok"]] + [
            f"row {row} of {table} names a row of {parent} that is not there"
            for table, row, parent, _ in broken
        ]


def _asked(path: Path) -> Any:
    # The plain driver, reading only: an engine would set WAL mode and so write to a file not yet known.
    # Even mode=ro leaves an index and an empty log beside a WAL database. immutable=1 leaves nothing; it is
    # right only while no log waits to be read, and another process may have begun one since that was asked.
    quiet = not path.with_name(path.name + "-wal").exists()
    for how in ("immutable=1", "mode=ro") if quiet else ("mode=ro",):
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?{how}", uri=True, timeout=BUSY_SECONDS)
        try:
            return connection.execute("SELECT version_num FROM alembic_version").fetchone()
        except sqlite3.DatabaseError:
            if how == "mode=ro" or not path.with_name(path.name + "-wal").exists():
                raise
        finally:
            connection.close()
    return None


def revision_of(path: Path) -> str:
    """Return the catalogue's Alembic revision without changing a byte of it.

    Raises:
        LabError: the file is no catalogue, is damaged, or cannot be read.
    """
    try:
        row = _asked(path)
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            raise _foreign(path) from error
        raise explain(error, path) from error
    except sqlite3.DatabaseError as error:
        raise explain(error, path) from error
    if row is None:
        raise _foreign(path)
    return str(row[0])


def _foreign(path: Path) -> LabError:
    return LabError(
        "This is not a catalogue of Detour",
        f"`{path}` holds none of its tables.",
        "Name another folder with --store or DETOUR_STORE, or move that file away.",
    )


def explain(error: Exception, path: Path) -> LabError:
    """Say in words what a database error on the catalogue at `path` means and how to mend it."""
    text = str(getattr(error, "orig", None) or error)
    lowered = text.lower()
    if "full" in lowered or "disk i/o error" in lowered:
        broken = "" if "full" in lowered else " Where there is space, see whether it is broken or only reads."
        return LabError(
            "The disk is full",
            f"The catalogue `{path}` could not be written ({text}). Nothing was changed.",
            f"Free some space or move the store to a larger disk, then try again.{broken}",
        )
    if "readonly" in lowered or "read-only" in lowered or "unable to open" in lowered:
        return LabError(
            "The store cannot be written",
            f"The catalogue `{path}` is in a folder without write permission ({text}).",
            "Give yourself write permission on the folder, or copy the store elsewhere and open the copy.",
        )
    if "not a database" in lowered or "malformed" in lowered:
        return LabError(
            "The catalogue is damaged",
            f"`{path}` is not a readable SQLite database ({text}).",
            "Restore it from a backup; the traces beside it are whole and were not touched.",
        )
    if "locked" in lowered or "busy" in lowered:
        return LabError(
            "The catalogue is busy",
            f"Another process held `{path}` for more than {BUSY_SECONDS} seconds.",
            "Look for a job that hangs, and try again.",
        )
    return LabError(
        "The catalogue refused a change",
        f"`{path}` answered: {text}.",
        "Nothing was changed. If it happens again, report it with this text.",
    )
