# SPDX-License-Identifier: Apache-2.0
"""Which field of the array is which column of Delfin, for the inventory.

Fields are those of the REST interface; releases differ in their case. The numbers of the states:

* HEALTHSTATUS: 0 unknown, 1 normal, 2 faulty, 3 about to fail, 4 partially damaged, 5 degraded, 7 bit errors,
  9 inconsistent, 11 no input, 12 low battery, 14 invalid, 15 write-protected, 17 single link, 18 offline.
* RUNNINGSTATUS: 0 unknown, 1 normal, 2 running, 3 not running, 5 high-temperature sleep, 8 spun down, 10 link up,
  11 link down, 12 powering on, 13 powering off, 14 pre-copy, 16 reconstruction, 27 online, 28 offline, 32 balancing,
  33 to be recovered, 53 initialising, 103 power-on failed, 106 deleting.

Capacities count sectors of the array, 512 bytes in practice: not of the object, whose own SECTORSIZE is the block size
that hosts see. Only disks count in their own sectors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from delfin.common import constants
from delfin.common.constants import DiskLogicalType, DiskPhysicalType, HostOSTypes, PortLogicalType
from delfin.drivers import kit
from delfin.drivers.huawei.oceanstor import codes
from delfin.drivers.kit import OTHERS, combined, constant, first_of, product, units

MISSING: Final = ('--', '-1', 'INVALID_VALUE64', str(2**64 - 1))
# Not fields of the array: what the driver adds to replies that do not have it.
SECTOR, FILESYSTEM_NAME = 'sector size of the array', 'name of the file system'

Table = partial(kit.Table, missing=MISSING, any_case=True)


def of_type(code: int) -> Callable[[Any, Any], Any]:
    """PARENTID if PARENTTYPE, a number or text, is this."""
    def parent(parent_id: Any, parent_type: Any) -> Any:
        return parent_id if str(parent_type).strip() == str(code) else None
    return parent


def joined(separator: str) -> Callable[..., str]:
    """What is known of several fields."""
    return lambda *values: separator.join(str(value) for value in values if value is not None)


# --- the array ---

MODELS: Final = {
    61: '6800 V3', 62: '6900 V3', 63: '5600 V3', 64: '5800 V3', 68: '5500 V3', 70: '5300 V3', 806: 'Dorado6000 V3',
    811: 'Dorado 5000 V6', 812: 'Dorado 5000 V6', 813: 'Dorado 6000 V6', 814: 'Dorado 6000 V6', 815: 'Dorado 8000 V6',
    816: 'Dorado 8000 V6', 817: 'Dorado 18000 V6', 818: 'Dorado 18000 V6', 819: 'Dorado 3000 V6',
    825: 'Dorado 3000 V6', 826: 'Dorado 5000 V6', 827: 'Dorado 6000 V6', 828: 'Dorado 6000 V6', 829: 'Dorado 8000 V6',
    830: 'Dorado 18000 V6', 831: 'Dorado 18000 V6', 832: 'Dorado 18000 V6', 833: 'OceanStor 5310',
    834: 'OceanStor 5510', 835: 'OceanStor 5610', 836: 'OceanStor 6810', 837: 'OceanStor 18510',
    838: 'OceanStor 18810', 900: 'OceanStor Dorado 5000', 901: 'OceanStor Dorado 5000', 902: 'OceanStor Dorado 6000',
    903: 'OceanStor Dorado 6000', 908: 'OceanStor Dorado 3000', OTHERS: 'OceanStor'}


def subscribed(thin: Any, thick: Any, sector: Any) -> Any:
    """What thin LUNs may grow to and thick ones hold."""
    return units.product(units.total(*(value for value in (thin, thick) if value is not None)), sector)


STORAGE: Final = Table('storage', {
    'name': 'NAME',
    'vendor': constant('Huawei'),
    'description': constant('Huawei OceanStor Storage'),
    'model': first_of('productModeString', ('PRODUCTMODE', MODELS), constant('OceanStor')),
    'serial_number': ('ID', 'text'),
    # The driver prefers SOFTVER of a controller.
    'firmware_version': combined(joined(' '), 'PRODUCTVERSION', 'pointRelease', 'patchVersion'),
    'location': 'LOCATION',
    'status': first_of(
        ('RUNNINGSTATUS', {1: None, 0: constants.StorageStatus.UNKNOWN, OTHERS: constants.StorageStatus.OFFLINE}),
        ('HEALTHSTATUS', {
            0: constants.StorageStatus.UNKNOWN, 1: constants.StorageStatus.NORMAL, 2: constants.StorageStatus.ABNORMAL,
            3: constants.StorageStatus.DEGRADED, 4: constants.StorageStatus.DEGRADED,
            5: constants.StorageStatus.DEGRADED}),
        ('RUNNINGSTATUS', {1: constants.StorageStatus.NORMAL})),
    'total_capacity': first_of(product('TOTALCAPACITY', SECTOR), product('MEMBERDISKSCAPACITY', SECTOR)),
    'used_capacity': first_of(product('USEDCAPACITY', SECTOR), product('STORAGEPOOLUSEDCAPACITY', SECTOR)),
    # Without one of these the driver takes total - used.
    'free_capacity': first_of(product('userFreeCapacity', SECTOR), product('STORAGEPOOLFREECAPACITY', SECTOR)),
    'raw_capacity': product('MEMBERDISKSCAPACITY', SECTOR),
    'subscribed_capacity': combined(subscribed, 'THINLUNSMAXCAPACITY', 'THICKLUNSALLOCATECAPACITY', SECTOR),
})

# --- what is in it ---

CONTROLLERS: Final = Table('controllers', {
    'native_controller_id': 'ID',
    'name': 'NAME',
    'status': first_of(
        ('RUNNINGSTATUS', {0: constants.ControllerStatus.UNKNOWN, 28: constants.ControllerStatus.OFFLINE,
                           103: constants.ControllerStatus.FAULT}),
        ('HEALTHSTATUS', {2: constants.ControllerStatus.FAULT, 3: constants.ControllerStatus.DEGRADED,
                          5: constants.ControllerStatus.DEGRADED}),
        ('RUNNINGSTATUS', {OTHERS: constants.ControllerStatus.NORMAL})),
    'location': 'LOCATION',
    'soft_version': 'SOFTVER',
    'cpu_info': 'CPUINFO',
    'memory_size': ('MEMORYSIZE', 'MiB'),
})                                              # mgmt_ip: of its management port

DISKS: Final = Table('disks', {
    'native_disk_id': 'ID',
    'name': combined(joined(':'), 'MODEL', 'SERIALNUMBER'),
    'serial_number': 'SERIALNUMBER',
    'model': 'MODEL',
    'manufacturer': 'MANUFACTURER',
    'firmware': 'FIRMWAREVER',
    'location': 'LOCATION',
    'speed': ('SPEEDRPM', 'integer'),
    'capacity': product('SECTORS', 'SECTORSIZE'),
    'status': first_of(
        ('RUNNINGSTATUS', {0: constants.DiskStatus.ABNORMAL, 28: constants.DiskStatus.OFFLINE}),
        ('HEALTHSTATUS', {2: constants.DiskStatus.ABNORMAL, 3: constants.DiskStatus.DEGRADED,
                          5: constants.DiskStatus.DEGRADED, 7: constants.DiskStatus.DEGRADED,
                          17: constants.DiskStatus.DEGRADED}),
        ('RUNNINGSTATUS', {OTHERS: constants.DiskStatus.NORMAL})),
    'physical_type': ('DISKTYPE', {
        0: DiskPhysicalType.FC,
        1: DiskPhysicalType.SAS,
        2: DiskPhysicalType.SATA,
        3: DiskPhysicalType.SSD,
        4: DiskPhysicalType.NL_SAS,
        5: DiskPhysicalType.SSD,                # SLC
        6: DiskPhysicalType.SSD,                # MLC
        7: DiskPhysicalType.FC,                 # encrypting, as all "SED" below
        8: DiskPhysicalType.SAS,                # SED
        9: DiskPhysicalType.SATA,               # SED
        10: DiskPhysicalType.SSD,               # SED
        11: DiskPhysicalType.NL_SAS,            # SED
        12: DiskPhysicalType.SSD,
        13: DiskPhysicalType.SSD,
        14: DiskPhysicalType.NVME_SSD,
        16: DiskPhysicalType.NVME_SSD,          # SED
        17: DiskPhysicalType.SSD,               # storage-class memory
        18: DiskPhysicalType.SSD,               # storage-class memory, SED
        OTHERS: DiskPhysicalType.UNKNOWN}),
    'logical_type': ('LOGICTYPE', {1: DiskLogicalType.FREE, 2: DiskLogicalType.MEMBER, 3: DiskLogicalType.HOTSPARE,
                                   4: DiskLogicalType.CACHE, OTHERS: DiskLogicalType.UNKNOWN}),
    'health_score': ('HEALTHMARK', lambda mark: None if units.whole(mark) == 255 else units.whole(mark)),  # noqa: PLR2004
    'native_disk_group_id': 'POOLID',           # the disk domain
})

_PORT: Final[Mapping[str, Any]] = {
    'native_port_id': 'ID',
    'name': 'NAME',
    'location': 'LOCATION',
    'connection_status': ('RUNNINGSTATUS', {
        0: constants.PortConnectionStatus.UNKNOWN, 11: constants.PortConnectionStatus.DISCONNECTED,
        OTHERS: constants.PortConnectionStatus.CONNECTED}),
    'health_status': ('HEALTHSTATUS', {
        0: constants.PortHealthStatus.UNKNOWN, 1: constants.PortHealthStatus.NORMAL,
        OTHERS: constants.PortHealthStatus.ABNORMAL}),
    'logical_type': first_of(('LOGICTYPE', {
        0: PortLogicalType.SERVICE,
        1: PortLogicalType.OTHER,               # expansion
        2: PortLogicalType.MANAGEMENT,
        3: PortLogicalType.INTERNAL,
        4: PortLogicalType.MAINTENANCE,
        5: PortLogicalType.SERVICE,             # management and service
        6: PortLogicalType.MAINTENANCE,         # maintenance and service
        11: PortLogicalType.INTERCONNECT}), constant(PortLogicalType.OTHER)),
    'native_parent_id': 'PARENTID',             # an interface module, or a controller
    'speed': ('RUNSPEED', 'Mbit/s'),
    'max_speed': ('MAXSPEED', 'Mbit/s'),
    'wwn': 'WWN',
    'mac_address': 'MACADDRESS',
    'ipv4': 'IPV4ADDR',
    'ipv4_mask': 'IPV4MASK',
    'ipv6': 'IPV6ADDR',
    'ipv6_mask': 'IPV6MASK',
}


def _ports(port_type: str, **columns: Any) -> kit.Table:
    return Table('ports', {**_PORT, 'type': constant(port_type), **columns})


# By the path of their list, with the TYPE that they have in names of objects.
PORTS: Final[Mapping[str, tuple[int, kit.Table]]] = {
    '/fc_port': (codes.FC_PORT, _ports(
        constants.PortType.FC, max_speed=first_of(('MAXSUPPORTSPEED', 'Mbit/s'), ('MAXSPEED', 'Mbit/s')))),
    '/fcoe_port': (codes.FCOE_PORT, _ports(constants.PortType.FCOE)),
    '/eth_port': (codes.ETHERNET_PORT, _ports(
        constants.PortType.ETH, speed=('SPEED', 'Mbit/s'), max_speed=('maxSpeed', 'Mbit/s'))),
    '/pcie_port': (codes.PCIE_PORT, _ports(
        constants.PortType.OTHER, speed=('PCIESPEED', 'Mbit/s'), logical_type=constant(PortLogicalType.OTHER))),
    '/bond_port': (codes.BOND_PORT, _ports(constants.PortType.LOGIC)),
    '/sas_port': (codes.SAS_PORT, _ports(constants.PortType.SAS)),
}

_SWITCH: Final = {'false': False, OTHERS: True}
_STORED: Final[Mapping[str, Any]] = {           # LUNs and file systems
    'total_capacity': product('CAPACITY', SECTOR),
    'used_capacity': product('ALLOCCAPACITY', SECTOR),
    'type': first_of(('ALLOCTYPE', {1: constants.VolumeType.THIN}), constant(constants.VolumeType.THICK)),
    'compressed': first_of(('ENABLECOMPRESSION', _SWITCH), constant(False)),        # arrays without it do not say so
    'deduplicated': first_of(('ENABLEDEDUP', _SWITCH), ('ENABLESMARTDEDUP', _SWITCH), constant(False)),
}

_SERVING: Final = (14, 16, 27, 32)              # pre-copy, reconstruction, online, balancing
POOLS: Final = Table('storage_pools', {
    'native_storage_pool_id': 'ID',
    'name': 'NAME',
    'description': constant('Huawei OceanStor Pool'),
    'status': first_of(
        ('RUNNINGSTATUS', {**dict.fromkeys(_SERVING), OTHERS: constants.StoragePoolStatus.OFFLINE}),
        ('HEALTHSTATUS', {2: constants.StoragePoolStatus.ABNORMAL, 3: constants.StoragePoolStatus.DEGRADED,
                          5: constants.StoragePoolStatus.DEGRADED}),
        ('RUNNINGSTATUS', dict.fromkeys(_SERVING, constants.StoragePoolStatus.NORMAL))),
    'storage_type': first_of(*((field, {
        0: constants.StorageType.UNIFIED, 1: constants.StorageType.BLOCK, 2: constants.StorageType.FILE,
    }) for field in ('NEWUSAGETYPE', 'USAGETYPE')), constant(constants.StorageType.BLOCK)),
    'total_capacity': product('USERTOTALCAPACITY', SECTOR),
    'used_capacity': product('USERCONSUMEDCAPACITY', SECTOR),
    'free_capacity': product('USERFREECAPACITY', SECTOR),
    'subscribed_capacity': product('LUNCONFIGEDCAPACITY', SECTOR),
})

VOLUMES: Final = Table('volumes', {
    'native_volume_id': 'ID',
    'name': 'NAME',
    'description': 'DESCRIPTION',
    'native_storage_pool_id': 'PARENTID',       # without it the driver looks for the pool called PARENTNAME
    'wwn': 'WWN',
    'status': first_of(('HEALTHSTATUS', {2: constants.VolumeStatus.ERROR}),
                       ('RUNNINGSTATUS', {27: constants.VolumeStatus.AVAILABLE, OTHERS: constants.VolumeStatus.ERROR})),
    **_STORED,
})

# --- files ---

FILESYSTEMS: Final = Table('filesystems', {
    'native_filesystem_id': 'ID',
    'name': 'NAME',
    'native_pool_id': combined(of_type(codes.POOL), 'PARENTID', 'PARENTTYPE'),
    'status': ('HEALTHSTATUS', {1: constants.FilesystemStatus.NORMAL, OTHERS: constants.FilesystemStatus.FAULTY}),
    'free_capacity': product('AVAILABLECAPCITY', SECTOR),       # the array's spelling
    'worm': first_of(('WORMTYPE', {1: constants.WORMType.COMPLIANCE, 2: constants.WORMType.AUDIT_LOG,
                                   3: constants.WORMType.ENTERPRISE}), constant(constants.WORMType.NON_WORM)),
    **_STORED,
})

QTREES: Final = Table('qtrees', {
    'native_qtree_id': 'ID',
    'name': 'NAME',
    'path': combined(lambda *names: '/' + joined('/')(*names), FILESYSTEM_NAME, 'NAME'),
    'native_filesystem_id': combined(of_type(codes.FILESYSTEM), 'PARENTID', 'PARENTTYPE'),
    'security_mode': ('securityStyle', {
        0: constants.NASSecurityMode.MIXED, 1: constants.NASSecurityMode.NATIVE, 2: constants.NASSecurityMode.NTFS,
        3: constants.NASSecurityMode.UNIX, OTHERS: None}),
})

QUOTAS: Final = Table('quotas', {               # whose they are follows from where they were asked for
    'native_quota_id': 'ID',
    'type': ('QUOTATYPE', {1: constants.QuotaType.TREE, 2: constants.QuotaType.USER, 3: constants.QuotaType.GROUP}),
    'capacity_hard_limit': ('SPACEHARDQUOTA', 'B'),
    'capacity_soft_limit': ('SPACESOFTQUOTA', 'B'),
    'used_capacity': ('SPACEUSED', 'B'),
    'file_hard_limit': ('FILEHARDQUOTA', 'integer'),
    'file_soft_limit': ('FILESOFTQUOTA', 'integer'),
    'file_count': ('FILEUSED', 'integer'),
    'user_group_name': 'USRGRPOWNERNAME',
})


def _shares(protocol: str) -> kit.Table:
    return Table('shares', {
        'native_share_id': 'ID',
        'name': first_of('NAME', 'SHAREPATH'),  # NFS shares may have no name
        'path': 'SHAREPATH',
        'native_filesystem_id': 'FSID',
        'native_qtree_id': 'DTREEID',
        'protocol': constant(protocol),
    })


SHARES: Final = {
    '/CIFSHARE': _shares(constants.ShareProtocol.CIFS),
    '/NFSHARE': _shares(constants.ShareProtocol.NFS),
    '/FTP_SHARE_AUTH_CLIENT': _shares(constants.ShareProtocol.FTP),
}

# --- hosts, and who sees what ---


def _initiators(initiator_type: str, description: str) -> kit.Table:
    return Table('storage_host_initiators', {
        'native_storage_host_initiator_id': 'ID',       # WWPN or IQN
        'alias': 'ID',
        'wwn': 'ID',
        'name': first_of('NAME', 'ID'),
        'description': constant(description),
        'type': constant(initiator_type),
        'status': ('RUNNINGSTATUS', {27: constants.InitiatorStatus.ONLINE, 28: constants.InitiatorStatus.OFFLINE,
                                     OTHERS: constants.InitiatorStatus.UNKNOWN}),
        'native_storage_host_id': combined(
            lambda host, is_free: None if str(is_free).strip().lower() == 'true' else host, 'PARENTID', 'ISFREE'),
    })


INITIATORS: Final = {
    '/fc_initiator': _initiators(constants.InitiatorType.FC, 'FC Initiator'),
    '/iscsi_initiator': _initiators(constants.InitiatorType.ISCSI, 'iSCSI Initiator'),
    '/ib_initiator': _initiators(constants.InitiatorType.UNKNOWN, 'IB Initiator'),
}

HOSTS: Final = Table('storage_hosts', {
    'native_storage_host_id': 'ID',
    'name': 'NAME',
    'description': 'DESCRIPTION',
    'ip_address': 'IP',
    'status': first_of(('RUNNINGSTATUS', {1: None, OTHERS: constants.HostStatus.ABNORMAL}),
                       ('HEALTHSTATUS', {17: constants.HostStatus.DEGRADED}),       # a single link
                       ('RUNNINGSTATUS', {1: constants.HostStatus.NORMAL})),
    'os_type': first_of(('OPERATIONSYSTEM', {
        0: HostOSTypes.LINUX, 1: HostOSTypes.WINDOWS, 2: HostOSTypes.SOLARIS, 3: HostOSTypes.HP_UX,
        4: HostOSTypes.AIX, 5: HostOSTypes.XEN_SERVER, 6: HostOSTypes.MAC_OS, 7: HostOSTypes.VMWARE_ESX,
        8: HostOSTypes.LINUX_VIS, 9: HostOSTypes.WINDOWS_SERVER_2012, 10: HostOSTypes.ORACLE_VM,
        11: HostOSTypes.OPEN_VMS, 12: HostOSTypes.ORACLE_VM, 13: HostOSTypes.ORACLE_VM}),
        constant(HostOSTypes.UNKNOWN)),         # 255: nobody said
})


def _groups(kind: str, native_id: str) -> kit.Table:
    return Table(kind, {native_id: 'ID', 'name': 'NAME', 'description': 'DESCRIPTION'})


HOST_GROUPS: Final = _groups('storage_host_groups', 'native_storage_host_group_id')
PORT_GROUPS: Final = _groups('port_groups', 'native_port_group_id')
VOLUME_GROUPS: Final = _groups('volume_groups', 'native_volume_group_id')
MASKING_VIEWS: Final = _groups('masking_views', 'native_masking_view_id')
