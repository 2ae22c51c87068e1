# SPDX-License-Identifier: Apache-2.0
"""Nodes and which of them owns an array, failed kinds, maintenance, schedules of storages."""

import sqlalchemy as sa
from alembic import op

from delfin.db.migrations.columns import storage_fk
from delfin.db.sqlalchemy import types

revision = '0003'
down_revision = '0002'


def upgrade() -> None:
    op.create_table(
        'nodes',
        sa.Column('name', types.text(), primary_key=True),
        sa.Column('boot', types.uuid_text(), nullable=False),
        sa.Column('version', sa.String(64), nullable=False),
        sa.Column('key_ids', types.json()),
        sa.Column('started_at', types.UtcDateTime(), nullable=False),
        sa.Column('heartbeat_at', types.UtcDateTime(), nullable=False),
        sa.Column('expires_at', types.UtcDateTime(), nullable=False),
        **types.MARIADB_TABLE,
    )
    op.create_table(
        'ownership',
        storage_fk(primary_key=True),
        sa.Column('node', types.text()),
        sa.Column('epoch', sa.BigInteger(), nullable=False),
        **types.MARIADB_TABLE,
    )
    op.create_index('ix_ownership_node', 'ownership', ['node'])
    # Above every epoch that a run of an earlier version may carry.
    op.execute('INSERT INTO ownership (storage_id, node, epoch) SELECT storages.id, NULL, '
               '(SELECT COALESCE(MAX(sync_runs.epoch), 0) FROM sync_runs WHERE sync_runs.storage_id = storages.id) '
               'FROM storages')
    op.create_table(
        'sync_failures',
        storage_fk(primary_key=True),
        sa.Column('kind', sa.String(64), primary_key=True),
        sa.Column('failed_at', types.UtcDateTime(), nullable=False),
        **types.MARIADB_TABLE,
    )
    op.add_column('storages', sa.Column('maintenance', sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column('storages', sa.Column('sync_interval_seconds', sa.Integer()))
    op.add_column('sync_runs', sa.Column('complete', sa.Boolean(), nullable=False, server_default=sa.true()))
    op.drop_column('sync_runs', 'lease_expires_at')
    if op.get_bind().dialect.name != 'sqlite':      # whose integers have 64 bits
        op.alter_column('sync_runs', 'epoch', existing_type=sa.Integer(), existing_nullable=False,
                        type_=sa.BigInteger())
