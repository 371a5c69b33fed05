"""What alembic runs: the steps, on the connection that `Database` hands over."""

from __future__ import annotations

from alembic import context

from kernelgw.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite changes a table by making it anew.
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
