# SPDX-License-Identifier: Apache-2.0
"""Volumes: logical volumes and partitions."""

from __future__ import annotations

import json

import pytest

from delfin.drivers.linux import block, lvm
from tests.drivers.linux.replay import RecordedMachine, by, driver_of

MIB = 2**20


def test_logical_volumes_and_partitions_are_listed(lab: RecordedMachine) -> None:
    kinds: dict[str, set[str]] = {}
    for row in driver_of(lab).list_volumes(None):
        kinds.setdefault(row['extra']['kind'], set()).add(row['name'])
    assert kinds == {
        'lvm': {'thick', 'thicksnap', 'thin1', 'thin1snap', 'my-mirror', 'off', 'xfs', 'a'},
        'partition': {'sda1', 'sda2', 'sdb1', 'sdb2', 'vdb1', 'vdb2', 'vdb3', 'mpatha-part1', 'mpatha5'}}


def test_ids_are_unique(lab: RecordedMachine) -> None:
    rows = driver_of(lab).list_volumes(None)
    assert len({row['native_volume_id'] for row in rows}) == len(rows)


def test_a_thick_volume_takes_all_of_its_size(lab: RecordedMachine) -> None:
    row = by(driver_of(lab).list_volumes(None))['xfs']
    assert (row['type'], row['total_capacity'], row['used_capacity'], row['free_capacity']) == (
        'thick', 304 * MIB, 304 * MIB, 0)


def test_a_thin_volume_takes_what_was_written(lab: RecordedMachine) -> None:
    row = by(driver_of(lab).list_volumes(None))['thin1']
    assert (row['type'], row['total_capacity'], row['used_capacity']) == (
        'thin', 500 * MIB, round(500 * MIB * 0.1210))


def test_an_inactive_thin_volume_does_not_tell_what_it_takes(lab: RecordedMachine) -> None:
    assert 'used_capacity' not in by(driver_of(lab).list_volumes(None))['thin1snap']


def test_a_snapshot_is_as_large_as_its_origin() -> None:
    # Written from lvs(8): a snapshot of 100 MiB with 20 MiB for changes, a quarter of which is filled.
    snapshot = {'lv_uuid': 'u', 'lv_name': 's', 'vg_uuid': 'g', 'lv_size': str(20 * MIB), 'lv_attr': 'swi-a-s---',
                'lv_layout': 'linear', 'origin': 'o', 'origin_size': str(100 * MIB), 'data_percent': '25.00'}
    row, = lvm.volume_rows([snapshot])
    assert (row['total_capacity'], row['used_capacity'], 'free_capacity' in row) == (100 * MIB, 5 * MIB, False)


def test_volumes_name_their_group(lab: RecordedMachine) -> None:
    pools = by(driver_of(lab).list_storage_pools(None))
    assert by(driver_of(lab).list_volumes(None))['a']['native_storage_pool_id'] == \
        pools['onraid']['native_storage_pool_id']


def test_volumes_on_a_lost_disk_are_in_error_but_mirrored_ones_are_not(degraded_lab: RecordedMachine) -> None:
    rows = by(driver_of(degraded_lab).list_volumes(None))
    assert (rows['xfs']['status'], rows['my-mirror']['status'], rows['thick']['status']) == (
        'error', 'available', 'available')


@pytest.mark.parametrize(('layout', 'attributes', 'status'), [
    ('linear', '-wi-ao----', 'available'),
    ('linear', 'swi-I-s---', 'error'),      # an invalid snapshot: its space for changes ran over
    ('thin,sparse', 'Vwi-aotzF-', 'error'),
    ('thin,sparse', 'Vwi-aotzD-', 'error'),
    ('raid,raid1', 'rwi-aor-p-', 'available'),
    ('linear', '-wi-----p-', 'error'),
])
def test_the_status_is_told_by_the_attributes(layout: str, attributes: str, status: str) -> None:
    # Written from lvs(8), "lv_attr bits".
    volume = {'lv_uuid': 'u', 'vg_uuid': 'g', 'lv_size': '8', 'lv_layout': layout, 'lv_attr': attributes}
    assert lvm.volume_rows([volume])[0]['status'] == status


def test_without_root_active_volumes_have_the_same_ids(
        lab: RecordedMachine, lab_as_nobody: RecordedMachine) -> None:
    def ids(machine: RecordedMachine) -> dict[str, str]:
        return {row['name']: row['native_volume_id'] for row in driver_of(machine).list_volumes(None)}
    hidden = {'off', 'thin1snap'}       # they are not active
    assert ids(lab_as_nobody) == {name: uuid for name, uuid in ids(lab).items() if name not in hidden}


def test_without_root_sizes_of_volumes_are_right(lab: RecordedMachine, lab_as_nobody: RecordedMachine) -> None:
    def sizes(machine: RecordedMachine) -> dict[str, int]:
        return {row['name']: row['total_capacity'] for row in driver_of(machine).list_volumes(None)}
    assert sizes(lab_as_nobody).items() <= sizes(lab).items()


def test_names_with_dashes_are_told_from_the_groups(lab_as_nobody: RecordedMachine) -> None:
    names = {(volume.group_name, volume.name) for volume in lvm.active_volumes(lab_as_nobody.files)}
    assert ('data-vg', 'my-mirror') in names


def test_a_machine_without_lvm_still_has_partitions(lab: RecordedMachine) -> None:
    lab.lacks('vgs', 'lvs', 'pvs')
    assert {row['extra']['kind'] for row in driver_of(lab).list_volumes(None)} == {'partition'}


def test_copied_disks_have_partitions_with_different_ids() -> None:
    # Written from lsblk(8): a disk and its copy made with dd.
    disks = [{'name': name, 'kname': name, 'type': 'disk', 'size': 1000, 'children': [
        {'name': f'{name}1', 'kname': f'{name}1', 'type': 'part', 'size': 9000, 'partuuid': 'same'}]}
        for name in ('sda', 'sdb')]
    rows = block.partition_rows(block.parse(json.dumps({'blockdevices': disks})), {})
    assert [row['native_volume_id'] for row in rows] == ['sda1', 'sdb1']


def test_labels_may_hold_any_character(lab: RecordedMachine) -> None:
    assert by(driver_of(lab).list_volumes(None))['sda2']['description'] == 'data é'


def test_a_partition_of_an_array_names_the_array() -> None:
    # Written from lsblk(8) and the kernel's names for partitions of md devices.
    array = {'name': 'md0', 'kname': 'md0', 'type': 'raid1', 'size': 9000, 'children': [
        {'name': 'md0p1', 'kname': 'md0p1', 'type': 'part', 'size': 8000}]}
    disk = {'name': 'sda', 'kname': 'sda', 'type': 'disk', 'size': 10000, 'children': [array]}
    row, = block.partition_rows(block.parse(json.dumps({'blockdevices': [disk]})), {'md0': 'pool-1'})
    assert (row['name'], row['native_storage_pool_id']) == ('md0p1', 'pool-1')
