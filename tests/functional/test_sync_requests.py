# SPDX-License-Identifier: Apache-2.0
"""Syncs as clients ask for them and as Delfin begins them by itself, and arrays that answer them badly."""

from __future__ import annotations

import contextlib
import itertools
import json
import sqlite3
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from delfin.kinds import KINDS
from tests.faults.test_arrays import Array
from tests.functional.test_rest_contract import ask, expect, refusal
from tests.services import Client, Process, Site, fake, kinds, wait_for

DEADLINE_SECONDS = 3
MANY = 9000         # rows: more than are written at once
INTERVAL_SECONDS = 2

_ports = itertools.count(9800)


# --- a vendor's driver that can do more harm than the make-believe array ---

HOSTILE = '''
    """A make-believe array whose list of volumes is what the file beside its control file says."""
    import asyncio, json, pathlib, time
    import requests
    from delfin import exception
    from delfin.drivers.fake_storage import FakeStorageDriver


    class Odd(BaseException):
        """Not even an Exception."""


    def raiser(error):
        def list_volumes(rows):
            raise error
        return list_volumes


    def broken_off(error):
        def list_volumes(rows):
            yield from rows[:len(rows) // 2]
            raise error
        return list_volumes


    def trickle(rows):
        for row in rows:
            yield row
            time.sleep(0.5)


    ANSWERS = {
        'html': lambda rows: '<html><body>Please log in</body></html>',
        'json text': lambda rows: json.dumps(rows),
        'html rows': lambda rows: list('<html><body>Please log in</body></html>'),
        'number': lambda rows: 42,
        'one row': lambda rows: rows[0],
        'trickle': trickle,
        'drop': broken_off(ConnectionResetError('connection reset by peer')),
        'drop of requests': broken_off(requests.exceptions.ChunkedEncodingError('connection broken')),
        'half': broken_off(RuntimeError('half of the rows')),
        'KeyboardInterrupt': raiser(KeyboardInterrupt()),
        'GeneratorExit': raiser(GeneratorExit()),
        'SystemExit': raiser(SystemExit(3)),
        'CancelledError': raiser(asyncio.CancelledError()),
        'MemoryError': raiser(MemoryError()),
        'RecursionError': raiser(RecursionError()),
        'StopIteration': raiser(StopIteration()),
        'BaseException': raiser(Odd('odd')),
        'StopIteration in the middle': broken_off(StopIteration()),
        'KeyboardInterrupt in the middle': broken_off(KeyboardInterrupt()),
        'ServiceUnavailable': raiser(exception.ServiceUnavailable('the array is busy')),
        'StorageIsSyncing': raiser(exception.StorageIsSyncing('x')),
    }


    class HostileDriver(FakeStorageDriver):
        """Notes who logs out in a file."""

        def _folder(self):
            return pathlib.Path(self._control._path).parent

        def list_volumes(self, context):
            rows = [dict(row) for row in self.array().rows('volumes')]
            path = self._folder() / f'{self.array().tag}.volumes'
            answer = ANSWERS.get(path.read_text() if path.exists() else '')
            return answer(rows) if answer else rows

        def delete_storage(self, context):
            with (self._folder() / 'left').open('a') as file:
                file.write(f'{self.storage_id}\\n')
            super().delete_storage(context)
'''


def hostile_package(folder: Path) -> Path:
    """A folder for PYTHONPATH with the hostile driver as an installed package."""
    (folder / 'hostile-1.0.dist-info').mkdir(parents=True)
    (folder / 'hostile_driver.py').write_text(textwrap.dedent(HOSTILE))
    (folder / 'hostile-1.0.dist-info' / 'METADATA').write_text('Metadata-Version: 2.1\nName: hostile\nVersion: 1.0\n')
    (folder / 'hostile-1.0.dist-info' / 'entry_points.txt').write_text(
        '[delfin.storage.drivers]\nhostile array = hostile_driver:HostileDriver\n')
    return folder


class Hostile(Array):
    """An array behind the hostile driver."""

    def __init__(self, client: Client, folder: Path, **extra: str) -> None:
        self.client = client
        self.control = folder / f'control-{next(_ports)}.json'
        self.control.write_text('{}')
        self.body = {**fake(next(_ports), control_file=str(self.control), **extra), 'vendor': 'hostile',
                     'model': 'array'}
        registered = client.register(**self.body)
        self.id = registered['id']
        self.answers = folder / f'{registered["name"].removeprefix("fake-")}.volumes'

    def list_volumes(self, answer: str) -> None:
        """From now on, a key of the driver's ANSWERS."""
        self.answers.write_text(answer)


# --- one Delfin that begins nothing by itself ---

@pytest.fixture(scope='module')
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    root = tmp_path_factory.mktemp('requests')
    return Site(root / 'site', python_path=(hostile_package(root / 'hostile'),),
                drivers={'inventory_timeout_seconds': DEADLINE_SECONDS, 'quarantine_min_seconds': 3600},
                sync={'interval_seconds': 0, 'confirm_delay_seconds': 3600, 'keep_runs': 3,
                      'poll_interval_seconds': 1})


@pytest.fixture(scope='module')
def process(site: Site) -> Iterator[Process]:
    with site.start() as started:
        yield started.ready()
        assert started.stop() == 0


@pytest.fixture(scope='module')
def delfin(process: Process) -> Client:
    return process.client


@pytest.fixture
def array(delfin: Client, tmp_path: Path) -> Array:
    """An array of the test's own, which can be told how to behave."""
    return Array(delfin, tmp_path / 'control.json', next(_ports))


@pytest.fixture
def hostile(delfin: Client, tmp_path: Path) -> Hostile:
    """An array of the test's own with the hostile driver."""
    return Hostile(delfin, tmp_path)


def storage_of(array: Array) -> dict[str, Any]:
    return array.client.get(f'/v1/storages/{array.id}')


def latest(array: Array) -> dict[str, Any]:
    return array.client.get(f'/v1/storages/{array.id}/syncs/latest')


def ask_for_sync(array: Array, body: Any = None, status: int = 202) -> dict[str, Any]:
    return array.client.post(f'/v1/storages/{array.id}/sync', body, status)


def ended(array: Array, run: dict[str, Any]) -> dict[str, Any]:
    """The run when it has ended, by the answer of the request for it."""
    return array.client.synced(array.id, run['id'])


def hanging(array: Array, kind: str = 'volumes', body: Any = None) -> dict[str, Any]:
    """A sync that hangs in the list of `kind` until the array behaves."""
    array.behave(misbehave=f'list_{kind}:hang')
    run = ask_for_sync(array, body)
    wait_for('the sync to hang', lambda: kinds(latest(array))[kind]['state'] == 'running')
    return run


# --- some kinds, force ---

def test_some_kinds_are_synced_alone(array: Array) -> None:
    seen = {kind: {row['last_seen_at'] for row in array.client.rows(kind, array.id)} for kind in ('volumes', 'disks')}
    run = ended(array, ask_for_sync(array, {'kinds': ['volumes']}))
    assert (run['state'], list(kinds(run))) == ('done', ['storage', 'volumes'])
    assert {row['last_seen_at'] for row in array.client.rows('disks', array.id)} == seen['disks']
    assert {row['last_seen_at'] for row in array.client.rows('volumes', array.id)} != seen['volumes']


def test_force_believes_an_array_that_lists_nothing(array: Array) -> None:
    array.behave(misbehave='list_volumes:vanish')
    first = array.sync()
    assert kinds(first)['volumes']['findings'][0]['code'] == 'deletion_withheld'
    assert len(array.ids()) == 40
    wait_for('the announced second look', lambda: latest(array)['trigger'] == 'confirm')
    run = ended(array, ask_for_sync(array, {'kinds': ['volumes'], 'force': True}))
    assert (run['force'], kinds(run)['volumes']['deleted'], array.ids()) == (True, 40, {})
    assert storage_of(array)['sync_status'] == 'SYNCED'


@pytest.mark.parametrize(('body', 'says'), [
    ({'kinds': ['moons']}, ('kinds', 'volumes')), ({'kinds': []}, ('kinds',)), ({'force': 'yes'}, ('force', 'boolean')),
    ({'kinds': ['volumes'], 'forse': True}, ('forse', 'force, kinds'))], ids=str)
def test_a_sync_request_without_sense_is_refused(array: Array, body: Any, says: tuple[str, ...]) -> None:
    expect(refusal('InvalidInput', *says), ask_for_sync(array, body, 400))


# --- joining ---

def test_who_asks_for_what_is_under_way_joins_and_who_asks_for_more_is_told_to_wait(array: Array) -> None:
    run = hanging(array, body={'kinds': ['volumes', 'disks']})
    for covered in ({'kinds': ['volumes']}, {'kinds': ['disks', 'volumes']}):
        assert ask_for_sync(array, covered) == run
    for more in (None, {'kinds': ['volumes', 'ports']}, {'kinds': ['volumes'], 'force': True}):
        expect(refusal('StorageIsSyncing', array.id), ask_for_sync(array, more, 409))
    array.behave()
    assert list(kinds(ended(array, run))) == ['storage', 'volumes', 'disks']


def test_every_request_joins_a_sync_of_everything(array: Array) -> None:
    run = hanging(array)
    assert [ask_for_sync(array, body) for body in (None, {}, {'kinds': ['ports']})] == [run] * 3
    array.behave()
    assert ended(array, run)['state'] == 'done'


# --- all ---

def test_all_are_synced_but_those_under_maintenance_and_under_way(delfin: Client, tmp_path: Path) -> None:
    usual, resting, busy = (Array(delfin, tmp_path / f'{name}.json', next(_ports))
                            for name in ('usual', 'resting', 'busy'))
    ask(delfin, f'PUT /v1/storages/{resting.id}', body={'maintenance': True})
    before = {array.id: latest(array)['id'] for array in (usual, resting)}
    under_way = hanging(busy)
    assert delfin.post('/v1/storages/sync') is None
    wait_for('a new run', lambda: latest(usual)['id'] > before[usual.id])
    assert delfin.synced(usual.id)['state'] == 'done'
    assert latest(resting)['id'] == before[resting.id]
    assert latest(busy)['id'] == under_way['id']
    busy.behave()
    assert ended(busy, under_way)['state'] == 'done'


# --- what can be seen ---

def test_a_failed_kind_is_told_until_it_succeeds_even_if_others_do_meanwhile(array: Array) -> None:
    array.behave(misbehave='list_volumes:raise,list_disks:raise_typed')
    array.sync()
    assert (storage_of(array)['failed_kinds'], storage_of(array)['sync_status']) == (['disks', 'volumes'], 'FAILED')
    array.behave(misbehave='list_volumes:raise')
    ended(array, ask_for_sync(array, {'kinds': ['disks']}))
    assert (storage_of(array)['failed_kinds'], storage_of(array)['sync_status']) == (['volumes'], 'FAILED')
    array.behave()
    ended(array, ask_for_sync(array, {'kinds': ['volumes']}))
    assert (storage_of(array)['failed_kinds'], storage_of(array)['sync_status']) == ([], 'SYNCED')


def test_a_long_listing_shows_how_far_it_has_come(array: Array) -> None:
    array.behave(volumes=MANY, yield_rows=True, misbehave='list_volumes:half_hang')
    run = ask_for_sync(array)
    half = wait_for('some rows', lambda: (lambda kind: kind['created'] > 1000 and kind)(
        kinds(latest(array))['volumes']))
    assert (half['state'], half['seen'] < MANY) == ('running', True)
    array.behave(volumes=MANY, yield_rows=True)
    whole = kinds(ended(array, run))['volumes']
    assert (whole['state'], whole['seen'], whole['created']) == ('done', MANY, MANY - 40)


def test_only_the_last_runs_are_kept(array: Array) -> None:
    ids = [array.sync()['id'] for _ in range(5)]
    syncs = array.client.get(f'/v1/storages/{array.id}/syncs')['syncs']
    assert [run['id'] for run in syncs] == ids[:1:-1]


def test_the_node_is_shown_with_what_it_owns(delfin: Client, array: Array) -> None:
    (node,) = delfin.get('/v1/nodes')['nodes']
    expect({'name': str, 'version': str, 'alive': True, 'started_at': str, 'heartbeat_at': str, 'expires_at': str},
           node)
    wait_for('deleted storages to be purged', lambda: delfin.get('/v1/nodes')['nodes'][0]['storages'] == len(
        delfin.get('/v1/storages')['storages']))
    assert latest(array)['node'] == node['name']


# --- arrays that answer badly ---

@pytest.fixture(scope='module')
def bystander(delfin: Client, tmp_path_factory: pytest.TempPathFactory) -> Array:
    """An array that behaves, and must not notice the others."""
    return Array(delfin, tmp_path_factory.mktemp('bystander') / 'control.json', next(_ports))


@pytest.mark.parametrize('answer', [
    'html', 'json text', 'number', 'one row', 'drop', 'drop of requests', 'half', 'trickle', 'KeyboardInterrupt',
    'GeneratorExit', 'SystemExit', 'CancelledError', 'MemoryError', 'RecursionError', 'StopIteration', 'BaseException',
    'StopIteration in the middle', 'KeyboardInterrupt in the middle', 'ServiceUnavailable', 'StorageIsSyncing'])
def test_a_bad_answer_costs_its_kind_and_nobody_else(hostile: Hostile, bystander: Array, answer: str) -> None:
    before = hostile.ids()
    hostile.list_volumes(answer)
    run = ask_for_sync(hostile)
    assert bystander.sync()['state'] == 'done'      # meanwhile
    run = ended(hostile, run)
    results = kinds(run)
    assert {name: result['state'] for name, result in results.items() if result['state'] != 'done'} == {
        'volumes': 'failed'}
    assert results['volumes']['error']
    assert (storage_of(hostile)['failed_kinds'], hostile.ids()) == (['volumes'], before)
    hostile.list_volumes('as ever')
    assert hostile.sync()['state'] == 'done'
    assert (storage_of(hostile)['failed_kinds'], hostile.ids()) == ([], before)


def test_text_in_place_of_each_row_deletes_nothing(hostile: Hostile) -> None:
    before = hostile.ids()
    hostile.list_volumes('html rows')
    result = kinds(hostile.sync())['volumes']
    assert (result['seen'], {finding['code'] for finding in result['findings']}) == (
        0, {'not_a_row', 'deletion_withheld'})
    assert hostile.ids() == before


@pytest.mark.parametrize('action', ['hang', 'half_hang', 'exit', 'secret_leak'])
def test_a_list_that_goes_wrong_costs_its_kind_and_nobody_else(array: Array, bystander: Array, action: str) -> None:
    before = array.ids()
    array.behave(misbehave=f'list_volumes:{action}')
    run = ask_for_sync(array)
    assert bystander.sync()['state'] == 'done'      # meanwhile
    results = kinds(ended(array, run))
    assert [name for name, result in results.items() if result['state'] != 'done'] == ['volumes']
    assert (storage_of(array)['failed_kinds'], array.ids()) == (['volumes'], before)
    array.behave()
    assert array.sync()['state'] == 'done'


def test_a_list_that_the_driver_does_not_have_is_no_failure(array: Array) -> None:
    array.behave(misbehave='list_volumes:notimplemented')
    run = array.sync()
    assert (run['state'], kinds(run)['volumes']['state'], len(array.ids())) == ('done', 'unsupported', 40)


def test_an_array_that_answers_nothing_right_costs_nobody_else_anything(array: Array, bystander: Array) -> None:
    array.behave(misbehave='list_*:raise')
    run = array.sync()
    assert {result['state'] for name, result in kinds(run).items() if name != 'storage'} == {'failed'}
    assert storage_of(array)['failed_kinds'] == sorted(KINDS.names())
    assert bystander.sync()['state'] == 'done'


# --- deletion ---

def stored_rows(site: Site, storage_id: str) -> dict[str, int]:
    """What the database still has of a storage, by table."""
    with contextlib.closing(sqlite3.connect(f'file:{site.root}/delfin.sqlite?mode=ro', uri=True)) as connection:
        tables = [name for name, in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        keys = {table: 'id' if table == 'storages' else 'storage_id' for table in tables if table == 'storages' or any(
            column[1] == 'storage_id' for column in connection.execute(f'PRAGMA table_info({table})'))}
        counts = {table: connection.execute(f'SELECT count(*) FROM {table} WHERE {key} = ?', [storage_id]).fetchone()[0]
                  for table, key in keys.items()}
    assert len(counts) > len(list(KINDS))
    return {table: count for table, count in counts.items() if count}


def test_a_storage_that_is_deleted_while_it_is_synced_is_gone_and_can_be_registered_again_at_once(
        delfin: Client, site: Site, tmp_path: Path) -> None:
    control = tmp_path / 'control.json'
    array = Array(delfin, control, port := next(_ports))
    array.behave(volumes=MANY, yield_rows=True, misbehave='list_volumes:half_hang')
    ask_for_sync(array)
    wait_for('some rows', lambda: kinds(latest(array))['volumes']['created'] > 1000)
    serial_number = storage_of(array)['serial_number']
    delfin.delete(f'/v1/storages/{array.id}')
    assert delfin.get(f'/v1/storages/{array.id}', 404)['error_code'] == 'StorageNotFound'
    assert delfin.rows('volumes', array.id) == []
    array.behave()
    again = delfin.register_fake(port, control_file=str(control))
    assert (again['serial_number'], again['id'] != array.id) == (serial_number, True)
    assert len(delfin.rows('volumes', again['id'])) == 40
    wait_for('the purge', lambda: stored_rows(site, array.id) == {})
    assert delfin.get('/v1/storages', serial_number=serial_number)['storages'] == [
        delfin.get(f'/v1/storages/{again["id"]}')]
    assert len(delfin.rows('volumes', again['id'])) == 40


def test_a_deleted_storages_driver_logs_out_and_the_next_one_of_the_array_does_not(delfin: Client,
                                                                                  tmp_path: Path) -> None:
    hostile = Hostile(delfin, tmp_path)
    delfin.delete(f'/v1/storages/{hostile.id}')
    again = delfin.register(**hostile.body)
    left = tmp_path / 'left'
    wait_for('the driver to log out', left.exists)
    assert again['sync_status'] == 'SYNCED'
    assert left.read_text().split() == [hostile.id]


def test_a_deleted_storage_cannot_be_synced(array: Array) -> None:
    array.client.delete(f'/v1/storages/{array.id}')
    expect(refusal('StorageNotFound', array.id), ask_for_sync(array, None, 404))


# --- by itself ---

@pytest.fixture(scope='module')
def punctual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """The client of a Delfin that syncs every two seconds."""
    site = Site(tmp_path_factory.mktemp('schedule') / 'site',
                sync={'interval_seconds': INTERVAL_SECONDS, 'poll_interval_seconds': 1})
    with site.start() as process:
        yield process.ready().client
        assert process.stop() == 0


@pytest.fixture
def regular(punctual: Client, tmp_path: Path) -> Array:
    """An array that is synced by itself."""
    return Array(punctual, tmp_path / 'control.json', next(_ports))


def scheduled(array: Array) -> list[int]:
    """Ids of the runs that nobody asked for, newest first."""
    syncs = array.client.get(f'/v1/storages/{array.id}/syncs')['syncs']
    return [run['id'] for run in syncs if run['trigger'] == 'schedule']


def change(array: Array, **settings: Any) -> None:
    expect(settings, ask(array.client, f'PUT /v1/storages/{array.id}', body=settings).json())


def quiet(array: Array) -> list[int]:
    """The scheduled runs, after time for two more, none of which has come."""
    array.client.synced(array.id)
    before = scheduled(array)
    time.sleep(2 * INTERVAL_SECONDS + 1)
    assert scheduled(array) == before
    return before


def test_arrays_are_synced_by_themselves_once_in_each_interval(regular: Array) -> None:
    begin, known = time.monotonic(), len(scheduled(regular))
    wait_for('three syncs', lambda: len(scheduled(regular)) >= known + 3, 6 * INTERVAL_SECONDS)
    assert time.monotonic() - begin > INTERVAL_SECONDS
    regular.behave(epoch=1, change_percent=100)
    names = {row['updated_at'] for row in regular.client.rows('volumes', regular.id)}
    wait_for('news from the array', lambda: {
        row['updated_at'] for row in regular.client.rows('volumes', regular.id)} != names, 6 * INTERVAL_SECONDS)


def test_maintenance_stops_the_schedule_and_nobody_who_asks(regular: Array) -> None:
    wait_for('a sync', lambda: scheduled(regular))
    change(regular, maintenance=True)
    before = quiet(regular)
    run = regular.sync()
    assert (run['trigger'], run['state']) == ('api', 'done')
    change(regular, maintenance=False)
    wait_for('a sync', lambda: scheduled(regular)[0] > before[0], 4 * INTERVAL_SECONDS)


def test_an_array_with_interval_zero_is_synced_when_somebody_asks(regular: Array) -> None:
    wait_for('a sync', lambda: scheduled(regular))
    change(regular, sync_interval_seconds=0)
    before = quiet(regular)
    assert regular.sync()['state'] == 'done'
    change(regular, sync_interval_seconds=None)
    wait_for('a sync', lambda: scheduled(regular)[0] > before[0], 4 * INTERVAL_SECONDS)


def test_settings_outlive_a_sync(regular: Array) -> None:
    change(regular, maintenance=True, sync_interval_seconds=900)
    regular.sync()
    expect({'maintenance': True, 'sync_interval_seconds': 900}, storage_of(regular))


def test_an_array_that_fails_is_asked_again_by_itself_and_recovers(regular: Array) -> None:
    regular.behave(misbehave='list_volumes:raise')
    wait_for('the failure', lambda: storage_of(regular)['failed_kinds'] == ['volumes'], 6 * INTERVAL_SECONDS)
    regular.control.write_text(json.dumps({}))
    wait_for('the recovery', lambda: storage_of(regular)['failed_kinds'] == [], 6 * INTERVAL_SECONDS)
