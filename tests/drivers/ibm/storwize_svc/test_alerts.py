# SPDX-License-Identifier: Apache-2.0
"""The event log and traps of the simulated array as alerts."""

from __future__ import annotations

from typing import Any

import pytest

from delfin import cryptor, exception
from delfin.drivers.ibm.storwize_svc import StorwizeDriver
from tests.simulators.ibm.server import Storwize

SEVERITIES = {'error': 'Major', 'warning': 'Warning'}


def standing(array: Storwize) -> dict[str, Any]:
    """Events that are to be fixed, by their number."""
    return {str(event.sequence): event for event in array.events.current
            if event.type.notification in SEVERITIES and event.status in ('alert', 'monitoring')}


def numbers(driver: StorwizeDriver, query: Any = None) -> set[str]:
    return {row['sequence_number'] for row in driver.list_alerts(None, query)}


def test_what_is_to_be_fixed_is_an_alert(array: Storwize, driver: StorwizeDriver) -> None:
    rows = {row['sequence_number']: row for row in driver.list_alerts(None)}
    assert rows.keys() == standing(array).keys()
    for number, event in standing(array).items():
        row = rows[number]
        assert (row['alert_id'], row['description'], row['severity'], row['occur_time']) == (
            event.type.id, event.type.text, SEVERITIES[event.type.notification], event.last * 1000)
        assert (row['category'], row.get('location', '')) == ('Fault', event.name)


def test_details_are_asked_for_only_of_the_time_that_is_wanted(array: Storwize, driver: StorwizeDriver) -> None:
    events = sorted(standing(array).values(), key=lambda event: event.last)
    begin, end = events[3].last * 1000, events[8].last * 1000
    wanted = {str(event.sequence) for event in events if begin <= event.last * 1000 <= end}
    array.log.clear()
    assert numbers(driver, {'begin_time': begin, 'end_time': end}) == wanted
    assert array.asked('lseventlog') < 1 + len(array.events.current)
    assert numbers(driver, {'begin_time': 1000, 'end_time': 2000}) == set()


def test_what_is_cleared_is_fixed_on_the_array(array: Storwize, driver: StorwizeDriver) -> None:
    number = str(array.control.raise_fault('drive').sequence)
    assert number in numbers(driver)
    driver.clear_alert(None, number)
    assert number not in numbers(driver)
    driver.clear_alert(None, '99999')       # gone is fixed


@pytest.mark.parametrize('number', ['1; reboot', '-1', '', 'all', '１'])
def test_only_a_number_is_cleared(number: str, array: Storwize, driver: StorwizeDriver) -> None:
    with pytest.raises(exception.InvalidInput):
        driver.clear_alert(None, number)
    assert list(array.log) == []


def test_somebody_who_may_not_clear_is_told(array: Storwize, driver: StorwizeDriver) -> None:
    array.control.role('Monitor')
    with pytest.raises(exception.NotAuthorized):
        driver.clear_alert(None, str(array.control.raise_fault('drive').sequence))


# --- receivers of traps ---

TARGET = {'host': '192.0.2.7', 'port': 1162, 'version': 'SNMPv2c'}


def target(community: str = 'lab; reboot') -> dict[str, Any]:
    return {**TARGET, 'community_string': cryptor.encode(community)}


def test_a_receiver_is_added_once_changed_and_removed(array: Storwize, driver: StorwizeDriver) -> None:
    driver.add_trap_config(None, target())
    driver.add_trap_config(None, target())
    assert [(each.host, each.port, each.community) for each in array.agent.managers] == [
        ('192.0.2.7', 1162, 'lab; reboot')]
    driver.add_trap_config(None, target('other'))
    assert [each.community for each in array.agent.managers] == ['other']
    driver.remove_trap_config(None, target())
    driver.remove_trap_config(None, target())
    assert array.agent.managers == [] and array.injections == []


def test_version_3_is_not_set_up(array: Storwize, driver: StorwizeDriver) -> None:
    with pytest.raises(NotImplementedError):
        driver.add_trap_config(None, {**TARGET, 'version': 'SNMPv3', 'username': 'u'})


# --- traps ---

def trap(number: int = 1, enterprise: str = '1.3.6.1.4.1.2.6.190', **changed: str) -> dict[str, str]:
    """That of the sheet; object ids of the labels do not matter."""
    said = {'Machine Type': '2076524', 'Serial Number': '78LAB01', 'Error ID': '010027 : Drive fault type 3',
            'Error Code': '1686 : Drive fault', 'System Name': 'svclab1', 'Node ID': '1',
            'Error Sequence Number': '412', 'Timestamp': 'Thu Nov 20 07:41:09 2025', 'Object Type': 'drive',
            'Object ID': '7', 'Object Name': '', **changed}
    return {'1.3.6.1.6.3.1.1.4.1.0': f'{enterprise}.{number}', 'transport_address': '192.0.2.40', 'storage_id': 'lab',
            **{f'{enterprise}.4.{place}': f'# {label} = {value}' for place, (label, value) in enumerate(said.items())}}


@pytest.fixture(scope='module', autouse=True)
def known() -> None:
    """This process has heard of the array's zone."""
    from datetime import timedelta, timezone

    from delfin.drivers.ibm.storwize_svc import alerts
    alerts.remember('lab', timezone(timedelta(hours=1)))


def parsed(received: dict[str, str]) -> Any:
    return StorwizeDriver.parse_alert(None, received)


def test_the_worked_example() -> None:
    assert parsed(trap()) == {
        'alert_id': '010027', 'alert_name': 'Drive fault type 3', 'description': 'Drive fault type 3',
        'severity': 'Major', 'category': 'Fault', 'type': 'EquipmentAlarm', 'sequence_number': '412',
        'occur_time': 1763620869000, 'resource_type': 'drive', 'recovery_advice': 'Drive fault'}


def test_it_is_known_by_its_labels_under_any_vendors_number() -> None:
    assert parsed(trap(enterprise='1.3.6.1.4.1.37945.190'))['alert_id'] == '010027'


@pytest.mark.parametrize(('number', 'severity', 'category'), [
    (1, 'Major', 'Fault'), (2, 'Warning', 'Fault'), (3, 'Informational', 'Event')])
def test_what_is_only_told_is_an_event(number: int, severity: str, category: str) -> None:
    row = parsed(trap(number))
    assert (row['severity'], row['category']) == (severity, category)


def test_names_may_contain_what_separates(monkeypatch: pytest.MonkeyPatch) -> None:
    row = parsed(trap(**{'Object Name': 'a = b : c', 'Error ID': '060001 : no space: see pool'}))
    assert (row['location'], row['description']) == ('a = b : c', 'no space: see pool')


def test_without_the_zone_it_is_when_the_trap_came() -> None:
    assert 'occur_time' not in parsed({**trap(), 'storage_id': 'unheard of'})
    assert 'occur_time' not in parsed(trap(Timestamp='yesterday'))
    assert parsed(trap(Timestamp='Sat Nov  1 07:41:09 2025'))['occur_time'] == 1761979269000


@pytest.mark.parametrize('other', [{'1.3.6.1.6.3.1.1.4.1.0': '1.3.6.1.6.3.1.1.5.3'}, trap(4), {}])
def test_other_traps_are_nobodys_alert(other: dict[str, str]) -> None:
    assert parsed(other) is None
