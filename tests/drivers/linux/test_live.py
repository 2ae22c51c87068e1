# SPDX-License-Identifier: Apache-2.0
"""The driver against this machine, compared with independent readings of the kernel."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from delfin.drivers.linux import LinuxHostDriver
from tests.drivers.linux.replay import by

pytestmark = pytest.mark.live

ROOT = Path(__file__).resolve().parents[3]
KINDS = ('list_controllers', 'list_disks', 'list_storage_pools', 'list_volumes', 'list_filesystems', 'list_ports')
IDS = {'list_controllers': 'native_controller_id', 'list_disks': 'native_disk_id',
       'list_storage_pools': 'native_storage_pool_id', 'list_volumes': 'native_volume_id',
       'list_filesystems': 'native_filesystem_id', 'list_ports': 'native_port_id'}


def require(*tools: str) -> None:
    missing = [tool for tool in tools if shutil.which(tool, path=f'{os.environ["PATH"]}:/usr/sbin:/sbin') is None]
    if missing:
        pytest.skip(f'this machine has no {", ".join(missing)}')


def all_rows(driver: LinuxHostDriver) -> dict[str, Any]:
    """What each method answers; None where the kind is not supported here."""
    answers: dict[str, Any] = {'get_storage': driver.get_storage(None)}
    for method in KINDS:
        with contextlib.suppress(NotImplementedError):
            answers[method] = getattr(driver, method)(None)
    return answers


@pytest.fixture
def here() -> LinuxHostDriver:
    require('lsblk', 'findmnt', 'ip')
    return LinuxHostDriver(storage_id='1', cli={'host': 'localhost'})


def test_disks_are_those_in_sysfs(here: LinuxHostDriver) -> None:
    sizes = {}
    for device in Path('/sys/block').iterdir():
        if (device / 'device').exists() and not device.name.startswith(('sr', 'fd')):      # backed by a real device
            size = int((device / 'size').read_text()) * 512
            if size and not list(device.glob('holders/dm-*/dm/uuid')):
                sizes[device.name] = size
    single = {row['name']: row['capacity'] for row in here.list_disks(None) if 'paths' not in row.get('extra', {})}
    assert single.items() >= sizes.items()


def test_filesystems_agree_with_statvfs(here: LinuxHostDriver) -> None:
    rows = here.list_filesystems(None)
    for row in rows:
        told = os.statvfs(row['name'])
        assert row['total_capacity'] == told.f_blocks * told.f_frsize
        # Others write meanwhile.
        assert row['free_capacity'] == pytest.approx(told.f_bavail * told.f_frsize, rel=0.05, abs=2**28)
        assert row['used_capacity'] == pytest.approx((told.f_blocks - told.f_bfree) * told.f_frsize, rel=0.05,
                                                     abs=2**28)


def test_ports_are_those_with_a_device(here: LinuxHostDriver) -> None:
    real = {port.name for port in Path('/sys/class/net').iterdir() if (port / 'device').exists()}
    assert real == {row['name'] for row in here.list_ports(None) if row['logical_type'] == 'physical'}


def test_mac_addresses_are_those_in_sysfs(here: LinuxHostDriver) -> None:
    for row in here.list_ports(None):
        if 'member_of' not in row['extra']:
            assert row['mac_address'] == Path(f'/sys/class/net/{row["name"]}/address').read_text().strip()


def test_the_controller_has_our_processors(here: LinuxHostDriver) -> None:
    assert here.list_controllers(None)[0]['cpu_count'] == os.sysconf('SC_NPROCESSORS_ONLN')


def test_the_storage_is_named_like_this_machine(here: LinuxHostDriver) -> None:
    assert here.get_storage(None)['name'] == os.uname().nodename


def test_ids_stay_the_same(here: LinuxHostDriver) -> None:
    def ids() -> dict[str, Any]:
        return {method: [row[IDS[method]] for row in rows] for method, rows in all_rows(here).items()
                if method in IDS} | {'serial': here.get_storage(None)['serial_number']}
    first = ids()
    assert ids() == first


def test_every_row_can_be_sent_as_json(here: LinuxHostDriver) -> None:
    rows = all_rows(here)
    assert json.loads(json.dumps(rows)) == rows


# Modules are imported before the change of the account: others need not be able to read the Python installation.
_AS_NOBODY = """
import json, os, sys
sys.path[:0] = {path!r}
from delfin.drivers.linux import LinuxHostDriver
os.setgroups([]); os.setgid({gid}); os.setuid({uid})
driver = LinuxHostDriver(storage_id='1', cli={{'host': 'localhost'}})
print(json.dumps({{method: getattr(driver, method)(None) for method in {methods!r}}}))
"""


@pytest.fixture(scope='module')
def nobody() -> pwd.struct_passwd:
    if os.geteuid() != 0:
        pytest.skip('only root can become somebody else; whoever runs the tests is unprivileged already')
    with contextlib.suppress(KeyError):
        return pwd.getpwnam('nobody')
    pytest.skip('this machine has no user nobody')


@pytest.mark.parametrize('method', ['list_controllers', 'list_disks', 'list_filesystems', 'list_ports'])
def test_an_unprivileged_collector_sees_the_same_ids(
        here: LinuxHostDriver, nobody: pwd.struct_passwd, method: str) -> None:
    rows = as_nobody(nobody, method)
    if method == 'list_filesystems' and not Path('/run/udev/data').is_dir():
        # Without udev only root can read the UUID in a filesystem's superblock.
        assert [row['name'] for row in rows] == [row['name'] for row in here.list_filesystems(None)]
        return
    assert [row[IDS[method]] for row in rows] == [row[IDS[method]] for row in getattr(here, method)(None)]


def test_an_unprivileged_collector_sees_the_same_storage(here: LinuxHostDriver, nobody: pwd.struct_passwd) -> None:
    assert as_nobody(nobody, 'get_storage')['serial_number'] == here.get_storage(None)['serial_number']


def test_an_unprivileged_collector_works_where_lvm_is_installed(nobody: pwd.struct_passwd) -> None:
    require('vgs')
    assert isinstance(as_nobody(nobody, 'list_volumes'), list)


def as_nobody(account: pwd.struct_passwd, method: str) -> Any:
    """What the method answers in a process of the account."""
    code = _AS_NOBODY.format(path=[str(ROOT), *sys.path], gid=account.pw_gid, uid=account.pw_uid, methods=[method])
    done = subprocess.run([sys.executable, '-B', '-c', code], capture_output=True, text=True, timeout=60, cwd='/')
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)[method]


# --- performance ---

def disk_below(place: Path) -> str:
    """Kernel name of the disk that a directory is on."""
    number = place.stat().st_dev
    device = Path(f'/sys/dev/block/{os.major(number)}:{os.minor(number)}')
    if not device.exists():
        pytest.skip(f'{place} is on no block device of its own: there is no disk to watch')
    whole = device.resolve().parent if (device / 'partition').exists() else device.resolve()
    return whole.name


def test_a_disk_shows_what_is_written_to_it(here: LinuxHostDriver, tmp_path: Path) -> None:
    disk = disk_below(tmp_path)
    if disk not in {row['name'] for row in here.list_disks(None)}:
        pytest.skip(f'{tmp_path} is on {disk}, which is no physical disk')
    wanted = {'disk': here.get_capabilities(None)['resource_metrics']['disk']}

    def ask() -> tuple[int, dict[str, float]]:
        points = [point for point in here.collect_perf_metrics(None, '1', wanted, 0, 1)
                  if point.labels['resource_name'] == disk]
        time, = {time for point in points for time in point.values}
        return time, {point.name: point.values[time] for point in points}

    def written() -> tuple[int, int]:
        """Writes and bytes, as sysfs counts them."""
        fields = Path(f'/sys/block/{disk}/stat').read_text().split()
        return int(fields[4]), int(fields[6]) * 512

    writes_before, bytes_before = written()
    started, _ = ask()
    file, blocks, end = os.open(tmp_path / 'file', os.O_WRONLY | os.O_CREAT | os.O_DSYNC), 0, time.monotonic() + 1
    try:
        while blocks < 50 or time.monotonic() < end:
            os.write(file, bytes(65536))
            blocks += 1
    finally:
        os.close(file)
    ended, busy = ask()
    writes_after, bytes_after = written()
    seconds = (ended - started) / 1000
    # At least what we wrote, at most what was written since before the first question.
    assert blocks * 0.99 <= busy['writeIops'] * seconds <= (writes_after - writes_before) * 1.01
    assert blocks * 65536 * 0.99 <= busy['writeThroughput'] * 2**20 * seconds <= (bytes_after - bytes_before) * 1.01
    assert 0 < busy['writeResponseTime'] < 10_000 and 0 < busy['writeIoSize'] < 65536


def test_the_clock_of_this_machine_is_ours(here: LinuxHostDriver) -> None:
    before = time.time()
    assert int(before * 1000) <= here.get_latest_perf_timestamp(None) <= time.time() * 1000


# --- a btrfs of our own ---

@pytest.fixture(scope='module')
def btrfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A btrfs on two loop devices, mounted with a blank in the mount point, and a subvolume mounted beside it."""
    require('mkfs.btrfs', 'losetup', 'mount')
    if os.geteuid() != 0:
        pytest.skip('mounting needs root')
    place = tmp_path_factory.mktemp('btrfs')
    mount_point, second = place / 'with blank é', place / 'sub'
    with contextlib.ExitStack() as undo:
        try:
            loops = []
            for name in ('one', 'two'):
                (place / name).touch()
                os.truncate(place / name, 200 * 2**20)
                loops.append(command('losetup', '--find', '--show', str(place / name)))
                undo.callback(command, 'losetup', '--detach', loops[-1])
            command('mkfs.btrfs', '-q', '-L', 'delfin test', '-m', 'raid1', '-d', 'raid1', *loops)
            for target, options in ((mount_point, 'rw'), (second, 'subvol=sub')):
                target.mkdir()
                command('mount', '-t', 'btrfs', '-o', options, loops[0], str(target))
                undo.callback(command, 'umount', str(target))
                if target is mount_point:
                    command('btrfs', 'subvolume', 'create', str(mount_point / 'sub'))
        except subprocess.CalledProcessError as error:
            pytest.skip(f'this kernel does not permit a btrfs on loop devices: {error.stderr.strip()}')
        yield mount_point


def command(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


def test_a_btrfs_is_a_pool_and_one_filesystem(here: LinuxHostDriver, btrfs: Path) -> None:
    pool = by(here.list_storage_pools(None))['delfin test']
    filesystems = [row for row in here.list_filesystems(None)
                   if row.get('native_pool_id') == pool['native_storage_pool_id']]
    assert [row['name'] for row in filesystems] in ([str(btrfs)], [str(btrfs.parent / 'sub')])


def test_a_btrfs_pool_names_its_devices(here: LinuxHostDriver, btrfs: Path) -> None:
    pool = by(here.list_storage_pools(None))['delfin test']
    assert len(pool['extra']['devices']) == 2 and pool['extra']['data_profiles'] == ['raid1']


def test_a_btrfs_pool_has_the_numbers_of_statvfs(here: LinuxHostDriver, btrfs: Path) -> None:
    told = os.statvfs(btrfs)
    pool = by(here.list_storage_pools(None))['delfin test']
    assert (pool['total_capacity'], pool['free_capacity']) == (
        told.f_blocks * told.f_frsize, told.f_bavail * told.f_frsize)


def test_loop_devices_are_no_disks(here: LinuxHostDriver, btrfs: Path) -> None:
    assert not [row for row in here.list_disks(None) if row['name'].startswith('loop')]


# --- an ext4 of our own, for alerts ---

@pytest.fixture
def ext4(tmp_path: Path) -> Iterator[Path]:
    """A small ext4 with few inodes, mounted. It goes with its mount: the loop device clears itself."""
    require('mkfs.ext4', 'mount')
    if os.geteuid() != 0:
        pytest.skip('mounting needs root')
    image, place = tmp_path / 'image', tmp_path / 'mounted'
    image.touch()
    os.truncate(image, 32 * 2**20)
    place.mkdir()
    with contextlib.ExitStack() as undo:
        try:
            command('mkfs.ext4', '-q', '-N', '64', str(image))
            command('mount', '-t', 'ext4', '-o', 'loop,errors=continue', str(image), str(place))
        except subprocess.CalledProcessError as error:
            pytest.skip(f'this kernel does not permit an ext4 on a loop device: {error.stderr.strip()}')
        undo.callback(command, 'umount', str(place))
        yield place


def alerts_at(driver: LinuxHostDriver, place: Path) -> list[str]:
    return [alert['alert_id'] for alert in driver.list_alerts(None) if alert['location'] == str(place)]


def test_a_filesystem_that_fills_up_is_raised_until_there_is_room(here: LinuxHostDriver, ext4: Path) -> None:
    big = ext4 / 'big'
    with contextlib.suppress(OSError), big.open('wb', buffering=0) as file:
        while True:
            file.write(bytes(2**20))
    assert alerts_at(here, ext4) == ['linux.filesystem.space']
    big.unlink()
    assert alerts_at(here, ext4) == []


def test_a_filesystem_without_inodes_is_raised_until_files_go(here: LinuxHostDriver, ext4: Path) -> None:
    with contextlib.suppress(OSError):
        for number in range(64):
            (ext4 / str(number)).touch()
    assert alerts_at(here, ext4) == ['linux.filesystem.inodes']
    for file in ext4.glob('[0-9]*'):
        file.unlink()
    assert alerts_at(here, ext4) == []


def test_an_error_the_kernel_found_is_raised_with_its_time(here: LinuxHostDriver, ext4: Path) -> None:
    device = command('findmnt', '--noheadings', '--output', 'SOURCE', str(ext4)).rpartition('/')[2]
    before = time.time()
    Path(f'/sys/fs/ext4/{device}/trigger_fs_error').write_text('test')
    alert, = (alert for alert in here.list_alerts(None) if alert['location'] == str(ext4))
    assert alert['alert_id'] == 'linux.filesystem.errors'
    assert int(before) * 1000 <= alert['occur_time'] <= time.time() * 1000


def test_an_unprivileged_collector_sees_the_same_alerts(
        here: LinuxHostDriver, nobody: pwd.struct_passwd, ext4: Path) -> None:
    def told(alerts: list[dict[str, Any]]) -> list[tuple[str, str]]:
        return [(alert['alert_id'], alert['location']) for alert in alerts if alert['resource_type'] != 'disk']
    device = command('findmnt', '--noheadings', '--output', 'SOURCE', str(ext4)).rpartition('/')[2]
    Path(f'/sys/fs/ext4/{device}/trigger_fs_error').write_text('test')
    assert ('linux.filesystem.errors', str(ext4)) in told(as_nobody(nobody, 'list_alerts')) == told(
        here.list_alerts(None))
