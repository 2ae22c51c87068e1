# SPDX-License-Identifier: Apache-2.0
"""The life of a storage as a REST client sees it: register, look around, sync, delete."""

from __future__ import annotations

import concurrent.futures

import pytest

from delfin.drivers.fake_storage import FakeStorageDriver
from delfin.kinds import KINDS
from tests.services import Client, fake, kinds, wait_for

FRAMEWORK_FIELDS = {'id', 'storage_id', 'created_at', 'updated_at', 'last_seen_at', 'extra'}


@pytest.fixture(scope='module')
def storage(delfin: Client) -> dict:
    return delfin.register_fake(9000)


@pytest.fixture(scope='module')
def driver(storage: dict) -> FakeStorageDriver:
    """The same make-believe array, asked directly."""
    return FakeStorageDriver(storage_id=storage['id'], **fake(9000))


def test_a_registration_is_answered_with_the_array_and_where_to_find_it(delfin: Client) -> None:
    answer = delfin.request('POST', '/v1/storages', json=fake(9001))
    body = answer.json()
    assert answer.status_code == 201
    assert answer.headers['Location'].endswith(f'/v1/storages/{body["id"]}')
    assert body['sync_status'] == 'SYNCING'
    assert (body['deleted'], body['deleted_at'], body['updated_at']) == (False, None, None)
    assert body['created_at'].endswith('Z')
    delfin.synced(body['id'])


def test_the_first_sync_ends_as_synced(delfin: Client, storage: dict) -> None:
    assert storage['sync_status'] == 'SYNCED'


@pytest.mark.parametrize('kind', KINDS, ids=KINDS.names())
def test_every_kind_is_listed_as_the_array_has_it(delfin: Client, storage: dict, driver: FakeStorageDriver,
                                                  kind) -> None:
    answer = getattr(driver, kind.method)(None)
    expected = {row[kind.native_id]: row for row in (answer[kind.answer_key] if kind.answer_key else answer)}
    rows = {row[kind.native_id]: row for row in delfin.rows(kind.name, storage['id'], kind.nested)}
    assert rows.keys() == expected.keys()
    members = {members.shown_as for members in kind.members}
    for native_id, row in rows.items():
        shown = {name: value for name, value in row.items() if name not in FRAMEWORK_FIELDS | members}
        assert shown == {column.name: expected[native_id].get(column.name) for column in kind.table.columns}


def test_groups_and_hosts_show_their_members(delfin: Client, storage: dict, driver: FakeStorageDriver) -> None:
    pairs = driver.list_volume_groups(None)['vol_grp_vol_rels']
    for group in delfin.rows('volume_groups', storage['id'], nested=True):
        expected = sorted(pair['native_volume_id'] for pair in pairs
                          if pair['native_volume_group_id'] == group['native_volume_group_id'])
        assert sorted(group['volumes']) == expected
    hosts = delfin.rows('storage_hosts', storage['id'], nested=True)
    assert any(host['storage_host_initiators'] for host in hosts)


def test_every_column_filters_by_equality(delfin: Client, storage: dict) -> None:
    rows = delfin.rows('volumes', storage['id'])
    thin = delfin.get('/v1/volumes', storage_id=storage['id'], type='thin')['volumes']
    assert {row['id'] for row in thin} == {row['id'] for row in rows if row['type'] == 'thin'}
    one = delfin.get('/v1/volumes', total_capacity=rows[0]['total_capacity'], wwn=rows[0]['wwn'])['volumes']
    assert [row['id'] for row in one] == [rows[0]['id']]
    compressed = delfin.get('/v1/volumes', storage_id=storage['id'], compressed='true')['volumes']
    assert {row['id'] for row in compressed} == {row['id'] for row in rows if row['compressed']}


def test_pages_together_are_the_list(delfin: Client, storage: dict) -> None:
    rows = delfin.rows('volumes', storage['id'])
    pages = [delfin.get('/v1/volumes', storage_id=storage['id'], limit=7, offset=offset)['volumes']
             for offset in range(0, 49, 7)]
    assert [row['id'] for page in pages for row in page] == [row['id'] for row in rows]


def test_a_second_sync_finds_everything_unchanged_and_keeps_the_ids(delfin: Client, storage: dict) -> None:
    def rows() -> dict[str, dict]:
        return {row['id']: {**row, 'last_seen_at': None} for row in delfin.rows('volumes', storage['id'])}
    before = rows()
    run = delfin.sync(storage['id'])
    assert run['state'] == 'done'
    assert {name: (kind['created'], kind['updated'], kind['deleted']) for name, kind in kinds(run).items()} == (
        dict.fromkeys(('storage', *KINDS.names()), (0, 0, 0)))
    assert rows() == before


def test_two_arrays_of_one_model_never_see_each_others_rows(delfin: Client, storage: dict) -> None:
    other = delfin.register_fake(9002, volumes='3', seed='other')
    assert other['serial_number'] != storage['serial_number']
    ours = delfin.rows('volumes', storage['id'])
    theirs = delfin.rows('volumes', other['id'])
    assert len(theirs) == 3
    assert {row['native_volume_id'] for row in theirs} <= {row['native_volume_id'] for row in ours}
    assert {row['storage_id'] for row in theirs} == {other['id']}
    assert {row['id'] for row in ours}.isdisjoint(row['id'] for row in theirs)
    groups = delfin.rows('volume_groups', other['id'], nested=True)
    assert {volume for group in groups for volume in group['volumes']} <= {row['native_volume_id'] for row in theirs}


def test_an_array_is_registered_once(delfin: Client, storage: dict) -> None:
    error = delfin.post('/v1/storages', fake(9000), 409)
    assert error['error_code'] == 'StorageAlreadyExists'
    assert storage['id'] in error['error_msg']


def test_of_several_clients_that_register_one_array_at_once_one_succeeds(delfin: Client) -> None:
    def register(_: int) -> int:
        return Client(int(delfin.url.rpartition(':')[2])).request('POST', '/v1/storages', json=fake(9003)).status_code
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        statuses = sorted(pool.map(register, range(6)))
    assert statuses == [201] + [409] * 5
    assert len(delfin.get('/v1/storages', serial_number=delfin.get('/v1/storages')['storages'][0]['serial_number'])
               ['storages']) == 1


def test_a_deleted_storage_is_gone_at_once_and_can_come_back(delfin: Client) -> None:
    first = delfin.register_fake(9004)
    delfin.delete(f'/v1/storages/{first["id"]}')
    assert delfin.get(f'/v1/storages/{first["id"]}', 404)['error_code'] == 'StorageNotFound'
    assert delfin.rows('volumes', first['id']) == []
    second = delfin.register_fake(9004)
    assert second['serial_number'] == first['serial_number']
    assert second['id'] != first['id']
    assert len(delfin.rows('volumes', second['id'])) == 40


def test_deleting_twice_is_not_found(delfin: Client) -> None:
    storage = delfin.register_fake(9005)
    delfin.delete(f'/v1/storages/{storage["id"]}')
    delfin.delete(f'/v1/storages/{storage["id"]}', 404)


def test_sync_all_syncs_every_storage(delfin: Client, storage: dict) -> None:
    before = delfin.synced(storage['id'])['id']
    assert delfin.post('/v1/storages/sync') is None
    wait_for('a new run', lambda: delfin.get(f'/v1/storages/{storage["id"]}/syncs/latest')['id'] > before)
    assert delfin.synced(storage['id'])['state'] == 'done'


def test_an_unknown_driver_is_not_found(delfin: Client) -> None:
    for vendor, model in (('nobody', 'nothing'), ('os', 'path'), ('../../etc', 'x'), ('fake_storage', 'FAKE_DRIVER')):
        error = delfin.post('/v1/storages', {**fake(), 'vendor': vendor, 'model': model}, 404)
        assert error['error_code'] == 'StorageDriverNotFound'


def test_a_refused_login_is_a_clear_400_and_leaves_nothing(delfin: Client) -> None:
    before = len(delfin.get('/v1/storages')['storages'])
    error = delfin.post('/v1/storages', fake(9006, login_password='another'), 400)
    assert error['error_code'] == 'InvalidUsernameOrPassword'
    assert len(delfin.get('/v1/storages')['storages']) == before


def test_drivers_are_listed_with_their_state(delfin: Client) -> None:
    drivers = {driver['name']: driver for driver in delfin.get('/v1/drivers')['drivers']}
    assert drivers['fake_storage fake_driver']['status'] == 'ok'
    assert drivers['linux host']['description']
