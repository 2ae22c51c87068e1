# SPDX-License-Identifier: Apache-2.0
"""Recorded replies as a device: servers on loopback that answer requests and commands as an array once did.

A directory with

* `access.json`: the body of the registration, with a `rest` section, an `ssh` section, or both. Host and port are
  replaced by the servers', and so is the host key of `ssh`. With `"scheme": "http"` beside the sections the server
  speaks plain HTTP; else TLS with a certificate of its own, which the section's `ca_cert` then is.
* `replies.json`: a list of `{"method": "GET", "path": "/api/volumes?page=1", "status": 200, "headers": {}, "body": …}`.
  A body that is no text is sent as JSON; `"file": "volumes.json"` names a file beside it instead. Of several replies to
  one request each is given once, in their order, and the last one for ever. What was not recorded is 404. Values in a
  query whose names sound like secrets do not matter.
* `commands.json` and `files.json`: the same over SSH, see `replay_ssh`.
* `truth.json` (optional): the rows by table that the driver should make of it (`storage` is a list of one).

`delfin-driver record` writes the first three.
"""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import json
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from delfin import exception
from delfin.access import sounds_secret
from delfin.common.masking import MASK
from delfin.drivers.compliance.answers import Answers
from delfin.drivers.compliance.device import Device, read_access
from delfin.drivers.compliance.replay_ssh import Recorded, SshServer

_ADDRESS = '127.0.0.1'
_REQUEST_SECONDS = 30


class Replay(Device):
    """Serves while the context is open."""

    mode: ClassVar[str] = 'replay'
    may_change = True

    def __init__(self, directory: Path, name: str) -> None:
        super().__init__(read_access(_read(directory / 'access.json'), str(directory / 'access.json'), name))
        self._servers: list[Callable[[], contextlib.AbstractContextManager[None]]] = []
        plain = self._access.pop('scheme', 'https') == 'http'
        if self._access.get('rest'):
            self._servers.append(partial(self._rest, _Replies(directory), plain))
        if self._access.get('ssh'):
            self._servers.append(partial(self._ssh, Recorded.of(directory)))
        if not self._servers:
            raise exception.InvalidInput(f'{directory}: only the sections rest and ssh can be replayed')
        truth = directory / 'truth.json'
        self._truth = _json(truth) if truth.exists() else None
        self._running = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            for server in self._servers:
                stack.enter_context(server())
            self._running = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._running.close()

    @contextlib.contextmanager
    def _rest(self, replies: _Replies, plain: bool) -> Iterator[None]:
        server = ThreadingHTTPServer((_ADDRESS, 0), _handler(replies))
        server.daemon_threads = True
        rest: dict[str, Any] = {**self._access['rest'], 'host': _ADDRESS, 'port': server.server_address[1]}
        if not plain:
            certificate, context = _tls()
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
            rest['ca_cert'] = certificate
        self._access = {**self._access, 'rest': rest}
        threading.Thread(target=server.serve_forever, name='replay', daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()

    @contextlib.contextmanager
    def _ssh(self, recorded: Recorded) -> Iterator[None]:
        section = self._access['ssh']
        with SshServer(recorded, section['username'], section.get('password')) as server:
            given = {name: value for name, value in section.items() if name not in ('pub_key_type', 'fingerprint')}
            self._access = {**self._access, 'ssh': {**given, 'host': _ADDRESS, 'port': server.port,
                                                    'pub_key': server.host_key}}
            yield

    def truth(self) -> Mapping[str, list[dict[str, Any]]] | None:
        """See `Device`."""
        return self._truth


class _Replies:
    """What is answered to which request."""

    def __init__(self, directory: Path) -> None:
        where = directory / 'replies.json'
        entries = _json(where)
        if not isinstance(entries, list) or not entries:
            raise exception.InvalidInput(f'{where} must be a list of replies')
        found: list[tuple[tuple[str, str], tuple[int, dict[str, str], bytes]]] = []
        for number, entry in enumerate(entries, 1):
            if not isinstance(entry, dict) or not isinstance(entry.get('path'), str):
                raise exception.InvalidInput(f'{where}, reply {number}: it must be an object with a path')
            body = _read(directory / Path(entry['file']).name) if 'file' in entry else entry.get('body', '')
            content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            kind = 'text/plain' if isinstance(body, str) and 'file' not in entry else 'application/json'
            headers = {'Content-Type': kind, **entry.get('headers', {})}
            found.append(((entry.get('method', 'GET'), without_secrets(entry['path'])),
                          (int(entry.get('status', 200)), headers, content)))
        self._answers = Answers(found)

    def to(self, method: str, path: str) -> tuple[int, dict[str, str], bytes]:
        """The next reply to a request."""
        return self._answers.to((method, without_secrets(path))) or (
            404, {'Content-Type': 'text/plain'}, b'not recorded')


def without_secrets(path: str) -> str:
    """A path whose query has no values that sound like secrets."""
    parts = urlsplit(path)
    query = parse_qsl(parts.query, keep_blank_values=True)
    if not any(sounds_secret(name) for name, _ in query):
        return path
    return f'{parts.path}?{urlencode([(name, MASK if sounds_secret(name) else value) for name, value in query])}'


def _handler(replies: _Replies) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = 'HTTP/1.1'
        timeout = _REQUEST_SECONDS

        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get('Content-Length') or 0))
            status, headers, body = replies.to(self.command, self.path)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header('Content-Length', str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _answer

        def log_message(self, format: str, *args: Any) -> None:
            return None

    return Handler


def _tls() -> tuple[str, ssl.SSLContext]:
    """A certificate for the server's address, made for this run, and the server's context."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, 'delfin-compliance replay')])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(_ADDRESS))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256()))
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile(suffix='.pem') as file:        # mode 0600; load_cert_chain takes only paths
        file.write(pem + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                           serialization.NoEncryption()))
        file.flush()
        context.load_cert_chain(file.name)
    return pem.decode(), context


def _read(path: Path) -> str:
    try:
        return path.read_text('utf-8')
    except (OSError, UnicodeDecodeError) as error:
        raise exception.InvalidInput(f'{path} cannot be read: {error}') from None


def _json(path: Path) -> Any:
    try:
        return json.loads(_read(path))
    except ValueError as error:
        raise exception.InvalidInput(f'{path} is not JSON: {error}') from None
