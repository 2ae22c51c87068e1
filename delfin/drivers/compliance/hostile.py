# SPDX-License-Identifier: Apache-2.0
"""A host on loopback in place of an array: it refuses, is silent, dawdles, hangs up, or talks rubbish."""

from __future__ import annotations

import contextlib
import enum
import socket
import threading
from types import TracebackType
from typing import Any, Self

from delfin.access import Access
from delfin.drivers.compliance.rules import Skip

_TICK_SECONDS = 0.05
_SECTIONS = ('rest', 'ssh', 'smis')     # those with an address; cli means a program on this machine
_RUBBISH = b'HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<html><body>Please log in.</body></html>\r\n'


class Manner(enum.Enum):
    """How the host treats a connection."""

    REFUSE = 'refuses connections'
    SILENT = 'accepts and stays silent'
    TRICKLE = 'sends a byte now and then'
    CLOSE = 'hangs up at once'
    RUBBISH = 'answers with a web page'


class HostileHost:
    """One host with one manner. A context manager; afterwards all its connections are closed."""

    def __init__(self, manner: Manner) -> None:
        self._manner = manner
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.bind(('127.0.0.1', 0))
        self.port: int = self._socket.getsockname()[1]
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self.connections = 0

    def __enter__(self) -> Self:
        if self._manner is not Manner.REFUSE:       # a bound port nobody listens on refuses
            self._socket.listen(64)
            self._start(self._accept)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._stop.set()
        with contextlib.suppress(OSError):      # of one that does not listen; else it wakes accept()
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for thread in list(self._threads):
            thread.join()

    def _start(self, body: Any, *args: Any) -> None:
        thread = threading.Thread(target=body, args=args, name='driver-compliance-host', daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:     # shut down
                return
            self.connections += 1
            if self._manner is Manner.CLOSE:
                connection.close()
            else:
                self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):      # the driver may hang up any time
            if self._manner is Manner.RUBBISH:
                connection.settimeout(_TICK_SECONDS)
                with contextlib.suppress(TimeoutError):
                    connection.recv(4096)
                connection.sendall(_RUBBISH)
                return
            while not self._stop.wait(_TICK_SECONDS):
                if self._manner is Manner.TRICKLE:
                    connection.sendall(b'x')

    def access(self, access: Access, socket_seconds: float) -> Access:
        """Access information that leads here instead; `Skip` if there is no address in it."""
        changed: dict[str, Any] = dict(access)
        found = False
        for section in _SECTIONS:
            if changed.get(section) and changed[section].get('host'):
                changed[section] = {**changed[section], 'host': '127.0.0.1', 'port': self.port,
                                    'timeout': socket_seconds}
                found = True
        if not found:
            raise Skip('the access information has no host to connect to')
        return changed
