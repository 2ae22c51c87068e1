# SPDX-License-Identifier: Apache-2.0
"""How simulated arrays send traps: v1, v2c and v3, from a socket of their own."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Sequence

from delfin.alert_manager.snmp import ber, usm
from delfin.alert_manager.snmp.protocols import AUTH_NO_PRIV, AUTH_PRIV, NO_AUTH_NO_PRIV
from tests.unit.snmp_support import community_message, notification, scoped_pdu, trap_v1, v3_message

VERSIONS = {'1': 'v1', '2': 'v2c', '3': 'v3'}
_GENERIC = 6                    # enterpriseSpecific


class Sender:
    """Sends to whom it is told to. Thread-safe.

    `enterprise` and the last arc of a trap's OID are what v1 has in place of that OID. `engine` is the end of the
    engine id. `users` are those of v3 by name; `community` is for the other versions; `sent` counts traps.
    """

    def __init__(self, enterprise: str, number: int, engine: bytes, *, community: str = 'public',
                 source: str | None = None) -> None:
        self.community = community
        self.users: dict[str, usm.User] = {}
        self.sent = 0
        self.engine_id = b'\x80' + number.to_bytes(3, 'big') + b'\x05' + engine
        self.boots = int(time.time())       # grows from start to start, as managers insist
        self._enterprise = enterprise
        self._began = time.monotonic()
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        self._source = source
        self._sockets: dict[int, socket.socket] = {}

    def close(self) -> None:
        """Close its sockets."""
        with self._lock:
            for one in self._sockets.values():
                one.close()
            self._sockets.clear()

    def add_user(self, name: str, auth_protocol: str | None = None, auth_key: str | None = None,
                 privacy_protocol: str | None = None, privacy_key: str | None = None) -> None:
        """A user for v3 traps; protocols as Delfin calls them (HMACSHA, HMCSHA2256, AES, …)."""
        level = AUTH_PRIV if privacy_protocol else AUTH_NO_PRIV if auth_protocol else NO_AUTH_NO_PRIV
        self.users[name] = usm.User(name.encode(), level, auth_protocol, auth_key, privacy_protocol, privacy_key)

    def send(self, host: str, port: int, trap: str, pairs: Sequence[ber.Variable], *, version: str = 'v2c',
             user: str = '', community: str | None = None) -> None:
        """A trap with that OID; `version` is a value of VERSIONS."""
        datagram = self._message(version, user, trap, pairs, self.community if community is None else community)
        self._socket(socket.AF_INET6 if ':' in host else socket.AF_INET).sendto(datagram, (host, port))
        with self._lock:
            self.sent += 1

    def _message(self, version: str, user: str, trap: str, pairs: Sequence[ber.Variable], community: str) -> bytes:
        seconds = int(time.monotonic() - self._began)
        with self._lock:
            number = next(self._ids)
        if version == 'v1':
            pairs = [pair for pair in pairs if pair.tag != ber.COUNTER64]       # v1 does not know them
            return community_message(ber.V1, trap_v1(pairs, self._enterprise, '127.0.0.1', _GENERIC,
                                                     int(trap.rpartition('.')[2]), seconds * 100), community.encode())
        pdu = notification([ber.Variable(ber.SYS_UP_TIME, ber.TIME_TICKS, seconds * 100),
                            ber.Variable(ber.SNMP_TRAP_OID, ber.OBJECT_ID, trap), *pairs], ber.TRAP_V2, number)
        if version == 'v2c':
            return community_message(ber.V2C, pdu, community.encode())
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
