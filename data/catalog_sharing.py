"""What people show each other: saved views with short links, notes, and reports made of both."""

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Table, insert, select, update

from data import tables
from data.database import Database
from data.errors import LabError
from data.rows import NoteRow, ReportRow, SavedViewRow

LONGEST_TITLE = 200
LONGEST_TEXT = 20_000
"""Characters of a note, or of a paragraph of a report."""
LARGEST_VIEW = 64 << 10
"""Bytes of a saved view's parameters."""
MOST_PARTS = 100
"""Of a report."""

# Letters and digits that nobody takes for another.
_LETTERS = "23456789abcdefghjkmnpqrstuvwxyz"


class SharingCatalog(Database):
    """Saved views, notes and reports."""

    def save_view(
        self, view: str, study: str, title: str, parameters: Mapping[str, str | Sequence[str]]
    ) -> SavedViewRow:
        """Keep a view as it stands, under a short code that a link can carry.

        Args:
            view: its name in the address.
            study: that it shows.
            title: what it is called in lists and reports.
            parameters: of its address, by name.

        Raises:
            LabError: no title, one that is too long, or more parameters than a view can have.
        """
        told = {name: value if isinstance(value, str) else list(value) for name, value in parameters.items()}
        if len(json.dumps(told)) > LARGEST_VIEW:
            raise LabError(
                "The view is too long to keep",
                f"Its settings have more than {LARGEST_VIEW >> 10} KiB.",
                "Choose fewer arms, seeds or runs.",
            )
        values = {
            "code": _code(),
            "person": self.person.name,
            "view": view,
            "study": study,
            "title": _title(title),
            "parameters": told,
            "created_at": datetime.now(UTC),
        }
        with self.writing("researcher") as connection:
            statement = insert(tables.saved_views).values(values).returning(*_VIEW)
            row = _saved(connection.execute(statement).mappings().one())
            self.audit(connection, "save view", study, code=row.code, view=view)
            return row

    def saved_views(self, study: str | None = None) -> list[SavedViewRow]:
        """Return the saved views of a study, or of all, the newest first."""
        study = self.person.within(study)
        table = tables.saved_views
        query = select(*_VIEW).where(table.c.deleted_at.is_(None)).order_by(table.c.created_at.desc())
        if study is not None:
            query = query.where(table.c.study == study)
        with self.reading() as connection:
            return [_saved(row) for row in connection.execute(query).mappings()]

    def saved_view(self, code: str) -> SavedViewRow:
        """Return a saved view by its code.

        Raises:
            LabError: there is none, or no more.
        """
        table = tables.saved_views
        query = select(*_VIEW).where(table.c.code == code, table.c.deleted_at.is_(None))
        with self.reading() as connection:
            row = connection.execute(query).mappings().first()
        if row is None:
            raise LabError(
                "No such view", f"No view is saved as `{code[:40]}`.", "Ask who sent you the link."
            )
        self.person.require_study(row["study"])
        return _saved(row)

    def delete_view(self, code: str) -> None:
        """Take a saved view away, and its public link with it.

        Raises:
            LabError: there is none, or it is somebody else's.
        """
        gone = {"deleted_at": datetime.now(UTC), "public_sha256": None}
        self._change_own("delete view", tables.saved_views, code, gone)

    def publish_view(self, code: str) -> str:
        """Return a key by which anybody sees this view, and nothing else, without signing in.

        The key is kept as a hash only; a new one takes the place of the former.

        Raises:
            LabError: there is no such view, or it is somebody else's.
        """
        key = secrets.token_urlsafe(24)
        values = {"public_sha256": _hash(key), "public_at": datetime.now(UTC)}
        self._change_own("publish view", tables.saved_views, code, values)
        return key

    def unpublish_view(self, code: str) -> None:
        """Let the public link of a view lead nowhere from now on.

        Raises:
            LabError: there is no such view, or it is somebody else's.
        """
        self._change_own("unpublish view", tables.saved_views, code, {"public_sha256": None})

    def public_view(self, key: str) -> SavedViewRow:
        """Return the view that a public link shows.

        Raises:
            LabError: the link leads nowhere, or no more.
        """
        table = tables.saved_views
        query = select(*_VIEW).where(table.c.public_sha256 == _hash(key), table.c.deleted_at.is_(None))
        with self.reading() as connection:
            row = connection.execute(query).mappings().first()
        if row is None:
            raise LabError(
                "The link leads nowhere", "It was taken back, or never was.", "Ask who sent it to you."
            )
        return _saved(row)

    def add_note(self, study: str, about: str, text: str) -> NoteRow:
        """Write a note about something of a study, for example "study" or "fit 12, state 3".

        Raises:
            LabError: an empty text, or one that is too long.
        """
        values = {
            "person": self.person.name,
            "study": study,
            "about": about,
            "text": _text(text),
            "created_at": datetime.now(UTC),
        }
        with self.writing("researcher") as connection:
            statement = insert(tables.notes).values(values).returning(tables.notes)
            row = NoteRow(**connection.execute(statement).mappings().one())
            self.audit(connection, "write note", study, note=row.id, about=about)
            return row

    def notes(self, study: str | None = None, about: str | None = None) -> list[NoteRow]:
        """Return the notes of a study, or of all, or about one thing of it, the oldest first."""
        study = self.person.within(study)
        table = tables.notes
        query = select(table).where(table.c.deleted_at.is_(None))
        if study is not None:
            query = query.where(table.c.study == study)
        if about is not None:
            query = query.where(table.c.about == about)
        with self.reading() as connection:
            return [NoteRow(**row) for row in connection.execute(query.order_by(table.c.id)).mappings()]

    def delete_note(self, id: int) -> None:
        """Take a note away.

        Raises:
            LabError: there is none, or it is somebody else's.
        """
        self._change_own("delete note", tables.notes, id, {"deleted_at": datetime.now(UTC)})

    def save_report(
        self, title: str, parts: Sequence[Mapping[str, str]], code: str | None = None
    ) -> ReportRow:
        """Keep a report, or keep it anew under its code.

        Args:
            title: of the page.
            parts: in order, each `{"text": ...}`, `{"view": code of a saved view}`, or a figure of one, as it
                was: `{"figure": key of a result, "study": ..., "view": ..., "title": ...}`.
            code: of a report that is there.

        Raises:
            LabError: an empty title, a text that is too long, too many parts, or another person's report.
            ValueError: a part that is none of these.
        """
        told = [_part(part) for part in parts]
        if len(told) > MOST_PARTS:
            raise LabError(
                "The report is too long",
                f"It has {len(told)} parts; {MOST_PARTS} are taken.",
                "Make two of it.",
            )
        now = datetime.now(UTC)
        values = {"title": _title(title), "parts": told, "changed_at": now}
        if code is not None:
            self._change_own("change report", tables.reports, code, values)
            return self.report(code)
        new = {**values, "code": _code(), "person": self.person.name, "created_at": now}
        with self.writing("researcher") as connection:
            statement = insert(tables.reports).values(new).returning(tables.reports)
            row = ReportRow(**connection.execute(statement).mappings().one())
            self.audit(connection, "make report", row.title, code=row.code)
            return row

    def reports(self) -> list[ReportRow]:
        """Return every report, the last changed first; none to a guest."""
        if self.person.study is not None:
            return []
        table = tables.reports
        query = select(table).where(table.c.deleted_at.is_(None)).order_by(table.c.changed_at.desc())
        with self.reading() as connection:
            return [ReportRow(**row) for row in connection.execute(query).mappings()]

    def report(self, code: str) -> ReportRow:
        """Return a report by its code.

        Raises:
            LabError: there is none, or no more.
        """
        table = tables.reports
        query = select(table).where(table.c.code == code, table.c.deleted_at.is_(None))
        with self.reading() as connection:
            row = connection.execute(query).mappings().first()
        if row is None:
            raise LabError("No such report", f"There is no report `{code[:40]}`.", "See the list of reports.")
        return ReportRow(**row)

    def delete_report(self, code: str) -> None:
        """Take a report away; the views in it stay.

        Raises:
            LabError: there is none, or it is somebody else's.
        """
        self._change_own("delete report", tables.reports, code, {"deleted_at": datetime.now(UTC)})

    def _change_own(self, action: str, table: Table, key: str | int, values: dict[str, Any]) -> None:
        """Change a row that whoever acts made themselves, by its primary key."""
        (column,) = table.primary_key.columns
        with self.writing("researcher") as connection:
            there = (column == key) & table.c.deleted_at.is_(None)
            owner = _owner(connection, table, there)
            if owner is None:
                raise LabError(
                    "It is not there", f"`{str(key)[:40]}` was deleted, or never was.", "Reload the page."
                )
            self.person.require_own([owner], f"`{key}`")
            connection.execute(update(table).where(there).values(**values))
            self.audit(connection, action, str(key))


_VIEW = tuple(column for column in tables.saved_views.c if column.name != "deleted_at")


def _saved(row: Mapping[Any, Any]) -> SavedViewRow:
    told = {name: value for name, value in row.items() if name not in ("public_sha256", "public_at")}
    return SavedViewRow(**told, public_at=row["public_at"] if row["public_sha256"] else None)


def _owner(connection: Connection, table: Table, there: Any) -> str | None:
    owner: str | None = connection.execute(select(table.c.person).where(there)).scalar()
    return owner


def _part(part: Mapping[str, str]) -> dict[str, str]:
    if set(part) == {"text"}:
        return {"text": _text(part["text"])}
    if set(part) == {"view"}:
        return {"view": str(part["view"])}
    if set(part) == {"figure", "study", "view", "title"}:
        return {
            **{name: str(part[name]) for name in ("figure", "study", "view")},
            "title": _title(part["title"]),
        }
    raise ValueError(f"A part of a report has `text`, `view` or `figure`; got {sorted(part)}.")


def _title(text: str) -> str:
    title = " ".join(text.split())
    if not title or len(title) > LONGEST_TITLE:
        raise LabError(
            "A title is needed", f"It must have 1 to {LONGEST_TITLE} characters.", "Say what it shows."
        )
    return title


def _text(text: str) -> str:
    if not text.strip() or len(text) > LONGEST_TEXT:
        raise LabError(
            "A text is needed", f"It must have 1 to {LONGEST_TEXT:,} characters.", "Write less, or twice."
        )
    return text.strip()


def _code() -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(8))


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
