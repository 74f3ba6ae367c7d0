"""Formats of logs made elsewhere, one a file; each knows its files by their content."""

from functools import cache

from data.importers._importer import Importer, LogFile, LogTable, Role, unreadable
from data.plugins import discover

__all__ = ["Importer", "LogFile", "LogTable", "Role", "importers", "recognize", "unreadable"]


@cache
def importers() -> dict[str, Importer]:
    """Return every importer by its file's name, those of the highest rank first."""
    found = discover(__name__, "IMPORTER", Importer)
    return dict(sorted(found.items(), key=lambda item: (-item[1].rank, item[0])))


def recognize(file: LogFile) -> str | None:
    """Return the name of the importer that reads a file; None where none can."""
    return next((name for name, importer in importers().items() if importer.can_read(file)), None)
