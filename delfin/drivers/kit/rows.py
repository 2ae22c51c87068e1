# SPDX-License-Identifier: Apache-2.0
"""The rows that drivers return, as types. Generated from delfin/kinds.py and delfin/alerts.py by
`python -m delfin.drivers.tools.row_models`: do not edit.

Only what identifies a row is required. None is the same as an absent key: unknown. An enumeration's other values are
kept and reported, therefore its columns are `str`.
"""

from __future__ import annotations

from typing import Any, Required, TypedDict


class Storage(TypedDict, total=False):
    """What `get_storage` returns."""

    name: str | None  # display name
    description: str | None  # free text
    location: str | None  # site, rack, slot
    status: str | None  # normal, offline, abnormal, degraded, unknown
    vendor: str | None  # as the array calls itself
    model: str | None  # as the array calls itself
    serial_number: Required[str]  # unique over all registered storages
    firmware_version: str | None
    total_capacity: int | None  # bytes
    used_capacity: int | None  # bytes
    free_capacity: int | None  # bytes
    raw_capacity: int | None  # bytes of all disks
    subscribed_capacity: int | None  # bytes provisioned to consumers
    extra: dict[str, Any] | None  # fields of the vendor, as JSON


class StoragePool(TypedDict, total=False):
    """A row of `list_storage_pools`."""

    native_storage_pool_id: Required[str]  # the array's own id
    name: str | None  # display name
    description: str | None  # free text
    storage_type: str | None  # block, file, unified
    status: str | None  # normal, offline, abnormal, degraded, unknown
    total_capacity: int | None  # bytes
    used_capacity: int | None  # bytes
    free_capacity: int | None  # bytes
    subscribed_capacity: int | None  # bytes provisioned to consumers
    extra: dict[str, Any] | None  # fields of the vendor, as JSON


class Volume(TypedDict, total=False):
    """A row of `list_volumes`."""

    native_volume_id: Required[str]  # the array's own id
    name: str | None  # display name
    description: str | None  # free text
    type: str | None  # thick, thin
    status: str | None  # available, error, degraded
    native_storage_pool_id: str | None  # one of storage_pools
    wwn: str | None  # world-wide name
    total_capacity: int | None  # bytes
    used_capacity: int | None  # bytes
    free_capacity: int | None  # bytes
    compressed: bool | None  # compression is on
    deduplicated: bool | None  # deduplication is on
    extra: dict[str, Any] | None  # fields of the vendor, as JSON


class Controller(TypedDict, total=False):
    """A row of `list_controllers`."""

    native_controller_id: Required[str]  # the array's own id
    name: str | None  # display name
    status: str | None  # normal, offline, fault, degraded, unknown
    location: str | None  # site, rack, slot
    soft_version: str | None  # software version
    cpu_info: str | None  # CPU description
    cpu_count: int | None  # count
    memory_size: int | None  # bytes
    mgmt_ip: str | None  # management address; names the controller that sent a trap
    extra: dict[str, Any] | None  # fields of the vendor, as JSON


class Port(TypedDict, total=False):
    """A row of `list_ports`."""

    native_port_id: Required[str]  # the array's own id
    name: str | None  # display name
    location: str | None  # site, rack, slot
    # fc, iscsi, ficon, fcoe, eth, sas, ib, logic, cifs, nfs, fcache, combo, cna, rcip, nfs-cifs, other
    type: str | None
    # frontend, backend, service, management, internal, maintenance, interconnect, cluster, data, node-mgmt,
    # intercluster, cluster-mgmt, physical, if-group, vlan, other
    logical_type: str | None
    connection_status: str | None  # connected, disconnected, unknown
    health_status: str | None  # normal, abnormal, unknown
    native_parent_id: str | None  # usually a controller
    speed: int | None  # bit/s
    max_speed: int | None  # bit/s
    wwn: str | None  # world-wide name
    mac_address: str | None
    ipv4: str | None
    ipv4_mask: str | None
    ipv6: str | None
    ipv6_mask: str | None
    extra: dict[str, Any] | None  # fields of the vendor, as JSON


class Disk(TypedDict, total=False):
    """A row of `list_disks`."""

    native_disk_id: Required[str]  # the array's own id
    name: str | None  # display name
    # sata, sas, ssd, nl-ssd, fc, lun, ata, flash, vmdisk, nl-sas, ssd-card, sas-flash-vp, hdd, nvme-ssd, unknown
    physical_type: str | None
    # free, member, hotspare, cache, aggregate, broken, foreign, labelmaint, maintenance, shared, spare, unassigned,
    # unsupported, remote, mediator, data, unknown
    logical_type: str | None
    status: str | None  # normal, abnormal, degraded, offline
    location: str | None  # site, rack, slot
    native_disk_group_id: str | None  # RAID or disk group
    serial_number: str | None
    manufacturer: str | None
    model: str | None
    firmware: str | None
    speed: int | None  # rpm
    capacity: int | None  # bytes
    health_score: int | None  # 0 to 100
    extra: dict[str, Any] | None  # fields of the vendor, as JSON


class Quota(TypedDict, total=False):
    """A row of `list_quotas`."""

    native_quota_id: Required[str]  # the array's own id
    type: str | None  # tree, user, group
    native_filesystem_id: str | None  # one of filesystems
    native_qtree_id: str | None  # one of qtrees
    capacity_hard_limit: int | None  # bytes
    capacity_soft_limit: int | None  # bytes
    file_hard_limit: int | None  # files
    file_soft_limit: int | None  # files
    file_count: int | None  # files
    used_capacity: int | None  # bytes
    user_group_name: str | None  # user or group the quota is for
    extra: dict[str, Any] | None  # fields of the vendor, as JSON


class Filesystem(TypedDict, total=False):
    """A row of `list_filesystems`."""

    native_filesystem_id: Required[str]  # the array's own id
    name: str | None  # display name
    type: str | None  # thick, thin
    status: str | None  # normal, faulty
    native_pool_id: str | None  # one of storage_pools
    security_mode: str | None  # mixed, native, ntfs, unix
    total_capacity: int | None  # bytes
    used_capacity: int | None  # bytes
    free_capacity: int | None  # bytes
    compressed: bool | None  # compression is on
    deduplicated: bool | None  # deduplication is on
    worm: str | None  # non_worm, audit_log, compliance, enterprise
    extra: dict[str, Any] | None  # fields of the vendor, as JSON


class Qtree(TypedDict, total=False):
    """A row of `list_qtrees`."""

    native_qtree_id: Required[str]  # the array's own id
    name: str | None  # display name
    path: str | None
    native_filesystem_id: str | None  # one of filesystems
    security_mode: str | None  # mixed, native, ntfs, unix
    extra: dict[str, Any] | None  # fields of the vendor, as JSON


class Share(TypedDict, total=False):
    """A row of `list_shares`."""

    native_share_id: Required[str]  # the array's own id
    name: str | None  # display name
    path: str | None  # export path
    native_filesystem_id: str | None  # one of filesystems
    native_qtree_id: str | None  # one of qtrees
    protocol: str | None  # cifs, nfs, ftp, hdfs
    extra: dict[str, Any] | None  # fields of the vendor, as JSON


class StorageHostInitiator(TypedDict, total=False):
    """A row of `list_storage_host_initiators`."""

    native_storage_host_initiator_id: Required[str]  # the array's own id
    name: str | None  # display name
    description: str | None  # free text
    alias: str | None
    wwn: str | None  # world-wide name or IQN
    status: str | None  # online, offline, unknown
    type: str | None  # fc, iscsi, roce, sas, nvme-of, unknown
    native_storage_host_id: str | None  # one of storage_hosts
    extra: dict[str, Any] | None  # fields of the vendor, as JSON


class StorageHost(TypedDict, total=False):
    """A row of `list_storage_hosts`."""

    native_storage_host_id: Required[str]  # the array's own id
    name: str | None  # display name
    description: str | None  # free text
    # Linux, Windows, Solaris, HP-UX, AIX, XenServer, VMware ESX, LINUX_VIS, Windows Server 2012, Oracle VM, Open VMS,
    # Mac OS, Unknown
    os_type: str | None
    ip_address: str | None
    status: str | None  # normal, offline, abnormal, degraded
    extra: dict[str, Any] | None  # fields of the vendor, as JSON


class StorageHostGroup(TypedDict, total=False):
    """A row of `list_storage_host_groups`."""

    native_storage_host_group_id: Required[str]  # the array's own id
    name: str | None  # display name
    description: str | None  # free text
    extra: dict[str, Any] | None  # fields of the vendor, as JSON


class StorageHostGrpHostRel(TypedDict, total=False):
    """A pair of `list_storage_host_groups`: native_storage_host_id is a member."""

    native_storage_host_group_id: Required[str]  # one of storage_host_groups
    native_storage_host_id: Required[str]  # one of storage_hosts


class StorageHostGroups(TypedDict):
    """What `list_storage_host_groups` returns."""

    storage_host_groups: list[StorageHostGroup]
    storage_host_grp_host_rels: list[StorageHostGrpHostRel]


class PortGroup(TypedDict, total=False):
    """A row of `list_port_groups`."""

    native_port_group_id: Required[str]  # the array's own id
    name: str | None  # display name
    description: str | None  # free text
    extra: dict[str, Any] | None  # fields of the vendor, as JSON


class PortGrpPortRel(TypedDict, total=False):
    """A pair of `list_port_groups`: native_port_id is a member."""

    native_port_group_id: Required[str]  # one of port_groups
    native_port_id: Required[str]  # one of ports


class PortGroups(TypedDict):
    """What `list_port_groups` returns."""

    port_groups: list[PortGroup]
    port_grp_port_rels: list[PortGrpPortRel]


class VolumeGroup(TypedDict, total=False):
    """A row of `list_volume_groups`."""

    native_volume_group_id: Required[str]  # the array's own id
    name: str | None  # display name
    description: str | None  # free text
    extra: dict[str, Any] | None  # fields of the vendor, as JSON


class VolGrpVolRel(TypedDict, total=False):
    """A pair of `list_volume_groups`: native_volume_id is a member."""

    native_volume_group_id: Required[str]  # one of volume_groups
    native_volume_id: Required[str]  # one of volumes


class VolumeGroups(TypedDict):
    """What `list_volume_groups` returns."""

    volume_groups: list[VolumeGroup]
    vol_grp_vol_rels: list[VolGrpVolRel]


class MaskingView(TypedDict, total=False):
    """A row of `list_masking_views`."""

    native_masking_view_id: Required[str]  # the array's own id
    name: str | None  # display name
    description: str | None  # free text
    native_storage_host_group_id: str | None  # one of storage_host_groups
    native_volume_group_id: str | None  # one of volume_groups
    native_port_group_id: str | None  # one of port_groups
    native_storage_host_id: str | None  # one of storage_hosts
    native_volume_id: str | None  # one of volumes
    extra: dict[str, Any] | None  # fields of the vendor, as JSON


class Alert(TypedDict, total=False):
    """A row of `list_alerts`, and what `parse_alert` returns."""

    alert_id: str | None  # what kind of alert it is, as the vendor numbers or names it
    alert_name: str | None  # the name of that kind
    severity: str | None  # Fatal, Critical, Major, Minor, Warning, Informational, NotSpecified
    # a fault stays open until it is cleared; an event has only happened; Fault, Event, Recovery, NotSpecified
    category: str | None
    # X.733 class; CommunicationsAlarm, EquipmentAlarm, ProcessingErrorAlarm, QualityOfServiceAlarm, EnvironmentalAlarm,
    # IntegrityViolation, OperationalViolation, PhysicalViolation, SecurityServiceOrMechanismViolation,
    # TimeDomainViolation, NotSpecified
    type: str | None
    sequence_number: str | None  # which alert it is on the array; what it is cleared by
    match_key: str | None  # what a fault and its recovery have in common
    resource_type: str | None  # what is affected
    location: str | None  # component, slot, network entity
    occur_time: int | None  # when it happened on the array, epoch ms
    description: str | None  # cause or detail
    recovery_advice: str | None  # what to do
    clear_category: str | None  # how it clears; Automatic, Manual
    serial_number: str | None  # of a trap: whose alert it is
    storage_name: str | None  # of a trap: whose alert it is
