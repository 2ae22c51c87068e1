# SPDX-License-Identifier: Apache-2.0
"""What rows look like: one table of column functions per kind.

A column function sees the row made so far (`item.row`), so `free_capacity` comes after what it is computed from. In
each recipe at least one column changes with the row's generation, or `epoch` would change nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from delfin.common import constants
from delfin.drivers.fake_storage import alerts, capacity
from delfin.drivers.fake_storage.capacity import GIB, Sizes
from delfin.drivers.fake_storage.model import FakeArray, Item, Members, Recipe
from delfin.kinds import KINDS

GBIT = 10**9

Column = Callable[[Item], Any]

# Which addresses belong to whom, so that no two rows of an array share one.
_CONTROLLER_SLOT, _PORT_SLOT, _HOST_SLOT, _INITIATOR_SLOT = range(4)

_APPLICATIONS = ('erp', 'crm', 'mail', 'web', 'backup', 'billing', 'archive', 'analytics', 'vdi', 'hr')
_PURPOSES = ('data', 'log', 'index', 'temp', 'boot')
_HOST_NAMES = ('esx', 'db', 'app', 'win', 'batch')
_OPERATING_SYSTEMS = {
    'esx': constants.HostOSTypes.VMWARE_ESX,
    'db': constants.HostOSTypes.LINUX,
    'app': constants.HostOSTypes.LINUX,
    'win': constants.HostOSTypes.WINDOWS,
    'batch': constants.HostOSTypes.AIX,
}
_POOL_NAMES = ('gold', 'silver', 'bronze', 'archive')

_PORT = constants.PortType
_PORT_ROLE = constants.PortLogicalType
# Ports of one controller, in the order of its slots: type, role, bit/s.
_PORT_LAYOUT = (
    (_PORT.FC, _PORT_ROLE.FRONTEND, 32 * GBIT),
    (_PORT.FC, _PORT_ROLE.FRONTEND, 32 * GBIT),
    (_PORT.ISCSI, _PORT_ROLE.FRONTEND, 25 * GBIT),
    (_PORT.ETH, _PORT_ROLE.MANAGEMENT, 1 * GBIT),
    (_PORT.SAS, _PORT_ROLE.BACKEND, 48 * GBIT),
    (_PORT.FCOE, _PORT_ROLE.FRONTEND, 10 * GBIT),
)
_IP_PORTS = (_PORT.ISCSI, _PORT.ETH)
_WWN_PORTS = (_PORT.FC, _PORT.FCOE, _PORT.SAS)

_DISK = constants.DiskPhysicalType
_DISKS_PER_SHELF = 12
# Shelves in order: disk type, rpm (None: it does not turn).
_SHELVES = ((_DISK.NVME_SSD, None), (_DISK.SAS, 10_000), (_DISK.SSD, None), (_DISK.NL_SAS, 7_200))


def _application(index: int) -> str:
    return _APPLICATIONS[index % len(_APPLICATIONS)]


def _purpose(index: int) -> str:
    return _PURPOSES[index // len(_APPLICATIONS) % len(_PURPOSES)]


def _fixed(value: Any) -> Column:
    return lambda item: value


def _refer(size: str) -> Column:
    return lambda item: item.refer(size)


def _mostly(usual: str, other: str) -> Column:
    return lambda item: item.mostly(usual, other)


def _turn(choices: tuple[str, ...]) -> Column:
    return lambda item: item.turn(choices)


def _numbered(words: tuple[str, ...], digits: int = 3) -> Column:
    """`<word>-<number>`, unique because of the number."""
    return lambda item: f'{words[item.index % len(words)]}-{item.index:0{digits}}'


def _described(what: str) -> Column:
    """A description that is the only thing about such a row that can change."""
    return lambda item: f'{what}, revision {item.generation}' if item.generation else what


def _native_id(label: str) -> Callable[[int], str]:
    return lambda index: f'{label}_{index}'


def _free(item: Item) -> int:
    return int(item.row['total_capacity'] - item.row['used_capacity'])


def _used(item: Item) -> int:
    return int(item.row['total_capacity'] * item.used_percent() // 100)


def _sized(sizes: Callable[[FakeArray], Sizes]) -> dict[str, Column]:
    """Type and capacities of what lives in a pool."""
    return {
        'type': lambda item: (constants.VolumeType.THICK if sizes(item.array).is_thick(item.index)
                              else constants.VolumeType.THIN),
        'total_capacity': lambda item: sizes(item.array).total(item.index),
        'used_capacity': _used,
        'free_capacity': _free,
    }


def _pool_used(item: Item) -> int:
    """What the members take, and one to five GiB of snapshots."""
    return item.array.pool_demand(item.index).allocated + item.turn(range(1, 6)) * GIB


def _pool_total(item: Item) -> int:
    nominal = item.array.pool_demand(item.index, configured=True).allocated
    # The fill level is the pool's own, whatever else is drawn for its row.
    return capacity.pool_total(item.row['used_capacity'], nominal, item.chance.roll(55, 85))


def _port_layout(item: Item) -> tuple[str, str, int]:
    controllers = max(len(item.array.extents['controllers'].kept), 1)
    return _PORT_LAYOUT[item.index // controllers % len(_PORT_LAYOUT)]


def _port_type(item: Item) -> str:
    return _port_layout(item)[0]


def _for_ports(types: tuple[str, ...], make: Column) -> Column:
    """A column that only ports of these types have."""
    return lambda item: make(item) if item.row['type'] in types else None


def _link_speed(item: Item) -> int | None:
    linked = item.row['connection_status'] == constants.PortConnectionStatus.CONNECTED
    return item.row['max_speed'] if linked else None


def _shelf(item: Item) -> int:
    return item.index // _DISKS_PER_SHELF


def _shelf_type(item: Item) -> tuple[str, int | None]:
    return _SHELVES[_shelf(item) % len(_SHELVES)]


def _disk_role(item: Item) -> str:
    last = item.index % _DISKS_PER_SHELF == _DISKS_PER_SHELF - 1
    return constants.DiskLogicalType.HOTSPARE if last else constants.DiskLogicalType.MEMBER


def _filesystem_name(index: int) -> str:
    return f'fs_{_application(index)}_{index:03}'


def _filesystem_of_qtree(item: Item, qtree: int) -> int | None:
    return item.array.extents['filesystems'].reference(qtree)


def _qtree_path(item: Item) -> str:
    filesystem = _filesystem_of_qtree(item, item.index)
    volume = '' if filesystem is None else f'/{_filesystem_name(filesystem)}'
    return f'{volume}/qtree_{item.index:03}'


def _shared_qtree(item: Item) -> int | None:
    """Every second share and every third quota is for a qtree, the others for a whole file system."""
    return item.array.extents['qtrees'].reference(item.index // 2) if item.index % 2 == 0 else None


def _share_path(item: Item) -> str:
    qtree = _shared_qtree(item)
    filesystem = _filesystem_of_qtree(item, item.index if qtree is None else qtree)
    volume = '' if filesystem is None else f'/{_filesystem_name(filesystem)}'
    return f'{volume}/share_{item.index:03}' if qtree is None else f'{volume}/qtree_{qtree:03}'


def _quota_qtree(item: Item) -> int | None:
    tree = item.row['type'] == constants.QuotaType.TREE
    return item.array.extents['qtrees'].reference(item.index // 3) if tree else None


def _qtree_reference(qtree: Callable[[Item], int | None]) -> Column:
    def refer(item: Item) -> str | None:
        index = qtree(item)
        return None if index is None else item.refer('qtrees', index)
    return refer


def _filesystem_reference(qtree: Callable[[Item], int | None]) -> Column:
    """The file system the row's qtree is in; without a qtree, one of its own."""
    def refer(item: Item) -> str | None:
        index = qtree(item)
        return item.refer('filesystems', item.index if index is None else index)
    return refer


def _quota_owner(item: Item) -> str | None:
    kind = item.row['type']
    return None if kind == constants.QuotaType.TREE else f'{kind}_{item.index:03}'


def _percent_of(column: str, percent: int) -> Column:
    return lambda item: item.row[column] * percent // 100


def _initiator_type(item: Item) -> str:
    types = constants.InitiatorType
    return (types.FC, types.FC, types.FC, types.ISCSI)[item.index % 4]


def _initiator_name(item: Item) -> str:
    """The port's WWN or IQN, as arrays name initiators."""
    if item.row['type'] == constants.InitiatorType.ISCSI:
        return f'iqn.2024-01.org.example:{item.array.tag}-{item.index:06}'
    return item.array.wwn(_INITIATOR_SLOT, item.index)


def _view_by_group(item: Item) -> bool:
    """Two out of three masking views are for groups, if there are groups; the others for one host and one volume."""
    extents = item.array.extents
    grouped = bool(extents['host_groups'].kept and extents['volume_groups'].kept)
    return grouped and item.index % 3 != 2


def _view_refer(size: str, by_group: bool) -> Column:
    return lambda item: item.refer(size) if _view_by_group(item) is by_group else None


def _recipe(kind: str, columns: Mapping[str, Column], members: Members | None = None) -> Recipe:
    return Recipe(KINDS[kind].table, _native_id(KINDS[kind].singular), columns, members)


def _group(kind: str, what: str, size: str, per_group: int) -> Recipe:
    label = what.replace(' ', '-')
    return _recipe(kind, {
        'name': lambda item: f'{label}-{_application(item.index)}-{item.index:03}',
        'description': _described(f'A {what}'),
    }, Members(KINDS[kind].relations[0], size, per_group))


RECIPES: Mapping[str, Recipe] = {
    'pools': _recipe('storage_pools', {
        'name': _numbered(_POOL_NAMES, 2),
        'description': lambda item: f'Pool for {item.row["name"].partition("-")[0]} service',
        'storage_type': _fixed(constants.StorageType.UNIFIED),
        'status': _fixed(constants.StoragePoolStatus.NORMAL),
        'used_capacity': _pool_used,
        'total_capacity': _pool_total,
        'free_capacity': _free,
        'subscribed_capacity': lambda item: item.array.pool_demand(item.index).total,
    }),
    'volumes': _recipe('volumes', {
        'name': lambda item: f'{_application(item.index)}-{_purpose(item.index)}-{item.index:04}',
        'description': lambda item: f'Volume of {_application(item.index)}',
        'status': _fixed(constants.VolumeStatus.AVAILABLE),
        'native_storage_pool_id': _refer('pools'),
        'wwn': lambda item: item.array.volume_wwn(item.index),
        **_sized(lambda array: array.volume_sizes),
        'compressed': lambda item: item.chance.roll(0, 1) == 1,
        'deduplicated': lambda item: item.chance.roll(0, 3) == 0,
    }),
    'controllers': _recipe('controllers', {
        'name': lambda item: f'controller-{item.index + 1}',
        'status': _mostly(constants.ControllerStatus.NORMAL, constants.ControllerStatus.DEGRADED),
        'location': lambda item: f'enclosure {item.index // 2}, slot {item.index % 2}',
        'soft_version': _fixed('1.0.0'),
        'cpu_info': _fixed('make-believe CPU, 16 cores, 2.4 GHz'),
        'cpu_count': _fixed(2),
        'memory_size': _fixed(256 * GIB),
        'mgmt_ip': lambda item: item.array.ipv4(_CONTROLLER_SLOT, item.index),
    }),
    'ports': _recipe('ports', {
        'name': lambda item: f'port-{item.index:03}',
        'location': lambda item: f'{item.refer("controllers") or "chassis"}, port {item.index}',
        'type': _port_type,
        'logical_type': lambda item: _port_layout(item)[1],
        'connection_status': _mostly(constants.PortConnectionStatus.CONNECTED,
                                     constants.PortConnectionStatus.DISCONNECTED),
        'health_status': _fixed(constants.PortHealthStatus.NORMAL),
        'native_parent_id': _refer('controllers'),
        'max_speed': lambda item: _port_layout(item)[2],
        'speed': _link_speed,
        'wwn': _for_ports(_WWN_PORTS, lambda item: item.array.wwn(_PORT_SLOT, item.index)),
        'mac_address': _for_ports(_IP_PORTS, lambda item: item.array.mac(item.index)),
        'ipv4': _for_ports(_IP_PORTS, lambda item: item.array.ipv4(_PORT_SLOT, item.index)),
        'ipv4_mask': _for_ports(_IP_PORTS, _fixed('255.255.192.0')),
        'ipv6': _for_ports(_IP_PORTS, lambda item: item.array.ipv6(_PORT_SLOT, item.index)),
        'ipv6_mask': _for_ports(_IP_PORTS, _fixed('64')),
    }),
    'disks': _recipe('disks', {
        'name': lambda item: f'disk-{_shelf(item):02}-{item.index % _DISKS_PER_SHELF:02}',
        'physical_type': lambda item: _shelf_type(item)[0],
        'logical_type': _disk_role,
        'status': _mostly(constants.DiskStatus.NORMAL, constants.DiskStatus.DEGRADED),
        'location': lambda item: f'shelf {_shelf(item)}, slot {item.index % _DISKS_PER_SHELF}',
        'native_disk_group_id': lambda item: f'disk_group_{_shelf(item)}',
        'serial_number': lambda item: f'FD{item.array.tag.upper()}{item.index:07}',
        'manufacturer': _fixed('Make-Believe Disks'),
        'model': lambda item: f'MB-{item.array.disk_capacity(item.index) // 10**9}',
        'firmware': _fixed('MB01'),
        'speed': lambda item: _shelf_type(item)[1],
        'capacity': lambda item: item.array.disk_capacity(item.index),
        'health_score': lambda item: item.turn(range(85, 101)),
    }),
    'quotas': _recipe('quotas', {
        'type': lambda item: constants.QuotaType.ALL[item.index % 3],
        'native_filesystem_id': _filesystem_reference(_quota_qtree),
        'native_qtree_id': _qtree_reference(_quota_qtree),
        'capacity_hard_limit': lambda item: item.chance.roll(1, 10) * 50 * GIB,
        'capacity_soft_limit': _percent_of('capacity_hard_limit', 80),
        'file_hard_limit': lambda item: item.chance.roll(1, 10) * 100_000,
        'file_soft_limit': _percent_of('file_hard_limit', 80),
        'file_count': _percent_of('file_hard_limit', 30),
        'used_capacity': lambda item: item.row['capacity_hard_limit'] * item.used_percent() // 100,
        'user_group_name': _quota_owner,
    }),
    'filesystems': _recipe('filesystems', {
        'name': lambda item: _filesystem_name(item.index),
        'status': _fixed(constants.FilesystemStatus.NORMAL),
        'native_pool_id': _refer('pools'),
        'security_mode': lambda item: item.chance.pick(constants.NASSecurityMode.ALL),
        **_sized(lambda array: array.filesystem_sizes),
        'compressed': lambda item: item.chance.roll(0, 1) == 1,
        'deduplicated': lambda item: item.chance.roll(0, 1) == 1,
        'worm': lambda item: constants.WORMType.COMPLIANCE if item.index % 8 == 7 else constants.WORMType.NON_WORM,
    }),
    'qtrees': _recipe('qtrees', {
        'name': lambda item: f'qtree_{item.index:03}',
        'path': _qtree_path,
        'native_filesystem_id': _refer('filesystems'),
        'security_mode': _turn((constants.NASSecurityMode.UNIX, constants.NASSecurityMode.NTFS,
                                constants.NASSecurityMode.MIXED)),
    }),
    'shares': _recipe('shares', {
        'name': lambda item: f'share_{item.index:03}',
        'path': _share_path,
        'native_filesystem_id': _filesystem_reference(_shared_qtree),
        'native_qtree_id': _qtree_reference(_shared_qtree),
        'protocol': _turn((constants.ShareProtocol.NFS, constants.ShareProtocol.CIFS)),
    }),
    'initiators': _recipe('storage_host_initiators', {
        'type': _initiator_type,
        'name': _initiator_name,
        'wwn': lambda item: item.row['name'],
        'alias': lambda item: f'hba-{item.index:04}',
        'description': _fixed('Initiator'),
        'status': _mostly(constants.InitiatorStatus.ONLINE, constants.InitiatorStatus.OFFLINE),
        'native_storage_host_id': _refer('hosts'),
    }),
    'hosts': _recipe('storage_hosts', {
        'name': _numbered(_HOST_NAMES),
        'description': lambda item: f'Server {item.row["name"]}',
        'os_type': lambda item: _OPERATING_SYSTEMS[_HOST_NAMES[item.index % len(_HOST_NAMES)]],
        'ip_address': lambda item: item.array.ipv4(_HOST_SLOT, item.index),
        'status': _mostly(constants.HostStatus.NORMAL, constants.HostStatus.OFFLINE),
    }),
    'host_groups': _group('storage_host_groups', 'host group', 'hosts', 4),
    'port_groups': _group('port_groups', 'port group', 'ports', 2),
    'volume_groups': _group('volume_groups', 'volume group', 'volumes', 8),
    'masking_views': _recipe('masking_views', {
        'name': lambda item: f'view-{item.index:03}',
        'description': _described('A masking view'),
        'native_storage_host_group_id': _view_refer('host_groups', True),
        'native_volume_group_id': _view_refer('volume_groups', True),
        'native_port_group_id': _refer('port_groups'),
        'native_storage_host_id': _view_refer('hosts', False),
        'native_volume_id': _view_refer('volumes', False),
    }),
    'alerts': Recipe(alerts.TABLE, alerts.sequence_number, alerts.COLUMNS),
}

# Size option of each kind, by the kind's name.
SIZE_OF_KIND: Mapping[str, str] = {recipe.table.name: size for size, recipe in RECIPES.items() if size != 'alerts'}
