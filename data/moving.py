"""Moves the catalogue of a store from its file into a database."""

import json
from contextlib import ExitStack, closing
from pathlib import Path

from sqlalchemy import func, select, text

from data import tables
from data.backup import copy_rows
from data.catalog import Catalog
from data.database_postgresql import PostgreSQL, new_schema
from data.durable import put_in_place
from data.store import CATALOG, POINTER


def move_to_database(root: Path, url: str) -> PostgreSQL:
    """Move the catalogue of a store that no process has open, and return where it is.

    Args:
        root: the store, whose catalogue is a file; it is gone afterwards.
        url: of the database.

    Raises:
        LabError: the database cannot be reached or refuses; nothing is changed then.
    """
    path, aside = root / CATALOG, root / f".{POINTER}.tmp"
    home = PostgreSQL(url, new_schema(), root / POINTER)
    home.make()
    with ExitStack() as unfinished:
        unfinished.callback(home.drop)
        unfinished.callback(aside.unlink, missing_ok=True)
        with closing(Catalog(path)) as source, closing(Catalog(home)) as target:
            source.migrate()
            target.migrate()
            copy_rows(source, target)
            count_on(target)
        aside.write_text(json.dumps({"schema": home.schema}), encoding="utf-8")
        put_in_place(aside, home.path)
        unfinished.pop_all()
    path.unlink()
    return home


def count_on(catalog: Catalog) -> None:
    """Let the next row of each table have a number after all that were copied."""
    query = text("SELECT setval(pg_get_serial_sequence(:name, 'id'), :last)")
    with catalog.writing("machine") as connection:
        for table in tables.metadata.sorted_tables:
            if table.autoincrement_column is not None:
                last = connection.scalar(select(func.max(table.c.id)))
                if last is not None:
                    connection.execute(query, {"name": table.name, "last": last})
