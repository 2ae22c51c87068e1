# SPDX-License-Identifier: Apache-2.0
"""Mounted filesystems of this machine, from `findmnt`.

Facts: findmnt(8), proc(5) on mountinfo, statvfs(3). Only types of `LOCAL_TYPES` are asked for: statvfs on a dead NFS or
FUSE mount would hang.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from delfin import exception
from delfin.common.constants import FilesystemStatus
from delfin.drivers.driver import Row
from delfin.drivers.linux.block import Tree
from delfin.drivers.linux.runner import Completed
from delfin.drivers.linux.text import entries, extra, integer, json_of, row, text, unescape_octal

# Writable filesystems on block devices. Not here: pseudo filesystems, tmpfs, overlay, network filesystems, squashfs and
# other images that are always full, and ZFS, whose datasets share their free space (to come with its pools).
LOCAL_TYPES = ('ext2', 'ext3', 'ext4', 'xfs', 'btrfs', 'bcachefs', 'f2fs', 'jfs', 'reiserfs', 'nilfs2', 'ntfs',
               'ntfs3', 'fuseblk', 'vfat', 'msdos', 'exfat', 'hfsplus', 'ufs', 'gfs2', 'ocfs2')
_COLUMNS = ('TARGET', 'SOURCE', 'FSROOT', 'FSTYPE', 'UUID', 'LABEL', 'MAJ:MIN', 'SIZE', 'USED', 'AVAIL', 'VFS-OPTIONS',
            'FS-OPTIONS')
COMMAND = ('findmnt', '--json', '--bytes', '--list', '--types', ','.join(LOCAL_TYPES), '--output', ','.join(_COLUMNS))

MOUNTINFO = '/proc/self/mountinfo'
ERROR_FILES = ('/sys/fs/ext4/*/errors_count',)      # also of ext2 and ext3, which the same driver mounts
ERROR_TIME_FILES = ('/sys/fs/ext4/*/first_error_time',)
# `findmnt` tells inodes since util-linux 2.41 only. stat(1) goes on after a file that it cannot read.
INODES_COMMAND = ('stat', '--file-system', r'--printf=%n\0%c\0%d\0', '--')
_STAT_FAILED_SOMEWHERE = 1
# What stat says of a mount point that we may not enter, or that was unmounted meanwhile.
_NOT_TOLD = ('Permission denied', 'No such file or directory')
_SUBVOLUME = re.compile(r'(?:^|,)subvol=([^,]*)')
# What a filesystem that met an error shows although nobody mounted it read-only.
_EMERGENCY_OPTIONS = ('emergency_ro', 'shutdown')


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount. `source` is a device; `root` the directory of the filesystem that is mounted; `number` is
    major:minor. Sizes in bytes as `df` shows them.
    """

    target: str
    source: str
    root: str
    fstype: str
    number: str
    uuid: str | None
    label: str | None
    size: int | None
    used: int | None
    available: int | None
    vfs_options: tuple[str, ...]
    fs_options: tuple[str, ...]

    @property
    def is_whole(self) -> bool:
        """Whether the filesystem or a btrfs subvolume is mounted, and not some directory or file of it (bind)."""
        subvolume = _SUBVOLUME.search(','.join(self.fs_options))
        return self.root == '/' or (subvolume is not None and self.root == subvolume[1])


def parse(output: str) -> list[Mount]:
    """The mounts in the output of `COMMAND`, which is empty if there are none."""
    if not output.strip():
        return []
    return [_mount(entry) for entry in entries('findmnt', json_of('findmnt', output), 'filesystems')]


def _mount(entry: Mapping[str, Any]) -> Mount:
    target, source = entry.get('target'), entry.get('source')
    if not target or not source:
        raise exception.InvalidResults('findmnt printed a mount without a target or source')
    root = entry.get('fsroot') or '/'
    return Mount(
        # Not stripped: a mount point may begin or end with a blank.
        target=str(target), source=str(source).removesuffix(f'[{root}]'), root=str(root),
        fstype=text(entry.get('fstype')) or '', number=text(entry.get('maj:min')) or '',
        uuid=text(entry.get('uuid')), label=text(entry.get('label')), size=integer(entry.get('size')),
        used=integer(entry.get('used')), available=integer(entry.get('avail')),
        vfs_options=_options(entry.get('vfs-options')), fs_options=_options(entry.get('fs-options')))


def _options(value: Any) -> tuple[str, ...]:
    return tuple(option for option in str(value or '').split(',') if option)


def filesystems(mounts: Iterable[Mount]) -> dict[str, Mount]:
    """The filesystems by native id, each with the mount that stands for it: the shortest mount point, then the first.

    A filesystem is what has one device number, however often it is mounted. Filesystems of which only a directory or a
    file is mounted are left out: in a container they belong to the host. Of several mounts on one mount point only the
    last can be seen. The id is the UUID, else (none, or several filesystems share it: copies) the device.
    """
    visible = {mount.target: mount for mount in mounts}
    shown: dict[str, Mount] = {}
    for mount in visible.values():
        best = shown.get(mount.number or mount.source)
        if mount.is_whole and (best is None or len(mount.target) < len(best.target)):
            shown[mount.number or mount.source] = mount
    uuids = Counter(mount.uuid for mount in shown.values())
    return {mount.uuid if mount.uuid and uuids[mount.uuid] == 1 else mount.source: mount for mount in shown.values()}


def filesystem_rows(mounts: Iterable[Mount], pool_of: Callable[[Mount], str | None],
                    errors_of: Callable[[Mount], int]) -> list[Row]:
    """Rows of the filesystems. total, used and free are df's Size, Used and Avail: free is what ordinary users can
    still write, so total is more than used + free by what is reserved for root (ext4: 5 %).

    `pool_of` tells the id of the pool that a filesystem is on, `errors_of` how many errors are recorded in it.
    """
    mounts = list(mounts)
    targets: dict[str, list[str]] = {}
    for mount in mounts:
        targets.setdefault(mount.number or mount.source, []).append(mount.target)
    return [row(
        native_filesystem_id=native_id, name=mount.target, native_pool_id=pool_of(mount),
        status=status(mount, errors_of(mount)),
        total_capacity=mount.size, used_capacity=mount.used, free_capacity=mount.available,
        extra=extra(fstype=mount.fstype, mount_point=mount.target, source=mount.source, label=mount.label,
                    options=','.join(dict.fromkeys((*mount.vfs_options, *mount.fs_options))),
                    recorded_errors=errors_of(mount) or None,
                    also_mounted_at=sorted(set(targets[mount.number or mount.source]) - {mount.target})))
        for native_id, mount in filesystems(mounts).items()]


def status(mount: Mount, errors: int = 0) -> str:
    """Faulty if the filesystem recorded errors (it wants fsck), or made itself read-only after one.

    Mounting (or remounting) read-only sets both the mount's and the filesystem's flag; an aborted btrfs transaction and
    ext4's `errors=remount-ro` set the filesystem's only. Newer kernels, and stable ones since 2025 (seen with 6.1.192),
    leave ext4's flag alone: 6.15 shows `emergency_ro`, others show nothing but the recorded errors.
    """
    return FilesystemStatus.FAULTY if made_itself_read_only(mount) or errors > 0 else FilesystemStatus.NORMAL


def made_itself_read_only(mount: Mount) -> bool:
    """Whether the filesystem stopped writing by itself."""
    return ('ro' in mount.fs_options and 'ro' not in mount.vfs_options
            or any(option in mount.fs_options for option in _EMERGENCY_OPTIONS))


def kernel_name(mount: Mount, tree: Tree) -> str:
    """Kernel name of the device that the filesystem is on."""
    device = tree.by_number.get(mount.number)
    return device.kname if device is not None else mount.source.rpartition('/')[2]


def recorded_errors(files: Mapping[str, str]) -> dict[str, int]:
    """Errors by kernel name of the device, from the contents of `ERROR_FILES`."""
    return {path.split('/')[4]: integer(content) or 0 for path, content in files.items()
            if path.endswith('/errors_count')}


def error_times(files: Mapping[str, str]) -> dict[str, int]:
    """When the first of the recorded errors happened, in epoch ms by the clock of the machine, by kernel name of the
    device, from the contents of `ERROR_TIME_FILES`.
    """
    seconds = {path.split('/')[4]: integer(content) for path, content in files.items()
               if path.endswith('/first_error_time')}
    return {kname: second * 1000 for kname, second in seconds.items() if second}


def inodes(found: Completed) -> dict[str, tuple[int, int]]:
    """Numbers of all and of free inodes by mount point, from `INODES_COMMAND` with mount points. Both are 0 where a
    filesystem (btrfs, vfat) has no fixed number of them.
    """
    # 1 is accepted if it complains only of mount points that are closed to us: `findmnt` has no sizes for them either.
    closed = all(line.endswith(_NOT_TOLD) for line in found.stderr.splitlines())
    fields = found.require(*[_STAT_FAILED_SOMEWHERE] if found.stderr and closed else []).split('\0')
    return {target: (int(total), int(free))
            for target, total, free in zip(fields[0::3], fields[1::3], fields[2::3], strict=False)}


def capacities(mounts: Iterable[Mount]) -> tuple[int, int, int] | None:
    """Sums of total, used and free of all filesystems; None if there are none that tell."""
    known = [(mount.size, mount.used, mount.available) for mount in filesystems(mounts).values()
             if mount.size is not None and mount.used is not None and mount.available is not None]
    if not known:
        return None
    total, used, free = (sum(values) for values in zip(*known, strict=True))
    return total, used, free


def mount_points(mountinfo: str) -> dict[str, str]:
    """Mount points of everything that is mounted to device numbers, from /proc/self/mountinfo (the last one wins)."""
    points = {}
    for line in mountinfo.splitlines():
        fields = line.split(' ')
        if len(fields) > 4:
            points[unescape_octal(fields[4])] = fields[2]
    return points


def filesystem_of(path: str, points: Mapping[str, str], found: Mapping[str, Mount]) -> str | None:
    """Native id of the filesystem that `path` is on: the longest mount point above it decides; None if that is none of
    ours (tmpfs, NFS).
    """
    parts = path.rstrip('/').split('/')
    for length in range(len(parts), 0, -1):
        number = points.get('/'.join(parts[:length]) or '/')
        if number is not None:
            return next((native_id for native_id, mount in found.items() if mount.number == number), None)
    return None
