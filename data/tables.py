"""The tables of the catalogue, as the newest migration leaves them."""

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment, kept as UTC without a zone (SQLite has none) and given back timezone-aware."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn an aware moment into naive UTC.

        Raises:
            ValueError: a moment without a time zone, which could mean any instant of a day.
        """
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"A moment must carry its time zone; got {value!r}.")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the stored moment its zone back."""
        return None if value is None else value.replace(tzinfo=UTC)


metadata = MetaData()

studies = Table(
    "studies",
    metadata,
    Column("name", String, primary_key=True),
    Column("title", Text, nullable=False),
    Column("claim", Text, nullable=False),
    Column("config", JSON, nullable=False),
    Column("source", String, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("person", String, nullable=False, server_default=""),
    Column("pinned_at", UtcDateTime),
    Column("archived_at", UtcDateTime),
    Column("deleted_at", UtcDateTime),
)

metrics = Table(
    "metrics",
    metadata,
    Column("study", String, ForeignKey("studies.name"), primary_key=True),
    Column("name", String, primary_key=True),
    Column("position", Integer, nullable=False),
    Column("label", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("formula", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("log", Boolean, nullable=False),
)

# A job may be queued before its worker has described the study, so `study` is no foreign key here.
jobs = Table(
    "jobs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String, nullable=False),
    Column("study", String, nullable=False),
    Column("spec", JSON, nullable=False),
    Column("status", String, nullable=False),
    Column("step", Integer, nullable=False),
    Column("steps", Integer, nullable=False),
    Column("rate", Float),
    Column("message", Text, nullable=False),
    Column("pid", Integer),
    Column("process_started", Float),
    Column("host", String),
    Column("heartbeat_at", UtcDateTime),
    Column("stop_requested", Boolean, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    Column("error", JSON(none_as_null=True)),
    Column("result", JSON(none_as_null=True)),
    Column("person", String, nullable=False, server_default=""),
    Column("gpu", Integer),
    Index("jobs_of_study", "study"),
    Index("jobs_by_status", "status"),
    sqlite_autoincrement=True,
)

runs = Table(
    "runs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("study", String, ForeignKey("studies.name"), nullable=False),
    Column("job", Integer, ForeignKey("jobs.id"), nullable=False),
    Column("arm", String, nullable=False),
    Column("seed", Integer, nullable=False),
    Column("status", String, nullable=False),
    Column("step", Integer, nullable=False),
    Column("steps", Integer, nullable=False),
    Column("diverged_at", Integer),
    Column("diverged_what", Text),
    Column("converged_at", Integer),
    Column("converged_what", Text),
    Column("device", String, nullable=False),
    Column("config", JSON, nullable=False),
    Column("finals", JSON, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    Column("seconds", Float),
    Column("tags", JSON, nullable=False),
    Column("note", Text, nullable=False),
    Column("archived_at", UtcDateTime),
    Column("deleted_at", UtcDateTime),
    Index("runs_of_study", "study", "arm", "seed"),
    Index("runs_of_job", "job"),
    sqlite_autoincrement=True,
)

segments = Table(
    "segments",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("job", Integer, ForeignKey("jobs.id"), nullable=False),
    Column("part", Integer, nullable=False),
    Column("path", Text, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("first_step", Integer, nullable=False),
    Column("last_step", Integer, nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("sha256", String, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    UniqueConstraint("job", "part", name="segments_part_once"),
    sqlite_autoincrement=True,
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("job", Integer, ForeignKey("jobs.id"), nullable=False),
    Column("kind", String, nullable=False),
    Column("stack", Integer),
    Column("step", Integer, nullable=False),
    Column("runs", JSON, nullable=False),
    Column("path", Text, nullable=False),
    Column("sha256", String, nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Index("checkpoints_of_job", "job", "kind"),
    sqlite_autoincrement=True,
)

analyses = Table(
    "analyses",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("study", String, ForeignKey("studies.name"), nullable=False),
    Column("kind", String, nullable=False),
    Column("key", String, nullable=False),
    Column("inputs", JSON, nullable=False),
    Column("summary", JSON, nullable=False),
    Column("path", Text, nullable=False),
    Column("code_version", String, nullable=False),
    Column("data_version", String, nullable=False),
    Column("seed", Integer),
    Column("job", Integer),
    Column("created_at", UtcDateTime, nullable=False),
    UniqueConstraint("key", name="analyses_key_once"),
    Index("analyses_of_study", "study", "kind"),
    sqlite_autoincrement=True,
)

# An import of logs made elsewhere, with what it was made from; an undone one counts nowhere.
uploads = Table(
    "uploads",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("study", String, ForeignKey("studies.name"), nullable=False),
    Column("job", Integer, ForeignKey("jobs.id"), nullable=False),
    Column("files", JSON, nullable=False),
    Column("mapping", JSON, nullable=False),
    Column("runs", Integer, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("skipped", JSON, nullable=False),
    Column("warnings", JSON, nullable=False),
    Column("who", String, nullable=False),
    Column("code_version", String, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("undone_at", UtcDateTime),
    UniqueConstraint("job", name="uploads_job_once"),
    Index("uploads_of_study", "study"),
    sqlite_autoincrement=True,
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("sha256", String, nullable=False),
    Column("scope", String, nullable=False),
    Column("person", String, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("last_used_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    Column("expires_at", UtcDateTime),
    UniqueConstraint("sha256", name="tokens_once"),
    sqlite_autoincrement=True,
)

# Who signed in, or was given a role before they did; `limits` are their own where not the lab's.
people = Table(
    "people",
    metadata,
    Column("name", String, primary_key=True),
    Column("shown_as", Text, nullable=False),
    Column("role", String, nullable=False),
    Column("limits", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime),
    Column("shut_out_at", UtcDateTime),
)

# Who changed what: written in the transaction of the change, and never changed itself.
audit = Table(
    "audit",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("person", String, nullable=False),
    Column("action", String, nullable=False),
    Column("target", Text, nullable=False),
    Column("detail", JSON, nullable=False),
    Index("audit_of_person", "person"),
    sqlite_autoincrement=True,
)

# A view as somebody left it, under a short code; with `public_sha256` whoever has that link sees it.
saved_views = Table(
    "saved_views",
    metadata,
    Column("code", String, primary_key=True),
    Column("person", String, nullable=False),
    Column("view", String, nullable=False),
    Column("study", String, nullable=False),
    Column("title", Text, nullable=False),
    Column("parameters", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("deleted_at", UtcDateTime),
    Column("public_sha256", String),
    Column("public_at", UtcDateTime),
    UniqueConstraint("public_sha256", name="saved_views_public_once"),
    Index("saved_views_of_study", "study"),
)

# What people wrote about a state of a fit, a study or a saved view; notes on runs are with the runs.
notes = Table(
    "notes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("person", String, nullable=False),
    Column("study", String, nullable=False),
    Column("about", String, nullable=False),
    Column("text", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("deleted_at", UtcDateTime),
    Index("notes_about", "study", "about"),
    sqlite_autoincrement=True,
)

# Saved views with text between them, in an order.
reports = Table(
    "reports",
    metadata,
    Column("code", String, primary_key=True),
    Column("person", String, nullable=False),
    Column("title", Text, nullable=False),
    Column("parts", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
    Column("deleted_at", UtcDateTime),
)
