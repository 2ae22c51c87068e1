# SPDX-License-Identifier: Apache-2.0
"""A toy array that is really connected to, and a driver of it that does everything right.

What the array holds is what the fake driver makes up; logging in, sessions and failures are real: JSON lines over TCP,
one connection for each request, sessions known by a token.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import socketserver
import threading
import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any

from delfin import cryptor, exception
from delfin.access import Access
from delfin.drivers.compliance.bench import Patience
from delfin.drivers.compliance.contract import Level
from delfin.drivers.fake_storage import FakeStorageDriver
from delfin.drivers.fake_storage.model import FakeArray, Identity, first_section
from delfin.drivers.fake_storage.options import Settings
from delfin.drivers.fake_storage.recipes import RECIPES
from delfin.drivers.fake_storage.simulator import FakeSimulator

PASSWORD = 'toy-pass-word'
SIZES = {'pools': '2', 'volumes': '4', 'disks': '3', 'initiators': '4', 'ports': '6', 'filesystems': '3', 'qtrees': '4',
         'quotas': '6', 'hosts': '3', 'sample_interval_seconds': '300'}
# Short: the hosts are on loopback and the rules that wait are many.
# A hostile host sends a byte each 0.05 s: on a busy machine it may be some late, and `socket` must not end with that.
PATIENCE = Patience(call=30, hostile=1.5, socket=0.4, leaving=0.3)


class _Server(socketserver.TCPServer):
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(('127.0.0.1', 0), _Request)
        self.tokens: set[str] = set()
        self.failing = False
        threading.Thread(target=self.serve_forever, kwargs={'poll_interval': 0.02}, daemon=True).start()

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        match request['op']:
            case 'login':
                if request['password'] != PASSWORD:
                    return {'error': 'password'}
                token = secrets.token_hex(8)
                self.tokens.add(token)
                return {'token': token}
            case 'logout':
                self.tokens.discard(request['token'])
                return {}
        if request['token'] not in self.tokens:
            return {'error': 'session'}
        return {'error': 'failure'} if self.failing else {}


class _Request(socketserver.StreamRequestHandler):
    timeout = 10

    def handle(self) -> None:
        line = self.rfile.readline()
        if line:
            self.wfile.write(json.dumps(self.server.answer(json.loads(line))).encode() + b'\n')


class ToyArray(FakeSimulator):
    """Two of them, on loopback."""

    def __init__(self) -> None:
        self._servers = [_Server(), _Server()]
        super().__init__()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()
        super().__exit__(kind, error, trace)

    def _to(self, server: _Server) -> Access:
        return {'vendor': 'toy', 'model': 'array', 'extra_attributes': dict(SIZES),
                'rest': {'host': '127.0.0.1', 'port': server.server_address[1], 'username': 'admin',
                         'password': PASSWORD}}

    def access(self) -> Access:
        return self._to(self._servers[0])

    def another(self) -> Access:
        return self._to(self._servers[1])

    def array(self) -> FakeArray:
        settings = Settings.parse(SIZES)
        return FakeArray(settings, Identity.of(settings, self.access()), RECIPES)

    def sessions(self) -> int:
        return sum(len(server.tokens) for server in self._servers)

    def expire_sessions(self) -> bool:
        self._servers[0].tokens.clear()
        return True

    @contextlib.contextmanager
    def failing(self) -> Iterator[None]:
        self._servers[0].failing = True
        try:
            yield
        finally:
            self._servers[0].failing = False


class CleanDriver(FakeStorageDriver):
    """Driver of the toy array."""

    PROTOCOLS = ('rest',)
    COMPLIANCE_LEVELS = tuple(Level)
    MAX_CONCURRENT_CALLS = 3

    def __init__(self, **kwargs: Any) -> None:
        self.token: str | None = None
        self.lock = threading.Lock()
        super().__init__(**kwargs)

    # --- session ---

    def log_in(self) -> None:
        """Before each answer: log in unless that is done, and see whether the array is well."""
        with self.lock:
            if self.token is None:
                self.token = self.ask(op='login', password=self.password())['token']
            token = self.token
        self.ask(op='call', token=token)

    def log_out(self) -> None:
        with self.lock:
            token, self.token = self.token, None
        if token is not None:
            with contextlib.suppress(OSError, exception.DelfinException):   # it may be away
                self.ask(op='logout', token=token)

    def password(self) -> str:
        return cryptor.decode(first_section(self._access)['password'])

    def ask(self, **request: str) -> dict[str, Any]:
        section = first_section(self._access)
        reply = self.understand(self.exchange((section['host'], section['port']), section.get('timeout', 5),
                                              json.dumps(request).encode() + b'\n'))
        if 'error' in reply:
            self.refuse(reply['error'])
        return reply

    def understand(self, line: bytes) -> dict[str, Any]:
        try:
            return dict(json.loads(line))
        except ValueError:
            raise exception.BadResponse('the array did not answer in JSON') from None

    def refuse(self, error: str) -> None:
        match error:
            case 'password':
                raise exception.InvalidUsernameOrPassword()
            case 'session':
                self.token = None
                raise exception.NotAuthorized()
        raise exception.StorageBackendException('the array is not well')

    def exchange(self, address: tuple[str, int], timeout: float, line: bytes) -> bytes:
        """One line there, one back, all of it within `timeout` seconds."""
        deadline = time.monotonic() + timeout
        with socket.socket() as connection:
            connection.settimeout(timeout)
            connection.connect(address)
            connection.sendall(line)
            return self.receive(connection, deadline, timeout)

    def receive(self, connection: socket.socket, deadline: float, timeout: float) -> bytes:
        received = b''
        while not received.endswith(b'\n'):
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError('the array did not answer in time')
            connection.settimeout(left)
            data = connection.recv(4096)
            if not data:
                raise ConnectionResetError('the array hung up')
            received += data
        return received

    def reset_connection(self, context: Any, **kwargs: Any) -> None:
        """Log out; the next call logs in with what is given."""
        self.log_out()
        super().reset_connection(context, **kwargs)

    def delete_storage(self, context: Any) -> None:
        """Log out."""
        self.log_out()
        super().delete_storage(context)
