# SPDX-License-Identifier: Apache-2.0
"""Alerts, their syncs, traps that failed or were refused, exporters."""

import sqlalchemy as sa
from alembic import op

from delfin.db.migrations.columns import create_filter_indexes, storage_fk
from delfin.db.sqlalchemy import types

revision = '0004'
down_revision = '0003'


def upgrade() -> None:
    op.add_column('alert_sources', sa.Column('engine_id_learned', sa.Boolean(), nullable=False,
                                             server_default=sa.false()))
    op.add_column('alert_sources', sa.Column('probe_state', sa.String(16)))
    op.add_column('alert_sources', sa.Column('probe_error', sa.Text()))
    op.add_column('alert_sources', sa.Column('probed_at', types.UtcDateTime()))
    op.add_column('alert_sources', sa.Column('probe_due_at', types.UtcDateTime()))
    _create_alerts()
    op.create_table(
        'alert_feeds',
        storage_fk(primary_key=True),
        sa.Column('wanted', sa.BigInteger(), nullable=False, server_default='0'),
        sa.Column('done', sa.BigInteger(), nullable=False, server_default='0'),
        sa.Column('not_before', types.UtcDateTime()),
        sa.Column('begin_time', sa.BigInteger()),
        sa.Column('end_time', sa.BigInteger()),
        sa.Column('started_at', types.UtcDateTime()),
        sa.Column('finished_at', types.UtcDateTime()),
        sa.Column('state', sa.String(16)),
        sa.Column('error', sa.Text()),
        sa.Column('findings', types.json()),
        sa.Column('senders', types.json()),
        **types.MARIADB_TABLE,
    )
    op.execute('INSERT INTO alert_feeds (storage_id) SELECT id FROM storages')
    op.create_table(
        'trap_marks',
        sa.Column('spool_id', types.uuid_text(), primary_key=True),
        sa.Column('lane', sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column('mark', sa.BigInteger(), nullable=False),
        sa.Column('updated_at', types.UtcDateTime(), nullable=False),
        **types.MARIADB_TABLE,
    )
    op.create_table(
        'failed_traps',
        sa.Column('id', types.serial(), primary_key=True, autoincrement=True),
        sa.Column('created_at', types.UtcDateTime(), nullable=False),
        sa.Column('received_at', types.UtcDateTime(), nullable=False),
        sa.Column('source', types.text(), nullable=False),
        sa.Column('storage_ids', types.json(), nullable=False),
        sa.Column('version', sa.String(16), nullable=False),
        sa.Column('variables', types.json(), nullable=False),
        sa.Column('error', sa.Text(), nullable=False),
        sa.Column('node', types.text()),
        sqlite_autoincrement=True,      # numbers never come back
        **types.MARIADB_TABLE,
    )
    op.create_table(
        'rejected_traps',
        sa.Column('address', types.text(), primary_key=True),
        sa.Column('reason', sa.String(32), primary_key=True),
        sa.Column('count', sa.BigInteger(), nullable=False),
        sa.Column('first_at', types.UtcDateTime(), nullable=False),
        sa.Column('last_at', types.UtcDateTime(), nullable=False),
        **types.MARIADB_TABLE,
    )
    op.create_table(
        'export_queue',
        sa.Column('id', types.serial(), primary_key=True, autoincrement=True),
        sa.Column('exporter', sa.String(64), nullable=False),
        sa.Column('created_at', types.UtcDateTime(), nullable=False),
        sa.Column('event', types.json(), nullable=False),
        sqlite_autoincrement=True,      # numbers never come back
        **types.MARIADB_TABLE,
    )
    op.create_index('ix_export_queue_exporter', 'export_queue', ['exporter', 'id'])
    op.create_table(
        'exporters',
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


def _create_alerts() -> None:
    texts = ('alert_id', 'alert_name', 'severity', 'category', 'type', 'sequence_number', 'match_key',
             'resource_type', 'location')
    op.create_table(
        'alerts',
        sa.Column('id', types.uuid_text(), primary_key=True),
        storage_fk(),
        sa.Column('created_at', types.UtcDateTime(), nullable=False),
        sa.Column('updated_at', types.UtcDateTime()),
        sa.Column('vendor', types.text()),
        *(sa.Column(name, types.text()) for name in texts),
        sa.Column('occur_time', sa.BigInteger()),
        sa.Column('description', sa.Text()),
        sa.Column('recovery_advice', sa.Text()),
        sa.Column('clear_category', types.text()),
        sa.Column('state', sa.String(16), nullable=False),
        sa.Column('latest', sa.SmallInteger()),
        sa.Column('count', sa.BigInteger(), nullable=False),
        sa.Column('first_seen_at', types.UtcDateTime(), nullable=False),
        sa.Column('last_seen_at', types.UtcDateTime(), nullable=False),
        sa.Column('origin', sa.String(16), nullable=False),
        sa.Column('listed', sa.Boolean(), nullable=False),
        sa.Column('muted', sa.Boolean(), nullable=False),
        sa.Column('announced', sa.Boolean(), nullable=False),
        sa.Column('acknowledged_at', types.UtcDateTime()),
        sa.Column('note', sa.Text()),
        sa.Column('cleared_at', types.UtcDateTime()),
        sa.Column('cleared_by', sa.String(16)),
        sa.Column('trap', types.json()),
        **types.MARIADB_TABLE,
    )
    op.create_index('ix_alerts_order', 'alerts', ['created_at', 'id'])
    op.create_index('ix_alerts_storage', 'alerts', ['storage_id', 'created_at', 'id'])
    op.create_index('ix_alerts_match_key', 'alerts', ['storage_id', 'match_key', 'latest'])
    op.create_index('ix_alerts_sequence_number', 'alerts', ['storage_id', 'sequence_number', 'latest'])
    op.create_index('ix_alerts_place', 'alerts', ['storage_id', 'alert_id', 'location', 'latest'])
    create_filter_indexes('alerts', ('state', 'severity', 'occur_time'))
