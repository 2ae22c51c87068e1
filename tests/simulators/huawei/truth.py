# SPDX-License-Identifier: Apache-2.0
"""What Delfin should say of the array: the model in Delfin's terms, rows by table. Made from the model's words, never
from numbers on the wire or tables of the driver."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from tests.simulators.huawei.model import INITIATOR_KINDS, PORT_KINDS, SHARE_KINDS, Group, Model, Port
from tests.simulators.huawei.server import OceanStor
from tests.simulators.huawei.views import RESOURCES

Row = dict[str, Any]

_SERVING = ('online', 'reconstruction', 'balancing', 'pre-copy')
_PORT_TYPES = {'fc_port': 'fc', 'fcoe_port': 'fcoe', 'eth_port': 'eth', 'pcie_port': 'other', 'bond_port': 'logic',
               'sas_port': 'sas'}
_PORT_ROLES = {'expansion': 'other', 'management and service': 'service', 'maintenance and service': 'maintenance',
               None: 'other'}
_PORT_NUMBERS = {'fc_port': 212, 'eth_port': 213, 'sas_port': 214, 'pcie_port': 233, 'bond_port': 235, 'fcoe_port': 252}
_DISKS = {'ssd card': 'ssd', 'ssd card sed': 'ssd', 'slc ssd': 'ssd', 'mlc ssd': 'ssd', 'scm ssd': 'ssd',
          'scm ssd sed': 'ssd', 'nvme ssd': 'nvme-ssd', 'nvme ssd sed': 'nvme-ssd', 'of the future': 'unknown'}
_DISK_ROLES = {'spare': 'hotspare'}
_SYSTEMS = {'OpenVMS': 'Open VMS', 'Oracle VM (x86)': 'Oracle VM', 'Oracle VM (SPARC)': 'Oracle VM', None: 'Unknown'}
_INITIATORS = {'fc_initiator': ('fc', 'FC Initiator'), 'iscsi_initiator': ('iscsi', 'iSCSI Initiator'),
               'ib_initiator': ('unknown', 'IB Initiator')}
_KNOWN_PRODUCTS = {826, 834, 68}        # of the firmware that the simulator has


def truth(array: OceanStor) -> dict[str, list[Row]]:
    """All tables of the inventory; `storage` is a list of one."""
    model = array.model
    with model.lock:
        return {
            'storage': [_storage(array)],
            'controllers': [_controller(item, model) for item in model['controller'].values()],
            'storage_pools': [_pool(item, array) for item in model['pool'].values()],
            'volumes': [_lun(item) for item in model['lun'].values()],
            'disks': [_disk(item) for item in model['disk'].values()],
            'ports': [_port(kind, item, array) for kind in PORT_KINDS for item in _listed(array, kind)],
            'filesystems': [_filesystem(item) for item in _listed(array, 'filesystem')],
            'qtrees': [_qtree(item, model) for item in _listed(array, 'qtree')],
            'quotas': [_quota(item) for item in _listed(array, 'quota')],
            'shares': [_share(kind, item, array) for kind in SHARE_KINDS for item in _listed(array, kind)],
            'storage_host_initiators': [
                _initiator(kind, item) for kind in INITIATOR_KINDS for item in _listed(array, kind)],
            'storage_hosts': [_host(item) for item in model['host'].values()],
            'storage_host_groups': [_group('native_storage_host_group_id', item) for item in
                                    model['host_group'].values()],
            'storage_host_grp_host_rels': [
                {'native_storage_host_group_id': group, 'native_storage_host_id': member}
                for group, member in _members(model['host_group'].values())],
            'volume_groups': [_group('native_volume_group_id', item) for item in model['lun_group'].values()],
            'vol_grp_vol_rels': [{'native_volume_group_id': group, 'native_volume_id': member}
                                 for group, member in _members(model['lun_group'].values())],
            'port_groups': [_group('native_port_group_id', item) for item in model['port_group'].values()],
            'port_grp_port_rels': [
                {'native_port_group_id': group, 'native_port_id': port_id(array, kind, member)}
                for group, (kind, member) in _members(model['port_group'].values()) if _listed(array, kind)],
            'masking_views': [
                {**_group('native_masking_view_id', item), 'native_storage_host_group_id': item.host_group,
                 'native_volume_group_id': item.lun_group, 'native_port_group_id': item.port_group}
                for item in model['mapping_view'].values()]}


def port_id(array: OceanStor, kind: str, name: str) -> str:
    """The id of a port; with its type where another has the same."""
    counts = Counter(item.id for each in PORT_KINDS for item in _listed(array, each))
    return name if counts[name] == 1 else f'{_PORT_NUMBERS[kind]}:{name}'


def _listed(array: OceanStor, kind: str) -> list[Any]:
    """The objects of a kind that the firmware lets anybody see."""
    name = next(name for name, resource in RESOURCES.items() if resource.kind == kind)
    hidden = array.firmware.missing | array.firmware.unlicensed
    return [] if name in hidden else list(array.model[kind].values())


def _members(groups: Iterable[Group]) -> Iterable[tuple[str, Any]]:
    return ((group.id, member) for group in groups for member in group.members)


def _storage(array: OceanStor) -> Row:
    model, firmware = array.model, array.firmware
    system, whole = model.system, model.whole()
    thick = sum(lun.allocated for lun in model['lun'].values() if not lun.thin)
    status = {'normal': 'normal', 'unknown': 'unknown', 'faulty': 'abnormal', 'failing': 'degraded',
              'partially damaged': 'degraded', 'degraded': 'degraded'}[system.health]
    return {
        'name': system.name, 'vendor': 'Huawei', 'description': 'Huawei OceanStor Storage',
        'model': firmware.product if firmware.product_mode in _KNOWN_PRODUCTS else 'OceanStor',
        'serial_number': system.id, 'firmware_version': firmware.software, 'location': system.location,
        'status': status if system.state == 'normal' else 'offline',
        'total_capacity': whole.total if firmware.says_total else model.raw, 'used_capacity': whole.used,
        'free_capacity': whole.free, 'raw_capacity': model.raw,
        'subscribed_capacity': thick + sum(lun.capacity for lun in model['lun'].values() if lun.thin)}


def _controller(item: Any, model: Model) -> Row:
    status = {'offline': 'offline', 'unknown': 'unknown', 'power-on failed': 'fault'}.get(item.state) or {
        'faulty': 'fault', 'failing': 'degraded', 'degraded': 'degraded'}.get(item.health, 'normal')
    address = next((port.ipv4 for port in model['eth_port'].values()
                    if port.controller == item.id and port.role == 'management'), None)
    return {'native_controller_id': item.id, 'name': item.name, 'location': item.location, 'status': status,
            'soft_version': item.software, 'cpu_info': item.cpu, 'memory_size': item.memory, 'mgmt_ip': address}


def _pool(item: Any, array: OceanStor) -> Row:
    usage = array.model.usage()[item.id]
    status = {'faulty': 'abnormal', 'failing': 'degraded', 'degraded': 'degraded'}.get(item.health, 'normal')
    return {
        'native_storage_pool_id': item.id, 'name': item.name, 'description': 'Huawei OceanStor Pool',
        'status': status if item.state in _SERVING else 'offline',
        'storage_type': 'unified' if item.serves == 'both' or array.firmware.unified_pools else item.serves,
        'total_capacity': usage.total, 'used_capacity': usage.used, 'free_capacity': usage.free,
        'subscribed_capacity': usage.configured}


def _lun(item: Any) -> Row:
    works = item.state == 'online' and item.health != 'faulty'
    return {
        'native_volume_id': item.id, 'name': item.name, 'description': item.description,
        'native_storage_pool_id': item.pool, 'wwn': item.wwn, 'status': 'available' if works else 'error',
        'type': 'thin' if item.thin else 'thick', 'total_capacity': item.capacity, 'used_capacity': item.allocated,
        'compressed': bool(item.compressed), 'deduplicated': bool(item.deduplicated)}


def _disk(item: Any) -> Row:
    status = {'offline': 'offline', 'unknown': 'abnormal'}.get(item.state) or {
        'faulty': 'abnormal', 'failing': 'degraded', 'degraded': 'degraded', 'bit errors': 'degraded',
        'single link': 'degraded'}.get(item.health, 'normal')
    return {
        'native_disk_id': item.id, 'name': f'{item.model}:{item.serial}', 'serial_number': item.serial,
        'model': item.model, 'manufacturer': item.manufacturer, 'firmware': item.firmware, 'location': item.location,
        'speed': item.rpm, 'capacity': item.sectors * item.sector_size, 'status': status,
        'physical_type': _DISKS.get(item.technology, item.technology.removesuffix(' sed')),
        'logical_type': _DISK_ROLES.get(item.role, item.role), 'native_disk_group_id': item.domain,
        'health_score': None if item.score == 255 else item.score}


def _port(kind: str, item: Port, array: OceanStor) -> Row:
    return {
        'native_port_id': port_id(array, kind, item.id), 'name': item.name, 'location': item.location,
        'type': _PORT_TYPES[kind],
        'logical_type': 'other' if kind == 'pcie_port' else _PORT_ROLES.get(item.role, item.role),
        'connection_status': {'link down': 'disconnected', 'unknown': 'unknown'}.get(item.state, 'connected'),
        'health_status': {'normal': 'normal', 'unknown': 'unknown'}.get(item.health, 'abnormal'),
        'native_parent_id': item.parent,
        'speed': None if kind == 'bond_port' else item.speed,       # the array does not say that of bonds
        'max_speed': item.max_speed, 'wwn': item.wwn, 'mac_address': item.mac,
        'ipv4': item.ipv4, 'ipv4_mask': item.ipv4_mask, 'ipv6': item.ipv6,
        'ipv6_mask': None if item.ipv6_prefix is None else str(item.ipv6_prefix)}


def _filesystem(item: Any) -> Row:
    return {
        'native_filesystem_id': item.id, 'name': item.name, 'native_pool_id': item.pool,
        'status': 'normal' if item.health == 'normal' else 'faulty', 'type': 'thin' if item.thin else 'thick',
        'total_capacity': item.capacity, 'used_capacity': item.allocated, 'free_capacity': item.available,
        'compressed': item.compressed, 'deduplicated': item.deduplicated,
        'worm': {'none': 'non_worm', 'audit log': 'audit_log'}.get(item.worm, item.worm)}


def _qtree(item: Any, model: Model) -> Row:
    root = f'/{model["filesystem"][item.filesystem].name}'
    return {'native_qtree_id': item.id, 'name': item.name, 'native_filesystem_id': item.filesystem,
            'path': f'{root}/{item.name}' if item.name else root, 'security_mode': item.security}


def _quota(item: Any) -> Row:
    return {
        'native_quota_id': item.id, 'type': item.type, 'native_filesystem_id': item.filesystem,
        'native_qtree_id': item.qtree, 'user_group_name': item.owner, 'capacity_hard_limit': item.space_hard,
        'capacity_soft_limit': item.space_soft, 'used_capacity': item.space_used, 'file_hard_limit': item.files_hard,
        'file_soft_limit': item.files_soft, 'file_count': item.files_used}


def _share(kind: str, item: Any, array: OceanStor) -> Row:
    protocol = kind.removesuffix('_share')
    counts = Counter(each.id for other in SHARE_KINDS for each in _listed(array, other))
    return {
        'native_share_id': item.id if counts[item.id] == 1 else f'{protocol}:{item.id}', 'name': item.name or item.path,
        'path': item.path, 'native_filesystem_id': item.filesystem, 'native_qtree_id': item.qtree,
        'protocol': protocol}


def _initiator(kind: str, item: Any) -> Row:
    type, description = _INITIATORS[kind]
    return {
        'native_storage_host_initiator_id': item.id, 'alias': item.id, 'wwn': item.id, 'name': item.name or item.id,
        'type': type, 'description': description, 'native_storage_host_id': item.host,
        'status': item.state if item.state in ('online', 'offline') else 'unknown'}


def _host(item: Any) -> Row:
    status = 'abnormal' if item.state != 'normal' else 'degraded' if item.health == 'single link' else 'normal'
    return {'native_storage_host_id': item.id, 'name': item.name, 'description': item.description,
            'ip_address': item.ip, 'os_type': _SYSTEMS.get(item.os, item.os), 'status': status}


def _group(column: str, item: Any) -> Row:
    return {column: item.id, 'name': item.name, 'description': item.description}
