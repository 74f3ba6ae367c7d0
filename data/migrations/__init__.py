"""The history of the catalogue's tables, one revision a file, and the code that applies it."""

import threading
from pathlib import Path

from sqlalchemy import Column, Connection, MetaData, String, Table, insert, inspect

from data import tables

HEAD = "0004"
"""The newest revision; a test holds it to the files in `versions`."""

KNOWN = frozenset({"0001", "0002", "0003", "0004"})
"""Every revision this version of Detour can read, after an upgrade where needed."""


# As Alembic makes it.
_VERSION = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))
_ALONE = threading.Lock()  # Alembic keeps what it works on in globals, so threads take turns


def upgrade(connection: Connection) -> None:
    """Bring the catalogue behind `connection` to the newest revision, inside its open transaction.

    An empty one gets the tables as they are now: going through their history costs a fifth of a second.
    """
    if not inspect(connection).has_table(_VERSION.name):
        tables.metadata.create_all(connection)
        _VERSION.create(connection)
        connection.execute(insert(_VERSION).values(version_num=HEAD))
    else:
        follow(connection)


def follow(connection: Connection) -> None:
    """Apply every revision that the catalogue behind `connection` has not seen, one after another."""
    from alembic import command  # imported here: it costs every other start a tenth of a second
    from alembic.config import Config

    config = Config()
    # ConfigParser reads % as the start of an interpolation.
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    with _ALONE:
        command.upgrade(config, "head")
