# SPDX-License-Identifier: Apache-2.0
"""The contract between Delfin and a storage driver.

A driver is a class derived from `StorageDriver` and named by an entry point of the group `delfin.storage.drivers`,
whose name is exactly the `"<vendor> <model>"` that clients register an array with. Delfin builds one instance for one
registered storage with the access information as keyword arguments and calls it through `delfin.drivers.api`, which
sees to deadlines, order and errors; by default one call at a time. A driver may raise any `delfin.exception`; every
other exception is turned into one.

Rows are plain dicts whose keys are the columns of `delfin.kinds`. A key that is absent or None means "unknown": never
-1, 0, '' or 'N/A'. Capacities are integers in bytes, port speeds bit/s (10 Gbit/s = 10_000_000_000), disk speeds rpm,
memory bytes, times epoch milliseconds UTC. Native ids are text exactly as the array names the thing, unique per
storage and kind, and stable: they decide which stored row an answer belongs to. Vendor fields that have no column go
into a dict under `extra`.
"""

from __future__ import annotations

import abc
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from delfin.common.constants import metric_struct

Row = dict[str, Any]
# What a driver may return: dicts, or the types of `delfin.drivers.kit.rows`.
AnyRow = Mapping[str, Any]
Rows = Iterable[AnyRow]     # a list, or a generator for arrays too large for one

# Version of this contract. A driver that says nothing is taken for 1.0; a newer major is refused by name.
DRIVER_API = '1.0'


class StorageDriver(abc.ABC):
    """Base class of all drivers.

    Constructor arguments, all by keyword: `storage_id` (text, always), `vendor`, `model` (as registered), the access
    sections `rest`, `ssh`, `cli`, `smis` that were given (dicts with `host`, `port`, `username`, `password` …),
    `extra_attributes` (dict of text to text), `verify` (True, False or the path of a CA bundle) and others that later
    versions add, so accept `**kwargs`. `password` and other secrets are encoded: `delfin.cryptor.decode()` opens them.
    The dicts are the driver's own copies.
    """

    DRIVER_API: ClassVar[str] = DRIVER_API
    # Access sections the driver can use; told to clients by `GET /v1/drivers/{vendor}/{model}`.
    PROTOCOLS: ClassVar[tuple[str, ...]] = ()
    # How many calls one instance takes at the same time. Leave 1 unless the driver is written for threads.
    MAX_CONCURRENT_CALLS: ClassVar[int] = 1
    # What it has been tried for, beyond Core: Inventory, NAS, Mapping, Alerts, Performance. `delfin-compliance`
    # verifies it (docs/drivers/compliance.md).
    COMPLIANCE_LEVELS: ClassVar[tuple[str, ...]] = ()

    def __init__(self, **kwargs: Any) -> None:
        self.storage_id: str | None = kwargs.get('storage_id')

    @classmethod
    def get_driver_options(cls) -> Mapping[str, Mapping[str, Any]]:
        """Options the driver reads from `extra_attributes`.

        `{name: {'description': str, 'secret': bool, 'default': str, 'required': bool}}`, all inner keys optional.
        A secret option is stored encrypted, reaches the driver encoded like a password and is never shown.
        """
        return {}

    # --- session ---

    @abc.abstractmethod
    def reset_connection(self, context: Any, **kwargs: Any) -> None:
        """Drop the session; the next call logs in anew with the access information in `kwargs` (if any is given)."""

    def add_storage(self, kwargs: dict[str, Any]) -> None:
        """Another storage behind the same endpoint was registered (only for drivers that share one instance)."""
        return None

    def delete_storage(self, context: Any) -> None:
        """The storage is being removed from Delfin: log out and forget it."""
        return None

    # --- inventory ---

    @abc.abstractmethod
    def get_storage(self, context: Any) -> AnyRow:
        """The array itself: `{'name': 'array-1', 'vendor': 'Example', 'model': 'X1', 'serial_number': 'SN42',
        'status': 'normal', 'firmware_version': '1.0', 'total_capacity': 1000, 'used_capacity': 400,
        'free_capacity': 600, 'raw_capacity': 1200, …}`. `serial_number` is mandatory and never changes.
        """

    @abc.abstractmethod
    def list_storage_pools(self, context: Any) -> Rows:
        """Pools: `native_storage_pool_id`, `name`, `status`, `storage_type`, capacities."""

    @abc.abstractmethod
    def list_volumes(self, context: Any) -> Rows:
        """Volumes (LUNs): `native_volume_id`, `name`, `status`, `type`, `wwn`, `native_storage_pool_id`, capacities."""

    def list_controllers(self, context: Any) -> Rows:
        """Controllers: `native_controller_id`, `name`, `status`, `soft_version`, `cpu_info`, `memory_size`, ….
        `mgmt_ip` names the controller that sends traps from this address.
        """
        raise NotImplementedError(_not_implemented('list_controllers'))

    def list_ports(self, context: Any) -> Rows:
        """Ports: `native_port_id`, `name`, `type`, `connection_status`, `health_status`, `speed`, addresses."""
        raise NotImplementedError(_not_implemented('list_ports'))

    def list_disks(self, context: Any) -> Rows:
        """Disks: `native_disk_id`, `name`, `status`, `physical_type`, `capacity`, `speed`, `serial_number`."""
        raise NotImplementedError(_not_implemented('list_disks'))

    def list_quotas(self, context: Any) -> Rows:
        """Quotas: `native_quota_id`, `type`, `native_filesystem_id`, `native_qtree_id`, limits, use."""
        raise NotImplementedError(_not_implemented('list_quotas'))

    def list_filesystems(self, context: Any) -> Rows:
        """File systems: `native_filesystem_id`, `name`, `type`, `status`, `native_pool_id`, capacities."""
        raise NotImplementedError(_not_implemented('list_filesystems'))

    def list_qtrees(self, context: Any) -> Rows:
        """Qtrees: `native_qtree_id`, `name`, `path`, `native_filesystem_id`, `security_mode`."""
        raise NotImplementedError(_not_implemented('list_qtrees'))

    def list_shares(self, context: Any) -> Rows:
        """Shares: `native_share_id`, `name`, `path`, `protocol`, `native_filesystem_id`, `native_qtree_id`."""
        raise NotImplementedError(_not_implemented('list_shares'))

    def list_storage_host_initiators(self, context: Any) -> Rows:
        """Initiators: `native_storage_host_initiator_id`, `name`, `wwn`, `type`, `status`, `native_storage_host_id`."""
        raise NotImplementedError(_not_implemented('list_storage_host_initiators'))

    def list_storage_hosts(self, context: Any) -> Rows:
        """Hosts known to the array: `native_storage_host_id`, `name`, `os_type`, `status`, `ip_address`."""
        raise NotImplementedError(_not_implemented('list_storage_hosts'))

    def list_storage_host_groups(self, context: Any) -> Mapping[str, Any]:
        """`{'storage_host_groups': rows, 'storage_host_grp_host_rels': rows of (group id, host id)}`."""
        raise NotImplementedError(_not_implemented('list_storage_host_groups'))

    def list_port_groups(self, context: Any) -> Mapping[str, Any]:
        """`{'port_groups': rows, 'port_grp_port_rels': rows of (group id, port id)}`."""
        raise NotImplementedError(_not_implemented('list_port_groups'))

    def list_volume_groups(self, context: Any) -> Mapping[str, Any]:
        """`{'volume_groups': rows, 'vol_grp_vol_rels': rows of (group id, volume id)}`."""
        raise NotImplementedError(_not_implemented('list_volume_groups'))

    def list_masking_views(self, context: Any) -> Rows:
        """Masking views: host or host group x volume or volume group x optional port group, by native ids."""
        raise NotImplementedError(_not_implemented('list_masking_views'))

    # --- alerts ---

    @abc.abstractmethod
    def add_trap_config(self, context: Any, trap_config: Mapping[str, Any]) -> None:
        """Make the array send its traps to the receiver in `trap_config`; no error if it does so already.

        `{'host': address or name, 'port': 162, 'version': 'SNMPv1' | 'SNMPv2c' | 'SNMPv3'}`, with v1 and v2c
        `community_string`, with v3 `username`, `security_level` (`noAuthnoPriv`, `authNoPriv`, `authPriv`) and, as the
        level needs them, `auth_protocol`, `auth_key`, `privacy_protocol`, `privacy_key`; `engine_id` (the device's own,
        hex) and `context_name` if they are known. What does not apply is absent. `community_string`, `auth_key` and
        `privacy_key` are encoded: `delfin.cryptor.decode()` opens them. Protocols by the names of
        docs/drivers/how-drivers-are-called.md. NotImplementedError if the array cannot be set up this way.
        """

    @abc.abstractmethod
    def remove_trap_config(self, context: Any, trap_config: Mapping[str, Any]) -> None:
        """Take the receiver in `trap_config` out of the array's configuration; no error if it is not there.

        The dict is that of `add_trap_config`, with the SNMP configuration of now; `host` and `port` name the receiver.
        """

    @staticmethod
    def parse_alert(context: Any, alert: Mapping[str, str]) -> AnyRow | None:
        """One trap to one alert (keys as in `list_alerts`), or None to drop it. No session: called on the class, by
        several threads, in the alert service; be quick and touch no network.

        `alert` maps dotted OIDs (no leading dot) to text, plus `transport_address` (the sender's), `storage_id` and, if
        known, `controller_name`. `1.3.6.1.6.3.1.1.4.1.0` tells which trap it is, also for SNMPv1. Octets that are no
        text are `0x…`.

        A `Recovery` ends the fault with the same `match_key`, `sequence_number`, or (`alert_id`, `location`); the first
        of these that fits decides, so give a trap the keys that the alert has in `list_alerts`. `serial_number` or
        `storage_name` in the answer say whose alert it is where several arrays send from one address. Raise
        `IncompleteTrapInformation` to ask for `list_alerts` instead; after any other error the trap is kept for people
        to look at and to try again.
        """
        return None

    @abc.abstractmethod
    def list_alerts(self, context: Any, query_para: Mapping[str, Any] | None = None) -> Rows:
        """Current alerts: `alert_id`, `alert_name`, `severity`, `category`, `type`, `occur_time` (epoch ms),
        `description`, `location`, `sequence_number`, `match_key`, `resource_type`, `recovery_advice`, `clear_category`
        (`delfin.alerts` has them all). At least one of `alert_id`, `alert_name` and `description` is there.

        With `query_para` None the answer is the *complete* list: an alert that stood in an earlier one and is absent
        now is cleared. So raise if anything could not be asked; never return [] or a part on errors. Otherwise
        `query_para` has `begin_time` and `end_time` (epoch ms, both included), and only alerts of that time are wanted.

        Two rows, or a row and a trap, are one alert if they share `match_key`, `sequence_number`, or `alert_id` and
        `location`: keep what changes while the alert stands (readings, counters) out of these, and `occur_time` the
        same.
        """

    @abc.abstractmethod
    def clear_alert(self, context: Any, sequence_number: str) -> Any:
        """Clear the alert with this sequence number on the array; raise if that failed. What it returns is ignored.

        NotImplementedError if the array cannot do that.
        """

    def get_alert_sources(self, context: Any) -> Rows:
        """Where the array sends traps from: `[{'host': address or name}]`, at most 100.

        Asked before each list of an alert sync. They count beside the hosts that an operator has entered and the
        `mgmt_ip` of the controllers, and only if the storage has an SNMP configuration.
        """
        return []

    # --- performance ---

    @staticmethod
    def get_capabilities(context: Any, filters: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
        """What can be measured, or None: `{'is_historic': bool, 'performance_metric_retention_window': seconds,
        'collect_interval': seconds, 'failed_job_collect_interval': seconds,
        'resource_metrics': {resource type: {metric name: {'unit': str, 'description': str}}}}`.

        `is_historic`: the array keeps samples (for the retention window) that can be asked for later. The two intervals
        are advice: how often to ask, and the first pause after a failure; leave them out if there is none to give.
        Resource types and metrics are those of `delfin.common.constants`, any metric for any type; a vendor's own begin
        with `x_`. `filters` is `{'firmware_version': text or None}`. Asked about every quarter of an hour.
        """
        return None

    def collect_perf_metrics(self, context: Any, storage_id: str, resource_metrics: Mapping[str, Any],
                             start_time: int, end_time: int) -> Iterable[metric_struct] | None:
        """Points of [start_time, end_time), epoch ms by the array's clock, for what `resource_metrics` asks for (a part
        of `get_capabilities`, in the same shape).

        A flat list (or generator) with one `metric_struct(name, labels, values)` for each metric of each resource:
        `labels` has `resource_type`, `resource_id` (the native id in the inventory; the storage's own is up to you),
        `resource_name` if known, `unit`; `values` maps epoch ms to numbers. Raise if anything could not be asked; a
        window is asked for again then. Return [] if there is nothing, never None.

        If the array keeps no samples (`is_historic` False), give one point for each series, measured now: it may be
        younger than `end_time`, and stands for the time since the last call.
        """
        return None

    def get_latest_perf_timestamp(self, context: Any) -> int | None:
        """Epoch ms of the newest sample the array has, by its own clock; None if it cannot tell.

        Windows end there. Without it they end a minute before now, and points that come later may be missed.
        """
        return None


def _not_implemented(method: str) -> str:
    return f'Driver API {method}() is not Implemented'
