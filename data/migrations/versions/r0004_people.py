"""What a lab that many share needs: people, an audit, who owns what, saved views, notes, reports."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables and columns; what is there belongs to nobody known."""
    op.add_column("studies", sa.Column("person", sa.String, nullable=False, server_default=""))
    for name in ("pinned_at", "archived_at", "deleted_at"):
        op.add_column("studies", sa.Column(name, sa.DateTime))
    op.add_column("jobs", sa.Column("person", sa.String, nullable=False, server_default=""))
    op.add_column("jobs", sa.Column("gpu", sa.Integer))
    op.add_column("tokens", sa.Column("expires_at", sa.DateTime))
    op.create_table(
        "people",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("shown_as", sa.Text, nullable=False),
        sa.Column("role", sa.String, nullable=False),
        sa.Column("limits", sa.JSON, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("seen_at", sa.DateTime),
        sa.Column("shut_out_at", sa.DateTime),
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("person", sa.String, nullable=False),
        sa.Column("action", sa.String, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("detail", sa.JSON, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("audit_of_person", "audit", ["person"])
    op.create_table(
        "saved_views",
        sa.Column("code", sa.String, primary_key=True),
        sa.Column("person", sa.String, nullable=False),
        sa.Column("view", sa.String, nullable=False),
        sa.Column("study", sa.String, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("parameters", sa.JSON, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("deleted_at", sa.DateTime),
        sa.Column("public_sha256", sa.String),
        sa.Column("public_at", sa.DateTime),
        sa.UniqueConstraint("public_sha256", name="saved_views_public_once"),
    )
    op.create_index("saved_views_of_study", "saved_views", ["study"])
    op.create_table(
        "notes",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("person", sa.String, nullable=False),
        sa.Column("study", sa.String, nullable=False),
        sa.Column("about", sa.String, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("deleted_at", sa.DateTime),
        sqlite_autoincrement=True,
    )
    op.create_index("notes_about", "notes", ["study", "about"])
    op.create_table(
        "reports",
        sa.Column("code", sa.String, primary_key=True),
        sa.Column("person", sa.String, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("parts", sa.JSON, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("changed_at", sa.DateTime, nullable=False),
        sa.Column("deleted_at", sa.DateTime),
    )


def downgrade() -> None:
    """Take them away; studies, runs and traces stay."""
    for name in ("reports", "notes", "saved_views", "audit", "people"):
        op.drop_table(name)
    op.drop_column("tokens", "expires_at")
    op.drop_column("jobs", "gpu")
    op.drop_column("jobs", "person")
    for name in ("deleted_at", "archived_at", "pinned_at", "person"):
        op.drop_column("studies", name)
