# SPDX-License-Identifier: Apache-2.0
"""Alerts: listed, filtered, cleared, and parsed from traps."""

from __future__ import annotations

import copy
import time

import pytest

from delfin import exception
from delfin.common import constants
from delfin.drivers.fake_storage import FakeStorageDriver, alerts
from tests.drivers.fake_storage import make_driver

PARSE = FakeStorageDriver.parse_alert


def test_alerts_have_all_fields_with_legal_values():
    rows = make_driver(alerts='40').list_alerts(None)
    assert len(rows) == 40
    for row in rows:
        assert set(row) == {column.name for column in alerts.TABLE.columns}
        for column in alerts.TABLE.columns:
            assert not column.values or row[column.name] in column.values
        assert row['resource_type'] in constants.ResourceType.ALL
        assert isinstance(row['occur_time'], int) and row['occur_time'] < time.time() * 1000


def test_alerts_can_be_told_apart():
    rows = make_driver(alerts='500').list_alerts(None)
    for key in (lambda row: row['sequence_number'], lambda row: row['match_key'],
                lambda row: (row['alert_id'], row['location'])):
        assert len({key(row) for row in rows}) == 500


def test_alerts_are_filtered_by_time_with_both_bounds_included():
    driver = make_driver()
    rows = driver.list_alerts(None)
    times = [row['occur_time'] for row in rows]
    assert driver.list_alerts(None, {'begin_time': times[1], 'end_time': times[3]}) == rows[1:4]
    assert driver.list_alerts(None, {'begin_time': str(times[1]), 'end_time': str(times[3])}) == rows[1:4]
    assert driver.list_alerts(None, {'begin_time': times[2]}) == rows[2:]
    assert driver.list_alerts(None, {'end_time': times[2], 'begin_time': None}) == rows[:3]
    assert driver.list_alerts(None, {}) == driver.list_alerts(None, None) == rows


@pytest.mark.parametrize('window', [
    {'begin_time': 2, 'end_time': 1}, {'begin_time': 'yesterday'}, {'end_time': []}])
def test_a_window_that_makes_no_sense_is_refused(window):
    with pytest.raises(exception.InvalidInput):
        make_driver().list_alerts(None, window)


def test_a_cleared_alert_is_gone():
    driver = make_driver()
    driver.clear_alert(None, '1001')
    driver.clear_alert(None, 1003)      # type: ignore[arg-type]  what an old client may send
    assert [row['sequence_number'] for row in driver.list_alerts(None)] == ['1000', '1002', '1004']
    assert len(make_driver().list_alerts(None)) == 5


@pytest.mark.parametrize('number', ['999', '1005', '', 'x'])
def test_clearing_what_is_not_there_fails(number):
    with pytest.raises(exception.StorageClearAlertFailed):
        make_driver().clear_alert(None, number)


def test_clearing_twice_fails():
    driver = make_driver()
    driver.clear_alert(None, '1000')
    with pytest.raises(exception.StorageClearAlertFailed):
        driver.clear_alert(None, '1000')


def test_trap_receivers_are_remembered_once():
    driver = make_driver()
    receiver, other = {'host': '192.0.2.1', 'port': 162}, {'host': '192.0.2.2', 'port': 162}
    for config in (receiver, other, receiver):
        driver.add_trap_config(None, config)
    assert driver.trap_receivers == (receiver, other)
    driver.remove_trap_config(None, receiver)
    driver.remove_trap_config(None, receiver)
    assert driver.trap_receivers == (other,)


def test_alert_sources_are_the_endpoint_and_the_controllers():
    driver = make_driver(host='192.0.2.10')
    controllers = [row['mgmt_ip'] for row in driver.list_controllers(None)]
    assert [row['host'] for row in driver.get_alert_sources(None)] == ['192.0.2.10', *controllers]
    named = make_driver(host='array.example').get_alert_sources(None)
    assert len(named) == 2 and {'host': 'array.example'} not in named


# --- traps ---

def test_a_trap_announces_the_alert_that_is_listed():
    for row in make_driver(alerts='12').list_alerts(None):
        trap = {**alerts.trap_of(row), 'transport_address': '192.0.2.10', 'storage_id': 's'}
        before = copy.deepcopy(trap)
        assert PARSE(None, trap) == PARSE(None, trap) == row
        assert trap == before


def test_a_recovery_has_the_fault_s_keys():
    fault = make_driver().list_alerts(None)[0]
    recovery = PARSE(None, alerts.trap_of(fault, constants.Category.RECOVERY))
    assert recovery == {**fault, 'category': 'Recovery'}


def test_oids_may_lack_the_instance():
    row = make_driver().list_alerts(None)[0]
    assert PARSE(None, {oid.removesuffix('.0'): value for oid, value in alerts.trap_of(row).items()}) == row


def test_a_trap_may_be_for_another_array():
    row = make_driver().list_alerts(None)[0]
    assert PARSE(None, alerts.trap_of({**row, 'serial_number': 'SN2'})) == {**row, 'serial_number': 'SN2'}


def test_somebody_else_s_trap_is_dropped():
    assert PARSE(None, {}) is None
    assert PARSE(None, {'1.3.6.1.4.1.9.9.1': 'x', 'transport_address': '192.0.2.1', 'storage_id': 's'}) is None


@pytest.mark.parametrize('missing', ['alert_id', 'sequence_number'])
def test_a_trap_without_what_is_mandatory_asks_for_the_list(missing):
    row = make_driver().list_alerts(None)[0]
    del row[missing]
    with pytest.raises(exception.IncompleteTrapInformation):
        PARSE(None, alerts.trap_of(row))


def test_a_trap_with_little_in_it():
    alert = PARSE(None, alerts.trap_of({'alert_id': '7', 'sequence_number': '1'}, 'Event'))
    assert alert == {'alert_id': '7', 'alert_name': '7', 'sequence_number': '1', 'severity': 'NotSpecified',
                     'category': 'Event', 'type': 'NotSpecified', 'resource_type': 'Storage'}


def test_a_trap_with_a_time_that_is_none():
    row = {**make_driver().list_alerts(None)[0], 'occur_time': 'today'}
    with pytest.raises(exception.InvalidResults):
        PARSE(None, alerts.trap_of(row))


@pytest.mark.parametrize('action, error', [
    ('incomplete', exception.IncompleteTrapInformation), ('raise', KeyError),
    ('raise_typed', exception.StorageBackendException), ('notimplemented', NotImplementedError)])
def test_a_trap_can_ask_for_misbehaviour(action, error):
    with pytest.raises(error):
        PARSE(None, {'1.3.6.1.4.1.32473.1.99.0': action})


def test_a_trap_can_ask_for_a_wrong_answer():
    assert PARSE(None, {'1.3.6.1.4.1.32473.1.99': 'none'}) is None
    assert PARSE(None, {'1.3.6.1.4.1.32473.1.99': 'garbage'})
