"""Imports of logs made elsewhere."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "uploads",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("study", sa.String, sa.ForeignKey("studies.name"), nullable=False),
        sa.Column("job", sa.Integer, sa.ForeignKey("jobs.id"), nullable=False),
        sa.Column("files", sa.JSON, nullable=False),
        sa.Column("mapping", sa.JSON, nullable=False),
        sa.Column("runs", sa.Integer, nullable=False),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("skipped", sa.JSON, nullable=False),
        sa.Column("warnings", sa.JSON, nullable=False),
        sa.Column("who", sa.String, nullable=False),
        sa.Column("code_version", sa.String, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("undone_at", sa.DateTime),
        sa.UniqueConstraint("job", name="uploads_job_once"),
        sqlite_autoincrement=True,
    )
    op.create_index("uploads_of_study", "uploads", ["study"])


def downgrade() -> None:
    """Take it away; runs and traces stay."""
    op.drop_table("uploads")
