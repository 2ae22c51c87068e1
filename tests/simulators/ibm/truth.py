# SPDX-License-Identifier: Apache-2.0
"""What Delfin should say of the array: the model in Delfin's terms, rows by table. Made from the model's words, never
from what is on the wire or from tables of the driver. The array rounds its own capacities, and so does this.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from tests.simulators.ibm.grammar import size
from tests.simulators.ibm.model import EthPort, Model, Node, Volume
from tests.simulators.ibm.server import Storwize

Row = dict[str, Any]

_DEGRADED = ('degraded', 'degraded_paths', 'degraded_ports')
_POWERS = {'MB': 2, 'GB': 3, 'TB': 4, 'PB': 5}
_SYSTEMS = {'hpux': 'HP-UX', 'openvms': 'Open VMS'}
_INITIATORS = {'fc': 'fc', 'sas': 'sas', 'iscsi': 'iscsi', 'nvme': 'nvme-of'}


def truth(array: Storwize, vendor: str = 'IBM') -> dict[str, list[Row]]:
    """All tables of the inventory; `storage` is a list of one. Groups are absent where the level does not have them."""
    model = array.model
    with model.lock:
        found = {
            'storage': [_storage(model, vendor)],
            'storage_pools': [_pool(model, pool) for pool in model['pool'].values()],
            'volumes': [_volume(array, volume) for volume in model['volume'].values()],
            'controllers': [_controller(node) for node in model['node'].values()],
            'ports': [*(_fc_port(model, port) for port in model['fc_port'].values()),
                      *(_ethernet_port(model, port, array.level.lsportip) for port in model['eth_port'].values())],
            'disks': [_mdisk(model, disk) for disk in model['mdisk'].values()],
            'storage_hosts': [{'native_storage_host_id': host.id, 'name': host.name,
                               'os_type': _SYSTEMS.get(host.type, 'Unknown'),
                               'status': {'mask': 'normal', 'online': 'normal'}.get(host.status, host.status)}
                              for host in model['host'].values()],
            'storage_host_initiators': [
                {'native_storage_host_initiator_id': port.name, 'name': port.name, 'wwn': port.name,
                 'type': _INITIATORS[port.kind], 'native_storage_host_id': host.id,
                 'status': {'active': 'online', 'inactive': 'online', 'degraded': 'online'}.get(port.state, port.state)}
                for host in model['host'].values() for port in host.ports],
            'storage_host_groups': [{'native_storage_host_group_id': cluster.id, 'name': cluster.name}
                                    for cluster in model['host_cluster'].values()],
            'storage_host_grp_host_rels': [
                {'native_storage_host_group_id': host.cluster, 'native_storage_host_id': host.id}
                for host in model['host'].values() if host.cluster is not None],
            'masking_views': [
                {'native_masking_view_id': f'{one.host}_{one.volume}', 'name': f'{one.host}_{one.volume}',
                 'native_storage_host_id': one.host, 'native_volume_id': one.volume}
                for one in model['mapping'].values()]}
        if not array.level.lacks('lsvolumegroup'):
            found['volume_groups'] = [{'native_volume_group_id': group.id, 'name': group.name}
                                      for group in model['volume_group'].values()]
            found['vol_grp_vol_rels'] = [{'native_volume_group_id': volume.group, 'native_volume_id': volume.id}
                                         for volume in model['volume'].values() if volume.group is not None]
        return found


def _rounded(bytes: int) -> int:
    """What is left of a number of bytes when it is written with a unit and two digits."""
    text = size(bytes)
    return int(Fraction(text[:-2]) * 1024 ** _POWERS[text[-2:]])


def _storage(model: Model, vendor: str) -> Row:
    whole, system = model.whole(), model.system
    total = _rounded(whole.free) + _rounded(whole.used)
    return {'name': system.name, 'vendor': vendor, 'model': system.product, 'serial_number': system.id,
            'firmware_version': system.code.split()[0], 'location': 'local',
            'status': 'normal' if all(node.status == 'online' for node in model['node'].values()) else 'degraded',
            'free_capacity': _rounded(whole.free), 'used_capacity': _rounded(whole.used), 'total_capacity': total,
            'raw_capacity': max(total, _rounded(model.raw)), 'subscribed_capacity': _rounded(whole.virtual)}


def _pool(model: Model, pool: Any) -> Row:
    usage = model.usage()[pool.id]
    return {'native_storage_pool_id': pool.id, 'name': pool.name, 'storage_type': 'block',
            'status': _state(pool.status, 'normal', 'offline'),
            'total_capacity': usage.capacity, 'used_capacity': usage.used, 'free_capacity': usage.free,
            'subscribed_capacity': usage.virtual,
            **({'extra': {'parent_pool_id': pool.parent}} if pool.parent != pool.id else {})}


def _state(status: str, well: str, gone: str, excluded: str = 'abnormal') -> str:
    if status in _DEGRADED:
        return 'degraded'
    return {'online': well, 'offline': gone, 'excluded': excluded}.get(status, status)


def _volume(array: Storwize, volume: Volume) -> Row:
    """A data reduction pool does not tell what its volumes have used, an old level not that they are deduplicated."""
    first = volume.primary
    thin = any(copy.thin or copy.compressed for copy in volume.copies)
    told = volume.capacity if not thin else None if array.model['pool'][first.pool].data_reduction else first.used
    return {'native_volume_id': volume.id, 'name': printed(volume.name), 'wwn': volume.uid,
            'status': _state(volume.status, 'available', 'error'), 'type': 'thin' if thin else 'thick',
            'native_storage_pool_id': first.pool, 'total_capacity': volume.capacity, 'used_capacity': told,
            'free_capacity': None if told is None else max(0, volume.capacity - told),
            'compressed': any(copy.compressed for copy in volume.copies),
            'deduplicated': array.level.deduplication and any(copy.deduplicated for copy in volume.copies)}


def printed(name: str) -> str:
    """A name as the CLI writes it: control characters are question marks."""
    return ''.join('?' if ord(letter) < 32 or ord(letter) in (0x7f, 0x85, 0x2028, 0x2029) else letter
                   for letter in name)


def _controller(node: Node) -> Row:
    told = node.status != 'offline'
    return {'native_controller_id': node.id, 'name': node.name, 'soft_version': node.code,
            'location': f'enclosure {node.enclosure}, canister {node.canister}',
            'status': {'online': 'normal', 'offline': 'offline', 'service': 'degraded'}.get(node.status, 'unknown'),
            'cpu_info': node.cpu if told else None, 'cpu_count': node.cpu_count if told else None,
            'memory_size': node.memory if told else None, 'mgmt_ip': node.service_ip}


def _fc_port(model: Model, port: Any) -> Row:
    node = model['node'][port.node].name
    return {'native_port_id': port.id, 'name': f'{node}_{port.id}', 'location': f'{node}_{port.id}',
            'type': {'fc': 'fc', 'ethernet': 'eth'}[port.type], 'wwn': port.wwpn, 'native_parent_id': node,
            'speed': port.speed, 'connection_status': 'connected' if port.status == 'active' else 'disconnected',
            'health_status': 'normal' if port.status == 'active' else 'abnormal'}


def _ethernet_port(model: Model, port: EthPort, has_state: bool) -> Row:
    """New levels tell no state of a port, old ones of what it has for others nothing."""
    node = model['node'][port.node].name
    name = f'{node}_{port.number}'
    well = port.state in ('online', 'configured') if has_state else True if port.link else None
    return {'native_port_id': name, 'name': name, 'location': name, 'type': 'eth', 'native_parent_id': node,
            'mac_address': port.mac, 'speed': port.speed, 'ipv4': port.ipv4 or None,
            'ipv4_mask': port.ipv4_mask or None, 'ipv6': port.ipv6 or None,
            'ipv6_mask': None if port.ipv6_prefix is None else str(port.ipv6_prefix),
            'connection_status': 'connected' if port.link else 'disconnected',
            'health_status': {True: 'normal', False: 'abnormal', None: None}[well]}


def _mdisk(model: Model, disk: Any) -> Row:
    pool = model['pool'].get(disk.pool)
    return {'native_disk_id': disk.id, 'name': disk.name, 'capacity': disk.capacity,
            'native_disk_group_id': pool.name if pool else None,
            'location': f'{disk.controller}_{disk.name}' if disk.controller else disk.name,
            'status': _state(disk.status, 'normal', 'offline'),
            'physical_type': {'fc': 'fc', 'sas_direct': 'sas'}.get(disk.fabric, 'unknown'),
            'extra': {'tier': disk.tier}}
