# SPDX-License-Identifier: Apache-2.0
"""What is wrong with the machine now.

The list is complete: what is not in it is well. The same trouble of the same thing has the same key each time, also
after a reboot that gives devices other names. Texts do not hold what changes from minute to minute (a rebuild's
progress, free bytes), so that an alert that stays is not a new one at each look.
"""

from __future__ import annotations

import hashlib
import math
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from delfin import exception
from delfin.common.constants import Category, ClearType, DiskStatus, EventType, ResourceType, Severity
from delfin.drivers.driver import Row
from delfin.drivers.linux import md, mounts
from delfin.drivers.linux.block import Disk
from delfin.drivers.linux.md import Array
from delfin.drivers.linux.mounts import Mount
from delfin.drivers.linux.network import DownPort
from delfin.drivers.linux.smart import Health
from delfin.drivers.linux.text import row


class Kind(Enum):
    """Types of alerts: id, name, X.733 class, type of resource."""

    MD_DEGRADED = ('linux.md.degraded', 'RAID array degraded', EventType.EQUIPMENT_ALARM, ResourceType.STORAGE_POOL)
    MD_FAILED = ('linux.md.failed', 'RAID array failed', EventType.EQUIPMENT_ALARM, ResourceType.STORAGE_POOL)
    MD_INACTIVE = ('linux.md.inactive', 'RAID array not started', EventType.EQUIPMENT_ALARM, ResourceType.STORAGE_POOL)
    MD_MEMBER_FAILED = ('linux.md.member_failed', 'Failed device in RAID array', EventType.EQUIPMENT_ALARM,
                        ResourceType.STORAGE_POOL)
    DISK_SMART = ('linux.disk.smart', 'Disk reports failing health', EventType.EQUIPMENT_ALARM, ResourceType.DISK)
    DISK_SILENT = ('linux.disk.silent', 'Disk does not answer', EventType.EQUIPMENT_ALARM, ResourceType.DISK)
    DISK_OFFLINE = ('linux.disk.offline', 'Disk offline', EventType.EQUIPMENT_ALARM, ResourceType.DISK)
    DISK_PATH = ('linux.disk.path', 'Disk lost a path', EventType.COMMUNICATIONS_ALARM, ResourceType.DISK)
    FILESYSTEM_SPACE = ('linux.filesystem.space', 'Filesystem almost full', EventType.QUALITY_OF_SERVICE_ALARM,
                        ResourceType.FILESYSTEM)
    FILESYSTEM_INODES = ('linux.filesystem.inodes', 'Filesystem almost out of inodes',
                         EventType.QUALITY_OF_SERVICE_ALARM, ResourceType.FILESYSTEM)
    FILESYSTEM_READ_ONLY = ('linux.filesystem.read_only', 'Filesystem made itself read-only',
                            EventType.PROCESSING_ERROR_ALARM, ResourceType.FILESYSTEM)
    FILESYSTEM_ERRORS = ('linux.filesystem.errors', 'Filesystem has errors', EventType.PROCESSING_ERROR_ALARM,
                         ResourceType.FILESYSTEM)
    PORT_DOWN = ('linux.port.down', 'Port down', EventType.COMMUNICATIONS_ALARM, ResourceType.PORT)


def match_key(kind: Kind, thing: str) -> str:
    """What names the trouble: the same for the same type and thing. 32 hexadecimal digits, fit for a URL."""
    return hashlib.blake2b(f'{kind.value[0]}/{thing}'.encode(), digest_size=16).hexdigest()


def _alert(kind: Kind, thing: str, location: str, severity: str, description: str, advice: str | None, *,
           category: str = Category.FAULT, occur_time: int | None = None) -> Row:
    alert_id, name, event_type, resource_type = kind.value
    key = match_key(kind, thing)
    return row(alert_id=alert_id, alert_name=name, severity=severity, category=category, type=event_type,
               sequence_number=key, match_key=key, resource_type=resource_type, location=location,
               occur_time=occur_time, description=description, recovery_advice=advice,
               clear_category=ClearType.AUTOMATIC)


# --- options ---

WARNING_OPTION, CRITICAL_OPTION = 'filesystem_warning_percent', 'filesystem_critical_percent'
_DEFAULT_WARNING, _DEFAULT_CRITICAL = '90', '95'
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    WARNING_OPTION: {
        'description': 'From this use on (space or inodes, 1 to 100 %) a filesystem has an alert of severity Warning.',
        'default': _DEFAULT_WARNING},
    CRITICAL_OPTION: {
        'description': f'From this use on the alert has the severity Critical; not below {WARNING_OPTION}.',
        'default': _DEFAULT_CRITICAL},
}
_PERCENT = re.compile(r'\d{1,3}(\.\d{1,6})?', re.ASCII)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From which use on, in percent, filesystems have alerts."""

    warning: float
    critical: float

    @classmethod
    def of(cls, attributes: Mapping[str, Any] | None) -> Thresholds:
        """The thresholds in `extra_attributes`; `InvalidInput` for what is none."""
        given = attributes or {}
        warning = _percent(given, WARNING_OPTION, _DEFAULT_WARNING)
        # Whoever only raises the first threshold above the second's default means no second one below it.
        critical = _percent(given, CRITICAL_OPTION, str(max(warning, float(_DEFAULT_CRITICAL))))
        if critical < warning:
            raise exception.InvalidInput(f'{CRITICAL_OPTION} ({critical:g}) is below {WARNING_OPTION} ({warning:g}).')
        return cls(warning, critical)

    def severity(self, percent: float) -> str | None:
        """The severity of the alert at this use; None: no alert."""
        if percent >= self.critical:
            return Severity.CRITICAL
        return Severity.WARNING if percent >= self.warning else None


def _percent(attributes: Mapping[str, Any], name: str, default: str) -> float:
    given = attributes.get(name)
    text = default if given is None else str(given).strip()
    if _PERCENT.fullmatch(text) is None or not 1 <= float(text) <= 100:
        raise exception.InvalidInput(f'{name} must be a number from 1 to 100 (percent).')
    return float(text)


# --- time ---

def in_window(alert: Mapping[str, Any], query_para: Mapping[str, Any] | None) -> bool:
    """Whether the alert occurred between `begin_time` and `end_time` (epoch ms, both included and both optional); yes
    if it is not known when it did. `InvalidInput` for bounds that are no numbers.
    """
    begin, end = _bound(query_para, 'begin_time'), _bound(query_para, 'end_time')
    time = alert.get('occur_time')
    return time is None or ((begin is None or time >= begin) and (end is None or time <= end))


def _bound(query_para: Mapping[str, Any] | None, name: str) -> int | None:
    value = (query_para or {}).get(name)
    try:
        return None if value is None else int(value)
    except (TypeError, ValueError):
        raise exception.InvalidInput(f'{name} is not a number of milliseconds') from None


# --- md ---

def array_alerts(arrays: Iterable[Array], files: Mapping[str, str], ids: Mapping[str, str]) -> list[Row]:
    """Arrays that lack devices, that failed or were not started, and failed devices that nobody removed.

    `files` are the contents of `md.FILES`, `ids` the native ids of the arrays.
    """
    found = (_array_alert(array, files, ids[array.name]) for array in arrays)
    return [alert for alert in found if alert is not None]


def _array_alert(array: Array, files: Mapping[str, str], native_id: str) -> Row | None:
    path, state, missing = f'/dev/{array.name}', md.state_of(array, files), md.lacking(array, files)
    spared = md.redundancy(array)
    failed = [member.kname for member in array.members if member.failed]
    if state in ('inactive', 'clear'):
        members = ', '.join(member.kname for member in array.members) or 'none'
        return _alert(
            Kind.MD_INACTIVE, native_id, path, Severity.CRITICAL,
            f'{_what(array)} is not started. Devices found: {members}.',
            f'See which devices are missing (mdadm --detail {path}; mdadm --examine of the devices), make them '
            f'available, then start it: mdadm --run {path}')
    if state == 'broken' or array.state == 'broken' or (missing and spared is not None and missing > spared):
        return _alert(
            Kind.MD_FAILED, native_id, path, Severity.FATAL,
            f'{_what(array)} lost more devices than it can do without{_names(array, missing, failed)}. '
            'Its data cannot be read or written completely.',
            f'Find out why the devices are gone (dmesg; mdadm --detail {path}). If they are in order, stop the array '
            'and put it together again with mdadm --assemble --force; else restore from a backup.')
    if missing:
        rebuilding = array.action == 'recovery'
        # Who cannot tell what the next failure destroys must assume the worst.
        last = spared is None or missing == spared
        return _alert(
            Kind.MD_DEGRADED, native_id, path, Severity.CRITICAL if last else Severity.MAJOR,
            f'{_what(array)} lacks {missing} of {array.wanted or "its"} devices{_names(array, missing, failed)}. '
            + ('One more failure may destroy its data.' if last else 'It can lose another one.')
            + (' It is being rebuilt.' if rebuilding else ''),
            (f'Wait until it is rebuilt (cat /proc/mdstat). {_remove(path, failed)}' if rebuilding else
             f'{_remove(path, failed)} Add a device in its place: mdadm {path} --add /dev/…').strip())
    if failed:
        return _alert(
            Kind.MD_MEMBER_FAILED, native_id, path, Severity.WARNING,
            f'{_what(array)} is complete, but has failed devices: {", ".join(failed)}. A spare took their place.',
            f'{_remove(path, failed)} Replace the disk, then add a new spare: mdadm {path} --add /dev/…')
    return None


def _what(array: Array) -> str:
    return f'The {array.level or "md"} array {array.name}'


def _names(array: Array, missing: int, failed: list[str]) -> str:
    """The devices that are missing, as far as they have names."""
    parts = []
    if array.slots is not None and array.slots.count('_') == missing:
        slots = [str(number) for number, slot in enumerate(array.slots) if slot == '_']
        parts.append(f'{"slot" if missing == 1 else "slots"} {", ".join(slots)}')
    if failed:
        parts.append(f'failed: {", ".join(failed)}')
    return f' ({"; ".join(parts)})' if parts else ''


def _remove(path: str, failed: list[str]) -> str:
    devices = ' '.join(f'/dev/{kname}' for kname in failed)
    return f'Take out what failed: mdadm {path} --remove {devices}.' if failed else ''


# --- disks ---

def disk_alerts(disks: Iterable[Disk], health: Mapping[str, Health]) -> list[Row]:
    """Disks that are offline, lost a path, or say that they fail; `health` is what was said by path of the device."""
    return [alert for disk in disks for alert in (_state_alert(disk), _health_alert(disk, health)) if alert is not None]


def _state_alert(disk: Disk) -> Row | None:
    if disk.status == DiskStatus.OFFLINE:
        return _alert(
            Kind.DISK_OFFLINE, disk.native_id, _place(disk), Severity.CRITICAL,
            f'The kernel took the disk {_describe(disk)} offline.',
            f'Look for the cause (dmesg | grep {disk.paths[0].kname}), check power and cables, and replace the disk '
            'if it does not come back.')
    if disk.lost_paths:
        return _alert(
            Kind.DISK_PATH, disk.native_id, _place(disk), Severity.MAJOR,
            f'The disk {_describe(disk)} cannot be reached over {", ".join(disk.lost_paths)}, '
            f'which is {len(disk.lost_paths)} of {len(disk.paths)} paths.',
            'Check the cable, the switch and the port of the lost path (multipath -ll).')
    return None


def _health_alert(disk: Disk, health: Mapping[str, Health]) -> Row | None:
    asked = disk.path_that_works.path
    found = health.get(asked, Health())
    details = f'smartctl -x {asked}'
    if found.only_temperature:
        return _alert(
            Kind.DISK_SMART, disk.native_id, _place(disk), Severity.MAJOR,
            f'The disk {_describe(disk)} reports: {"; ".join(found.reasons)}.',
            f'Check fans and air flow. Details: {details}')
    if found.failing:
        reasons = f': {"; ".join(found.reasons)}' if found.reasons else ''
        return _alert(
            Kind.DISK_SMART, disk.native_id, _place(disk), Severity.CRITICAL,
            f'The disk {_describe(disk)} failed its health self-assessment (SMART){reasons}.',
            f'Save the data and replace the disk. Details: {details}')
    if found.silent is not None and disk.status != DiskStatus.OFFLINE:      # which is an alert already
        return _alert(
            Kind.DISK_SILENT, disk.native_id, _place(disk), Severity.MAJOR,
            f'The disk {_describe(disk)} did not answer when asked for its health: {found.silent}.',
            f'Look for errors (dmesg | grep {disk.paths[0].kname}), check power and cables; ask again: {details}')
    return None


def _place(disk: Disk) -> str:
    # With the serial number, because another disk may have the name after a reboot.
    serial = disk.paths[0].serial
    return f'{disk.top.path}, serial number {serial}' if serial else disk.top.path


def _describe(disk: Disk) -> str:
    return f'{disk.top.path} ({disk.paths[0].model})' if disk.paths[0].model else disk.top.path


# --- filesystems ---

def filesystem_alerts(found: Mapping[str, Mount], inodes: Mapping[str, tuple[int, int]], errors: Mapping[str, int],
                      error_times: Mapping[str, int], thresholds: Thresholds) -> list[Row]:
    """Filesystems that are almost full or out of order. `found` maps native ids to mounts; `inodes` (all, free) is by
    mount point, `errors` (recorded ones) and `error_times` (of the first one, epoch ms) by native id.
    """
    alerts = []
    for native_id, mount in found.items():
        alerts += [_space_alert(native_id, mount, thresholds),
                   _inodes_alert(native_id, mount, inodes.get(mount.target, (0, 0)), thresholds),
                   _read_only_alert(native_id, mount),
                   _errors_alert(native_id, mount, errors.get(native_id, 0), error_times.get(native_id))]
    return [alert for alert in alerts if alert is not None]


def _space_alert(native_id: str, mount: Mount, thresholds: Thresholds) -> Row | None:
    if mount.used is None or mount.available is None or _is_meant_to_be_read_only(mount):
        return None
    # As df counts: what is reserved for root is neither used nor available.
    return _use_alert(Kind.FILESYSTEM_SPACE, native_id, mount, mount.used, mount.used + mount.available, thresholds,
                      'Space', f'Find what takes it (du -xh --max-depth=2 {shlex.quote(mount.target)} | sort -h), '
                               'remove what is not needed or enlarge the filesystem.')


def _inodes_alert(native_id: str, mount: Mount, counts: tuple[int, int], thresholds: Thresholds) -> Row | None:
    total, free = counts
    if _is_meant_to_be_read_only(mount):
        return None
    return _use_alert(Kind.FILESYSTEM_INODES, native_id, mount, total - free, total, thresholds,
                      'Inodes', 'Find where the many files are '
                                f'(du -x --inodes --max-depth=2 {shlex.quote(mount.target)} | sort -n) '
                                'and remove those that are not needed.')


def _use_alert(kind: Kind, native_id: str, mount: Mount, used: int, total: int, thresholds: Thresholds, what: str,
               advice: str) -> Row | None:
    percent = 100 * used / total if total > 0 else 0.0
    severity = thresholds.severity(percent)
    if severity is None:
        return None
    limit = thresholds.critical if severity == Severity.CRITICAL else thresholds.warning
    # Rounded down, so that it is 100 only if nothing is left, and the text changes with whole percents only.
    return _alert(kind, native_id, mount.target, severity,
                  f'{what} of {mount.target} ({mount.source}): {math.floor(percent)} % used; '
                  f'the threshold is {limit:g} %.', advice)


def _is_meant_to_be_read_only(mount: Mount) -> bool:
    """Somebody mounted it so: it cannot fill up."""
    return 'ro' in mount.vfs_options and not mounts.made_itself_read_only(mount)


def _read_only_alert(native_id: str, mount: Mount) -> Row | None:
    if not mounts.made_itself_read_only(mount):
        return None
    return _alert(
        Kind.FILESYSTEM_READ_ONLY, native_id, mount.target, Severity.CRITICAL,
        f'The filesystem {mount.target} ({mount.fstype} on {mount.source}) stopped writing after an error.',
        f'Look for the cause (dmesg), check the disk, then unmount it and {_check(mount)}')


def _errors_alert(native_id: str, mount: Mount, errors: int, since: int | None) -> Row | None:
    if not errors:
        return None
    return _alert(
        Kind.FILESYSTEM_ERRORS, native_id, mount.target, Severity.MAJOR,
        f'The filesystem {mount.target} ({mount.fstype} on {mount.source}) recorded errors in its structure.',
        f'Unmount it and {_check(mount)}', occur_time=since)


def _check(mount: Mount) -> str:
    source = shlex.quote(mount.source)
    if mount.fstype in ('ext2', 'ext3', 'ext4'):
        return f'run e2fsck -f {source}'
    if mount.fstype == 'xfs':
        return f'run xfs_repair {source}'
    if mount.fstype == 'btrfs':
        return f'run btrfs check --readonly {source}'
    return f'check it: fsck {source}'


# --- ports ---

def port_alerts(ports: Iterable[DownPort]) -> list[Row]:
    """Ports that should have link and have none."""
    return [port_alert(port) for port in ports]


def port_alert(port: DownPort) -> Row:
    """A port that should have link and has none."""
    trouble = f'The port {port.name} ' + ('is switched on, but has no link.' if port.enabled else 'is switched off.')
    if port.group:
        trouble += f' It is a member of {port.group}, which has one port less to rely on.'
    elif not port.in_use:
        trouble += ' It has no address and nothing is built on it: perhaps it is not in use.'
    if not port.enabled:
        advice = f'Switch it on: ip link set dev {port.name} up'
    else:
        advice = f'Check the cable and the port at its other end (ethtool {port.name}).'
        if not (port.group or port.in_use):
            advice += f' If it is not in use, switch it off: ip link set dev {port.name} down'
    severity = Severity.MAJOR if port.group or port.in_use else Severity.WARNING
    return _alert(Kind.PORT_DOWN, port.name, port.name, severity, trouble, advice)


def port_recovery(name: str) -> Row:
    """The end of the alert of `port_alert`."""
    return _alert(Kind.PORT_DOWN, name, name, Severity.INFORMATIONAL, f'The port {name} has link again.', None,
                  category=Category.RECOVERY)
