# SPDX-License-Identifier: Apache-2.0
"""Mounted btrfs filesystems as pools, readable by everybody.

Facts: btrfs(5), "SYSFS INTERFACE". Only mounted filesystems are there. Sizes come from statfs (`df`), since what fits
on the devices depends on the profiles that data will be written with.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from delfin.common.constants import StoragePoolStatus, StorageType
from delfin.drivers.driver import Row
from delfin.drivers.linux.mounts import Mount
from delfin.drivers.linux.text import extra, row

_BASE = '/sys/fs/btrfs'
# `features` exists as soon as the kernel knows btrfs; the directories of filesystems are named by their UUID.
FILES = (f'{_BASE}/features/*', f'{_BASE}/*-*/label', f'{_BASE}/*-*/nodesize', f'{_BASE}/*-*/devinfo/*/missing',
         f'{_BASE}/*-*/devices/*/size', f'{_BASE}/*-*/allocation/data/*/total_bytes')

_FACT = re.compile(rf'{_BASE}/(?P<uuid>[0-9a-f]+-[0-9a-f-]+)/(?P<rest>.+)')


@dataclass(slots=True)
class Filesystem:
    """What sysfs tells about one filesystem. `devices` are kernel names; `missing` are device ids."""

    uuid: str
    label: str | None = None
    devices: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    profiles: list[str] = field(default_factory=list)


def filesystems(files: Mapping[str, str]) -> list[Filesystem] | None:
    """The filesystems in the contents of `FILES`; None if this kernel does not know btrfs."""
    if not any(path.startswith(_BASE) for path in files):
        return None
    found: dict[str, Filesystem] = {}
    for path, content in files.items():
        fact = _FACT.fullmatch(path)
        if fact is None:
            continue
        filesystem = found.setdefault(fact['uuid'], Filesystem(fact['uuid']))
        match fact['rest'].split('/'):
            case ['label']:
                filesystem.label = content.strip() or None
            case ['devices', kname, 'size']:
                filesystem.devices.append(kname)
            case ['devinfo', number, 'missing'] if content.strip() == '1':
                filesystem.missing.append(number)
            case ['allocation', 'data', profile, 'total_bytes']:
                filesystem.profiles.append(profile)
    return list(found.values())


def pool_rows(found: Iterable[Filesystem], mounts: Iterable[Mount]) -> list[Row]:
    """Rows of the filesystems. A btrfs hands out files, not block devices: type `file`."""
    by_uuid, by_device = {}, {}
    for mount in mounts:
        if mount.fstype == 'btrfs':
            by_uuid[mount.uuid] = mount
            by_device[mount.source.rpartition('/')[2]] = mount
    # Without udev, findmnt does not know UUIDs: then the device that is mounted leads to the filesystem.
    return [_pool_row(filesystem, by_uuid.get(filesystem.uuid) or next(
        (by_device[device] for device in filesystem.devices if device in by_device), None)) for filesystem in found]


def _pool_row(filesystem: Filesystem, mount: Mount | None) -> Row:
    return row(
        native_storage_pool_id=filesystem.uuid, name=filesystem.label or filesystem.uuid,
        storage_type=StorageType.FILE,
        status=StoragePoolStatus.DEGRADED if filesystem.missing else StoragePoolStatus.NORMAL,
        total_capacity=mount.size if mount else None, used_capacity=mount.used if mount else None,
        free_capacity=mount.available if mount else None,
        extra=extra(kind='btrfs', devices=filesystem.devices, missing_device_ids=filesystem.missing,
                    data_profiles=filesystem.profiles))
