# SPDX-License-Identifier: Apache-2.0
"""What happens to the simulated Storwize: answers go wrong, objects change, events, traps, counters and their files."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import xml.etree.ElementTree as xml
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paramiko
import pytest
import requests

from delfin.alert_manager.snmp import ber, usm
from tests.simulators.ibm import INSPUR, Clock, Sizes, Storwize
from tests.simulators.ibm.events import TYPES
from tests.simulators.ibm.statfiles import name as file_name
from tests.unit.simulator_ibm_support import FEW, IOSTATS, NOON, Client, running
from tests.unit.snmp_support import pysnmp_reading

ROOT = Path(__file__).parents[2]
TRAPS = '1.3.6.1.4.1.2.6.190'
ALERTS = 'lseventlog -alert yes -message no -monitoring yes -expired no -fixed no'


@pytest.fixture
def small() -> Iterator[tuple[Storwize, Client]]:
    """One to break."""
    with running() as found:
        yield found


# --- what goes wrong ---

def test_errors_so_many_times_and_by_command(small: tuple[Storwize, Client]) -> None:
    array, client = small
    array.control.spoil('lsvdisk', 'error', code='CMMVC5786E', skip=1, times=2)
    array.control.spoil('lshost -delim', 'absent')
    assert [client.run('lsvdisk -delim !').code for _ in range(4)] == ['', 'CMMVC5786E', 'CMMVC5786E', '']
    assert client.run('lshost 0').status == 0 and client.run('lshost -delim ! 0').status == 127
    array.control.spoil(times=None)
    assert client.run('lssystem').status == 1
    array.control.unspoil()
    assert client.run('lssystem').status == 0 and array.control.spoiled() == []
    with pytest.raises(ValueError, match='form is one of'):
        array.control.spoil('lsvdisk', 'nonsense')
    with pytest.raises(ValueError, match='of files'):
        array.control.spoil('/dumps/*', 'flood')


@pytest.mark.parametrize(('form', 'lines'), [('drop', 0), ('cut', 3)])
def test_the_connection_ends_in_the_middle_of_a_command(form: str, lines: int) -> None:
    with Storwize(sizes=FEW) as array:
        with Client(array) as client:
            array.control.spoil('lsvdisk', form, lines=3)
            told = client.run('lsvdisk -delim !')
            assert (told.status, len(told.out.splitlines())) == (-1, lines)
            with pytest.raises((paramiko.SSHException, EOFError, OSError)):
                client.run('lssystem')
        with Client(array) as client:
            assert client.good('lsvdisk')


def test_other_ways_to_fail(small: tuple[Storwize, Client]) -> None:
    array, client = small
    array.control.spoil('lsvdisk', 'close', lines=2)
    told = client.run('lsvdisk -delim !')
    assert (told.status, len(told.out.splitlines())) == (-1, 2)
    array.control.spoil('lsvdisk', 'warning', text='Beware.')
    told = client.run('lsvdisk -delim !')
    assert (told.status, told.err) == (0, 'Beware.\n') and told.out
    array.control.spoil('lsvdisk', 'empty')
    assert client.good('lsvdisk') == ''
    array.control.spoil('lsvdisk', 'flood', size=3)
    assert 3 * 2**20 <= len(client.good('lsvdisk')) < 4 * 2**20
    array.control.spoil('lsvdisk', 'garbage')
    with pytest.raises(UnicodeDecodeError):
        client.run('lsvdisk')
    array.control.spoil('lsvdisk', 'stall', seconds=60)
    with pytest.raises(TimeoutError):
        client.run('lsvdisk', timeout=0.1)


def test_latency(small: tuple[Storwize, Client]) -> None:
    array, client = small
    array.control.latency(0.1, 'lsvdisk')
    began = time.monotonic()
    client.good('lssystem')
    middle = time.monotonic()
    client.good('lsvdisk')
    assert middle - began < 0.1 <= time.monotonic() - middle


def test_the_array_hangs_up(small: tuple[Storwize, Client]) -> None:
    array, client = small
    array.control.hang_up()
    with pytest.raises((paramiko.SSHException, EOFError, OSError)):
        client.run('lssystem')
    with Client(array) as again:
        assert again.good('lssystem') and array.connections == 2


# --- objects that change ---

def test_objects_come_go_and_change(small: tuple[Storwize, Client]) -> None:
    array, client = small
    array.control.add_volumes(3)
    array.control.rename('volume', '0', 'new name')
    array.control.remove('volume', '1')
    array.control.remove('host', '0')
    array.control.remove('host_cluster', '0')
    rows = {row['id']: row for row in client.rows('lsvdisk')}
    assert len(rows) == FEW.volumes + 2 and '1' not in rows and rows['0']['name'] == 'new name'
    assert not [row for row in client.rows('lshostvdiskmap') if row['vdisk_id'] == '1' or row['id'] == '0']
    assert client.run('lsvdisk 1').code == 'CMMVC5753E'
    with pytest.raises(ValueError, match='cannot be removed'):
        array.control.remove('pool', '0')
    with pytest.raises(KeyError, match="no volume 'none'"):
        array.control.rename('volume', 'none', 'x')
    with pytest.raises(ValueError, match='no colour'):
        array.control.change('volume', '0', colour='red')


def test_used_capacity_moves_and_stays_a_sum(small: tuple[Storwize, Client]) -> None:
    array, client = small
    before = array.model.whole().real
    array.control.move(2**30)
    assert array.model.whole().real > before
    assert sum(int(row['real_capacity']) for row in client.rows('lsmdiskgrp -bytes')) == array.model.whole().real


# --- the event log ---

def test_a_fault_is_an_entry_and_a_status_and_so_is_its_repair(small: tuple[Storwize, Client]) -> None:
    array, client = small
    before = len(client.rows(ALERTS))
    raised = array.control.raise_fault('drive')
    [row] = [row for row in client.rows(ALERTS) if row['sequence_number'] == str(raised.sequence)]
    assert row == {
        'sequence_number': str(raised.sequence), 'last_timestamp': '251120112000', 'object_type': 'drive',
        'object_id': raised.object, 'object_name': '', 'copy_id': '', 'status': 'alert', 'fixed': 'no',
        'event_id': '010027', 'error_code': '1686', 'description': 'Drive fault type 3'}
    [pairs] = client.sections(f'lseventlog {raised.sequence}')
    detail = dict(pairs)
    assert (detail['last_timestamp_epoch'], detail['notification_type'], detail['error_code_text']) == (
        str(NOON), 'error', 'Drive fault')
    assert array.model['drive'][raised.object].status == 'offline'

    array.control.advance(60)
    again = array.control.raise_fault('drive', raised.object)
    assert again.sequence == raised.sequence and again.count == 2           # the same again, no more rows
    assert len(client.rows(ALERTS)) == before + 1

    array.control.repair(raised.sequence)
    assert array.model['drive'][raised.object].status == 'online'
    assert len(client.rows(ALERTS)) == before
    assert dict(client.sections(f'lseventlog {raised.sequence}')[0])['fixed_timestamp'] == '251120112100'
    assert client.rows('lseventlog -alert no')[-1]['event_id'] == '981101'


def test_a_person_fixes_an_event_and_what_is_broken_stays_so(small: tuple[Storwize, Client]) -> None:
    array, client = small
    raised = array.control.raise_fault('drive')
    assert client.good(f'svctask cheventlog -fix {raised.sequence}') == ''
    told = client.run(f'cheventlog -fix {raised.sequence}')
    assert (told.code, told.status) == ('CMMVC8275E', 1)
    assert array.model['drive'][raised.object].status == 'offline'


def test_every_sort_of_event_is_there_and_can_be_chosen(small: tuple[Storwize, Client]) -> None:
    array, client = small
    everything = client.rows('lseventlog -expired yes -fixed yes')
    assert {(row['status'], row['fixed']) for row in everything} >= {
        ('alert', 'no'), ('alert', 'yes'), ('monitoring', 'no'), ('monitoring', 'yes'), ('message', 'no'),
        ('expired', 'no')}
    assert {event.type.notification for event in array.events.log} == {'error', 'warning', 'informational', 'none', ''}
    assert {row['status'] for row in client.rows(ALERTS)} == {'alert', 'monitoring'}
    assert client.rows('lseventlog -count 2') == client.rows('lseventlog')[-2:]
    assert {row['event_id'] for row in client.rows(f'{ALERTS} -filtervalue event_id=010027')} <= {'010027'}
    array.control.repair_all()
    assert client.rows(ALERTS) == []
    assert {event.type.notification for event in array.events.current} <= {'informational', 'none'}
    array.control.clear_events()
    assert client.good('lseventlog -delim !') == ''


def test_what_is_not_well_at_first_has_an_entry(small: tuple[Storwize, Client]) -> None:
    array, client = small
    offline = {drive.id for drive in array.model['drive'].values() if drive.status == 'offline'}
    assert {row['object_id'] for row in client.rows(ALERTS) if row['event_id'] == '010027'} == offline != set()


# --- traps ---

@pytest.fixture
def manager() -> Iterator[socket.socket]:
    """Somebody whom traps are sent to."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        found.bind(('127.0.0.1', 0))
        found.settimeout(5)
        yield found


def trap(manager: socket.socket, enterprise: str = TRAPS, community: bytes = b'public') -> tuple[str, dict[int, str]]:
    """The next trap's OID and its variables by number, read by pysnmp."""
    reading = pysnmp_reading(manager.recv(65535))
    assert reading.who == (community,)
    return reading.variables[1][2], numbered([(oid, value) for oid, _, value in reading.variables[2:]], enterprise)


def numbered(variables: list[tuple[str, Any]], enterprise: str = TRAPS) -> dict[int, str]:
    return {int(oid.removeprefix(f'{enterprise}.4.')): value.decode() for oid, value in variables}


def test_servers_are_told_what_they_want_to_know(small: tuple[Storwize, Client], manager: socket.socket) -> None:
    array, client = small
    port = manager.getsockname()[1]
    told = client.good(f'mksnmpserver -ip 127.0.0.1 -community secret -port {port} -error on -warning on -info off')
    assert told == 'SNMP Server, id [0], successfully created\n'
    assert client.rows('lssnmpserver') == [{
        'id': '0', 'name': 'snmp0', 'IP_address': '127.0.0.1', 'error': 'on', 'warning': 'on', 'info': 'off',
        'port': str(port), 'community': 'secret'}]
    array.clock.set(1_764_571_269)          # 1 December 2025, 07:41:09 in Berlin
    array.control.log_event('time differs')                 # informational
    raised = array.control.raise_fault('node', '2')
    oid, variables = trap(manager, community=b'secret')
    assert oid == f'{TRAPS}.1'
    assert variables[3] == '# Error ID = 009052 : A node is missing from the cluster'
    assert variables[4] == '# Error Code = 1196 : Node missing'
    assert variables[9] == f'# Error Sequence Number = {raised.sequence}'
    assert variables[10] == '# Timestamp = Mon Dec  1 07:41:09 2025'
    assert (variables[11], variables[12], variables[17]) == (
        '# Object Type = node', '# Object ID = 2', '# Object Name = node2')
    array.control.log_event('quorum')                       # nobody is notified
    array.control.raise_fault('pool', '0', 'pool nearly full')
    oid, variables = trap(manager, community=b'secret')
    assert oid == f'{TRAPS}.2' and 'Größe of the pool' in variables[3]
    assert client.good('rmsnmpserver 0') == '' and client.rows('lssnmpserver') == []
    array.control.raise_fault('drive')
    assert array.agent.sent == 2


def test_a_repair_is_told_as_information(small: tuple[Storwize, Client], manager: socket.socket) -> None:
    array, _ = small
    array.control.tell(*manager.getsockname())
    raised = array.control.raise_fault('mdisk')
    assert trap(manager)[0] == f'{TRAPS}.2'
    array.agent.name_number = 19
    array.control.repair(raised.sequence)
    oid, variables = trap(manager)
    assert oid == f'{TRAPS}.3' and '981101' in variables[3] and variables[19] == f'# Object Name = {raised.name}'


@pytest.mark.parametrize('version', ['1', '2', '3'])
def test_versions_of_traps(small: tuple[Storwize, Client], manager: socket.socket, version: str) -> None:
    array, _ = small
    array.control.add_user('delfin', 'HMCSHA2256', 'authentication', 'AES', 'privacy phrase')
    array.control.tell(*manager.getsockname(), version, 'delfin' if version == '3' else '')
    raised = array.control.raise_fault('volume')
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
    told = numbered([pair for pair in pairs if pair[0].startswith(f'{TRAPS}.4.')])
    assert told[9] == f'# Error Sequence Number = {raised.sequence}'


def test_traps_of_the_other_vendor(manager: socket.socket) -> None:
    with Storwize(sizes=FEW, level=INSPUR) as array:
        array.control.tell(*manager.getsockname())
        array.control.raise_fault('drive')
        oid, variables = trap(manager, '1.3.6.1.4.1.37945.190')
        assert oid == '1.3.6.1.4.1.37945.190.1' and variables[3].startswith('# Error ID = 010027')


def test_every_fault_can_be_raised_and_repaired(small: tuple[Storwize, Client]) -> None:
    array, client = small
    for fault, type in TYPES.items():
        if fault == 'repaired':
            continue
        raised = array.control.raise_fault(fault=fault)
        if type.becomes:
            assert array.model.find(type.kind, raised.object).status == type.becomes
        array.control.repair(raised.sequence)
        assert client.good(f'lseventlog {raised.sequence}')
    with pytest.raises(ValueError, match='no such fault of a pool'):
        array.control.raise_fault('pool', fault='drive fault')
    with pytest.raises(KeyError):
        array.control.raise_fault('drive', 'none')


# --- statistics ---

def counters(content: bytes, element: str, id: str) -> dict[str, int]:
    """The numbers of an object in a file, whatever the namespace."""
    for found in xml.fromstring(content):
        if found.tag.endswith(f'}}{element}') and id in (found.get('idx'), found.get('id'), found.get('fc_wwpn'), ''):
            return {key: int(value) for key, value in found.attrib.items() if value.isdecimal()}
    raise LookupError(id)


def difference(array: Storwize, kind: str, element: str, id: str, node: str, begin: int, end: int) -> dict[str, int]:
    """Of two files of a node."""
    panel = array.model['node'][node].panel
    old, new = (counters(array.dumps.content(node, file_name(kind, panel, at, 'Europe/Berlin')), element, id)
                for at in (begin, end))
    return {key: new[key] - old[key] for key in new.keys() & old.keys()}


def test_files_of_the_configuration_node_and_of_others_when_copied(small: tuple[Storwize, Client]) -> None:
    array, client = small
    names = client.files()
    assert len(names) == 4 * 16 and names == client.files('1')
    assert names[-1] == 'Nv_stats_01-1_251120_112000' and names[-16] == 'Nv_stats_01-1_251120_100500'
    others = client.files('node2')
    assert len(others) == 64 and others[-1] == 'Nv_stats_01-2_251120_112000'
    assert client.by_sftp(names[-1]) == client.by_scp(names[-1]) == array.dumps.content('1', names[-1])
    for fetch in (client.by_scp, client.by_sftp):
        with pytest.raises(FileNotFoundError):
            fetch(others[-1])
    client.good(f'cpdumps -prefix {IOSTATS}/Nv_* 2')
    assert client.files() == sorted([*names, *others[-16:]])
    assert client.by_scp(others[-1]) == array.dumps.content('2', others[-1])
    assert array.asked('fetch') == 4        # what is not there is not even tried by scp
    head = xml.fromstring(client.by_scp(others[-1]))
    assert head.tag.endswith('}diskStatsColl') and (head.get('id'), int(head.get('node_id'), 16)) == ('node2', 2)
    assert (head.get('timestamp'), head.get('timezone'), head.get('timestamp_utc')) == (
        '2025-11-20 11:20:00', 'GMT+1:00', '2025-11-20 10:20:00')


def test_files_roll_over_as_time_goes_by(small: tuple[Storwize, Client]) -> None:
    array, client = small
    before = client.files()
    array.control.advance(299)
    assert client.files() == before
    array.control.advance(1)
    after = client.files()
    assert 'Nv_stats_01-1_251120_112500' in after and before[-16] not in after
    assert len([name for name in after if name.startswith('Nv_stats_01-1')]) == 16
    for _ in range(4):
        array.control.advance(1200)
        client.good(f'cpdumps -prefix {IOSTATS} 2')
    assert len([name for name in client.files() if name.startswith('Nv_stats_01-2')]) == 16


def test_counters_are_what_the_array_does(small: tuple[Storwize, Client]) -> None:
    """Two files tell what happened between them, in all units of theirs."""
    array, _ = small
    begin, end = NOON - 300, NOON
    for volume in list(array.model['volume'].values())[:8]:
        parts = [difference(array, 'Nv', 'vdsk', volume.id, node, begin, end) for node in ('1', '2')]
        told = {key: sum(part[key] for part in parts) for key in parts[0]}
        real = array.statistics.truth('volume', volume.id, begin, end)
        assert (real['iops'] > 0) == (volume.status != 'offline')
        assert told['ro'] / 300 == pytest.approx(real['read_iops'], abs=0.01)
        assert told['wb'] * 512 / 300 == pytest.approx(real['write_throughput'], abs=10)
        if real['iops']:
            assert (told['rl'] + told['wl']) / (told['ro'] + told['wo']) == pytest.approx(
                real['response'] * 1000, rel=0.01)
            assert (told['ctrhs'] + told['ctwhs']) / (told['ctrs'] + told['ctws']) == pytest.approx(
                real['hits'], rel=0.01)
            assert parts[int(volume.node) - 1]['ro'] > parts[2 - int(volume.node)]['ro'] > 0
    disk = difference(array, 'Nm', 'mdsk', '0', '1', begin, end)
    real = array.statistics.truth('mdisk', '0', begin, end, ['1'])
    assert (disk['ro'] + disk['wo']) / 300 == pytest.approx(real['iops'], abs=0.01) != 0
    assert (disk['urq'] + disk['uwq']) / 1000 / (disk['ro'] + disk['wo']) == pytest.approx(
        real['response'] * 1000, rel=0.01)
    drive = difference(array, 'Nd', 'mdsk', '0', '1', begin, end)
    assert drive['rb'] * 512 / 300 == pytest.approx(
        array.statistics.truth('drive', '0', begin, end, ['1'])['read_throughput'], rel=0.01)
    port = array.model['fc_port']['0']
    told = difference(array, 'Nn', 'port', f'0x{port.wwpn.lower()}', '1', begin, end)
    real = array.statistics.truth('fc_port', '0', begin, end)
    assert sum(told[f'{peer}br'] for peer in ('h', 'c', 'ln', 'rm')) / 300 == pytest.approx(
        real['read_throughput'], rel=0.01)
    node = array.statistics.truth('node', '1', begin, end)
    busy = difference(array, 'Nn', 'cpu', '', '1', begin, end)['busy']
    assert busy / 300_000 == pytest.approx(node['cpu'], rel=0.01)
    assert node['iops'] == pytest.approx(sum(
        array.statistics.truth('volume', id, begin, end, ['1'])['iops'] for id in array.model['volume']))


def test_load_follows_a_curve() -> None:
    with Storwize(sizes=FEW, clock=Clock(NOON)) as array:
        office = next(volume for volume in array.model['volume'].values()
                      if volume.workload == 'office' and volume.status == 'online')
        midnight = NOON - 10 * 3600 - 20 * 60
        night, noon = (array.statistics.truth('volume', office.id, at, at + 300) for at in (midnight, midnight + 46800))
    assert noon['iops'] > 4 * night['iops'] > 0
    assert 0.0001 < noon['response'] < 0.1


def test_counters_never_go_back_but_for_a_reboot(small: tuple[Storwize, Client]) -> None:
    array, client = small
    newest = {'1': [], '2': []}

    def read() -> None:
        for node, found in newest.items():
            file = client.files(node)[-1]
            found.append(counters(array.dumps.content(node, file), 'vdsk', '0')['ro'])

    for _ in range(3):
        read()
        array.control.advance(300)
    assert newest['1'] == sorted(newest['1']) and newest['1'][0] > 10_000
    array.control.advance(100)
    array.control.reboot('2')               # not the configuration node
    array.control.advance(200)
    read()
    assert newest['2'][-1] < newest['2'][-2] and newest['1'][-1] > newest['1'][-2]
    real = array.statistics.truth('volume', '0', array.clock() - 200, array.clock(), ['2'])
    assert newest['2'][-1] == int(real['read_iops'] * 200)


def test_another_node_answers_while_one_is_down(small: tuple[Storwize, Client]) -> None:
    array, client = small
    array.control.take_down('1')
    with pytest.raises((paramiko.SSHException, EOFError, OSError)):
        client.run('lssystem')
    with Client(array) as other:
        assert [(row['status'], row['config_node']) for row in other.rows('lsnode')] == [
            ('offline', 'no'), ('online', 'yes')]
        assert dict(other.sections('lsnodehw 1')[0])['cpu_count'] == ''
        assert other.run(f'lsdumps -prefix {IOSTATS} 1').code == 'CMMVC5786E'
        array.control.advance(900)
        assert other.files()[-1] == 'Nv_stats_01-2_251120_113500'
        array.control.bring_up('1')
        array.control.advance(300)
        mine = [name for name in other.files('1') if name.startswith('Nv')]
        assert mine[-2:] == ['Nv_stats_01-1_251120_112000', 'Nv_stats_01-1_251120_114000']
        with pytest.raises(ValueError, match='no other node'):
            array.control.take_down('1')
            array.control.take_down('2')


def test_a_node_that_breaks_and_is_mended_has_forgotten_its_counters(small: tuple[Storwize, Client]) -> None:
    array, _ = small
    array.control.advance(60)
    raised = array.control.raise_fault('node', '1')             # the configuration node
    assert array.model.config_node.id == '2'
    array.control.advance(120)
    array.control.repair(raised.sequence)
    array.control.advance(120)
    at = NOON + 300
    told = counters(array.dumps.content('1', file_name('Nv', '01-1', at, 'Europe/Berlin')), 'vdsk', '0')
    assert told['ro'] == int(120 * array.statistics.truth('volume', '0', at - 120, at, ['1'])['read_iops']) > 0


def test_a_volume_counts_since_it_is_there_and_while_it_is_online(small: tuple[Storwize, Client]) -> None:
    array, client = small
    [volume] = array.control.add_volumes(1)
    assert array.statistics.truth('volume', volume.id, NOON - 300, NOON)['iops'] == 0
    array.control.advance(300)
    with pytest.raises(LookupError):
        counters(array.dumps.content('1', 'Nv_stats_01-1_251120_112000'), 'vdsk', volume.id)
    first = counters(array.dumps.content('1', client.files('1')[-1]), 'vdsk', volume.id)
    raised = array.control.raise_fault('volume', volume.id)
    array.control.advance(300)
    still = counters(array.dumps.content('1', client.files('1')[-1]), 'vdsk', volume.id)
    assert still['ro'] == first['ro'] > 0
    array.control.repair(raised.sequence)
    array.control.advance(300)
    assert counters(array.dumps.content('1', client.files('1')[-1]), 'vdsk', volume.id)['ro'] > still['ro']


def test_how_often_and_whether(small: tuple[Storwize, Client]) -> None:
    array, client = small
    client.good('startstats -interval 1')
    array.control.advance(180)
    times = [name[-6:] for name in client.files('1') if name.startswith('Nv')][-4:]
    assert times == ['112000', '112100', '112200', '112300']
    assert dict(client.sections('lssystem')[0])['statistics_frequency'] == '1'
    client.good('stopstats')
    array.control.advance(600)
    assert client.files('1')[-1].endswith('112300')
    assert dict(client.sections('lssystem')[0])['statistics_status'] == 'off'


def test_when_clocks_are_put_back_names_repeat() -> None:
    """On 26 October 2025 at 3:00 it is 2:00 again in Berlin; the newer file replaces the older one."""
    with running(clock=Clock(1_761_440_399)) as (array, client):        # a second before 2:00 comes again
        names = [name for name in client.files() if name.startswith('Nv')]
        assert names[-1] == 'Nv_stats_01-1_251026_025500' and len(names) == len(set(names)) == 16
        array.control.advance(1800)
        names = [name for name in client.files() if name.startswith('Nv')]
        assert len(names) < 16
        head = xml.fromstring(client.by_scp('Nv_stats_01-1_251026_020500'))
        assert (head.get('timestamp_utc'), head.get('timezone')) == ('2025-10-26 01:05:00', 'GMT+1:00')


def test_files_that_vanish_are_cut_or_cost_the_connection(small: tuple[Storwize, Client]) -> None:
    array, client = small
    name = client.files()[-1]
    whole = client.by_scp(name)
    for fetch in (client.by_scp, client.by_sftp):
        array.control.spoil(f'{IOSTATS}/Nv_*', 'vanish')
        with pytest.raises(FileNotFoundError):
            fetch(name)
        assert fetch(name) == whole
    assert array.control.truncate_files('Nv_stats_01-1_*_112000') == 1
    for fetch in (client.by_scp, client.by_sftp):
        assert fetch(name) == whole[:len(whole) // 2]
    assert array.control.remove_files('Nv_stats_01-1_*_112000') == 1
    assert name not in client.files()
    array.control.spoil(f'{IOSTATS}/Nm_*', 'drop')
    with pytest.raises((OSError, EOFError, paramiko.SSHException)):
        client.by_sftp(client.files('1')[20])


def test_old_levels_have_no_sftp() -> None:
    with running(level=INSPUR) as (array, client):
        name = array.dumps.names('1')[-1]
        assert client.by_scp(name)
        with pytest.raises(paramiko.SSHException):
            client.by_sftp(name)


def test_nobody_writes(small: tuple[Storwize, Client]) -> None:
    _, client = small
    with client.ssh.open_sftp() as transfer:
        assert transfer.listdir('/dumps/iostats') == client.files()
        for attempt in (lambda: transfer.open('/dumps/iostats/x', 'w'), lambda: transfer.remove(client.files()[0]),
                        lambda: transfer.mkdir('/x')):
            with pytest.raises(PermissionError):
                attempt()
        with pytest.raises(FileNotFoundError):
            transfer.listdir('/etc')


def test_many_volumes_in_files() -> None:
    with Storwize(sizes=Sizes.of(2000), clock=Clock(NOON)) as array:
        content = array.dumps.content('1', 'Nv_stats_01-1_251120_112000')
    assert content.count(b'<vdsk ') == 2000


# --- by hand ---

def test_by_hand_with_control_over_http(tmp_path: Path, manager: socket.socket) -> None:
    key = tmp_path / 'key'
    process = subprocess.Popen(
        [sys.executable, '-m', 'tests.simulators.ibm', '--port', '0', '--volumes', '20', '--seed', 'by hand',
         '--traps-to', f'127.0.0.1:{manager.getsockname()[1]}', '--key', str(key)],
        cwd=ROOT, env={**os.environ, 'PYTHONUNBUFFERED': '1'}, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        about, array, control, _ = (process.stdout.readline() for _ in range(4))
        assert '20 volume' in about
        host, port = array.split()[1].split(':')
        control = control.split()[1]
        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        client.connect(host, int(port), 'delfin', key_filename=str(key), look_for_keys=False, allow_agent=False)
        with client, requests.Session() as session:
            session.trust_env = False
            assert b'svc lab' in client.exec_command('lssystem')[1].read()
            assert 'raise_fault' in session.get(control, timeout=10).json()
            raised = session.post(f'{control}raise_fault', data=json.dumps({'kind': 'pool'}), timeout=10).json()
            assert trap(manager)[1][9].endswith(f'= {raised["sequence"]}')
            assert session.get(f'{control}model/pool', timeout=10).json()[0]['id'] == '0'
            assert session.post(f'{control}raise_fault', data='{"colour": "red"}', timeout=10).status_code == 400
            assert session.post(f'{control}no_such_thing', timeout=10).status_code == 404
            assert session.get(f'{control}state', timeout=10).json()['traps'] == 1
            assert session.get(f'{control}log', timeout=10).json()[0]['text'] == 'lssystem'
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        process.communicate()
