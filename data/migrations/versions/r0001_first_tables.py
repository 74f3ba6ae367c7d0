"""Studies, metrics, jobs, runs, segments and analyses."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the first tables."""
    op.create_table(
        "studies",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("claim", sa.Text, nullable=False),
        sa.Column("config", sa.JSON, nullable=False),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
    )
    op.create_table(
        "metrics",
        sa.Column("study", sa.String, sa.ForeignKey("studies.name"), primary_key=True),
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("unit", sa.Text, nullable=False),
        sa.Column("formula", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("log", sa.Boolean, nullable=False),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("study", sa.String, nullable=False),
        sa.Column("spec", sa.JSON, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("steps", sa.Integer, nullable=False),
        sa.Column("rate", sa.Float),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("pid", sa.Integer),
        sa.Column("process_started", sa.Float),
        sa.Column("host", sa.String),
        sa.Column("heartbeat_at", sa.DateTime),
        sa.Column("stop_requested", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("started_at", sa.DateTime),
        sa.Column("finished_at", sa.DateTime),
        sa.Column("error", sa.JSON),
        sa.Column("result", sa.JSON),
        sqlite_autoincrement=True,
    )
    op.create_index("jobs_of_study", "jobs", ["study"])
    op.create_index("jobs_by_status", "jobs", ["status"])
    op.create_table(
        "runs",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("study", sa.String, sa.ForeignKey("studies.name"), nullable=False),
        sa.Column("job", sa.Integer, sa.ForeignKey("jobs.id"), nullable=False),
        sa.Column("arm", sa.String, nullable=False),
        sa.Column("seed", sa.Integer, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("steps", sa.Integer, nullable=False),
        sa.Column("diverged_at", sa.Integer),
        sa.Column("diverged_what", sa.Text),
        sa.Column("device", sa.String, nullable=False),
        sa.Column("config", sa.JSON, nullable=False),
        sa.Column("finals", sa.JSON, nullable=False),
        sa.Column("started_at", sa.DateTime, nullable=False),
        sa.Column("finished_at", sa.DateTime),
        sa.Column("seconds", sa.Float),
        sa.Column("tags", sa.JSON, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("archived_at", sa.DateTime),
        sa.Column("deleted_at", sa.DateTime),
        sqlite_autoincrement=True,
    )
    op.create_index("runs_of_study", "runs", ["study", "arm", "seed"])
    op.create_index("runs_of_job", "runs", ["job"])
    op.create_table(
        "segments",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("job", sa.Integer, sa.ForeignKey("jobs.id"), nullable=False),
        sa.Column("part", sa.Integer, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("first_step", sa.Integer, nullable=False),
        sa.Column("last_step", sa.Integer, nullable=False),
        sa.Column("bytes", sa.Integer, nullable=False),
        sa.Column("sha256", sa.String, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.UniqueConstraint("job", "part", name="segments_part_once"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "analyses",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("study", sa.String, sa.ForeignKey("studies.name"), nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("key", sa.String, nullable=False),
        sa.Column("inputs", sa.JSON, nullable=False),
        sa.Column("summary", sa.JSON, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("code_version", sa.String, nullable=False),
        sa.Column("data_version", sa.String, nullable=False),
        sa.Column("seed", sa.Integer),
        sa.Column("job", sa.Integer),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.UniqueConstraint("key", name="analyses_key_once"),
        sqlite_autoincrement=True,
    )
    op.create_index("analyses_of_study", "analyses", ["study", "kind"])


def downgrade() -> None:
    """Drop the first tables."""
    for table in ("analyses", "segments", "runs", "jobs", "metrics", "studies"):
        op.drop_table(table)
