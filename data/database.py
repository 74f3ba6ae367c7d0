"""The catalogue's database: transactions that wait for each other instead of failing, and clear errors."""

import copy
import json
import os
import sqlite3
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
from sqlalchemy import URL, Connection, Engine, create_engine, event, insert
from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.pool import ConnectionPoolEntry

from data import migrations, tables
from data.errors import LabError
from data.people import Person, Right, local_person

BUSY_SECONDS = 60
"""How long a writer waits for the others before it gives up."""


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray | tuple | set | frozenset):
        return list(value)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"A {type(value).__name__} cannot be kept in the catalogue; got {value!r}.")


def to_json(value: object) -> str:
    """Write JSON as the catalogue keeps it: NumPy numbers as numbers, NaN and Infinity by their names."""
    return json.dumps(value, default=_plain)


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
        return LabError(
            "The disk is full",
            f"The catalogue `{path}` could not be written ({text}). Nothing was changed.",
            "Free some space or move the store to a larger disk, then try again.",
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


class Database:
    """One catalogue file, open for any number of threads and next to any number of processes.

    SQLite in WAL mode: readers never wait; writers take the lock when they begin (BEGIN IMMEDIATE) and queue
    for it, so no transaction fails half-way because another one committed first. Every commit is fsynced.

    Somebody acts on it: who opened it may do everything, `acting_as` gives it to a person with fewer rights.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.person = local_person()
        self.engine = _engine(path)
        self._writers = self.engine.execution_options(detour_begin="BEGIN IMMEDIATE")
        # A forked child must neither use nor close its parent's connections: the locks belong to the process.
        reference = weakref.ref(self.engine)

        def forget() -> None:
            engine = reference()
            if engine is not None:
                engine.dispose(close=False)

        os.register_at_fork(after_in_child=forget)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection whose queries all see the same moment."""
        with self._translated(), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self, right: Right) -> Iterator[Connection]:
        """Give a connection that holds the write lock; everything is kept at the end, or nothing.

        Raises:
            LabError: whoever acts lacks the right; nothing is begun then.
        """
        self.person.require(right)
        with self._translated(), self._writers.begin() as connection:
            yield connection

    def acting_as(self, person: Person) -> Self:
        """Return the same catalogue in the hands of a person, with their rights; both share connections."""
        theirs = copy.copy(self)
        theirs.person = person
        return theirs

    def audit(self, connection: Connection, action: str, target: str, **detail: Any) -> None:
        """Write down who changed what, in the transaction that changes it.

        Args:
            connection: the transaction.
            action: a verb and what it is done to, for example "delete runs".
            target: which one, for example the study's name.
            detail: what else one would want to know; JSON-able, and never a secret.
        """
        values = {"at": datetime.now(UTC), "person": self.person.name, "action": action, "target": target}
        connection.execute(insert(tables.audit).values(**values, detail=detail))

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise explain(error, self.path) from error
        except StatementError as error:
            if isinstance(error.orig, TypeError | ValueError):  # an argument, not the database
                raise error.orig from None
            raise

    def migrate(self) -> None:
        """Bring an older catalogue to this version's tables; two processes that try at once take turns."""
        with self.writing("machine") as connection:
            migrations.upgrade(connection)

    def close(self) -> None:
        """Close every idle connection."""
        self.engine.dispose()


def _engine(path: Path) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
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
        connection.exec_driver_sql(connection.get_execution_options().get("detour_begin", "BEGIN"))

    return engine
