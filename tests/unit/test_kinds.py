# SPDX-License-Identifier: Apache-2.0
"""The table of kinds is complete in itself and says what clients and drivers rely on."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest

from delfin import exception
from delfin.common import constants
from delfin.drivers.driver import StorageDriver
from delfin.kinds import KINDS, STORAGE_COLUMNS, ColumnType, Kind, Kinds, Table

ALL_KINDS = pytest.mark.parametrize('kind', list(KINDS), ids=lambda kind: kind.name)

FLAT = ['storage_pools', 'volumes', 'controllers', 'ports', 'disks', 'quotas', 'filesystems', 'qtrees', 'shares']
NESTED = ['storage_host_initiators', 'storage_hosts', 'storage_host_groups', 'port_groups', 'volume_groups',
          'masking_views']


def columns_of(table: Table) -> dict[str, str]:
    """Names and types, in short."""
    return {column.name: column.type.value for column in table.columns}


def test_nine_kinds_are_flat_and_six_nested():
    assert ([kind.name for kind in KINDS if not kind.nested], [kind.name for kind in KINDS if kind.nested]) == (
        FLAT, NESTED)


def test_volumes_have_the_documented_columns():
    assert columns_of(KINDS['volumes'].table) == dict(
        native_volume_id='text', name='text', description='text', type='text', status='text',
        native_storage_pool_id='text', wwn='text', total_capacity='integer', used_capacity='integer',
        free_capacity='integer', compressed='boolean', deduplicated='boolean')


def test_quotas_have_the_documented_columns():
    assert columns_of(KINDS['quotas'].table) == dict(
        native_quota_id='text', type='text', native_filesystem_id='text', native_qtree_id='text',
        capacity_hard_limit='integer', capacity_soft_limit='integer', file_hard_limit='integer',
        file_soft_limit='integer', file_count='integer', used_capacity='integer', user_group_name='text')


def test_masking_views_have_the_documented_columns():
    assert columns_of(KINDS['masking_views'].table) == dict.fromkeys((
        'native_masking_view_id', 'name', 'description', 'native_storage_host_group_id', 'native_volume_group_id',
        'native_port_group_id', 'native_storage_host_id', 'native_volume_id'), 'text')


def test_the_storage_itself_has_the_documented_columns():
    texts = ('name', 'description', 'location', 'status', 'vendor', 'model', 'serial_number', 'firmware_version')
    capacities = ('total_capacity', 'used_capacity', 'free_capacity', 'raw_capacity', 'subscribed_capacity')
    assert {column.name: column.type.value for column in STORAGE_COLUMNS} == (
        dict.fromkeys(texts, 'text') | dict.fromkeys(capacities, 'integer'))


@pytest.mark.parametrize(('kind', 'column', 'enumeration'), [
    ('ports', 'type', constants.PortType), ('ports', 'logical_type', constants.PortLogicalType),
    ('disks', 'physical_type', constants.DiskPhysicalType), ('shares', 'protocol', constants.ShareProtocol),
    ('filesystems', 'worm', constants.WORMType), ('storage_hosts', 'os_type', constants.HostOSTypes)])
def test_an_enumerated_column_lists_all_values_of_its_enumeration(kind, column, enumeration):
    declared = {value for name, value in vars(enumeration).items() if name.isupper() and name != 'ALL'}
    assert set(KINDS[kind].table.column(column).values) == declared


@ALL_KINDS
def test_the_method_is_part_of_the_driver_contract(kind):
    assert callable(getattr(StorageDriver, kind.method))


@ALL_KINDS
def test_the_error_of_an_unknown_row_exists_and_is_a_not_found(kind):
    assert issubclass(getattr(exception, kind.not_found), exception.NotFound)


@ALL_KINDS
def test_columns_refer_to_kinds_that_exist(kind):
    targets = {column.refers_to for table in kind.tables for column in table.columns} - {None}
    assert targets <= set(KINDS.names())


@ALL_KINDS
def test_keys_are_columns_of_their_table(kind):
    assert all(set(table.key) <= set(columns_of(table)) for table in kind.tables)


@ALL_KINDS
def test_no_column_is_declared_twice(kind):
    assert all(len(columns_of(table)) == len(table.columns) for table in kind.tables)


@ALL_KINDS
def test_keys_are_text(kind):
    assert all(table.column(name).type is ColumnType.TEXT for table in kind.tables for name in table.key)


@ALL_KINDS
def test_member_lists_come_from_columns_that_exist(kind):
    tables = {table.name: table for table in KINDS.tables()}
    assert all({members.key_column, members.member_column} <= set(columns_of(tables[members.table]))
               for members in kind.members)


@ALL_KINDS
def test_member_lists_do_not_hide_a_column(kind):
    assert not {members.shown_as for members in kind.members} & set(columns_of(kind.table))


@ALL_KINDS
def test_numbers_say_their_unit(kind):
    assert all(column.help for column in kind.table.columns if column.type is ColumnType.INTEGER)


def test_a_second_kind_of_the_same_name_is_refused():
    kinds = Kinds()
    kinds.add(KINDS['volumes'])
    with pytest.raises(ValueError, match='volumes exists already'):
        kinds.add(dataclasses.replace(KINDS['volumes'], method='list_more_volumes'))


def test_a_kind_named_like_a_relation_is_refused():
    kinds = Kinds()
    kinds.add(KINDS['port_groups'])
    table = Table('port_grp_port_rels', ('native_id',), KINDS['volumes'].table.columns)
    with pytest.raises(ValueError, match='port_grp_port_rels exists already'):
        kinds.add(Kind(table, 'thing', 'list_things', 'NotFound'))


def test_a_refused_kind_leaves_no_trace():
    kinds = Kinds()
    kinds.add(KINDS['volumes'])
    with pytest.raises(ValueError):
        kinds.add(dataclasses.replace(KINDS['volumes'], singular='other'))
    assert [kind.singular for kind in kinds] == ['volume']


def test_a_removed_kind_can_be_added_again():
    kinds = Kinds()
    kinds.add(KINDS['volumes'])
    kinds.remove('volumes')
    kinds.add(KINDS['volumes'])
    assert (kinds.names(), len(kinds), 'volumes' in kinds) == (('volumes',), 1, True)


def test_only_the_pools_have_a_second_path():
    assert {kind.name: kind.aliases for kind in KINDS if kind.aliases} == {'storage_pools': ('storages-pools',)}


def test_threads_that_ask_for_a_table_at_once_get_the_whole_table():
    """In a process of its own, since tables are made once."""
    script = '''
import sys, threading
sys.setswitchinterval(1e-6)
from delfin.db.sqlalchemy import models
from delfin.kinds import KINDS
found, start = [], threading.Barrier(8)
def ask():
    start.wait()
    for kind in KINDS:
        table = models.table(kind.table)
        found.append((kind.name, id(table), len(table.columns)))
threads = [threading.Thread(target=ask) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
assert len(found) == 8 * len(list(KINDS)) and len(set(found)) == len(list(KINDS)), sorted(set(found))
'''
    for _ in range(3):      # without a lock nine of ten go wrong
        done = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
