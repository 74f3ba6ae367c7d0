"""Alembic's entry: migrations run on the connection that `data.migrations.upgrade` hands over."""

from alembic import context

from data.tables import metadata

# The caller owns the transaction, so that a failed migration leaves the catalogue as it was.
context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
