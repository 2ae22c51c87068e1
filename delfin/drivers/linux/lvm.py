# SPDX-License-Identifier: Apache-2.0
"""LVM: volume groups as pools, logical volumes as volumes.

Facts: vgs(8), lvs(8), lvmreport(7), lvm(8) "VALID NAMES". The commands need root. For other users they print a warning
and an empty report with status 5, and with some lock settings 0, so the warning decides (`could_not_look`). What can
still be seen then, from the device mapper's entries in sysfs, are the active volumes and their groups.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from delfin.common.constants import StoragePoolStatus, StorageType, VolumeStatus, VolumeType
from delfin.drivers.driver import Row
from delfin.drivers.linux.runner import Completed
from delfin.drivers.linux.text import entries, extra, integer, json_of, number, row, text

_REPORT = ('--reportformat', 'json', '--units', 'b', '--nosuffix', '--options')
GROUPS_COMMAND = ('vgs', *_REPORT, 'vg_uuid,vg_name,vg_attr,vg_size,vg_free,vg_missing_pv_count,pv_count')
VOLUMES_COMMAND = ('lvs', *_REPORT, 'lv_uuid,lv_name,vg_uuid,vg_name,lv_size,lv_attr,lv_layout,pool_lv,origin,'
                                    'origin_size,data_percent,lv_path')
MEMBERS_COMMAND = ('pvs', *_REPORT, 'pv_name,vg_uuid')
VERSION_COMMAND = ('lvs', '--version')
FILES = ('/sys/block/dm-*/dm/name', '/sys/block/dm-*/dm/uuid', '/sys/block/dm-*/size')

NOTE = 'LVM is seen only as far as its volumes are active, because its tools need root.'
_HINT = 'LVM needs root'
_NOT_ROOT = 'Running as a non-root user'

_SECTOR_BYTES = 512
_UUID_GROUPS = (6, 4, 4, 4, 4, 4, 6)        # how LVM writes its 32 characters
_DM_UUID = re.compile(r'LVM-(?P<group>\w{32})(?P<volume>\w{32})(?P<layer>-\w+)?')
# Names that lvm(8) reserves for the parts volumes are made of.
_INTERNAL_NAME = re.compile(r'.*_(cdata|cmeta|corig|cpool|cvol|iorig|mimage|mlog|pmspare|rimage|rmeta|tdata|tmeta|'
                            r'vdata|vorig|wcorig)(_\d+)?')
_DM_NAME = re.compile(r'(?P<group>(?:[^-]|--)+)-(?P<volume>(?:[^-]|--)+)')

# Layouts (lv_layout) that only serve other volumes.
_POOL_LAYOUTS = ('pool',)
_THIN_LAYOUTS = ('thin', 'vdo')
_REDUNDANT_LAYOUTS = ('raid1', 'raid4', 'raid5', 'raid6', 'raid10', 'mirror')


@dataclass(frozen=True, slots=True)
class ActiveVolume:
    """A logical volume as the device mapper knows it. `size` in bytes."""

    kname: str
    uuid: str
    name: str
    group_uuid: str
    group_name: str
    size: int | None
    internal: bool


def could_not_look(completed: Completed) -> bool:
    """Whether the tool says that it runs without the rights to see anything."""
    return _NOT_ROOT in completed.stderr


def report(completed: Completed, section: str) -> list[dict[str, Any]]:
    """The rows of a report; `StorageBackendException` if the tool failed."""
    document = json_of(completed.tool, completed.require(hint=_HINT))
    return entries(completed.tool, document, 'report', 0, section)


def group_rows(groups: Iterable[Mapping[str, Any]], volumes: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Pools. Subscribed is the sum of the sizes of the volumes, more than the total if thin ones are overcommitted."""
    subscribed: dict[str, int] = {}
    for volume in volumes:
        if not _is_pool(volume):
            group = volume['vg_uuid']
            subscribed[group] = subscribed.get(group, 0) + (integer(volume.get('lv_size')) or 0)
    return [_group_row(group, subscribed.get(group['vg_uuid'], 0)) for group in groups]


def _group_row(group: Mapping[str, Any], subscribed: int) -> Row:
    total, free = integer(group.get('vg_size')), integer(group.get('vg_free'))
    return row(
        native_storage_pool_id=group['vg_uuid'], name=text(group.get('vg_name')), storage_type=StorageType.BLOCK,
        status=_group_status(group), total_capacity=total, free_capacity=free, subscribed_capacity=subscribed,
        used_capacity=total - free if total is not None and free is not None else None,
        extra=extra(kind='lvm', attributes=group.get('vg_attr'), physical_volumes=integer(group.get('pv_count')),
                    missing_physical_volumes=integer(group.get('vg_missing_pv_count')) or None))


def _group_status(group: Mapping[str, Any]) -> str:
    attributes = str(group.get('vg_attr') or '').ljust(6, '-')
    if attributes[2] == 'x':        # exported: taken out of use on this machine
        return StoragePoolStatus.OFFLINE
    missing = attributes[3] == 'p' or integer(group.get('vg_missing_pv_count'))
    return StoragePoolStatus.DEGRADED if missing else StoragePoolStatus.NORMAL


def volume_rows(volumes: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Volumes, without the pools that thin and cached ones are made from (lvs leaves out other internal ones).

    A thick volume has all of its size taken from its group; a thin one what `data_percent` says, if it is active. A
    snapshot of a thick volume is as large as its origin, and uses what is filled of the space for changes (`lv_size`).
    """
    return [_volume_row(volume) for volume in volumes if not _is_pool(volume)]


def _volume_row(volume: Mapping[str, Any]) -> Row:
    size, percent = integer(volume.get('lv_size')), number(volume.get('data_percent'))
    filled = round(size * percent / 100) if size is not None and percent is not None else None
    thin = bool(_layouts(volume) & set(_THIN_LAYOUTS))
    snapshot = str(volume.get('lv_attr') or '-')[0] in 'sS'
    total = integer(volume.get('origin_size')) if snapshot else size
    used = filled if thin or snapshot else size
    return row(
        native_volume_id=volume['lv_uuid'], name=text(volume.get('lv_name')),
        type=VolumeType.THIN if thin else VolumeType.THICK, status=_volume_status(volume),
        native_storage_pool_id=volume['vg_uuid'], total_capacity=total, used_capacity=used,
        free_capacity=total - used if total is not None and used is not None and not snapshot else None,
        extra=extra(kind='lvm', device=volume.get('lv_path'), layout=volume.get('lv_layout'),
                    attributes=volume.get('lv_attr'), thin_pool=volume.get('pool_lv'), origin=volume.get('origin')))


def _volume_status(volume: Mapping[str, Any]) -> str:
    """From lv_attr: the fifth letter is the state (I, S: invalid snapshot), the ninth the health (p: devices are
    missing, F: the thin pool failed, D: it is full, X: unknown).
    """
    attributes = str(volume.get('lv_attr') or '').ljust(10, '-')
    missing = attributes[8] == 'p' and not _layouts(volume) & set(_REDUNDANT_LAYOUTS)
    if missing or attributes[8] in 'FDX' or attributes[4] in 'IS':
        return VolumeStatus.ERROR
    return VolumeStatus.AVAILABLE


def _layouts(volume: Mapping[str, Any]) -> set[str]:
    return set(str(volume.get('lv_layout') or '').split(','))


def _is_pool(volume: Mapping[str, Any]) -> bool:
    return bool(_layouts(volume) & set(_POOL_LAYOUTS))


# --- what the device mapper shows to everybody ---

def active_volumes(files: Mapping[str, str]) -> list[ActiveVolume]:
    """The active logical volumes in the contents of `FILES`, internal ones included."""
    found = []
    for path, content in files.items():
        uuid = _DM_UUID.fullmatch(content) if path.endswith('/dm/uuid') else None
        if uuid is None:
            continue
        device = path.removesuffix('/dm/uuid')
        name = _DM_NAME.match(files.get(f'{device}/dm/name', ''))
        sectors = integer(files.get(f'{device}/size'))
        volume = _unescape(name['volume']) if name else ''
        found.append(ActiveVolume(
            kname=device.rpartition('/')[2], uuid=_dashed(uuid['volume']), name=volume,
            group_uuid=_dashed(uuid['group']), group_name=_unescape(name['group']) if name else '',
            size=sectors * _SECTOR_BYTES if sectors is not None else None,
            # A layer (-tpool, -real, -cow …) marks private devices; -pool is a thin pool made visible.
            internal=uuid['layer'] is not None or _INTERNAL_NAME.fullmatch(volume) is not None))
    return found


def active_group_rows(active: Iterable[ActiveVolume]) -> list[Row]:
    """Pools as far as they can be told without root: that they exist."""
    names = {volume.group_uuid: volume.group_name for volume in active}
    return [row(native_storage_pool_id=uuid, name=name or None, storage_type=StorageType.BLOCK,
                status=StoragePoolStatus.UNKNOWN, extra=extra(kind='lvm', note=NOTE)) for uuid, name in names.items()]


def active_volume_rows(active: Iterable[ActiveVolume]) -> list[Row]:
    """Volumes as far as they can be told without root. Whether they are thin cannot."""
    return [row(native_volume_id=volume.uuid, name=volume.name or None, status=VolumeStatus.AVAILABLE,
                native_storage_pool_id=volume.group_uuid, total_capacity=volume.size,
                extra=extra(kind='lvm', device=f'/dev/{volume.group_name}/{volume.name}', note=NOTE))
            for volume in active if not volume.internal]


def _dashed(uuid: str) -> str:
    """An LVM UUID as LVM's own tools write it."""
    parts, start = [], 0
    for length in _UUID_GROUPS:
        parts.append(uuid[start:start + length])
        start += length
    return '-'.join(parts)


def _unescape(name: str) -> str:
    """The device mapper joins group and volume with a dash and doubles the dashes in them."""
    return name.replace('--', '-')
