# SPDX-License-Identifier: Apache-2.0
"""The array's SNMP agent: tells its managers of alarms that begin and end, in the format of ISM-HUAWEI-MIB.

An AlarmID on the wire has 32 bits: the lower ones of the event's number, which LocationAlarmID has in full.
Informational alarms are not told; the MIB has no level for them.
"""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from delfin.alert_manager.snmp import ber, usm
from delfin.alert_manager.snmp.protocols import NO_AUTH_NO_PRIV
from tests.simulators.huawei import errors
from tests.simulators.huawei.alarms import Alarm
from tests.simulators.huawei.errors import Refusal
from tests.simulators.huawei.model import System
from tests.unit.snmp_support import community_message, notification, scoped_pdu, trap_v1, v3_message

ENTERPRISE = '1.3.6.1.4.1.2011.2.91.10.2.1'
TRAP_OID = f'{ENTERPRISE}.0.1'
VARIABLES = '1.3.6.1.4.1.2011.2.91.10.3.1.1'
_HUAWEI = 2011
_MAX_OCTETS = 256

_FAULT_TYPE = {'communications': 1, 'equipment': 2, 'processing': 3, 'service': 4, 'environment': 5, 'limit': 6}
_FAULT_LEVEL = {'critical': 1, 'major': 2, 'minor': 3, 'warning': 4}
_FAULT, _RECOVERY, _EVENT = 1, 2, 3
_VERSIONS = {'1': 'v1', '2': 'v2c', '3': 'v3'}
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


class Agent:
    """Sends to the managers that are configured. Thread-safe.

    `users` are those of v3 by name; `community` is for the other versions. `sent` counts traps.
    """

    def __init__(self, system: System, *, clock: Callable[[], float] = time.time, community: str = 'public',
                 source: str | None = None) -> None:
        self.manner = Manner()
        self.community = community
        self.users: dict[str, usm.User] = {}
        self.sent = 0
        self.engine_id = b'\x80' + _HUAWEI.to_bytes(3, 'big') + b'\x05' + system.id.encode()[-8:]
        self.boots = int(time.time())       # grows from start to start, as managers insist
        self._system = system
        self._clock = clock
        self._began = time.monotonic()
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        self._managers: dict[str, dict[str, str]] = {}
        self._source = source
        self._sockets: dict[int, socket.socket] = {}

    def close(self) -> None:
        """Close its sockets."""
        with self._lock:
            for one in self._sockets.values():
                one.close()
            self._sockets.clear()

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

    def delete(self, id: str) -> None:
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
        self._send(row, [
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
                or row['CMO_TRAP_VERSION'] not in _VERSIONS):
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
            self._send(row, variables)

    def _send(self, row: Mapping[str, str], variables: list[ber.Variable]) -> None:
        suffix = '.0' if self.manner.instance else ''
        pairs = [ber.Variable(f'{VARIABLES}.{pair.oid}{suffix}', pair.tag, pair.value) for pair in variables
                 if int(pair.oid) not in self.manner.omit]
        host, port = row['CMO_TRAP_SERVER_IP'], int(row['CMO_TRAP_SERVER_PORT'])
        datagram = self._message(_VERSIONS[row['CMO_TRAP_VERSION']], row['CMO_TRAP_SERVER_USER'], pairs)
        self._socket(socket.AF_INET6 if ':' in host else socket.AF_INET).sendto(datagram, (host, port))
        with self._lock:
            self.sent += 1

    def _message(self, version: str, user: str, pairs: list[ber.Variable]) -> bytes:
        seconds = int(time.monotonic() - self._began)
        with self._lock:
            number = next(self._ids)
        if version == 'v1':
            pairs = [pair for pair in pairs if pair.tag != ber.COUNTER64]       # v1 does not know them
            return community_message(ber.V1, trap_v1(pairs, ENTERPRISE, '127.0.0.1', 6, 1, seconds * 100),
                                     self.community.encode())
        pdu = notification([
            ber.Variable(ber.SYS_UP_TIME, ber.TIME_TICKS, seconds * 100),
            ber.Variable(ber.SNMP_TRAP_OID, ber.OBJECT_ID, TRAP_OID), *pairs], ber.TRAP_V2, number)
        if version == 'v2c':
            return community_message(ber.V2C, pdu, self.community.encode())
        known = self.users.get(user) or usm.User(user.encode(), NO_AUTH_NO_PRIV)
        return v3_message(scoped_pdu(pdu, self.engine_id), known, engine_id=self.engine_id, boots=self.boots,
                          time=seconds, message_id=number)

    def _socket(self, family: int) -> socket.socket:
        with self._lock:
            if family not in self._sockets:
                self._sockets[family] = socket.socket(family, socket.SOCK_DGRAM)
                if self._source is not None:
                    self._sockets[family].bind((self._source, 0))
            return self._sockets[family]

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
