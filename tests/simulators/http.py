# SPDX-License-Identifier: Apache-2.0
"""A quick HTTP/1.1 server for simulators: keep-alive, TLS, and everything a server can do wrong.

    with Server(lambda request: Reply(b'{}'), context=certificate.server_context()) as server:
        ... server.port ...

`tests.simulators.tls.TlsServer` is for tests of TLS: it notes every byte. This one is for arrays with many objects: it
notes nothing, and a request costs it tens of microseconds. Leaving the block ends all connections and threads.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Self

_MAX_HEAD_BYTES = 65536
_MAX_BODY_BYTES = 16 * 2**20
_IDLE_SECONDS = 120.0           # of a connection on which nothing is asked
_HANDSHAKE_SECONDS = 20.0
_JOIN_SECONDS = 5.0
_CHUNK_BYTES = 4096
_REASONS = {status.value: status.phrase for status in HTTPStatus}


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks. `headers` have names in small letters; `query` is as it came, without question mark."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    client: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What it gets.

    `chunked` sends the body in chunks instead of with its length. `cut` closes the connection behind so many bytes of
    a body whose full length was announced; `drop` closes it without a word.
    """

    body: bytes = b''
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = 'application/json;charset=UTF-8'
    chunked: bool = False
    cut: int | None = None
    drop: bool = False


class _Ended(Exception):
    """The connection is over."""


class Server:
    """Serves from the moment it is entered. Each connection has a thread; `port` 0 takes a free one.

    `stopping` is set when the block is left: a handler that waits on purpose waits for it. A handler that raises
    answers 500 with the error as text, since that is a fault of the simulator.
    """

    def __init__(self, handler: Callable[[Request], Reply], *, context: ssl.SSLContext | None = None,
                 host: str = '127.0.0.1', port: int = 0) -> None:
        self.stopping = threading.Event()
        self.connections = 0
        self.handler = handler
        self.context = context
        self._lock = threading.Lock()
        self._open: set[_Connection] = set()
        family = socket.AF_INET6 if ':' in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family, backlog=128)
        self.host: str = self._listener.getsockname()[0]
        self.port: int = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, name=f'simulator-{self.port}', daemon=True)

    @property
    def url(self) -> str:
        """Without a path."""
        host = f'[{self.host}]' if ':' in self.host else self.host
        return f'http{"s" if self.context else ""}://{host}:{self.port}'

    def __enter__(self) -> Self:
        self._acceptor.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End everything; afterwards no thread of this server is left."""
        self.stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)       # wakes accept()
        self._listener.close()
        if self._acceptor.ident is not None:
            self._acceptor.join(_JOIN_SECONDS)
        for connection in self.hang_up():
            connection.thread.join(_JOIN_SECONDS)

    def hang_up(self) -> list[_Connection]:
        """Close all connections, as a management service does that starts anew. Returns those it closed."""
        with self._lock:
            found = list(self._open)
        for connection in found:
            connection.hang_up()
        return found

    def ended(self, connection: _Connection) -> None:
        """Called by a connection."""
        with self._lock:
            self._open.discard(connection)

    def _accept(self) -> None:
        while True:
            try:
                accepted, address = self._listener.accept()
            except OSError:
                return
            connection = _Connection(self, accepted, str(address[0]))
            with self._lock:
                self._open.add(connection)
                self.connections += 1
            connection.thread.start()


class _Connection:
    """One client."""

    def __init__(self, server: Server, accepted: socket.socket, client: str) -> None:
        self._server = server
        self._socket = accepted
        self._client = client
        self._buffer = bytearray()
        self.thread = threading.Thread(target=self._run, name=f'simulator-{server.port}-client', daemon=True)

    def hang_up(self) -> None:
        """Wakes the thread, wherever it waits for the client. (SSLSocket.shutdown would pull TLS away under it.)"""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def _run(self) -> None:
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._server.context is not None:
                self._socket.settimeout(_HANDSHAKE_SECONDS)
                wrapped = self._server.context.wrap_socket(self._socket, server_side=True,
                                                           do_handshake_on_connect=False)
                self._socket = wrapped
                wrapped.do_handshake()
            self._socket.settimeout(_IDLE_SECONDS)
            while not self._server.stopping.is_set():
                self._exchange()
        except (_Ended, OSError):
            pass                    # clients go whenever they like
        finally:
            self._server.ended(self)
            self._socket.close()

    def _exchange(self) -> None:
        request = self._request()
        if request is None:
            self._send(Reply(b'', 400, content_type='text/plain'), close=True)
            raise _Ended
        close = request.headers.get('connection', '').lower() == 'close'
        try:
            reply = self._server.handler(request)
        except Exception as error:
            self._send(Reply(f'{type(error).__name__}: {error}'.encode(), 500, content_type='text/plain'), close=True)
            raise
        if reply.drop:
            raise _Ended
        self._send(reply, close)
        if close or reply.cut is not None:
            raise _Ended

    def _request(self) -> Request | None:
        """The next one; None for what is not HTTP."""
        end = self._buffer.find(b'\r\n\r\n')
        while end < 0:
            if len(self._buffer) > _MAX_HEAD_BYTES:
                return None
            self._receive()
            end = self._buffer.find(b'\r\n\r\n')
        lines = self._buffer[:end].decode('latin-1').split('\r\n')
        del self._buffer[:end + 4]
        first = lines[0].split(' ')
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(':')
            headers[name.lower()] = value.strip()
        length = headers.get('content-length', '0')
        if len(first) != 3 or not length.isdecimal() or int(length) > _MAX_BODY_BYTES or 'transfer-encoding' in headers:
            return None
        missing = int(length)
        while len(self._buffer) < missing:
            self._receive()
        body = bytes(self._buffer[:missing])
        del self._buffer[:missing]
        path, _, query = first[1].partition('?')
        return Request(first[0], path, query, headers, body, self._client)

    def _receive(self) -> None:
        received = self._socket.recv(65536)
        if not received:
            raise _Ended
        self._buffer += received

    def _send(self, reply: Reply, close: bool) -> None:
        length = 'Transfer-Encoding: chunked' if reply.chunked else f'Content-Length: {len(reply.body)}'
        head = [f'HTTP/1.1 {reply.status} {_REASONS.get(reply.status, "")}', f'Content-Type: {reply.content_type}',
                length, *(f'{name}: {value}' for name, value in reply.headers)]
        if close:
            head.append('Connection: close')
        body = reply.body if reply.cut is None else reply.body[:reply.cut]
        if reply.chunked:
            body = b''.join(b'%x\r\n%b\r\n' % (len(piece), piece) for piece in (
                body[start:start + _CHUNK_BYTES] for start in range(0, len(body), _CHUNK_BYTES)))
            body += b'0\r\n\r\n' if reply.cut is None else b''
        self._socket.sendall('\r\n'.join(head).encode('latin-1') + b'\r\n\r\n' + body)
