# SPDX-License-Identifier: Apache-2.0
"""What happens to the simulated OceanStor: answers go wrong, objects change, load and alarms come and go."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from delfin.alert_manager.snmp import ber, usm
from tests.simulators.huawei import DORADO_V6, OCEANSTOR_6, V3, Firmware, OceanStor, Sizes
from tests.simulators.huawei.metrics import METRICS
from tests.simulators.huawei.traps import TRAP_OID, VARIABLES, Manner
from tests.unit.simulator_huawei_support import FEW, NO_SUCH_OBJECT, Client, running
from tests.unit.snmp_support import pysnmp_reading

ROOT = Path(__file__).parents[2]


@pytest.fixture
def small(tmp_path: Path) -> Iterator[tuple[OceanStor, Client]]:
    """One to break."""
    with running(tmp_path) as found:
        yield found


# --- what goes wrong ---

def test_errors_by_code_so_many_times(small: tuple[OceanStor, Client]) -> None:
    array, client = small
    array.control.spoil('lun', code=1077949006, times=2)
    assert client.code('disk') == 0
    assert [client.code('lun') for _ in range(3)] == [1077949006, 1077949006, 0]
    array.control.spoil('lun', code=1077949021, skip=1, times=None, status=503)
    assert client.code('lun') == 0
    assert [client.send('GET', 'lun/count').status_code for _ in range(3)] == [503] * 3
    array.control.unspoil()
    assert client.code('lun') == 0


def test_connection_drops_at_a_page(tmp_path: Path) -> None:
    with running(tmp_path, Sizes(luns=205)) as (array, client):
        array.control.spoil('lun', 'drop', page=2)
        assert len(client.data('lun?range=[100-200]')) == 100
        with pytest.raises(requests.ConnectionError):
            client.send('GET', 'lun?range=[200-300]')
        assert len(client.data('lun?range=[200-300]')) == 5


def test_half_an_answer(small: tuple[OceanStor, Client]) -> None:
    array, client = small
    array.control.spoil('lun', 'half')
    with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.ConnectionError)):
        client.send('GET', 'lun')
    assert client.code('lun') == 0


@pytest.mark.parametrize(('form', 'type', 'is_json'), [
    ('html', 'text/html', False), ('garbage', 'application/json;charset=UTF-8', False), ('type', 'text/plain', True),
    ('list', 'application/json;charset=UTF-8', True)])
def test_answers_that_are_none(small: tuple[OceanStor, Client], form: str, type: str, is_json: bool) -> None:
    array, client = small
    array.control.spoil('', form, status=200)
    answer = client.send('GET', 'lun')
    assert answer.headers['Content-Type'] == type
    try:
        answer.json()
    except requests.JSONDecodeError:
        assert not is_json
    else:
        assert is_json


def test_no_answer_and_a_quick_end(tmp_path: Path) -> None:
    with running(tmp_path) as (array, client):
        array.control.spoil('lun', 'stall', seconds=60)
        with pytest.raises(requests.ReadTimeout):
            client.session.get(f'{client.root}lun', timeout=0.1)
        began = time.monotonic()
    assert time.monotonic() - began < 2
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(f'simulator-{array.port}')]


def test_latency(small: tuple[OceanStor, Client]) -> None:
    array, client = small
    array.control.latency(0.1)
    began = time.monotonic()
    client.data('system/')
    assert time.monotonic() - began >= 0.1


def test_connections_are_kept_until_the_array_hangs_up(small: tuple[OceanStor, Client]) -> None:
    array, client = small
    for _ in range(5):
        client.data('system/')
    assert array.connections == 1
    array.control.hang_up()
    client.data('system/')          # requests connects anew
    assert array.connections == 2


# --- objects that change ---

def test_objects_come_go_and_change(small: tuple[OceanStor, Client]) -> None:
    array, client = small
    array.control.add_luns(3)
    array.control.rename('lun', '0', 'neuer Name')
    array.control.remove('lun', '1')
    rows = {row['ID']: row for row in client.every('lun')}
    assert len(rows) == FEW.luns + 2 and '1' not in rows and rows['0']['NAME'] == 'neuer Name'
    assert all('1' not in group.members for group in array.model['lun_group'].values())
    files = next(iter(array.model['filesystem']))
    array.control.remove('filesystem', files)
    assert all(item.filesystem != files for kind in ('qtree', 'quota', 'nfs_share', 'cifs_share')
               for item in array.model[kind].values())
    with pytest.raises(ValueError, match='cannot be removed'):
        array.control.remove('pool', '0')
    with pytest.raises(KeyError, match="no lun 'none'"):
        array.control.rename('lun', 'none', 'x')


def test_used_capacity_moves_and_stays_a_sum(small: tuple[OceanStor, Client]) -> None:
    array, client = small
    before = int(client.data('system/')['USEDCAPACITY'])
    array.control.move(2**30)
    after = int(client.data('system/')['USEDCAPACITY'])
    assert after > before
    assert after == sum(int(row['ALLOCCAPACITY']) for row in client.every('lun') + client.every('filesystem'))


# --- metrics ---

SAMPLE = 'performance_statistic/cur_statistic_data?timeConversion=0&CMO_STATISTIC_UUID={}&CMO_STATISTIC_DATA_ID_LIST={}'


def test_samples_are_what_the_model_does(small: tuple[OceanStor, Client]) -> None:
    array, client = small
    for kind, type in (('lun', 11), ('pool', 216), ('controller', 207), ('disk', 10), ('fc_port', 212)):
        for id in list(array.model[kind])[:6]:
            ids = ','.join(map(str, METRICS.values()))
            [told] = client.data(SAMPLE.format(f'{type}:{id}', ids))
            values = dict(zip(told['CMO_STATISTIC_DATA_ID_LIST'].split(','),
                              map(float, told['CMO_STATISTIC_DATA_LIST'].split(',')), strict=True))
            real = array.metrics.sample(kind, id, int(told['CMO_STATISTIC_TIMESTAMP']))
            assert values == {str(METRICS[name]): value for name, value in real.items()}
            assert values['22'] == values['25'] + values['28']


def test_load_of_a_pool_is_that_of_what_is_in_it() -> None:
    array = OceanStor(flawless=True)
    with array:
        for pool in array.model['pool']:
            inside = [('lun', lun.id) for lun in array.model.by('lun', 'pool').get(pool, ())]
            inside += [('filesystem', item.id) for item in array.model.by('filesystem', 'pool').get(pool, ())]
            parts = sum(array.metrics.sample(kind, id, 1_700_000_000)['iops'] for kind, id in inside)
            assert abs(array.metrics.sample('pool', pool, 1_700_000_000)['iops'] - parts) <= 1 + len(inside)


def test_load_follows_a_curve() -> None:
    array = OceanStor()
    with array:
        lun = next(lun for lun in array.model['lun'].values() if lun.workload == 'office' and lun.state == 'online')
        midnight = 1_700_006_400
        night, noon = (array.metrics.sample('lun', lun.id, midnight + hour * 3600) for hour in (2, 13))
    assert noon['iops'] > 4 * night['iops'] > 0
    assert 100 < noon['response_time'] < 100_000


def test_only_the_current_sample_and_only_while_collecting(tmp_path: Path) -> None:
    now = [1_700_000_003.0]
    with running(tmp_path, clock=lambda: now[0]) as (array, client):
        asked = SAMPLE.format('11:0', '22,21')
        assert client.data(asked)[0]['CMO_STATISTIC_TIMESTAMP'] == '1700000000'
        settings = {'CMO_STATISTIC_INTERVAL': 60, 'CMO_STATISTIC_ARCHIVE_TIME': '300'}
        assert client.code('performance_statistic_strategy', 'PUT', settings) == 50331651
        assert client.code('performance_statistic_switch', 'PUT', {'CMO_PERFORMANCE_SWITCH': '0'}) == 0
        assert client.data(asked) is None
        assert client.code('performance_statistic_strategy', 'PUT', settings) == 0
        assert client.data('performance_statistic_strategy')['CMO_STATISTIC_INTERVAL'] == '60'
        assert client.code('performance_statistic_switch', 'PUT', {'CMO_PERFORMANCE_SWITCH': '1'}) == 0
        assert client.data('performance_statistic_switch') == {'CMO_PERFORMANCE_SWITCH': '1'}
        assert client.data(asked) is None           # the first interval is not over
        now[0] += 60
        assert client.data(asked)[0]['CMO_STATISTIC_TIMESTAMP'] == '1700000040'


def test_missing_samples(small: tuple[OceanStor, Client]) -> None:
    array, client = small
    array.control.blank_metric('throughput')
    [told] = client.data(SAMPLE.format('11:0', '22,21,999'))
    assert told['CMO_STATISTIC_DATA_ID_LIST'] == '21,22'            # its own order, and what it knows
    assert told['CMO_STATISTIC_DATA_LIST'].startswith('--,')
    array.control.hide_sample('lun', '0')
    assert client.data(SAMPLE.format('11:0', '22')) is None
    assert client.code(SAMPLE.format('11:9999', '22')) == 1077939726


def test_spelling_of_the_path(tmp_path: Path) -> None:
    wrong = SAMPLE.replace('performance', 'performace', 1).format('11:0', '22')
    for firmware, codes in ((V3, (0, 1077949002)), (DORADO_V6, (1077949002, 0))):
        with running(tmp_path, firmware=firmware) as (_, client):
            assert (client.code(wrong), client.code(SAMPLE.format('11:0', '22'))) == codes


@pytest.mark.parametrize('firmware', [DORADO_V6, OCEANSTOR_6, V3], ids=['V6', '6', 'V3'])
def test_many_samples_in_one_request(tmp_path: Path, firmware: Firmware) -> None:
    with running(tmp_path, firmware=firmware) as (_, client):
        url = SAMPLE.format('11:{}', '22')
        body = {f'11:{id}': {'method': 'GET', 'url': client.root + url.format(id)} for id in (0, 1, 9999)}
        answer = client.ask('server/compositeinfo', 'POST', body)
        if firmware.batch is None:
            assert answer['error']['code'] == 1077949002
            return
        parts = answer['data'] if firmware.batch == 'data' else answer
        assert list(parts) == list(body)
        assert parts['11:1']['data'][0]['CMO_STATISTIC_UUID'] == '11:1'
        assert parts['11:9999']['error']['code'] == 1077939726


# --- alarms and traps ---

@pytest.fixture
def manager() -> Iterator[socket.socket]:
    """Somebody whom traps are sent to."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        found.bind(('127.0.0.1', 0))
        found.settimeout(5)
        yield found


def trap(manager: socket.socket) -> dict[int, Any]:
    """The next trap's variables by number, read by pysnmp."""
    reading = pysnmp_reading(manager.recv(65535))
    assert (reading.who, reading.variables[1][2]) == ((b'public',), TRAP_OID)
    return numbered([(oid, value) for oid, _, value in reading.variables[2:]])


def numbered(variables: list[tuple[str, Any]]) -> dict[int, Any]:
    return {int(oid.removeprefix(f'{VARIABLES}.').removesuffix('.0')): value for oid, value in variables}


def test_a_fault_is_an_alarm_a_state_and_a_trap_and_so_is_its_repair(
        small: tuple[OceanStor, Client], manager: socket.socket) -> None:
    array, client = small
    assert client.code('snmp_trap_addr', 'POST', {
        'CMO_TRAP_SERVER_IP': '127.0.0.1', 'CMO_TRAP_SERVER_PORT': str(manager.getsockname()[1])}) == 0
    before = len(client.every('alarm/currentalarm'))
    raised = array.control.raise_fault('controller', '0A', 'controller power')
    [row] = [row for row in client.every('alarm/currentalarm') if row['sequence'] == raised.sequence]
    assert (row['level'], row['eventType'], row['name'], row['startTime']) == (
        5, 1, 'Power Supply Has No Input', raised.raised)
    assert client.data('controller/0A')['HEALTHSTATUS'] == '5'
    told = trap(manager)
    assert sorted(told) == list(range(1, 15))
    assert [told[number] for number in (1, 2, 4, 5, 6, 9, 11)] == [
        array.model.system.name.encode(), b'CTE0.A', b'Power Supply Has No Input', 5, 2, raised.sequence, 1]
    assert (told[7], told[12]) == (row['eventID'] % 2**32, row['eventID'])
    assert len(told[8]) == 11 and told[14].decode() == array.serial

    array.control.repair(raised.sequence)
    again = trap(manager)
    assert (again[11], again[7], again[9]) == (2, told[7], told[9])
    assert client.data('controller/0A')['HEALTHSTATUS'] == '1'
    assert len(client.every('alarm/currentalarm')) == before
    assert client.data('alarm/historyalarm')[0]['sequence'] == raised.sequence


def test_a_person_clears_an_alarm_and_what_is_broken_stays_so(small: tuple[OceanStor, Client]) -> None:
    array, client = small
    raised = array.control.raise_fault('disk')
    assert client.code(f'alarm/currentalarm?sequence={raised.sequence}', 'DELETE') == 0
    assert client.code(f'alarm/currentalarm?sequence={raised.sequence}', 'DELETE') == NO_SUCH_OBJECT
    assert client.data('alarm/historyalarm')[0]['clearName'] == array.username
    assert client.data(f'disk/{raised.object}')['HEALTHSTATUS'] == '2'


def test_what_is_not_well_at_first_has_an_alarm(small: tuple[OceanStor, Client]) -> None:
    array, client = small
    rows = client.every('alarm/currentalarm')
    broken = {disk.id for disk in array.model['disk'].values() if (disk.health, disk.state) == ('faulty', 'online')}
    assert {row['sourceID'] for row in rows if row['name'] == 'Disk Failed'} == broken != set()
    assert len(client.data('alarm/historyalarm?range=[0-250]')) == 120
    assert all(row['level'] == 6 for row in client.data('alarm/currentalarm?filter=level::6'))
    assert [row['sequence'] for row in rows] == sorted((row['sequence'] for row in rows), reverse=True)


def test_traps_can_be_written_in_other_ways(small: tuple[OceanStor, Client], manager: socket.socket) -> None:
    array, client = small
    array.control.tell(*manager.getsockname())
    array.agent.manner = Manner(time='text', hex=True, instance=False, omit=frozenset({2}))
    raised = array.control.raise_fault('disk')
    told = trap(manager)
    assert 2 not in told and bytes.fromhex(told[3][2:].decode()).decode() == raised.type.advice
    assert told[8].decode().startswith(time.strftime('%Y-', time.gmtime(raised.raised)))
    assert told[8].endswith(b',+0:0')


@pytest.mark.parametrize('version', ['1', '2', '3'])
def test_versions_of_traps(small: tuple[OceanStor, Client], manager: socket.socket, version: str) -> None:
    array, client = small
    array.control.add_user('delfin', 'HMCSHA2256', 'authentication', 'AES', 'privacy phrase')
    host, port = manager.getsockname()
    array.control.tell(host, port, version, 'delfin' if version == '3' else '')
    raised = array.control.raise_fault('lun')
    datagram = manager.recv(65535)
    pairs: list[tuple[str, Any]]
    if version == '3':
        message = ber.read(datagram)
        assert isinstance(message, ber.V3Message)
        keys = usm.localise(array.agent.users['delfin'], message.engine_id)
        assert usm.verify(datagram, message, keys)
        pairs = [(pair.oid, pair.value) for pair in ber.read_pdu(usm.decrypt(datagram, message, keys).body).variables]
    else:
        pairs = [(oid, value) for oid, _, value in pysnmp_reading(datagram).variables]
    told = numbered([pair for pair in pairs if pair[0].startswith(VARIABLES)])
    assert told[9] == raised.sequence


def test_managers_of_traps(small: tuple[OceanStor, Client], manager: socket.socket) -> None:
    array, client = small
    port = str(manager.getsockname()[1])
    address = {'CMO_TRAP_SERVER_IP': '127.0.0.1', 'CMO_TRAP_SERVER_PORT': port}
    id = client.data('snmp_trap_addr', 'POST', address)['ID']
    assert client.data('snmp_trap_addr')[0]['CMO_TRAP_SERVER_PORT'] == port
    assert client.code(f'snmp_trap_addr/{id}', 'PUT', address) == 50331651      # without its id
    assert client.code(f'snmp_trap_addr/{id}', 'PUT', {'ID': id, **address, 'CMO_TRAP_VERSION': '2'}) == 0
    assert client.code('snmp_trap_addr/send_test_trapmsg', 'PUT', {
        **address, 'CMO_TRAP_SERVER_TYPE': '3', 'CMO_TRAP_VERSION': '2'}) == 0
    assert trap(manager)[4] == b'Trap Test Alarm'
    assert client.code(f'snmp_trap_addr/{id}', 'DELETE') == 0
    assert client.data('snmp_trap_addr') is None


# --- by hand ---

def test_by_hand_with_control_over_http(tmp_path: Path, manager: socket.socket) -> None:
    authority = tmp_path / 'ca.pem'
    process = subprocess.Popen(
        [sys.executable, '-m', 'tests.simulators.huawei', '--port', '0', '--luns', '20', '--seed', 'by hand',
         '--traps-to', f'127.0.0.1:{manager.getsockname()[1]}', '--certificate', str(authority)],
        cwd=ROOT, env={**os.environ, 'PYTHONUNBUFFERED': '1'}, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        about, array, control, _ = (process.stdout.readline() for _ in range(4))
        assert '20 lun' in about
        root, control = array.split()[1], control.split()[1]
        with requests.Session() as session:
            session.trust_env = False
            told = session.post(f'{root}xx/sessions', verify=str(authority), timeout=10, json={
                'username': 'monitor', 'password': 'Simulated-1', 'scope': '0'}).json()
            assert told['data']['deviceid'] in about
            assert 'raise_fault' in session.get(control, timeout=10).json()
            raised = session.post(f'{control}raise_fault', data=json.dumps({'kind': 'pool'}), timeout=10).json()
            assert trap(manager)[9] == raised['sequence']
            assert session.get(f'{control}model/pool', timeout=10).json()[0]['id'] == '0'
            assert session.post(f'{control}raise_fault', data='{"colour": "red"}', timeout=10).status_code == 400
            assert session.post(f'{control}no_such_thing', timeout=10).status_code == 404
            assert session.get(f'{control}state', timeout=10).json()['traps'] == 1
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        process.communicate()
