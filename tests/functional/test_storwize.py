# SPDX-License-Identifier: Apache-2.0
"""A Storwize and its Inspur sibling in a running Delfin: registered by host key and by fingerprint, synced, compared
with what is in them; a fault that becomes an alert and goes; metrics for Prometheus; and what goes wrong on the way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import paramiko
import pytest

from tests.functional import arrays
from tests.functional.arrays import SECONDS
from tests.services import kinds, wait_for
from tests.simulators.ibm.build import Sizes
from tests.simulators.ibm.levels import INSPUR, V8_7
from tests.simulators.ibm.server import Storwize
from tests.simulators.ibm.truth import truth

INTERVAL = 300
House = arrays.House[Storwize]


def body(array: Storwize, **trust: Any) -> dict[str, Any]:
    vendor, model = ('inspur', 'as5500') if array.level.prefixed else ('ibm', 'storwize_svc')
    return {'vendor': vendor, 'model': model, 'ssh': {
        'host': array.host, 'port': array.port, 'username': array.username, 'password': array.password, **trust}}


@pytest.fixture(scope='module')
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with (Storwize('ibm', Sizes(volumes=230), level=V8_7, hostile_names=True, trap_source='127.0.0.2') as ibm,
          Storwize('inspur', Sizes(volumes=20), level=INSPUR, trap_source='127.0.0.3') as inspur,
          arrays.House.running(
              tmp_path_factory.mktemp('storwize'), {'ibm': ibm, 'inspur': inspur},
              lambda array: body(array, **({'pub_key': array.host_key} if array is ibm
                                           else {'fingerprint': array.fingerprint}))) as house):
        yield house
        assert ibm.injections == inspur.injections == []


def test_an_unknown_host_key_is_refused_with_the_field_that_accepts_it(house: House) -> None:
    array = house.arrays['ibm']
    error = house.client.post('/v1/storages', body(array), 400)
    assert error['error_code'] == 'SSHNotFoundKnownHosts'
    assert f'ssh.fingerprint = "{array.fingerprint}"' in error['error_msg']


@pytest.mark.skipif(paramiko.__version__.startswith('4.'), reason='an environment with paramiko 4')
def test_an_old_array_says_what_it_needs_and_what_the_switch_needs(house: House) -> None:
    with Storwize('old', Sizes(volumes=3), algorithms='old') as array:
        without, switched, wrong = (
            house.client.post('/v1/storages', body(array, fingerprint=array.fingerprint, **more), status)
            for more, status in (({}, 502), ({'old_algorithms': True}, 400), ({'old_algorithms': 'yes'}, 400)))
    assert '"old_algorithms": true' in without['error_msg']
    assert 'ssh.old_algorithms of 127.0.0.1 needs paramiko 4' in switched['error_msg']
    assert '\n' not in switched['error_msg']
    assert 'old_algorithms' in wrong['error_msg'] and array.logins == 0


@pytest.mark.parametrize(('name', 'vendor'), [('ibm', 'IBM'), ('inspur', 'Inspur')])
def test_what_is_stored_is_what_is_in_the_array(house: House, name: str, vendor: str) -> None:
    array, storage = house.arrays[name], house.storages[name]
    assert (storage['sync_status'], storage['serial_number']) == ('SYNCED', array.model.system.id)
    house.assert_stored(storage, truth(array, vendor))
    assert array.logins == 1


def test_a_fault_is_an_alert_by_trap_until_it_is_repaired(house: House) -> None:
    array, storage = house.arrays['ibm'], house.storages['ibm']
    house.expect_traps(storage, '127.0.0.2')
    event = array.control.raise_fault('mdisk')
    raised = wait_for('the alert', lambda: house.alert(storage, event.sequence, 'open'), SECONDS)
    assert (raised['description'], raised['location'], raised['occur_time']) == (
        event.type.text, event.name, event.last * 1000)
    house.sync_alerts(storage)
    again = house.alert(storage, event.sequence, 'open')
    assert (again['id'], again['severity']) == (raised['id'], raised['severity'])
    array.control.repair(event.sequence)
    house.sync_alerts(storage)
    ended = wait_for('its end', lambda: house.alert(storage, event.sequence, 'cleared'), SECONDS)
    assert ended['id'] == raised['id']


def test_an_alert_that_a_person_clears_is_fixed_on_the_array(house: House) -> None:
    array, storage = house.arrays['inspur'], house.storages['inspur']
    event = array.control.log_event('pool nearly full', 'pool', '0')
    house.client.delete(f'/v1/storages/{storage["id"]}/alerts/{event.sequence}', 200)
    assert array.events.find(event.sequence).fixed


def test_prometheus_sees_metrics_in_its_units(house: House) -> None:
    array, storage = house.arrays['ibm'], house.storages['ibm']
    volume = next(one for one in array.model['volume'].values() if one.status == 'online' and one.iops > 100)

    def matches() -> bool:
        told = [house.shown(f'delfin_volume_{name}', storage, volume.id)
                for name in ('read_iops', 'throughput_bytes_per_second')]
        newest = int(array.clock() // INTERVAL * INTERVAL)
        for end in range(newest - 10 * INTERVAL, newest + 1, INTERVAL):
            right = array.statistics.truth('volume', volume.id, end - INTERVAL, end)
            if told == pytest.approx([right['read_iops'], right['throughput']], rel=0.01):
                return True
        return False
    status = f'/v1/storages/{storage["id"]}/metrics-status'
    wait_for('the first collection', lambda: house.client.get(status)['marks'], SECONDS)
    array.control.advance(2 * INTERVAL)
    wait_for('the values of an interval', matches, SECONDS)


def test_a_connection_that_breaks_in_the_middle_of_a_command_costs_nothing(house: House) -> None:
    array = house.arrays['ibm']
    array.control.spoil('lsvdisk', 'cut', lines=100)
    before = array.connections
    done = house.client.sync(house.storages['ibm']['id'])
    assert (done['state'], kinds(done)['volumes']['seen'], array.connections) == ('done', 230, before + 1)


def test_a_changed_password_is_said_clearly_and_the_new_one_makes_it_work(house: House) -> None:
    array, storage = house.arrays['inspur'], house.storages['inspur']
    array.control.password('Another-2')
    array.control.hang_up()
    failed = house.client.sync(storage['id'])
    assert failed['state'] == 'failed'
    assert 'Invalid username or password' in str(failed)
    assert house.update_access(storage, ssh={'password': 'Another-2'})['state'] == 'done'


def test_a_changed_host_key_is_refused_until_somebody_accepts_it(house: House) -> None:
    array, storage = house.arrays['inspur'], house.storages['inspur']
    array.control.change_host_key()
    array.control.hang_up()
    logins = array.logins
    failed = house.client.sync(storage['id'])
    assert failed['state'] == 'failed' and array.logins == logins
    found = re.search(r'accept it with ssh\.fingerprint = \\*"(SHA256:[^"\\]+)', str(failed))
    assert found is not None and found[1] == array.fingerprint
    assert house.update_access(storage, ssh={'fingerprint': found[1]})['state'] == 'done'


def test_an_array_that_is_removed_is_left(house: House) -> None:
    array, storage = house.arrays['inspur'], house.storages['inspur']
    house.client.delete(f'/v1/storages/{storage["id"]}')
    wait_for('the end of the connection', lambda: not array.sessions, SECONDS)
