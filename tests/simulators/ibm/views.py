# SPDX-License-Identifier: Apache-2.0
"""How the model looks on the wire: the columns of each command's concise view, the pairs of its detailed one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.simulators.ibm.grammar import Record, Row, Size, Table
from tests.simulators.ibm.levels import Level
from tests.simulators.ibm.model import Copy, Host, Model, Node, Volume

Pairs = list[tuple[str, object]]
_MIB, _GIB = 2**20, 2**30
_ZONES = {'UTC': 522, 'Europe/Berlin': 358, 'America/New_York': 183, 'Asia/Kolkata': 304, 'Australia/Lord_Howe': 330}
_PORT_KEYS = {'fc': 'WWPN', 'sas': 'SAS_WWPN', 'iscsi': 'iscsi_name', 'nvme': 'nqn'}


@dataclass(frozen=True)
class View:
    """What a command shows of objects of a kind.

    `rows` makes the concise view; `record` the detailed one, of the object that `find` names (KeyError), if the command
    has that; `narrow` instead makes the concise view of what belongs to a named object. `bytes`: it knows -bytes.
    """

    columns: tuple[str, ...]
    rows: Callable[[Model, Level], Sequence[Row]]
    kind: str = ''
    record: Callable[[Model, Level, Any], Record] | None = None
    narrow: Callable[[Model, Level, str], Sequence[Row]] | None = None
    bytes: bool = False

    def table(self, model: Model, level: Level) -> Table:
        """All objects."""
        return Table(self.columns, self.rows(model, level))


def _columns(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _pairs(columns: Sequence[str], row: Row) -> Pairs:
    return list(zip(columns, row, strict=True))


# --- the system ---

def system(model: Model, level: Level) -> Record:
    """lssystem."""
    it, whole = model.system, model.whole()
    tops = [pool for pool in model['pool'].values() if pool.parent == pool.id]
    sizes = {'total_mdisk_capacity': model.raw, 'space_in_mdisk_grps': whole.capacity,
             'space_allocated_to_vdisks': whole.real, 'total_free_space': whole.free,
             'total_vdiskcopy_capacity': sum(one.virtual for one in model.usage().values()),
             'total_used_capacity': whole.used, 'total_overallocation': None, 'total_vdisk_capacity': whole.virtual,
             'total_allocated_extent_capacity': whole.real}
    pairs: Pairs = [('id', it.id), ('name', it.name), ('location', 'local'), ('partnership', '')]
    for key, value in sizes.items():
        pairs.append((key, Size(value) if value is not None else whole.virtual * 100 // max(1, whole.capacity)))
    pairs += [('statistics_status', 'on' if it.statistics_on else 'off'),
              ('statistics_frequency', it.statistics_minutes), ('cluster_locale', 'en_US'),
              ('time_zone', f'{_ZONES.get(it.time_zone, 1)} {it.time_zone}'), ('code_level', it.code),
              ('console_IP', f'{it.ip}:443'), ('id_alias', it.id), ('gm_link_tolerance', 300),
              ('email_contact', 'Größe & Söhne: storage'), ('has_nas_key', False), ('layer', 'storage')]
    for tier, disks in _by_tier(model).items():
        pools = {disk.pool for disk in disks}
        free = sum(model.usage()[pool.id].free for pool in tops if pool.id in pools)
        pairs += [('tier', tier), ('tier_capacity', Size(sum(disk.capacity for disk in disks))),
                  ('tier_free_capacity', Size(free))]
    pairs += [('topology', 'standard'), ('topology_status', ''), ('product_name', it.product),
              ('total_drive_raw_capacity', Size(sum(drive.capacity for drive in model['drive'].values())))]
    return Record([pairs])


def _by_tier(model: Model) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for disk in model['mdisk'].values():
        if disk.pool:
            found.setdefault(disk.tier, []).append(disk)
    return found


# --- nodes ---

_NODE = _columns('id name UPS_serial_number WWNN status IO_group_id IO_group_name config_node UPS_unique_id hardware'
                 ' iscsi_name iscsi_alias panel_name enclosure_id canister_id enclosure_serial_number site_id'
                 ' site_name')


def _node(model: Model, node: Node) -> Row:
    iscsi = f'iqn.1986-03.com.ibm:2145.{model.system.name.replace(" ", "")}.{node.name}'
    return (node.id, node.name, '', node.wwnn, node.status, node.io_group, f'io_grp{node.io_group}', node.config, '',
            node.hardware, iscsi, '', node.panel, node.enclosure, node.canister, node.serial, '', '')


def _nodes(model: Model, level: Level) -> Sequence[Row]:
    return [_node(model, node) for node in model['node'].values()]


def _node_record(model: Model, level: Level, node: Node) -> Record:
    pairs = _pairs(_NODE, _node(model, node))
    for number in range(4):
        port = next((port for port in model.by('fc_port', 'node').get(node.id, ()) if port.number == number + 1), None)
        pairs += [('port_id', port.wwpn if port else ''), ('port_status', port.status if port else ''),
                  ('port_speed', _gigabits(port.speed) if port else '')]
    pairs += [('service_IP_address', node.service_ip), ('service_gateway', '192.0.2.1'),
              ('service_subnet_mask', '255.255.255.0'), ('service_IP_mode', 'static'), ('code_level', node.code),
              ('product_mtm', model.system.product), ('identify_LED', 'off')]
    return Record([pairs])


def _hardware(model: Model, level: Level, node: Node) -> Record:
    """One that is offline does not tell."""
    told = node.status != 'offline'
    pairs: Pairs = [('id', node.id), ('name', node.name), ('status', node.status),
                    ('IO_group_id', node.io_group), ('hardware', node.hardware if told else ''),
                    ('actual_different', False), ('actual_valid', told), ('memory_configured', node.memory // _GIB),
                    ('memory_actual', node.memory // _GIB if told else ''), ('memory_valid', told),
                    ('cpu_count', node.cpu_count if told else '')]
    for socket in range(1, node.cpu_count + 1):
        pairs += [('cpu_socket', socket), ('cpu_configured', node.cpu), ('cpu_actual', node.cpu if told else ''),
                  ('cpu_valid', told)]
    pairs.append(('adapter_count', 2))
    for location in (1, 2):
        pairs += [('adapter_location', location), ('adapter_configured', 'Four port 16Gb/s FC adapter'),
                  ('adapter_actual', 'Four port 16Gb/s FC adapter' if told else ''), ('adapter_valid', told)]
    return Record([pairs])


# --- ports ---

_FC = _columns('id fc_io_port_id port_id type port_speed node_id node_name WWPN nportid status attachment'
               ' cluster_use adapter_location adapter_port_id')
_IP_PORT = _columns('id node_id node_name IP_address mask gateway IP_address_6 prefix_6 gateway_6 MAC duplex state'
                    ' speed failover link_state host')
_ETHERNET = _columns('id node_id node_name adapter_location adapter_port_id link_state speed duplex MAC storage host'
                     ' rdma_type dcbx_state')
_IP = _columns('id node_id node_name port_id portset_id portset_name IP_address prefix vlan gateway owner_id'
               ' owner_name')


def _gigabits(speed: int | None, suffix: str = '') -> str:
    if speed is None:
        return '' if suffix else 'N/A'
    return f'{speed // 10**9}Gb{suffix}' if speed >= 10**9 else f'{speed // 10**6}Mb{suffix}'


def _fc_port(model: Model, port: Any) -> Row:
    active = port.status == 'active'
    return (port.id, port.number, port.number, port.type, _gigabits(port.speed), port.node,
            model['node'][port.node].name, port.wwpn, f'01{int(port.id):02X}00' if active else '000000', port.status,
            port.attachment, 'local_partner', (port.number - 1) // 4 + 1, (port.number - 1) % 4 + 1)


def _fc_ports(model: Model, level: Level) -> Sequence[Row]:
    return [_fc_port(model, port) for port in model['fc_port'].values()]


def _fc_record(model: Model, level: Level, port: Any) -> Record:
    return Record([_pairs(_FC, _fc_port(model, port))])


def _ip_port(model: Model, port: Any, failover: bool) -> Row:
    """Twice: with its own addresses, and, as failover, with those that it takes over from the partner (none here)."""
    one = ('', '', '', '', '', '') if failover else (
        port.ipv4, port.ipv4_mask, port.gateway, port.ipv6, port.ipv6_prefix, port.gateway6)
    return (port.number, port.node, model['node'][port.node].name, *one, port.mac, 'Full' if port.link else '',
            'unconfigured' if failover else port.state, _gigabits(port.speed, '/s'), failover,
            'active' if port.link else 'inactive', True if port.ipv4 and not failover else '')


def _ip_ports(model: Model, level: Level) -> Sequence[Row]:
    ports = sorted(model['eth_port'].values(), key=lambda port: (port.number, int(port.node)))
    return [_ip_port(model, port, failover) for port in ports for failover in (False, True)]


def _ip_port_record(model: Model, level: Level, number: str) -> Record:
    sections = [_pairs(_IP_PORT, row) for row in _ip_ports(model, level) if str(row[0]) == number]
    if not sections:
        raise KeyError(number)
    return Record(sections)


def _ethernet(model: Model, level: Level) -> Sequence[Row]:
    return [(port.number, port.node, model['node'][port.node].name, 0, port.number,
             'active' if port.link else 'inactive', _gigabits(port.speed, '/s'), 'Full' if port.link else '', port.mac,
             True, True, '', 'unsupported') for port in model['eth_port'].values()]


def _addresses(model: Model, level: Level) -> Sequence[Row]:
    found: list[Row] = []
    for port in model['eth_port'].values():
        for address, prefix, gateway in (
                (port.ipv4, 24, port.gateway), (port.ipv6, port.ipv6_prefix, port.gateway6)):
            if address:
                found.append((len(found), port.node, model['node'][port.node].name, port.number, 0, 'portset0', address,
                              prefix, '', gateway, '', ''))
    return found


# --- capacity ---

_POOL = _columns('id name status mdisk_count vdisk_count capacity extent_size free_capacity virtual_capacity'
                 ' used_capacity real_capacity overallocation warning easy_tier easy_tier_status compression_active'
                 ' compression_virtual_capacity compression_compressed_capacity compression_uncompressed_capacity'
                 ' parent_mdisk_grp_id parent_mdisk_grp_name child_mdisk_grp_count child_mdisk_grp_capacity type'
                 ' encrypt owner_type site_id site_name data_reduction used_capacity_before_reduction'
                 ' used_capacity_after_reduction')
_MDISK = _columns('id name status mode mdisk_grp_id mdisk_grp_name capacity ctrl_LUN_# controller_name UID tier encrypt'
                  ' site_id site_name distributed dedupe')
_DRIVE = _columns('id status error_sequence_number use tech_type capacity mdisk_id mdisk_name member_id enclosure_id'
                  ' slot_id node_id node_name auto_manage')


def _pools(model: Model, level: Level) -> Sequence[Row]:
    return [_pool(model, pool) for pool in model['pool'].values()]


def _pool(model: Model, pool: Any) -> Row:
    usage, children = model.usage()[pool.id], model.children(pool)
    disks = len(model.by('mdisk', 'pool').get(pool.parent, ()))
    zero = Size(0)
    return (pool.id, pool.name, pool.status, disks if pool.parent == pool.id else 0, usage.volumes,
            Size(usage.capacity), pool.extent, Size(usage.free), Size(usage.virtual), Size(usage.used),
            Size(usage.real), usage.virtual * 100 // pool.capacity, pool.warning, 'auto', 'balanced', False, zero, zero,
            zero, pool.parent, model['pool'][pool.parent].name, len(children),
            Size(sum(child.capacity for child in children)),
            'parent' if pool.parent == pool.id else 'child_quotaless' if pool.data_reduction else 'child_thick', False,
            'none', '', '', pool.data_reduction, zero, zero)


def _pool_record(model: Model, level: Level, pool: Any) -> Record:
    return Record([_pairs(_POOL, _pool(model, pool))])


def _mdisk(model: Model, disk: Any) -> Row:
    pool = model['pool'].get(disk.pool)
    return (disk.id, disk.name, disk.status, disk.mode, disk.pool, pool.name if pool else '', Size(disk.capacity),
            disk.lun, disk.controller, disk.uid, disk.tier, False, '', '', disk.mode == 'array', False)


def _mdisks(model: Model, level: Level) -> Sequence[Row]:
    return [_mdisk(model, disk) for disk in model['mdisk'].values()]


def _mdisk_record(model: Model, level: Level, disk: Any) -> Record:
    return Record([[*_pairs(_MDISK, _mdisk(model, disk)), ('fabric_type', disk.fabric), ('block_size', 512)]])


def _drive(model: Model, drive: Any) -> Row:
    return (drive.id, drive.status, '', drive.use, drive.technology, Size(drive.capacity), drive.mdisk,
            model['mdisk'][drive.mdisk].name if drive.mdisk else '', drive.member, drive.enclosure, drive.slot, '', '',
            'inactive')


def _drives(model: Model, level: Level) -> Sequence[Row]:
    return [_drive(model, drive) for drive in model['drive'].values()]


def _drive_record(model: Model, level: Level, drive: Any) -> Record:
    rpm = '' if 'flash' in drive.technology or 'ssd' in drive.technology else \
        '7200' if 'nearline' in drive.technology else '10000'
    return Record([[*_pairs(_DRIVE, _drive(model, drive)), ('block_size', 512), ('vendor_id', 'IBM-B040'),
                    ('product_id', f'HUC{drive.id}'), ('RPM', rpm), ('firmware_level', 'BC1B')]])


_ENCLOSURE = _columns('id status type managed IO_group_id IO_group_name product_MTM serial_number total_canisters'
                      ' online_canisters total_PSUs online_PSUs drive_slots')


def _enclosures(model: Model, level: Level) -> Sequence[Row]:
    return [(box.id, box.status, box.type, True, 0, 'io_grp0', f'{box.machine_type[:4]}-{box.machine_type[4:]}',
             box.serial, 2, 2, 2, 2, 24) for box in model['enclosure'].values()]


# --- volumes ---

_VOLUME = _columns('id name IO_group_id IO_group_name status mdisk_grp_id mdisk_grp_name capacity type FC_id FC_name'
                   ' RC_id RC_name vdisk_UID fc_map_count copy_count fast_write_state se_copy_count RC_change'
                   ' compressed_copy_count parent_mdisk_grp_id parent_mdisk_grp_name formatting encrypt volume_id'
                   ' volume_name function')
_NEW_VOLUME = ('protocol', 'volume_group_id', 'volume_group_name')
_COPY = _columns('vdisk_id vdisk_name copy_id status sync primary mdisk_grp_id mdisk_grp_name capacity type se_copy'
                 ' easy_tier easy_tier_status compressed_copy deduplicated_copy')
_THIN_COPY = _columns('vdisk_id vdisk_name copy_id mdisk_grp_id mdisk_grp_name capacity used_capacity real_capacity'
                      ' free_capacity overallocation autoexpand warning grainsize se_copy compressed_copy')


def _volume(model: Model, volume: Volume) -> Row:
    pool: tuple[str, str] = ('many', 'many')
    parent: tuple[str, str] = ('many', 'many')
    kind = 'many'
    if len(volume.copies) == 1:
        one = model['pool'][volume.copies[0].pool]
        pool, parent, kind = (one.id, one.name), (one.parent, model['pool'][one.parent].name), 'striped'
    group = model['node'][volume.node].io_group
    return (volume.id, volume.name, group, f'io_grp{group}', volume.status, *pool, Size(volume.capacity), kind, '', '',
            '', '', volume.uid, 0, len(volume.copies), 'empty',
            sum(copy.thin and not copy.compressed for copy in volume.copies), False,
            sum(copy.compressed for copy in volume.copies), *parent, False, False, volume.id, volume.name, '')


def _volumes(model: Model, level: Level) -> Sequence[Row]:
    rows = [_volume(model, volume) for volume in model['volume'].values()]
    return rows if level.lacks('lsvolumegroup') else [
        (*row, *_group(model, volume)) for row, volume in zip(rows, model['volume'].values(), strict=True)]


def _group(model: Model, volume: Volume) -> Row:
    return ('scsi', volume.group, model['volume_group'][volume.group].name if volume.group is not None else '')


def _volume_record(model: Model, level: Level, volume: Volume) -> Record:
    pairs = _pairs(_VOLUME, _volume(model, volume))
    if not level.lacks('lsvolumegroup'):
        pairs += _pairs(_NEW_VOLUME, _group(model, volume))
    pairs += [('throttling', 0), ('preferred_node_id', volume.node), ('cache', 'readwrite'), ('udid', ''),
              ('sync_rate', 50)]
    return Record([pairs, *(_copy_section(model, level, volume, copy) for copy in volume.copies)])


def _reduced(model: Model, copy: Copy) -> bool:
    return bool(model['pool'][copy.pool].data_reduction)


def _copy_sizes(model: Model, volume: Volume, copy: Copy) -> tuple[object, object, object]:
    """Used, real, free: in a pool with data reduction nobody knows for one volume."""
    if _reduced(model, copy):
        return '', '', ''
    return Size(copy.used), Size(copy.real), Size(copy.real - copy.used)


def _copy_section(model: Model, level: Level, volume: Volume, copy: Copy) -> Pairs:
    used, real, free = _copy_sizes(model, volume, copy)
    pool = model['pool'][copy.pool]
    disk = next(iter(model.by('mdisk', 'pool').get(pool.parent, ())), None)
    pairs: Pairs = [
        ('copy_id', copy.id), ('status', copy.status), ('sync', True), ('primary', copy.primary),
        ('mdisk_grp_id', pool.id), ('mdisk_grp_name', pool.name), ('type', 'striped'), ('mdisk_id', ''),
        ('mdisk_name', ''), ('fast_write_state', 'empty'), ('used_capacity', used), ('real_capacity', real),
        ('free_capacity', free), ('overallocation', volume.capacity * 100 // copy.real if copy.real else ''),
        ('autoexpand', 'on' if copy.thin else ''), ('warning', 80 if copy.thin else ''), ('grainsize', ''),
        ('se_copy', copy.thin and not copy.compressed), ('easy_tier', 'on'), ('easy_tier_status', 'balanced')]
    if disk is not None:
        pairs += [('tier', disk.tier), ('tier_capacity', real)]
    return [*pairs, ('compressed_copy', copy.compressed), ('deduplicated_copy', copy.deduplicated)]


def _each_copy(model: Model) -> Iterable[tuple[Volume, Copy]]:
    return ((volume, copy) for volume in model['volume'].values() for copy in volume.copies)


def _copies(model: Model, level: Level) -> Sequence[Row]:
    return [(volume.id, volume.name, copy.id, copy.status, True, copy.primary, copy.pool, model['pool'][copy.pool].name,
             Size(volume.capacity), 'striped', copy.thin and not copy.compressed, 'on', 'balanced', copy.compressed,
             copy.deduplicated) for volume, copy in _each_copy(model)]


def _thin_copies(model: Model, level: Level) -> Sequence[Row]:
    return [(volume.id, volume.name, copy.id, copy.pool, model['pool'][copy.pool].name, Size(volume.capacity),
             *_copy_sizes(model, volume, copy), volume.capacity * 100 // copy.real, 'on', 80, 256,
             copy.thin and not copy.compressed, copy.compressed) for volume, copy in _each_copy(model) if copy.thin]


def _volume_groups(model: Model, level: Level) -> Sequence[Row]:
    members = model.by('volume', 'group')
    return [(group.id, group.name, len(members.get(group.id, ())), '', '', '', '')
            for group in model['volume_group'].values()]


# --- hosts ---

_HOST = _columns('id name port_count iogrp_count status site_id site_name host_cluster_id host_cluster_name protocol'
                 ' owner_id owner_name')
_MAP = _columns('id name SCSI_id vdisk_id vdisk_name vdisk_UID IO_group_id IO_group_name mapping_type host_cluster_id'
                ' host_cluster_name protocol')


def _cluster(model: Model, host: Host) -> tuple[object, object]:
    return (host.cluster, model['host_cluster'][host.cluster].name) if host.cluster is not None else ('', '')


def _hosts(model: Model, level: Level) -> Sequence[Row]:
    return [(host.id, host.name, len(host.ports), 4, host.status, '', '', *_cluster(model, host), host.protocol, '', '')
            for host in model['host'].values()]


def _host_record(model: Model, level: Level, host: Host) -> Record:
    cluster, name = _cluster(model, host)
    pairs: Pairs = [('id', host.id), ('name', host.name), ('port_count', len(host.ports)), ('type', host.type),
                    ('mask', '1' * 64), ('iogrp_count', 4), ('status', host.status), ('site_id', ''), ('site_name', ''),
                    ('host_cluster_id', cluster), ('host_cluster_name', name), ('protocol', host.protocol)]
    for port in host.ports:
        pairs += [(_PORT_KEYS[port.kind], port.name), ('node_logged_in_count', port.logins), ('state', port.state)]
    return Record([pairs])


def _map(model: Model, mapping: Any) -> Row:
    host, volume = model['host'][mapping.host], model['volume'][mapping.volume]
    group = model['node'][volume.node].io_group
    cluster = _cluster(model, host) if mapping.shared else ('', '')
    return (host.id, host.name, mapping.scsi, volume.id, volume.name, volume.uid, group, f'io_grp{group}',
            'shared' if mapping.shared else 'private', *cluster, host.protocol)


def _maps(model: Model, level: Level) -> Sequence[Row]:
    return [_map(model, mapping) for mapping in model['mapping'].values()]


def _maps_of_host(model: Model, level: Level, text: str) -> Sequence[Row]:
    return [_map(model, one) for one in model.by('mapping', 'host').get(model.named('host', text).id, ())]


def _clusters(model: Model, level: Level) -> Sequence[Row]:
    members = model.by('host', 'cluster')
    found: list[Row] = []
    for cluster in model['host_cluster'].values():
        hosts = members.get(cluster.id, ())
        seen = {one.volume for host in hosts for one in model.by('mapping', 'host').get(host.id, ()) if one.shared}
        found.append((cluster.id, cluster.name, cluster.status, len(hosts), len(seen), 'scsi', '', ''))
    return found


def _members(model: Model, level: Level, text: str) -> Sequence[Row]:
    cluster = model.named('host_cluster', text)
    return [(host.id, host.name, host.status, host.type, '', '')
            for host in model.by('host', 'cluster').get(cluster.id, ())]


def _nothing(model: Model, level: Level) -> Sequence[Row]:
    return ()


def views(level: Level) -> dict[str, View]:
    """By command."""
    volume = (*_VOLUME, *(() if level.lacks('lsvolumegroup') else _NEW_VOLUME))
    found = {
        'lsmdiskgrp': View(_POOL, _pools, 'pool', _pool_record, bytes=True),
        'lsmdisk': View(_MDISK, _mdisks, 'mdisk', _mdisk_record, bytes=True),
        'lsdrive': View(_DRIVE, _drives, 'drive', _drive_record, bytes=True),
        'lsenclosure': View(_ENCLOSURE, _enclosures),
        'lsvdisk': View(volume, _volumes, 'volume', _volume_record, bytes=True),
        'lsvdiskcopy': View(_COPY, _copies, bytes=True),
        'lssevdiskcopy': View(_THIN_COPY, _thin_copies, bytes=True),
        'lsvolumegroup': View(_columns('id name volume_count backup_status last_backup_time owner_id owner_name'),
                              _volume_groups),
        'lsportfc': View(_FC, _fc_ports, 'fc_port', _fc_record),
        'lsportip': View(_IP_PORT, _ip_ports, '', _ip_port_record),
        'lsportethernet': View(_ETHERNET, _ethernet),
        'lsip': View(_IP, _addresses),
        'lshost': View(_HOST, _hosts, 'host', _host_record),
        'lshostvdiskmap': View(_MAP, _maps, narrow=_maps_of_host),
        'lshostcluster': View(_columns('id name status host_count mapping_count protocol owner_id owner_name'),
                              _clusters),
        'lshostclustermember': View(_columns('host_id host_name status type site_id site_name'), _nothing,
                                    narrow=_members),
    }
    for suffix in ('', 'canister'):
        found[f'lsnode{suffix}'] = View(_NODE, _nodes, 'node', _node_record)
        found[f'lsnode{suffix}hw'] = View((), _nothing, 'node', _hardware)
    return {command: view for command, view in found.items() if not level.lacks(command)}
