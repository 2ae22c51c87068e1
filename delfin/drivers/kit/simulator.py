# SPDX-License-Identifier: Apache-2.0
"""Arrays for tests: HTTPS servers on loopback, and certificates of every kind, made when a test asks for them.

A simulator of an array is a class with a method for each request that it understands:

    class AcmeSimulator(Simulator):
        DRIVER = 'acme x1'

        @route('GET', '/api/v1/volumes/{name}')
        def volume(self, request, name):
            return self.volumes.get(name) or Answer({'error': 'no such volume'}, 404)

    with AcmeSimulator() as simulator:
        driver = AcmeDriver(**simulator.arguments())

`TlsServer` is what it stands on, for servers that misbehave:

    authority = Authority()
    with TlsServer(lambda request: Answer({'name': 'array-1'}), authority.issue('127.0.0.1')) as server:
        ... server.url, server.port, server.requests, server.received ...
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import re
import signal
import socket
import socketserver
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar, Self
from urllib.parse import parse_qsl, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from delfin import access as access_info
from delfin.drivers.compliance.device import Device

_DAY = timedelta(days=1)


# --- certificates ---

@dataclass(frozen=True)
class Certificate:
    """A certificate with its key and the certificates of the CAs in between that a server sends along."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)
    chain: tuple[x509.Certificate, ...] = ()

    @property
    def pem(self) -> str:
        """The certificate alone."""
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def private_pem(self) -> str:
        """Its key."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    @property
    def digest(self) -> bytes:
        """Its SHA-256 fingerprint."""
        return self.certificate.fingerprint(hashes.SHA256())

    @property
    def fingerprint(self) -> str:
        """The same as `openssl x509 -fingerprint` writes it, behind SHA256:."""
        return f'SHA256:{self.digest.hex(":").upper()}'

    def server_context(self) -> ssl.SSLContext:
        """A context for a server that shows this certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        chain = b''.join(each.public_bytes(Encoding.PEM) for each in (self.certificate, *self.chain))
        with tempfile.NamedTemporaryFile() as file:     # ssl takes certificates of its own from files only
            file.write(chain + self.private_pem.encode())
            file.flush()
            context.load_cert_chain(file.name)
        return context


class Authority:
    """A private CA, or one in between (`issuer`)."""

    def __init__(self, name: str = 'Test CA', issuer: Authority | None = None,
                 days: tuple[int, int] = (-1, 30)) -> None:
        self.issuer = issuer
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = _sign(name, self.key, issuer, [
            (x509.BasicConstraints(ca=True, path_length=None), True)], days)

    @property
    def pem(self) -> str:
        """Its certificate."""
        return self.certificate.public_bytes(Encoding.PEM).decode()

    def issue(self, *names: str, subject: str = 'array', days: tuple[int, int] = (-1, 30)) -> Certificate:
        """A certificate for these host names and addresses, valid on `days` from today on."""
        chain = (self.certificate,) if self.issuer is not None else ()
        return _certificate(names, subject, days, self, chain)


def self_signed(*names: str, subject: str = 'array') -> Certificate:
    """A certificate as arrays make it for themselves when they are new."""
    return _certificate(names, subject, (-1, 30), None, ())


def _certificate(names: Iterable[str], subject: str, days: tuple[int, int], issuer: Authority | None,
                 chain: tuple[x509.Certificate, ...]) -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    extensions = [(x509.SubjectAlternativeName([_general_name(name) for name in names]), False)] if names else []
    return Certificate(_sign(subject, key, issuer, extensions, days), key, chain)


def _sign(name: str, key: ec.EllipticCurvePrivateKey, issuer: Authority | None, extensions: list[tuple[Any, bool]],
          days: tuple[int, int]) -> x509.Certificate:
    subject = _name(name)
    now = datetime.now(UTC)
    builder = (x509.CertificateBuilder().subject_name(subject).public_key(key.public_key())
               .issuer_name(issuer.certificate.subject if issuer is not None else subject)
               .serial_number(x509.random_serial_number())
               .not_valid_before(now + days[0] * _DAY).not_valid_after(now + days[1] * _DAY))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer.key if issuer is not None else key, hashes.SHA256())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


# --- the server ---

@dataclass(frozen=True)
class Request:
    """What a client asked for."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def query(self) -> dict[str, str]:
        """What stands behind the `?`."""
        return dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))

    @property
    def json(self) -> Any:
        """The body; {} if there is none."""
        return json.loads(self.body) if self.body else {}

    def header(self, name: str) -> str:
        """A header's value; '' if it is not there."""
        return next((value for known, value in self.headers.items() if known.lower() == name.lower()), '')


@dataclass(frozen=True)
class Answer:
    """What the server says. `body` is JSON unless it is bytes.

    Misbehaviour: `length` is another Content-Length than the body's; `raw` are the bytes of the whole answer, sent one
    by one as the iterable yields them; either way the connection is closed afterwards.
    """

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None
    raw: Iterable[bytes] | None = None


class TlsServer:
    """A server in threads of its own on a free port of loopback; without certificate it speaks plain HTTP.

    `connections` counts those accepted, `handshakes` the completed ones, `requests` holds what was asked for, and
    `received` every byte that came behind a handshake. A server notices later than its client: see `settled`.
    """

    def __init__(self, handler: Callable[[Request], Answer], certificate: Certificate | None, *,
                 host: str = '127.0.0.1', context: ssl.SSLContext | None = None) -> None:
        self.handler = handler
        self.context = context or (certificate.server_context() if certificate is not None else None)
        self.connections = 0
        self.handshakes = 0
        self._ended = 0
        self._changed = threading.Condition()
        self.requests: list[Request] = []
        self.received = bytearray()
        self._server = _Listener((host, 0), _Connection)
        self._server.owner = self
        self.host, self.port = str(self._server.server_address[0]), self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f'https://{self.host}:{self.port}'

    def settled(self, connections: int, seconds: float = 10) -> None:
        """Wait until so many connections have been made and have ended; only then is `received` complete."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._ended >= connections, seconds), (
                f'{self._ended} connections ended, expected {connections}')
            assert self._ended == self.connections == connections

    def accepted(self) -> None:
        """Called by the listener."""
        with self._changed:
            self.connections += 1

    def ended(self) -> None:
        """Called by the listener."""
        with self._changed:
            self._ended += 1
            self._changed.notify_all()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Listener(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    owner: TlsServer

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        if ':' in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.owner.accepted()
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        self.owner.ended()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections break in these tests all the time."""


class _Connection(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    disable_nagle_algorithm = True      # head and body are two packets; the second would wait 40 ms for its turn
    server: _Listener

    def setup(self) -> None:
        owner = self.server.owner
        self.request.settimeout(20)
        if owner.context is not None:       # in the connection's thread: a silent client must not stop the others
            self.request = owner.context.wrap_socket(self.request, server_side=True)
        owner.handshakes += 1
        super().setup()
        self.rfile = _Recorder(self.rfile, owner.received)      # type: ignore[assignment]

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            super().finish()
        with contextlib.suppress(OSError):
            self.request.close()

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        request = Request(self.command, self.path, dict(self.headers.items()), body)
        owner = self.server.owner
        owner.requests.append(request)
        answer = owner.handler(request)
        if answer.raw is not None:
            self.close_connection = True
            for piece in answer.raw:
                self.wfile.write(piece)
            return
        content = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        self.send_response(answer.status)
        for name, value in {'Content-Type': 'application/json', **answer.headers}.items():
            self.send_header(name, value)
        self.send_header('Content-Length', str(len(content) if answer.length is None else answer.length))
        self.end_headers()
        self.wfile.write(content)
        self.close_connection = self.close_connection or answer.length is not None

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _serve

    def log_message(self, format: str, *args: Any) -> None:
        """Not into the test's output."""


class _Recorder:
    """A file of which everything that is read is noted."""

    def __init__(self, file: Any, received: bytearray) -> None:
        self._file = file
        self._received = received

    def readline(self, limit: int = -1) -> bytes:
        return self._note(self._file.readline(limit))

    def read(self, size: int = -1) -> bytes:
        return self._note(self._file.read(size))

    def _note(self, data: bytes) -> bytes:
        self._received += data
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)



# --- simulators ---

def route(method: str, path: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Marks the method of a `Simulator` that answers these requests.

    `{name}` in the path is a part without slash, which the method gets by that name. It gets the `Request` first, and
    returns an `Answer`, or only its body.
    """
    def mark(function: Callable[..., Any]) -> Callable[..., Any]:
        function.route = method, re.compile(      # type: ignore[attr-defined]
            re.sub(r'\\{(\w+)\\}', r'(?P<\1>[^/]+)', re.escape(path)))
        return function
    return mark


class Simulator(Device):
    """An array on loopback, with a certificate of its own making. One request at a time, so that methods may change the
    array without care. Also what `delfin-compliance` tries drivers on: see `Device` for what it may tell and do there.
    """

    mode = 'simulator'
    may_change = True

    DRIVER: ClassVar[str] = 'vendor model'      # the name of the driver that it is for
    USERNAME: ClassVar[str] = 'monitor'
    PASSWORD: ClassVar[str] = 'monitor-Passw0rd'

    def __init__(self) -> None:
        super().__init__({})
        self._certificate = self_signed('127.0.0.1')
        self._turn = threading.Lock()
        routes = [(*function.route, name) for name in dir(type(self))
                  if hasattr(function := getattr(type(self), name), 'route')]
        self._routes = sorted(routes, key=lambda entry: entry[1].groups)        # without {name} first
        self.server = TlsServer(self._serve, self._certificate)
        self._out_of_order = False

    def allowed(self, request: Request) -> Answer | None:
        """Asked before every request; an answer here is the answer (no session, busy, out of order)."""
        return None

    def access(self) -> access_info.Access:
        """What the array is registered with: the body of POST /v1/storages."""
        vendor, _, model = self.DRIVER.partition(' ')
        return {'vendor': vendor, 'model': model, 'rest': {
            'host': self.server.host, 'port': self.server.port, 'username': self.USERNAME, 'password': self.PASSWORD,
            'fingerprint': self._certificate.fingerprint}}

    def arguments(self, storage_id: str = '1') -> dict[str, Any]:
        """The arguments of its driver's constructor."""
        return access_info.for_driver(self.access(), storage_id, {})

    @contextlib.contextmanager
    def failing(self) -> Iterator[None]:
        """While it is open, whatever is to be read is an error."""
        self._out_of_order = True
        try:
            yield
        finally:
            self._out_of_order = False

    def asked(self, method: str, path: str) -> int:
        """How many requests for this path there were, whatever their query."""
        return sum((each.method, urlsplit(each.path).path) == (method, path) for each in self.server.requests)

    def run(self) -> None:
        """Print what to register, and serve until somebody presses Ctrl-C."""
        signals = {signal.SIGINT, signal.SIGTERM}
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)       # before there are threads: they would get them
        with self:
            print(json.dumps(self.access()), flush=True)
            signal.sigwait(signals)

    def _serve(self, request: Request) -> Answer:
        with self._turn:
            answer = self.allowed(request)
            if answer is None and self._out_of_order and request.method == 'GET':
                answer = Answer({'error': {'code': 'out of order', 'text': 'this array is out of order'}}, 500)
            if answer is None:
                answer = self._dispatch(request)
        return answer if isinstance(answer, Answer) else Answer(answer)

    def _dispatch(self, request: Request) -> Any:
        path = urlsplit(request.path).path
        for method, pattern, name in self._routes:
            match = pattern.fullmatch(path)
            if match is not None and method == request.method:
                return getattr(self, name)(request, **match.groupdict())
        return Answer({'error': f'{request.method} {path} is not simulated'}, 404)

    def __enter__(self) -> Self:
        self.server.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.server.__exit__(*error)
