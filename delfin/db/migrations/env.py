# SPDX-License-Identifier: Apache-2.0
"""Alembic's entry: runs the migrations on the connection that `delfin.db.schema` hands over."""

from alembic import context

from delfin.db.sqlalchemy import models

context.configure(
    connection=context.config.attributes['connection'],
    target_metadata=models.metadata,
    render_as_batch=True,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
