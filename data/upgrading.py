"""Brings a catalogue of a former version up, and back to what it was before."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import text

from data import migrations
from data.backend import BUSY_SECONDS
from data.catalog import Catalog
from data.columns import quoted
from data.database_sqlite import SQLite, explain, revision_of
from data.durable import put_in_place, refused, sync_folder
from data.errors import LabError


class RolledBack(NamedTuple):
    """A catalogue that was put back.

    Attributes:
        revision: that counts again.
        kept: the file in which the catalogue is kept that counted until now.
        lost: how many rows of each table, written or changed since, are only in that file.
    """

    revision: str
    kept: Path
    lost: dict[str, int]


def upgrade(catalog: Catalog) -> None:
    """Bring an older catalogue to this version's tables, and keep the former beside it.

    `catalog-<revision>.sqlite` is what `catalog.sqlite` was: the former version opens the store again once
    it has that name. Two processes that try at once take turns. Of a catalogue in a database nothing is kept:
    whoever keeps that database keeps backups of it.

    Raises:
        LabError: the disk is full or refuses; nothing is changed then.
    """
    with catalog.writing("machine") as connection:
        former = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
        if former != migrations.HEAD:
            if isinstance(catalog.backend, SQLite):
                _keep(catalog.path, former_path(catalog.path, former))
            migrations.upgrade(connection)


def former_path(catalog: Path, revision: str) -> Path:
    """Return where the catalogue of a former revision is kept."""
    return catalog.with_name(f"{catalog.stem}-{revision}{catalog.suffix}")


def formers(catalog: Path) -> list[tuple[str, Path]]:
    """Return revision and path of the catalogues kept beside one, the oldest revision first."""
    found = catalog.parent.glob(f"{catalog.stem}-[0-9][0-9][0-9][0-9]{catalog.suffix}")
    return sorted((path.stem.removeprefix(f"{catalog.stem}-"), path) for path in found)


def _keep(catalog: Path, kept: Path) -> None:
    """Copy a catalogue as of its last commit; nobody has to wait for it."""
    aside = kept.with_name(f".{kept.name}.tmp")
    try:
        aside.unlink(missing_ok=True)
        with closing(sqlite3.connect(catalog, timeout=BUSY_SECONDS)) as connection:
            connection.execute("VACUUM INTO ?", [str(aside)])
        put_in_place(aside, kept)
    except (OSError, sqlite3.Error) as error:
        if isinstance(error, sqlite3.Error):
            raise explain(error, catalog) from error
        raise refused(error, "A copy of the catalogue", kept) from error
    finally:
        aside.unlink(missing_ok=True)


def require_unused(catalog: Path) -> None:
    """Refuse a catalogue that any process has open, this one included; its log is empty then.

    Raises:
        LabError: one has, or the file is damaged.
    """
    try:
        with closing(sqlite3.connect(catalog, timeout=BUSY_SECONDS)) as connection:
            connection.execute("SELECT count(*) FROM alembic_version").fetchone()
    except sqlite3.Error as error:
        raise explain(error, catalog) from error
    if catalog.with_name(catalog.name + "-wal").exists():  # the last one to close it takes this away
        raise LabError(
            "The store is in use",
            f"A process has `{catalog}` open: the app, a worker, a training or a notebook.",
            "Stop it first.",
        )


def roll_back(path: Path, revision: str | None = None, lose: bool = False) -> RolledBack:
    """Let the catalogue count again that a former version left, so that this version opens the store.

    Args:
        path: the catalogue of a store that no process has open.
        revision: of the catalogue; None for the newest that is kept.
        lose: go back even where rows were written since. They stay in the file `kept`, and count no more.

    Raises:
        LabError: there is no such catalogue, it names files that are gone, rows were written since and `lose`
            is False, or the store is in use. Nothing is changed then.
    """
    root = path.parent
    present = revision_of(path)
    known = {name: file for name, file in formers(path) if name < present}
    if not known or (revision is not None and revision not in known):
        raise LabError(
            "There is no such catalogue",
            f"`{root}` keeps {', '.join(known) or 'none'} from before its upgrade to {present}.",
            "Name one of these." if known else "Restore a backup that the former version made.",
        )
    chosen = revision or max(known)
    former = known[chosen]
    require_unused(path)
    _require_files(root, former)
    lost = _written_since(path, former)
    if lost and not lose:
        told = ", ".join(f"{count:,} of {table}" for table, count in lost.items())
        raise LabError(
            "Rows were written since the upgrade",
            f"Going back to {chosen} loses rows written or changed since: {told}.",
            "Back the store up first, then give --lose; the present catalogue stays beside it.",
        )
    kept = path.with_name(f"{path.stem}-{present}-{datetime.now(UTC):%Y%m%dT%H%M%S}{path.suffix}")
    _keep(path, kept)
    former.replace(path)
    sync_folder(root)
    return RolledBack(chosen, kept, lost)


@contextmanager
def _both(path: Path, former: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as connection:
        connection.execute("ATTACH ? AS former", [str(former)])
        yield connection


def _columns(connection: sqlite3.Connection, schema: str) -> dict[str, list[str]]:
    query = f"SELECT name FROM {schema}.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    names = [name for (name,) in connection.execute(query) if name != "alembic_version"]
    return {
        name: [row[1] for row in connection.execute(f"PRAGMA {schema}.table_info({quoted(name)})")]
        for name in names
    }


def _written_since(path: Path, former: Path) -> dict[str, int]:
    """Return by table how many rows are not, or not so, in the former catalogue."""
    found = {}
    with _both(path, former) as connection:
        before = _columns(connection, "former")
        for table, columns in _columns(connection, "main").items():
            same = ", ".join(quoted(name) for name in columns if name in before.get(table, []))
            query = f"SELECT {same or '*'} FROM main.{quoted(table)}"
            if same:
                query += f" EXCEPT SELECT {same} FROM former.{quoted(table)}"
            found[table] = connection.execute(f"SELECT count(*) FROM ({query})").fetchone()[0]
    return {table: count for table, count in found.items() if count}


def _require_files(root: Path, former: Path) -> None:
    with closing(sqlite3.connect(former)) as connection:
        there = {"segments", "checkpoints", "analyses"} & set(_columns(connection, "main"))
        paths = [row[0] for table in sorted(there) for row in connection.execute(f"SELECT path FROM {table}")]
    gone = [path for path in paths if not (root / path).exists()]
    if gone:
        raise LabError(
            "Files of the former catalogue are gone",
            f"It names {len(gone):,} files that were merged or cleared away since, such as `{gone[0]}`.",
            "Restore a backup that the former version made.",
        )
