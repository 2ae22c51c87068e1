# SPDX-License-Identifier: Apache-2.0
"""Software RAID arrays (md) as pools, readable by everybody.

Facts: md(4), "/proc/mdstat" in mdadm(8), Documentation/admin-guide/md.rst of the kernel.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from delfin import exception
from delfin.common.constants import StoragePoolStatus, StorageType
from delfin.drivers.driver import Row
from delfin.drivers.linux.block import Tree
from delfin.drivers.linux.text import extra, integer, number, row

MDSTAT = '/proc/mdstat'
_ATTRIBUTES = ('array_state', 'degraded', 'level', 'metadata_version', 'raid_disks', 'uuid', 'sync_action')
FILES = (MDSTAT, '/sys/block/md*/size', *(f'/sys/block/md*/md/{name}' for name in _ATTRIBUTES))

_SECTOR_BYTES = 512     # the unit of /sys/block/*/size, whatever the device's own sectors are
_NO_UUID = '0' * 32

_ARRAY = re.compile(r'(?P<name>\S+) : (?P<state>active|inactive|broken)(?P<rest>.*)')
_READ_ONLY = re.compile(r' \((auto-)?read-only\)')
_MEMBER = re.compile(r'(?P<device>[^\s\[\]]+)\[(?P<role>\d+)\](?P<flags>(\([A-Z]\))*)')
_COUNTS = re.compile(r'\[(?P<wanted>\d+)/(?P<working>\d+)\] \[(?P<slots>[U_]+)\]')
_PROGRESS = re.compile(r'(?P<action>recovery|resync|reshape|check|repair) *= *(?P<percent>[\d.]+)%')
_PENDING = re.compile(r'(?P<action>recovery|resync|reshape|check|repair) *= *?(PENDING|DELAYED|REMOTE)')

# array_state in /sys/block/md*/md to status of an array that lacks no device.
_STATUS = {
    'clear': StoragePoolStatus.OFFLINE,
    'inactive': StoragePoolStatus.OFFLINE,
    'broken': StoragePoolStatus.ABNORMAL,
    'suspended': StoragePoolStatus.ABNORMAL,
    'readonly': StoragePoolStatus.NORMAL,
    'read-auto': StoragePoolStatus.NORMAL,
    'clean': StoragePoolStatus.NORMAL,
    'active': StoragePoolStatus.NORMAL,
    'write-pending': StoragePoolStatus.NORMAL,
    'active-idle': StoragePoolStatus.NORMAL,
}
_CONTAINER_METADATA = ('external:imsm', 'external:ddf')     # members say external:/md127/0


@dataclass(frozen=True, slots=True)
class Member:
    """A device of an array. Flags: F failed, S spare, W write-mostly, J journal, R replacement."""

    kname: str
    flags: str = ''

    @property
    def failed(self) -> bool:
        return 'F' in self.flags


@dataclass(frozen=True, slots=True)
class Array:
    """One array of /proc/mdstat. `wanted` and `working` count devices, `slots` has a U for each that works and a _ for
    each that does not; None for levels without redundancy.
    """

    name: str
    state: str
    level: str | None
    read_only: bool
    members: tuple[Member, ...]
    metadata: str | None = None
    wanted: int | None = None
    working: int | None = None
    slots: str | None = None
    action: str | None = None
    percent: float | None = None

    @property
    def spares(self) -> list[str]:
        """Kernel names of the devices that wait for another one to fail. (An inactive array shows all as spares.)"""
        return [member.kname for member in self.members if 'S' in member.flags and not member.failed
                and self.state != 'inactive']


def parse_mdstat(output: str) -> list[Array]:
    """The arrays in /proc/mdstat."""
    blocks: list[list[str]] = []
    for line in output.splitlines():
        if line.startswith(('Personalities', 'unused devices', 'read_ahead')):
            continue
        if line[:1].strip():        # an array starts in column 1, its details are indented
            blocks.append([])
        if blocks and line.strip():
            blocks[-1].append(line)
        elif line.strip():
            raise exception.InvalidResults(f'{MDSTAT} starts with details of no array')
    return [_parse_array(lines) for lines in blocks]


def _parse_array(lines: list[str]) -> Array:
    head = _ARRAY.fullmatch(lines[0].rstrip())
    if head is None:
        raise exception.InvalidResults(f'{MDSTAT} has an unknown line: {lines[0][:80]}')
    details = '\n'.join(lines[1:])
    words = _READ_ONLY.sub('', head['rest']).split()
    level = words[0] if words and '[' not in words[0] else None     # inactive arrays do not show it
    members = tuple(Member(found['device'], found['flags'].replace('(', '').replace(')', ''))
                    for found in _MEMBER.finditer(head['rest']))
    counts, progress = _COUNTS.search(details), _PROGRESS.search(details)
    pending, metadata = _PENDING.search(details), re.search(r'super (\S+)', details)
    return Array(
        name=head['name'], state=head['state'], level=level, read_only=bool(_READ_ONLY.search(head['rest'])),
        members=members, metadata=metadata[1] if metadata else None,
        wanted=int(counts['wanted']) if counts else None, working=int(counts['working']) if counts else None,
        slots=counts['slots'] if counts else None,
        action=progress['action'] if progress else pending['action'] if pending else None,
        percent=number(progress['percent']) if progress else None)


def arrays(files: Mapping[str, str]) -> list[Array] | None:
    """The arrays in the contents of `FILES` without containers (which only hold the metadata of others); None if this
    kernel does not do software RAID.
    """
    mdstat = files.get(MDSTAT)
    if mdstat is None:
        return None
    return [array for array in parse_mdstat(mdstat) if _attribute(files, array, 'level') != 'container'
            and not (array.state == 'inactive' and array.metadata in _CONTAINER_METADATA)]


def native_ids(found: Iterable[Array], files: Mapping[str, str], tree: Tree) -> dict[str, str]:
    """Kernel names of arrays to pool ids: the UUID as mdadm writes it (8:8:8:8 digits), else the name.

    The UUID is in sysfs since Linux 6.0; before, the signature of the members tells it.
    """
    ids = {}
    for array in found:
        candidates = [_attribute(files, array, 'uuid')]
        candidates += [device.uuid for member in array.members
                       if (device := tree.by_kname.get(member.kname)) and device.fstype == 'linux_raid_member']
        digits = (re.sub('[^0-9a-f]', '', (uuid or '').lower()) for uuid in candidates)
        uuid = next((digit for digit in digits if len(digit) == 32 and digit != _NO_UUID), None)
        ids[array.name] = ':'.join(uuid[i:i + 8] for i in range(0, 32, 8)) if uuid else array.name
    return ids


def pool_rows(found: Iterable[Array], files: Mapping[str, str], ids: Mapping[str, str]) -> list[Row]:
    """Rows of the arrays. The kernel does not know what of an array is in use."""
    return [_pool_row(array, files, ids[array.name]) for array in found]


def _pool_row(array: Array, files: Mapping[str, str], native_id: str) -> Row:
    sectors = integer(files.get(f'/sys/block/{array.name}/size'))
    state = state_of(array, files)
    return row(
        native_storage_pool_id=native_id, name=array.name, description=array.level or _attribute(files, array, 'level'),
        storage_type=StorageType.BLOCK, status=_status(state, lacking(array, files)),
        # An array that does not run has the size 0, which is not its size.
        total_capacity=sectors * _SECTOR_BYTES if sectors else None,
        extra=extra(kind='md', level=array.level or _attribute(files, array, 'level'), state=state,
                    metadata=array.metadata, devices=[member.kname for member in array.members],
                    failed=[member.kname for member in array.members if member.failed],
                    spares=array.spares,
                    action=array.action, action_percent=array.percent, read_only=array.read_only or None))


def _status(state: str, devices_lacking: int) -> str:
    """Degraded if the running array lacks devices; one that is being rebuilt still does."""
    status = _STATUS.get(state, StoragePoolStatus.UNKNOWN)
    return StoragePoolStatus.DEGRADED if status == StoragePoolStatus.NORMAL and devices_lacking else status


def state_of(array: Array, files: Mapping[str, str]) -> str:
    """The kernel's word for the state: `clean`, `active`, `inactive`, `broken` …"""
    return _attribute(files, array, 'array_state') or array.state


def lacking(array: Array, files: Mapping[str, str]) -> int:
    """How many devices an array lacks to be whole."""
    degraded = integer(_attribute(files, array, 'degraded'))
    if degraded is None and array.wanted is not None and array.working is not None:
        return array.wanted - array.working
    return degraded or 0


def redundancy(array: Array) -> int | None:
    """How many devices an array can lose in any case and still have all data; None if the level does not tell."""
    match array.level:
        case 'raid1' | 'multipath':
            return array.wanted - 1 if array.wanted else None
        case 'raid4' | 'raid5':
            return 1
        case 'raid6':
            return 2
        case 'raid0' | 'linear':
            return 0
        case _:     # raid10 can lose one; which second one depends on the layout
            return None


def _attribute(files: Mapping[str, str], array: Array, name: str) -> str | None:
    value = files.get(f'/sys/block/{array.name}/md/{name}', '').strip()
    return value or None
