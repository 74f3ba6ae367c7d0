"""What a database has to do to hold the catalogue, and what is the same in all of them."""

import json
from pathlib import Path
from typing import Protocol

import numpy as np
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from data.errors import LabError

BUSY_SECONDS = 60
"""How long a writer waits for the others, or for a database that restarts, before it gives up."""


class Backend(Protocol):
    """A database with one catalogue in it; every file of ``data.database_*`` is one.

    Attributes:
        path: the file in the store's folder that is the catalogue, or says where it is.
    """

    path: Path

    def engines(self) -> tuple[Engine, Engine]:
        """Make two engines on one pool: transactions of one see one moment, those of the other take turns."""

    def revision(self) -> str:
        """Return the catalogue's Alembic revision and change nothing.

        Raises:
            LabError: there is no catalogue, or it cannot be read.
        """

    def explain(self, error: Exception) -> LabError:
        """Say in words what an error of the database means and how to mend it."""

    def lost(self, error: DBAPIError) -> bool:
        """Whether an error says that the database went away and may come back."""

    def kept(self, connection: Connection, transaction: str) -> bool:
        """Whether a transaction was committed whose end was not heard; asked in a later one that writes."""

    def faults(self, connection: Connection) -> list[str]:
        """Look through the whole catalogue, and return what is damaged."""


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
