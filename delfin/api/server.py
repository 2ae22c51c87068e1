# SPDX-License-Identifier: Apache-2.0
"""How the API meets the network: who may reach it, the application that both servers serve, and the server inside
`delfin-all`. docs/exposure.md is the operator's view of it."""

from __future__ import annotations

import functools
import ipaddress
import logging
import os
import resource
import socket
import stat
import sys
import threading
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self, TypeGuard
from urllib.parse import urlsplit

import waitress
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from oslo_config import cfg
from paste import deploy
from waitress.channel import HTTPChannel

from delfin import exception
from delfin.api.backend import BACKEND, Backend
from delfin.service import Parts

LOG = logging.getLogger(__name__)

App = Callable[..., Iterable[bytes]]
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

_CONNECTION_LIMIT = 1000        # the default of 100 is used up by a hundred slow clients
_EXPIRY_WARNING = timedelta(days=14)
_TLS_FILES = ('tls_cert_file', 'tls_key_file', 'tls_client_ca_file')
_CURVES = ('secp256r1', 'secp384r1')        # those that granian's TLS knows
_RSA_BITS = range(2048, 8193)
_FORWARDING = ('HTTP_FORWARDED', 'HTTP_X_FORWARDED_')


# --- who may reach it ---

@dataclass(frozen=True)
class Endpoint:
    """Where the API listens; whoever has one may listen there."""

    address: str
    port: int
    tls: Tls | None = None
    open_to_network: bool = False

    @classmethod
    def of(cls, conf: cfg.ConfigOpts, *, embedded: bool) -> Self:
        """The endpoint of `[api]`, for `delfin-all` (`embedded`) or `delfin-api`.

        `InvalidConfiguration` for an address on the network without any access control that nobody has explicitly
        allowed, and for TLS options that cannot work.
        """
        if embedded:
            _refuse_tls(conf)
        tls = Tls.read(conf)
        address = _resolve(conf)
        guarded = _is_loopback(address) or (tls is not None and tls.client_cas is not None)
        if not guarded and not conf.api.allow_unauthenticated_network_access:
            raise exception.InvalidConfiguration(
                f'[api] host: {_named(conf.api.host, address)} is reached from the network and the API asks nobody who '
                'he is; set host to 127.0.0.1 and put a reverse proxy with authentication in front, or let delfin-api '
                'demand client certificates (tls_client_ca_file), or set allow_unauthenticated_network_access = true')
        return cls(address, conf.api.port, tls, open_to_network=not guarded)

    @property
    def url(self) -> str:
        host = f'[{self.address}]' if ':' in self.address else self.address
        return f'{"https" if self.tls else "http"}://{host}:{self.port}/v1'

    def bind(self) -> socket.socket:
        """A socket at this address that does not listen yet; `InvalidConfiguration` if there can be none."""
        family = socket.AF_INET6 if ':' in self.address else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_STREAM)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)        # "::" is IPv4, too
            bound.bind((self.address, self.port))
        except OSError as error:
            bound.close()
            raise exception.InvalidConfiguration(
                f'the API cannot listen on {self.address}, port {self.port}: {error.strerror}; '
                'set host and port in [api]') from None
        return bound

    def announce(self) -> None:
        """Say at every start where the API is, and what is to be said about that."""
        LOG.info('REST API on %s', self.url)
        if self.open_to_network:
            LOG.warning('the REST API is open to everybody who can reach %s, port %d: '
                        '[api] allow_unauthenticated_network_access is set', self.address, self.port)
        if self.tls and self.tls.expires - datetime.now(UTC) < _EXPIRY_WARNING:
            LOG.warning('the certificate of the REST API expires on %s; renew it and send SIGHUP to delfin-api',
                        self.tls.expires.date())


def _resolve(conf: cfg.ConfigOpts) -> str:
    """The one address to listen on. Both servers get the address that was checked, never the name."""
    try:
        found = socket.getaddrinfo(conf.api.host, conf.api.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise exception.InvalidConfiguration(
            f'[api] host: {conf.api.host} cannot be resolved: {error.strerror}') from None
    return str(min(found, key=lambda entry: entry[0] != socket.AF_INET)[4][0])


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback


def _named(host: str, address: str) -> str:
    return host if host == address else f'{host} ({address})'


def _refuse_tls(conf: cfg.ConfigOpts) -> None:
    for name in _TLS_FILES:
        if conf.api[name]:
            raise exception.InvalidConfiguration(
                f'[api] {name}: delfin-all does not speak TLS; run delfin-api, delfin-task and delfin-alert, or put a '
                'reverse proxy in front and remove the option')


# --- TLS ---

@dataclass(frozen=True)
class Tls:
    """Checked certificates and key, as PEM. The key is not encrypted any more: keep it in memory."""

    certificates: bytes
    key: bytes = field(repr=False)
    client_cas: bytes | None
    expires: datetime

    @classmethod
    def read(cls, conf: cfg.ConfigOpts) -> Self | None:
        """From the files of `[api]`; None when TLS is not wanted. `InvalidConfiguration` unless all of it fits."""
        if not any(conf.api[name] for name in _TLS_FILES):
            return None
        for name in ('tls_cert_file', 'tls_key_file'):
            if not conf.api[name]:
                raise exception.InvalidConfiguration(
                    f'[api] {name} is not set; TLS needs tls_cert_file and tls_key_file')
        chain, certificates = _read_certificates(conf, 'tls_cert_file')
        key = _read_key(conf)
        if certificates[0].public_key() != key.public_key():
            raise _bad(conf, 'tls_key_file', 'does not belong to the first certificate in tls_cert_file, '
                       'which must be that of this server')
        _check_dates(conf, certificates[0])
        client_cas = _read_certificates(conf, 'tls_client_ca_file')[0] if conf.api.tls_client_ca_file else None
        plain = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                  serialization.NoEncryption())
        return cls(chain, plain, client_cas, certificates[0].not_valid_after_utc)


def _read_certificates(conf: cfg.ConfigOpts, option: str) -> tuple[bytes, list[x509.Certificate]]:
    """All certificates of a file: as PEM without whatever else stands there, and parsed."""
    try:
        certificates = x509.load_pem_x509_certificates(_read(conf, option))
    except ValueError:
        raise _bad(conf, option, 'holds no certificate in PEM form, or a damaged one') from None
    return b''.join(one.public_bytes(serialization.Encoding.PEM) for one in certificates), certificates


def _check_dates(conf: cfg.ConfigOpts, certificate: x509.Certificate) -> None:
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if end <= datetime.now(UTC):
        raise _bad(conf, 'tls_cert_file', f'the certificate has expired on {end:%Y-%m-%d}; renew it')
    if begin > datetime.now(UTC):
        raise _bad(conf, 'tls_cert_file',
                   f'the certificate is not valid before {begin:%Y-%m-%d %H:%M} UTC; is the clock right?')


def _read_key(conf: cfg.ConfigOpts) -> Key:
    password = conf.api.tls_key_password or None
    try:
        key = serialization.load_pem_private_key(
            _read(conf, 'tls_key_file', private=True), password.encode() if password else None)
    except TypeError:
        raise _bad(conf, 'tls_key_file', 'is not encrypted; remove tls_key_password' if password else
                   'is encrypted; set tls_key_password') from None
    except (ValueError, UnsupportedAlgorithm):
        raise _bad(conf, 'tls_key_file', 'holds no private key in PEM form, or tls_key_password is wrong' if password
                   else 'holds no private key in PEM form') from None
    if not _is_usable(key):
        raise _bad(conf, 'tls_key_file', 'is of a kind that cannot be used; make an RSA key of 2048 to 8192 bits, or '
                   'one on P-256, P-384 or Ed25519')
    return key


def _is_usable(key: object) -> TypeGuard[Key]:
    """Whether granian's TLS can work with it: with anything else its workers would die one after the other."""
    match key:
        case rsa.RSAPrivateKey():
            return key.key_size in _RSA_BITS
        case ec.EllipticCurvePrivateKey():
            return key.curve.name in _CURVES
    return isinstance(key, ed25519.Ed25519PrivateKey)


def _read(conf: cfg.ConfigOpts, option: str, private: bool = False) -> bytes:
    try:
        with open(conf.api[option], 'rb') as file:
            mode = os.fstat(file.fileno()).st_mode
            # A group of its own may read the key (Debian has ssl-cert for that).
            if private and stat.S_IMODE(mode) & (stat.S_IRWXO | stat.S_IWGRP):
                raise _bad(conf, option, f'is open to others; run "chmod 600 {conf.api[option]}"')
            return file.read()
    except OSError as error:
        raise _bad(conf, option, error.strerror or 'cannot be read') from None


def _bad(conf: cfg.ConfigOpts, option: str, what: str) -> exception.InvalidConfiguration:
    return exception.InvalidConfiguration(f'[api] {option}: {conf.api[option]}: {what}')


# --- the application ---

def application(parts: Parts) -> App:
    """The WSGI application: the pipeline `delfin` of the PasteDeploy file."""
    path = paste_file(parts.conf)
    try:
        pipeline = deploy.loadapp(f'config:{path}', name='delfin')
    except Exception as error:      # PasteDeploy raises whatever it stumbles over
        raise exception.InvalidConfiguration(f'[api] paste_config: {path}: {error}') from None
    backend = Backend.of(parts)
    trusted = {ipaddress.ip_address(proxy) for proxy in parts.conf.api.trusted_proxy}

    def with_backend(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        _believe_nothing(environ, trusted)
        environ[BACKEND] = backend

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            return start_response(status, _relative(headers), exc_info)

        return pipeline(environ, start)

    return with_backend


def paste_file(conf: cfg.ConfigOpts) -> Path:
    """Where the pipeline stands."""
    wanted = Path(conf.api.paste_config)
    if wanted.is_absolute():
        candidates = [wanted]
    else:
        beside = [Path(name).parent for name in conf.config_file or ()]
        checkout = Path(__file__).resolve().parents[2] / 'etc' / 'delfin'
        candidates = [folder / wanted for folder in (*beside, Path('/etc/delfin'), checkout,
                                                     Path(sys.prefix) / 'etc' / 'delfin')]
    for path in candidates:
        if path.is_file():
            return path.resolve()
    raise exception.InvalidConfiguration(
        f'[api] paste_config: {wanted} was not found in {", ".join(str(path.parent) for path in candidates)}')


def _believe_nothing(environ: dict[str, Any], trusted: Collection[Any]) -> None:
    """Take away what a client may claim about itself and about us: forwarding headers, and the Host header.

    Only a trusted proxy's X-Forwarded-For is used; no answer depends on any of the others.
    """
    claimed = environ.get('HTTP_X_FORWARDED_FOR', '')
    environ['REMOTE_ADDR'] = _client(environ.get('REMOTE_ADDR', ''), claimed, trusted)
    for name in [name for name in environ if name.startswith(_FORWARDING)]:
        del environ[name]
    environ.pop('HTTP_HOST', None)


def _client(peer: str, claimed: str, trusted: Collection[Any]) -> str:
    """The address of the client: the nearest hop that is none of our proxies."""
    client = peer
    for hop in (peer, *reversed(claimed.split(','))) if claimed else (peer,):
        address, text = _parsed(hop)
        if address is None:
            break
        client = text
        if address not in trusted:
            break
    return client


@functools.lru_cache(maxsize=1024)      # nearly every request comes from where the one before came from
def _parsed(hop: str) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address | None, str]:
    """An IP address and its usual text, IPv4 as such; None if it is none."""
    try:
        address = ipaddress.ip_address(hop.strip())
    except ValueError:
        return None, hop
    address = getattr(address, 'ipv4_mapped', None) or address
    return address, str(address)


def _relative(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Headers with a Location that is a path (WebOb makes it absolute): right through every proxy and tunnel."""
    if all(name != 'Location' for name, _ in headers):
        return headers
    return [(name, urlsplit(value)._replace(scheme='', netloc='').geturl() if name.lower() == 'location' else value)
            for name, value in headers]


# --- the server inside delfin-all ---

class _Channel(HTTPChannel):
    """A connection on which a request has to be complete in time.

    waitress closes a connection without activity; every byte is activity to it, so a client could take for ever.
    """

    last_activity: float

    def handle_read(self) -> None:
        begun = self.last_activity if self.request is not None else None
        super().handle_read()
        if begun is not None and self.request is not None:      # still the same request
            self.last_activity = begun


class EmbeddedApi:
    """waitress in a thread of `delfin-all`."""

    name = 'api'

    def __init__(self, parts: Parts) -> None:
        api = parts.conf.api
        self._endpoint = Endpoint.of(parts.conf, embedded=True)
        # Twice the limit: a body that is a little too large shall get our own answer.
        self._server = waitress.create_server(
            application(parts), sockets=[self._endpoint.bind()], threads=api.threads, ident='delfin',
            connection_limit=_connection_limit(), asyncore_use_poll=True,       # select() ends at descriptor 1023
            channel_timeout=api.request_timeout_seconds, cleanup_interval=1,
            max_request_body_size=2 * api.max_body_kb * 1024, clear_untrusted_proxy_headers=False)
        self._server.channel_class = _Channel
        self._thread = threading.Thread(target=self._server.run, name='api', daemon=True)

    def start(self) -> None:
        """Answer requests."""
        self._thread.start()
        self._endpoint.announce()

    def stop(self, timeout_seconds: float) -> None:
        """Take no more requests; those under way are finished."""
        self._server.task_dispatcher.shutdown(cancel_pending=True, timeout=timeout_seconds)
        self._server.close()


def _connection_limit() -> int:
    """Connections may take half of the descriptors the process may have; databases and arrays need some, too."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _CONNECTION_LIMIT if soft == resource.RLIM_INFINITY else min(_CONNECTION_LIMIT, soft // 2)
