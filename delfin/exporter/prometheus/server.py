# SPDX-License-Identifier: Apache-2.0
"""A small HTTP server for a few clients that may read much.

It answers one request on each connection. Whoever takes too long, with the TLS handshake, the request or reading the
answer, is cut off by the thread that accepts connections; when there are too many, first who has not asked yet.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import logging
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from oslo_config import cfg

from delfin import exception
from delfin.exposure import TLS_FILES, Endpoint, Exposed, Tls

LOG = logging.getLogger(__name__)

MOST: Final = 32                    # connections
REQUEST_SECONDS: Final = 10.0       # for handshake and request together

_HEAD_BYTES = 16 * 1024
_BACKLOG = 128
_LOOK_SECONDS = 0.25                # between two looks for those who take too long
_TEXT = 'text/plain; charset=utf-8'


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent."""

    status: HTTPStatus
    parts: Sequence[bytes]
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def text(cls, status: HTTPStatus, text: str = '', **headers: str) -> Answer:
        """A line for people."""
        return cls(status, [f'{text or status.phrase}\n'.encode()], {'Content-Type': _TEXT, **headers})


Answers = Callable[[str, bool], Answer]
"""The answer to GET of a path; whether it may be compressed."""


class Server:
    """Listens at an endpoint, from `start` to `stop`."""

    def __init__(self, conf: cfg.ConfigOpts, endpoint: Endpoint, answers: Answers, *, answer_seconds: float,
                 request_seconds: float = REQUEST_SECONDS, most: int = MOST) -> None:
        self._endpoint, self._answers = endpoint, answers
        self._request_seconds, self._answer_seconds, self._most = request_seconds, answer_seconds, most
        self._certificates = _Certificates(conf, endpoint.what, endpoint.tls) if endpoint.tls else None
        self._lock = threading.Lock()
        self._open: list[_Connection] = []          # the oldest first
        self._stopping = threading.Event()
        self._socket: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, name=f'{endpoint.what.group}-accept', daemon=True)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens, once it does."""
        assert self._socket is not None
        host, port, *_ = self._socket.getsockname()
        return host, port

    def start(self) -> None:
        """Begin; `InvalidConfiguration` if the address is in use."""
        self._socket = self._endpoint.bind()
        self._socket.listen(_BACKLOG)
        self._socket.settimeout(_LOOK_SECONDS)
        self._thread.start()

    def stop(self, timeout_seconds: float) -> None:
        """Listen no more; answers that are being sent may be sent until the time-out. Also if it was never started."""
        deadline = time.monotonic() + timeout_seconds
        self._stopping.set()
        if self._socket is None:
            return
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)     # wakes who waits in accept()
        self._thread.join(timeout_seconds)
        self._socket.close()
        with self._lock:
            left = list(self._open)
        for connection in left:
            if not connection.asked:
                connection.cut()
        for connection in left:
            connection.thread.join(max(0.0, deadline - time.monotonic()))
            connection.cut()

    # --- the thread that accepts ---

    def _run(self) -> None:
        assert self._socket is not None
        while not self._stopping.is_set():
            try:
                accepted, peer = self._socket.accept()
            except TimeoutError:
                pass
            except OSError as error:
                if self._stopping.is_set():
                    return
                LOG.warning('%s: accepting connections fails: %s', self._endpoint.what.name, error)
                self._stopping.wait(_LOOK_SECONDS)      # out of descriptors, most likely
            else:
                try:
                    self._admit(accepted, str(peer[0]))
                except (OSError, ValueError, RuntimeError) as error:    # it has gone again; no thread can be had
                    LOG.warning('%s: connection from %s is refused: %s', self._endpoint.what.name, peer[0], error)
                    accepted.close()
            self._end_late()

    def _admit(self, accepted: socket.socket, peer: str) -> None:
        accepted.settimeout(None)
        secured = accepted if self._certificates is None else self._certificates.context().wrap_socket(
            accepted, server_side=True, do_handshake_on_connect=False)
        connection = _Connection(secured, peer, time.monotonic() + self._request_seconds)
        connection.thread = threading.Thread(target=self._serve, args=(connection,), daemon=True,
                                             name=f'{self._endpoint.what.group}-answer')
        with self._lock:
            if len(self._open) >= self._most:
                silent = next((one for one in self._open if not one.asked), None)
                if silent is None:
                    secured.close()
                    return
                silent.cut()
            connection.thread.start()
            self._open.append(connection)

    def _end_late(self) -> None:
        now = time.monotonic()
        with self._lock:
            late = [connection for connection in self._open if connection.deadline < now]
        for connection in late:
            connection.cut()

    # --- the thread of a connection ---

    def _serve(self, connection: _Connection) -> None:
        try:
            with connection.socket as secured:
                if isinstance(secured, ssl.SSLSocket):
                    secured.do_handshake()
                request = _Request.read(secured)
                connection.asked, connection.deadline = True, time.monotonic() + self._answer_seconds
                self._send(secured, request)
        except (OSError, ValueError) as error:      # ValueError: of a TLS socket that was cut
            LOG.debug('%s: connection from %s ended: %s', self._endpoint.what.name, connection.peer, error)
        except Exception:       # a bug of ours costs this answer
            LOG.exception('%s: answering %s failed', self._endpoint.what.name, connection.peer)
        finally:
            with self._lock:
                self._open.remove(connection)

    def _send(self, secured: socket.socket, request: _Request | None) -> None:
        if request is None:
            answer = Answer.text(HTTPStatus.BAD_REQUEST)
        elif request.method not in ('GET', 'HEAD'):
            answer = Answer.text(HTTPStatus.METHOD_NOT_ALLOWED, Allow='GET, HEAD')
        else:
            answer = self._answers(request.path, request.takes_gzip)
        headers = {**answer.headers, 'Content-Length': str(sum(map(len, answer.parts))), 'Connection': 'close'}
        lines = [f'HTTP/1.1 {answer.status.value} {answer.status.phrase}',
                 *(f'{name}: {value}' for name, value in headers.items()), '', '']
        secured.sendall('\r\n'.join(lines).encode('ascii'))
        for part in answer.parts if request is None or request.method != 'HEAD' else ():
            secured.sendall(part)


@dataclass(eq=False, slots=True)
class _Connection:
    """A client. `asked`: its request has arrived."""

    socket: socket.socket
    peer: str
    deadline: float
    asked: bool = False
    thread: threading.Thread = field(default_factory=threading.Thread)      # replaced before anybody sees it

    def cut(self) -> None:
        """Let whatever its thread waits for end."""
        with contextlib.suppress(OSError):
            # Not the method of SSLSocket, which would take the TLS state from under the thread that uses it.
            socket.socket.shutdown(self.socket, socket.SHUT_RDWR)


@dataclass(frozen=True, slots=True)
class _Request:
    """As much of a request as matters here."""

    method: str
    path: str
    takes_gzip: bool

    @classmethod
    def read(cls, secured: socket.socket) -> _Request | None:
        """The next request; None if it is none, or too long. `ConnectionError` when the client has gone."""
        data = b''
        while b'\r\n\r\n' not in data:
            if len(data) > _HEAD_BYTES:
                return None
            more = secured.recv(_HEAD_BYTES)
            if not more:
                raise ConnectionError('it was closed before there was a request')
            data += more
        first, _, rest = data.partition(b'\r\n')
        words = first.decode('latin-1').split(' ')
        try:
            headers = http.client.parse_headers(io.BytesIO(rest))
        except http.client.HTTPException:
            return None
        if len(words) != 3 or not words[2].startswith('HTTP/1.'):
            return None
        return cls(words[0], words[1].partition('?')[0], _takes_gzip(headers.get('Accept-Encoding', '')))


def _takes_gzip(accepted: str) -> bool:
    for part in accepted.lower().split(','):
        coding, _, weight = part.partition(';')
        if coding.strip() == 'gzip':
            return weight.replace(' ', '').removeprefix('q=') not in ('0', '0.0', '0.00', '0.000')
    return False


class _Certificates:
    """The TLS context for new connections: another one when the files have changed and are good."""

    def __init__(self, conf: cfg.ConfigOpts, what: Exposed, tls: Tls) -> None:
        self._conf, self._what = conf, what
        self._paths = [path for path in (conf[what.group][name] for name in TLS_FILES) if path]
        self._stamps = self._look()
        self._context = tls.context()

    def context(self) -> ssl.SSLContext:
        """For the next connection."""
        stamps = self._look()
        if stamps != self._stamps:
            self._stamps = stamps
            try:
                tls = Tls.read(self._conf, self._what)
            except exception.InvalidConfiguration as error:
                LOG.error('the certificate of the %s is not renewed: %s', self._what.name, error)
            else:
                if tls is not None:
                    self._context = tls.context()
                    LOG.info('the certificate of the %s is renewed; it expires on %s', self._what.name,
                             tls.expires.date())
        return self._context

    def _look(self) -> list[int | None]:
        return [_changed_at(path) for path in self._paths]


def _changed_at(path: str) -> int | None:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return None
