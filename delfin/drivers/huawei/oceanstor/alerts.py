# SPDX-License-Identifier: Apache-2.0
"""Alarms, in the list and as traps. `sequence` of the list is hwIsmReportingAlarmSerialNo of a trap, and of the trap of
its recovery: by this they are one alert.
"""

from __future__ import annotations

from typing import Any, Final

from delfin.common import constants
from delfin.common.constants import Category, EventType, Severity
from delfin.drivers import kit
from delfin.drivers.huawei.oceanstor.tables import Table
from delfin.drivers.kit import OTHERS, combined, constant

ALARMS: Final = Table('alerts', {
    'sequence_number': ('sequence', 'text'),
    'alert_id': ('eventID', 'text'),
    'alert_name': 'name',
    'severity': ('level', {2: Severity.INFORMATIONAL, 3: Severity.WARNING, 4: Severity.MINOR, 5: Severity.MAJOR,
                           6: Severity.CRITICAL, OTHERS: Severity.NOT_SPECIFIED}),
    'category': ('eventType', {0: Category.EVENT, 1: Category.FAULT, 2: Category.RECOVERY,
                               OTHERS: Category.NOT_SPECIFIED}),
    'type': constant(EventType.NOT_SPECIFIED),
    'occur_time': ('startTime', 'epoch s'),
    'description': 'description',
    'recovery_advice': 'suggestion',
    'location': 'location',
    'resource_type': constant(constants.DEFAULT_RESOURCE_TYPE),
})


def place(node: Any, part: Any) -> str:
    """Which array, and what of it."""
    return f'Node code={node}' + (f',{part}' if part is not None else '')


# ISM-HUAWEI-MIB. hwIsmAlarmReporting; the other traps of the MIB tell of objects that were made, changed or deleted.
_PREFIX: Final = 'hwIsmReportingAlarm'
VARIABLES: Final = {f'{_PREFIX}{name}': f'3.1.1.{number}' for number, name in enumerate((
    'NodeCode', 'LocationInfo', 'RestoreAdvice', 'FaultTitle', 'FaultType', 'FaultLevel', 'AlarmID', 'FaultTime',
    'SerialNo', 'AdditionInfo', 'FaultCategory', 'LocationAlarmID', 'ProductModel', 'ProductSN'), 1)}

TRAPS: Final = kit.TrapTable('1.3.6.1.4.1.2011.2.91.10', {'2.1.0.1': {}}, {
    'alert_id': f'{_PREFIX}AlarmID',
    'alert_name': (f'{_PREFIX}FaultTitle', 'hex text'),
    'severity': (f'{_PREFIX}FaultLevel', {1: Severity.CRITICAL, 2: Severity.MAJOR, 3: Severity.MINOR,
                                          4: Severity.WARNING, OTHERS: Severity.NOT_SPECIFIED}),
    'category': (f'{_PREFIX}FaultCategory', {1: Category.FAULT, 2: Category.RECOVERY, 3: Category.EVENT,
                                             OTHERS: Category.NOT_SPECIFIED}),
    'type': (f'{_PREFIX}FaultType', {
        1: EventType.COMMUNICATIONS_ALARM, 2: EventType.EQUIPMENT_ALARM, 3: EventType.PROCESSING_ERROR_ALARM,
        4: EventType.QUALITY_OF_SERVICE_ALARM, 5: EventType.ENVIRONMENTAL_ALARM,
        6: EventType.QUALITY_OF_SERVICE_ALARM,          # a limit is exceeded
        OTHERS: EventType.NOT_SPECIFIED}),
    'sequence_number': f'{_PREFIX}SerialNo',
    'occur_time': (f'{_PREFIX}FaultTime', 'DateAndTime'),
    'description': (f'{_PREFIX}AdditionInfo', 'hex text'),
    'recovery_advice': (f'{_PREFIX}RestoreAdvice', 'hex text'),
    'location': combined(place, f'{_PREFIX}NodeCode', f'{_PREFIX}LocationInfo'),
    'serial_number': (f'{_PREFIX}ProductSN', 'hex text'),
    'resource_type': constant(constants.DEFAULT_RESOURCE_TYPE),
}, variables=VARIABLES, required=[f'{_PREFIX}{name}' for name in (
    'AlarmID', 'FaultTitle', 'FaultLevel', 'NodeCode', 'FaultType', 'AdditionInfo', 'SerialNo', 'FaultCategory',
    'RestoreAdvice', 'FaultTime')])

# CMO_TRAP_VERSION of a receiver.
TRAP_VERSIONS: Final = {'SNMPv1': '1', 'SNMPv2c': '2', 'SNMPv3': '3'}
ALL_TRAPS: Final = '3'          # CMO_TRAP_SERVER_TYPE
