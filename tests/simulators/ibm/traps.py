# SPDX-License-Identifier: Apache-2.0
"""The array's SNMP agent: tells the servers that somebody has made known. Each value is text, with its label."""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from delfin.alert_manager.snmp import ber
from tests.simulators.ibm import errors
from tests.simulators.ibm.errors import Refusal
from tests.simulators.ibm.events import OBJECT_TYPES, Event
from tests.simulators.ibm.grammar import Table
from tests.simulators.ibm.model import Model
from tests.simulators.snmp import VERSIONS, Sender

COLUMNS = ('id', 'name', 'IP_address', 'error', 'warning', 'info', 'port', 'community')
_LEVELS = {'error': 1, 'warning': 2, 'informational': 3}
_IBM = 2
_DAYS = ('Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun')
_MONTHS = ('Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec')


@dataclass
class Manager:
    """Somebody who is told: of which notifications, and how."""

    id: str
    host: str
    port: int
    community: str
    wants: dict[str, bool]
    version: str = 'v2c'
    user: str = ''


class Agent(Sender):
    """`number` is the vendor's OID, under which the product's traps and variables stand. `name_number` is the number of
    the variable with the object's name (some old levels use 19)."""

    def __init__(self, model: Model, *, clock: Callable[[], float], number: str, source: str | None = None) -> None:
        self.enterprise = f'{number}.6.190' if number.endswith('.2') else f'{number}.190'
        super().__init__(self.enterprise, _IBM, model.system.id.encode()[-8:], source=source)
        self.name_number = 17
        self._model = model
        self._managers: dict[str, Manager] = {}

    # --- managers ---

    @property
    def managers(self) -> list[Manager]:
        with self._lock:
            return list(self._managers.values())

    def add(self, host: str, port: int, version: str = '2', user: str = '', community: str | None = None,
            wants: Mapping[str, bool] | None = None) -> str:
        """Tell somebody from now on; its id. `version` is a key of VERSIONS."""
        everything = dict.fromkeys(_LEVELS, True)
        with self._lock:
            id = next(id for id in map(str, itertools.count()) if id not in self._managers)
            self._managers[id] = Manager(id, host, port, self.community if community is None else community,
                                         {**everything, **(wants or {})}, VERSIONS[version], user)
        return id

    def table(self) -> Table:
        """lssnmpserver."""
        return Table(COLUMNS, [
            (one.id, f'snmp{one.id}', one.host, *('on' if one.wants[level] else 'off' for level in _LEVELS), one.port,
             one.community) for one in self.managers])

    def make(self, options: Mapping[str, str | bool]) -> str:
        """mksnmpserver; Refusal."""
        if 'ip' not in options:
            raise Refusal(errors.MISSING_PARAMETER)
        port = str(options.get('port', '162'))
        try:
            host = str(ipaddress.ip_address(str(options['ip'])))
        except ValueError:
            raise Refusal(errors.UNKNOWN_PARAMETER, str(options['ip'])) from None
        if not port.isdecimal() or not 0 < int(port) < 65536:
            raise Refusal(errors.NOT_NUMERIC, port)
        wants = {}
        for name, level in (('error', 'error'), ('warning', 'warning'), ('info', 'informational')):
            value = options.get(name, 'on')
            if value not in ('on', 'off'):
                raise Refusal(errors.UNKNOWN_PARAMETER, str(value))
            wants[level] = value == 'on'
        id = self.add(host, int(port), community=str(options.get('community', 'public')), wants=wants)
        return f'SNMP Server, id [{id}], successfully created\n'

    def remove(self, id: str) -> str:
        """rmsnmpserver; Refusal."""
        with self._lock:
            if self._managers.pop(id, None) is None:
                raise Refusal(errors.NO_SUCH_OBJECT if id else errors.MISSING_PARAMETER)
        return ''

    # --- traps ---

    def announce(self, event: Event) -> None:
        """Tell all who want to know of a new entry in the event log. Of those without notification nobody hears."""
        level = _LEVELS.get(event.type.notification)
        if level is None:
            return
        pairs = [ber.Variable(f'{self.enterprise}.4.{number}', ber.OCTET_STRING, f'# {label} = {value}'.encode())
                 for number, (label, value) in self._variables(event).items()]
        for manager in self.managers:
            if manager.wants[event.type.notification]:
                self.send(manager.host, manager.port, f'{self.enterprise}.{level}', pairs, version=manager.version,
                          user=manager.user, community=manager.community)

    def _variables(self, event: Event) -> dict[int, tuple[str, object]]:
        system = self._model.system
        code = f'{event.type.code} : {event.type.code_text}' if event.type.code else ''
        sense = ' '.join(['00'] * 64)
        return {
            1: ('Machine Type', self._model['enclosure']['1'].machine_type), 2: ('Serial Number', system.serial),
            3: ('Error ID', f'{event.type.id} : {event.type.text}'), 4: ('Error Code', code),
            5: ('System Version', system.code), 6: ('FRU', 'None '), 7: ('System Name', system.name),
            8: ('Node ID', event.node), 9: ('Error Sequence Number', event.sequence),
            10: ('Timestamp', self._stamp(event.last)), 11: ('Object Type', OBJECT_TYPES[event.kind]),
            12: ('Object ID', event.object), 13: ('Additional Data (0 -> 63)', sense),
            14: ('Additional Data (64 -> 127)', sense), 15: ('Copy ID', event.copy), 16: ('Machine Part Number', ''),
            self.name_number: ('Object Name', event.name)}

    def _stamp(self, at: int) -> str:
        """As ctime writes it, in the array's zone; a day has a blank in front if it has one digit."""
        local = datetime.fromtimestamp(at, ZoneInfo(self._model.system.time_zone))
        return (f'{_DAYS[local.weekday()]} {_MONTHS[local.month - 1]} {local.day:2} {local:%H:%M:%S} {local.year}')
