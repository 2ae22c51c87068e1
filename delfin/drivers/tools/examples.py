# SPDX-License-Identifier: Apache-2.0
"""What each method of a driver answers, by example, for the reference; a test reads them as Delfin reads a driver's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from delfin.common.constants import metric_struct

_TIB = 2**40
_NOON = 1_769_860_800_000       # 2026-01-31T12:00:00Z

# Arguments after `context`; methods that take none are not here.
ARGUMENTS: Final[Mapping[str, str]] = {
    'reset_connection': "rest={'host': '192.0.2.7', 'port': 8443, 'username': 'monitor', 'password': 'delfin:…'}",
    'list_alerts': 'None',
    'clear_alert': "'17'",
    'parse_alert': "{'1.3.6.1.6.3.1.1.4.1.0': '1.3.6.1.4.1.53535.1.0.1', '1.3.6.1.4.1.53535.1.2.1.0': '17', "
                   "'transport_address': '192.0.2.7', 'storage_id': '…'}",
    'add_trap_config': "{'host': '192.0.2.99', 'port': 162, 'version': 'SNMPv2c', 'community_string': 'delfin:…'}",
    'remove_trap_config': "{'host': '192.0.2.99', 'port': 162, 'version': 'SNMPv2c', 'community_string': 'delfin:…'}",
    'get_capabilities': 'None',
    'collect_perf_metrics': f"'…', {{'volume': {{'readIops': {{'unit': 'IOPS', …}}}}}}, {_NOON}, {_NOON + 300_000}",
}

_ALERT: Final = {
    'sequence_number': '17', 'alert_id': 'DSK-002', 'alert_name': 'Disk failed', 'severity': 'Major',
    'category': 'Fault', 'type': 'EquipmentAlarm', 'resource_type': 'disk', 'location': 'enclosure 0, slot 7',
    'occur_time': _NOON, 'description': 'The disk does not answer.', 'recovery_advice': 'Replace the disk.'}

ANSWERS: Final[Mapping[str, Any]] = {
    'get_driver_options': {'site': {'description': 'Which site of a stretched array is meant.', 'default': 'A'}},
    'reset_connection': None,
    'add_storage': None,
    'delete_storage': None,
    'get_storage': {
        'name': 'lab-1', 'vendor': 'Acme', 'model': 'X1', 'serial_number': 'ACME-0042', 'firmware_version': '3.1.0',
        'location': 'rack 4', 'status': 'normal', 'total_capacity': 30 * _TIB, 'used_capacity': 12 * _TIB,
        'free_capacity': 18 * _TIB, 'raw_capacity': 38 * _TIB, 'subscribed_capacity': 55 * _TIB},
    'list_storage_pools': [{
        'native_storage_pool_id': 'p1', 'name': 'pool 1', 'status': 'normal', 'storage_type': 'block',
        'total_capacity': 10 * _TIB, 'used_capacity': 4 * _TIB, 'free_capacity': 6 * _TIB}],
    'list_volumes': [{
        'native_volume_id': 'v1', 'name': 'db-01', 'status': 'available', 'type': 'thin',
        'wwn': '600a0980383034574424533171374d31', 'native_storage_pool_id': 'p1', 'total_capacity': _TIB,
        'used_capacity': _TIB // 4, 'free_capacity': _TIB - _TIB // 4}],
    'list_controllers': [{
        'native_controller_id': 'A', 'name': 'controller A', 'status': 'normal', 'soft_version': '3.1.0',
        'cpu_info': '8 cores', 'cpu_count': 1, 'memory_size': 64 * 2**30, 'mgmt_ip': '192.0.2.7'}],
    'list_ports': [{
        'native_port_id': 'A.0', 'name': 'A.0', 'type': 'fc', 'logical_type': 'frontend',
        'connection_status': 'connected', 'health_status': 'normal', 'native_parent_id': 'A',
        'speed': 16_000_000_000, 'max_speed': 32_000_000_000, 'wwn': '5000d3100000a101'}],
    'list_disks': [{
        'native_disk_id': '0.7', 'name': 'disk 7', 'status': 'normal', 'physical_type': 'nvme-ssd',
        'logical_type': 'member', 'manufacturer': 'Acme', 'model': 'N3840', 'serial_number': 'D-0007',
        'firmware': '1.2', 'capacity': 3_840_000_000_000, 'location': 'enclosure 0, slot 7'}],
    'list_filesystems': [{
        'native_filesystem_id': 'f1', 'name': 'home', 'status': 'normal', 'type': 'thin', 'native_pool_id': 'p1',
        'security_mode': 'unix', 'total_capacity': 2 * _TIB, 'used_capacity': _TIB, 'free_capacity': _TIB}],
    'list_qtrees': [{
        'native_qtree_id': 'q1', 'name': 'projects', 'path': '/home/projects', 'native_filesystem_id': 'f1',
        'security_mode': 'unix'}],
    'list_quotas': [{
        'native_quota_id': 'u1', 'type': 'user', 'native_filesystem_id': 'f1', 'user_group_name': 'alice',
        'capacity_hard_limit': 100 * 2**30, 'used_capacity': 40 * 2**30, 'file_count': 12_000}],
    'list_shares': [{
        'native_share_id': 's1', 'name': 'home', 'path': '/home', 'protocol': 'nfs', 'native_filesystem_id': 'f1'}],
    'list_storage_host_initiators': [{
        'native_storage_host_initiator_id': 'i1', 'name': 'esx-1 hba 0', 'wwn': '10000090fa534cd0', 'type': 'fc',
        'status': 'online', 'native_storage_host_id': 'h1'}],
    'list_storage_hosts': [{
        'native_storage_host_id': 'h1', 'name': 'esx-1', 'os_type': 'VMware ESX', 'status': 'normal',
        'ip_address': '192.0.2.31'}],
    'list_storage_host_groups': {
        'storage_host_groups': [{'native_storage_host_group_id': 'hg1', 'name': 'cluster'}],
        'storage_host_grp_host_rels': [{'native_storage_host_group_id': 'hg1', 'native_storage_host_id': 'h1'}]},
    'list_port_groups': {
        'port_groups': [{'native_port_group_id': 'pg1', 'name': 'front'}],
        'port_grp_port_rels': [{'native_port_group_id': 'pg1', 'native_port_id': 'A.0'}]},
    'list_volume_groups': {
        'volume_groups': [{'native_volume_group_id': 'vg1', 'name': 'databases'}],
        'vol_grp_vol_rels': [{'native_volume_group_id': 'vg1', 'native_volume_id': 'v1'}]},
    'list_masking_views': [{
        'native_masking_view_id': 'm1', 'name': 'cluster to databases', 'native_storage_host_group_id': 'hg1',
        'native_volume_group_id': 'vg1', 'native_port_group_id': 'pg1'}],
    'list_alerts': [_ALERT],
    'parse_alert': {**_ALERT, 'serial_number': 'ACME-0042'},
    'clear_alert': None,
    'add_trap_config': None,
    'remove_trap_config': None,
    'get_alert_sources': [{'host': '192.0.2.7'}, {'host': 'array-a.example.net'}],
    'get_capabilities': {
        'is_historic': True, 'performance_metric_retention_window': 86400, 'collect_interval': 60,
        'resource_metrics': {'volume': {'readIops': {'unit': 'IOPS', 'description': 'Read operations per second'}}}},
    'collect_perf_metrics': [metric_struct(
        'readIops', {'storage_id': '…', 'resource_type': 'volume', 'resource_id': 'v1', 'type': 'RAW', 'unit': 'IOPS'},
        {_NOON: 1840.0, _NOON + 60_000: 1802.5})],
    'get_latest_perf_timestamp': _NOON + 240_000,
}
