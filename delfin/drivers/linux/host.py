# SPDX-License-Identifier: Apache-2.0
"""The machine itself: identity, processors, memory.

Facts: machine-id(5), os-release(5), proc(5); /sys/class/dmi/id as of drivers/firmware/dmi-id.c.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import shlex
from collections.abc import Mapping

from delfin import exception
from delfin.common.constants import ControllerStatus, StorageStatus
from delfin.drivers.driver import Row
from delfin.drivers.linux.text import integer, row, text

_MACHINE_IDS = ('/etc/machine-id', '/var/lib/dbus/machine-id')
_PRODUCT_UUID = '/sys/class/dmi/id/product_uuid'        # readable by root only
_VENDOR = '/sys/class/dmi/id/sys_vendor'
_PRODUCT = '/sys/class/dmi/id/product_name'
_OS_RELEASES = ('/etc/os-release', '/usr/lib/os-release')
HOSTNAME = '/proc/sys/kernel/hostname'
_KERNEL = '/proc/sys/kernel/osrelease'
_CPUS = '/sys/devices/system/cpu/online'
_CPU_INFO = '/proc/cpuinfo'
_MEMORY = '/proc/meminfo'
_NETWORK = '/sys/class/net/*'
IDENTITY_FILES = (*_MACHINE_IDS, _PRODUCT_UUID, _VENDOR, _PRODUCT, *_OS_RELEASES, HOSTNAME, _KERNEL,
                  f'{_NETWORK}/address', f'{_NETWORK}/addr_assign_type', f'{_NETWORK}/device/uevent')
CONTROLLER_FILES = (*IDENTITY_FILES, _CPUS, _CPU_INFO, _MEMORY)

# machine-id(5) asks not to show the id but a keyed hash of it, with a constant of the application.
_APPLICATION = b'delfin linux host serial number'
_SERIAL_DIGITS = 32
_ID = re.compile('[0-9a-f]{32}')
_ALL_ALIKE = re.compile(r'(.)\1*')
_PERMANENT_ADDRESS = '0'        # of addr_assign_type
_VENDOR_DEFAULT = 'Linux'
# What boards contain whose maker did not fill in the DMI table.
_DMI_DEFAULTS = ('to be filled by o.e.m.', 'system manufacturer', 'system product name', 'default string', 'unknown',
                 'not specified', 'not applicable', 'none', 'o.e.m.', 'empty')
_CPU_NAMES = ('model name', 'cpu model', 'Processor', 'cpu', 'Hardware')       # x86, MIPS, old ARM, POWER, ARM boards


def serial_number(files: Mapping[str, str]) -> str:
    """A stable number for this installation: 32 hexadecimal digits.

    From the machine id; without one from the DMI product UUID (root only), else from the permanent MAC addresses of
    the physical network ports. `InvalidResults` if there is nothing of the kind.
    """
    for path in _MACHINE_IDS:
        found = files.get(path, '').strip().lower()
        if _ID.fullmatch(found) and not _ALL_ALIKE.fullmatch(found):
            return _keyed(found)
    product = re.sub('[^0-9a-f]', '', files.get(_PRODUCT_UUID, '').lower())
    if _ID.fullmatch(product) and not _ALL_ALIKE.fullmatch(product):
        return _keyed(product)
    addresses = _permanent_addresses(files)
    if addresses:
        return _keyed(' '.join(addresses))
    raise exception.InvalidResults('The machine has no id: /etc/machine-id is absent or not set up. Run '
                                   '"systemd-machine-id-setup" (or "dbus-uuidgen --ensure") there as root.')


def _keyed(identity: str) -> str:
    return hmac.new(identity.encode(), _APPLICATION, hashlib.sha256).hexdigest()[:_SERIAL_DIGITS]


def _permanent_addresses(files: Mapping[str, str]) -> list[str]:
    """MAC addresses that are burnt into physical ports, in a fixed order."""
    found = set()
    for path, content in files.items():
        place = path.removesuffix('/addr_assign_type')
        if place != path and content.strip() == _PERMANENT_ADDRESS and f'{place}/device/uevent' in files:
            found.add(files.get(f'{place}/address', '').strip().lower())
    return sorted(address for address in found if address.strip('0:'))


def storage_row(files: Mapping[str, str], raw_capacity: int | None, capacities: tuple[int, int, int] | None,
                notes: list[str]) -> Row:
    """The storage; `capacities` are total, used and free bytes of all filesystems."""
    release = _os_release(files)
    pretty = text(release.get('PRETTY_NAME')) or text(release.get('NAME'))
    total, used, free = capacities or (None, None, None)
    return row(
        name=_line(files, HOSTNAME), vendor=_dmi(files, _VENDOR) or _VENDOR_DEFAULT,
        model=_dmi(files, _PRODUCT) or pretty, serial_number=serial_number(files),
        firmware_version=_line(files, _KERNEL), description='. '.join(filter(None, (pretty, *notes))) or None,
        status=StorageStatus.NORMAL, raw_capacity=raw_capacity, total_capacity=total, used_capacity=used,
        free_capacity=free)


def controller_row(files: Mapping[str, str], mgmt_ip: str | None) -> Row:
    """The machine as the only controller. Memory is what the kernel has (MemTotal), less than what is installed."""
    memory = re.search(r'^MemTotal:\s+(\d+) kB', files.get(_MEMORY, ''), re.MULTILINE)
    return row(
        native_controller_id=serial_number(files), name=_line(files, HOSTNAME), status=ControllerStatus.NORMAL,
        soft_version=_line(files, _KERNEL), cpu_info=_cpu_name(files.get(_CPU_INFO, '')),
        cpu_count=_count(files.get(_CPUS, '')), memory_size=int(memory[1]) * 1024 if memory else None, mgmt_ip=mgmt_ip)


def _line(files: Mapping[str, str], path: str) -> str | None:
    return text(files.get(path))


def _dmi(files: Mapping[str, str], path: str) -> str | None:
    value = _line(files, path)
    return None if value is None or value.lower() in _DMI_DEFAULTS else value


def _os_release(files: Mapping[str, str]) -> dict[str, str]:
    content = next((files[path] for path in _OS_RELEASES if path in files), '')
    found = {}
    for line in content.splitlines():
        name, separator, value = line.strip().partition('=')
        if separator and not name.startswith('#'):
            try:
                found[name] = ''.join(shlex.split(value))
            except ValueError:      # unbalanced quotes
                found[name] = value
    return found


def _cpu_name(cpuinfo: str) -> str | None:
    for name in _CPU_NAMES:
        found = re.search(rf'^{name}\s*: *(.+)$', cpuinfo, re.MULTILINE)
        if found:
            return text(found[1])
    return None


def _count(cpus: str) -> int | None:
    """Number of CPUs in a list like `0-3,8`."""
    total = 0
    for part in filter(None, cpus.strip().split(',')):
        first, _, last = part.partition('-')
        start, end = integer(first), integer(last or first)
        if start is None or end is None:
            return None
        total += end - start + 1
    return total or None
