# SPDX-License-Identifier: Apache-2.0
"""Classes that load but are no good, and one that is, registered under bad names."""

from delfin.drivers import driver


class NotADriver:
    """Has nothing to do with drivers."""


class AbstractDriver(driver.StorageDriver):
    """Lacks the methods every driver must have."""


class HealthyDriver(driver.StorageDriver):
    """As small as a driver can be. Nothing is wrong with it but the names it is registered under."""

    def reset_connection(self, context, **kwargs):
        pass

    def get_storage(self, context):
        return {'name': 'broken', 'vendor': 'broken', 'model': 'broken', 'serial_number': 'BROKEN-1'}

    def list_storage_pools(self, context):
        return []

    def list_volumes(self, context):
        return []

    def add_trap_config(self, context, trap_config):
        pass

    def remove_trap_config(self, context, trap_config):
        pass

    def list_alerts(self, context, query_para=None):
        return []

    def clear_alert(self, context, sequence_number):
        pass


class TooNewDriver(HealthyDriver):
    """Written for a contract that this Delfin does not know."""

    DRIVER_API = '2.0'
