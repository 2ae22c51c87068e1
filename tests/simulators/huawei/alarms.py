# SPDX-License-Identifier: Apache-2.0
"""What is wrong with the array: faults that are raised and repaired, the list of current alarms, and the history."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from tests.simulators.huawei import errors
from tests.simulators.huawei.errors import Refusal
from tests.simulators.huawei.model import Model

_FIRST_SEQUENCE = 30_000
_OLD_ALARMS = 120               # in the history of a new array
_HOUR = 3600
_YEARS = 4 * 365 * 24 * _HOUR


@dataclass(frozen=True)
class FaultType:
    """A fault that things of a kind can have, and what it does to them.

    `id` is the 64-bit number of the event; `severity` is informational, warning, minor, major or critical; `area` is
    what it has to do with: communications, equipment, processing, service, environment or limit.
    """

    id: int
    kind: str
    title: str
    severity: str
    area: str
    description: str
    advice: str
    health: str | None = None
    state: str | None = None
    category: str = 'fault'


# By name. The first of a kind is what breaks if nobody says what.
FAULTS = {
    'disk failed': FaultType(
        0xF0006000A, 'disk', 'Disk Failed', 'major', 'equipment', 'The disk {name} has failed.',
        'Step 1 Replace the disk.', 'faulty'),
    'disk failing': FaultType(
        0xF00060011, 'disk', 'Disk Is About To Fail', 'warning', 'equipment', 'The disk {name} will fail soon.',
        'Step 1 Have a spare part at hand.\nStep 2 Replace the disk.', 'failing'),
    'controller power': FaultType(
        0xF00D1800A, 'controller', 'Power Supply Has No Input', 'major', 'environment',
        '{name} has lost one power feed.', 'Step 1 Check the power cable.', 'degraded'),
    'controller offline': FaultType(
        0xF00CF0002, 'controller', 'Controller Is Offline', 'critical', 'equipment', '{name} does not answer.',
        'Step 1 Look at its lights.\nStep 2 Replace it: Größe beachten.', 'faulty', 'offline'),
    'link down': FaultType(
        0xF00D60001, 'fc_port', 'Host Port Link Is Down', 'major', 'communications', 'Port {name} has lost its link.',
        'Step 1 Check the optical module.', 'normal', 'link down'),
    'ethernet link down': FaultType(
        0xF00D50001, 'eth_port', 'Ethernet Port Link Is Down', 'minor', 'communications',
        'Port {name} has lost its link.', 'Step 1 Check the cable.', 'normal', 'link down'),
    'pool nearly full': FaultType(
        0xF00D80020, 'pool', 'Storage Pool Usage Exceeds The Threshold', 'warning', 'limit',
        'The pool {name} fills up.', 'Step 1 Expand the pool.\nStep 2 Delete what nobody needs.'),
    'pool degraded': FaultType(
        0xF00D80003, 'pool', 'Storage Pool Is Degraded', 'major', 'processing', 'The pool {name} lacks redundancy.',
        'Step 1 Replace failed disks.', 'degraded', 'reconstruction'),
    'lun failed': FaultType(
        0xF000B0001, 'lun', 'LUN Has Failed', 'critical', 'processing', 'The LUN {name} cannot be used.',
        'Step 1 Repair its pool.', 'faulty', 'offline'),
    'filesystem damaged': FaultType(
        0xF00280004, 'filesystem', 'File System Is Damaged', 'major', 'processing', '{name} has errors.',
        'Step 1 Have it checked.', 'partially damaged'),
    'host link lost': FaultType(
        0xF00150003, 'host', 'Host Has A Single Link', 'warning', 'service', 'The host {name} has no second path.',
        'Step 1 Check its cables.', 'single link'),
    'time differs': FaultType(
        0xF00C90005, 'system', 'Time Differs From The Time Server', 'warning', 'service', 'The clock of {name} is off.',
        'Step 1 Check the time server.'),
    'logins refused': FaultType(
        0xF00C90017, 'system', 'Somebody Tries Passwords', 'informational', 'processing',
        'Logins to {name} were refused.', 'Step 1 Find out who it is.', category='event'),
}
TYPES = {'system': 201, 'controller': 207, 'disk': 10, 'fc_port': 212, 'eth_port': 213, 'pool': 216, 'lun': 11,
         'filesystem': 40, 'host': 21}
_LEVEL = {'informational': 2, 'warning': 3, 'minor': 4, 'major': 5, 'critical': 6}
_CATEGORY = {'event': 0, 'fault': 1, 'recovery': 2}


@dataclass(frozen=True)
class Alarm:
    """One alarm. Times are epoch seconds; `ended` is None while it stands, `cleared_by` is set if a person ended it."""

    sequence: int
    fault: str                  # key of FAULTS
    kind: str
    object: str                 # id of what it is about
    name: str
    location: str
    raised: int
    ended: int | None = None
    cleared_by: str = ''

    @property
    def type(self) -> FaultType:
        return FAULTS[self.fault]

    @property
    def description(self) -> str:
        return self.type.description.format(name=self.name)

    def row(self) -> dict[str, Any]:
        """As the REST interface has it."""
        type = self.type
        return {
            'alarmStatus': 1 if self.ended is None else 4 if self.cleared_by else 2, 'clearName': self.cleared_by,
            'clearTime': self.ended if self.ended is not None and self.cleared_by else 0, 'confirmTime': 0,
            'description': self.description, 'detail': '', 'eventID': type.id,
            'eventParam': f'{self.location},{self.object}', 'eventType': _CATEGORY[type.category],
            'level': _LEVEL[type.severity], 'location': self.location, 'name': type.title,
            'recoverTime': self.ended if self.ended is not None and not self.cleared_by else 0,
            'sequence': self.sequence, 'sourceID': self.object, 'sourceType': str(TYPES[self.kind]),
            'startTime': self.raised, 'strEventID': f'0x{type.id:X}', 'suggestion': type.advice, 'type': 0}


class Alarms:
    """Those that stand and those that are over. `announce(alarm, recovered)` is told of each that begins or ends.

    A new array has an alarm for each object that is not well for a known reason, and a history.
    """

    def __init__(self, model: Model, clock: Callable[[], float] = time.time,
                 announce: Callable[[Alarm, bool], None] = lambda alarm, recovered: None) -> None:
        self._model = model
        self._clock = clock
        self._announce = announce
        self._sequence = _FIRST_SEQUENCE
        self._current: dict[int, Alarm] = {}
        self._history: dict[int, Alarm] = {}
        self._before: dict[int, tuple[str, str]] = {}       # health and state of what has broken, by sequence number
        self._begin()

    @property
    def current(self) -> list[Alarm]:
        """Newest first, as the array lists them."""
        with self._model.lock:
            return list(reversed(self._current.values()))

    @property
    def history(self) -> list[Alarm]:
        """Those that are over, newest first."""
        with self._model.lock:
            return list(reversed(self._history.values()))

    def find(self, sequence: int) -> Alarm:
        """One that stands or stood; KeyError."""
        with self._model.lock:
            return self._current.get(sequence) or self._history[sequence]

    def raise_fault(self, kind: str | None = None, id: str | None = None, fault: str | None = None) -> Alarm:
        """Break something. What is not said is chosen: the first fault of the kind, the first healthy object.

        ValueError for a fault that such a thing cannot have, KeyError for a thing that is not there.
        """
        with self._model.changing():
            kind = kind or (FAULTS[fault].kind if fault else 'disk')
            fault = fault or next((name for name, type in FAULTS.items() if type.kind == kind), '')
            if fault not in FAULTS or FAULTS[fault].kind != kind:
                raise ValueError(f'no such fault of a {kind}: {fault!r}; known are {", ".join(FAULTS)}')
            if id is None:
                id = self._healthy(kind)
            alarm = self._raise(fault, kind, id, int(self._clock()))
        self._announce(alarm, False)
        return alarm

    def repair(self, sequence: int) -> Alarm:
        """Mend what an alarm is about: it becomes well and the alarm history. KeyError for one that does not stand."""
        with self._model.changing():
            before = self._before.pop(sequence, None)
            alarm = self._end(sequence, '')
            if before is not None and self._exists(alarm):
                item = self._model.find(alarm.kind, alarm.object)
                item.health, item.state = before
        self._announce(alarm, True)
        return alarm

    def repair_all(self) -> None:
        """Mend everything."""
        for alarm in self.current:
            self.repair(alarm.sequence)

    def clear(self, sequence: str, user: str) -> None:
        """What a person does in the list of alarms. What is broken stays so. Refusal."""
        with self._model.changing():
            if not sequence.isdecimal() or int(sequence) not in self._current:
                raise Refusal(errors.NO_SUCH_OBJECT)
            self._end(int(sequence), user)

    def _raise(self, fault: str, kind: str, id: str, at: int) -> Alarm:
        type, item = FAULTS[fault], self._model.find(kind, id)
        self._sequence += 1
        alarm = Alarm(self._sequence, fault, kind, id, getattr(item, 'name', None) or id, self._location(kind, item),
                      at)
        self._current[alarm.sequence] = alarm
        self._before[alarm.sequence] = (item.health, item.state)
        item.health = type.health or item.health
        item.state = type.state or item.state
        return alarm

    def _end(self, sequence: int, user: str) -> Alarm:
        alarm = replace(self._current.pop(sequence), ended=int(self._clock()), cleared_by=user)
        self._history[sequence] = alarm
        return alarm

    def _exists(self, alarm: Alarm) -> bool:
        return alarm.kind == 'system' or alarm.object in self._model[alarm.kind]

    def _healthy(self, kind: str) -> str:
        if kind == 'system':
            return self._model.system.id
        for item in self._model[kind].values():
            if item.health == 'normal' and item.state in ('online', 'link up', 'normal'):
                return str(item.id)
        raise KeyError(f'no {kind} is well enough to break')

    @staticmethod
    def _location(kind: str, item: Any) -> str:
        return getattr(item, 'location', '') or f'{kind} {item.name}'

    def _begin(self) -> None:
        start = int(self._clock()) - _YEARS
        for number in range(_OLD_ALARMS):
            at = start + number * 50 * _HOUR
            kind, fault = (('disk', 'disk failing'), ('fc_port', 'link down'), ('pool', 'pool nearly full'))[number % 3]
            items = list(self._model[kind].values())
            if not items:
                continue
            item = items[number % len(items)]
            self._sequence += 1
            self._history[self._sequence] = Alarm(
                self._sequence, fault, kind, item.id, getattr(item, 'name', item.id), self._location(kind, item), at,
                at + 3 * _HOUR, 'admin' if number % 4 == 3 else '')
        now = int(self._clock())
        for kind in TYPES:
            items = [self._model.system] if kind == 'system' else list(self._model[kind].values())
            for fault, type in FAULTS.items():
                if type.kind == kind and type.health not in (None, 'normal'):
                    for item in items:
                        if item.health == type.health and item.state in (type.state, 'online', 'normal'):
                            self._stand(fault, kind, item, now)

    def _stand(self, fault: str, kind: str, item: Any, now: int) -> None:
        """An alarm for what was already broken; repaired, it becomes well."""
        health, state = item.health, item.state
        alarm = self._raise(fault, kind, item.id, now - (2 * _HOUR + self._sequence % 7 * 1000))
        item.health, item.state = health, state
        normal = {'host': 'normal', 'system': 'normal', 'fc_port': 'link up', 'eth_port': 'link up'}.get(kind, 'online')
        self._before[alarm.sequence] = ('normal', normal)
