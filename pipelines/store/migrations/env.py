"""Alembic's entry: runs the missing steps on the connection that `database.migrate` has opened a transaction on."""

from __future__ import annotations

from alembic import context

from pipelines.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
context.run_migrations()
