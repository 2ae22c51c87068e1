# SPDX-License-Identifier: Apache-2.0
"""The first schema: storages, access information, sync runs and all resource kinds."""

import sqlalchemy as sa
from alembic import op

from delfin.db.migrations.columns import create_resource_table, storage_fk
from delfin.db.sqlalchemy import types

revision = '0001'
down_revision = None


def upgrade() -> None:
    op.create_table(
        'storages',
        sa.Column('id', types.uuid_text(), primary_key=True),
        sa.Column('created_at', types.UtcDateTime(), nullable=False),
        sa.Column('updated_at', types.UtcDateTime()),
        sa.Column('name', types.text()),
        sa.Column('description', types.text()),
        sa.Column('location', types.text()),
        sa.Column('status', types.text()),
        sa.Column('vendor', types.text()),
        sa.Column('model', types.text()),
        sa.Column('serial_number', types.text(), nullable=False),
        sa.Column('firmware_version', types.text()),
        sa.Column('total_capacity', sa.BigInteger()),
        sa.Column('used_capacity', sa.BigInteger()),
        sa.Column('free_capacity', sa.BigInteger()),
        sa.Column('raw_capacity', sa.BigInteger()),
        sa.Column('subscribed_capacity', sa.BigInteger()),
        sa.Column('extra', types.json()),
        sa.Column('deleted_at', types.UtcDateTime()),
        sa.Column('live', sa.SmallInteger(), server_default='1'),
        sa.Column('quarantined_until', types.UtcDateTime()),
        sa.UniqueConstraint('serial_number', 'live', name='uq_storages_serial_number'),
        **types.MARIADB_TABLE,
    )
    op.create_index('ix_storages_order', 'storages', ['created_at', 'id'])

    op.create_table(
        'access_info',
        storage_fk(primary_key=True),
        sa.Column('created_at', types.UtcDateTime(), nullable=False),
        sa.Column('updated_at', types.UtcDateTime()),
        sa.Column('storage_name', types.text()),
        sa.Column('vendor', types.text(), nullable=False),
        sa.Column('model', types.text(), nullable=False),
        *(sa.Column(name, types.json()) for name in ('rest', 'ssh', 'cli', 'smis', 'extra_attributes')),
        **types.MARIADB_TABLE,
    )

    op.create_table(
        'sync_runs',
        sa.Column('id', types.serial(), primary_key=True, autoincrement=True),
        storage_fk(),
        sa.Column('trigger', sa.String(32), nullable=False),
        sa.Column('state', sa.String(16), nullable=False),
        sa.Column('active', sa.SmallInteger()),
        sa.Column('force', sa.Boolean(), nullable=False),
        sa.Column('node', types.text()),
        sa.Column('epoch', sa.Integer(), nullable=False),
        sa.Column('created_at', types.UtcDateTime(), nullable=False),
        sa.Column('not_before', types.UtcDateTime(), nullable=False),
        sa.Column('started_at', types.UtcDateTime()),
        sa.Column('finished_at', types.UtcDateTime()),
        sa.Column('lease_expires_at', types.UtcDateTime()),
        sa.UniqueConstraint('storage_id', 'active', name='uq_sync_runs_active'),
        **types.MARIADB_TABLE,
    )
    op.create_index('ix_sync_runs_storage', 'sync_runs', ['storage_id', 'id'])
    op.create_index('ix_sync_runs_due', 'sync_runs', ['state', 'not_before'])

    op.create_table(
        'sync_run_kinds',
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

    create_resource_table(
        'storage_pools', ['native_storage_pool_id'],
        texts=['name', 'description', 'storage_type', 'status'],
        integers=['total_capacity', 'used_capacity', 'free_capacity', 'subscribed_capacity'],
    )
    create_resource_table(
        'volumes', ['native_volume_id'],
        texts=['name', 'description', 'type', 'status', 'native_storage_pool_id', 'wwn'],
        integers=['total_capacity', 'used_capacity', 'free_capacity'],
        booleans=['compressed', 'deduplicated'],
    )
    create_resource_table(
        'controllers', ['native_controller_id'],
        texts=['name', 'status', 'location', 'soft_version', 'cpu_info', 'mgmt_ip'],
        integers=['cpu_count', 'memory_size'],
    )
    create_resource_table(
        'ports', ['native_port_id'],
        texts=['name', 'location', 'type', 'logical_type', 'connection_status', 'health_status',
               'native_parent_id', 'wwn', 'mac_address', 'ipv4', 'ipv4_mask', 'ipv6', 'ipv6_mask'],
        integers=['speed', 'max_speed'],
    )
    create_resource_table(
        'disks', ['native_disk_id'],
        texts=['name', 'physical_type', 'logical_type', 'status', 'location', 'native_disk_group_id',
               'serial_number', 'manufacturer', 'model', 'firmware'],
        integers=['speed', 'capacity', 'health_score'],
    )
    create_resource_table(
        'quotas', ['native_quota_id'],
        texts=['type', 'native_filesystem_id', 'native_qtree_id', 'user_group_name'],
        integers=['capacity_hard_limit', 'capacity_soft_limit', 'file_hard_limit', 'file_soft_limit',
                  'file_count', 'used_capacity'],
    )
    create_resource_table(
        'filesystems', ['native_filesystem_id'],
        texts=['name', 'type', 'status', 'native_pool_id', 'security_mode', 'worm'],
        integers=['total_capacity', 'used_capacity', 'free_capacity'],
        booleans=['compressed', 'deduplicated'],
    )
    create_resource_table(
        'qtrees', ['native_qtree_id'],
        texts=['name', 'path', 'native_filesystem_id', 'security_mode'],
    )
    create_resource_table(
        'shares', ['native_share_id'],
        texts=['name', 'path', 'native_filesystem_id', 'native_qtree_id', 'protocol'],
    )
    create_resource_table(
        'storage_host_initiators', ['native_storage_host_initiator_id'],
        texts=['name', 'description', 'alias', 'wwn', 'status', 'type', 'native_storage_host_id'],
    )
    create_resource_table(
        'storage_hosts', ['native_storage_host_id'],
        texts=['name', 'description', 'os_type', 'ip_address', 'status'],
    )
    create_resource_table('storage_host_groups', ['native_storage_host_group_id'], texts=['name', 'description'])
    create_resource_table('storage_host_grp_host_rels', ['native_storage_host_group_id', 'native_storage_host_id'])
    create_resource_table('port_groups', ['native_port_group_id'], texts=['name', 'description'])
    create_resource_table('port_grp_port_rels', ['native_port_group_id', 'native_port_id'])
    create_resource_table('volume_groups', ['native_volume_group_id'], texts=['name', 'description'])
    create_resource_table('vol_grp_vol_rels', ['native_volume_group_id', 'native_volume_id'])
    create_resource_table(
        'masking_views', ['native_masking_view_id'],
        texts=['name', 'description', 'native_storage_host_group_id', 'native_volume_group_id',
               'native_port_group_id', 'native_storage_host_id', 'native_volume_id'],
    )
