# SPDX-License-Identifier: Apache-2.0
"""Indexes for every offered filter, freshness of kinds, what people say of a storage, alert sources, metric marks."""

import sqlalchemy as sa
from alembic import op

from delfin.db.migrations.columns import create_filter_indexes, storage_fk
from delfin.db.sqlalchemy import types

revision = '0002'
down_revision = '0001'


def upgrade() -> None:
    for column in (sa.Column('display_name', types.text()), sa.Column('note', sa.Text()),
                   sa.Column('site', types.text()), sa.Column('tags', types.json())):
        op.add_column('storages', column)
    op.create_table(
        'sync_freshness',
        storage_fk(primary_key=True),
        sa.Column('kind', sa.String(64), primary_key=True),
        sa.Column('seen_at', types.UtcDateTime(), nullable=False),
        **types.MARIADB_TABLE,
    )
    op.create_table(
        'alert_sources',
        storage_fk(primary_key=True),
        sa.Column('created_at', types.UtcDateTime(), nullable=False),
        sa.Column('updated_at', types.UtcDateTime()),
        sa.Column('host', types.text(), nullable=False),
        sa.Column('version', sa.String(16), nullable=False),
        sa.Column('community_string', sa.Text()),
        sa.Column('username', types.text()),
        sa.Column('security_level', sa.String(16)),
        sa.Column('auth_protocol', sa.String(16)),
        sa.Column('auth_key', sa.Text()),
        sa.Column('privacy_protocol', sa.String(16)),
        sa.Column('privacy_key', sa.Text()),
        sa.Column('engine_id', sa.String(64)),
        sa.Column('context_name', types.text()),
        sa.Column('port', sa.Integer()),
        sa.Column('retry_num', sa.Integer()),
        sa.Column('expiration', sa.Integer()),
        **types.MARIADB_TABLE,
    )
    op.create_index('ix_alert_sources_host', 'alert_sources', ['host'])
    op.create_table(
        'collection_marks',
        storage_fk(primary_key=True),
        sa.Column('resource_type', sa.String(32), primary_key=True),
        sa.Column('collected_until', sa.BigInteger(), nullable=False),
        sa.Column('updated_at', types.UtcDateTime(), nullable=False),
        **types.MARIADB_TABLE,
    )
    create_filter_indexes('storages', [
        'name', 'status', 'vendor', 'model', 'serial_number', 'firmware_version', 'total_capacity',
        'used_capacity', 'free_capacity', 'raw_capacity', 'subscribed_capacity', 'display_name', 'site'])
    create_filter_indexes('storage_pools', [
        'native_storage_pool_id', 'name', 'storage_type', 'status', 'total_capacity', 'used_capacity',
        'free_capacity', 'subscribed_capacity'])
    create_filter_indexes('volumes', [
        'native_volume_id', 'name', 'type', 'status', 'native_storage_pool_id', 'wwn', 'total_capacity',
        'used_capacity', 'free_capacity', 'compressed', 'deduplicated'])
    create_filter_indexes('controllers', [
        'native_controller_id', 'name', 'status', 'soft_version', 'cpu_count', 'memory_size', 'mgmt_ip'])
    create_filter_indexes('ports', [
        'native_port_id', 'name', 'type', 'logical_type', 'connection_status', 'health_status',
        'native_parent_id', 'speed', 'max_speed', 'wwn', 'mac_address', 'ipv4', 'ipv4_mask', 'ipv6', 'ipv6_mask'])
    create_filter_indexes('disks', [
        'native_disk_id', 'name', 'physical_type', 'logical_type', 'status', 'native_disk_group_id',
        'serial_number', 'manufacturer', 'model', 'firmware', 'speed', 'capacity', 'health_score'])
    create_filter_indexes('quotas', [
        'native_quota_id', 'type', 'native_filesystem_id', 'native_qtree_id', 'capacity_hard_limit',
        'capacity_soft_limit', 'file_hard_limit', 'file_soft_limit', 'file_count', 'used_capacity',
        'user_group_name'])
    create_filter_indexes('filesystems', [
        'native_filesystem_id', 'name', 'type', 'status', 'native_pool_id', 'security_mode', 'total_capacity',
        'used_capacity', 'free_capacity', 'compressed', 'deduplicated', 'worm'])
    create_filter_indexes('qtrees', [
        'native_qtree_id', 'name', 'path', 'native_filesystem_id', 'security_mode'])
    create_filter_indexes('shares', [
        'native_share_id', 'name', 'path', 'native_filesystem_id', 'native_qtree_id', 'protocol'])
    create_filter_indexes('storage_host_initiators', [
        'native_storage_host_initiator_id', 'name', 'alias', 'wwn', 'status', 'type', 'native_storage_host_id'])
    create_filter_indexes('storage_hosts', [
        'native_storage_host_id', 'name', 'os_type', 'ip_address', 'status'])
    create_filter_indexes('storage_host_groups', [
        'native_storage_host_group_id', 'name'])
    create_filter_indexes('port_groups', [
        'native_port_group_id', 'name'])
    create_filter_indexes('volume_groups', [
        'native_volume_group_id', 'name'])
    create_filter_indexes('masking_views', [
        'native_masking_view_id', 'name', 'native_storage_host_group_id', 'native_volume_group_id',
        'native_port_group_id', 'native_storage_host_id', 'native_volume_id'])
