# SPDX-License-Identifier: Apache-2.0
"""The event log, and the faults that fill it: they are raised and repaired, logged, told to managers, and fixed."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from tests.simulators.ibm.errors import NO_SUCH_EVENT, NO_SUCH_OBJECT, Refusal
from tests.simulators.ibm.grammar import Record, Row, Table
from tests.simulators.ibm.model import Model

_FIRST_SEQUENCE = 100
_OLD_EVENTS = 60                # in the log of a new array
_HOUR = 3600

COLUMNS = ('sequence_number', 'last_timestamp', 'object_type', 'object_id', 'object_name', 'copy_id', 'status', 'fixed',
           'event_id', 'error_code', 'description')
OBJECT_TYPES = {'system': 'cluster', 'node': 'node', 'drive': 'drive', 'mdisk': 'mdisk', 'pool': 'mdiskgrp',
                'volume': 'vdisk', 'host': 'host', 'fc_port': 'fc_port', 'enclosure': 'enclosure'}


@dataclass(frozen=True)
class EventType:
    """What can be logged about things of a kind, and what it means for them.

    `status` is alert, message or monitoring; `notification` error, warning, informational or none; `becomes` the status
    that the thing gets.
    """

    id: str
    kind: str
    text: str
    code: str
    code_text: str
    notification: str
    status: str = 'alert'
    becomes: str | None = None


# By name. The first of a kind is what breaks if nobody says what.
TYPES = {
    'drive fault': EventType('010027', 'drive', 'Drive fault type 3', '1686', 'Drive fault', 'error', 'alert',
                             'offline'),
    'drive worn': EventType('010066', 'drive', 'Drive nearing end of life', '2560',
                            'Drive write endurance usage rate high', 'warning', 'monitoring', 'degraded'),
    'node offline': EventType('009052', 'node', 'A node is missing from the cluster', '1196', 'Node missing', 'error',
                              'alert', 'offline'),
    'node restart': EventType('050002', 'node', 'Software error: restart', '2030', 'Software error', 'warning',
                              'monitoring'),
    'mdisk paths': EventType('009101', 'mdisk', 'The number of device paths is reduced', '1630',
                             'Number of device logins reduced', 'warning', 'alert', 'degraded_paths'),
    'mdisk excluded': EventType('009100', 'mdisk', 'Managed disk I/O error: excluded', '1310',
                                'A managed disk is reporting excessive errors', 'error', 'alert', 'excluded'),
    'pool offline': EventType('009020', 'pool', 'A storage pool is offline', '1623', 'One or more MDisks are offline',
                              'error', 'alert', 'offline'),
    'pool nearly full': EventType('009194', 'pool', 'Space warning: Größe of the pool reached', '2003',
                                  'Pool space warning', 'warning', 'monitoring'),
    'volume offline': EventType('060001', 'volume', 'Thin volume copy offline: no space: see pool', '1865',
                                'Space-efficient volume copy offline', 'error', 'alert', 'offline'),
    'host degraded': EventType('009172', 'host', 'Host port logged out', '2019', 'Host ports', 'warning', 'alert',
                               'degraded'),
    'port down': EventType('010104', 'fc_port', 'A fibre channel port lost its link', '1061', 'FC adapter port',
                           'error', 'alert', 'inactive_configured'),
    'time differs': EventType('981007', 'system', 'The time server cannot be reached', '2700', 'NTP', 'informational',
                              'alert'),
    'quorum': EventType('980380', 'system', 'Quorum disk reassigned', '', '', 'none', 'message'),
    'repaired': EventType('981101', 'system', 'Object is online again', '', '', 'informational', 'message'),
    'certificate': EventType('084500', 'system', 'SSL certificate expires soon', '3130', 'Certificate', '',
                             'monitoring'),
}


@dataclass(frozen=True)
class Event:
    """One entry. Times are epoch seconds; `fixed` when it was, None while it is not."""

    sequence: int
    type: EventType
    kind: str
    object: str
    name: str
    copy: str
    first: int
    last: int
    node: str                   # id of the one that reported it
    count: int = 1
    fixed: int | None = None
    expired: bool = False

    @property
    def status(self) -> str:
        return 'expired' if self.expired else self.type.status


class Events:
    """`announce(event)` is told of each entry that is new; a manager hears of it according to its notification.

    A new array has an entry for each object that is not well for a known reason, and some that are over. `stamp`
    writes an epoch time in the array's zone.
    """

    def __init__(self, model: Model, clock: Callable[[], float], announce: Callable[[Event], None] = lambda event: None,
                 ) -> None:
        self._model = model
        self._clock = clock
        self._announce = announce
        self._numbers = itertools.count(_FIRST_SEQUENCE, 1)
        self._log: dict[int, Event] = {}
        self._before: dict[int, str] = {}       # status of what has broken, by sequence number
        self.changed: Callable[[str, Any], None] = lambda kind, item: None      # told of each that breaks or is mended
        self._begin()

    @property
    def log(self) -> list[Event]:
        """All entries, oldest first."""
        with self._model.lock:
            return list(self._log.values())

    @property
    def current(self) -> list[Event]:
        """Those that nobody has fixed and that have not expired."""
        return [event for event in self.log if event.fixed is None and not event.expired]

    def find(self, sequence: int) -> Event:
        """KeyError."""
        with self._model.lock:
            return self._log[sequence]

    # --- what happens ---

    def raise_fault(self, kind: str | None = None, id: str | None = None, fault: str | None = None) -> Event:
        """Break something. What is not said is chosen: the first fault of the kind, the first healthy object.

        ValueError for a fault that such a thing cannot have, KeyError for a thing that is not there.
        """
        with self._model.changing():
            event = self.log_event(fault, kind, id)
            item = self._model.find(event.kind, event.object)
            if event.type.becomes is not None:
                self._before.setdefault(event.sequence, item.status)
                item.status = event.type.becomes
                self.changed(event.kind, item)
        return event

    def log_event(self, fault: str | None = None, kind: str | None = None, id: str | None = None) -> Event:
        """An entry, as if something had broken. The same about the same thing again makes the one that stands newer."""
        with self._model.changing():
            kind = kind or (TYPES[fault].kind if fault in TYPES else 'drive')
            fault = fault or next((name for name, type in TYPES.items() if type.kind == kind), '')
            if fault not in TYPES or (TYPES[fault].kind != kind and fault != 'repaired'):
                raise ValueError(f'no such fault of a {kind}: {fault!r}; known are {", ".join(TYPES)}')
            event = self._entry(TYPES[fault], kind, self._healthy(kind) if id is None else id, int(self._clock()))
        self._announce(event)
        return event

    def repair(self, sequence: int) -> Event:
        """Mend what an entry is about: it is fixed, the thing is well, and an entry says so. KeyError for none such."""
        with self._model.changing():
            event = self._log[sequence]
            before = self._before.pop(sequence, None)
            self._log[sequence] = event = replace(event, fixed=event.fixed or int(self._clock()))
            if before is not None and (event.kind == 'system' or event.object in self._model[event.kind]):
                item = self._model.find(event.kind, event.object)
                item.status = before
                self.changed(event.kind, item)
        self.log_event('repaired', event.kind, event.object)
        return event

    def repair_all(self) -> None:
        """Mend everything."""
        for event in self.current:
            if event.type.status != 'message':
                self.repair(event.sequence)

    def fix(self, text: str) -> None:
        """What cheventlog -fix does: the entry is fixed, and what is broken stays so. Refusal."""
        with self._model.changing():
            event = self._log.get(int(text))
            if event is None or event.fixed is not None:
                raise Refusal(NO_SUCH_EVENT)
            self._log[event.sequence] = replace(event, fixed=int(self._clock()))

    def clear(self) -> None:
        """An empty log."""
        with self._model.changing():
            self._log.clear()
            self._before.clear()

    def _entry(self, type: EventType, kind: str, id: str, at: int) -> Event:
        item = self._model.find(kind, id)
        for event in self._log.values():
            if event.type is type and event.object == id and event.kind == kind and event.fixed is None \
                    and not event.expired:
                self._log[event.sequence] = found = replace(event, last=at, count=event.count + 1)
                return found
        copy = item.copies[0].id if kind == 'volume' else ''
        event = Event(next(self._numbers), type, kind, id, getattr(item, 'name', ''), copy, at, at,
                      self._model.config_node.id)
        self._log[event.sequence] = event
        return event

    def _healthy(self, kind: str) -> str:
        if kind == 'system':
            return str(self._model.system.id)
        well = ('online', 'active')
        # The configuration node last, so that somebody answers.
        for item in sorted(self._model[kind].values(), key=lambda item: getattr(item, 'config', False)):
            if item.status in well and getattr(item, 'use', 'member') == 'member':
                return str(item.id)
        raise KeyError(f'no {kind} is well enough to break')

    def _begin(self) -> None:
        now = int(self._clock())
        names = list(TYPES)
        for number in range(_OLD_EVENTS):
            type = TYPES[names[number % len(names)]]
            items = [self._model.system] if type.kind == 'system' else list(self._model[type.kind].values())
            if not items:
                continue
            at = now - (_OLD_EVENTS - number) * 20 * _HOUR - 1000 * (number % 13)
            item = items[number % len(items)]
            sequence = next(self._numbers)
            copy = item.copies[0].id if type.kind == 'volume' else ''
            self._log[sequence] = Event(
                sequence, type, type.kind, item.id, getattr(item, 'name', ''), copy, at - 900 * (number % 3), at,
                self._model.config_node.id, 1 + number % 3,
                None if type.status == 'message' or number % 5 == 4 else at + 3 * _HOUR, number % 5 == 4)
        for kind in OBJECT_TYPES:
            for item in () if kind == 'system' else self._model[kind].values():
                for type in [one for one in TYPES.values() if (one.kind, one.becomes) == (kind, item.status)][:1]:
                    event = self._entry(type, kind, item.id, now - 2 * _HOUR - 1000 * (int(item.id) % 7))
                    self._before[event.sequence] = 'active' if kind == 'fc_port' else 'online'
        for name in ('certificate', 'time differs', 'quorum'):
            self._entry(TYPES[name], 'system', self._model.system.id, now - _HOUR)

    # --- how it is shown ---

    def table(self, shown: dict[str, bool]) -> Table:
        """`shown` says of alert, message, monitoring, expired and fixed whether they are."""
        return Table(COLUMNS, [self._row(event) for event in self._selected(shown)])

    def _selected(self, shown: dict[str, bool]) -> Iterator[Event]:
        for event in self.log:
            if shown[event.status] and (event.fixed is None or shown['fixed']):
                yield event

    def _row(self, event: Event) -> Row:
        return (event.sequence, self.stamp(event.last), OBJECT_TYPES[event.kind], event.object, event.name, event.copy,
                event.status, event.fixed is not None, event.type.id, event.type.code, event.type.text)

    def record(self, text: str) -> Record:
        """One entry, by its sequence number; Refusal."""
        event = self._log.get(int(text)) if text.isdecimal() else None
        if event is None:
            raise Refusal(NO_SUCH_OBJECT)
        nodes = self._model['node']
        system = self._model.system
        pairs: Sequence[tuple[str, object]] = [
            ('sequence_number', event.sequence), ('first_timestamp', self.stamp(event.first)),
            ('first_timestamp_epoch', event.first), ('last_timestamp', self.stamp(event.last)),
            ('last_timestamp_epoch', event.last), ('object_type', OBJECT_TYPES[event.kind]),
            ('object_id', event.object), ('object_name', event.name), ('copy_id', event.copy),
            ('reporting_node_id', event.node),
            ('reporting_node_name', nodes[event.node].name if event.node in nodes else ''),
            ('root_sequence_number', ''), ('event_count', event.count), ('status', event.status),
            ('fixed', event.fixed is not None), ('auto_fixed', False), ('notification_type', event.type.notification),
            ('event_id', event.type.id), ('event_id_text', event.type.text), ('error_code', event.type.code),
            ('error_code_text', event.type.code_text), ('machine_type', self._model['enclosure']['1'].machine_type),
            ('serial_number', system.serial), ('FRU', 'None'),
            ('fixed_timestamp', self.stamp(event.fixed) if event.fixed is not None else ''),
            ('callhome_type', 'hardware' if event.kind in ('drive', 'node') else 'none'),
            *((f'sense{number}', '00 ' * 16) for number in range(1, 9))]
        return Record([pairs])

    def stamp(self, at: int) -> str:
        """YYMMDDhhmmss in the array's zone."""
        return datetime.fromtimestamp(at, ZoneInfo(self._model.system.time_zone)).strftime('%y%m%d%H%M%S')
