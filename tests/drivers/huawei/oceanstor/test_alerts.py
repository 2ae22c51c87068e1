# SPDX-License-Identifier: Apache-2.0
"""Alarms in the list, as traps of a real socket, their end, and where the array sends them to."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from delfin import alerts, cryptor, exception
from delfin.alert_manager.snmp import ber
from delfin.drivers.huawei.oceanstor import OceanStorDriver
from delfin.findings import Findings
from tests.simulators.huawei import V3, OceanStor
from tests.simulators.huawei.alarms import FAULTS
from tests.simulators.huawei.traps import Manner

SEVERITIES = {'informational': 'Informational', 'warning': 'Warning', 'minor': 'Minor', 'major': 'Major',
              'critical': 'Critical'}
TYPES = {'communications': 'CommunicationsAlarm', 'equipment': 'EquipmentAlarm', 'processing': 'ProcessingErrorAlarm',
         'service': 'QualityOfServiceAlarm', 'environment': 'EnvironmentalAlarm', 'limit': 'QualityOfServiceAlarm'}


@pytest.fixture
def receiver() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind(('127.0.0.1', 0))
        made.settimeout(5)
        yield made


def heard(receiver: socket.socket) -> dict[str, Any] | None:
    """The alert of the next trap; None if the driver drops it."""
    datagram = receiver.recv(65535)
    message = ber.read(datagram)
    assert isinstance(message, ber.Message)
    return OceanStorDriver.parse_alert(None, ber.trap_variables(ber.read_pdu(datagram[message.body])))


def target(receiver: socket.socket, **more: Any) -> dict[str, Any]:
    return {'host': '127.0.0.1', 'port': receiver.getsockname()[1], 'version': 'SNMPv2c',
            'community_string': cryptor.encode('public'), **more}


@pytest.mark.parametrize('fault', FAULTS)
def test_a_fault_is_one_alert_in_the_list_and_as_a_trap_until_it_is_repaired(
        array: OceanStor, driver: OceanStorDriver, receiver: socket.socket, fault: str) -> None:
    driver.add_trap_config(None, target(receiver))
    before = {row['sequence_number'] for row in driver.list_alerts(None)}
    alarm = array.control.raise_fault(fault=fault)
    kind = FAULTS[fault]
    [row] = [row for row in driver.list_alerts(None) if row['sequence_number'] not in before]
    assert (row['sequence_number'], row['alert_id'], row['severity'], row['occur_time'], row['description']) == (
        str(alarm.sequence), str(kind.id), SEVERITIES[kind.severity], alarm.raised * 1000, alarm.description)
    if kind.severity != 'informational':        # which the array tells nobody of
        told = heard(receiver)
        assert told is not None
        assert (told['severity'], told['type'], told['occur_time'], told['serial_number']) == (
            SEVERITIES[kind.severity], TYPES[kind.area], alarm.raised * 1000, array.serial)
        assert told['category'] == row['category'] == ('Event' if kind.category == 'event' else 'Fault')
        assert told['recovery_advice'] == row['recovery_advice'] == kind.advice
        assert set(keys(told)) & set(keys(row))
        array.control.repair(alarm.sequence)
        ended = heard(receiver)
        assert ended is not None
        assert ended['category'] == 'Recovery'
        assert set(keys(ended)) & set(keys(told))
        assert str(alarm.sequence) not in {row['sequence_number'] for row in driver.list_alerts(None)}


def keys(row: dict[str, Any]) -> list[tuple[str, ...]]:
    return alerts.keys(alerts.parsed(row, Findings()).values)


@pytest.mark.parametrize(('manner', 'knows_the_time'), [
    (Manner(time='octets', zone=timedelta(hours=8)), True), (Manner(time='text', zone=timedelta(hours=-3)), True),
    (Manner(time='local'), False), (Manner(hex=True), True), (Manner(instance=False), True)])
def test_however_the_array_writes_it(array: OceanStor, receiver: socket.socket, manner: Manner,
                                     knows_the_time: bool) -> None:
    array.agent.manner = manner
    array.control.tell('127.0.0.1', receiver.getsockname()[1])
    alarm = array.control.raise_fault('controller', fault='controller offline')
    told = heard(receiver)
    assert told is not None
    assert told.get('occur_time') == (alarm.raised * 1000 if knows_the_time else None)
    assert (told['description'], told['recovery_advice']) == (alarm.description, alarm.type.advice)


@pytest.mark.parametrize('number', [1, 3, 4, 5, 6, 7, 8, 9, 10, 11])
def test_a_trap_that_lacks_what_it_must_have_is_an_error(array: OceanStor, receiver: socket.socket,
                                                         number: int) -> None:
    array.agent.manner = Manner(omit=frozenset({number}))
    array.control.tell('127.0.0.1', receiver.getsockname()[1])
    array.control.raise_fault('disk')
    with pytest.raises(exception.InvalidResults, match='The trap has no hwIsmReportingAlarm'):
        heard(receiver)


def test_the_list_of_a_time_has_both_ends(drive: Callable[..., OceanStorDriver]) -> None:
    with OceanStor(firmware=V3) as array:
        driver = drive(array)
        everything = driver.list_alerts(None)
        times = sorted(row['occur_time'] for row in everything)
        assert len(set(times)) > 2
        assert len(everything) == len(array.alarms.current)
        begin, end = times[1], times[-2]
        found = driver.list_alerts(None, {'begin_time': begin, 'end_time': end})
        assert sorted(row['occur_time'] for row in found) == [time for time in times if begin <= time <= end]


def test_a_cleared_alarm_is_gone_and_one_that_is_not_there_is_an_error(
        array: OceanStor, driver: OceanStorDriver) -> None:
    alarm = array.control.raise_fault('disk')
    driver.clear_alert(None, str(alarm.sequence))
    assert array.alarms.find(alarm.sequence).cleared_by == array.username
    with pytest.raises(exception.StorageBackendException, match='does not exist'):
        driver.clear_alert(None, str(alarm.sequence))


def test_a_receiver_is_set_up_once_changed_and_taken_away(
        array: OceanStor, driver: OceanStorDriver, receiver: socket.socket) -> None:
    array.control.tell('192.0.2.9', 162)
    for _ in range(2):
        driver.add_trap_config(None, target(receiver))
    assert [row['CMO_TRAP_VERSION'] for row in array.agent.managers] == ['2', '2']
    with pytest.raises(exception.StorageBackendException, match='Is there an SNMP user "delfin" on the array'):
        driver.add_trap_config(None, target(receiver, version='SNMPv3', username='delfin'))
    array.control.add_user('delfin')
    driver.add_trap_config(None, target(receiver, version='SNMPv3', username='delfin'))
    [_, manager] = array.agent.managers
    assert (manager['CMO_TRAP_VERSION'], manager['CMO_TRAP_SERVER_USER']) == ('3', 'delfin')
    for _ in range(2):
        driver.remove_trap_config(None, target(receiver))
    assert [row['CMO_TRAP_SERVER_IP'] for row in array.agent.managers] == ['192.0.2.9']


def test_traps_may_come_from_every_management_address(array: OceanStor, driver: OceanStorDriver) -> None:
    expected = {port.ipv4 for port in array.model['eth_port'].values() if port.role == 'management'}
    assert expected <= {row['host'] for row in driver.get_alert_sources(None)}
