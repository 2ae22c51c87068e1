# SPDX-License-Identifier: Apache-2.0
"""What the tests of the way from datagram to alert share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from delfin.alert_manager.interpreter import Interpreter
from delfin.alert_manager.lanes import Lanes
from delfin.alert_manager.receiver import Receiver
from delfin.alert_manager.rejected import Rejected
from delfin.alert_manager.snmp import ber
from delfin.alert_manager.sockets import Datagram, Reader
from delfin.alert_manager.sources import Source, Table
from delfin.alert_manager.spool import LANES, Received, Spool
from delfin.db import Database, alert_sources
from delfin.db.alert_sources import SECRETS, Known
from delfin.keyring import Keyring, place
from tests.unit.snmp_support import HEAD, notification

ADDRESS = '192.0.2.1'
BASE = '1.3.6.1.4.1.32473.1'        # of the make-believe array's variables, see delfin.drivers.fake_storage.alerts


def configure(database: Database, keyring: Keyring, storage_id: str, **values: Any) -> None:
    """Store the SNMP configuration of a storage, v2c with the community `public` unless told otherwise."""
    columns = {'host': ADDRESS, 'version': 'SNMPv2c', 'community_string': 'public', **values}
    sealed = {name: keyring.seal(value, place(storage_id, alert_sources.PLACE, name))
              if name in SECRETS and value is not None else value for name, value in columns.items()}
    with database.write() as connection:
        alert_sources.put(connection, storage_id, sealed)


def pdu(variables: Mapping[int, Any], tag: int = ber.TRAP_V2, request_id: int = 4711) -> bytes:
    """A trap of the make-believe array, its variables by the last number of their ids."""
    return notification([*HEAD, *(ber.Variable(f'{BASE}.{number}.0', ber.OCTET_STRING, str(value).encode())
                                  for number, value in variables.items())], tag, request_id)


def fault(number: object, recovered: bool = False, **more: Any) -> bytes:
    """The trap of one fault, or of its end."""
    return pdu({1: '0x1001', 4: 3 if recovered else 1, 6: number, 9: f'disk {number}',
                **{int(name.removeprefix('v')): value for name, value in more.items()}})


def known(storage_id: str, serial_number: str = 'SN-1', name: str | None = 'array',
          driver: tuple[str, str] = ('fake_storage', 'fake_driver')) -> Known:
    """A storage as the table of senders has it."""
    return Known(storage_id, name, serial_number, *driver)


class Senders:
    """In place of `Sources`: a table that tests replace."""

    def __init__(self, *sources: Source) -> None:
        self.table = Table(sources)

    def replace(self, *sources: Source) -> None:
        self.table = Table(sources)


class Line:
    """In place of a socket: keeps what is answered, and asks `before` first."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []
        self.before = lambda: None

    def send(self, data: bytes, peer: Any) -> bool:
        self.before()
        self.answers.append(data)
        return True


class Inbox:
    """A receiver without sockets: datagrams are handed to it. `restart` begins another life with the same file."""

    def __init__(self, path: Path, *sources: Source, max_rows: int = 1_000_000) -> None:
        self._path, self._max_rows = path, max_rows
        self.senders = Senders(*sources)
        self.rejected = Rejected()
        self.line = Line()
        self.pinned: list[tuple[str, bytes]] = []
        self.woken: set[int] = set()
        self._open()

    def _open(self) -> None:
        self.spool = Spool(str(self._path), self._max_rows)
        self.receiver = Receiver(Reader([], lambda host: None), self.senders, self.spool, self.rejected,
                                 on_stored=self.woken.update, pin=lambda *args: self.pinned.append(args))

    def restart(self) -> None:
        self.spool.close()
        self._open()

    def take(self, *datagrams: bytes, host: str = ADDRESS) -> list[bytes]:
        """Hand one batch over; what was answered."""
        before = len(self.line.answers)
        self.receiver.process([Datagram(data, host, (host, 50000), self.line) for data in datagrams])
        return self.line.answers[before:]

    def kept(self) -> list[Received]:
        """What is in the spool, in the order in which it came."""
        rows = [row for lane in range(LANES) for row in self.spool.read(lane, 0, 10_000)]
        return [received for _, received in sorted(rows)]

    def drain(self) -> None:
        """What was kept has found its way into the database."""
        for lane in range(LANES):
            self.spool.remove(lane, 10**9)

    def refused(self) -> dict[str, int]:
        """How many were refused since the last question, by reason."""
        found: dict[str, int] = {}
        for count in self.rejected.drain():
            found[count.reason] = found.get(count.reason, 0) + count.count
        return found

    def __enter__(self) -> Inbox:
        return self

    def __exit__(self, *args: object) -> None:
        self.spool.close()


def make_lanes(spool: Spool, database: Database, drivers: Any, storages: Iterable[Known], *,
               parse_timeout_seconds: float = 5.0, **options: Any) -> Lanes:
    """The way from a spool to the database, not started."""
    table = Table(storages={storage.id: storage for storage in storages})

    def at_owner(storage_id: str, trap: Any) -> Any:
        raise AssertionError('nobody asked for it')

    return Lanes(spool, database, Interpreter(drivers, lambda: table, at_owner), node='node-1',
                 parse_timeout_seconds=parse_timeout_seconds,
                 **{'keep_failed': 100, 'ring': lambda: None, 'on_change': lambda: None, **options})
