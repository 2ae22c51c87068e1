# SPDX-License-Identifier: Apache-2.0
"""Habits around state, threads and what surrounds a driver."""

import threading

import cryptography.hazmat.primitives.asymmetric.dsa
import eventlet
import six
import xlrd
from defusedxml import ElementTree
from delfin import context as ctxt
from delfin import db, exception
from delfin.common import config, constants
from delfin.drivers.utils.tools import Tools
from eventlet import greenthread
from oslo_config import cfg
from oslo_utils import importutils, units, uuidutils

from legacy_vendor_drivers.base import OID, Array, alert_of

CONF = cfg.CONF
CONF.register_opts([cfg.IntOpt('page_size', default=2, help='Volumes asked for at once.')], 'legacy_driver')

SESSIONS = {}
LOCK = threading.Lock()


class ContextStorageId(Array):
    """Takes the storage's id from the context of each call (1.4)."""

    MODEL = 'context_storage_id'

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.rows = {self.storage_id: ('1', '2')}
        self.storage_id = None

    def list_volumes(self, context):
        return [self.volume(number, storage_id=context.storage_id) for number in self.rows[context.storage_id]]

    def list_disks(self, context):
        context.storage_id = 'what a driver writes there is nobody else\'s'
        return [self.disk(storage_id=context.storage_id)]


class SeveralArrays(Array):
    """A management server with many arrays: `add_storage`, `delete_storage`, ids from extra attributes (1.2, 1.3)."""

    MODEL = 'several_arrays'

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.arrays = {}
        self.add_storage(kwargs)

    def add_storage(self, kwargs):
        array_id = kwargs.get('extra_attributes').get('array_id')
        if not array_id:
            raise exception.InvalidInput('Input array_id is missing')
        self.arrays[kwargs['storage_id']] = array_id

    def delete_storage(self, context):
        self.arrays.pop(context.storage_id, None)

    def get_storage(self, context):
        array_id = self.arrays[context.storage_id]
        return {**super().get_storage(context), 'serial_number': array_id, 'name': array_id}

    def list_volumes(self, context):
        return [self.volume('%s-%s' % (self.arrays[context.storage_id], number)) for number in (1, 2)]

    @staticmethod
    def parse_alert(context, alert):
        return {**alert_of(alert), 'serial_number': alert[OID + '4']}


class ModuleGlobals(Array):
    """Sessions in a dict of the module, under a lock of the module."""

    MODEL = 'module_globals'

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        with LOCK:
            SESSIONS[self.storage_id] = uuidutils.generate_uuid()

    def list_volumes(self, context):
        with LOCK:
            return [self.volume(1), self.volume(2)] if SESSIONS[self.storage_id] else []


class StorageRecord(Array):
    """Looks its own record up in the database (3.8)."""

    MODEL = 'storage_record'

    def get_storage(self, context):
        found = super().get_storage(context)
        try:
            found['serial_number'] = db.storage_get(context, self.storage_id)['serial_number']
        except exception.StorageNotFound:
            found['serial_number'] = uuidutils.generate_uuid()
        return found


class Eventlets(Array):
    """eventlet's time-outs and pauses, and threads of its own (3.9)."""

    MODEL = 'eventlets'

    def list_volumes(self, context):
        with eventlet.Timeout(30):
            greenthread.sleep(0.01)
        rows = []
        threads = [threading.Thread(target=lambda n=number: rows.append(self.volume(n))) for number in (1, 2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sorted(rows, key=lambda row: row['native_volume_id'])


class Libraries(Array):
    """What drivers import of others, patched private parts included (3.9)."""

    MODEL = 'libraries'

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        cryptography.hazmat.primitives.asymmetric.dsa._check_dsa_parameters = lambda parameters: None
        self.tools = importutils.import_class('delfin.drivers.utils.tools.Tools')()
        self.page_size = CONF.legacy_driver.page_size
        assert config is not None and callable(xlrd.open_workbook)
        assert ctxt.RequestContext().storage_id is None

    def list_volumes(self, context):
        root = ElementTree.fromstring('<volumes><volume id="1"/><volume id="2"/></volumes>')
        return [self.volume(element.get('id')) for element in list(root)[:self.page_size]]

    def list_disks(self, context):
        facts = {'capacity': 2 * units.Ti, 'speed': int(units.k * 7.2)}
        return [self.disk(**{key: value for key, value in six.iteritems(facts)})]


class ToolsEverywhere(Array):
    """Capacities and times through `Tools`, whose numbers are floats (3.5)."""

    MODEL = 'tools_everywhere'

    def get_storage(self, context):
        return {**super().get_storage(context), 'total_capacity': Tools.get_capacity_size('4 TB'),
                'free_capacity': Tools.get_capacity_size('-')}

    def list_volumes(self, context):
        factor = Tools.change_capacity_to_bytes('gb')
        return [self.volume(1, total_capacity=Tools.get_capacity_size('1GB')),
                self.volume(2, total_capacity=1.0 * factor)]

    def list_alerts(self, context, query_para=None):
        text = Tools().timestamp_to_time_str(1700000000000, '%Y-%m-%d %H:%M:%S')
        alert = alert_of({OID + '1': 'listed', OID + '2': '900', OID + '3': 'bay 0'})
        return [{**alert, 'occur_time': Tools().time_str_to_timestamp(text, '%Y-%m-%d %H:%M:%S')}]


class ChangesAccess(Array):
    """Takes the access information apart while it is built, and keeps it (1.2)."""

    MODEL = 'changes_access'

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        rest = kwargs.pop('rest')
        self.password = rest.pop('password')
        rest.clear()
        kwargs['extra_attributes'] = None
        self.kwargs = kwargs

    def list_disks(self, context):
        return [self.disk(status=constants.DiskStatus.NORMAL)] if self.password else []
