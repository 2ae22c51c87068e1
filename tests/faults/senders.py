# SPDX-License-Identifier: Apache-2.0
"""Arrays that send INFORMs and do not give up: one at a time, the same one again until it is acknowledged.

Three programs send, because each has its own way of finding our engine again after a restart: our own code (v2c),
pysnmp (v3) and net-snmp (both). Each INFORM is another alert; its sequence number is `<run>-<array>-<number>`.
"""

from __future__ import annotations

import abc
import asyncio
import itertools
import socket
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pysnmp.hlapi.v3arch import asyncio as pysnmp
from pysnmp.proto import rfc1902

from delfin.alert_manager.snmp import ber
from tests.engines.base import find_program
from tests.engines.snmp import TRAP_OID, User, environment
from tests.unit.snmp_support import HEAD, community_message, notification

TIMEOUT_SECONDS = 0.3           # then the INFORM goes out again
FAULT, RECOVERY = '1', '3'      # categories in the traps of the make-believe array

_BASE = '1.3.6.1.4.1.32473.1'
PAUSE_SECONDS = 0.02            # an array has something else to do, too
_SO_MANY = 255                   # repetitions: more than an outage takes; pysnmp allows no more


def content(number: str, category: str = FAULT) -> dict[str, str]:
    """The variables of an alert with this sequence number."""
    return {f'{_BASE}.1.0': '0x1001', f'{_BASE}.3.0': '3', f'{_BASE}.4.0': category, f'{_BASE}.6.0': number}


class Sender(abc.ABC):
    """An array at `address` that sends in a thread of its own."""

    user: User | None = None
    community: str | None = None

    def __init__(self, name: str, address: str) -> None:
        self.name, self.address = name, address
        self.storage_id = ''
        self.sent: set[str] = set()
        self.acknowledged: set[str] = set()
        self.error: BaseException | None = None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._numbers = itertools.count(1)
        self._pause_seconds = PAUSE_SECONDS

    @property
    def configuration(self) -> dict[str, Any]:
        """The body of its SNMP configuration."""
        if self.user is None:
            return {'host': self.address, 'version': 'SNMPv2c', 'community_string': self.community}
        found = {'host': self.address, 'version': 'SNMPv3', 'username': self.user.user,
                 'security_level': self.user.level}
        if self.user.auth:
            found |= {'auth_protocol': self.user.auth[0], 'auth_key': self.user.auth[1]}
        if self.user.privacy:
            found |= {'privacy_protocol': self.user.privacy[0], 'privacy_key': self.user.privacy[1]}
        return found

    def start(self, run: str, ports: Sequence[int], pause_seconds: float) -> None:
        """Begin a run; the second port is for when the first one does not answer."""
        self._pause_seconds = pause_seconds
        self.sent, self.acknowledged, self.error = set(), set(), None
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, args=(run, tuple(ports)), daemon=True, name=self.name)
        self._thread.start()

    def ask_to_stop(self) -> None:
        """What is not acknowledged by now is given up."""
        self._stopping.set()

    def join(self) -> None:
        """Until it has ended; what went wrong in it is raised here."""
        if self._thread is not None:
            self._thread.join(30)
            assert not self._thread.is_alive(), f'{self.name} does not end'
        if self.error is not None:
            raise self.error

    def next_number(self, run: str) -> str:
        """The sequence number of another alert."""
        return f'{run}-{self.name}-{next(self._numbers)}'

    def _run(self, run: str, ports: tuple[int, ...]) -> None:
        try:
            self.send_all(run, ports)
        except BaseException as error:      # noqa: BLE001 - raised by `join`
            self.error = error

    @abc.abstractmethod
    def send_all(self, run: str, ports: tuple[int, ...]) -> None:
        """Send until asked to stop."""

    def pause(self) -> bool:
        """Whether to end."""
        return self._stopping.wait(self._pause_seconds)


class Plain(Sender):
    """v2c by our own code. An INFORM that is not answered goes to the next port."""

    def __init__(self, name: str, address: str) -> None:
        super().__init__(name, address)
        self.community = f'community-of-{name}'
        self._request_ids = itertools.count(1)
        self._at = 0
        self.twice: set[str] = set()        # went to more than one port

    def send_all(self, run: str, ports: tuple[int, ...]) -> None:
        with self.open() as one:
            while not self.pause():
                number = self.next_number(run)
                self.sent.add(number)
                if self.deliver(one, number, FAULT, ports):
                    self.acknowledged.add(number)

    def open(self) -> socket.socket:
        """A socket at its address."""
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.bind((self.address, 0))
        one.settimeout(TIMEOUT_SECONDS)
        return one

    def deliver(self, one: socket.socket, number: str, category: str, ports: Sequence[int]) -> bool:
        """Until it is acknowledged; False when asked to stop before. Begins with the port that answered last."""
        datagram, answer = self._messages(number, category)
        tried = set()
        while not self._stopping.is_set():
            port = ports[self._at % len(ports)]
            tried.add(port)
            if len(tried) > 1:
                self.twice.add(number)
            one.sendto(datagram, ('127.0.0.1', port))
            if self._hears(one, answer):
                return True
            self._at += 1
        return False

    def send(self, number: str, category: str, port: int) -> None:
        """Outside of a stream: send one and wait until it is acknowledged."""
        self._stopping.clear()
        with self.open() as one:
            self.deliver(one, number, category, [port])

    def send_once(self, number: str, category: str, port: int) -> None:
        """Send and do not wait."""
        with self.open() as one:
            one.sendto(self._messages(number, category)[0], ('127.0.0.1', port))

    def _messages(self, number: str, category: str) -> tuple[bytes, bytes]:
        """(INFORM, its acknowledgement)."""
        pairs = [*HEAD[:1], ber.Variable(ber.SNMP_TRAP_OID, ber.OBJECT_ID, TRAP_OID),
                 *(ber.Variable(oid, ber.OCTET_STRING, text.encode())
                   for oid, text in content(number, category).items())]
        request_id = next(self._request_ids)
        return tuple(community_message(ber.V2C, notification(pairs, tag, request_id), str(self.community).encode())
                     for tag in (ber.INFORM, ber.RESPONSE))       # type: ignore[return-value]

    @staticmethod
    def _hears(one: socket.socket, answer: bytes) -> bool:
        while True:
            try:
                if one.recv(65535) == answer:
                    return True
            except OSError:         # time-out
                return False


class Pysnmp(Sender):
    """v3 by pysnmp's notification originator."""

    def __init__(self, name: str, address: str, user: User) -> None:
        super().__init__(name, address)
        self.user = user

    def send_all(self, run: str, ports: tuple[int, ...]) -> None:
        asyncio.run(self._send_all(run, ports[0]))

    async def _send_all(self, run: str, port: int) -> None:
        engine = pysnmp.SnmpEngine()
        try:
            target = await pysnmp.UdpTransportTarget.create(
                ('127.0.0.1', port), timeout=TIMEOUT_SECONDS, retries=_SO_MANY)
            target.set_local_address((self.address, 0))
            while not self.pause():
                number = self.next_number(run)
                self.sent.add(number)
                if await self._inform(engine, target, number):
                    self.acknowledged.add(number)
        finally:
            engine.close_dispatcher()

    async def _inform(self, engine: Any, target: Any, number: str) -> bool:
        variables = [pysnmp.ObjectType(pysnmp.ObjectIdentity(oid), rfc1902.OctetString(text))
                     for oid, text in content(number).items()]
        kind = pysnmp.NotificationType(pysnmp.ObjectIdentity(TRAP_OID)).add_varbinds(*variables)
        sending = asyncio.ensure_future(pysnmp.send_notification(
            engine, self._credentials(), target, pysnmp.ContextData(), 'inform', kind))
        while not sending.done() and not self._stopping.is_set():
            await asyncio.wait([sending], timeout=TIMEOUT_SECONDS)
        if not sending.done():
            sending.cancel()
            return False
        trouble, status, *_ = sending.result()
        return trouble is None and not status

    def _credentials(self) -> Any:
        assert self.user is not None and self.user.auth is not None
        options: dict[str, Any] = {'authKey': self.user.auth[1], 'authProtocol': pysnmp.USM_AUTH_HMAC192_SHA256}
        if self.user.privacy:
            options |= {'privKey': self.user.privacy[1], 'privProtocol': pysnmp.USM_PRIV_CFB128_AES}
        return pysnmp.UsmUserData(self.user.user, **options)


class NetSnmp(Sender):
    """net-snmp's snmpinform, one process for each INFORM."""

    def __init__(self, name: str, address: str, folder: Path, user: User | None = None) -> None:
        super().__init__(name, address)
        self.user = user
        self.community = None if user else f'community-of-{name}'
        self._folder = folder
        (folder / 'state' / 'cert_indexes').mkdir(parents=True)

    def send_all(self, run: str, ports: tuple[int, ...]) -> None:
        while not self.pause():
            number = self.next_number(run)
            self.sent.add(number)
            if self._inform(number, ports[0]):
                self.acknowledged.add(number)

    def _inform(self, number: str, port: int) -> bool:
        command = [find_program('snmpinform', ('$PATH', '/usr/bin')), '-On', '-r', str(_SO_MANY),
                   '-t', str(TIMEOUT_SECONDS), f'--clientaddr={self.address}', *self._who(), f'udp:127.0.0.1:{port}',
                   '4711', f'.{TRAP_OID}']
        for oid, text in content(number).items():
            command += [f'.{oid}', 's', text]
        process = subprocess.Popen(command, env=environment(self._folder), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while not self._stopping.is_set():
                try:
                    return process.wait(TIMEOUT_SECONDS) == 0
                except subprocess.TimeoutExpired:
                    continue
            return False
        finally:
            process.kill()
            process.wait()

    def _who(self) -> list[str]:
        if self.user is None:
            return ['-v', '2c', '-c', str(self.community)]
        assert self.user.auth and self.user.privacy
        return ['-v', '3', '-u', self.user.user, '-l', self.user.level, '-a', self.user.auth[0],
                '-A', self.user.auth[1], '-x', self.user.privacy[0], '-X', self.user.privacy[1]]


class Stream:
    """Senders at work, and what they know."""

    def __init__(self, run: str, senders: Sequence[Sender], ports: Sequence[int], pause_seconds: float) -> None:
        self.run, self.senders, self._ports, self._pause_seconds = run, senders, ports, pause_seconds

    @property
    def sent(self) -> dict[str, Sender]:
        """By sequence number: whose it is."""
        return {number: sender for sender in self.senders for number in tuple(sender.sent)}

    @property
    def acknowledged(self) -> set[str]:
        """Sequence numbers."""
        return {number for sender in self.senders for number in tuple(sender.acknowledged)}

    def counts(self) -> dict[str, int]:
        """How many each sender has seen acknowledged."""
        return {sender.name: len(sender.acknowledged) for sender in self.senders}

    def __enter__(self) -> Self:
        for sender in self.senders:
            sender.start(self.run, self._ports, self._pause_seconds)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        for sender in self.senders:
            sender.ask_to_stop()
        for sender in self.senders:
            sender.join()
