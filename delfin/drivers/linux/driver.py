# SPDX-License-Identifier: Apache-2.0
"""The driver: which commands each kind needs, and what to make of a tool that is missing or may not look.

A missing tool means that the machine does not have the kind (`NotImplementedError`); a tool that fails is an error. A
list is complete or not given at all, with one stated exception: without root, LVM is seen through its active volumes.
Every method takes a small, constant number of commands, however large the machine is.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from delfin import exception
from delfin.common.constants import ResourceType, metric_struct
from delfin.drivers.driver import Row, StorageDriver
from delfin.drivers.linux import (
    access,
    alerts,
    block,
    btrfs,
    host,
    lvm,
    md,
    mounts,
    network,
    performance,
    shares,
    smart,
    traps,
)
from delfin.drivers.linux.block import Disk, Tree
from delfin.drivers.linux.mounts import Mount
from delfin.drivers.linux.pools import FILES as POOL_FILES
from delfin.drivers.linux.pools import Pools
from delfin.drivers.linux.runner import ToolMissing
from delfin.drivers.linux.smart import Health
from delfin.drivers.utils.counters import RateMeter

T = TypeVar('T')

_ACCESS_SECTIONS = ('ssh', 'cli')
_OPTIONS_SECTION = 'extra_attributes'
_FINDMNT_FOUND_NOTHING = 1


class LinuxHostDriver(StorageDriver):
    """A Linux machine. Access: `cli` with the host localhost for this machine, `ssh` for any."""

    PROTOCOLS = ('ssh', 'cli')
    COMPLIANCE_LEVELS = ('Core', 'Inventory', 'NAS', 'Performance')

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._thresholds = alerts.Thresholds.of(kwargs.get(_OPTIONS_SECTION))
        self._runner = access.open_runner(kwargs)
        self._meter = RateMeter[performance.Source]()

    @classmethod
    def get_driver_options(cls) -> Mapping[str, Mapping[str, Any]]:
        """From which use on filesystems have alerts."""
        return alerts.OPTIONS

    # --- session ---

    def reset_connection(self, context: Any, **kwargs: Any) -> None:
        """Drop the session; with new access information, the next command uses that."""
        options = kwargs.get(_OPTIONS_SECTION)
        thresholds = alerts.Thresholds.of(options) if options is not None else self._thresholds
        runner = access.open_runner(kwargs) if any(kwargs.get(name) for name in _ACCESS_SECTIONS) else self._runner
        if runner is not self._runner:
            self._meter.forget()
        self._runner.close()
        self._runner, self._thresholds = runner, thresholds

    def delete_storage(self, context: Any) -> None:
        """Log out."""
        self._runner.close()

    # --- inventory ---

    def get_storage(self, context: Any) -> Row:
        """The machine. Raw capacity is that of all disks; total, used and free are those of all local filesystems, as
        `df` shows them. (Pools overlap with filesystems and partitions, so nothing sensible can be summed there.)
        """
        files = self._runner.read_files(*host.IDENTITY_FILES)
        tree, found = _if_installed(self._tree), _if_installed(self._mounts)
        return host.storage_row(
            files,
            raw_capacity=sum(disk.top.size for disk in block.disks(tree)) if tree is not None else None,
            capacities=mounts.capacities(found) if found is not None else None,
            notes=[lvm.NOTE] if self._lvm_is_hidden() else [])

    def list_controllers(self, context: Any) -> list[Row]:
        """One row: the machine."""
        return [host.controller_row(self._runner.read_files(*host.CONTROLLER_FILES), self._management_address())]

    def list_disks(self, context: Any) -> list[Row]:
        """Physical disks, each once however many paths lead to it."""
        with _needed_for('list_disks'):
            tree = self._tree()
            links = self._runner.links(block.LINK_DIRECTORY)
        files = self._runner.read_files(*POOL_FILES, *block.FILES)
        found = Pools(files, tree)
        members = found.of_members(_if_installed(lambda: self._lvm_report(lvm.MEMBERS_COMMAND, 'pv')))
        return block.disk_rows(tree, files, links, members, found.spares)

    def list_storage_pools(self, context: Any) -> list[Row]:
        """LVM volume groups, md arrays and mounted btrfs filesystems."""
        with _needed_for('list_storage_pools'):
            found = self._pools(self._tree())
            groups = _if_installed(lambda: self._group_rows(found))
        if groups is None and found.arrays is None and found.filesystems is None:
            raise NotImplementedError('list_storage_pools: the machine has no LVM tools, no md and no btrfs')
        mounted = (_if_installed(self._mounts) or []) if found.filesystems else []
        return (groups or []) + found.array_rows() + btrfs.pool_rows(found.filesystems or (), mounted)

    def list_volumes(self, context: Any) -> list[Row]:
        """LVM logical volumes and partitions."""
        with _needed_for('list_volumes'):
            tree = self._tree()
        found = self._pools(tree)
        volumes = _if_installed(lambda: self._volume_rows(found)) or []
        return volumes + block.partition_rows(tree, found.of_volumes)

    def list_filesystems(self, context: Any) -> list[Row]:
        """Mounted local filesystems, each once however often it is mounted."""
        with _needed_for('list_filesystems'):
            found = self._mounts()
        tree = _if_installed(self._tree) or Tree(())
        files = self._runner.read_files(*POOL_FILES, *mounts.ERROR_FILES)
        errors = mounts.recorded_errors(files)
        return mounts.filesystem_rows(found, Pools(files, tree).of_mount,
                                      lambda mount: errors.get(mounts.kernel_name(mount, tree), 0))

    def list_shares(self, context: Any) -> list[Row]:
        """NFS exports and Samba shares."""
        files = self._runner.read_files(*shares.FILES, mounts.MOUNTINFO)
        exported, samba = shares.exports(files), _if_installed(self._samba_shares)
        if exported is None and samba is None:
            raise NotImplementedError('list_shares: the machine has neither an NFS nor a Samba server')
        points = mounts.mount_points(files.get(mounts.MOUNTINFO, ''))
        found = mounts.filesystems(_if_installed(self._mounts) or [])
        paths = [export.path for export in exported or ()] + [share.get('path', '') for share in (samba or {}).values()]
        filesystem_of = {path: mounts.filesystem_of(path, points, found) for path in paths if path.startswith('/')}
        return shares.export_rows(exported or [], filesystem_of) + shares.samba_rows(samba or {}, filesystem_of)

    def list_ports(self, context: Any) -> list[Row]:
        """Network ports: physical ones, and the bonds, VLANs and bridges over them."""
        with _needed_for('list_ports'):
            interfaces = self._interfaces()
        files = self._runner.read_files(*network.FILES, *host.IDENTITY_FILES)
        return network.port_rows(interfaces, files, parent=host.serial_number(files))

    # --- alerts ---

    def add_trap_config(self, context: Any, trap_config: Mapping[str, Any]) -> None:
        """Nothing to do: a Linux host sends no traps by itself."""

    def remove_trap_config(self, context: Any, trap_config: Mapping[str, Any]) -> None:
        """Nothing to do."""

    @staticmethod
    def parse_alert(context: Any, alert: Mapping[str, str]) -> Row | None:
        """linkDown and linkUp of the host's SNMP agent, should it have one; other traps are dropped."""
        return traps.parse(alert)

    def list_alerts(self, context: Any, query_para: Mapping[str, Any] | None = None) -> list[Row]:
        """All that is wrong now with arrays, disks, filesystems and ports. What only a tool that is not installed could
        tell, or only root, is left out; a tool that fails is an error, because what is absent is taken for repaired.
        """
        tree = _if_installed(self._tree) or Tree(())
        files = self._runner.read_files(*md.FILES, *mounts.ERROR_FILES, *mounts.ERROR_TIME_FILES, *network.FILES)
        arrays = md.arrays(files) or []
        found = [*alerts.array_alerts(arrays, files, md.native_ids(arrays, files, tree)),
                 *self._disk_alerts(block.disks(tree)), *self._filesystem_alerts(tree, files),
                 *alerts.port_alerts(network.down_ports(_if_installed(self._interfaces) or [], files))]
        return [alert for alert in found if alerts.in_window(alert, query_para)]

    def clear_alert(self, context: Any, sequence_number: str) -> None:
        """Not possible."""
        raise NotImplementedError('clear_alert: a Linux host keeps no alerts that could be cleared there. Repair the '
                                  'cause, and the next alert sync clears the alert.')

    def _disk_alerts(self, disks: list[Disk]) -> list[Row]:
        devices = [disk.path_that_works.path for disk in disks if disk.can_tell_health]
        health = _if_installed(lambda: self._health(devices)) if devices else None
        return alerts.disk_alerts(disks, health or {})

    def _filesystem_alerts(self, tree: Tree, files: Mapping[str, str]) -> list[Row]:
        found = mounts.filesystems(_if_installed(self._mounts) or [])
        inodes = _if_installed(lambda: self._inodes([mount.target for mount in found.values()])) if found else None
        knames = {native_id: mounts.kernel_name(mount, tree) for native_id, mount in found.items()}
        errors, times = mounts.recorded_errors(files), mounts.error_times(files)
        return alerts.filesystem_alerts(
            found, inodes or {}, {native_id: errors.get(kname, 0) for native_id, kname in knames.items()},
            {native_id: times[kname] for native_id, kname in knames.items() if kname in times}, self._thresholds)

    # --- performance ---

    @staticmethod
    def get_capabilities(context: Any, filters: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """What the kernel counts of disks, volumes, pools and ports. It keeps no history."""
        return performance.capabilities()

    def collect_perf_metrics(self, context: Any, storage_id: str, resource_metrics: Mapping[str, Any],
                             start_time: int, end_time: int) -> list[metric_struct]:
        """One point of each series: the mean since the last call, at the time of this one by the machine's clock. What
        was not there in the last call is measured for a second. A kind that the machine does not have has no points.
        """
        clock, files = self._runner.read_files_now(*performance.COUNTER_FILES, *performance.SEQUENCE_FILES, *POOL_FILES,
                                                   *network.FILES, *host.IDENTITY_FILES)
        resources = self._measurable(resource_metrics, files)
        rates = self._meter.measure(
            performance.reading(clock, files, resources),
            again=lambda: performance.reading(*self._runner.read_files_now(*performance.COUNTER_FILES), resources))
        return performance.points(storage_id, resource_metrics, resources, rates)

    def get_latest_perf_timestamp(self, context: Any) -> int:
        """Now, by the machine's clock: there is always a newest sample."""
        return self._runner.read_files_now(*performance.COUNTER_FILES)[0]

    def _measurable(self, wanted: Mapping[str, Any], files: Mapping[str, str]) -> list[performance.Resource]:
        resources: list[performance.Resource] = []
        tree = _if_installed(self._tree) if wanted.keys() - {ResourceType.PORT} else None
        if tree is not None:
            found = Pools(files, tree)
            resources += performance.block_resources(wanted, tree, found, files, lvm_is_installed=bool(
                found.active_volumes and _if_installed(lambda: self._runner.run(lvm.VERSION_COMMAND))))
        interfaces = _if_installed(self._interfaces) if ResourceType.PORT in wanted else None
        return resources + performance.port_resources(interfaces or [], files)

    # --- facts ---

    def _tree(self) -> Tree:
        return block.parse(self._runner.run(block.COMMAND).require())

    def _mounts(self) -> list[Mount]:
        found = self._runner.run(mounts.COMMAND)
        nothing = found.status == _FINDMNT_FOUND_NOTHING and not found.stderr
        return [] if nothing else mounts.parse(found.require())

    def _inodes(self, targets: list[str]) -> dict[str, tuple[int, int]]:
        return mounts.inodes(self._runner.run([*mounts.INODES_COMMAND, *targets]))

    def _interfaces(self) -> list[dict[str, Any]]:
        return network.parse(self._runner.run(network.COMMAND).require())

    def _health(self, devices: list[str]) -> dict[str, Health]:
        try:
            return smart.parse(self._runner.run(smart.command(devices), smart.TIMEOUT_SECONDS))
        except exception.StorageBackendException as error:      # names the shell that runs smartctl
            raise exception.StorageBackendException(
                f'asking {len(devices)} disks with smartctl: {error.error_args[0]}') from error

    def _pools(self, tree: Tree) -> Pools:
        return Pools(self._runner.read_files(*POOL_FILES), tree)

    def _lvm_report(self, command: tuple[str, ...], section: str) -> list[dict[str, Any]] | None:
        """The rows of an LVM report; None if the tool says that it could not look for want of rights."""
        found = self._runner.run(command)
        return None if lvm.could_not_look(found) else lvm.report(found, section)

    def _lvm_is_hidden(self) -> bool:
        found = _if_installed(lambda: self._runner.run(lvm.GROUPS_COMMAND))
        return found is not None and lvm.could_not_look(found)

    def _group_rows(self, found: Pools) -> list[Row]:
        groups = self._lvm_report(lvm.GROUPS_COMMAND, 'vg')
        volumes = self._lvm_report(lvm.VOLUMES_COMMAND, 'lv') if groups else []
        if groups is None or volumes is None:
            return lvm.active_group_rows(found.active_volumes)
        return lvm.group_rows(groups, volumes)

    def _volume_rows(self, found: Pools) -> list[Row]:
        volumes = self._lvm_report(lvm.VOLUMES_COMMAND, 'lv')
        return lvm.active_volume_rows(found.active_volumes) if volumes is None else lvm.volume_rows(volumes)

    def _samba_shares(self) -> dict[str, dict[str, str]]:
        # testparm comes with the client's tools as well; without the server its shares are not served.
        self._runner.run(shares.SAMBA_SERVER_COMMAND)
        return shares.samba_shares(self._runner.run(shares.SAMBA_COMMAND).require())

    def _management_address(self) -> str | None:
        """The address we reach the machine at, unless that is a name or a loopback address: then that of the interface
        of the default route.
        """
        if self._runner.address is not None and _is_routable(self._runner.address):
            return self._runner.address
        return _if_installed(self._default_address)

    def _default_address(self) -> str | None:
        routes = self._runner.run(network.ROUTE_COMMAND).require()
        return network.default_address(routes, self._interfaces())


def _is_routable(address: str) -> bool:
    try:
        return not ipaddress.ip_address(address).is_loopback
    except ValueError:      # a name
        return False


def _if_installed(read: Callable[[], T]) -> T | None:
    """What `read` returns; None if its tool does not exist on the machine."""
    try:
        return read()
    except ToolMissing:
        return None


@contextmanager
def _needed_for(method: str) -> Iterator[None]:
    """Turn a missing tool into "not supported"."""
    try:
        yield
    except ToolMissing as missing:
        raise NotImplementedError(f'{method}: {missing}') from missing
