# SPDX-License-Identifier: Apache-2.0
"""One object over HTTP: a real `delfin-all` on SQLite, against the same server with an application that does nothing.

The client is a bare socket on one connection that stays open: a real HTTP client takes longer than either server and
would make everything look equal. Both servers are processes of their own with the same settings of waitress. The
floor answers `{}` from one of 60 routes, so that it is the cost of waitress, WebOb and Routes.
"""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from delfin.db import Database, lists, resources
from tests.benchmarks.databases import VOLUMES, fill
from tests.benchmarks.measure import Comparison, medians
from tests.checkouts import free_port
from tests.engines.base import wait_until
from tests.services import Site

TARGET = 2.0
_BLOCK = 50             # requests to one server before it is the other's turn
_START_SECONDS = 20
_LENGTH = re.compile(rb'\r\ncontent-length: *(\d+)', re.IGNORECASE)


class Client:
    """A connection that is kept open. Each `get` sends the same request and reads one answer."""

    def __init__(self, port: int, path: str) -> None:
        self._request = f'GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: */*\r\n\r\n'.encode()
        self._socket = socket.create_connection(('127.0.0.1', port), timeout=10)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def get(self) -> bytes:
        """The body of an answer that must be 200."""
        self._socket.sendall(self._request)
        received = b''
        while b'\r\n\r\n' not in received:
            received += self._some()
        head, _, body = received.partition(b'\r\n\r\n')
        length = _LENGTH.search(head)
        if length is None or not head.startswith(b'HTTP/1.1 200 '):
            raise RuntimeError(f'not the answer expected: {head!r}')
        while len(body) < int(length[1]):
            body += self._some()
        return body

    def _some(self) -> bytes:
        received = self._socket.recv(65536)
        if not received:
            raise RuntimeError('the server closed the connection')
        return received

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._socket.close()


class EmptyServer:
    """The process of `tests.benchmarks.empty`."""

    def __init__(self) -> None:
        self.port = free_port()
        self._process = subprocess.Popen([sys.executable, '-m', 'tests.benchmarks.empty', str(self.port)],
                                         stdin=subprocess.DEVNULL)

    def _answers(self) -> bool:
        if self._process.poll() is not None:
            raise RuntimeError('the empty server ended at once')
        try:
            socket.create_connection(('127.0.0.1', self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def __enter__(self) -> Self:
        try:
            if not wait_until(self._answers, _START_SECONDS):
                raise RuntimeError('the empty server does not answer')
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._end()

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()


def measure(folder: Path, rounds: int) -> list[Comparison]:
    """A volume and its storage, each against nothing."""
    site = Site(folder / 'site', sync={'interval_seconds': 0})        # nothing runs beside it
    database = Database(site.database)
    storage_id = fill(database)
    with database.read() as connection:
        (volume,) = resources.listing(connection, VOLUMES, lists.Query(1)).rows
    database.close()
    compared = []
    with site.start() as process, EmptyServer() as empty:
        process.ready()
        for what, path in (('a volume', f'/v1/volumes/{volume["id"]}'), ('a storage', f'/v1/storages/{storage_id}')):
            with Client(empty.port, path) as floor, Client(site.port, path) as delfin:
                times = medians({'floor': floor.get, 'delfin': delfin.get}, rounds, _BLOCK)
            compared.append(Comparison(f'{what} over HTTP', 'sqlite', 'an empty WebOb + Routes application',
                                       times['floor'], times['delfin'], TARGET))
        process.stop()
    return compared
