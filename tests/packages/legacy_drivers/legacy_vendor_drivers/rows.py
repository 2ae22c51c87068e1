# SPDX-License-Identifier: Apache-2.0
"""Habits in what rows hold."""

from delfin.common import constants

from legacy_vendor_drivers.base import OID, Array, alert_of


class StrayKeys(Array):
    """Keys that are no columns, and one misspelt (2.2)."""

    MODEL = 'stray_keys'

    def list_volumes(self, context):
        rows = [self.volume(1, blocks=2048, free_capacit=5), self.volume(2, blocks=1)]
        del rows[0]['free_capacity']
        return rows

    def list_disks(self, context):
        return [self.disk(native_diskgroup_id='g1')]

    def list_masking_views(self, context):
        return [{'native_masking_view_id': 'm1', 'name': 'm1', 'native_volume_id': '1', 'native_storage_host_id': 'h1',
                 'native_port_id': 'x', 'storage_id': self.storage_id}]

    def list_storage_hosts(self, context):
        return [{'native_storage_host_id': 'h1', 'name': 'h1', 'os_type': constants.HostOSTypes.LINUX,
                 'status': constants.HostStatus.NORMAL, 'storage_id': self.storage_id}]

    @staticmethod
    def parse_alert(context, alert):
        return {**alert_of(alert), 'code': '17', 'clear_category': constants.ClearType.AUTOMATIC}


class Misspelt(Array):
    """Columns that are misspelt or in another case, statuses in capitals, words that no enumeration has (2.2, 5.1)."""

    MODEL = 'misspelt'

    def list_storage_pools(self, context):
        return [self.pool(status='Normal', storage_type='BLOCK', descripton='x')]

    def list_volumes(self, context):
        return [self.volume(1, Status='x', status='Optimal'), self.volume(2, type='THIN', naem='volume')]


class NumericText(Array):
    """Capacities as texts and floats, the number of a slot as the name (2.2, 3.5)."""

    MODEL = 'numeric_text'

    def get_storage(self, context):
        return {**super().get_storage(context), 'total_capacity': '1024000000', 'used_capacity': 512000000.0,
                'raw_capacity': 'N/A', 'free_capacity': ' 512000000 '}

    def list_volumes(self, context):
        return [self.volume(1, total_capacity='1073741824', used_capacity='', deduplicated='true', compressed=0),
                self.volume(2, total_capacity=1073741824.0, used_capacity=None, free_capacity='unknown')]


class IntegerIds(Array):
    """Serial number and native ids as integers (the driver guide)."""

    MODEL = 'integer_ids'

    def get_storage(self, context):
        return {**super().get_storage(context), 'serial_number': 4711}

    def list_volumes(self, context):
        return [self.volume(1, native_volume_id=1), self.volume(2, native_volume_id=2)]


class RepeatedIds(Array):
    """Lists a volume once for each of its paths (CONVENTIONS: the first row counts)."""

    MODEL = 'repeated_ids'

    def list_volumes(self, context):
        return [self.volume(1), self.volume(2), self.volume(1, name='the same by another path')]


class ForeignStorageId(Array):
    """Rows with another storage's id, or none (2)."""

    MODEL = 'foreign_storage_id'

    def list_volumes(self, context):
        rows = [self.volume(1, storage_id='12345'), self.volume(2)]
        del rows[1]['storage_id']
        return rows


class NothingToTell(Array):
    """None where there is nothing, and methods without a body (the driver guide)."""

    MODEL = 'nothing_to_tell'

    def list_disks(self, context):
        return None

    def list_ports(self, context):
        pass

    def list_storage_host_groups(self, context):
        return {'storage_host_groups': None, 'storage_host_grp_host_rels': None}

    def list_alerts(self, context, query_para=None):
        pass

    def get_alert_sources(self, context):
        return None


class OddAlerts(Array):
    """Alerts with numbers as texts, seconds as times, unknown words (2.3)."""

    MODEL = 'odd_alerts'

    @staticmethod
    def parse_alert(context, alert):
        return {**alert_of(alert), 'severity': 'Sev1', 'occur_time': '1700000000', 'sequence_number': 77,
                'type': 'Hardware', 'match_key': None, 'alert_name': alert.get(OID + '1')}
