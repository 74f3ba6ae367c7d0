"""The catalogue: transactions that wait for each other instead of failing, and outlive lost connections."""

import copy
import functools
import inspect
import os
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Connection, Engine, Table, insert
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, StatementError

from data import migrations, tables
from data.backend import BUSY_SECONDS, Backend
from data.database_sqlite import SQLite
from data.errors import LabError
from data.people import Person, Right, local_person

_RETRY_S = 0.1


class _Lost(LabError):  # noqa: N818 - nobody outside sees it
    """The database went away before a transaction's end; nothing of it was kept."""


def _again(method: Callable[..., Any]) -> Callable[..., Any]:
    """Let a method begin again whose transaction was lost with its connection."""

    @functools.wraps(method)
    def call(*words: Any, **named: Any) -> Any:
        end = 0.0
        words = tuple(_repeatable(word) for word in words)
        named = {name: _repeatable(word) for name, word in named.items()}
        while True:
            try:
                return method(*words, **named)
            except _Lost:
                end = end or time.monotonic() + BUSY_SECONDS
                if time.monotonic() >= end:
                    raise

    return call


def _repeatable(word: Any) -> Any:
    return list(word) if isinstance(word, Iterator) else word


class Database:
    """One catalogue, open for any number of threads and next to any number of processes.

    Writers take turns, from the beginning of a transaction to its end; readers never wait.

    A database elsewhere may go away for a while. Every public method of a class below this one begins again
    then, as nothing was kept; so a callback that is handed to one may be called again. Where the connection
    was lost during the commit, the database is asked whether it was kept.

    Somebody acts on it: who opened it may do everything, `acting_as` gives it to a person with fewer rights.

    Args:
        where: a SQLite file, or another database.
    """

    def __init__(self, where: Path | Backend) -> None:
        self.backend: Backend = SQLite(where) if isinstance(where, Path) else where
        self.path = self.backend.path
        self.person = local_person()
        self.engine, self._writers = self.backend.engines()
        # A forked child must neither use nor close its parent's connections: the locks belong to the process.
        reference = weakref.ref(self.engine)

        def forget() -> None:
            engine = reference()
            if engine is not None:
                engine.dispose(close=False)

        os.register_at_fork(after_in_child=forget)

    def __init_subclass__(cls) -> None:
        for name, method in list(vars(cls).items()):
            if inspect.isfunction(method) and not name.startswith("_"):
                setattr(cls, name, _again(method))

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection whose queries all see the same moment."""
        with self._translated(), self._begun(self.engine) as connection:
            yield connection

    @contextmanager
    def writing(self, right: Right) -> Iterator[Connection]:
        """Give a connection that holds the write lock; everything is kept at the end, or nothing.

        Raises:
            LabError: whoever acts lacks the right; nothing is begun then.
        """
        self.person.require(right)
        with self._translated(), self._begun(self._writers) as connection:
            yield connection
            transaction = str(connection.info.get("detour_transaction"))
            try:
                connection.commit()
            except DBAPIError as error:
                if not self.backend.lost(error) or not self._kept(transaction):
                    raise

    @contextmanager
    def _begun(self, engine: Engine) -> Iterator[Connection]:
        """Give a connection with an open transaction, and roll it back unless it was committed."""
        end = time.monotonic() + BUSY_SECONDS
        while True:
            connection: Connection | None = None
            try:
                connection = engine.connect()
                connection.begin()
                break
            except DBAPIError as error:
                if connection is not None:
                    connection.close()
                if not self.backend.lost(error):
                    raise
                if time.monotonic() >= end:
                    raise self.backend.explain(error) from error
                time.sleep(_RETRY_S)
        try:
            yield connection
        finally:
            connection.close()

    def _kept(self, transaction: str) -> bool:
        """Ask what became of a transaction whose commit was not acknowledged."""
        with self._begun(self._writers) as connection:  # that one has come to its end when this has the lock
            return self.backend.kept(connection, transaction)

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
            told = self.backend.explain(error)
            if self.backend.lost(error):
                told = _Lost(told.title, told.message, told.remedy)
            raise told from error
        except StatementError as error:
            if isinstance(error.orig, TypeError | ValueError):  # an argument, not the database
                raise error.orig from None
            raise

    def faults(self) -> list[str]:
        """Look through the whole catalogue, and return what is damaged."""
        with self.reading() as connection:
            return self.backend.faults(connection)

    def migrate(self) -> None:
        """Bring an older catalogue to this version's tables; two processes that try at once take turns."""
        with self.writing("machine") as connection:
            migrations.upgrade(connection)

    def close(self) -> None:
        """Close every idle connection."""
        self.engine.dispose()

    def upsert(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        """Begin an INSERT that can say what happens to a row that is there."""
        return postgresql.insert(table) if self.engine.dialect.name == "postgresql" else sqlite.insert(table)
