# SPDX-License-Identifier: Apache-2.0
"""Alerts of the make-believe array and the traps that announce them.

A trap of the array carries varbinds below 1.3.6.1.4.1.32473.1 (32473 is the enterprise number reserved for
documentation), with or without a trailing `.0`:

    .1  alert id            .5  type, one of EventType             .9   location
    .2  alert name          .6  sequence number                    .10  resource type
    .3  severity, 1 to 6    .7  time, epoch ms UTC                 .11  recovery advice
    .4  category, 1 to 3    .8  description                        .12  serial number, if another array's

Severities: 1 Fatal, 2 Critical, 3 Major, 4 Minor, 5 Warning, 6 Informational; categories: 1 Fault, 2 Event,
3 Recovery. Alert id and sequence number are mandatory. A trap that has none of these varbinds is not the array's and
is dropped; one whose varbind .99 is `incomplete`, `raise`, `raise_typed`, `notimplemented`, `garbage` or `none` makes
`parse_alert`, which has no instance and thus no options, misbehave that way.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from delfin import exception
from delfin.common import constants
from delfin.drivers.driver import Row
from delfin.drivers.fake_storage.model import Item
from delfin.kinds import Column, ColumnType, Table

_MINUTE_MS = 60_000
_FIRST_ALERT_MS = 1_704_067_200_000     # 2024-01-01T00:00:00Z: a fixed past keeps the answers equal for ever
_FIRST_SEQUENCE_NUMBER = 1000

_SEVERITY = constants.Severity
_CATEGORY = constants.Category
_TYPE = constants.EventType

# id, name, severity, type, size option and resource type of what it is about, description, advice
_TYPES = (
    ('0x1001', 'Disk is likely to fail', _SEVERITY.MAJOR, _TYPE.EQUIPMENT_ALARM, 'disks',
     constants.ResourceType.DISK, 'The disk reports a growing number of corrected errors.', 'Replace the disk.'),
    ('0x2001', 'Pool passed its warning level', _SEVERITY.WARNING, _TYPE.QUALITY_OF_SERVICE_ALARM, 'pools',
     constants.ResourceType.STORAGE_POOL, 'The pool fills up.', 'Add disks or move volumes.'),
    ('0x3001', 'Link errors on port', _SEVERITY.MINOR, _TYPE.COMMUNICATIONS_ALARM, 'ports',
     constants.ResourceType.PORT, 'The port counts frames with a wrong checksum.', 'Clean or replace the cable.'),
    ('0x4001', 'Controller battery is weak', _SEVERITY.CRITICAL, _TYPE.EQUIPMENT_ALARM, 'controllers',
     constants.ResourceType.CONTROLLER, 'The battery cannot protect the cache.', 'Replace the battery.'),
    ('0x5001', 'File system snapshot failed', _SEVERITY.WARNING, _TYPE.PROCESSING_ERROR_ALARM, 'filesystems',
     constants.ResourceType.FILESYSTEM, 'A scheduled snapshot could not be taken.', 'Check the schedule.'),
    ('0x6001', 'Repeated login failures', _SEVERITY.INFORMATIONAL, _TYPE.SECURITY_MECHANISM_VIOLATION, None,
     constants.ResourceType.STORAGE, 'Somebody tries passwords.', 'Find out who it is.'),
)


def _alert_type(item: Item) -> tuple[Any, ...]:
    return _TYPES[item.index % len(_TYPES)]


def _type_field(place: int) -> Callable[[Item], Any]:
    return lambda item: _alert_type(item)[place]


def _location(item: Item) -> str:
    """Where it is; the number makes (alert id, location) unique even if one thing has many alerts."""
    size = _alert_type(item)[4]
    return f'{(item.refer(size) if size else None) or item.array.name}, sensor {item.index}'


def match_key(alert_id: str, location: str) -> str:
    """What a fault and its recovery have in common."""
    return hashlib.blake2b(f'{alert_id}/{location}'.encode(), digest_size=16).hexdigest()


def sequence_number(index: int) -> str:
    """Names an alert when it is cleared."""
    return str(_FIRST_SEQUENCE_NUMBER + index)


COLUMNS: Mapping[str, Callable[[Item], Any]] = {
    'alert_id': _type_field(0),
    'alert_name': _type_field(1),
    'severity': _type_field(2),
    'category': lambda item: _CATEGORY.FAULT,
    'type': _type_field(3),
    'resource_type': _type_field(5),
    'occur_time': lambda item: _FIRST_ALERT_MS + item.index % 500_000 * _MINUTE_MS,
    'location': _location,
    'description': _type_field(6),
    'recovery_advice': _type_field(7),
    'match_key': lambda item: match_key(item.row['alert_id'], item.row['location']),
}

_SEVERITIES = (_SEVERITY.FATAL, _SEVERITY.CRITICAL, _SEVERITY.MAJOR, _SEVERITY.MINOR, _SEVERITY.WARNING,
               _SEVERITY.INFORMATIONAL)
_CATEGORIES = (_CATEGORY.FAULT, _CATEGORY.EVENT, _CATEGORY.RECOVERY)
_EVENT_TYPES = tuple(value for name, value in vars(_TYPE).items() if name.isupper())

# Alerts are no kind of `delfin.kinds`, but they are described alike.
TABLE = Table('alerts', ('sequence_number',), (
    Column('sequence_number'), Column('alert_id'), Column('alert_name'),
    Column('severity', values=_SEVERITIES), Column('category', values=_CATEGORIES),
    Column('type', values=_EVENT_TYPES), Column('resource_type'), Column('occur_time', ColumnType.INTEGER),
    Column('location'), Column('description'), Column('recovery_advice'), Column('match_key')))


# --- list_alerts ---

@dataclass(frozen=True, slots=True)
class Window:
    """Times from `begin` to `end` in epoch ms, both included and both optional."""

    begin: int | None
    end: int | None

    @classmethod
    def of(cls, query_para: Mapping[str, Any] | None) -> Window:
        """The window a caller of `list_alerts` asks for; raises InvalidInput if it cannot be understood."""
        begin, end = _bound(query_para, 'begin_time'), _bound(query_para, 'end_time')
        if begin is not None and end is not None and begin > end:
            raise exception.InvalidInput('begin_time is after end_time')
        return cls(begin, end)

    def __contains__(self, time: int) -> bool:
        return (self.begin is None or time >= self.begin) and (self.end is None or time <= self.end)


def _bound(query_para: Mapping[str, Any] | None, name: str) -> int | None:
    value = (query_para or {}).get(name)
    try:
        return None if value is None else int(value)
    except (TypeError, ValueError):
        raise exception.InvalidInput(f'{name} is not a number of milliseconds') from None


# --- get_alert_sources ---

SOURCES_TABLE = Table('alert_sources', ('host',), (Column('host'),))


# --- traps ---

_BASE_OID = '1.3.6.1.4.1.32473.1'
_TRAP_OID = '1.3.6.1.6.3.1.1.4.1.0'
_MISBEHAVE_OID = f'{_BASE_OID}.99'
_INCOMPLETE = 'incomplete'

OIDS: Mapping[str, str] = {f'{_BASE_OID}.{number}': column for number, column in enumerate((
    'alert_id', 'alert_name', 'severity', 'category', 'type', 'sequence_number', 'occur_time', 'description',
    'location', 'resource_type', 'recovery_advice', 'serial_number'), start=1)}


def parse(trap: Mapping[str, str]) -> Row | None:
    """The alert a trap announces, or None if the trap is not the array's.

    Raises IncompleteTrapInformation if a mandatory varbind is missing, InvalidResults if the time is not a number.
    """
    given = {oid.removesuffix('.0'): text for oid, text in trap.items()}
    alert: Row = {column: given[oid] for oid, column in OIDS.items() if given.get(oid)}
    if not alert:
        return None
    if 'alert_id' not in alert or 'sequence_number' not in alert:
        raise exception.IncompleteTrapInformation(trap.get('storage_id'))
    alert['severity'] = _coded(alert.get('severity'), _SEVERITIES, _SEVERITY.NOT_SPECIFIED)
    alert['category'] = _coded(alert.get('category'), _CATEGORIES, _CATEGORY.NOT_SPECIFIED)
    alert['type'] = alert['type'] if alert.get('type') in _EVENT_TYPES else _TYPE.NOT_SPECIFIED
    alert.setdefault('alert_name', alert['alert_id'])
    alert.setdefault('resource_type', constants.DEFAULT_RESOURCE_TYPE)
    if 'occur_time' in alert:
        alert['occur_time'] = _milliseconds(alert['occur_time'])
    if 'location' in alert:
        alert['match_key'] = match_key(alert['alert_id'], alert['location'])
    return alert


def asked_to_misbehave(trap: Mapping[str, str]) -> str | None:
    """The word in varbind .99; `incomplete` is carried out here."""
    action = trap.get(_MISBEHAVE_OID) or trap.get(f'{_MISBEHAVE_OID}.0')
    if action == _INCOMPLETE:
        raise exception.IncompleteTrapInformation(trap.get('storage_id'))
    return action


def trap_of(alert: Mapping[str, Any], category: str = _CATEGORY.FAULT) -> dict[str, str]:
    """The varbinds of the trap that announces `alert` (a row of `list_alerts`) or, with another category, its end."""
    coded = {'severity': _SEVERITIES, 'category': _CATEGORIES}
    announced = {**alert, 'category': category}
    varbinds = {_TRAP_OID: f'{_BASE_OID}.0.1'}
    for oid, column in OIDS.items():
        if column in announced:
            value = announced[column]
            varbinds[f'{oid}.0'] = str(coded[column].index(value) + 1 if column in coded else value)
    return varbinds


def _coded(text: str | None, values: tuple[str, ...], otherwise: str) -> str:
    by_number = {str(number): value for number, value in enumerate(values, start=1)}
    return by_number.get(text or '', otherwise)


def _milliseconds(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise exception.InvalidResults('The time in the trap is not a number.') from None
