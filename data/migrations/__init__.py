"""The history of the catalogue's tables, one revision a file, and the code that applies it."""

import threading
from pathlib import Path

from sqlalchemy import Connection

HEAD = "0004"
"""The newest revision; a test holds it to the files in `versions`."""

KNOWN = frozenset({"0001", "0002", "0003", "0004"})
"""Every revision this version of Detour can read, after an upgrade where needed."""


_ALONE = threading.Lock()  # Alembic keeps what it works on in globals, so threads take turns


def upgrade(connection: Connection) -> None:
    """Bring the catalogue behind `connection` to the newest revision, inside its open transaction."""
    from alembic import command  # imported here: it costs every other start a tenth of a second
    from alembic.config import Config

    config = Config()
    # ConfigParser reads % as the start of an interpolation.
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    with _ALONE:
        command.upgrade(config, "head")
