"""Opens a database of SQLite that nobody vouches for: only stored cells can be read."""

import sqlite3
from pathlib import Path
from urllib.parse import quote

from data.importers._importer import LogFile

MAGIC = b"SQLite format 3\0"
LONGEST = 1 << 24
"""Bytes of the longest cell."""

DAMAGE = (sqlite3.Error, UnicodeError, ValueError, OverflowError, MemoryError)
"""What sqlite3 raises over a damaged file."""

_ALLOWED = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ}
_FUNCTIONS = {"max", "sum", "typeof", "count"}


def open_stored(path: Path) -> sqlite3.Connection:
    """Open a database read-only, without its journal, and let no view, trigger or expression of it run.

    Raises:
        sqlite3.Error: it is no database.
    """
    opened = sqlite3.connect(
        f"file:{quote(str(path))}?mode=ro&immutable=1", uri=True, check_same_thread=False
    )
    opened.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST)
    opened.text_factory = lambda text: text.decode(errors="replace")
    opened.execute("PRAGMA trusted_schema = OFF")
    opened.execute("PRAGMA cell_size_check = ON")
    opened.execute("PRAGMA mmap_size = 0")
    opened.set_authorizer(_authorize)
    return opened


def stored_columns(opened: sqlite3.Connection) -> dict[str, list[str]]:
    """Return the stored columns of every table that has pages of its own, by the table's name."""
    opened.set_authorizer(None)
    try:
        names = opened.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0 "
            "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"
        ).fetchall()
        return {
            name: [row[1] for row in opened.execute(f"PRAGMA table_xinfo({quoted(name)})") if row[6] == 0]
            for (name,) in names
        }
    finally:
        opened.set_authorizer(_authorize)


def journal_notes(file: LogFile) -> list[str]:
    """Return a note on rows that may be in a journal beside the file."""
    if file.head[18:19] != b"\x02":
        return []
    return [
        "Its last rows may be in the `-wal` file beside it, which is not read; "
        "`PRAGMA wal_checkpoint(TRUNCATE)` brings them into the database."
    ]


def quoted(name: str) -> str:
    """Return a name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def _authorize(
    action: int, first: str | None, second: str | None, database: str | None, within: str | None
) -> int:
    """Allow plain reading, and nothing that comes from within a view."""
    calls = action == sqlite3.SQLITE_FUNCTION and second in _FUNCTIONS
    return sqlite3.SQLITE_OK if within is None and (action in _ALLOWED or calls) else sqlite3.SQLITE_DENY
