# SPDX-License-Identifier: Apache-2.0
"""This machine's real storage in the REST API agrees with what the machine's own tools say."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import pytest

from tests.services import Client

# What df counts changes while the tests write.
DRIFT_BYTES = 256 * 2**20

pytestmark = pytest.mark.skipif(not (shutil.which('lsblk') and shutil.which('findmnt')),
                                reason='util-linux (lsblk, findmnt) is not installed')


@pytest.fixture(scope='module')
def machine(delfin: Client) -> str:
    storage = delfin.register(vendor='linux', model='host', cli={'host': 'localhost'})
    assert storage['sync_status'] == 'SYNCED'
    return storage['id']


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, env={'LC_ALL': 'C', 'PATH': '/bin:/sbin'}
                          ).stdout


def test_disks_are_those_of_lsblk(delfin: Client, machine: str) -> None:
    said = _output('lsblk', '--json', '--bytes', '--nodeps', '--output', 'NAME,TYPE,SIZE')
    expected = {device['name']: int(device['size']) for device in json.loads(said)['blockdevices']
                if device['type'] == 'disk' and int(device['size']) > 0
                and not re.match(r'(zram|ram|loop)\d', device['name'])}
    assert expected, 'this machine has no disk to compare'
    assert {row['name']: row['capacity'] for row in delfin.rows('disks', machine)} == expected


def test_filesystems_agree_with_df(delfin: Client, machine: str) -> None:
    if subprocess.run(['findmnt', '/'], capture_output=True).returncode:
        pytest.skip('/ is no filesystem of its own here (a chroot)')
    rows = {row['name']: row for row in delfin.rows('filesystems', machine)}
    assert rows, 'this machine has no filesystem to compare'
    for mount_point, row in rows.items():
        size, used, free = map(int, _output('df', '-B1', '--output=size,used,avail', mount_point).split()[3:])
        assert row['total_capacity'] == size
        assert abs(row['used_capacity'] - used) < DRIFT_BYTES
        assert abs(row['free_capacity'] - free) < DRIFT_BYTES


def test_ports_are_the_physical_interfaces(delfin: Client, machine: str) -> None:
    expected = set(_output('sh', '-c', 'cd /sys/class/net && ls -d */device').replace('/device', '').split())
    assert {row['name'] for row in delfin.rows('ports', machine) if row['logical_type'] == 'physical'} == expected


def test_the_second_sync_keeps_every_id(delfin: Client, machine: str) -> None:
    before = {row['native_disk_id']: row['id'] for row in delfin.rows('disks', machine)}
    assert delfin.sync(machine)['state'] == 'done'
    assert {row['native_disk_id']: row['id'] for row in delfin.rows('disks', machine)} == before


def test_only_this_machine_may_be_reached_without_ssh(delfin: Client) -> None:
    error = delfin.post('/v1/storages', {'vendor': 'linux', 'model': 'host', 'cli': {'host': 'example.org'}}, 400)
    assert 'ssh' in error['error_msg']
