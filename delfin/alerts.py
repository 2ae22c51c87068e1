# SPDX-License-Identifier: Apache-2.0
"""What an alert is: its fields, its states, and which of them make two reports one alert."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from delfin import coerce, exception
from delfin import findings as code
from delfin.common import constants
from delfin.findings import Findings
from delfin.kinds import Column, ColumnType

Values = dict[str, Any]

_WORDS = 4000       # of a description


def _values(names: type) -> tuple[str, ...]:
    return tuple(value for name, value in vars(names).items() if name.isupper() and isinstance(value, str))


# What a driver says of an alert.
ALERT_COLUMNS: tuple[Column, ...] = (
    Column('alert_id', help='what kind of alert it is, as the vendor numbers or names it', searchable=True),
    Column('alert_name', help='the name of that kind', searchable=True),
    Column('severity', values=_values(constants.Severity)),
    Column('category', values=_values(constants.Category), help='a fault stays open until it is cleared; an event '
                                                                'has only happened'),
    Column('type', values=_values(constants.EventType), help='X.733 class'),
    Column('sequence_number', help='which alert it is on the array; what it is cleared by'),
    Column('match_key', help='what a fault and its recovery have in common'),
    Column('resource_type', help='what is affected'),
    Column('location', help='component, slot, network entity'),
    Column('occur_time', ColumnType.INTEGER, help='when it happened on the array, epoch ms'),
    Column('description', help='cause or detail', indexed=False, length=_WORDS),
    Column('recovery_advice', help='what to do', indexed=False, length=_WORDS),
    Column('clear_category', values=_values(constants.ClearType), help='how it clears', indexed=False),
)

# --- its life ---

OPEN, ACKNOWLEDGED, CLEARED, EVENT = 'open', 'acknowledged', 'cleared', 'event'
RECOVERY = 'recovery'       # a recovery whose fault was not seen; should the fault come late, it is cleared at once
STATES = (OPEN, ACKNOWLEDGED, CLEARED, EVENT, RECOVERY)
STANDING = (OPEN, ACKNOWLEDGED)

# Who said it first, and who cleared it.
TRAP, LIST, DELFIN = 'trap', 'list', 'delfin'
BY_RECOVERY, BY_LIST, BY_USER = 'recovery', 'list', 'user'

SEVERITIES = _values(constants.Severity)        # worst first

_TARGET = ('serial_number', 'storage_name')
_SECONDS_BELOW = 10**11         # no array says that something happened in 1973: it means seconds


class Parsed(NamedTuple):
    """What a driver made of a trap, or one row of its list; `serial_number` and `storage_name` tell whose it is."""

    values: Values
    serial_number: str | None
    storage_name: str | None


_readers = [(column.name, coerce.coercer(column)) for column in ALERT_COLUMNS]
_known = frozenset({column.name for column in ALERT_COLUMNS} | {
    *_TARGET, 'storage_id', 'vendor', 'model', 'controller_name', 'id', 'created_at', 'updated_at'})


def parsed(row: Any, found: Findings) -> Parsed:
    """An alert as a driver returned it, coerced; `InvalidResults` for what is none.

    Without anything that tells it from others, its words do.
    """
    try:
        return _parsed(row, found)
    except exception.InvalidResults:
        raise
    except Exception as error:      # mappings and values are objects of third-party code
        raise exception.InvalidResults(f'an alert cannot be read: {type(error).__name__}') from None


def _parsed(row: Any, found: Findings) -> Parsed:
    if not isinstance(row, Mapping):
        raise exception.InvalidResults(f'an alert is a dict, not {type(row).__name__}')
    values: Values = {name: None if row.get(name) is None else read(row[name], found) for name, read in _readers}
    if values['alert_id'] is None and values['alert_name'] is None and values['description'] is None:
        raise exception.InvalidResults('an alert has neither alert_id nor alert_name nor description')
    values['severity'] = values['severity'] or constants.Severity.NOT_SPECIFIED
    values['category'] = values['category'] or constants.Category.FAULT
    values['resource_type'] = values['resource_type'] or constants.DEFAULT_RESOURCE_TYPE
    moment = values['occur_time']
    if moment is not None and 0 < moment < _SECONDS_BELOW:
        found.add(code.UNLIKELY_UNIT, 'occur_time', moment)
        values['occur_time'] = moment * 1000
    values['occur_time'] = values['occur_time'] or None
    if next(keys(values), None) is None:
        words = '\0'.join(str(values[name]) for name in ('alert_id', 'alert_name', 'resource_type', 'description'))
        values['match_key'] = 'words-' + hashlib.blake2b(words.encode('utf-8', 'replace'), digest_size=12).hexdigest()
    for name in row.keys() - _known:
        found.add(code.UNKNOWN_KEY, column=coerce.text_of(name))
    serial_number, storage_name = (
        None if row.get(name) is None else coerce.text(row[name], name, found) for name in _TARGET)
    return Parsed(values, serial_number, storage_name)


# By the names that `keys` gives them: the columns whose values follow.
KEY_COLUMNS: Mapping[str, tuple[str, ...]] = {
    'match_key': ('match_key',), 'sequence_number': ('sequence_number',), 'alert_id': ('alert_id', 'location')}


def keys(values: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """What identifies an alert within its storage, the strongest first: two reports that share one are one alert."""
    if values['match_key']:
        yield 'match_key', values['match_key']
    if values['sequence_number']:
        yield 'sequence_number', values['sequence_number']
    if values['alert_id'] and values['location']:
        yield 'alert_id', values['alert_id'], values['location']
