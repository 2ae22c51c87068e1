# SPDX-License-Identifier: Apache-2.0
"""The tables. Those of resource kinds are derived from `delfin.kinds`; the others stand here.

The schema is changed by migrations only (`delfin/db/migrations`); a test compares the two.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Any

import sqlalchemy as sa

from delfin.alerts import ALERT_COLUMNS
from delfin.db.sqlalchemy import types
from delfin.kinds import STORAGE_COLUMNS, STORAGE_LABELS, TEXT_LENGTH, Column, ColumnType, Table

metadata = sa.MetaData()
_making = threading.Lock()

# Columns of every resource row beside those of its kind.
ROW_COLUMNS = ('id', 'storage_id', 'created_at', 'updated_at')


def _column_type(column: Column) -> sa.types.TypeEngine[Any]:
    if column.type is ColumnType.INTEGER:
        return sa.BigInteger()
    if column.type is ColumnType.BOOLEAN:
        return sa.Boolean()
    return types.text() if column.length == TEXT_LENGTH else sa.Text()


def _storage_fk(**kwargs: Any) -> sa.Column[Any]:
    return sa.Column('storage_id', types.uuid_text(), sa.ForeignKey('storages.id', ondelete='CASCADE'),
                     nullable=False, **kwargs)


def _filter_indexes(name: str, columns: Iterable[Column]) -> Iterator[sa.Index]:
    """For each offered filter: its rows in the default order of lists."""
    for column in columns:
        if column.indexed:
            yield sa.Index(f'ix_{name}_{column.name}', column.name, 'created_at', 'id')


# `live` is 1 until the storage is deleted and NULL afterwards: a serial number is unique among the live ones only.
storages = sa.Table(
    'storages', metadata,
    sa.Column('id', types.uuid_text(), primary_key=True),
    sa.Column('created_at', types.UtcDateTime(), nullable=False),
    sa.Column('updated_at', types.UtcDateTime()),
    *(sa.Column(c.name, _column_type(c), nullable=c.name != 'serial_number') for c in STORAGE_COLUMNS),
    sa.Column('extra', types.json()),
    sa.Column('deleted_at', types.UtcDateTime()),
    sa.Column('live', sa.SmallInteger(), server_default='1'),
    sa.Column('quarantined_until', types.UtcDateTime()),
    # What people say of it; a sync never touches these.
    sa.Column('display_name', types.text()),
    sa.Column('note', sa.Text()),
    sa.Column('site', types.text()),
    sa.Column('tags', types.json()),
    sa.Column('maintenance', sa.Boolean(), nullable=False, server_default=sa.false()),
    sa.Column('sync_interval_seconds', sa.Integer()),       # NULL: that of the installation; 0: never by itself
    sa.UniqueConstraint('serial_number', 'live', name='uq_storages_serial_number'),
    sa.Index('ix_storages_order', 'created_at', 'id'),
    *_filter_indexes('storages', (*STORAGE_COLUMNS, *STORAGE_LABELS)),
    **types.MARIADB_TABLE,
)

access_info = sa.Table(
    'access_info', metadata,
    _storage_fk(primary_key=True),
    sa.Column('created_at', types.UtcDateTime(), nullable=False),
    sa.Column('updated_at', types.UtcDateTime()),
    sa.Column('storage_name', types.text()),
    sa.Column('vendor', types.text(), nullable=False),
    sa.Column('model', types.text(), nullable=False),
    sa.Column('rest', types.json()),
    sa.Column('ssh', types.json()),
    sa.Column('cli', types.json()),
    sa.Column('smis', types.json()),
    sa.Column('extra_attributes', types.json()),
    **types.MARIADB_TABLE,
)

# Task services that live: each renews its row, and is dead to the others when the row has expired. `boot` tells two
# lives of one node apart, `key_ids` (newest first) which keys it can open secrets with.
nodes = sa.Table(
    'nodes', metadata,
    sa.Column('name', types.text(), primary_key=True),
    sa.Column('boot', types.uuid_text(), nullable=False),
    sa.Column('version', sa.String(64), nullable=False),
    sa.Column('key_ids', types.json()),
    sa.Column('started_at', types.UtcDateTime(), nullable=False),
    sa.Column('heartbeat_at', types.UtcDateTime(), nullable=False),
    sa.Column('expires_at', types.UtcDateTime(), nullable=False),
    **types.MARIADB_TABLE,
)

# Which node owns which array. `epoch` grows with each change of hands: every write of a sync checks that it has the
# last one, so that a node that was thought dead can commit nothing.
ownership = sa.Table(
    'ownership', metadata,
    _storage_fk(primary_key=True),
    sa.Column('node', types.text(), index=True),
    sa.Column('epoch', sa.BigInteger(), nullable=False),
    **types.MARIADB_TABLE,
)

# `active` is 1 while the run is pending or running and NULL afterwards: a storage has at most one active run.
# `epoch` is that of the taker's ownership. A pending run without kinds is one for all of them.
sync_runs = sa.Table(
    'sync_runs', metadata,
    sa.Column('id', types.serial(), primary_key=True, autoincrement=True),
    _storage_fk(),
    sa.Column('trigger', sa.String(32), nullable=False),
    sa.Column('state', sa.String(16), nullable=False),
    sa.Column('active', sa.SmallInteger()),
    sa.Column('force', sa.Boolean(), nullable=False),
    sa.Column('complete', sa.Boolean(), nullable=False, server_default=sa.true()),      # all kinds, not some
    sa.Column('node', types.text()),
    sa.Column('epoch', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('created_at', types.UtcDateTime(), nullable=False),
    sa.Column('not_before', types.UtcDateTime(), nullable=False),
    sa.Column('started_at', types.UtcDateTime()),
    sa.Column('finished_at', types.UtcDateTime()),
    sa.UniqueConstraint('storage_id', 'active', name='uq_sync_runs_active'),
    sa.Index('ix_sync_runs_storage', 'storage_id', 'id'),
    sa.Index('ix_sync_runs_due', 'state', 'not_before'),
    **types.MARIADB_TABLE,
)

sync_run_kinds = sa.Table(
    'sync_run_kinds', metadata,
    sa.Column('run_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'),
              sa.ForeignKey('sync_runs.id', ondelete='CASCADE'), primary_key=True, autoincrement=False),
    sa.Column('kind', sa.String(64), primary_key=True),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.Column('state', sa.String(16), nullable=False),
    *(sa.Column(name, sa.BigInteger(), nullable=False, server_default='0')
      for name in ('seen', 'created', 'updated', 'unchanged', 'deleted', 'stale', 'rejected')),
    sa.Column('seconds', sa.Float()),
    sa.Column('withheld', sa.Boolean(), nullable=False),
    sa.Column('findings', types.json()),
    sa.Column('error', sa.Text()),
    **types.MARIADB_TABLE,
)


# Who may send traps for a storage. Secrets are sealed. `engine_id` is given, or learned and then pinned.
alert_sources = sa.Table(
    'alert_sources', metadata,
    _storage_fk(primary_key=True),
    sa.Column('created_at', types.UtcDateTime(), nullable=False),
    sa.Column('updated_at', types.UtcDateTime()),
    sa.Column('host', types.text(), nullable=False, index=True),
    sa.Column('version', sa.String(16), nullable=False),
    sa.Column('community_string', sa.Text()),
    sa.Column('username', types.text()),
    sa.Column('security_level', sa.String(16)),
    sa.Column('auth_protocol', sa.String(16)),
    sa.Column('auth_key', sa.Text()),
    sa.Column('privacy_protocol', sa.String(16)),
    sa.Column('privacy_key', sa.Text()),
    sa.Column('engine_id', sa.String(64)),
    sa.Column('engine_id_learned', sa.Boolean(), nullable=False, server_default=sa.false()),
    sa.Column('context_name', types.text()),
    sa.Column('port', sa.Integer()),
    sa.Column('retry_num', sa.Integer()),
    sa.Column('expiration', sa.Integer()),
    # Whether the array's SNMP agent answered when it was asked last; `probe_due_at` is moved by whoever asks next.
    sa.Column('probe_state', sa.String(16)),
    sa.Column('probe_error', sa.Text()),
    sa.Column('probed_at', types.UtcDateTime()),
    sa.Column('probe_due_at', types.UtcDateTime()),
    **types.MARIADB_TABLE,
)

# Every alert that was heard of. `latest` is 1 for the newest of those that share an identity, NULL for earlier ones;
# `announced` says whether exporters were told that it stands. Times beside `occur_time` (the array's) are ours.
alerts = sa.Table(
    'alerts', metadata,
    sa.Column('id', types.uuid_text(), primary_key=True),
    _storage_fk(),
    sa.Column('created_at', types.UtcDateTime(), nullable=False),
    sa.Column('updated_at', types.UtcDateTime()),
    sa.Column('vendor', types.text()),
    *(sa.Column(c.name, _column_type(c)) for c in ALERT_COLUMNS),
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
    sa.Index('ix_alerts_order', 'created_at', 'id'),
    sa.Index('ix_alerts_storage', 'storage_id', 'created_at', 'id'),
    sa.Index('ix_alerts_match_key', 'storage_id', 'match_key', 'latest'),
    sa.Index('ix_alerts_sequence_number', 'storage_id', 'sequence_number', 'latest'),
    sa.Index('ix_alerts_place', 'storage_id', 'alert_id', 'location', 'latest'),
    sa.Index('ix_alerts_state', 'state', 'created_at', 'id'),
    sa.Index('ix_alerts_severity', 'severity', 'created_at', 'id'),
    sa.Index('ix_alerts_occur_time', 'occur_time', 'created_at', 'id'),
    **types.MARIADB_TABLE,
)

# One row for each storage: what is asked of its alert sync (`wanted` counts requests, `done` is how far they are
# answered), how the last one went, and where the driver says that traps come from. Whoever changes alerts of a storage
# locks its row first.
alert_feeds = sa.Table(
    'alert_feeds', metadata,
    _storage_fk(primary_key=True),
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

# How far the spool of an alert service is in the database: a lane's alerts and its mark are one transaction.
trap_marks = sa.Table(
    'trap_marks', metadata,
    sa.Column('spool_id', types.uuid_text(), primary_key=True),
    sa.Column('lane', sa.Integer(), primary_key=True, autoincrement=False),
    sa.Column('mark', sa.BigInteger(), nullable=False),
    sa.Column('updated_at', types.UtcDateTime(), nullable=False),
    **types.MARIADB_TABLE,
)

# Authenticated traps that could not be made alerts of, and why.
failed_traps = sa.Table(
    'failed_traps', metadata,
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

# What was refused, by sender and reason; address '' stands for all that found no room.
rejected_traps = sa.Table(
    'rejected_traps', metadata,
    sa.Column('address', types.text(), primary_key=True),
    sa.Column('reason', sa.String(32), primary_key=True),
    sa.Column('count', sa.BigInteger(), nullable=False),
    sa.Column('first_at', types.UtcDateTime(), nullable=False),
    sa.Column('last_at', types.UtcDateTime(), nullable=False),
    **types.MARIADB_TABLE,
)

# What exporters of alerts have still to deliver, written with the change it tells of.
export_queue = sa.Table(
    'export_queue', metadata,
    sa.Column('id', types.serial(), primary_key=True, autoincrement=True),
    sa.Column('exporter', sa.String(64), nullable=False),
    sa.Column('created_at', types.UtcDateTime(), nullable=False),
    sa.Column('event', types.json(), nullable=False),
    sa.Index('ix_export_queue_exporter', 'exporter', 'id'),
    sqlite_autoincrement=True,      # numbers never come back
    **types.MARIADB_TABLE,
)

# What exporters of metrics have still to deliver: some thousand points a row, packed.
metric_queue = sa.Table(
    'metric_queue', metadata,
    sa.Column('id', types.serial(), primary_key=True, autoincrement=True),
    sa.Column('exporter', sa.String(64), nullable=False),
    sa.Column('created_at', types.UtcDateTime(), nullable=False),
    sa.Column('points', sa.Integer(), nullable=False),
    sa.Column('body', types.blob(), nullable=False),
    sa.Index('ix_metric_queue_exporter', 'exporter', 'id'),
    sqlite_autoincrement=True,      # numbers never come back
    **types.MARIADB_TABLE,
)

# Which node runs an exporter (until when), whether it takes what is in the queue of its stream, and how it fares.
exporters = sa.Table(
    'exporters', metadata,
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

# One row for each storage: what an operator wants of its metrics (NULL: what the installation says), what can be
# measured by its driver's word, and how the last collection went. `collected_at` is when the last one began.
metric_feeds = sa.Table(
    'metric_feeds', metadata,
    _storage_fk(primary_key=True),
    sa.Column('enabled', sa.Boolean()),
    sa.Column('interval_seconds', sa.Integer()),
    sa.Column('selection', types.json()),
    sa.Column('capabilities', types.json()),
    sa.Column('capability_findings', types.json()),
    sa.Column('advised_seconds', sa.Integer()),         # the interval, by the driver's word
    sa.Column('capabilities_of', types.text()),         # the firmware version they were asked for
    sa.Column('capabilities_at', types.UtcDateTime()),
    sa.Column('collected_at', types.UtcDateTime()),
    sa.Column('finished_at', types.UtcDateTime()),
    sa.Column('state', sa.String(16)),
    sa.Column('error', sa.Text()),
    sa.Column('findings', types.json()),
    sa.Column('skew_ms', sa.BigInteger()),
    **types.MARIADB_TABLE,
)

# How far the metrics of a storage have been collected, for each resource type: epoch ms by the array's clock. It takes
# the place of stored jobs and failed windows. After a failure it stays, and is tried again at `retry_at`.
collection_marks = sa.Table(
    'collection_marks', metadata,
    _storage_fk(primary_key=True),
    sa.Column('resource_type', sa.String(32), primary_key=True),
    sa.Column('collected_until', sa.BigInteger(), nullable=False),
    sa.Column('updated_at', types.UtcDateTime(), nullable=False),
    sa.Column('failures', sa.Integer(), nullable=False, server_default='0'),
    sa.Column('retry_at', types.UtcDateTime()),
    sa.Column('error', sa.Text()),
    sa.Column('points', sa.BigInteger(), nullable=False, server_default='0'),
    sa.Column('unknown_resources', sa.BigInteger(), nullable=False, server_default='0'),
    sa.Column('newest_at', sa.BigInteger()),
    **types.MARIADB_TABLE,
)

# Times [begin_at, end_at) in epoch ms of which there are no metrics and never will be, and why.
metric_gaps = sa.Table(
    'metric_gaps', metadata,
    sa.Column('id', types.serial(), primary_key=True, autoincrement=True),
    _storage_fk(),
    sa.Column('resource_type', sa.String(32), nullable=False),
    sa.Column('begin_at', sa.BigInteger(), nullable=False),
    sa.Column('end_at', sa.BigInteger(), nullable=False),
    sa.Column('reason', sa.String(32), nullable=False),
    sa.Column('noted_at', types.UtcDateTime(), nullable=False),
    sa.Index('ix_metric_gaps_storage', 'storage_id', 'resource_type', 'end_at'),
    **types.MARIADB_TABLE,
)

# How full a storage (native_id '') or one of its pools was at the last sync of a day (UTC).
capacity_history = sa.Table(
    'capacity_history', metadata,
    _storage_fk(primary_key=True),
    sa.Column('kind', sa.String(64), primary_key=True),
    sa.Column('native_id', types.text(), primary_key=True),
    sa.Column('day', sa.Date(), primary_key=True, index=True),
    *(sa.Column(name, sa.BigInteger()) for name in ('total_capacity', 'used_capacity', 'free_capacity')),
    **types.MARIADB_TABLE,
)

# When the array last gave a complete answer for a kind: what the freshness of its rows is derived from.
sync_freshness = sa.Table(
    'sync_freshness', metadata,
    _storage_fk(primary_key=True),
    sa.Column('kind', sa.String(64), primary_key=True),
    sa.Column('seen_at', types.UtcDateTime(), nullable=False),
    **types.MARIADB_TABLE,
)

# Kinds whose last sync failed; a row goes when the kind succeeds.
sync_failures = sa.Table(
    'sync_failures', metadata,
    _storage_fk(primary_key=True),
    sa.Column('kind', sa.String(64), primary_key=True),
    sa.Column('failed_at', types.UtcDateTime(), nullable=False),
    **types.MARIADB_TABLE,
)


def table(spec: Table) -> sa.Table:
    """The SQL table of a kind or relation, made on first use (so a kind added later has one too)."""
    # Under a lock also to look: SQLAlchemy shows a table to other threads before it has its columns.
    with _making:
        found = metadata.tables.get(spec.name)
        return _make(spec) if found is None else found


def _make(spec: Table) -> sa.Table:
    return sa.Table(
        spec.name, metadata,
        sa.Column('id', types.uuid_text(), primary_key=True),
        _storage_fk(),
        sa.Column('created_at', types.UtcDateTime(), nullable=False),
        sa.Column('updated_at', types.UtcDateTime()),
        *(sa.Column(c.name, _column_type(c), nullable=c.name not in spec.key) for c in spec.columns),
        sa.Column('extra', types.json()),
        # What the row was made of, to tell a changed row from an unchanged one without reading it.
        sa.Column('fingerprint', sa.LargeBinary(16), nullable=False),
        # Since when the array has sent this row in a form that cannot be stored; NULL for rows in good order.
        sa.Column('stale_since', types.UtcDateTime()),
        sa.UniqueConstraint('storage_id', *spec.key, name=f'uq_{spec.name}_key'),
        sa.Index(f'ix_{spec.name}_storage', 'storage_id', 'created_at', 'id'),
        sa.Index(f'ix_{spec.name}_order', 'created_at', 'id'),
        *_filter_indexes(spec.name, spec.columns if len(spec.key) == 1 else ()),
        **types.MARIADB_TABLE,
    )
