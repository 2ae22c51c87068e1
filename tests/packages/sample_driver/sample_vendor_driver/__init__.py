# SPDX-License-Identifier: Apache-2.0
"""A driver as a newcomer writes it after the driver developer guide: its forms and its slips, our own text.

The slips are what the acceptance tests are about, so do not repair them: `return` inside the loop (one row comes
back), columns that do not exist, `status` in capitals, references to rows that do not exist, empty text for "none",
an integer serial number, `parse_alert` as an instance method, `get_capabilities` without `self` or decorator, metrics
labelled with another storage's id, and bodies of `pass`. `guide_listing` has the guide's own text.
"""

from delfin.common import constants
from delfin.drivers import driver


class SampleStorageDriver(driver.StorageDriver):
    """Answers the same few rows for ever, without any device."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)

    def reset_connection(self, context, **kwargs):
        pass

    def get_storage(self, context):
        return {
            'name': 'sample',
            'description': 'sample',
            'vendor': 'sample_vendor',
            'model': 'sample_model',
            'status': 'normal',
            'serial_number': 123,
            'firmware_version': '1.0.0',
            'location': 'HK',
            'total_capacity': 123,
            'used_capacity': 0,
            'free_capacity': 123,
            'raw_capacity': 123,
            'subscribed_capacity': 123,
        }

    def list_storage_pools(self, context):
        rows = []
        for number in range(3):
            rows.append({
                'name': 'pool ' + str(number),
                'storage_id': self.storage_id,
                'native_storage_pool_id': 'pool_' + str(number),
                'description': 'A pool of the sample',
                'status': 'normal',
                'total_capacity': 41,
                'used_capacity': 0,
                'free_capacity': 41,
            })
        return rows

    def list_volumes(self, context):
        rows = []
        for number in range(1, 5):
            rows.append({
                'name': 'volume ' + str(number),
                'storage_id': self.storage_id,
                'description': 'A volume of the sample',
                'status': 'normal',
                'native_volume_id': 'volume_' + str(number),
                'native_storage_pool_id': 'pool_0',
                'wwn': 'sample_wwn_' + str(number),
                'total_capacity': 12,
                'used_capacity': 2,
                'free_capacit': 10,
                'blocks': 24,
            })
            return rows

    def list_controllers(self, context):
        rows = []
        for number in range(1, 3):
            rows.append({
                'name': 'controller ' + str(number),
                'storage_id': self.storage_id,
                'native_controller_id': 'controller_' + str(number),
                'status': 'normal',
                'memory_size': 10000000,
                'cpu_info': 'Some CPU',
                'location': 'rack 10',
                'soft_version': 'v1.0.0',
                'fan_count': 4,
            })
            return rows

    def list_ports(self, context):
        rows = []
        for number in range(1, 3):
            rows.append({
                'name': 'port ' + str(number),
                'storage_id': self.storage_id,
                'native_port_id': 'port_' + str(number),
                'health_status': 'normal',
                'type': 'fc',
                'speed': 1000,
                'max_speed': 10000,
                'wwn': 'wwn12345',
            })
            return rows

    def list_disks(self, context):
        rows = []
        for number in range(1, 3):
            rows.append({
                'name': 'disk ' + str(number),
                'storage_id': self.storage_id,
                'native_disk_id': 'disk_' + str(number),
                'serial_number': 'serial-' + str(number),
                'manufacturer': 'Some maker',
                'model': 'Some model',
                'status': 'normal',
                'location': 'cage 10',
                'capacity': 1000000,
                'speed': 20000,
                'health_score': 98,
                'native_diskgroup_id': 'group_1',
            })
            return rows

    def list_quotas(self, context):
        rows = []
        for number in range(1, 5):
            rows.append({
                'storage_id': self.storage_id,
                'native_quota_id': 'quota_' + str(number),
                'native_qtree_id': 'no_such_qtree_' + str(number),
                'type': 'tree',
                'capacity_hard_limit': 9000000,
                'capacity_soft_limit': 7500000,
                'used_capacity': 1000000,
                'file_hard_limit': 900000,
                'file_soft_limit': 750000,
                'file_count': 200000,
            })
            return rows

    def list_filesystems(self, context):
        rows = []
        for number in range(1, 5):
            rows.append({
                'name': 'file system ' + str(number),
                'storage_id': self.storage_id,
                'native_filesystem_id': 'filesystem_' + str(number),
                'native_pool_id': 'no_such_pool_' + str(number),
                'status': 'normal',
                'type': 'non_worm',
                'total_capacity': 12,
                'used_capacity': 2,
                'free_capacity': 10,
            })
            return rows

    def list_qtrees(self, context):
        rows = []
        for number in range(1, 5):
            rows.append({
                'name': 'qtree ' + str(number),
                'storage_id': self.storage_id,
                'native_qtree_id': 'qtree_' + str(number),
                'native_filesystem_id': 'filesystem_' + str(number),
                'security_mode': 'ntfs',
                'path': '\\sample\\qtree',
            })
            return rows

    def list_shares(self, context):
        rows = []
        for number in range(1, 5):
            rows.append({
                'name': 'share ' + str(number),
                'storage_id': self.storage_id,
                'native_share_id': 'share_' + str(number),
                'native_filesystem_id': 'no_such_filesystem_' + str(number),
                'native_qtree_id': 'no_such_qtree_' + str(number),
                'protocol': 'cifs',
                'path': '\\sample\\share',
            })
            return rows

    def add_trap_config(self, context, trap_config):
        pass

    def remove_trap_config(self, context, trap_config):
        pass

    def parse_alert(self, context, alert):
        pass

    def clear_alert(self, context, alert):
        pass

    def list_alerts(self, context, query_para=None):
        pass

    def collect_perf_metrics(self, context, storage_id, metrics, start, stop):
        series = []
        for resource_type, resource_id, value in (
                ('storage', 'sample', 417.5), ('storagePool', 'pool_0', 304.8),
                ('controller', 'controller_1', 248.4), ('port', 'port_1', 6.7)):
            series.append(constants.metric_struct(
                name='iops',
                labels={
                    'storage_id': '12345',
                    'resource_type': resource_type,
                    'resource_id': resource_id,
                    'resource_name': resource_id,
                    'type': 'RAW',
                    'unit': 'IOPS',
                },
                values={1566550500000: value}))
        return series

    def get_capabilities(context, filters=None):
        iops = {'iops': {'unit': 'IOPS', 'description': 'Operations per second'}}
        return {
            'is_historic': False,
            'performance_metric_retention_window': 4500,
            'resource_metrics': {
                'storage': iops,
                'storagePool': {'throughput': {'unit': 'MB/s', 'description': 'Data moved per second'}},
                'controller': iops,
                'port': iops,
            },
        }

    def list_storage_host_initiators(self, context):
        return [
            {
                'name': 'initiator_' + number,
                'description': 'initiator_' + number,
                'alias': 'initiator_' + number,
                'storage_id': self.storage_id,
                'native_storage_host_initiator_id': 'initiator_' + number,
                'wwn': 'wwn_' + number,
                'status': 'Normal',
                'native_storage_host_id': 'host_' + number,
            }
            for number in ('1', '2')
        ]

    def list_storage_hosts(self, context):
        return [
            {
                'name': 'host_' + number,
                'description': 'host_' + number,
                'storage_id': self.storage_id,
                'native_storage_host_id': 'host_' + number,
                'os_type': 'linux',
                'status': 'Normal',
                'ip_address': '192.0.2.' + number,
            }
            for number in ('1', '2')
        ]

    def list_storage_host_groups(self, context):
        groups = [
            {
                'name': 'host_group_1',
                'description': 'host_group_1',
                'storage_id': self.storage_id,
                'native_storage_host_group_id': 'host_group_1',
                'storage_hosts': 'host1,host2',
            },
            {
                'name': 'host_group_2',
                'description': 'host_group_2',
                'storage_id': self.storage_id,
                'native_storage_host_group_id': 'host_group_2',
                'storage_hosts': 'host3,host4',
            },
        ]
        relations = [
            {
                'storage_id': self.storage_id,
                'native_storage_host_group_id': group,
                'native_storage_host_id': host,
            }
            for group, host in (('host_group_1', 'host1'), ('host_group_1', 'host2'),
                                ('host_group_2', 'host3'), ('host_group_2', 'host4'))
        ]
        return {'storage_host_groups': groups, 'storage_host_grp_host_rels': relations}

    def list_port_groups(self, context):
        groups = [{
            'name': 'port_group_1',
            'description': 'port_group_1',
            'storage_id': self.storage_id,
            'native_port_group_id': 'port_group_1',
            'ports': 'port_1,port_2',
        }]
        relations = [
            {'storage_id': self.storage_id, 'native_port_group_id': 'port_group_1', 'native_port_id': port}
            for port in ('port_1', 'port_2')
        ]
        return {'port_groups': groups, 'port_grp_port_rels': relations}

    def list_volume_groups(self, context):
        groups = [{
            'name': 'volume_group_1',
            'description': 'volume_group_1',
            'storage_id': self.storage_id,
            'native_volume_group_id': 'volume_group_1',
            'volumes': 'volume1,volume2',
        }]
        relations = [
            {'storage_id': self.storage_id, 'native_volume_group_id': 'volume_group_1', 'native_volume_id': volume}
            for volume in ('volume1', 'volume2')
        ]
        return {'volume_groups': groups, 'vol_grp_vol_rels': relations}

    def list_masking_views(self, context):
        return [
            {
                'name': 'view_1',
                'description': 'view_1',
                'storage_id': self.storage_id,
                'native_masking_view_id': 'view_1',
                'native_storage_host_group_id': 'host_group_1',
                'native_volume_group_id': 'volume_group_1',
                'native_port_group_id': 'port_group_1',
                'native_storage_host_id': '',
                'native_volume_id': '',
            },
            {
                'name': 'view_2',
                'description': 'view_2',
                'storage_id': self.storage_id,
                'native_masking_view_id': 'view_2',
                'native_storage_host_group_id': 'host_group_2',
                'native_volume_group_id': 'volume_group_2',
                'native_port_group_id': 'port_group',
                'native_storage_host_id': 'host_1',
                'native_volume_id': 'volume_1',
            },
        ]

    def get_alert_sources(self, context):
        return []

    def get_latest_perf_timestamp(self, context):
        pass
