# SPDX-License-Identifier: Apache-2.0
"""The array's SNMP agent: tells its managers of alarms that begin and end, in the format of ISM-HUAWEI-MIB.

An AlarmID on the wire has 32 bits: the lower ones of the event's number, which LocationAlarmID has in full.
Informational alarms are not told; the MIB has no level for them.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from delfin.alert_manager.snmp import ber
from tests.simulators.huawei import errors
from tests.simulators.huawei.alarms import Alarm
from tests.simulators.huawei.errors import Refusal
from tests.simulators.huawei.model import System
from tests.simulators.snmp import VERSIONS, Sender

ENTERPRISE = '1.3.6.1.4.1.2011.2.91.10.2.1'
TRAP_OID = f'{ENTERPRISE}.0.1'
VARIABLES = '1.3.6.1.4.1.2011.2.91.10.3.1.1'
_HUAWEI = 2011
_MAX_OCTETS = 256

_FAULT_TYPE = {'communications': 1, 'equipment': 2, 'processing': 3, 'service': 4, 'environment': 5, 'limit': 6}
_FAULT_LEVEL = {'critical': 1, 'major': 2, 'minor': 3, 'warning': 4}
_FAULT, _RECOVERY, _EVENT = 1, 2, 3
_FIELDS = ('CMO_TRAP_SERVER_IP', 'CMO_TRAP_SERVER_PORT', 'CMO_TRAP_SERVER_USER', 'CMO_TRAP_SERVER_TYPE',
           'CMO_TRAP_VERSION')


@dataclass(frozen=True)
class Manner:
    """How the agent writes what can be written in several ways.

    `time` is octets (DateAndTime with a zone), local (the same without) or text; `hex` writes advice and description as
    0x… text, as some managers' libraries hand on what is not ASCII.
    """

    time: str = 'octets'
    zone: timedelta = timedelta(0)
    hex: bool = False
    instance: bool = True       # a trailing .0
    omit: frozenset[int] = field(default_factory=frozenset)     # numbers of variables that are missing


class Agent(Sender):
    """Sends to the managers that are configured."""

    def __init__(self, system: System, *, clock: Callable[[], float] = time.time, community: str = 'public',
                 source: str | None = None) -> None:
        super().__init__(ENTERPRISE, _HUAWEI, system.id.encode()[-8:], community=community, source=source)
        self.manner = Manner()
        self._system = system
        self._clock = clock
        self._managers: dict[str, dict[str, str]] = {}

    # --- managers ---

    @property
    def managers(self) -> list[dict[str, str]]:
        """Rows of `snmp_trap_addr`."""
        with self._lock:
            return [dict(row) for row in self._managers.values()]

    def add(self, host: str, port: int, version: str = '2', user: str = '') -> str:
        """Tell somebody of alarms from now on; its id."""
        return self.create({'CMO_TRAP_SERVER_IP': host, 'CMO_TRAP_SERVER_PORT': str(port),
                            'CMO_TRAP_SERVER_USER': user, 'CMO_TRAP_VERSION': version})['ID']

    def create(self, body: Any) -> dict[str, str]:
        """A new manager; Refusal."""
        row = self._checked(body)
        with self._lock:
            row['ID'] = str(next(number for number in itertools.count(1) if str(number) not in self._managers))
            self._managers[row['ID']] = row
        return row

    def change(self, id: str, body: Any) -> None:
        """Must repeat id, address and port; Refusal."""
        if not isinstance(body, dict) or str(body.get('ID')) != id:
            raise Refusal(errors.BAD_PARAMETER)
        row = self._checked(body)
        with self._lock:
            if id not in self._managers:
                raise Refusal(errors.NO_SUCH_OBJECT)
            self._managers[id].update(row)

    def remove(self, id: str) -> None:
        """Tell them no more; Refusal."""
        with self._lock:
            if self._managers.pop(id, None) is None:
                raise Refusal(errors.NO_SUCH_OBJECT)

    def test(self, body: Any) -> None:
        """A trap that tests a manager; Refusal."""
        if not isinstance(body, dict) or not {'CMO_TRAP_SERVER_TYPE', 'CMO_TRAP_VERSION'} <= body.keys():
            raise Refusal(errors.BAD_PARAMETER)
        row = self._checked(body)
        now = int(self._clock())
        self._tell(row, [
            *self._text(1, self._system.name), *self._text(2, 'Array'), *self._text(3, 'No action is needed.'),
            *self._text(4, 'Trap Test Alarm'), *_number(5, 2), *_number(6, 4), *_number(7, 2**32 - 2, ber.GAUGE32),
            *self._time(now), *_number(9, 2**32 - 1, ber.GAUGE32), *self._text(10, 'This is a test.'),
            *_number(11, _EVENT)])

    def _checked(self, body: Any) -> dict[str, str]:
        if not isinstance(body, dict):
            raise Refusal(errors.BAD_PARAMETER)
        row = {key: str(body[key]) for key in _FIELDS if key in body}
        row = {'CMO_TRAP_SERVER_USER': '', 'CMO_TRAP_SERVER_TYPE': '3', 'CMO_TRAP_VERSION': '2', **row}
        port = row.get('CMO_TRAP_SERVER_PORT', '')
        if (not row.get('CMO_TRAP_SERVER_IP') or not port.isdecimal() or not 0 < int(port) < 65536
                or row['CMO_TRAP_VERSION'] not in VERSIONS):
            raise Refusal(errors.BAD_PARAMETER)
        if row['CMO_TRAP_VERSION'] == '3' and row['CMO_TRAP_SERVER_USER'] not in self.users:
            raise Refusal(errors.NO_SUCH_OBJECT)
        return row

    # --- traps ---

    def announce(self, alarm: Alarm, recovered: bool) -> None:
        """Tell all managers that an alarm begins or ends."""
        type = alarm.type
        if type.severity not in _FAULT_LEVEL:
            return
        category = _RECOVERY if recovered else _EVENT if type.category == 'event' else _FAULT
        variables = [
            *self._text(1, self._system.name), *self._text(2, alarm.location),
            *self._text(3, type.advice, self.manner.hex), *self._text(4, type.title),
            *_number(5, _FAULT_TYPE[type.area]), *_number(6, _FAULT_LEVEL[type.severity]),
            *_number(7, type.id % 2**32, ber.GAUGE32),
            *self._time(alarm.ended if recovered and alarm.ended is not None else alarm.raised),
            *_number(9, alarm.sequence, ber.GAUGE32), *self._text(10, alarm.description, self.manner.hex),
            *_number(11, category), *_number(12, type.id, ber.COUNTER64), *_number(13, 1),
            *self._text(14, self._system.id)]
        for row in self.managers:
            self._tell(row, variables)

    def _tell(self, row: Mapping[str, str], variables: list[ber.Variable]) -> None:
        suffix = '.0' if self.manner.instance else ''
        pairs = [ber.Variable(f'{VARIABLES}.{pair.oid}{suffix}', pair.tag, pair.value) for pair in variables
                 if int(pair.oid) not in self.manner.omit]
        self.send(row['CMO_TRAP_SERVER_IP'], int(row['CMO_TRAP_SERVER_PORT']), TRAP_OID, pairs,
                  version=VERSIONS[row['CMO_TRAP_VERSION']], user=row['CMO_TRAP_SERVER_USER'])

    def _text(self, number: int, text: str, as_hex: bool = False) -> list[ber.Variable]:
        octets = text.encode()[:_MAX_OCTETS]
        return [ber.Variable(str(number), ber.OCTET_STRING, f'0x{octets.hex()}'.encode() if as_hex else octets)]

    def _time(self, at: int) -> list[ber.Variable]:
        moment = datetime.fromtimestamp(at, UTC).astimezone(timezone(self.manner.zone))
        minutes = int(self.manner.zone.total_seconds()) // 60
        sign, (hours, minutes) = '-' if minutes < 0 else '+', divmod(abs(minutes), 60)
        if self.manner.time == 'text':
            text = (f'{moment.year}-{moment.month}-{moment.day},{moment.hour}:{moment.minute}:{moment.second}.0'
                    f',{sign}{hours}:{minutes}')
            return [ber.Variable('8', ber.OCTET_STRING, text.encode())]
        octets = moment.year.to_bytes(2, 'big') + bytes((moment.month, moment.day, moment.hour, moment.minute,
                                                         moment.second, 0))
        if self.manner.time == 'octets':
            octets += sign.encode() + bytes((hours, minutes))
        return [ber.Variable('8', ber.OCTET_STRING, octets)]


def _number(number: int, value: int, tag: int = ber.INTEGER) -> list[ber.Variable]:
    return [ber.Variable(str(number), tag, value)]
