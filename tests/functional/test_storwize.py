# SPDX-License-Identifier: Apache-2.0
"""A Storwize and its Inspur sibling in a running Delfin: registered by host key and by fingerprint, synced, compared
with what is in them; a fault that becomes an alert and goes; metrics for Prometheus; and what goes wrong on the way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.engines.snmp import free_udp_ports
from tests.functional.stored import assert_stored
from tests.services import Client, Process, Site, free_port, kinds, wait_for
from tests.simulators.ibm.build import Sizes
from tests.simulators.ibm.levels import INSPUR, V8_7
from tests.simulators.ibm.server import Storwize
from tests.simulators.ibm.truth import truth

SECONDS = 20
TRAPS = free_udp_ports()[0]
PROMETHEUS = free_port()
INTERVAL = 300


@dataclass
class House:
    """Delfin, and the arrays with what they are registered as."""

    process: Process
    arrays: dict[str, Storwize]
    storages: dict[str, dict[str, Any]]

    @property
    def client(self) -> Client:
        return self.process.client


def body(array: Storwize, **trust: Any) -> dict[str, Any]:
    vendor, model = ('inspur', 'as5500') if array.level.prefixed else ('ibm', 'storwize_svc')
    return {'vendor': vendor, 'model': model, 'ssh': {
        'host': array.host, 'port': array.port, 'username': array.username, 'password': array.password, **trust}}


@pytest.fixture(scope='module')
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    site = Site(tmp_path_factory.mktemp('storwize'), alerts={'listen': f'127.0.0.1:{TRAPS}'},
                prometheus={'port': PROMETHEUS},
                metrics={'enabled': True, 'interval_seconds': 5, 'settle_seconds': 0, 'exporters': 'prometheus'})
    with (Storwize('ibm', Sizes(volumes=230), level=V8_7, hostile_names=True, trap_source='127.0.0.2') as ibm,
          Storwize('inspur', Sizes(volumes=20), level=INSPUR, trap_source='127.0.0.3') as inspur,
          site.start() as process):
        client = process.ready().client
        storages = {'ibm': client.register(**body(ibm, pub_key=ibm.host_key)),
                    'inspur': client.register(**body(inspur, fingerprint=inspur.fingerprint))}
        yield House(process, {'ibm': ibm, 'inspur': inspur}, storages)
        assert ibm.injections == inspur.injections == []
        assert process.stop() == 0
    shown = [*client.bodies, site.log.read_bytes(), process.output.encode()]
    assert not any(ibm.password.encode() in text or b'Another-' in text for text in shown)


def test_an_unknown_host_key_is_refused_with_the_field_that_accepts_it(house: House) -> None:
    array = house.arrays['ibm']
    error = house.client.post('/v1/storages', body(array), 400)
    assert error['error_code'] == 'SSHNotFoundKnownHosts'
    assert f'ssh.fingerprint = "{array.fingerprint}"' in error['error_msg']


@pytest.mark.parametrize(('name', 'vendor'), [('ibm', 'IBM'), ('inspur', 'Inspur')])
def test_what_is_stored_is_what_is_in_the_array(house: House, name: str, vendor: str) -> None:
    array, storage = house.arrays[name], house.storages[name]
    assert (storage['sync_status'], storage['serial_number']) == ('SYNCED', array.model.system.id)
    assert_stored(house.client, storage, truth(array, vendor))
    assert array.logins == 1


def test_a_fault_is_an_alert_by_trap_until_it_is_repaired(house: House) -> None:
    array, storage = house.arrays['ibm'], house.storages['ibm']
    base = f'/v1/storages/{storage["id"]}/snmp-config'
    answer = house.client.request('PUT', base, json={
        'host': '127.0.0.2', 'version': 'SNMPv2c', 'community_string': 'public'})
    assert answer.status_code == 200, answer.text
    house.client.post(f'{base}/push', {'host': '127.0.0.1', 'port': TRAPS}, 200)
    event = array.control.raise_fault('mdisk')

    def alert(state: str) -> Any:
        return next((row for row in house.client.get('/v1/alerts', storage_id=storage['id'], limit=1000)['alerts']
                     if (row['sequence_number'], row['state']) == (str(event.sequence), state)), None)

    def listed() -> None:
        path = f'/v1/storages/{storage["id"]}/alerts/sync'
        house.client.post(path)
        wait_for('the list', lambda: not house.client.get(path)['pending'], SECONDS)
    raised = wait_for('the alert', lambda: alert('open'), SECONDS)
    assert (raised['description'], raised['location'], raised['occur_time']) == (
        event.type.text, event.name, event.last * 1000)
    listed()
    again = alert('open')
    assert (again['id'], again['severity']) == (raised['id'], raised['severity'])
    array.control.repair(event.sequence)
    listed()
    assert wait_for('its end', lambda: alert('cleared'), SECONDS)['id'] == raised['id']


def test_an_alert_that_a_person_clears_is_fixed_on_the_array(house: House) -> None:
    array, storage = house.arrays['inspur'], house.storages['inspur']
    event = array.control.log_event('pool nearly full', 'pool', '0')
    house.client.delete(f'/v1/storages/{storage["id"]}/alerts/{event.sequence}', 200)
    assert array.events.find(event.sequence).fixed


def test_prometheus_sees_metrics_in_its_units(house: House) -> None:
    array, storage = house.arrays['ibm'], house.storages['ibm']
    volume = next(one for one in array.model['volume'].values() if one.status == 'online' and one.iops > 100)

    def shown(metric: str) -> float | None:
        text = house.client.session.get(f'http://127.0.0.1:{PROMETHEUS}/metrics', timeout=SECONDS).text
        labels = [f'storage_id="{storage["id"]}"', f'resource_id="{volume.id}"']
        found = next((line for line in re.findall(rf'^{metric}{{.*', text, re.MULTILINE)
                      if all(label in line for label in labels)), None)
        return float(found.rpartition('}')[2].split()[0]) if found else None

    def matches() -> bool:
        told = [shown(f'delfin_volume_{name}') for name in ('read_iops', 'throughput_bytes_per_second')]
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
    assert accepted(house, storage, password='Another-2')['state'] == 'done'


def test_a_changed_host_key_is_refused_until_somebody_accepts_it(house: House) -> None:
    array, storage = house.arrays['inspur'], house.storages['inspur']
    array.control.change_host_key()
    array.control.hang_up()
    logins = array.logins
    failed = house.client.sync(storage['id'])
    assert failed['state'] == 'failed' and array.logins == logins
    found = re.search(r'accept it with ssh\.fingerprint = \\*"(SHA256:[^"\\]+)', str(failed))
    assert found is not None and found[1] == array.fingerprint
    assert accepted(house, storage, fingerprint=found[1])['state'] == 'done'


def accepted(house: House, storage: dict[str, Any], **ssh: Any) -> dict[str, Any]:
    """The sync after a change of the access information."""
    answer = house.client.request('PUT', f'/v1/storages/{storage["id"]}/access-info', json={'ssh': ssh})
    assert answer.status_code == 200, answer.text
    return house.client.sync(storage['id'])


def test_an_array_that_is_removed_is_left(house: House) -> None:
    array, storage = house.arrays['inspur'], house.storages['inspur']
    house.client.delete(f'/v1/storages/{storage["id"]}')
    wait_for('the end of the connection', lambda: not array.sessions, SECONDS)
