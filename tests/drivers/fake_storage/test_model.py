# SPDX-License-Identifier: Apache-2.0
"""The make-believe array: the same everywhere, and consistent in itself."""

from __future__ import annotations

import hashlib
import inspect
import ipaddress
import json
import os
import re
import subprocess
import sys
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delfin.drivers.driver import StorageDriver
from delfin.drivers.fake_storage import FakeStorageDriver, capacity
from delfin.drivers.fake_storage.options import SIZES
from delfin.drivers.fake_storage.recipes import SIZE_OF_KIND
from delfin.kinds import BIGINT_MAX, KINDS, STORAGE_COLUMNS, TEXT_LENGTH, Column, ColumnType
from tests.drivers.fake_storage import inventory, make_driver

WINDOW = (1_700_000_000_000, 1_700_000_120_000)

# Everything the default array answers, as one digest: it may change with a recipe, never with a process, a platform
# or a Python version.
DIGEST = '010de3a97358d33a362a95b220f09cf34a29dfc9d49afecbf042fbbebf063e50'


def everything(driver: FakeStorageDriver) -> dict[str, Any]:
    capabilities = driver.get_capabilities(None)
    return {
        'storage': driver.get_storage(None),
        'inventory': inventory(driver),
        'alerts': driver.list_alerts(None),
        'sources': driver.get_alert_sources(None),
        'metrics': list(driver.collect_perf_metrics(None, 's', capabilities['resource_metrics'], *WINDOW)),
    }


def digest(driver: FakeStorageDriver) -> str:
    return hashlib.sha256(json.dumps(everything(driver)).encode()).hexdigest()


# --- the same everywhere ---

def test_the_default_array_is_the_one_we_know():
    assert digest(make_driver()) == DIGEST


def test_two_processes_see_the_same_array():
    code = ('from tests.drivers.fake_storage import make_driver\n'
            'from tests.drivers.fake_storage.test_model import digest\n'
            'print(digest(make_driver(seed="7", epoch="5", volumes="300")))\n')
    digests = {
        subprocess.run([sys.executable, '-c', code], env={**os.environ, 'PYTHONHASHSEED': seed}, text=True,
                       capture_output=True, check=True).stdout
        for seed in ('1', '2')}
    assert digests == {digest(make_driver(seed='7', epoch='5', volumes='300')) + '\n'}


@pytest.mark.parametrize('other', [
    {'host': '192.0.2.11'}, {'port': 8089}, {'seed': '1'}, {'array_id': '42'}])
def test_another_endpoint_seed_or_array_id_is_another_array(other):
    one, two = make_driver(), make_driver(**other)
    for column in ('serial_number', 'name'):
        assert one.get_storage(None)[column] != two.get_storage(None)[column]
    for table, column in (('disks', 'serial_number'), ('volumes', 'wwn'), ('storage_host_initiators', 'wwn')):
        assert not ({row[column] for row in inventory(one)[table]} & {row[column] for row in inventory(two)[table]})


def test_many_arrays_share_no_serial_number_and_no_name():
    rows = [make_driver(host=f'10.0.{number // 250}.{number % 250}').get_storage(None) for number in range(2_000)]
    assert len({row['serial_number'] for row in rows}) == len({row['name'] for row in rows}) == len(rows)


def test_the_first_section_decides_who_the_array_is():
    rest = {'host': 'a.example', 'port': 443}
    ssh = {'host': 'b.example', 'port': 22}
    both = FakeStorageDriver(storage_id='s', ssh=ssh, rest=rest)
    assert both.get_storage(None) == FakeStorageDriver(storage_id='s', rest=rest).get_storage(None)
    assert both.get_storage(None) != FakeStorageDriver(storage_id='s', ssh=ssh).get_storage(None)


def test_a_port_may_be_text_and_a_host_in_capitals():
    assert (FakeStorageDriver(rest={'host': 'ARRAY.example', 'port': '443'}).get_storage(None)
            == FakeStorageDriver(rest={'host': 'array.example', 'port': 443}).get_storage(None))


def test_serial_number_can_be_set_and_changes_nothing_else():
    mine, default = make_driver(serial_number='SN42'), make_driver()
    assert mine.get_storage(None) == {**default.get_storage(None), 'serial_number': 'SN42'}
    assert inventory(mine) == inventory(default)


def test_rows_are_made_anew_for_each_call():
    driver = make_driver()
    before = everything(driver)
    for row in driver.list_volumes(None):
        row.clear()
    driver.get_storage(None).clear()
    driver.get_capabilities(None)['resource_metrics'].clear()
    assert everything(driver) == before


# --- what the contract asks for ---

def test_every_method_of_the_contract_has_the_contracts_arguments():
    for name, method in inspect.getmembers(StorageDriver, inspect.isfunction):
        if not name.startswith('_'):
            ours = inspect.signature(getattr(FakeStorageDriver, name))
            assert list(ours.parameters) == list(inspect.signature(method).parameters), name


def test_every_kind_has_the_configured_number_of_rows():
    tables = inventory(make_driver())
    assert {kind.name: len(tables[kind.name]) for kind in KINDS} == {
        kind.name: SIZES[SIZE_OF_KIND[kind.name]] for kind in KINDS}


def check_value(column: Column, value: Any) -> None:
    match column.type:
        case ColumnType.INTEGER:
            assert type(value) is int and 0 <= value <= BIGINT_MAX
        case ColumnType.BOOLEAN:
            assert type(value) is bool
        case ColumnType.TEXT:
            assert type(value) is str and value == value.strip() and 0 < len(value) <= TEXT_LENGTH
    assert not column.values or value in column.values, column.name


@pytest.mark.parametrize('epoch', ['0', '1', '50'])
def test_every_value_is_legal_in_every_epoch(epoch):
    driver = make_driver(epoch=epoch, change_percent='100', volumes='200', ports='60', controllers='5', disks='70')
    tables = inventory(driver)
    for table in KINDS.tables():
        for row in tables[table.name]:
            for name, value in row.items():
                check_value(table.column(name), value)
    columns = {column.name: column for column in STORAGE_COLUMNS}
    for name, value in driver.get_storage(None).items():
        check_value(columns[name], value)


def test_every_column_of_every_kind_is_filled_somewhere():
    tables = inventory(make_driver())
    for table in KINDS.tables():
        filled = {name for row in tables[table.name] for name in row}
        assert filled == {column.name for column in table.columns}


def test_ids_are_unique():
    tables = inventory(make_driver(volumes='500'))
    for table in KINDS.tables():
        keys = [tuple(row[column] for column in table.key) for row in tables[table.name]]
        assert len(keys) == len(set(keys)), table.name


def test_addresses_are_canonical_and_unique():
    tables = inventory(make_driver(ports='24', controllers='4'))
    ports = tables['ports']
    names = [row['wwn'] for row in (*ports, *tables['volumes'], *tables['storage_host_initiators']) if 'wwn' in row]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r'[0-9a-f]{16}|[0-9a-f]{32}|iqn\.\d{4}-\d\d\.[a-z.]+:[a-z0-9-]+', name) for name in names)
    macs = [row['mac_address'] for row in ports if 'mac_address' in row]
    assert len(macs) == len(set(macs)) > 0
    assert all(re.fullmatch(r'02(:[0-9a-f]{2}){5}', mac) for mac in macs)
    addresses = [row[column] for rows in tables.values() for row in rows
                 for column in ('ipv4', 'ipv6', 'mgmt_ip', 'ip_address') if column in row]
    assert len(addresses) == len(set(addresses)) > 0
    assert all(str(ipaddress.ip_address(address)) == address for address in addresses)


# --- consistent in itself ---

def check_references(tables: dict[str, list[dict[str, Any]]]) -> None:
    ids = {kind.name: {row[kind.native_id] for row in tables[kind.name]} for kind in KINDS}
    for table in KINDS.tables():
        for column in table.columns:
            if column.refers_to:
                pointing = {row[column.name] for row in tables[table.name] if column.name in row}
                assert pointing <= ids[column.refers_to], (table.name, column.name)
    controllers = ids['controllers']
    assert {row['native_parent_id'] for row in tables['ports'] if 'native_parent_id' in row} <= controllers
    filesystem_of = {row['native_qtree_id']: row.get('native_filesystem_id') for row in tables['qtrees']}
    for row in (*tables['shares'], *tables['quotas']):
        if 'native_qtree_id' in row:
            assert row.get('native_filesystem_id') == filesystem_of[row['native_qtree_id']]


def check_arithmetic(storage: dict[str, Any], tables: dict[str, list[dict[str, Any]]]) -> None:
    for row in (storage, *tables['storage_pools'], *tables['volumes'], *tables['filesystems']):
        assert row['used_capacity'] + row['free_capacity'] == row['total_capacity']
        assert row['used_capacity'] >= 0 and row['free_capacity'] >= 0
    pools = tables['storage_pools']
    assert sum(row['total_capacity'] for row in pools) <= storage['total_capacity']
    assert sum(row['used_capacity'] for row in pools) == storage['used_capacity']
    assert sum(row['subscribed_capacity'] for row in pools) == storage['subscribed_capacity']
    if 'raw_capacity' in storage:
        assert storage['total_capacity'] <= storage['raw_capacity']
        assert sum(row['capacity'] for row in tables['disks']) <= storage['raw_capacity']
    for pool in pools:
        name = pool['native_storage_pool_id']
        members = [row for row in tables['volumes'] if row.get('native_storage_pool_id') == name]
        members += [row for row in tables['filesystems'] if row.get('native_pool_id') == name]
        assert sum(row['total_capacity'] for row in members) == pool['subscribed_capacity']
        assert sum(row['used_capacity'] for row in members) <= pool['used_capacity']
        thick = [row['total_capacity'] for row in members if row['type'] == 'thick']
        assert sum(thick) <= pool['used_capacity']


@settings(max_examples=60, deadline=None)
@given(st.fixed_dictionaries(
    {'seed': st.integers(0, 1000).map(str), 'epoch': st.integers(0, 40).map(str)},
    optional={f'{prefix}{size}': st.integers(0, 30).map(str)
              for size in SIZES for prefix in ('', 'grow.', 'remove.')}))
def test_any_array_is_consistent(options):
    driver = make_driver(**options)
    tables = inventory(driver)
    check_references(tables)
    check_arithmetic(driver.get_storage(None), tables)


@pytest.mark.parametrize('rows', ['500000', '10000000'])
@pytest.mark.parametrize('seed', ['0', '1', '2', '3'])
def test_a_huge_array_knows_its_sums_at_once_and_they_fit(rows, seed):
    grown = {f'grow.{size}': '1000000' for size in ('volumes', 'filesystems', 'disks')}
    storage = make_driver(seed=seed, volumes=rows, filesystems=rows, **grown).get_storage(None)
    assert all(value <= BIGINT_MAX for value in storage.values() if isinstance(value, int))


def test_the_sums_in_closed_form_are_the_sums():
    sizes = capacity.Sizes((3, 5, 8, 13))
    for indices in (range(0), range(1), range(137), range(40, 233)):
        for pools in (1, 3, 4, 50):
            for pool in range(pools):
                members = [index for index in indices if index % pools == pool]
                assert capacity.demand(sizes, indices, pools, pool) == capacity.Demand(
                    sum(map(sizes.total, members)), sum(map(sizes.allocated, members)))


@pytest.mark.parametrize('needed, disks, size', [
    (1, 24, 600 * 10**9), (10**13, 24, 600 * 10**9), (3 * 10**13, 24, 1920 * 10**9),
    (3 * 30720 * 10**9, 4, 30720 * 10**9), (3 * 30720 * 10**9 + 1, 4, 2 * 30720 * 10**9),
    (3 * 3 * 30720 * 10**9, 4, 3 * 30720 * 10**9)])
def test_disks_are_as_large_as_they_must_be(needed, disks, size):
    assert capacity.disk_capacity(needed, disks) == size
    assert capacity.usable(disks * size) >= needed


# --- ageing ---

def changed(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> int:
    return sum(old != new for old, new in zip(before, after, strict=True))


@pytest.mark.parametrize('percent, volumes, expected', [
    ('1', 1000, 10), ('0.7', 1000, 7), ('0.1', 500, 1), ('0', 500, 0), ('100', 77, 77), ('33.3', 300, 100)])
def test_each_epoch_changes_exactly_the_stated_share(percent, volumes, expected):
    epochs = [make_driver(epoch=str(epoch), change_percent=percent, volumes=str(volumes)).list_volumes(None)
              for epoch in range(6)]
    assert [changed(*pair) for pair in zip(epochs, epochs[1:], strict=False)] == [expected] * 5
    assert all([row['native_volume_id'] for row in rows] == [row['native_volume_id'] for row in epochs[0]]
               for rows in epochs)


def test_every_kind_changes_with_the_epoch():
    before, after = (inventory(make_driver(epoch=epoch, change_percent='100')) for epoch in ('3', '4'))
    for kind in KINDS:
        assert changed(before[kind.name], after[kind.name]) == len(before[kind.name]) > 0, kind.name


def test_change_percent_can_be_for_one_kind():
    before = inventory(make_driver())
    after = inventory(make_driver(epoch='1', **{'change_percent': '0', 'change_percent.disks': '50'}))
    assert changed(before['disks'], after['disks']) == 12
    assert all(before[kind.name] == after[kind.name] for kind in KINDS if kind.name != 'disks')


def test_grow_and_remove():
    before = make_driver().list_volumes(None)
    after = make_driver(**{'grow.volumes': '3', 'remove.volumes': '10'}).list_volumes(None)
    assert after[:30] == before[:30]
    assert [row['native_volume_id'] for row in after[30:]] == ['volume_40', 'volume_41', 'volume_42']


def test_grow_and_remove_for_all_kinds():
    sizes = {kind.name: len(inventory(make_driver(grow='2'))[kind.name]) for kind in KINDS}
    assert sizes == {kind.name: SIZES[SIZE_OF_KIND[kind.name]] + 2 for kind in KINDS}
    assert not any(inventory(make_driver(remove='1000')).values())


# --- many rows ---

def test_lists_are_lists_or_generators_as_asked():
    assert isinstance(make_driver().list_volumes(None), list)
    assert isinstance(make_driver(volumes='10000').list_volumes(None), list)
    assert not isinstance(make_driver(volumes='10001').list_volumes(None), list)
    assert isinstance(make_driver(volumes='10001', yield_rows='false').list_volumes(None), list)
    lazy = make_driver(yield_rows='true')
    assert not isinstance(lazy.list_volumes(None), list)
    assert not isinstance(lazy.list_volume_groups(None)['vol_grp_vol_rels'], list)
    assert inventory(lazy) == inventory(make_driver())


@pytest.mark.parametrize('method, size, count', [
    ('list_volumes', 'volumes', 60_000), ('list_alerts', 'alerts', 30_000)])
def test_memory_stays_flat(method, size, count):
    driver = make_driver(**{size: str(count)})
    tracemalloc.start()
    try:
        rows = sum(1 for _ in getattr(driver, method)(None))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert rows == count
    assert peak < 2**20
