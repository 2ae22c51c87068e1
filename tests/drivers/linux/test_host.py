# SPDX-License-Identifier: Apache-2.0
"""The machine itself: identity and the controller."""

from __future__ import annotations

import re

import pytest

from delfin import exception
from delfin.drivers.linux import host
from tests.drivers.linux.replay import RecordedMachine, by, driver_of

MACHINE_ID = '0123456789abcdef0123456789abcdef'
UUID = '4c4c4544-0042-3510-8034-b4c04f4e4d32'


def test_a_storage_is_described_by_its_machine(lab: RecordedMachine) -> None:
    row = driver_of(lab).get_storage(None)
    wanted = {'name': 'nas1', 'vendor': 'Example Systems', 'model': 'Filer 2000', 'status': 'normal',
              'firmware_version': '6.1.0-50-amd64', 'description': 'Debian GNU/Linux 12 (bookworm)'}
    assert {name: row[name] for name in wanted} == wanted


def test_raw_capacity_counts_each_disk_once(lab: RecordedMachine) -> None:
    assert driver_of(lab).get_storage(None)['raw_capacity'] == sum(
        row['capacity'] for row in driver_of(lab).list_disks(None))


def test_without_dmi_the_operating_system_stands_in(small_guest: RecordedMachine) -> None:
    row = driver_of(small_guest).get_storage(None)
    assert (row['vendor'], row['model']) == ('Linux', 'Debian GNU/Linux 12 (bookworm)')


def test_what_a_board_maker_did_not_fill_in_is_no_name(lab: RecordedMachine) -> None:
    lab.files |= {'/sys/class/dmi/id/sys_vendor': 'To Be Filled By O.E.M.', '/sys/class/dmi/id/product_name': ' '}
    row = driver_of(lab).get_storage(None)
    assert (row['vendor'], row['model']) == ('Linux', 'Debian GNU/Linux 12 (bookworm)')


def test_the_serial_number_does_not_show_the_machine_id() -> None:
    serial = host.serial_number({'/etc/machine-id': MACHINE_ID})
    assert re.fullmatch('[0-9a-f]{32}', serial) and serial != MACHINE_ID


def test_the_serial_number_never_changes_between_versions_of_delfin() -> None:
    # Stored rows hang on it: printf 'delfin linux host serial number' | openssl dgst -sha256 -hmac <machine id>
    assert host.serial_number({'/etc/machine-id': MACHINE_ID}) == SERIAL_OF_MACHINE_ID


SERIAL_OF_MACHINE_ID = '851c1a7e6fdd3f9b22a50aa2c0d21d09'


@pytest.mark.parametrize('content', ['', 'uninitialized', '0' * 32, 'not an id'])
def test_a_machine_id_that_was_not_set_up_is_none(content: str) -> None:
    files = {'/etc/machine-id': content, '/var/lib/dbus/machine-id': MACHINE_ID}
    assert host.serial_number(files) == SERIAL_OF_MACHINE_ID


def test_without_a_machine_id_the_board_is_identified() -> None:
    serial = host.serial_number({'/sys/class/dmi/id/product_uuid': UUID})
    assert serial == host.serial_number({'/sys/class/dmi/id/product_uuid': UUID.upper()})


def test_without_anything_else_the_physical_ports_are_identified() -> None:
    def nic(name: str, address: str) -> dict[str, str]:
        place = f'/sys/class/net/{name}'
        return {f'{place}/address': address, f'{place}/addr_assign_type': '0', f'{place}/device/uevent': 'DRIVER=x'}
    one_order = nic('eth0', '52:54:00:00:00:01') | nic('eth1', '52:54:00:00:00:02')
    other_order = nic('eth0', '52:54:00:00:00:02') | nic('eth1', '52:54:00:00:00:01')
    assert host.serial_number(one_order) == host.serial_number(other_order)


def test_a_random_mac_address_identifies_nobody() -> None:
    place = '/sys/class/net/eth0'
    with pytest.raises(exception.InvalidResults, match='systemd-machine-id-setup'):
        host.serial_number({f'{place}/address': '52:54:00:00:00:01', f'{place}/addr_assign_type': '1',
                            f'{place}/device/uevent': 'DRIVER=x'})


def test_the_machine_is_its_only_controller(lab: RecordedMachine) -> None:
    storage, (controller,) = driver_of(lab).get_storage(None), driver_of(lab).list_controllers(None)
    assert controller == {
        'native_controller_id': storage['serial_number'], 'name': 'nas1', 'status': 'normal',
        'soft_version': '6.1.0-50-amd64', 'cpu_info': 'QEMU Virtual CPU version 2.5+', 'cpu_count': 2,
        'memory_size': 2062389248, 'mgmt_ip': '10.0.2.15'}


def test_over_ssh_the_management_address_is_the_one_we_use(lab: RecordedMachine) -> None:
    lab.address = '203.0.113.9'
    assert driver_of(lab).list_controllers(None)[0]['mgmt_ip'] == '203.0.113.9'


@pytest.mark.parametrize('address', ['nas1.example.org', '127.0.0.1'])
def test_a_name_or_a_tunnel_is_no_management_address(lab: RecordedMachine, address: str) -> None:
    lab.address = address
    assert driver_of(lab).list_controllers(None)[0]['mgmt_ip'] == '10.0.2.15'


@pytest.mark.parametrize(('online', 'count'), [('0', 1), ('0-3', 4), ('0-3,8,10-11\n', 7)])
def test_processors_are_counted(online: str, count: int) -> None:
    files = {'/etc/machine-id': MACHINE_ID, '/sys/devices/system/cpu/online': online}
    assert host.controller_row(files, None)['cpu_count'] == count


@pytest.mark.parametrize('method', ['get_storage', 'list_controllers', 'list_disks', 'list_storage_pools',
                                    'list_volumes', 'list_filesystems', 'list_shares', 'list_ports'])
def test_no_method_takes_more_than_a_few_round_trips(lab: RecordedMachine, method: str) -> None:
    getattr(driver_of(lab), method)(None)
    assert len(lab.asked) <= 6


def test_unknown_values_are_absent_everywhere(lab: RecordedMachine) -> None:
    driver = driver_of(lab)
    rows = [driver.get_storage(None), *driver.list_controllers(None), *driver.list_disks(None),
            *driver.list_storage_pools(None), *driver.list_volumes(None), *driver.list_filesystems(None),
            *driver.list_shares(None), *driver.list_ports(None)]
    assert [row for row in rows if {None, '', -1, 'N/A'} & {v for v in row.values() if not isinstance(v, dict)}] == []


def test_names_of_ports_are_their_ids(lab: RecordedMachine) -> None:
    assert by(driver_of(lab).list_ports(None)).keys() == by(driver_of(lab).list_ports(None), 'native_port_id').keys()
