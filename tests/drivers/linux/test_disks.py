# SPDX-License-Identifier: Apache-2.0
"""Disks, from what lsblk prints."""

from __future__ import annotations

import json
from typing import Any

import pytest

from delfin import exception
from delfin.drivers.linux import block
from tests.drivers.linux.replay import RecordedMachine, by, driver_of


def disk(**fields: Any) -> dict[str, Any]:
    """One device as lsblk prints it; written from lsblk(8), fields of util-linux 2.38."""
    return {'name': 'sda', 'kname': 'sda', 'type': 'disk', 'size': 1000204886016, 'rota': True, **fields}


def rows_of(*devices: dict[str, Any]) -> list[dict[str, Any]]:
    return block.disk_rows(block.parse(json.dumps({'blockdevices': devices})), {}, {}, {})


def test_every_physical_disk_is_listed_once(lab: RecordedMachine) -> None:
    names = [row['name'] for row in driver_of(lab).list_disks(None)]
    assert sorted(names) == ['mpatha', 'nvme0n1', 'nvme1n1', 'sda', 'sdb', 'sdc', 'sdd', 'sdg', 'vda', 'vdb']


def test_two_paths_to_one_array_are_one_disk(lab: RecordedMachine) -> None:
    row = by(driver_of(lab).list_disks(None))['mpatha']
    assert (row['native_disk_id'], row['extra']['paths']) == ('0x6000000000000001', ['sde', 'sdf'])


def test_two_paths_are_one_disk_also_without_multipathd() -> None:
    paths = [disk(kname=name, name=name, wwn='0x5', serial='A') for name in ('sda', 'sdb')]
    assert len(rows_of(*paths)) == 1


def test_a_lost_path_degrades_the_disk(degraded_lab: RecordedMachine) -> None:
    assert by(driver_of(degraded_lab).list_disks(None))['mpatha']['status'] == 'degraded'


def test_a_disk_is_described_with_what_it_says_of_itself(lab: RecordedMachine) -> None:
    row = by(driver_of(lab).list_disks(None))['sdc']
    wanted = {'native_disk_id': '0x5000c500a0000001', 'serial_number': 'SAS0001', 'manufacturer': 'SEAGATE',
              'model': 'ST1200MM0088', 'firmware': 'TN01', 'capacity': 419430400, 'location': '9:0:0:0',
              'status': 'normal'}
    assert {name: row[name] for name in wanted} == wanted


def test_firmware_of_an_nvme_disk_comes_from_sysfs(lab: RecordedMachine) -> None:
    assert by(driver_of(lab).list_disks(None))['nvme0n1']['firmware'] == '7.2.22'


def test_a_disk_without_scsi_address_is_located_by_its_pci_slot(lab: RecordedMachine) -> None:
    assert by(driver_of(lab).list_disks(None))['nvme0n1']['location'] == '0000:00:05.0'


def test_ids_are_wwn_then_serial_then_name(lab: RecordedMachine) -> None:
    ids = {name: row['native_disk_id'] for name, row in by(driver_of(lab).list_disks(None)).items()}
    assert (ids['sda'], ids['vdb'], ids['vda']) == ('0x5002538e00000002', 'VDISK01', 'vda')


def test_different_disks_with_one_serial_number_keep_apart() -> None:
    bridges = [disk(kname=name, name=name, serial='0123456789') for name in ('sda', 'sdb')]
    assert [row['native_disk_id'] for row in rows_of(*bridges)] == ['sda', 'sdb']


def test_different_disks_with_one_wwn_are_told_apart_by_serial_number() -> None:
    cheap = [disk(kname=name, name=name, wwn='0x5000000000000000', serial=name.upper()) for name in ('sda', 'sdb')]
    assert [row['native_disk_id'] for row in rows_of(*cheap)] == ['SDA', 'SDB']


@pytest.mark.parametrize(('fields', 'physical_type'), [
    ({'tran': 'sata'}, 'sata'),
    ({'tran': 'sata', 'rota': False}, 'ssd'),
    ({'tran': 'sas'}, 'sas'),
    ({'tran': 'ata'}, 'ata'),
    ({'tran': None}, 'hdd'),
    ({'tran': None, 'rota': False}, 'ssd'),
    ({'tran': None, 'rota': None}, 'unknown'),
    ({'tran': 'usb'}, 'unknown'),
    ({'tran': 'usb', 'rota': False}, 'ssd'),
    ({'tran': 'iscsi'}, 'lun'),
    ({'tran': 'fc', 'rota': False}, 'lun'),
    ({'tran': 'spi'}, 'unknown'),
    ({'kname': 'nvme0n1', 'tran': None, 'rota': False}, 'nvme-ssd'),
    ({'kname': 'mmcblk0', 'rota': False}, 'flash'),
    ({'kname': 'vda'}, 'vmdisk'),
    ({'kname': 'xvda', 'rota': False}, 'vmdisk'),
    ({'tran': 'sas', 'vendor': 'VMware  ', 'model': 'Virtual disk'}, 'vmdisk'),
])
def test_the_physical_type_follows_transport_and_rotation(fields: dict[str, Any], physical_type: str) -> None:
    assert rows_of(disk(**fields))[0]['physical_type'] == physical_type


@pytest.mark.parametrize(('state', 'status'), [
    ('running', 'normal'), ('live', 'normal'), (None, 'normal'), ('offline', 'offline'),
    ('transport-offline', 'offline'), ('blocked', 'abnormal')])
def test_the_status_is_the_state_of_the_device(state: str | None, status: str) -> None:
    assert rows_of(disk(state=state))[0]['status'] == status


def test_a_state_nobody_knows_is_an_unknown_status() -> None:
    assert 'status' not in rows_of(disk(state='levitating'))[0]


@pytest.mark.parametrize('kname', ['zram0', 'ram3', 'loop7', 'fd0', 'nbd0', 'rbd0', 'drbd1', 'bcache0', 'zd16',
                                   'mmcblk0boot0', 'md0', 'dm-3'])
def test_what_is_no_disk_is_left_out(kname: str) -> None:
    assert rows_of(disk(kname=kname, name=kname)) == []


def test_an_empty_card_reader_is_left_out() -> None:
    assert rows_of(disk(size=0)) == []


def test_members_of_pools_name_their_pool(lab: RecordedMachine) -> None:
    rows, pools = by(driver_of(lab).list_disks(None)), by(driver_of(lab).list_storage_pools(None))
    groups = {name: row['native_disk_group_id'] for name, row in rows.items() if row.get('logical_type') == 'member'}
    lvm, btrfs = (pools[name]['native_storage_pool_id'] for name in ('data-vg', 'photos'))
    assert groups == {'sdc': lvm, 'sdd': lvm, 'nvme0n1': btrfs, 'nvme1n1': btrfs}


def test_membership_is_known_without_root(lab: RecordedMachine, lab_as_nobody: RecordedMachine) -> None:
    assert driver_of(lab_as_nobody).list_disks(None) == driver_of(lab).list_disks(None)


def test_a_disk_whose_only_partition_is_a_member_is_one() -> None:
    whole = disk(children=[{'name': 'sda1', 'kname': 'sda1', 'type': 'part', 'size': 1000}])
    tree = block.parse(json.dumps({'blockdevices': [whole]}))
    row, = block.disk_rows(tree, {}, {}, {'sda1': 'pool-1'})
    assert (row['logical_type'], row['native_disk_group_id']) == ('member', 'pool-1')


def test_a_disk_that_waits_in_an_array_is_a_spare() -> None:
    tree = block.parse(json.dumps({'blockdevices': [disk()]}))
    row, = block.disk_rows(tree, {}, {}, {'sda': 'pool-1'}, frozenset({'sda'}))
    assert row['logical_type'] == 'hotspare'


def test_old_versions_print_numbers_and_booleans_as_text() -> None:
    row, = rows_of(disk(size='1000204886016', rota='1', tran='sas', vendor='HGST    '))
    assert (row['capacity'], row['physical_type'], row['manufacturer']) == (1000204886016, 'sas', 'HGST')


def test_output_that_was_cut_off_is_an_error(lab: RecordedMachine) -> None:
    lab.fails('lsblk', '', status=0, stdout=lab.tools['lsblk'].stdout[:1000])
    with pytest.raises(exception.InvalidResults, match='lsblk printed something that is not JSON'):
        driver_of(lab).list_disks(None)


def test_output_of_another_shape_is_an_error(lab: RecordedMachine) -> None:
    lab.fails('lsblk', '', status=0, stdout='{"blockdevices": "none"}')
    with pytest.raises(exception.InvalidResults, match='without the list blockdevices'):
        driver_of(lab).list_disks(None)


def test_a_failing_lsblk_is_an_error_and_no_empty_list(lab: RecordedMachine) -> None:
    lab.fails('lsblk', 'lsblk: unknown column: PARTTYPE\n')
    with pytest.raises(exception.StorageBackendException, match='lsblk ended with status 1: lsblk: unknown column'):
        driver_of(lab).list_disks(None)


def test_a_failing_pvs_is_an_error_too(lab: RecordedMachine) -> None:
    lab.fails('pvs', '  Internal error\n', status=5)
    with pytest.raises(exception.StorageBackendException, match='pvs ended with status 5: Internal error'):
        driver_of(lab).list_disks(None)


def test_without_lsblk_disks_are_not_supported(lab: RecordedMachine) -> None:
    lab.lacks('lsblk')
    with pytest.raises(NotImplementedError, match='lsblk is not installed'):
        driver_of(lab).list_disks(None)
