# SPDX-License-Identifier: Apache-2.0
"""Performance of block devices and network ports, from the kernel's counters.

Facts: Documentation/ABI/testing/procfs-diskstats and Documentation/admin-guide/iostats.rst of the kernel; proc(5) on
/proc/net/dev and /proc/uptime. The counters start from zero at boot and when a device appears; on 32-bit machines, and
those of times (of all machines, in ms), they run over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from delfin import exception
from delfin.common.constants import ResourceType, metric_struct
from delfin.drivers.kit import metrics
from delfin.drivers.kit.metrics import MetricTable, Points
from delfin.drivers.linux import block, host, network
from delfin.drivers.linux.block import Tree
from delfin.drivers.linux.pools import Pools
from delfin.drivers.linux.text import integer, number, text
from delfin.drivers.utils.counters import Rates, Reading

_UPTIME = '/proc/uptime'
_BOOT_ID = '/proc/sys/kernel/random/boot_id'
_DISKSTATS = '/proc/diskstats'
_NETDEV = '/proc/net/dev'
COUNTER_FILES = (_UPTIME, _DISKSTATS, _NETDEV, _BOOT_ID)       # the clock next to what it is to measure
SEQUENCE_FILES = ('/sys/block/*/diskseq',)      # since Linux 5.15: no two disks of one boot have the same

_SECTOR_BYTES = 512     # in /proc/diskstats, whatever the device's own sectors are
_SECTORS_IN_KB, _KB_IN_MB = 1024 / _SECTOR_BYTES, 1024
_BYTES_IN_MB = 2**20

# Columns of /proc/diskstats after the device's numbers and name. Later kernels append discards (4.18) and flushes
# (5.5), which are neither reads nor writes.
_DISK_COLUMNS = {'reads': 3, 'sectors_read': 5, 'read_ms': 6, 'writes': 7, 'sectors_written': 9, 'write_ms': 10}
_DISK_COLUMN_COUNT = 14
_PORT_COLUMNS = {'bytes_received': 0, 'bytes_sent': 8}      # of /proc/net/dev, after the name

# What `_block_values` and `_port_values` say, and in which unit.
_BLOCK = {
    'iops': ('iops', 'IOPS'), 'readIops': ('readIops', 'IOPS'), 'writeIops': ('writeIops', 'IOPS'),
    'throughput': ('throughput', 'MiB/s'), 'readThroughput': ('readThroughput', 'MiB/s'),
    'writeThroughput': ('writeThroughput', 'MiB/s'),
    'responseTime': ('responseTime', 'ms'), 'readResponseTime': ('readResponseTime', 'ms'),
    'writeResponseTime': ('writeResponseTime', 'ms'),
    'ioSize': ('ioSize', 'KiB'), 'readIoSize': ('readIoSize', 'KiB'), 'writeIoSize': ('writeIoSize', 'KiB')}
_PORT = {name: _BLOCK[name] for name in ('throughput', 'readThroughput', 'writeThroughput')}
_PORT_WORDS = {'throughput': 'Data received and sent per second', 'readThroughput': 'Data received per second',
               'writeThroughput': 'Data sent per second'}
_TABLES = {
    **{resource_type: MetricTable(resource_type, _BLOCK) for resource_type in (
        ResourceType.STORAGE, ResourceType.STORAGE_POOL, ResourceType.VOLUME, ResourceType.DISK)},
    ResourceType.PORT: MetricTable(ResourceType.PORT, _PORT, descriptions=_PORT_WORDS)}


@dataclass(frozen=True, slots=True)
class Source:
    """What counts for a resource: a block device or a network interface, named as in the kernel's table.

    The rest of it tells when it is another one than last time: `born` (a sequence number), and the resource itself. So
    each resource type has its own last reading, whether all are asked for at once or in turn.
    """

    table: str
    name: str
    born: str
    resource_type: str
    resource_id: str


@dataclass(frozen=True, slots=True)
class Resource:
    """Something with metrics: a row of the inventory, or the machine. Its numbers are those of its sources together."""

    type: str
    id: str
    name: str | None
    sources: tuple[Source, ...]


def capabilities() -> dict[str, Any]:
    """What can be measured. The kernel counts; it keeps nothing of what was."""
    return metrics.capabilities(*_TABLES.values(), historic=False)


# --- what there is to measure ---

def block_resources(wanted: Iterable[str], tree: Tree, found: Pools, files: Mapping[str, str], *,
                    lvm_is_installed: bool) -> Iterator[Resource]:
    """The resources of the types in `wanted` that do block input and output, with the ids and names of their rows.

    `files` are the contents of `SEQUENCE_FILES` and `host.IDENTITY_FILES`. LVM's volumes have rows only with its tools.
    """
    def resource(resource_type: str, native_id: str, name: str | None, knames: Iterable[str]) -> Resource:
        return Resource(resource_type, native_id, name, tuple(
            Source(_DISKSTATS, kname, files.get(f'/sys/block/{kname}/diskseq', ''), resource_type, native_id)
            for kname in knames))

    volumes = [volume for volume in found.active_volumes if lvm_is_installed and not volume.internal]
    for resource_type in wanted:
        match resource_type:
            case ResourceType.STORAGE:
                yield resource(resource_type, host.serial_number(files), text(files.get(host.HOSTNAME)),
                               [device.kname for disk in block.disks(tree) for device in disk.counted])
            case ResourceType.DISK:
                for disk in block.disks(tree):
                    yield resource(resource_type, disk.native_id, disk.top.name,
                                   [device.kname for device in disk.counted])
            case ResourceType.VOLUME:
                for native_id, device in block.partitions(tree, found.of_volumes).items():
                    yield resource(resource_type, native_id, device.name, [device.kname])
                for volume in volumes:
                    yield resource(resource_type, volume.uuid, volume.name or None, [volume.kname])
            case ResourceType.STORAGE_POOL:
                for array in found.arrays or ():
                    yield resource(resource_type, found.array_ids[array.name], array.name, [array.name])
                for group, name in {volume.group_uuid: volume.group_name for volume in volumes}.items():
                    yield resource(resource_type, group, name or None,
                                   [volume.kname for volume in volumes if volume.group_uuid == group])
                for filesystem in found.filesystems or ():
                    yield resource(resource_type, filesystem.uuid, filesystem.label or filesystem.uuid,
                                   filesystem.devices)


def port_resources(interfaces: list[dict[str, Any]], files: Mapping[str, str]) -> list[Resource]:
    """The network ports; `files` are the contents of `network.FILES`."""
    kept = network.ports(interfaces, files)
    numbers = {interface['ifname']: str(interface.get('ifindex', '')) for interface in interfaces}
    return [Resource(ResourceType.PORT, name, name, (Source(_NETDEV, name, numbers[name], ResourceType.PORT, name),))
            for name in kept]


# --- counters ---

def reading(time: int, files: Mapping[str, str], resources: Iterable[Resource]) -> Reading[Source]:
    """The counters of the sources of these resources, as far as they are there, from the contents of `COUNTER_FILES`
    read at `time`.
    """
    seconds = number(files.get(_UPTIME, '').partition(' ')[0])
    if seconds is None:
        raise exception.InvalidResults(f'{_UPTIME} cannot be read: without it nobody knows how fast counters grow')
    tables = {_DISKSTATS: _of_disks(files.get(_DISKSTATS, '')), _NETDEV: _of_ports(files.get(_NETDEV, ''))}
    counters = {source: tables[source.table][source.name] for resource in resources for source in resource.sources
                if source.name in tables[source.table]}
    return Reading(counters, seconds, time, era=files.get(_BOOT_ID, ''))


def _of_disks(table: str) -> dict[str, dict[str, int]]:
    found = {}
    for line in table.splitlines():
        fields = line.split()
        if len(fields) >= _DISK_COLUMN_COUNT:
            found[fields[2]] = _numbers(fields, _DISK_COLUMNS)
    return {name: counters for name, counters in found.items() if counters}


def _of_ports(table: str) -> dict[str, dict[str, int]]:
    found = {}
    for line in table.splitlines():
        name, colon, rest = line.partition(':')
        if colon:
            found[name.strip()] = _numbers(rest.split(), _PORT_COLUMNS)
    return {name: counters for name, counters in found.items() if counters}


def _numbers(fields: list[str], columns: Mapping[str, int]) -> dict[str, int]:
    """The counters in these columns; none of them if one is not there or no number."""
    found = {name: integer(fields[column]) for name, column in columns.items() if column < len(fields)}
    known = {name: value for name, value in found.items() if value is not None}
    return known if known.keys() == columns.keys() else {}


# --- points ---

def points(storage_id: str, resource_metrics: Mapping[str, Any], resources: Iterable[Resource],
           rates: Rates[Source]) -> list[metric_struct]:
    """One point of each metric in `resource_metrics` for each resource that could be measured."""
    found = Points(storage_id, resource_metrics)
    for resource in resources:
        measured = [rates.per_second[source] for source in resource.sources if source in rates.per_second]
        if not measured:
            continue
        together = {name: sum(each[name] for each in measured) for name in measured[0]}
        values = _port_values(together) if resource.type == ResourceType.PORT else _block_values(together)
        found.add(_TABLES[resource.type], values, resource_id=resource.id, time=rates.time, name=resource.name)
    return found.series()


def _block_values(rate: Mapping[str, float]) -> dict[str, float]:
    reads, writes = rate['reads'], rate['writes']
    read_kb, write_kb = rate['sectors_read'] / _SECTORS_IN_KB, rate['sectors_written'] / _SECTORS_IN_KB
    read_ms, write_ms = rate['read_ms'], rate['write_ms']
    return {
        'iops': reads + writes, 'readIops': reads, 'writeIops': writes,
        'throughput': (read_kb + write_kb) / _KB_IN_MB,
        'readThroughput': read_kb / _KB_IN_MB, 'writeThroughput': write_kb / _KB_IN_MB,
        'responseTime': _mean(read_ms + write_ms, reads + writes),
        'readResponseTime': _mean(read_ms, reads), 'writeResponseTime': _mean(write_ms, writes),
        'ioSize': _mean(read_kb + write_kb, reads + writes),
        'readIoSize': _mean(read_kb, reads), 'writeIoSize': _mean(write_kb, writes)}


def _port_values(rate: Mapping[str, float]) -> dict[str, float]:
    received, sent = rate['bytes_received'] / _BYTES_IN_MB, rate['bytes_sent'] / _BYTES_IN_MB
    return {'throughput': received + sent, 'readThroughput': received, 'writeThroughput': sent}


def _mean(total: float, operations: float) -> float:
    """For one operation; 0 where there were none, as iostat shows it."""
    return total / operations if operations else 0.0
