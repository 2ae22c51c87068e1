# SPDX-License-Identifier: Apache-2.0
"""Two OceanStors in a running Delfin: registered by certificate authority and by fingerprint, synced, compared with
what is in them; a fault that becomes an alert and goes; metrics for Prometheus; and what goes wrong on the way.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.functional import arrays
from tests.functional.arrays import SECONDS
from tests.services import kinds, wait_for
from tests.simulators.huawei import EVERYTHING, OCEANSTOR_6, OceanStor, Sizes
from tests.simulators.huawei.truth import truth

House = arrays.House[OceanStor]


def body(array: OceanStor, **trust: Any) -> dict[str, Any]:
    return {'vendor': 'huawei', 'model': 'oceanstor', 'rest': {
        'host': array.host, 'port': array.port, 'username': array.username, 'password': array.password, **trust}}


@pytest.fixture(scope='module')
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with (OceanStor('one', Sizes(luns=230), firmware=EVERYTHING) as one,
          OceanStor('two', Sizes(luns=20), firmware=OCEANSTOR_6) as two):
        trust = {one.serial: {'ca_cert': one.ca_pem}, two.serial: {'fingerprint': two.certificate.fingerprint}}
        with arrays.House.running(tmp_path_factory.mktemp('huawei'), {'one': one, 'two': two},
                                  lambda array: body(array, **trust[array.serial])) as house:
            yield house
        assert not (one.sessions.open or two.sessions.open), 'logged out'


def test_an_unknown_certificate_is_refused_with_the_field_that_accepts_it(house: House) -> None:
    array = house.arrays['two']
    error = house.client.post('/v1/storages', body(array), 400)
    assert error['error_code'] == 'SSLCertificateFailed'
    assert error['error_args'] == [array.certificate.fingerprint]


@pytest.mark.parametrize('name', ['one', 'two'])
def test_what_is_stored_is_what_is_in_the_array(house: House, name: str) -> None:
    array, storage = house.arrays[name], house.storages[name]
    assert (storage['sync_status'], storage['serial_number']) == ('SYNCED', array.serial)
    house.assert_stored(storage, truth(array))


def test_a_fault_is_an_alert_by_trap_until_it_is_repaired(house: House) -> None:
    for each in house.storages.values():
        house.expect_traps(each, '127.0.0.1')
    array, storage = house.arrays['one'], house.storages['one']
    alarm = array.control.raise_fault('fc_port')
    # Both arrays send from one address; the trap's serial number says whose it is.
    raised = wait_for('the alert', lambda: house.alert(storage, alarm.sequence, 'open'), SECONDS)
    assert (raised['alert_name'], raised['severity'], raised['type']) == (
        'Host Port Link Is Down', 'Major', 'CommunicationsAlarm')
    house.sync_alerts(storage)
    assert house.alert(storage, alarm.sequence, 'open')['id'] == raised['id']
    array.control.repair(alarm.sequence)
    ended = wait_for('its end', lambda: house.alert(storage, alarm.sequence, 'cleared'), SECONDS)
    assert ended['id'] == raised['id']


def test_an_alert_that_a_person_clears_is_cleared_on_the_array(house: House) -> None:
    array, storage = house.arrays['one'], house.storages['one']
    alarm = array.control.raise_fault('pool', fault='pool nearly full')
    house.client.delete(f'/v1/storages/{storage["id"]}/alerts/{alarm.sequence}', 200)
    assert array.alarms.find(alarm.sequence).cleared_by == array.username


def test_prometheus_sees_metrics_in_its_units(house: House) -> None:
    array, storage = house.arrays['one'], house.storages['one']
    lun = next(lun for lun in array.model['lun'].values() if lun.state == 'online' and lun.iops > 100)

    def matches() -> bool:
        told = [house.shown(f'delfin_volume_{name}', storage, lun.id)
                for name in ('response_time_seconds', 'throughput_bytes_per_second', 'read_iops')]
        newest = array.metrics.current()
        for at in range(newest - 30, newest + 1, array.metrics.settings.interval):
            sample = array.metrics.sample('lun', lun.id, at)
            right = [sample['response_time'] / 10**6, sample['throughput'] * 2**20, sample['read_iops']]
            if told == pytest.approx(right):
                return True
        return False
    wait_for('the values of a sample', matches, 3 * SECONDS)


def test_a_session_that_ends_in_the_middle_of_a_sync_is_renewed(house: House) -> None:
    array, storage = house.arrays['one'], house.storages['one']
    array.control.latency(0.05)
    array.log.clear()
    run = house.client.post(f'/v1/storages/{storage["id"]}/sync')
    wait_for('the second page', lambda: array.asked('lun') >= 2, SECONDS)
    before = array.sessions.logins
    array.control.expire_sessions()
    done = house.client.synced(storage['id'], run['id'])
    array.control.latency(0)
    assert done['state'] == 'done', done
    assert (array.sessions.logins, len(array.sessions.open)) == (before + 1, 1)
    assert kinds(done)['volumes']['seen'] == 230


def test_a_connection_that_breaks_at_the_third_page_costs_nothing(house: House) -> None:
    house.arrays['one'].control.spoil('lun', 'drop', page=2)
    done = house.client.sync(house.storages['one']['id'])
    assert (done['state'], kinds(done)['volumes']['seen']) == ('done', 230)


def test_a_changed_password_is_said_clearly_and_the_new_one_makes_it_work(house: House) -> None:
    array, storage = house.arrays['two'], house.storages['two']
    array.control.password('Another-2')
    failed = house.client.sync(storage['id'])
    assert failed['state'] == 'failed'
    assert 'user name or password is incorrect' in str(failed)
    assert house.update_access(storage, rest={'password': 'Another-2'})['state'] == 'done'
    assert house.client.get(f'/v1/storages/{storage["id"]}')['sync_status'] == 'SYNCED'
    assert len(array.sessions.open) == 1


def test_an_array_that_is_removed_is_logged_out(house: House) -> None:
    array, storage = house.arrays['two'], house.storages['two']
    house.client.delete(f'/v1/storages/{storage["id"]}')
    wait_for('the log-out', lambda: not array.sessions.open, SECONDS)
