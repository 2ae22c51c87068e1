# SPDX-License-Identifier: Apache-2.0
"""Traps of a host's SNMP agent."""

from __future__ import annotations

import json

import pytest

from delfin import exception
from delfin.drivers.linux import LinuxHostDriver
from delfin.drivers.linux.runner import Completed
from tests.drivers.linux.replay import RecordedMachine, driver_of

LINK_DOWN, LINK_UP = '1.3.6.1.6.3.1.1.5.3', '1.3.6.1.6.3.1.1.5.4'


def trap(kind: str, *, name: str | None = None, description: str | None = None, admin: str = '1') -> dict[str, str]:
    """linkDown or linkUp of interface 4, as RFC 2863 defines them, with more if given."""
    varbinds = {'1.3.6.1.2.1.1.3.0': '12345', '1.3.6.1.6.3.1.1.4.1.0': kind, '1.3.6.1.2.1.2.2.1.1.4': '4',
                '1.3.6.1.2.1.2.2.1.7.4': admin, '1.3.6.1.2.1.2.2.1.8.4': '2', 'storage_id': '1',
                'transport_address': '192.0.2.1'}
    if name is not None:
        varbinds['1.3.6.1.2.1.31.1.1.1.1.4'] = name
    if description is not None:
        varbinds['1.3.6.1.2.1.2.2.1.2.4'] = description
    return varbinds


def parse(**varbinds: str) -> dict[str, str] | None:
    return LinuxHostDriver.parse_alert(None, varbinds)


def test_link_down_is_the_alert_that_the_list_has_for_the_port(lab: RecordedMachine) -> None:
    interfaces = json.loads(lab.tools['ip'].stdout)
    next(port for port in interfaces if port.get('ifname') == 'ens11')['flags'] = ['UP', 'NO-CARRIER']
    lab.tools['ip'] = Completed('ip', json.dumps(interfaces), '', 0)
    listed, = (alert for alert in driver_of(lab).list_alerts(None) if alert['alert_id'] == 'linux.port.down')
    announced = parse(**trap(LINK_DOWN, name='ens11')) or {}
    same = ('alert_id', 'match_key', 'sequence_number', 'location', 'category', 'resource_type')
    assert {field: announced[field] for field in same} == {field: listed[field] for field in same}


def test_link_up_ends_it() -> None:
    fault, recovery = (parse(**trap(kind, name='eth0')) or {} for kind in (LINK_DOWN, LINK_UP))
    assert (recovery['category'], recovery['match_key']) == ('Recovery', fault['match_key'])


def test_the_description_will_do_if_it_is_the_name() -> None:
    assert (parse(**trap(LINK_DOWN, description='eth0')) or {})['location'] == 'eth0'


@pytest.mark.parametrize('kind', [LINK_DOWN, LINK_UP])
@pytest.mark.parametrize('description', [None, 'Red Hat, Inc. Device 0001'])
def test_without_the_name_the_machine_is_to_be_asked(kind: str, description: str | None) -> None:
    with pytest.raises(exception.IncompleteTrapInformation):
        parse(**trap(kind, description=description))


@pytest.mark.parametrize('admin', ['2', 'down', 'down(2)'])
def test_whether_a_port_that_was_switched_off_is_trouble_is_for_the_machine_to_say(admin: str) -> None:
    with pytest.raises(exception.IncompleteTrapInformation):
        parse(**trap(LINK_DOWN, name='eth0', admin=admin))


@pytest.mark.parametrize('name', ['lo', 'veth12ab', 'docker0', 'br-0123456789ab', 'br0', 'bond0', 'bond0.100', 'eth0.7',
                                  'virbr0', 'tap3', 'wlp3s0'])
def test_what_the_list_never_speaks_of_is_dropped(name: str) -> None:
    assert parse(**trap(LINK_DOWN, name=name)) is None


@pytest.mark.parametrize('name', ['eth0', 'eno1', 'enp3s0f1np1', 'ens11', 'enx525400000001', 'ib0', 'bnep', 'brocade'])
def test_ports_are_not_dropped(name: str) -> None:
    assert parse(**trap(LINK_DOWN, name=name)) is not None


@pytest.mark.parametrize('kind', [
    '1.3.6.1.6.3.1.1.5.1', '1.3.6.1.6.3.1.1.5.2', '1.3.6.1.6.3.1.1.5.5', '1.3.6.1.4.1.8072.4.0.2',
    '1.3.6.1.2.1.88.2.0.1', '1.3.6.1.6.3.1.1.5.30'])
def test_other_traps_are_dropped(kind: str) -> None:
    assert parse(**trap(kind, name='eth0')) is None


def test_a_leading_dot_makes_no_difference() -> None:
    assert parse(**trap(f'.{LINK_DOWN}', name='eth0')) == parse(**trap(LINK_DOWN, name='eth0'))
