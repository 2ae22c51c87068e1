# SPDX-License-Identifier: Apache-2.0
"""Metrics: what is wanted and known of each storage's, how far they are collected, what is lost, what waits for export.
"""

import sqlalchemy as sa
from alembic import op

from delfin.db.migrations.columns import storage_fk
from delfin.db.sqlalchemy import types

revision = '0005'
down_revision = '0004'


def upgrade() -> None:
    _give_exporters_a_stream()
    op.create_table(
        'metric_feeds',
        storage_fk(primary_key=True),
        sa.Column('enabled', sa.Boolean()),
        sa.Column('interval_seconds', sa.Integer()),
        sa.Column('selection', types.json()),
        sa.Column('capabilities', types.json()),
        sa.Column('capability_findings', types.json()),
        sa.Column('advised_seconds', sa.Integer()),
        sa.Column('capabilities_of', types.text()),
        sa.Column('capabilities_at', types.UtcDateTime()),
        sa.Column('collected_at', types.UtcDateTime()),
        sa.Column('finished_at', types.UtcDateTime()),
        sa.Column('state', sa.String(16)),
        sa.Column('error', sa.Text()),
        sa.Column('findings', types.json()),
        sa.Column('skew_ms', sa.BigInteger()),
        **types.MARIADB_TABLE,
    )
    op.execute('INSERT INTO metric_feeds (storage_id) SELECT id FROM storages')
    op.add_column('collection_marks', sa.Column('failures', sa.Integer(), nullable=False, server_default='0'))
    op.add_column('collection_marks', sa.Column('retry_at', types.UtcDateTime()))
    op.add_column('collection_marks', sa.Column('error', sa.Text()))
    op.add_column('collection_marks', sa.Column('points', sa.BigInteger(), nullable=False, server_default='0'))
    op.add_column('collection_marks', sa.Column('unknown_resources', sa.BigInteger(), nullable=False,
                                                server_default='0'))
    op.add_column('collection_marks', sa.Column('newest_at', sa.BigInteger()))
    op.create_table(
        'metric_gaps',
        sa.Column('id', types.serial(), primary_key=True, autoincrement=True),
        storage_fk(),
        sa.Column('resource_type', sa.String(32), nullable=False),
        sa.Column('begin_at', sa.BigInteger(), nullable=False),
        sa.Column('end_at', sa.BigInteger(), nullable=False),
        sa.Column('reason', sa.String(32), nullable=False),
        sa.Column('noted_at', types.UtcDateTime(), nullable=False),
        **types.MARIADB_TABLE,
    )
    op.create_index('ix_metric_gaps_storage', 'metric_gaps', ['storage_id', 'resource_type', 'end_at'])
    op.create_table(
        'metric_queue',
        sa.Column('id', types.serial(), primary_key=True, autoincrement=True),
        sa.Column('exporter', sa.String(64), nullable=False),
        sa.Column('created_at', types.UtcDateTime(), nullable=False),
        sa.Column('points', sa.Integer(), nullable=False),
        sa.Column('body', types.blob(), nullable=False),
        sqlite_autoincrement=True,      # numbers never come back
        **types.MARIADB_TABLE,
    )
    op.create_index('ix_metric_queue_exporter', 'metric_queue', ['exporter', 'id'])


def _give_exporters_a_stream() -> None:
    """A key cannot be changed in the same way on every engine: a new table takes the place of the old one."""
    columns = ('name', 'node', 'expires_at', 'events', 'delivered', 'dropped', 'failures', 'succeeded_at', 'failed_at',
               'error')
    op.rename_table('exporters', 'exporters_of_alerts')
    op.create_table(
        'exporters',
        sa.Column('stream', sa.String(16), primary_key=True),
        sa.Column('name', sa.String(64), primary_key=True),
        sa.Column('node', types.text()),
        sa.Column('expires_at', types.UtcDateTime()),
        sa.Column('events', sa.Boolean(), nullable=False),
        sa.Column('delivered', sa.BigInteger(), nullable=False, server_default='0'),
        sa.Column('dropped', sa.BigInteger(), nullable=False, server_default='0'),
        sa.Column('failures', sa.BigInteger(), nullable=False, server_default='0'),
        sa.Column('succeeded_at', types.UtcDateTime()),
        sa.Column('failed_at', types.UtcDateTime()),
        sa.Column('error', sa.Text()),
        **types.MARIADB_TABLE,
    )
    names = ', '.join(columns)
    op.execute(f"INSERT INTO exporters (stream, {names}) SELECT 'alerts', {names} FROM exporters_of_alerts")
    op.drop_table('exporters_of_alerts')
