# SPDX-License-Identifier: Apache-2.0
"""What the CLI says, and what Delfin makes of it: to be held against IBM's command-line interface guide.

Left the columns of Delfin, right the columns of the array's lists (or the keys of its objects), with a conversion or
the words' meanings. Names in capitals (`FABRIC`) are put together from several answers: see `inventory`.
"""

from __future__ import annotations

from collections.abc import Mapping

from delfin import exception
from delfin.common.constants import (
    Category,
    ControllerStatus,
    DiskPhysicalType,
    DiskStatus,
    EventType,
    HostOSTypes,
    HostStatus,
    InitiatorStatus,
    InitiatorType,
    PortConnectionStatus,
    PortHealthStatus,
    PortType,
    Severity,
    StoragePoolStatus,
    StorageType,
    VolumeStatus,
)
from delfin.drivers import kit
from delfin.drivers.ibm.storwize_svc.words import bytes_of, canister, first_word, named, speed
from delfin.drivers.kit import combined, first_of

# --- the CLI ---

# Tried in this order if a value contains one. No value of the firmware's own contains the first.
DELIMITERS = ('!', '^', '~', '|', '#', '%', '@', '=')

ERRORS: Mapping[str, type[exception.DelfinException]] = {
    'CMMVC5753E': kit.NotThere,             # the object does not exist
    'CMMVC5754E': kit.NotThere,             # … or its name is not valid
    'CMMVC5786E': kit.ArrayBusy,            # the cluster is not in a stable state
    'CMMVC6253E': exception.NotAuthorized,  # the role may not
    'CMMVC5707E': kit.UnknownCommand,       # required parameters are missing
    'CMMVC5709E': kit.UnknownCommand,       # not a supported parameter
    'CMMVC5713E': kit.UnknownCommand,       # parameters that exclude each other
    'CMMVC5804E': kit.UnknownCommand,       # the action failed, because an option is not supported
    'CMMVC8275E': kit.NotThere,             # no such event
}

# --- the array: lssystem ---

SYSTEM = kit.Table('storage', {
    'name': 'name',
    'serial_number': 'id',
    'model': first_of('product_name', 'PRODUCT'),      # of the first enclosure, if need be
    'firmware_version': ('code_level', first_word),
    'location': 'location',
    'free_capacity': ('total_free_space', bytes_of),
    'used_capacity': ('total_used_capacity', bytes_of),
    'subscribed_capacity': ('total_vdisk_capacity', bytes_of),
    'raw_capacity': ('total_mdisk_capacity', bytes_of),
})

# --- pools: lsmdiskgrp -bytes ---

POOLS = kit.Table('storage_pools', {
    'native_storage_pool_id': 'id',
    'name': 'name',
    'storage_type': kit.constant(StorageType.BLOCK),
    'status': ('status', {
        'online': StoragePoolStatus.NORMAL,
        'offline': StoragePoolStatus.OFFLINE,
        'degraded': StoragePoolStatus.DEGRADED,
        'degraded_paths': StoragePoolStatus.DEGRADED,
        'degraded_ports': StoragePoolStatus.DEGRADED,
        'excluded': StoragePoolStatus.ABNORMAL,
    }),
    # Data reduction pools leave the first ones empty.
    'total_capacity': first_of(('capacity', 'B'), ('physical_capacity', 'B')),
    'free_capacity': first_of(('free_capacity', 'B'), ('physical_free_capacity', 'B')),
    'used_capacity': ('used_capacity', 'B'),
    'subscribed_capacity': ('virtual_capacity', 'B'),
    'extra.parent_pool_id': 'PARENT',           # of child pools, whose capacity is their parent's
})

# --- volumes: lsvdisk, lsvdiskcopy, lssevdiskcopy, all -bytes ---

VOLUMES = kit.Table('volumes', {
    'native_volume_id': 'id',
    'name': 'name',
    'wwn': 'vdisk_UID',
    'status': ('status', {
        'online': VolumeStatus.AVAILABLE,
        'offline': VolumeStatus.ERROR,
        'degraded': VolumeStatus.DEGRADED,
        'degraded_paths': VolumeStatus.DEGRADED,
        'degraded_ports': VolumeStatus.DEGRADED,
    }),
    'total_capacity': ('capacity', 'B'),
    # Of the copies (see `inventory.volumes`): native_storage_pool_id and used_capacity are mdisk_grp_id and
    # used_capacity of the one with primary=yes; type is thin if any has se_copy=yes or compressed_copy=yes; compressed
    # and deduplicated are compressed_copy and deduplicated_copy of any.
})

# --- controllers: lsnode or lsnodecanister, and …hw ---

CONTROLLERS = kit.Table('controllers', {
    'native_controller_id': 'id',
    'name': 'name',
    'location': combined(canister, 'enclosure_id', 'canister_id', 'name'),
    'status': ('status', {
        'online': ControllerStatus.NORMAL,
        'offline': ControllerStatus.OFFLINE,
        'service': ControllerStatus.DEGRADED,
        'flushing': ControllerStatus.UNKNOWN,
        'pending': ControllerStatus.UNKNOWN,
        'adding': ControllerStatus.UNKNOWN,
        'deleting': ControllerStatus.UNKNOWN,
    }),
    'soft_version': ('code_level', first_word),
    'cpu_info': 'cpu_actual',
    'cpu_count': ('cpu_count', 'integer'),
    'memory_size': ('memory_actual', 'GiB'),
    'mgmt_ip': 'service_IP_address',
})

# --- ports: lsportfc; lsportip, or lsportethernet with lsip from 8.4.2 on ---

FC_PORTS = kit.Table('ports', {
    'native_port_id': 'id',
    'name': combined(named, 'node_name', 'id'),
    'location': combined(named, 'node_name', 'id'),
    'type': ('type', {'fc': PortType.FC, 'ethernet': PortType.ETH}),
    'wwn': 'WWPN',
    'native_parent_id': 'node_name',
    'speed': ('port_speed', speed),
    'connection_status': ('status', {
        'active': PortConnectionStatus.CONNECTED,
        'inactive_configured': PortConnectionStatus.DISCONNECTED,
        'inactive_unconfigured': PortConnectionStatus.DISCONNECTED,
    }),
    'health_status': ('status', {
        'active': PortHealthStatus.NORMAL,
        'inactive_configured': PortHealthStatus.ABNORMAL,
        'inactive_unconfigured': PortHealthStatus.ABNORMAL,
    }),
})

ETHERNET_PORTS = kit.Table('ports', {
    'native_port_id': combined(named, 'node_name', 'id'),
    'name': combined(named, 'node_name', 'id'),
    'location': combined(named, 'node_name', 'id'),
    'type': kit.constant(PortType.ETH),
    'native_parent_id': 'node_name',
    'mac_address': 'MAC',
    'ipv4': 'IP_address',
    'ipv4_mask': 'mask',
    'ipv6': 'IP_address_6',
    'ipv6_mask': 'prefix_6',
    'speed': ('speed', speed),
    'health_status': ('HEALTH', {'good': PortHealthStatus.NORMAL, 'bad': PortHealthStatus.ABNORMAL}),
    'connection_status': ('link_state', {
        'active': PortConnectionStatus.CONNECTED,
        'inactive': PortConnectionStatus.DISCONNECTED,
    }),
})
GOOD_PORT_STATES = frozenset({'online', 'configured'})       # every other one is bad

# --- disks: lsmdisk -bytes ---

DISKS = kit.Table('disks', {
    'native_disk_id': 'id',
    'name': 'name',
    'capacity': ('capacity', 'B'),
    'native_disk_group_id': 'mdisk_grp_name',
    'location': combined(named, 'controller_name', 'name'),
    'status': ('status', {
        'online': DiskStatus.NORMAL,
        'offline': DiskStatus.OFFLINE,
        'excluded': DiskStatus.ABNORMAL,
        'degraded': DiskStatus.DEGRADED,
        'degraded_paths': DiskStatus.DEGRADED,
        'degraded_ports': DiskStatus.DEGRADED,
    }),
    'physical_type': ('FABRIC', {
        'fc': DiskPhysicalType.FC,
        'sas_direct': DiskPhysicalType.SAS,
        'iscsi': DiskPhysicalType.UNKNOWN,
        'none': DiskPhysicalType.UNKNOWN,       # an array of the product's own drives
    }),
    'extra.tier': 'tier',
})
OWN_DRIVES = 'array'        # `mode` of an MDisk without fabric

# --- hosts: lshost, lshostvdiskmap, lshostcluster, lsvolumegroup ---

HOSTS = kit.Table('storage_hosts', {
    'native_storage_host_id': 'id',
    'name': 'name',
    'os_type': ('type', {
        'hpux': HostOSTypes.HP_UX,
        'openvms': HostOSTypes.OPEN_VMS,
        **dict.fromkeys(('generic', 'tpgs', 'vvol', 'adminlun', 'hide_secondary'), HostOSTypes.UNKNOWN),
    }),
    'status': ('status', {
        'online': HostStatus.NORMAL,
        'offline': HostStatus.OFFLINE,
        'degraded': HostStatus.DEGRADED,
        'mask': HostStatus.NORMAL,
    }),
})

INITIATORS = kit.Table('storage_host_initiators', {
    'native_storage_host_initiator_id': 'PORT',
    'name': 'PORT',
    'wwn': 'PORT',
    'type': ('KEY', {
        'WWPN': InitiatorType.FC,
        'SAS_WWPN': InitiatorType.SAS,
        'iscsi_name': InitiatorType.ISCSI,
        'nqn': InitiatorType.NVME_OVER_FABRIC,
    }),
    'status': ('state', {
        'active': InitiatorStatus.ONLINE,
        'inactive': InitiatorStatus.ONLINE,     # logged in, idle
        'degraded': InitiatorStatus.ONLINE,
        'offline': InitiatorStatus.OFFLINE,
    }),
    'native_storage_host_id': 'HOST',
})
INITIATOR_KEYS = ('WWPN', 'SAS_WWPN', 'iscsi_name', 'nqn')      # each begins a port of a host

MASKING_VIEWS = kit.Table('masking_views', {
    'native_masking_view_id': combined(named, 'id', 'vdisk_id'),
    'name': combined(named, 'id', 'vdisk_id'),
    'native_storage_host_id': 'id',
    'native_volume_id': 'vdisk_id',
})

HOST_GROUPS = kit.Table('storage_host_groups', {'native_storage_host_group_id': 'id', 'name': 'name'})
VOLUME_GROUPS = kit.Table('volume_groups', {'native_volume_group_id': 'id', 'name': 'name'})

# --- alerts: lseventlog, and traps ---

# Polled and sent alike, so that an alert does not change when the log is read.
SEVERITIES = {'error': Severity.MAJOR, 'warning': Severity.WARNING}
NO_ALERT = frozenset({'informational', 'none', ''})     # notification_type of what is only told

EVENTS = kit.Table('alerts', {
    'sequence_number': 'sequence_number',
    'alert_id': 'event_id',
    'alert_name': 'event_id_text',
    'description': 'event_id_text',
    'severity': ('notification_type', SEVERITIES),
    'category': kit.constant(Category.FAULT),
    'type': kit.constant(EventType.EQUIPMENT_ALARM),
    'occur_time': ('last_timestamp_epoch', 'epoch s'),
    'resource_type': 'object_type',
    'location': 'object_name',
    'recovery_advice': 'error_code_text',
})

# By the label in front of each variable's value, `# <label> = <value>`: vendors and levels number them differently.
TRAP = kit.Table('alerts', {
    'sequence_number': 'Error Sequence Number',
    'alert_id': 'ID',                           # Error ID = <id> : <text>
    'alert_name': 'TEXT',
    'description': 'TEXT',
    'severity': 'SEVERITY',
    'category': 'CATEGORY',
    'type': kit.constant(EventType.EQUIPMENT_ALARM),
    'occur_time': 'TIME',
    'resource_type': 'Object Type',
    'location': 'Object Name',
    'recovery_advice': 'ADVICE',                # Error Code = <code> : <text>
})
# Which trap it is, by the end of its object id; below IBM's 1.3.6.1.4.1.2.6 or Inspur's number. What is only told does
# not stand in the log as something to be fixed, so that nothing would ever end it.
TRAP_ENDS: Mapping[str, tuple[str, str]] = {
    '.190.1': (SEVERITIES['error'], Category.FAULT),
    '.190.2': (SEVERITIES['warning'], Category.FAULT),
    '.190.3': (Severity.INFORMATIONAL, Category.EVENT),
}
