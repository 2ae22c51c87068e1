# SPDX-License-Identifier: Apache-2.0
"""Network ports, from what ip prints."""

from __future__ import annotations

import json
from typing import Any

import pytest

from delfin import exception
from delfin.drivers.linux import network
from tests.drivers.linux.replay import RecordedMachine, by, driver_of


def port(interface: dict[str, Any], **files: str) -> dict[str, Any]:
    """The row of a physical port; `interface` as ip prints it, written from ip-address(8)."""
    entry = {'ifname': 'eth0', 'flags': ['UP', 'LOWER_UP'], 'operstate': 'UP', 'link_type': 'ether', **interface}
    place = '/sys/class/net/eth0'
    sysfs = {f'{place}/device/uevent': 'DRIVER=ixgbe\nPCI_SLOT_NAME=0000:03:00.0'}
    sysfs |= {f'{place}/{name}': content for name, content in files.items()}
    row, = network.port_rows(network.parse(json.dumps([entry])), sysfs, parent='1')
    return row


def test_real_ports_and_what_is_built_on_them_are_listed(lab: RecordedMachine) -> None:
    types = {name: row['logical_type'] for name, row in by(driver_of(lab).list_ports(None)).items()}
    assert types == {'ens11': 'physical', 'ens12': 'physical', 'ens13': 'physical', 'bond0': 'if-group',
                     'bond0.100': 'vlan', 'br0': 'other'}


def test_members_of_a_bond_show_their_own_mac_address(lab: RecordedMachine) -> None:
    macs = {name: row['mac_address'] for name, row in by(driver_of(lab).list_ports(None)).items()}
    assert (macs['ens12'], macs['ens13']) == ('52:54:00:00:00:02', '52:54:00:00:00:03')


def test_speed_is_in_bits_per_second(lab: RecordedMachine) -> None:
    assert by(driver_of(lab).list_ports(None))['ens12']['speed'] == 1_000_000_000


def test_a_speed_that_the_driver_does_not_know_is_unknown(lab: RecordedMachine) -> None:
    assert 'speed' not in by(driver_of(lab).list_ports(None))['ens11']


def test_100_gigabit_fit() -> None:
    assert port({}, speed='100000')['speed'] == 100_000_000_000


def test_the_first_addresses_are_shown_with_their_masks(lab: RecordedMachine) -> None:
    row = by(driver_of(lab).list_ports(None))['bond0']
    assert (row['ipv4'], row['ipv4_mask'], row['ipv6'], row['ipv6_mask']) == (
        '192.0.2.10', '255.255.255.0', '2001:db8::10', '64')


def test_other_addresses_are_kept(lab: RecordedMachine) -> None:
    more = by(driver_of(lab).list_ports(None))['bond0']['extra']['more_addresses']
    assert more[0] == '192.0.2.11/24'


def test_a_prefix_that_ends_inside_a_byte_is_a_mask(lab: RecordedMachine) -> None:
    assert by(driver_of(lab).list_ports(None))['br0']['ipv4_mask'] == '255.255.255.128'


def test_a_port_that_was_switched_off_is_disconnected(degraded_lab: RecordedMachine) -> None:
    assert by(driver_of(degraded_lab).list_ports(None))['ens13']['connection_status'] == 'disconnected'


@pytest.mark.parametrize(('operstate', 'flags', 'connection', 'health'), [
    ('UP', ['UP', 'LOWER_UP'], 'connected', 'normal'),
    ('DOWN', ['UP', 'NO-CARRIER'], 'disconnected', 'unknown'),
    ('LOWERLAYERDOWN', ['UP'], 'disconnected', 'unknown'),
    ('NOTPRESENT', ['UP'], 'disconnected', 'abnormal'),
    ('UNKNOWN', ['UP', 'LOWER_UP'], 'connected', 'normal'),
    ('UNKNOWN', ['UP'], 'unknown', 'unknown'),
    ('DOWN', [], 'disconnected', 'unknown'),
])
def test_link_and_health_follow_the_state(operstate: str, flags: list[str], connection: str, health: str) -> None:
    row = port({'operstate': operstate, 'flags': flags})
    assert (row['connection_status'], row['health_status']) == (connection, health)


@pytest.mark.parametrize(('link_type', 'uevent', 'kind'), [
    ('ether', 'INTERFACE=eth0', 'eth'), ('infiniband', 'INTERFACE=eth0', 'ib'), ('can', 'INTERFACE=eth0', 'other'),
    ('ether', 'DEVTYPE=wlan\nINTERFACE=eth0', 'other')])
def test_the_type_is_that_of_the_link(link_type: str, uevent: str, kind: str) -> None:
    assert port({'link_type': link_type}, uevent=uevent)['type'] == kind


def test_ports_belong_to_the_controller(lab: RecordedMachine) -> None:
    controller, = driver_of(lab).list_controllers(None)
    assert {row['native_parent_id'] for row in driver_of(lab).list_ports(None)} == {
        controller['native_controller_id']}


def test_output_that_was_cut_off_is_an_error(lab: RecordedMachine) -> None:
    lab.fails('ip', '', status=0, stdout=lab.tools['ip'].stdout[:500])
    with pytest.raises(exception.InvalidResults, match='ip printed something that is not JSON'):
        driver_of(lab).list_ports(None)


def test_without_ip_ports_are_not_supported(lab: RecordedMachine) -> None:
    lab.lacks('ip')
    with pytest.raises(NotImplementedError, match='ip is not installed'):
        driver_of(lab).list_ports(None)
