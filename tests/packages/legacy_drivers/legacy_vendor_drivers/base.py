# SPDX-License-Identifier: Apache-2.0
"""The sound rest of every driver here."""

import hashlib

from delfin import utils
from delfin.common import alert_util, constants
from delfin.drivers import driver
from oslo_log import log
from oslo_utils import units

LOG = log.getLogger(__name__)

OID = '1.3.6.1.4.1.32473.9.'
METRICS = {constants.ResourceType.VOLUME: {
    constants.IOPS.name: {'unit': constants.IOPS.unit, 'description': constants.IOPS.description},
    constants.READ_RESPONSE_TIME.name: {'unit': 'ms', 'description': 'a read'}}}
CAPABILITIES = {'is_historic': True, 'performance_metric_retention_window': 3600, 'resource_metrics': METRICS}


def alert_of(alert):
    """One alert of the variables of a trap."""
    name, location = alert[OID + '1'], alert[OID + '3']
    return {
        'alert_id': '0x77',
        'alert_name': name,
        'severity': constants.Severity.MAJOR,
        'category': constants.Category.FAULT,
        'type': constants.EventType.EQUIPMENT_ALARM,
        'sequence_number': alert[OID + '2'],
        'occur_time': utils.utcnow_ms(),
        'description': name,
        'resource_type': constants.DEFAULT_RESOURCE_TYPE,
        'location': location,
        'match_key': hashlib.md5((name + location).encode()).hexdigest(),
    }


def points_of(storage_id, resource_metrics, start_time, end_time):
    """A flat list with one point for each volume and metric."""
    found = []
    for metric in resource_metrics[constants.ResourceType.VOLUME]:
        unit = resource_metrics[constants.ResourceType.VOLUME][metric]['unit']
        for volume in ('1', '2'):
            labels = {'storage_id': storage_id, 'resource_type': 'volume', 'resource_id': volume, 'type': 'RAW',
                      'unit': unit}
            found.append(constants.metric_struct(name=metric, labels=labels,
                                                 values={(start_time + end_time) // 2: 41.5}))
    return found


class Array(driver.StorageDriver):
    """A pool, two volumes, a disk."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.model = kwargs.get('model')

    def reset_connection(self, context, **kwargs):
        pass

    def get_storage(self, context):
        return {
            'name': self.model,
            'vendor': 'legacy',
            'model': self.model,
            'serial_number': 'SN-' + self.model,
            'firmware_version': '9.3.1',
            'status': constants.StorageStatus.NORMAL,
            'total_capacity': 4 * units.Ti,
            'used_capacity': units.Ti,
            'free_capacity': 3 * units.Ti,
            'raw_capacity': 5 * units.Ti,
        }

    def pool(self, **changes):
        """A row."""
        return {'name': 'pool 1', 'storage_id': self.storage_id, 'native_storage_pool_id': 'p1', 'status': 'normal',
                'storage_type': constants.StorageType.BLOCK, 'total_capacity': 4 * units.Ti,
                'used_capacity': units.Ti, 'free_capacity': 3 * units.Ti, **changes}

    def volume(self, number, **changes):
        """A row."""
        return {'name': 'volume %s' % number, 'storage_id': self.storage_id, 'native_volume_id': str(number),
                'native_storage_pool_id': 'p1', 'status': constants.VolumeStatus.AVAILABLE,
                'type': constants.VolumeType.THIN, 'total_capacity': units.Gi, 'used_capacity': units.Mi,
                'free_capacity': units.Gi - units.Mi, **changes}

    def disk(self, **changes):
        """A row."""
        return {'name': 'disk 1', 'storage_id': self.storage_id, 'native_disk_id': 'd1', 'status': 'normal',
                'capacity': units.Ti, **changes}

    def list_storage_pools(self, context):
        return [self.pool()]

    def list_volumes(self, context):
        return [self.volume(1), self.volume(2)]

    def list_disks(self, context):
        return [self.disk()]

    def add_trap_config(self, context, trap_config):
        pass

    def remove_trap_config(self, context, trap_config):
        pass

    @staticmethod
    def parse_alert(context, alert):
        return alert_of(alert)

    def list_alerts(self, context, query_para=None):
        alert = {**alert_of({OID + '1': 'listed', OID + '2': '900', OID + '3': 'bay 0'}), 'occur_time': 1700000000000}
        return [alert] if alert_util.is_alert_in_time_range(query_para, alert['occur_time']) else []

    def clear_alert(self, context, alert):
        pass

    @staticmethod
    def get_capabilities(context, filters=None):
        return CAPABILITIES

    def collect_perf_metrics(self, context, storage_id, resource_metrics, start_time, end_time):
        return points_of(storage_id, resource_metrics, start_time, end_time)
