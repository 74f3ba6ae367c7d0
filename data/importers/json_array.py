"""One JSON document: an array of objects, an object with one list of objects, or with lists of one length.

Keras histories and many scripts of one's own are written so. It is known by its first values.
"""

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import duckdb

from data.errors import LabError
from data.importers._importer import Importer, LogFile, LogTable, Role, unreadable
from data.importers._json_rows import items, log_table, opened
from data.importers._text import head_text
from data.importers.jsonl import is_lines

HELD = 256 << 20
"""Bytes of the largest file of lists, which must be held to be laid out as rows."""

_REMEDY = "Mend it, or give an array of objects, one for each row."


def can_read(file: LogFile) -> bool:
    """Whether it begins as an array of objects, or as an object with lists of objects or numbers."""
    head = head_text(file)
    if head.lstrip()[:1] not in ("[", "{"):
        return False
    if is_lines(file) or is_state(file):
        return False
    lists: dict[str, Any] = {}
    others = 0
    try:
        for name, listed, value in items(io.StringIO(head), lambda what: unreadable(file, what, "")):
            if listed and isinstance(value, dict):
                return True
            if name is None:
                return False
            if listed:
                lists.setdefault(name, value)
            else:
                others += 1
    except LabError:
        pass
    numbers = any(isinstance(value, int | float) for value in lists.values())
    return (numbers and len(lists) >= others) or head.strip() == "[]"


def is_state(file: LogFile) -> bool:
    """Whether it is the state of a Hugging Face trainer, which has an importer of its own."""
    head = head_text(file)
    return head.lstrip().startswith("{") and '"log_history"' in head and '"global_step"' in head


def read(connection: duckdb.DuckDBPyConnection, files: Sequence[LogFile]) -> Iterator[LogTable]:
    """Read the one table; settings that stand beside it in the document are its config."""
    for file in files:
        if head_text(file).lstrip().startswith("["):
            yield log_of(connection, file, None)
            continue
        lists, logs, settings = _outline(file)
        facts = {"config": settings} if settings else {}
        if len(logs) == 1:
            yield log_of(connection, file, logs[0], facts=facts)
        elif logs:
            named = ", ".join(f"`{name}`" for name in logs)
            raise unreadable(
                file, f"it has several lists of objects: {named}", "Keep the one that is the log."
            )
        else:
            yield _columns(connection, file, lists, facts)


def log_of(
    connection: duckdb.DuckDBPyConnection,
    file: LogFile,
    log: str | None,
    roles: Mapping[str, Role] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> LogTable:
    """Read the list of objects of that name in a document, None: the document itself."""

    def rows() -> Iterator[tuple[str, Any]]:
        place = 0
        for name, listed, value in _items(file):
            if listed and name == log:
                place += 1
                yield f"entry {place}", value

    return log_table(
        connection, file, rows, find_line=lambda place: f"entry {place + 1}", roles=roles, facts=facts
    )


def settings_of(file: LogFile) -> dict[str, Any]:
    """Return the finite numbers, truth values and texts that stand beside the lists of a document."""
    return _outline(file)[2]


def _items(file: LogFile) -> Iterator[tuple[str | None, bool, Any]]:
    with opened(file) as text:
        yield from items(text, lambda what: unreadable(file, what, _REMEDY))


def _outline(file: LogFile) -> tuple[dict[str, int], list[str], dict[str, Any]]:
    """Return the lists' lengths, the names of those of objects, and the settings of a document."""
    lists: dict[str, int] = {}
    logs: dict[str, None] = {}
    settings: dict[str, Any] = {}
    for name, listed, value in _items(file):
        if name is None:
            continue
        if listed:
            lists[name] = lists.get(name, 0) + 1
            if isinstance(value, dict):
                logs[name] = None
        elif isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value)):
            settings[name] = value
    return lists, list(logs), settings


def _columns(
    connection: duckdb.DuckDBPyConnection, file: LogFile, lists: Mapping[str, int], facts: Mapping[str, Any]
) -> LogTable:
    """Lay lists of one length out as the columns of a table."""
    if len(set(lists.values())) > 1:
        lengths = ", ".join(f"`{name}` has {length}" for name, length in lists.items())
        raise unreadable(file, f"its lists differ in length: {lengths}", _REMEDY)
    if file.size > HELD:
        raise unreadable(file, f"its lists are larger than {HELD >> 20} MB", _REMEDY)
    held: dict[str, list[Any]] = {name: [] for name in lists}
    for name, listed, value in _items(file):
        if listed and name is not None:
            held[name].append(value)

    def rows() -> Iterator[tuple[str, Any]]:
        for place, cells in enumerate(zip(*held.values(), strict=True), 1):
            yield f"entry {place}", dict(zip(held, cells, strict=True))

    return log_table(connection, file, rows, find_line=lambda place: f"entry {place + 1}", facts=facts)


IMPORTER = Importer(title="JSON", can_read=can_read, read=read)
