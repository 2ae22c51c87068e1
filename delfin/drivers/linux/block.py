# SPDX-License-Identifier: Apache-2.0
"""Block devices as `lsblk` shows them: disks and partitions.

Facts: lsblk(8) of util-linux 2.36 to 2.41; Documentation/ABI/stable/sysfs-block of the kernel.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from delfin import exception
from delfin.common.constants import DiskLogicalType, DiskPhysicalType, DiskStatus, VolumeStatus
from delfin.drivers.driver import Row
from delfin.drivers.linux.text import entries, extra, flag, integer, json_of, row, text

# All of them exist in util-linux 2.36; an unknown column would be an error for the whole command.
_COLUMNS = ('NAME', 'KNAME', 'PATH', 'MAJ:MIN', 'TYPE', 'SIZE', 'ROTA', 'TRAN', 'MODEL', 'SERIAL', 'VENDOR', 'REV',
            'WWN', 'HCTL', 'STATE', 'FSTYPE', 'UUID', 'PARTUUID', 'PARTLABEL', 'PARTTYPE', 'RM')
COMMAND = ('lsblk', '--json', '--bytes', '--output', ','.join(_COLUMNS))
FILES = ('/sys/block/*/device/firmware_rev',)       # NVMe; lsblk's REV is for SCSI only
LINK_DIRECTORY = '/sys/block'

# lsblk calls these "disk", too: memory (zram, ram, the pages of a floppy drive's nothing), devices that live on other
# devices or machines (bcache, drbd, nbd, rbd, zd = ZFS volumes), and the boot areas inside an eMMC chip.
_NO_DISK = re.compile(r'(zram|ram|loop|fd|bcache|drbd|nbd|rbd|zd|md|dm-)\d.*|mmcblk\d+(boot\d+|rpmb)')

_VIRTUAL_DISK = re.compile(r'(QEMU|VMware|VBOX|Msft|Google|Amazon Elastic|Virtual|XENSRC|NUTANIX)\b', re.IGNORECASE)
# Drivers that name their devices after themselves; lsblk does not know the transport of all of them.
_TRANSPORT_BY_NAME = {'nvme': 'nvme', 'mmcblk': 'mmc', 'vd': 'virtio', 'xvd': 'virtio'}

# Transport (TRAN) to physical type, (rotating, not rotating). The rotational flag of USB bridges is a default when it
# says "rotating"; behind FC and iSCSI there is an array, not a disk.
_PHYSICAL_TYPES: dict[str | None, tuple[str, str]] = {
    'nvme': (DiskPhysicalType.NVME_SSD, DiskPhysicalType.NVME_SSD),
    'sas': (DiskPhysicalType.SAS, DiskPhysicalType.SSD),
    'sata': (DiskPhysicalType.SATA, DiskPhysicalType.SSD),
    'ata': (DiskPhysicalType.ATA, DiskPhysicalType.SSD),
    'usb': (DiskPhysicalType.UNKNOWN, DiskPhysicalType.SSD),
    'mmc': (DiskPhysicalType.FLASH, DiskPhysicalType.FLASH),
    'fc': (DiskPhysicalType.LUN, DiskPhysicalType.LUN),
    'fcoe': (DiskPhysicalType.LUN, DiskPhysicalType.LUN),
    'iscsi': (DiskPhysicalType.LUN, DiskPhysicalType.LUN),
    None: (DiskPhysicalType.HDD, DiskPhysicalType.SSD),
}

# STATE: /sys/block/*/device/state of SCSI (drivers/scsi/scsi_sysfs.c) and NVMe. Devices without one (virtio, MMC) are
# listed with a size only while they work.
_STATUS: dict[str | None, str] = {
    None: DiskStatus.NORMAL,
    'running': DiskStatus.NORMAL,
    'live': DiskStatus.NORMAL,
    'created': DiskStatus.NORMAL,
    'new': DiskStatus.NORMAL,
    'quiesce': DiskStatus.ABNORMAL,
    'blocked': DiskStatus.ABNORMAL,
    'created-blocked': DiskStatus.ABNORMAL,
    'resetting': DiskStatus.ABNORMAL,
    'connecting': DiskStatus.ABNORMAL,
    'offline': DiskStatus.OFFLINE,
    'transport-offline': DiskStatus.OFFLINE,
    'cancel': DiskStatus.OFFLINE,
    'deleted': DiskStatus.OFFLINE,
    'deleting': DiskStatus.OFFLINE,
    'dead': DiskStatus.OFFLINE,
}

# Containers of logical partitions in an MBR table; the kernel shows just their first 1 KiB as a device.
_EXTENDED_PARTITIONS = ('0x5', '0xf', '0x85')
_EXTENDED_PARTITION_BYTES = 1024
_PCI_ADDRESS = re.compile(r'[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]')


@dataclass(frozen=True, slots=True)
class Device:
    """One line of lsblk. `number` is major:minor; a device on several others occurs below each of them."""

    kname: str
    name: str
    path: str
    type: str
    number: str
    size: int
    rotational: bool | None
    transport: str | None
    model: str | None
    serial: str | None
    vendor: str | None
    revision: str | None
    wwn: str | None
    hctl: str | None
    state: str | None
    fstype: str | None
    uuid: str | None
    partuuid: str | None
    partlabel: str | None
    parttype: str | None
    removable: bool | None
    children: tuple[Device, ...]

    def walk(self) -> Iterator[Device]:
        """The device and everything on it."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True, slots=True)
class Disk:
    """A physical disk: `paths` are its devices, more than one if it is reached over several paths."""

    native_id: str
    paths: tuple[Device, ...]
    multipath: Device | None

    @property
    def status(self) -> str | None:
        """One of `DiskStatus` from the states of its paths; None for a state we never heard of."""
        return _status(self.paths)

    @property
    def lost_paths(self) -> list[str]:
        """Kernel names of the paths that do not work."""
        return [path.kname for path in self.paths if _STATUS.get(path.state) == DiskStatus.OFFLINE]

    @property
    def can_tell_health(self) -> bool:
        """Whether there may be a disk behind it that can be asked for its health, and no array or hypervisor."""
        return _physical_type(self.paths[0]) not in (DiskPhysicalType.VMDISK, DiskPhysicalType.LUN,
                                                     DiskPhysicalType.FLASH)

    @property
    def path_that_works(self) -> Device:
        """The path to ask: the first one that works, if any does."""
        return next((path for path in self.paths if _STATUS.get(path.state) == DiskStatus.NORMAL), self.paths[0])

    @property
    def counted(self) -> tuple[Device, ...]:
        """The devices whose input and output together are the disk's, each once."""
        return self.paths if self.multipath is None else (self.multipath,)

    @property
    def top(self) -> Device:
        """The device that is used: the multipath device if there is one."""
        return self.multipath or self.paths[0]


class Tree:
    """All block devices."""

    def __init__(self, roots: tuple[Device, ...]) -> None:
        self.roots = roots
        self.by_kname: dict[str, Device] = {}
        self.parents: dict[str, set[str]] = {}
        for root in roots:
            for device in root.walk():
                self.by_kname.setdefault(device.kname, device)
                for child in device.children:
                    self.parents.setdefault(child.kname, set()).add(device.kname)
        self.by_path = {device.path: device for device in self.by_kname.values()}
        self.by_number = {device.number: device for device in self.by_kname.values()}

    def pool_below(self, kname: str, pool_of_volume: Mapping[str, str]) -> str | None:
        """Id of the nearest pool that the device is made of: on the way down to the disks the first device that is in
        `pool_of_volume` (kernel name to pool id). None if there is none, or not only one.
        """
        if kname in pool_of_volume:
            return pool_of_volume[kname]
        found = {self.pool_below(parent, pool_of_volume) for parent in self.parents.get(kname, ())}
        return found.pop() if len(found) == 1 else None


def parse(output: str) -> Tree:
    """The devices in the output of `COMMAND`."""
    return Tree(tuple(_device(entry) for entry in entries('lsblk', json_of('lsblk', output), 'blockdevices')))


def _device(entry: Mapping[str, Any]) -> Device:
    kname, name = text(entry.get('kname')), text(entry.get('name'))
    if kname is None or name is None:
        raise exception.InvalidResults('lsblk printed a device without a name')
    return Device(
        kname=kname, name=name, path=text(entry.get('path')) or f'/dev/{kname}',
        type=text(entry.get('type')) or '', number=text(entry.get('maj:min')) or '',
        size=integer(entry.get('size')) or 0, rotational=flag(entry.get('rota')), transport=text(entry.get('tran')),
        model=text(entry.get('model')), serial=text(entry.get('serial')), vendor=text(entry.get('vendor')),
        revision=text(entry.get('rev')), wwn=text(entry.get('wwn')), hctl=text(entry.get('hctl')),
        state=text(entry.get('state')), fstype=text(entry.get('fstype')), uuid=text(entry.get('uuid')),
        partuuid=text(entry.get('partuuid')), partlabel=text(entry.get('partlabel')),
        parttype=text(entry.get('parttype')), removable=flag(entry.get('rm')),
        children=tuple(_device(child) for child in entry.get('children') or ()))


# --- disks ---

def disks(tree: Tree) -> list[Disk]:
    """The physical disks, each once, with an id that is unique: WWN, else serial number, else kernel name.

    Devices are paths of one disk if they carry the same multipath device, or the same WWN, serial number and size. If
    two *different* disks share a WWN or a serial number (cheap bridges do), neither is used as an id.
    """
    groups: dict[tuple[Any, ...], list[Device]] = {}
    for device in tree.roots:
        if device.type == 'disk' and device.size > 0 and not _NO_DISK.fullmatch(device.kname):
            groups.setdefault(_identity(device), []).append(device)
    wwns = Counter(paths[0].wwn for paths in groups.values())
    serials = Counter(paths[0].serial for paths in groups.values())
    found = []
    for paths in groups.values():
        first = paths[0]
        if first.wwn and wwns[first.wwn] == 1:
            native_id = first.wwn
        elif first.serial and serials[first.serial] == 1:
            native_id = first.serial
        else:
            native_id = first.kname
        found.append(Disk(native_id, tuple(paths), _multipath(first)))
    return found


def _identity(device: Device) -> tuple[Any, ...]:
    multipath = _multipath(device)
    if multipath is not None:
        return ('multipath', multipath.kname)
    if device.wwn is not None:
        return (device.wwn, device.serial, device.size)
    return ('device', device.kname)


def _multipath(device: Device) -> Device | None:
    return next((child for child in device.children if child.type == 'mpath'), None)


def disk_rows(tree: Tree, files: Mapping[str, str], links: Mapping[str, str],
              pool_of_member: Mapping[str, str], spares: frozenset[str] = frozenset()) -> list[Row]:
    """Rows of the disks.

    `files` are the contents of `FILES`, `links` the links in `LINK_DIRECTORY`; `pool_of_member` maps kernel names of
    devices that pools are made of to pool ids, `spares` are those of them that wait as spares.
    """
    return [_disk_row(disk, files, links, pool_of_member, spares) for disk in disks(tree)]


def _disk_row(disk: Disk, files: Mapping[str, str], links: Mapping[str, str], pool_of_member: Mapping[str, str],
              spares: frozenset[str]) -> Row:
    first, top = disk.paths[0], disk.top
    partitions = [device for device in top.children if device.type == 'part']
    member = partitions[0] if len(partitions) == 1 else top     # "the disk or its only partition"
    pool = pool_of_member.get(member.kname) or pool_of_member.get(top.kname)
    return row(
        native_disk_id=disk.native_id, name=top.name, physical_type=_physical_type(first),
        logical_type=_logical_type(member, pool, spares), status=disk.status,
        location=first.hctl or _pci_address(links.get(f'/sys/block/{first.kname}')),
        native_disk_group_id=pool, serial_number=first.serial, manufacturer=_manufacturer(first), model=first.model,
        firmware=text(files.get(f'/sys/block/{first.kname}/device/firmware_rev')) or first.revision,
        capacity=first.size,
        extra=extra(wwn=first.wwn, transport=first.transport, removable=first.removable or None,
                    paths=[path.kname for path in disk.paths] if len(disk.paths) > 1 else None))


def _physical_type(device: Device) -> str:
    transport = next((value for prefix, value in _TRANSPORT_BY_NAME.items() if device.kname.startswith(prefix)),
                     device.transport)
    names = ' '.join(filter(None, (device.vendor, device.model)))
    if transport != 'nvme' and (transport == 'virtio' or _VIRTUAL_DISK.search(names)):
        return DiskPhysicalType.VMDISK      # what the hypervisor says about rotation is a default
    types = _PHYSICAL_TYPES.get(transport)
    if types is None or (device.rotational is None and types[0] != types[1]):
        return DiskPhysicalType.UNKNOWN
    return types[0] if device.rotational else types[1]


def _logical_type(member: Device, pool: str | None, spares: frozenset[str]) -> str | None:
    if member.kname in spares:
        return DiskLogicalType.HOTSPARE
    return DiskLogicalType.MEMBER if pool is not None else None


def _status(paths: tuple[Device, ...]) -> str | None:
    """Status of a disk from the states of its paths; a state we never heard of is unknown."""
    states = {_STATUS.get(path.state) for path in paths}
    if len(states) == 1:
        return states.pop()
    return DiskStatus.DEGRADED if DiskStatus.NORMAL in states else DiskStatus.ABNORMAL


def _manufacturer(device: Device) -> str | None:
    """The vendor, but not the word ATA that libata fills in, nor virtio's PCI number."""
    return None if device.vendor is None or device.vendor == 'ATA' or device.vendor.startswith('0x') else device.vendor


def _pci_address(target: str | None) -> str | None:
    addresses = _PCI_ADDRESS.findall(target or '')
    return addresses[-1] if addresses else None


# --- partitions ---

def partitions(tree: Tree, pool_of_volume: Mapping[str, str]) -> dict[str, Device]:
    """Partitions of disks, multipath disks and md arrays by native id: the PARTUUID, else the kernel's name. Extended
    MBR partitions only hold others and are left out.
    """
    carriers = {device.kname for disk in disks(tree) for device in (*disk.paths, disk.top)}
    found = [
        device for device in tree.by_kname.values()
        if device.type == 'part'
        and device.size > _EXTENDED_PARTITION_BYTES and device.parttype not in _EXTENDED_PARTITIONS
        and any(parent in carriers or parent in pool_of_volume for parent in tree.parents.get(device.kname, ()))]
    ids = Counter(device.partuuid for device in found)
    # A disk that was copied has the same PARTUUIDs as the original: then only names tell them apart.
    return {device.partuuid if device.partuuid and ids[device.partuuid] == 1 else device.kname: device
            for device in found}


def partition_rows(tree: Tree, pool_of_volume: Mapping[str, str]) -> list[Row]:
    """Partitions as volumes."""
    return [_partition_row(native_id, device, tree.pool_below(device.kname, pool_of_volume))
            for native_id, device in partitions(tree, pool_of_volume).items()]


def _partition_row(native_id: str, device: Device, pool: str | None) -> Row:
    return row(
        native_volume_id=native_id, name=device.name, description=device.partlabel, status=VolumeStatus.AVAILABLE,
        native_storage_pool_id=pool, total_capacity=device.size,
        extra=extra(kind='partition', device=device.path, fstype=device.fstype, partition_type=device.parttype))
