# SPDX-License-Identifier: Apache-2.0
"""Filesystems, from what findmnt prints."""

from __future__ import annotations

import json
from typing import Any

import pytest

from delfin import exception
from delfin.drivers.linux import mounts
from tests.drivers.linux.replay import RecordedMachine, by, driver_of


def mount(**fields: Any) -> dict[str, Any]:
    """One mount as findmnt prints it; written from findmnt(8)."""
    return {'target': '/srv', 'source': '/dev/sda1', 'fsroot': '/', 'fstype': 'ext4', 'maj:min': '8:1', 'size': 1000,
            'used': 300, 'avail': 650, 'vfs-options': 'rw,relatime', 'fs-options': 'rw', **fields}


def rows_of(*entries: dict[str, Any]) -> list[dict[str, Any]]:
    found = mounts.parse(json.dumps({'filesystems': entries}))
    return mounts.filesystem_rows(found, lambda _: None, lambda _: 0)


def test_each_filesystem_is_listed_once(lab: RecordedMachine) -> None:
    names = [row['name'] for row in driver_of(lab).list_filesystems(None)]
    assert names == ['/', '/srv/thin', '/srv/photos', '/srv/thick', '/srv/päth with space', '/srv/err',
                     '/srv/new\nline']


def test_bind_mounts_and_subvolumes_are_mentioned(lab: RecordedMachine) -> None:
    also = {name: row['extra'].get('also_mounted_at')
            for name, row in by(driver_of(lab).list_filesystems(None)).items()}
    assert (also['/srv/päth with space'], also['/srv/photos']) == (['/srv/bind'], ['/srv/photos-sub'])


def test_the_numbers_are_those_of_df(lab: RecordedMachine) -> None:
    row = by(driver_of(lab).list_filesystems(None))['/srv/thin']
    assert (row['total_capacity'], row['used_capacity'], row['free_capacity']) == (480591872, 20985856, 429197312)


def test_the_id_is_the_uuid(lab: RecordedMachine) -> None:
    row = by(driver_of(lab).list_filesystems(None))['/srv/err']
    assert row['native_filesystem_id'] == 'ccf4e976-856a-4025-93d9-54740e721191'


def test_without_udev_the_id_is_the_device(small_guest: RecordedMachine) -> None:
    assert [row['native_filesystem_id'] for row in driver_of(small_guest).list_filesystems(None)] == ['/dev/vda']


def test_filesystems_name_the_pool_they_are_on(lab: RecordedMachine) -> None:
    pools = by(driver_of(lab).list_storage_pools(None), 'native_storage_pool_id')
    names = {name: pools[row['native_pool_id']]['name'] for name, row in
             by(driver_of(lab).list_filesystems(None)).items() if 'native_pool_id' in row}
    assert names == {'/srv/thin': 'data-vg', '/srv/thick': 'data-vg', '/srv/photos': 'photos',
                     '/srv/päth with space': 'md0', '/srv/new\nline': 'onraid'}


def test_all_is_the_same_without_root(lab: RecordedMachine, lab_as_nobody: RecordedMachine) -> None:
    def stable(machine: RecordedMachine) -> list[dict[str, Any]]:
        changing = ('used_capacity', 'free_capacity')
        return [{name: value for name, value in row.items() if name not in changing}
                for row in driver_of(machine).list_filesystems(None)]
    assert stable(lab_as_nobody) == stable(lab)


def test_a_filesystem_with_recorded_errors_is_faulty(lab: RecordedMachine) -> None:
    status = {name: row['status'] for name, row in by(driver_of(lab).list_filesystems(None)).items()}
    assert [name for name, value in status.items() if value != 'normal'] == ['/srv/err']


def test_a_filesystem_that_made_itself_read_only_is_faulty() -> None:
    row, = rows_of(mount(**{'fs-options': 'ro,errors=remount-ro'}))
    assert row['status'] == 'faulty'


def test_a_filesystem_that_somebody_mounted_read_only_is_normal() -> None:
    row, = rows_of(mount(**{'fs-options': 'ro,errors=remount-ro', 'vfs-options': 'ro,relatime'}))
    assert row['status'] == 'normal'


def test_new_kernels_call_it_an_emergency() -> None:
    row, = rows_of(mount(**{'fs-options': 'rw,emergency_ro'}))
    assert row['status'] == 'faulty'


def test_a_copy_of_a_filesystem_is_a_filesystem_of_its_own() -> None:
    rows = rows_of(mount(uuid='same'), mount(uuid='same', target='/copy', source='/dev/sdb1', **{'maj:min': '8:17'}))
    assert [row['native_filesystem_id'] for row in rows] == ['/dev/sda1', '/dev/sdb1']


def test_in_a_container_files_of_the_host_are_no_filesystem() -> None:
    hosts = mount(target='/etc/hosts', source='/dev/sda1[/var/lib/docker/containers/1/hosts]',
                  fsroot='/var/lib/docker/containers/1/hosts')
    assert rows_of(hosts) == []


def test_a_mount_that_is_covered_by_another_is_not_measured_through_it() -> None:
    rows = rows_of(mount(uuid='below'), mount(uuid='above', source='/dev/sdb1', **{'maj:min': '8:17'}))
    assert [row['native_filesystem_id'] for row in rows] == ['above']


def test_a_mount_point_that_cannot_be_entered_has_unknown_sizes() -> None:
    row, = rows_of(mount(size=None, used=None, avail=None))
    assert 'total_capacity' not in row


def test_blanks_at_the_end_of_a_mount_point_stay() -> None:
    assert rows_of(mount(target='/srv/a '))[0]['name'] == '/srv/a '


def test_a_machine_without_filesystems_has_none(lab: RecordedMachine) -> None:
    lab.fails('findmnt', '', status=1)
    assert driver_of(lab).list_filesystems(None) == []


def test_a_failing_findmnt_is_an_error(lab: RecordedMachine) -> None:
    lab.fails('findmnt', 'findmnt: unknown column: VFS-OPTIONS\n')
    with pytest.raises(exception.StorageBackendException, match='unknown column'):
        driver_of(lab).list_filesystems(None)


def test_the_sums_of_the_storage_count_each_filesystem_once(lab: RecordedMachine) -> None:
    rows, storage = driver_of(lab).list_filesystems(None), driver_of(lab).get_storage(None)
    for column in ('total_capacity', 'used_capacity', 'free_capacity'):
        assert storage[column] == sum(row[column] for row in rows)


@pytest.mark.parametrize(('path', 'found'), [
    ('/srv/data/photos', 'data'), ('/srv/data', 'data'), ('/srv/database', 'root'), ('/', 'root'), ('/nfs/x', None)])
def test_a_path_is_on_the_filesystem_with_the_longest_mount_point(path: str, found: str | None) -> None:
    # Written from proc(5), mountinfo.
    mountinfo = ('25 1 8:1 / / rw - ext4 /dev/sda1 rw\n26 25 8:2 / /srv/data rw - ext4 /dev/sda2 rw\n'
                 '27 25 0:40 / /nfs rw - nfs4 nas:/x rw\n')
    filesystems = mounts.filesystems(mounts.parse(json.dumps({'filesystems': [
        mount(target='/', uuid='root'), mount(target='/srv/data', uuid='data', **{'maj:min': '8:2'})]})))
    assert mounts.filesystem_of(path, mounts.mount_points(mountinfo), filesystems) == found


def test_escaped_mount_points_are_read() -> None:
    # Written from proc(5): blanks, tabs, line feeds and backslashes as octal numbers.
    points = mounts.mount_points('25 1 8:1 / /a\\040b\\134c\\011ä rw - ext4 /dev/sda1 rw\n')
    assert points == {'/a b\\c\tä': '8:1'}
