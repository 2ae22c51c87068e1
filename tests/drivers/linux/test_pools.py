# SPDX-License-Identifier: Apache-2.0
"""Storage pools: LVM, md, btrfs."""

from __future__ import annotations

import pytest

from delfin import exception
from delfin.drivers.linux import lvm, md
from delfin.drivers.linux.block import Tree
from tests.drivers.linux.replay import RecordedMachine, by, driver_of, text_of

NO_TREE = Tree(())


def test_the_three_kinds_of_pools_stand_side_by_side(lab: RecordedMachine) -> None:
    kinds = {name: row['extra']['kind'] for name, row in by(driver_of(lab).list_storage_pools(None)).items()}
    assert kinds == {'data-vg': 'lvm', 'onraid': 'lvm', 'md0': 'md', 'md5': 'md', 'photos': 'btrfs'}


def test_a_volume_group_says_what_is_taken_and_what_was_promised(lab: RecordedMachine) -> None:
    row = by(driver_of(lab).list_storage_pools(None))['data-vg']
    extent = 4 * 2**20
    assert (row['total_capacity'], row['free_capacity'], row['used_capacity']) == (
        198 * extent, 31 * extent, 167 * extent)
    assert row['subscribed_capacity'] > row['total_capacity']     # thin volumes


def test_a_btrfs_has_the_numbers_of_df(lab: RecordedMachine) -> None:
    row = by(driver_of(lab).list_storage_pools(None))['photos']
    assert (row['total_capacity'], row['used_capacity'], row['free_capacity']) == (419430400, 5931008, 368050176)


def test_types_are_block_but_for_btrfs(lab: RecordedMachine) -> None:
    types = {name: row['storage_type'] for name, row in by(driver_of(lab).list_storage_pools(None)).items()}
    assert types == {'data-vg': 'block', 'onraid': 'block', 'md0': 'block', 'md5': 'block', 'photos': 'file'}


def test_array_ids_are_written_as_in_mdadm_conf(lab: RecordedMachine) -> None:
    ids = by(driver_of(lab).list_storage_pools(None), 'native_storage_pool_id')
    assert ids['a243dc10:571ed5b8:0b8c7e93:fad2b795']['name'] == 'md0'


def test_the_id_of_an_array_is_the_same_on_kernels_without_uuid_in_sysfs(lab: RecordedMachine) -> None:
    before = driver_of(lab).list_storage_pools(None)
    lab.has_no('/sys/block/*/md/uuid')
    assert driver_of(lab).list_storage_pools(None) == before


def test_all_is_well(lab: RecordedMachine) -> None:
    assert {row['status'] for row in driver_of(lab).list_storage_pools(None)} == {'normal'}


def test_each_pool_that_lost_a_device_is_degraded(degraded_lab: RecordedMachine) -> None:
    status = {name: row['status'] for name, row in by(driver_of(degraded_lab).list_storage_pools(None)).items()}
    assert status == {'data-vg': 'degraded', 'onraid': 'normal', 'md0': 'degraded', 'md5': 'degraded',
                      'photos': 'degraded'}


def test_a_rebuild_shows_how_far_it_is(degraded_lab: RecordedMachine) -> None:
    extra = by(driver_of(degraded_lab).list_storage_pools(None))['md5']['extra']
    assert (extra['action'], extra['failed']) == ('recovery', ['sda2'])
    assert 0 < extra['action_percent'] < 100


def test_without_root_volume_groups_are_known_by_their_active_volumes(lab_as_nobody: RecordedMachine) -> None:
    pools = by(driver_of(lab_as_nobody).list_storage_pools(None))
    assert (pools['data-vg']['status'], 'total_capacity' in pools['data-vg']) == ('unknown', False)
    assert pools['data-vg']['native_storage_pool_id'] == '0gUdO8-e95b-0RkY-88mI-QEjg-KyYc-tSLwEu'


def test_without_root_the_storage_says_what_is_hidden(lab_as_nobody: RecordedMachine) -> None:
    assert lvm.NOTE in driver_of(lab_as_nobody).get_storage(None)['description']


def test_another_failure_of_lvm_is_an_error(lab: RecordedMachine) -> None:
    lab.fails('vgs', '  /etc/lvm/lvm.conf: parse error\n', status=4)
    with pytest.raises(exception.StorageBackendException, match='vgs ended with status 4.*parse error.*needs root'):
        driver_of(lab).list_storage_pools(None)


def test_an_exported_group_is_offline() -> None:
    # Written from vgs(8), "vg_attr bits".
    group = {'vg_uuid': 'g', 'vg_name': 'moved', 'vg_attr': 'wzx-n-', 'vg_size': '8', 'vg_free': '8'}
    row, = lvm.group_rows([group], [])
    assert row['status'] == 'offline'


def test_missing_sources_do_not_hide_the_others(lab: RecordedMachine) -> None:
    lab.lacks('vgs', 'lvs', 'pvs')
    lab.has_no('/proc/mdstat')
    assert [row['name'] for row in driver_of(lab).list_storage_pools(None)] == ['photos']


def test_with_no_source_at_all_pools_are_not_supported(small_guest: RecordedMachine) -> None:
    small_guest.lacks('vgs', 'lvs', 'pvs')
    small_guest.files = {path: content for path, content in small_guest.files.items() if 'btrfs' not in path}
    with pytest.raises(NotImplementedError, match='no LVM tools, no md and no btrfs'):
        driver_of(small_guest).list_storage_pools(None)


def test_tools_without_pools_are_an_empty_list(small_guest: RecordedMachine) -> None:
    assert driver_of(small_guest).list_storage_pools(None) == []


def test_a_recorded_mdstat_is_read_line_by_line(degraded_lab: RecordedMachine) -> None:
    arrays = {array.name: array for array in md.parse_mdstat(degraded_lab.files['/proc/mdstat'])}
    members = {member.kname: member.flags for member in arrays['md5'].members}
    assert members == {'vdb3': '', 'vdb2': '', 'sdb2': '', 'sda2': 'F'}
    assert (arrays['md5'].level, arrays['md5'].wanted, arrays['md5'].working) == ('raid5', 3, 2)


def test_an_array_that_was_not_started_is_offline() -> None:
    files = {md.MDSTAT: text_of('mdstat-inactive.txt'), '/sys/block/md5/md/array_state': 'inactive',
             '/sys/block/md5/size': '0'}
    arrays = md.arrays(files) or []
    row = by(md.pool_rows(arrays, files, md.native_ids(arrays, files, NO_TREE)))['md5']
    assert (row['status'], 'total_capacity' in row, 'spares' in row['extra']) == ('offline', False, False)


def test_an_array_that_nobody_wrote_to_yet_is_read_as_such() -> None:
    array = next(array for array in md.parse_mdstat(text_of('mdstat-auto-read-only.txt')) if array.name == 'md127')
    assert (array.read_only, array.level, [member.kname for member in array.members]) == (True, 'raid1', ['sda1'])


# Written from md(4) and the kernel's md.c: what could not be recorded in one machine.
MANUAL_MDSTAT = """\
Personalities : [raid1] [raid6] [raid5] [raid4] [raid0]
md126 : active raid1 sda[1] sdb[0]
      976759808 blocks super external:/md127/0 [2/2] [UU]

md127 : inactive sda[1](S) sdb[0](S)
      6306 blocks super external:imsm

md9 : active (read-only) raid1 nvme0n1p2[0](W) sdc1[2](F) sdd1[3](S)
      1046528 blocks super 1.2 [2/1] [U_]
        resync=DELAYED
      bitmap: 1/1 pages [4KB], 65536KB chunk

md3 : broken raid0 sde1[1] sdf1[0]
      2093056 blocks super 1.2 512k chunks

unused devices: <none>
"""


def test_the_metadata_container_of_firmware_raid_is_no_pool() -> None:
    arrays = md.arrays({md.MDSTAT: MANUAL_MDSTAT}) or []
    assert [array.name for array in arrays] == ['md126', 'md9', 'md3']


def test_failed_members_are_no_spares() -> None:
    array = {array.name: array for array in md.parse_mdstat(MANUAL_MDSTAT)}['md9']
    assert (array.spares, [member.kname for member in array.members if member.failed]) == (['sdd1'], ['sdc1'])


def test_a_delayed_resync_has_no_percentage() -> None:
    array = {array.name: array for array in md.parse_mdstat(MANUAL_MDSTAT)}['md9']
    assert (array.action, array.percent) == ('resync', None)


def test_an_array_without_redundancy_that_lost_a_disk_is_abnormal() -> None:
    arrays = md.arrays({md.MDSTAT: MANUAL_MDSTAT}) or []
    rows = by(md.pool_rows(arrays, {}, {array.name: array.name for array in arrays}))
    assert rows['md3']['status'] == 'abnormal'


def test_an_unknown_form_of_mdstat_is_an_error_and_no_empty_list() -> None:
    with pytest.raises(exception.InvalidResults, match='unknown line'):
        md.parse_mdstat('Personalities : [raid1]\nmd0 is fine\n')
