# SPDX-License-Identifier: Apache-2.0
"""The driver: which requests each method makes. What becomes of the answers stands in the tables.

Flat kinds take a request for each hundred objects. Members of groups, qtrees and quotas have to be asked for by group
and parent; that goes in batches of a hundred, where the array takes them.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from delfin import exception
from delfin.common.alert_util import is_alert_in_time_range
from delfin.common.constants import PortLogicalType, metric_struct
from delfin.drivers import kit
from delfin.drivers.driver import Row
from delfin.drivers.huawei.oceanstor import alerts, codes, measures, tables
from delfin.drivers.huawei.oceanstor.session import LOCAL_USERS, SCOPE_OPTION, OceanStorSession, Question, Reply
from delfin.drivers.kit import MetricTable, units

LOG = logging.getLogger(__name__)

_SECTOR_BYTES = 512
_PORT_ID, _SHARE_ID = 'native_port_id', 'native_share_id'


class OceanStorDriver(kit.RestDriver):
    """Huawei OceanStor. Access: `rest`, port 8088."""

    SESSION = OceanStorSession
    session: OceanStorSession
    MAX_CONCURRENT_CALLS = 3            # alerts and metrics beside a sync, with one session
    COMPLIANCE_LEVELS = ('Core', 'Inventory', 'NAS', 'Mapping', 'Alerts', 'Performance')

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._forget()

    def _forget(self) -> None:
        self._sector: int | None = None
        self._statistics_path: str | None = None
        self._takes_space_unit = True

    @classmethod
    def get_driver_options(cls) -> Mapping[str, Mapping[str, Any]]:
        """Where the array looks the account up."""
        return {SCOPE_OPTION: {'description': 'Where the account is kept: 0 on the array, 1 LDAP, 8 RADIUS.',
                               'default': LOCAL_USERS}}

    @staticmethod
    def get_access_url() -> str:
        """DeviceManager for people."""
        return 'https://{ip}:8088'

    def reset_connection(self, context: Any, **kwargs: Any) -> None:
        """Log out; the next call logs in, with the new access information if there is any."""
        super().reset_connection(context, **kwargs)
        self._forget()

    # --- inventory ---

    def get_storage(self, context: Any) -> Row:
        """The array, and the software of its controllers."""
        reply = self._system()
        row = tables.STORAGE.row({**reply, tables.SECTOR: self._sector_of(reply)})
        software = [each['soft_version'] for each in self._controllers(context) if 'soft_version' in each]
        if software:
            row['firmware_version'] = software[0]
        if 'free_capacity' not in row and 'total_capacity' in row and 'used_capacity' in row:
            row['free_capacity'] = row['total_capacity'] - row['used_capacity']
        return row

    def list_controllers(self, context: Any) -> list[Row]:
        """Controllers, with the address of their management port."""
        rows = self._controllers(context)
        ports = self._management_ports()
        for row in rows:
            name = str(row.get('native_controller_id'))
            row['mgmt_ip'] = next((port.get('ipv4') or port.get('ipv6') for port in ports
                                   if _is_part_of(port.get('native_parent_id'), name)), None)
        return rows

    def list_storage_pools(self, context: Any) -> list[Row]:
        """Pools."""
        return list(tables.POOLS.rows(self._in_sectors('/storagepool')))

    def list_volumes(self, context: Any) -> Iterator[Row]:
        """LUNs, while they come."""
        pools: dict[Any, str] | None = None
        for reply in self._in_sectors('/lun'):
            row = tables.VOLUMES.row(reply)
            if 'native_storage_pool_id' not in row and 'PARENTNAME' in reply:       # an old release
                if pools is None:
                    pools = {pool.get('name'): pool['native_storage_pool_id']
                             for pool in self.list_storage_pools(context) if 'native_storage_pool_id' in pool}
                row['native_storage_pool_id'] = pools.get(reply['PARENTNAME'])
            yield row

    def list_disks(self, context: Any) -> list[Row]:
        """Disks."""
        return list(tables.DISKS.rows(self.session.rows('/disk')))

    def list_ports(self, context: Any) -> list[Row]:
        """Ports of all kinds."""
        return _distinct(_PORT_ID, self._ports())

    # --- files ---

    def list_filesystems(self, context: Any) -> list[Row]:
        """File systems."""
        return list(tables.FILESYSTEMS.rows(self._in_sectors('/filesystem')))

    def list_qtrees(self, context: Any) -> list[Row]:
        """Quota trees, which are asked for by file system."""
        return self._qtrees(self.list_filesystems(context))

    def list_quotas(self, context: Any) -> list[Row]:
        """Quotas, which are asked for by file system and by quota tree. What is listed under both is the tree's."""
        files = self.list_filesystems(context)
        trees = self._qtrees(files)
        parents: list[tuple[int, Any, Row]] = [
            *((codes.QUOTA_TREE, tree['native_qtree_id'], {
                'native_qtree_id': tree['native_qtree_id'], 'native_filesystem_id': tree.get('native_filesystem_id')})
              for tree in trees if 'native_qtree_id' in tree),
            *((codes.FILESYSTEM, name, {'native_filesystem_id': name}) for name in _ids(files, 'native_filesystem_id'))]
        found: dict[Any, Row] = {}
        for (_, _, of), replies in zip(parents, self._quotas(parents), strict=True):
            for reply in replies:
                row = tables.QUOTAS.row(reply, **of)
                found.setdefault(row.get('native_quota_id'), row)
        return list(found.values())

    def list_shares(self, context: Any) -> list[Row]:
        """CIFS, NFS and FTP shares."""
        lists = self.session.gather(
            lambda path: list(tables.SHARES[path].rows(self.session.rows(path))), tables.SHARES)
        return _distinct(_SHARE_ID, {rows[0]['protocol']: rows for rows in lists if rows})

    def _qtrees(self, files: Sequence[Row]) -> list[Row]:
        owners = [row for row in files if 'native_filesystem_id' in row]
        lists = self.session.rows_of_each([Question('/quotatree', {
            'PARENTTYPE': codes.FILESYSTEM, 'PARENTID': row['native_filesystem_id']}) for row in owners])
        return [tables.QTREES.row({**reply, tables.FILESYSTEM_NAME: owner.get('name')})
                for owner, replies in zip(owners, lists, strict=True) for reply in replies]

    def _quotas(self, parents: Sequence[tuple[int, Any, Row]]) -> list[list[Reply]]:
        """In bytes; without saying so to arrays that do not know the word, which count in bytes anyway."""
        def ask(more: Mapping[str, Any]) -> list[list[Reply]]:
            return self.session.rows_of_each([Question('/FS_QUOTA', {
                'PARENTTYPE': kind, 'PARENTID': name, **more}) for kind, name, _ in parents])
        if self._takes_space_unit:
            try:
                return ask({'SPACEUNITTYPE': '0'})
            except codes.BadParameter as error:
                LOG.info('%s does not know SPACEUNITTYPE: %s', self.session.host, error)
                self._takes_space_unit = False
        return ask({})

    # --- hosts, and who sees what ---

    def list_storage_host_initiators(self, context: Any) -> list[Row]:
        """FC, iSCSI and InfiniBand initiators."""
        lists = self.session.gather(
            lambda path: list(tables.INITIATORS[path].rows(self.session.rows(path))), tables.INITIATORS)
        return [row for rows in lists for row in rows]

    def list_storage_hosts(self, context: Any) -> list[Row]:
        """Hosts."""
        return list(tables.HOSTS.rows(self.session.rows('/host')))

    def list_storage_host_groups(self, context: Any) -> dict[str, list[Row]]:
        """Host groups and the hosts in them."""
        groups = list(tables.HOST_GROUPS.rows(self.session.rows('/hostgroup')))
        return {'storage_host_groups': groups, 'storage_host_grp_host_rels': [
            {'native_storage_host_group_id': group, 'native_storage_host_id': host} for group, host in self._members(
                tables.HOST_GROUPS, groups, codes.HOST_GROUP, tables.HOSTS, '/host/associate')]}

    def list_volume_groups(self, context: Any) -> dict[str, list[Row]]:
        """LUN groups and the LUNs in them."""
        groups = list(tables.VOLUME_GROUPS.rows(self.session.rows('/lungroup')))
        return {'volume_groups': groups, 'vol_grp_vol_rels': [
            {'native_volume_group_id': group, 'native_volume_id': lun} for group, lun in self._members(
                tables.VOLUME_GROUPS, groups, codes.LUN_GROUP, tables.VOLUMES, '/lun/associate')]}

    def list_port_groups(self, context: Any) -> dict[str, list[Row]]:
        """Port groups and the ports in them. Only kinds of ports that the array has are asked for."""
        groups = list(tables.PORT_GROUPS.rows(self.session.rows('/portgroup')))
        ports = self._ports() if groups else {}
        names = _qualified(_PORT_ID, ports)
        relations = []
        for path in ('/eth_port', '/fc_port', '/fcoe_port'):
            kind, table = tables.PORTS[path]
            if ports.get(kind):
                relations += [{'native_port_group_id': group, _PORT_ID: names(kind, port)}
                              for group, port in self._members(
                                  tables.PORT_GROUPS, groups, codes.PORT_GROUP, table, f'{path}/associate')]
        return {'port_groups': groups, 'port_grp_port_rels': relations}

    def list_masking_views(self, context: Any) -> list[Row]:
        """Mapping views. Each group is asked in which views it is: a view does not say itself what it joins."""
        views = {row.get('native_masking_view_id'): row
                 for row in tables.MASKING_VIEWS.rows(self.session.rows('/mappingview'))}
        if views:
            for table, path, kind in ((tables.HOST_GROUPS, '/hostgroup', codes.HOST_GROUP),
                                      (tables.VOLUME_GROUPS, '/lungroup', codes.LUN_GROUP),
                                      (tables.PORT_GROUPS, '/portgroup', codes.PORT_GROUP)):
                groups = list(table.rows(self.session.rows(path)))
                for group, view in self._members(
                        table, groups, kind, tables.MASKING_VIEWS, '/mappingview/associate'):
                    if view in views:
                        views[view][table.id_column] = group
        return list(views.values())

    def _members(self, table: kit.Table, groups: Iterable[Row], kind: int, members: kit.Table,
                 path: str) -> Iterator[tuple[Any, Any]]:
        """(id of the group, id of the member) for whatever is associated with one of the groups."""
        names = _ids(groups, table.id_column)
        lists = self.session.rows_of_each([Question(path, {
            'ASSOCIATEOBJTYPE': kind, 'ASSOCIATEOBJID': name}) for name in names])
        return ((name, member) for name, replies in zip(names, lists, strict=True) for reply in replies
                if (member := members.id_of(reply)) is not None)

    # --- alerts ---

    def list_alerts(self, context: Any, query_para: Mapping[str, Any] | None = None) -> list[Row]:
        """Current alarms."""
        return [row for row in alerts.ALARMS.rows(self.session.rows('/alarm/currentalarm'))
                if is_alert_in_time_range(query_para, row.get('occur_time'))]

    def clear_alert(self, context: Any, sequence_number: str) -> None:
        """Clear an alarm; what is broken stays so."""
        self.session.delete('/alarm/currentalarm', sequence=sequence_number)

    @staticmethod
    def parse_alert(context: Any, alert: Mapping[str, str]) -> Row | None:
        """An alarm or its end; other traps of the array are dropped."""
        return alerts.TRAPS.alert(alert)

    def get_alert_sources(self, context: Any) -> list[Row]:
        """All management addresses: the array does not say which of them it sends from."""
        return [{'host': address} for port in self._management_ports()
                for address in (port.get('ipv4'), port.get('ipv6')) if address]

    def add_trap_config(self, context: Any, trap_config: Mapping[str, Any]) -> None:
        """Have traps sent to a receiver. Communities, users and keys are the array's own and have to be there."""
        receiver = {
            'CMO_TRAP_SERVER_IP': str(trap_config['host']), 'CMO_TRAP_SERVER_PORT': str(trap_config['port']),
            'CMO_TRAP_SERVER_TYPE': alerts.ALL_TRAPS,
            'CMO_TRAP_VERSION': alerts.TRAP_VERSIONS[trap_config['version']]}
        if trap_config.get('username'):
            receiver['CMO_TRAP_SERVER_USER'] = str(trap_config['username'])
        known = next(self._receivers(trap_config), None)
        try:
            if known is None:
                self.session.post('/snmp_trap_addr', receiver)
            elif any(str(known.get(name)) != value for name, value in receiver.items()):
                self.session.put(f'/snmp_trap_addr/{known["ID"]}', {'ID': known['ID'], **receiver})
        except kit.NotThere as error:
            raise exception.StorageBackendException(message=(
                f'{error} Is there an SNMP user "{receiver.get("CMO_TRAP_SERVER_USER", "")}" on the array? Make one in '
                'DeviceManager: Delfin cannot.')) from None

    def remove_trap_config(self, context: Any, trap_config: Mapping[str, Any]) -> None:
        """Have no more traps sent there."""
        for receiver in list(self._receivers(trap_config)):
            self.session.delete(f'/snmp_trap_addr/{receiver["ID"]}')

    def _receivers(self, trap_config: Mapping[str, Any]) -> Iterator[Reply]:
        where = str(trap_config['host']), str(trap_config['port'])
        return (row for row in self.session.rows('/snmp_trap_addr')
                if (str(row.get('CMO_TRAP_SERVER_IP')), str(row.get('CMO_TRAP_SERVER_PORT'))) == where)

    # --- metrics ---

    @staticmethod
    def get_capabilities(context: Any, filters: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The current values of what the array measures."""
        return measures.capabilities()

    def collect_perf_metrics(self, context: Any, storage_id: str, resource_metrics: Mapping[str, Any],
                             start_time: int, end_time: int) -> list[metric_struct]:
        """The current sample of every object."""
        points = kit.Points(storage_id, resource_metrics)
        objects = [each for table in measures.ALL if points.wants(table) for each in self._measured(table, context)]
        questions = [measures.question(each.table, resource_metrics[each.table.resource_type], each.uuid)
                     for each in objects]
        sampled = False
        for each, question, answer in zip(objects, questions, self._statistics(questions), strict=True):
            for reply in answer:
                sample = measures.sample(reply, question)
                if sample is not None:
                    sampled = True
                    points.add(each.table, sample.values, resource_id=each.native_id, time=sample.time, name=each.name)
        if objects and not sampled:
            self._require_statistics()
        return points.series()

    def _measured(self, table: MetricTable, context: Any) -> Iterator[_Measured]:
        """The objects that have the metrics of a table."""
        if table is measures.PORTS:
            ports = self._ports()
            names = _qualified(_PORT_ID, ports)
            for kind in measures.MEASURED_PORTS:
                for row in ports.get(kind, ()):
                    if _PORT_ID in row:
                        yield _Measured(table, f'{kind}:{row[_PORT_ID]}', names(kind, row[_PORT_ID]), row.get('name'))
            return
        kind, column, rows = {
            measures.POOLS: (codes.POOL, 'native_storage_pool_id', self.list_storage_pools),
            measures.VOLUMES: (codes.LUN, 'native_volume_id', self.list_volumes),
            measures.CONTROLLERS: (codes.CONTROLLER, 'native_controller_id', self._controllers),
            measures.DISKS: (codes.DISK, 'native_disk_id', self.list_disks)}[table]
        for row in rows(context):
            if column in row:
                yield _Measured(table, f'{kind}:{row[column]}', row[column], row.get('name'))

    def _statistics(self, questions: Sequence[Mapping[str, str]]) -> list[list[Reply]]:
        """The answers, each a list of at most one; empty for objects that went meanwhile or have no statistics."""
        if not questions:
            return []
        if self._statistics_path is None:
            self._statistics_path = self._spelling(questions[0])
        answers = self.session.ask_all([Question(self._statistics_path, question) for question in questions])
        refusals = [answer for answer in answers
                    if isinstance(answer, Exception) and not isinstance(answer, kit.NotThere)]
        if len(refusals) == len(answers):
            raise refusals[0]
        if refusals:
            LOG.warning('%s refuses the statistics of %d of %d objects: %s', self.session.host, len(refusals),
                        len(answers), refusals[0])
        return [answer if isinstance(answer, list) else [] for answer in answers]

    def _spelling(self, question: Mapping[str, str]) -> str:
        """The path of statistics that this release knows."""
        for path in measures.PATHS:
            [answer] = self.session.ask_all([Question(path, question)])
            if not isinstance(answer, Exception):
                return path
        raise answer

    def _require_statistics(self) -> None:
        switch = self.session.get('/performance_statistic_switch') or {}
        if str(switch.get('CMO_PERFORMANCE_SWITCH')) == '0':
            raise exception.StorageBackendException(message=(
                f'{self.session.host} collects no statistics: switch performance monitoring on in DeviceManager.'))

    # --- facts ---

    def _system(self) -> Reply:
        reply: Reply = self.session.get('/system/')
        return reply

    def _in_sectors(self, path: str) -> Iterator[Reply]:
        """Objects whose capacities count sectors of the array."""
        if self._sector is None:
            self._sector = self._sector_of(self._system())
        for reply in self.session.rows(path):
            reply[tables.SECTOR] = self._sector
            yield reply

    @staticmethod
    def _sector_of(system: Reply) -> int:
        size = units.number(system.get('SECTORSIZE'))
        return int(size) if size and size > 0 else _SECTOR_BYTES

    def _controllers(self, context: Any) -> list[Row]:
        return list(tables.CONTROLLERS.rows(self.session.rows('/controller')))

    def _management_ports(self) -> list[Row]:
        return [row for row in tables.PORTS['/eth_port'][1].rows(self.session.rows('/eth_port'))
                if row.get('logical_type') == PortLogicalType.MANAGEMENT]

    def _ports(self) -> dict[int, list[Row]]:
        """By TYPE, with the ids that they have within it."""
        lists = self.session.gather(
            lambda path: list(tables.PORTS[path][1].rows(self.session.rows(path))), tables.PORTS)
        return {kind: rows for (kind, _), rows in zip(tables.PORTS.values(), lists, strict=True)}


class _Measured(NamedTuple):
    """An object with statistics, and what the array and the inventory call it."""

    table: MetricTable
    uuid: str
    native_id: str
    name: str | None


def _ids(rows: Iterable[Row], column: str) -> list[Any]:
    return [row[column] for row in rows if column in row]


def _is_part_of(parent: Any, controller: str) -> bool:
    """Whether a parent is the controller or one of its modules: 0A, 0A.1."""
    return str(parent) == controller or str(parent).startswith(f'{controller}.')


def _qualified(column: str, lists: Mapping[Any, Iterable[Row]]) -> Callable[[Any, Any], Any]:
    """Native ids for objects whose ids are unique within their list only: where two lists have the same one, the name
    of the list stands before it.
    """
    counts = Counter(name for rows in lists.values() for name in set(_ids(rows, column)))
    return lambda of, name: f'{of}:{name}' if counts[name] > 1 else name


def _distinct(column: str, lists: Mapping[Any, Sequence[Row]]) -> list[Row]:
    """The rows of all lists, with such ids."""
    names = _qualified(column, lists)
    return [{**row, column: names(of, row[column])} if column in row else row
            for of, rows in lists.items() for row in rows]
