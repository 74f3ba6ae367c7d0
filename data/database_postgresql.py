"""The catalogue in a PostgreSQL database, a schema for each store."""

import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Column, Connection, Engine, String, create_engine, event, make_url, text, types
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.base import PGDDLCompiler, PGTypeCompiler
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry

from data.backend import BUSY_SECONDS, to_json
from data.errors import LabError

OPEN_SECONDS = 5
"""How long to wait for a database that does not answer when a store is opened: it may just restart."""

_NAMES = ("postgresql", "postgres", "postgresql+psycopg")

# A row for each connection: the last transaction that it committed. The number that PostgreSQL gives to a
# transaction would not do: after a crash another gets the same.
_ENDS = "ends_of_transactions"
_COLUMNS = "name text PRIMARY KEY, at timestamptz NOT NULL DEFAULT now()"

# The lab's own transactions take milliseconds. A machine that vanished in the middle of one lets go of the
# lock when its silence is noticed, and a process that was halted there when it idled for this long.
_SESSION = {
    "lock_timeout": BUSY_SECONDS * 1000,
    "idle_in_transaction_session_timeout": 600_000,
    "tcp_keepalives_idle": 20,
    "tcp_keepalives_interval": 5,
    "tcp_keepalives_count": 4,
}
_CLIENT = {
    "connect_timeout": 10,
    "tcp_user_timeout": 30_000,
    "client_encoding": "utf8",
    "application_name": "detour",
}

# What a server says before it lets somebody in has no code; these texts no waiting mends.
_FINAL = {
    "password authentication failed": (
        "The database refuses the password",
        "Mend user and password in `catalogue`, or in $DETOUR_CATALOGUE.",
    ),
    "no password supplied": (
        "The database wants a password",
        "Give it in `catalogue` or $DETOUR_CATALOGUE, as postgresql+psycopg://USER:PASSWORD@HOST/DATABASE.",
    ),
    "no pg_hba.conf entry": (
        "The database does not let this machine in",
        "Let its administrator allow this user and machine.",
    ),
    "role": ("The database does not know the user", "Mend the user in `catalogue`, or have it made."),
    "database": ("There is no such database", "Make it with `createdb`, or name another in `catalogue`."),
}
_STATES = {
    "53100": (
        "The disk is full",
        "Nothing was changed.",
        "Free some space where the database is, then try again.",
    ),
    "55P03": (
        "The catalogue is busy",
        f"Another process held it for more than {BUSY_SECONDS} seconds.",
        "Look for a job that hangs, and try again.",
    ),
    "42501": (
        "The database does not allow it",
        "Nothing was changed.",
        "Let the user of `catalogue` own the database, or give it CREATE on it.",
    ),
    "25006": (
        "The database only reads",
        "It is a standby, or was set so. Nothing was changed.",
        "Name the one in `catalogue` that takes writes.",
    ),
}


class _Types(PGTypeCompiler):
    """Whole numbers as wide as SQLite's; JSON as text, as PostgreSQL's own knows no NaN and no Infinity."""

    def visit_INTEGER(self, type_: Any, **named: Any) -> str:
        return "BIGINT"

    def visit_JSON(self, type_: Any, **named: Any) -> str:
        return "TEXT"


class _Columns(PGDDLCompiler):
    """Text ordered by its bytes, as SQLite and Python order it, whatever language the database speaks."""

    def get_column_specification(self, column: Column[Any], **named: Any) -> str:
        told: str = super().get_column_specification(column, **named)  # type: ignore[no-untyped-call]
        return f'{told} COLLATE "C"' if isinstance(column.type, String) else told


class _Json(types.JSON):
    """JSON that is written and read here; the driver reads what the server describes itself with."""

    def result_processor(self, dialect: Any, coltype: object) -> Any:
        read = super().result_processor(dialect, coltype)
        return lambda value: read(value) if read is not None and isinstance(value, str) else value


class _Integer(types.Integer):
    """A whole number of which the driver says how wide it is."""


class Dialect(PGDialect_psycopg):
    """PostgreSQL with columns that hold whatever SQLite's hold."""

    type_compiler_cls = _Types
    ddl_compiler = _Columns
    colspecs = {**PGDialect_psycopg.colspecs, types.JSON: _Json, types.Integer: _Integer}  # noqa: RUF012 - as SQLAlchemy declares it
    supports_statement_cache = True
    supports_native_json_serialization = False
    supports_native_json_deserialization = False


registry.register("postgresql.detour", __name__, "Dialect")


class PostgreSQL:
    """A schema of a database, at version 13 or later.

    Writers take an advisory lock when they begin and hold it to their end. Under it each of their statements
    sees all that was committed before; a reader sees one moment (REPEATABLE READ).

    Args:
        url: postgresql+psycopg://USER:PASSWORD@HOST/DATABASE.
        schema: in which the store's tables are.
        path: the file in the store's folder that names the schema.

    Raises:
        LabError: it is no such address, or the driver is not installed.
    """

    def __init__(self, url: str, schema: str, path: Path) -> None:
        self.url, self.schema, self.path = _address(url), schema, path

    def engines(self) -> tuple[Engine, Engine]:
        """Make the engines to read and to write with."""
        words = dict(self.url.query)
        session = {**_SESSION, "search_path": self.schema}
        told = " ".join(f"-c {name}={value}" for name, value in session.items())
        options = f"{words.pop('options', '')} {told}".strip()
        engine = create_engine(
            self.url.set(drivername="postgresql+detour", query=words),
            connect_args={
                **{name: value for name, value in _CLIENT.items() if name not in words},
                "options": options,
            },
            json_serializer=to_json,
            pool_size=2,  # of a server's connections, which are few: 100 as it comes
            max_overflow=-1,
            pool_pre_ping=True,
        )
        lock = int.from_bytes(self.schema.encode()[-7:], "big")

        @event.listens_for(engine, "connect")
        def _connected(connection: Any, entry: ConnectionPoolEntry) -> None:
            connection._pool = None  # psycopg warns of one that is thrown away open, unless it was in a pool

        @event.listens_for(engine, "begin")
        def _begin(connection: Connection) -> None:
            if connection.get_execution_options().get("detour_writing"):
                former, mine = connection.info.get("detour_transaction", ""), secrets.token_hex(16)
                connection.info["detour_transaction"] = mine
                past = f"name = '{former}'" if former else "at < now() - interval '1 day'"
                connection.exec_driver_sql(
                    f"SELECT pg_advisory_xact_lock({lock}); DELETE FROM {_ENDS} WHERE {past};"
                    f"INSERT INTO {_ENDS} (name) VALUES ('{mine}')"
                )

        return (
            engine.execution_options(isolation_level="REPEATABLE READ"),
            engine.execution_options(isolation_level="READ COMMITTED", detour_writing=True),
        )

    def make(self) -> None:
        """Make the schema.

        Raises:
            LabError: the database cannot be reached, or does not allow it.
        """
        with self._connected() as connection:
            connection.exec_driver_sql(f"CREATE SCHEMA {self.schema}")
            connection.exec_driver_sql(f"CREATE TABLE {_ENDS} ({_COLUMNS})")

    def drop(self) -> None:
        """Remove the schema and all that is in it."""
        with self._connected() as connection:
            connection.exec_driver_sql(f"DROP SCHEMA {self.schema} CASCADE")

    def revision(self) -> str:
        """Return the catalogue's Alembic revision.

        Raises:
            LabError: the database cannot be reached, or holds no catalogue of this store.
        """
        with self._connected() as connection:
            if connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
                raise LabError(
                    "This database is not the store's",
                    f"`{self.path}` names the schema `{self.schema}`, which is not in {self._shown}.",
                    "Name the store's own database in `catalogue` or $DETOUR_CATALOGUE.",
                )
            return str(connection.scalar(text("SELECT version_num FROM alembic_version")))

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        """Give a connection for one small transaction."""
        engine, _ = self.engines()
        end = time.monotonic() + OPEN_SECONDS
        try:
            while True:
                try:
                    connection = engine.connect()
                    break
                except DBAPIError as error:
                    if not self.lost(error) or time.monotonic() >= end:
                        raise
                    time.sleep(0.1)
            with connection, connection.begin():
                yield connection
        except DBAPIError as error:
            raise self.explain(error) from error
        finally:
            engine.dispose()

    @property
    def _shown(self) -> str:
        return f"`{self.url.render_as_string(hide_password=True)}`"

    def explain(self, error: Exception) -> LabError:
        """Say in words what an error of the database means and how to mend it."""
        said = " ".join(str(getattr(error, "orig", None) or error).split())
        state = getattr(getattr(error, "orig", None), "sqlstate", None)
        final = _final(error)
        if final is not None:
            return LabError(final[0], f"{self._shown} answers: {said}.", final[1])
        if state in _STATES:
            title, message, remedy = _STATES[state]
            return LabError(title, f"{message} {self._shown} answers: {said}.", remedy)
        if isinstance(error, DBAPIError) and self.lost(error):
            return LabError(
                "The database cannot be reached",
                f"{self._shown} did not answer ({said}). What it acknowledged before is kept.",
                "Start it, mend the address in `catalogue`, or wait for the network; then try again.",
            )
        return LabError(
            "The catalogue refused a change",
            f"{self._shown} answered: {said}.",
            "Nothing was changed. If it happens again, report it with this text.",
        )

    def lost(self, error: DBAPIError) -> bool:
        """Whether an error says that the database went away and may come back."""
        state = getattr(error.orig, "sqlstate", None)
        if state is not None:
            return state[:2] == "08" or state in ("57P01", "57P02", "57P03", "25P03", "53300")
        return error.connection_invalidated or (_operational(error) and _final(error) is None)

    def kept(self, connection: Connection, transaction: str) -> bool:
        """Whether a transaction was committed whose end was not heard; asked in a later one that writes."""
        query = text(f"SELECT EXISTS (SELECT FROM {_ENDS} WHERE name = :name)")
        return bool(connection.scalar(query, {"name": transaction}))

    def faults(self, connection: Connection) -> list[str]:
        """Return nothing: references are kept by the database, which looks after its own files."""
        return []


def new_schema() -> str:
    """Return a name that no store has."""
    return f"detour_{secrets.token_hex(8)}"


def named_schema(path: Path) -> str:
    """Return the schema that a file in a store's folder names.

    Raises:
        LabError: it names none.
    """
    try:
        schema = json.loads(path.read_text(encoding="utf-8"))["schema"]
        if not schema.isidentifier():
            raise ValueError(schema)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise LabError(
            "The store does not say where its catalogue is",
            f"`{path}` names no schema of a database.",
            "Restore the file from a backup of the folder.",
        ) from error
    return str(schema)


def _operational(error: DBAPIError) -> bool:
    return type(error.orig).__name__ in ("OperationalError", "ConnectionTimeout", "ConnectionFailure")


def _final(error: Exception) -> tuple[str, str] | None:
    """Return title and remedy of a refusal that stands."""
    if not isinstance(error, DBAPIError) or not _operational(error) or error.connection_invalidated:
        return None
    said = str(error.orig)
    for words, told in _FINAL.items():
        if words in said and (words not in ("role", "database") or "does not exist" in said):
            return told
    return None


def _address(url: str) -> URL:
    try:
        address = make_url(url)
    except ArgumentError as error:
        raise LabError("`catalogue` is no address", "It must be that of a database.", _REMEDY) from error
    shown = address.render_as_string(hide_password=True)
    if address.drivername not in _NAMES or not address.database:
        raise LabError(
            "The catalogue cannot be there",
            f"It can be in a PostgreSQL database; `catalogue` is `{shown}`.",
            _REMEDY,
        )
    try:
        import psycopg  # noqa: F401 - an extra: only here is it needed
    except ImportError as error:
        raise LabError(
            "The driver of PostgreSQL is not installed",
            f"`catalogue` names a database, and psycopg cannot be loaded ({error}).",
            "Run `.venv/bin/python -m pip install -r requirements-postgresql.txt`.",
        ) from error
    return address


_REMEDY = "Write postgresql+psycopg://USER:PASSWORD@HOST/DATABASE, or leave it empty: SQLite in the store."
