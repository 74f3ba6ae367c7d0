"""Checkpoints, and where and why a run converged."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table and the columns."""
    op.create_table(
        "checkpoints",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("job", sa.Integer, sa.ForeignKey("jobs.id"), nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("stack", sa.Integer),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("runs", sa.JSON, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("sha256", sa.String, nullable=False),
        sa.Column("bytes", sa.Integer, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("checkpoints_of_job", "checkpoints", ["job", "kind"])
    op.add_column("runs", sa.Column("converged_at", sa.Integer))
    op.add_column("runs", sa.Column("converged_what", sa.Text))


def downgrade() -> None:
    """Take them away; the files stay."""
    op.drop_column("runs", "converged_what")
    op.drop_column("runs", "converged_at")
    op.drop_table("checkpoints")
