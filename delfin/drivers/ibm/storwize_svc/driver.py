# SPDX-License-Identifier: Apache-2.0
"""The driver: which commands each method takes. However large the array is they are the same few, except where its CLI
tells of single objects only: nodes, hosts, MDisks behind a fabric, entries of the event log. Of those several are asked
at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from delfin import cryptor, exception
from delfin.common.constants import metric_struct
from delfin.drivers import kit
from delfin.drivers.driver import Row
from delfin.drivers.ibm.storwize_svc import alerts, counting, inventory, tables
from delfin.drivers.ibm.storwize_svc.left import Left
from delfin.drivers.ibm.storwize_svc.session import Reply, StorwizeSession
from delfin.drivers.ibm.storwize_svc.statistics import Statistics
from delfin.drivers.ibm.storwize_svc.variants import IBM, Variant
from delfin.drivers.kit.delimited import Pairs

_NODES = ('lsnode', 'lsnodecanister')
_HOSTS_SECONDS = 30.0       # the details of hosts serve initiators and hosts of one sync
_OPEN = ('-alert', 'yes', '-message', 'no', '-monitoring', 'yes', '-expired', 'no', '-fixed', 'no')
_TRAP_LEVELS = ('-error', 'on', '-warning', 'on', '-info', 'on')
_TRAP_VERSIONS = ('SNMPv1', 'SNMPv2c')


class StorwizeDriver(kit.CliDriver):
    """An IBM Storwize, SVC or FlashSystem. Access: `ssh`."""

    SESSION: ClassVar[type[kit.CliSession]] = StorwizeSession
    VARIANT: ClassVar[Variant] = IBM
    MAX_CONCURRENT_CALLS = 3        # session and statistics are made for threads
    COMPLIANCE_LEVELS = ('Core', 'Inventory', 'Mapping', 'Alerts', 'Performance')

    session: StorwizeSession

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._hosts = Left[list[list[Pairs]]](_HOSTS_SECONDS)
        self._statistics = Statistics()

    @staticmethod
    def get_access_url() -> str:
        """The management interface, for people."""
        return 'https://{ip}'

    # --- inventory ---

    def get_storage(self, context: Any) -> Row:
        """The array; degraded if a node of it is not online."""
        system = self._system()
        enclosures = None if system.get('product_name') else self.session.rows_if_known('lsenclosure')
        return inventory.storage(system, self._nodes(), enclosures or (), self.VARIANT.vendor)

    def list_storage_pools(self, context: Any) -> Iterator[Row]:
        """Pools and child pools."""
        return inventory.pools(self.session.rows('lsmdiskgrp', '-bytes'))

    def list_volumes(self, context: Any) -> Iterator[Row]:
        """Volumes, of three lists. A level that does not have those of copies is asked for each volume that has more to
        tell than the list does.
        """
        def rows(command: str) -> list[Reply] | None:
            ask = self.session.rows if command == 'lsvdisk' else self.session.rows_if_known
            return ask(command, '-bytes')

        volumes, of_all, of_thin = kit.in_parallel(rows, ('lsvdisk', 'lsvdiskcopy', 'lssevdiskcopy'),
                                                   self.session.LIMITS.at_once)
        copies = inventory.Copies()
        if of_all is not None and of_thin is not None:
            copies.add(of_all)
            copies.add(of_thin)
        else:
            ids = [each['id'] for each in volumes or () if inventory.needs_details(each)]
            for volume, sections in zip(ids, self.session.objects(('lsvdisk', '-bytes'), ids), strict=True):
                copies.add_details(volume, sections)
        return inventory.volumes(volumes or (), copies)

    def list_controllers(self, context: Any) -> Iterator[Row]:
        """Nodes, or node canisters."""
        ids = [node['id'] for node in self._nodes()]
        command = self.session.known(lambda name: name, *_NODES)
        return inventory.controllers(self.session.objects((command,), ids),
                                     self.session.objects((f'{command}hw',), ids))

    def list_ports(self, context: Any) -> Iterator[Row]:
        """Fibre Channel and Ethernet ports."""
        yield from tables.FC_PORTS.rows(self.session.rows('lsportfc'))
        addresses = self.session.rows_if_known('lsportip')
        if addresses is not None:
            yield from inventory.ethernet_ports(addresses)
        else:       # from 8.4.2 on
            yield from inventory.ethernet_ports(self.session.rows('lsportethernet'), self.session.rows('lsip'))

    def list_disks(self, context: Any) -> Iterator[Row]:
        """MDisks. Only those that are not made of own drives have a fabric, which the list does not tell."""
        disks = self.session.rows('lsmdisk', '-bytes')
        ids = [disk['id'] for disk in disks if disk.get('mode') != tables.OWN_DRIVES]
        fabrics = {id: dict(pair for section in sections for pair in section).get('fabric_type', '')
                   for id, sections in zip(ids, self.session.objects(('lsmdisk', '-bytes'), ids), strict=True)}
        return inventory.disks(disks, fabrics)

    # --- hosts ---

    def list_storage_hosts(self, context: Any) -> Iterator[Row]:
        """Hosts."""
        left = self._hosts.take()
        return inventory.hosts(self._host_details() if left is None else left)

    def list_storage_host_initiators(self, context: Any) -> Iterator[Row]:
        """The ports of hosts. A sync asks for them before it asks for the hosts, which are in the same answers: those
        are left, unless the array fails.
        """
        self._hosts.take()
        details = self._host_details()
        self._hosts.put(details)
        return inventory.initiators(details)

    def list_storage_host_groups(self, context: Any) -> dict[str, Any]:
        """Host clusters."""
        clusters = self._supported('list_storage_host_groups', 'lshostcluster')
        return {'storage_host_groups': list(tables.HOST_GROUPS.rows(clusters)), 'storage_host_grp_host_rels': [
            {'native_storage_host_group_id': host['host_cluster_id'], 'native_storage_host_id': host['id']}
            for host in (self.session.rows('lshost') if clusters else ()) if host.get('host_cluster_id')]}

    def list_volume_groups(self, context: Any) -> dict[str, Any]:
        """Volume groups, from 8.4 on."""
        groups = self._supported('list_volume_groups', 'lsvolumegroup')
        return {'volume_groups': list(tables.VOLUME_GROUPS.rows(groups)), 'vol_grp_vol_rels': [
            {'native_volume_group_id': volume['volume_group_id'], 'native_volume_id': volume['id']}
            for volume in (self.session.rows('lsvdisk', '-bytes') if groups else ()) if volume.get('volume_group_id')]}

    def list_masking_views(self, context: Any) -> Iterator[Row]:
        """One for each volume that a host sees."""
        return tables.MASKING_VIEWS.rows(self.session.rows('lshostvdiskmap'))

    # --- alerts ---

    @staticmethod
    def parse_alert(context: Any, alert: Mapping[str, str]) -> Row | None:
        """Traps, of IBM's MIB and of those that follow it; others are dropped."""
        return alerts.trap(alert)

    def list_alerts(self, context: Any, query_para: Mapping[str, Any] | None = None) -> Iterable[Row]:
        """Errors and warnings of the event log that are not fixed. Only the details of an entry tell which it is: they
        are asked for of those in the time that is wanted.
        """
        zone = alerts.zone_of(self._system())
        wanted = alerts.sequences(self.session.rows('lseventlog', *_OPEN), query_para, zone)
        return alerts.events(self.session.objects(('lseventlog',), wanted), query_para)

    def clear_alert(self, context: Any, sequence_number: str) -> None:
        """Mark an entry of the log as fixed; one that has gone is."""
        number = str(sequence_number)
        if not (number.isascii() and number.isdecimal()):
            raise exception.InvalidInput(f'A sequence number of this array is a number, not {number[:40]!r}.')
        try:
            said = self.session.change('cheventlog', '-fix', number).strip()
        except kit.NotThere:
            return
        if said:
            raise exception.StorageBackendException(f'"cheventlog -fix {number}" answered {said[:200]!r}')

    def add_trap_config(self, context: Any, trap_config: Mapping[str, Any]) -> None:
        """Make it a receiver. What is there for this address with another community is replaced."""
        if trap_config.get('version') not in _TRAP_VERSIONS:
            raise NotImplementedError('add_trap_config: this driver sets up SNMPv1 and SNMPv2c receivers')
        community = cryptor.decode(trap_config['community_string'])
        known = self._receivers(trap_config)
        if any(each.get('community') == community for each in known):
            return
        self.remove_trap_config(context, trap_config)
        self.session.change('mksnmpserver', '-ip', str(trap_config['host']), '-community', community,
                            '-port', str(trap_config['port']), *_TRAP_LEVELS)

    def remove_trap_config(self, context: Any, trap_config: Mapping[str, Any]) -> None:
        """No receiver any more."""
        for each in self._receivers(trap_config):
            self.session.change('rmsnmpserver', each['id'])

    # --- performance ---

    @staticmethod
    def get_capabilities(context: Any, filters: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """What the statistics files tell. The array keeps sixteen of each kind."""
        return counting.capabilities()

    def collect_perf_metrics(self, context: Any, storage_id: str, resource_metrics: Mapping[str, Any],
                             start_time: int, end_time: int) -> list[metric_struct]:
        """A point for each interval that ends in the window: what all nodes have counted together."""
        points = kit.Points(storage_id, resource_metrics, start_time, end_time)
        kinds = counting.kinds(points)
        if kinds:
            ports = {port['WWPN'].upper(): port for port in self.session.rows('lsportfc')} \
                if counting.needs_ports(points) else {}
            intervals = self._statistics.intervals(self.session, self._system(), self._nodes(), kinds, start_time,
                                                   end_time)
            counting.add(points, intervals, ports)
        return points.series()

    def get_latest_perf_timestamp(self, context: Any) -> int | None:
        """The end of the newest interval that any node has counted."""
        return self._statistics.newest(self.session, self._system(), self._nodes())

    # --- asking ---

    def _system(self) -> Reply:
        system = self.session.system()
        alerts.remember(self.storage_id, alerts.zone_of(system))
        return system

    def _nodes(self) -> list[Reply]:
        return self.session.known(self.session.rows, *_NODES)

    def _host_details(self) -> list[list[Pairs]]:
        return list(self.session.objects(('lshost',), [host['id'] for host in self.session.rows('lshost')]))

    def _receivers(self, trap_config: Mapping[str, Any]) -> list[Reply]:
        return [each for each in self.session.rows('lssnmpserver')
                if each.get('IP_address', each.get('ip')) == str(trap_config['host'])
                and each.get('port') == str(trap_config['port'])]

    def _supported(self, method: str, command: str) -> list[Reply]:
        found = self.session.rows_if_known(command)
        if found is None:
            raise NotImplementedError(f'{method}: this code level has no {command}')
        return found
