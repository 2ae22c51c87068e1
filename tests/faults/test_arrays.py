# SPDX-License-Identifier: Apache-2.0
"""Arrays that misbehave: each costs its own storage a failed kind, loses no row, and costs the others nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.services import Client, Site, fake, kinds, wait_for

DEADLINE_SECONDS = 2
CONFIRM_SECONDS = 1


class Array:
    """A registered make-believe array that can be told how to behave."""

    def __init__(self, client: Client, control: Path, port: int) -> None:
        self.client = client
        self.control = control
        self.id: str = client.register_fake(port, control_file=str(control))['id']

    def behave(self, **values: Any) -> None:
        """From now on, e.g. `misbehave='list_volumes:vanish'`."""
        temporary = self.control.with_suffix('.new')
        temporary.write_text(json.dumps(values))
        temporary.replace(self.control)

    def sync(self) -> dict[str, Any]:
        return self.client.sync(self.id)

    def confirmation(self, first: dict[str, Any]) -> dict[str, Any]:
        """The second look that Delfin takes by itself after `first`, when it has ended."""
        def second() -> Any:
            return next((run for run in self.client.get(f'/v1/storages/{self.id}/syncs')['syncs']
                         if run['id'] > first['id'] and run['trigger'] == 'confirm'), None)
        return self.client.synced(self.id, wait_for('the second look', second)['id'])

    def status(self) -> str:
        return self.client.get(f'/v1/storages/{self.id}')['sync_status']

    def ids(self, kind: str = 'volumes') -> dict[str, str]:
        """Our ids by native id."""
        key = f'native_{kind[:-1]}_id'
        return {row[key]: row['id'] for row in self.client.rows(kind, self.id)}


@pytest.fixture(scope='module')
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp('arrays'), drivers={
        'inventory_timeout_seconds': DEADLINE_SECONDS, 'interactive_timeout_seconds': DEADLINE_SECONDS,
        'quarantine_min_seconds': 3600}, sync={'confirm_delay_seconds': CONFIRM_SECONDS, 'interval_seconds': 0})


@pytest.fixture(scope='module')
def delfin(site: Site) -> Iterator[Client]:
    with site.start() as process:
        yield process.ready().client
        assert process.stop() == 0


@pytest.fixture
def array(delfin: Client, site: Site, request: pytest.FixtureRequest) -> Array:
    number = len(delfin.get('/v1/storages')['storages'])
    return Array(delfin, site.root / f'control-{number}.json', 10000 + number)


@pytest.mark.parametrize('action', ['raise', 'raise_typed', 'exit', 'half_generator', 'half_hang'])
def test_a_kind_that_fails_says_why_keeps_its_rows_and_stops_no_other(array: Array, action: str) -> None:
    before = array.ids()
    array.behave(misbehave=f'list_volumes:{action}')
    run = array.sync()
    results = kinds(run)
    assert (run['state'], array.status()) == ('failed', 'FAILED')
    assert results['volumes']['state'] == 'failed'
    assert results['volumes']['error']
    assert {result['state'] for name, result in results.items() if name != 'volumes'} == {'done'}
    assert array.client.get(f'/v1/storages/{array.id}')['failed_kinds'] == ['volumes']
    assert array.ids() == before
    array.behave()


def test_the_next_good_sync_makes_it_synced_again(array: Array) -> None:
    array.behave(misbehave='list_volumes:raise')
    assert array.sync()['state'] == 'failed'
    array.behave()
    assert array.sync()['state'] == 'done'
    assert array.status() == 'SYNCED'


def test_rubbish_rows_are_counted_and_reported_and_the_good_ones_stored(array: Array) -> None:
    before = array.ids()
    array.behave(misbehave='list_volumes:garbage')
    result = kinds(array.sync())['volumes']
    assert result['state'] == 'done'
    assert result['rejected'] > 0
    codes = {finding['code'] for finding in result['findings']}
    assert codes >= {'not_a_row', 'no_native_id', 'unknown_key', 'not_a_number', 'repeated_native_id'}
    after = array.ids()
    assert {native_id: after[native_id] for native_id in before.keys() & after.keys()} == {
        native_id: before[native_id] for native_id in before.keys() & after.keys()}


def test_rubbish_of_every_kind_breaks_nothing(array: Array) -> None:
    array.behave(misbehave='list_*:garbage')
    run = array.sync()
    internal = {name: result['error'] for name, result in kinds(run).items()
                if 'internal error' in (result['error'] or '')}
    assert internal == {}
    array.behave()
    assert array.sync()['state'] == 'done'


@pytest.mark.parametrize('action', ['vanish', 'none', 'shrink'])
def test_rows_that_are_suddenly_missing_are_deleted_only_when_the_array_says_so_twice(array: Array,
                                                                                      action: str) -> None:
    before = array.ids()
    array.behave(misbehave=f'list_volumes:{action}')
    first = array.sync()
    assert [finding['code'] for finding in kinds(first)['volumes']['findings']] == ['deletion_withheld']
    second = array.confirmation(first)
    assert kinds(second)['volumes']['deleted'] > len(before) / 2
    assert len(array.ids()) == len(before) - kinds(second)['volumes']['deleted']


def test_rows_that_come_back_before_the_second_look_keep_their_ids(array: Array) -> None:
    before = array.ids()
    array.behave(misbehave='list_volumes:vanish')
    first = array.sync()
    array.behave()
    array.confirmation(first)
    assert array.ids() == before


def test_an_array_that_lists_nothing_because_it_is_ill_loses_nothing(array: Array) -> None:
    before = array.ids()
    array.behave(misbehave='list_volumes:vanish,get_storage:raise')
    first = array.sync()
    assert kinds(first)['volumes']['state'] == 'failed'
    assert array.ids() == before


def test_a_few_rows_that_go_are_deleted_at_once(array: Array) -> None:
    before = array.ids()
    array.behave(**{'remove.volumes': 3})
    assert kinds(array.sync())['volumes']['deleted'] == 3
    after = array.ids()
    assert len(after) == len(before) - 3
    assert after.items() <= before.items()


def test_another_array_behind_the_address_changes_nothing(array: Array) -> None:
    before = array.ids()
    array.behave(serial_number='SOMEBODY-ELSE')
    run = array.sync()
    assert {result['state'] for result in run['kinds']} == {'failed'}
    assert 'SOMEBODY-ELSE' in run['kinds'][0]['error']
    assert array.ids() == before


def test_a_call_that_hangs_costs_its_kind_and_nobody_else(array: Array, delfin: Client, site: Site) -> None:
    other = Array(delfin, site.root / 'control-other.json', 10900)
    array.behave(misbehave='list_disks:hang')
    run_id = delfin.post(f'/v1/storages/{array.id}/sync')['id']
    assert other.sync()['state'] == 'done'      # meanwhile
    results = kinds(delfin.synced(array.id, run_id))
    assert results['disks']['state'] == 'failed'
    assert 'did not answer within' in results['disks']['error']
    assert {result['state'] for name, result in results.items() if name != 'disks'} == {'done'}
    array.behave()


def test_a_driver_that_hangs_twice_is_quarantined_visibly_until_it_returns(array: Array, delfin: Client) -> None:
    array.behave(misbehave='list_disks:hang,list_ports:hang')
    results = kinds(array.sync())
    assert [name for name, result in results.items() if result['state'] == 'failed' and 'did not answer' in
            result['error']] == ['ports', 'disks']
    assert 'StorageQuarantined' in results['masking_views']['error']
    assert delfin.get(f'/v1/storages/{array.id}')['quarantined_until'] is not None
    array.behave()      # the calls return
    wait_for('the end of the quarantine',
             lambda: delfin.get(f'/v1/storages/{array.id}')['quarantined_until'] is None)
    assert array.sync()['state'] == 'done'


def test_registering_an_array_that_hangs_is_a_gateway_time_out_and_leaves_nothing(delfin: Client) -> None:
    before = delfin.get('/v1/storages')['storages']
    error = delfin.post('/v1/storages', fake(10950, misbehave='get_storage:hang'), 504)
    assert error['error_code'] == 'DriverCallTimeout'
    assert delfin.get('/v1/storages')['storages'] == before
