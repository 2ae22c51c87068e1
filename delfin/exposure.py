# SPDX-License-Identifier: Apache-2.0
"""What Delfin lets others connect to over HTTP: where it listens, whom it lets in, and the certificates it shows.

One rule for all of it (docs/exposure.md): an address on the network is refused unless clients must show a certificate,
or the operator says that he wants it so.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import os
import socket
import ssl
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self, TypeGuard

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from oslo_config import cfg

from delfin import exception

LOG = logging.getLogger(__name__)

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

TLS_FILES: Final = ('tls_cert_file', 'tls_key_file', 'tls_client_ca_file')

_EXPIRY_WARNING = timedelta(days=14)
_CURVES = ('secp256r1', 'secp384r1')        # those that granian's TLS knows
_RSA_BITS = range(2048, 8193)


@dataclass(frozen=True, slots=True)
class Exposed:
    """What is listened for, in words for messages: the option group, its name, the path of its URL, what demands
    client certificates, and what is to be done when the certificate was renewed.
    """

    group: str
    name: str
    path: str
    demand: str
    renewal: str


API: Final = Exposed('api', 'REST API', '/v1', 'let delfin-api demand client certificates',
                     'renew it and send SIGHUP to delfin-api')
METRICS: Final = Exposed('prometheus', 'metrics endpoint', '/metrics', 'demand client certificates',
                         'renew it; the new one is found by itself')


# --- who may reach it ---

@dataclass(frozen=True)
class Endpoint:
    """Where something listens; whoever has one may listen there."""

    what: Exposed
    address: str
    port: int
    tls: Tls | None = None
    open_to_network: bool = False

    @classmethod
    def of(cls, conf: cfg.ConfigOpts, what: Exposed) -> Self:
        """The endpoint of an option group.

        `InvalidConfiguration` for an address on the network without any access control that nobody has explicitly
        allowed, and for TLS options that cannot work.
        """
        options = conf[what.group]
        tls = Tls.read(conf, what)
        address = _resolve(options, what)
        guarded = _is_loopback(address) or (tls is not None and tls.client_cas is not None)
        if not guarded and not options.allow_unauthenticated_network_access:
            raise exception.InvalidConfiguration(
                f'[{what.group}] host: {_named(options.host, address)} is reached from the network and the {what.name} '
                'asks nobody who he is; set host to 127.0.0.1 and put a reverse proxy with authentication in front, or '
                f'{what.demand} (tls_client_ca_file), or set allow_unauthenticated_network_access = true')
        return cls(what, address, options.port, tls, open_to_network=not guarded)

    @property
    def url(self) -> str:
        host = f'[{self.address}]' if ':' in self.address else self.address
        return f'{"https" if self.tls else "http"}://{host}:{self.port}{self.what.path}'

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
                f'the {self.what.name} cannot listen on {self.address}, port {self.port}: {error.strerror}; '
                f'set host and port in [{self.what.group}]') from None
        return bound

    def announce(self) -> None:
        """Say at every start where it is, and what is to be said about that."""
        LOG.info('%s on %s', self.what.name, self.url)
        if self.open_to_network:
            LOG.warning('the %s is open to everybody who can reach %s, port %d: '
                        '[%s] allow_unauthenticated_network_access is set', self.what.name, self.address, self.port,
                        self.what.group)
        if self.tls and self.tls.expires - datetime.now(UTC) < _EXPIRY_WARNING:
            LOG.warning('the certificate of the %s expires on %s; %s', self.what.name, self.tls.expires.date(),
                        self.what.renewal)


def _resolve(options: Any, what: Exposed) -> str:
    """The one address to listen on. Servers get the address that was checked, never the name."""
    try:
        found = socket.getaddrinfo(options.host, options.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise exception.InvalidConfiguration(
            f'[{what.group}] host: {options.host} cannot be resolved: {error.strerror}') from None
    return str(min(found, key=lambda entry: entry[0] != socket.AF_INET)[4][0])


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback


def _named(host: str, address: str) -> str:
    return host if host == address else f'{host} ({address})'


# --- TLS ---

@dataclass(frozen=True)
class Tls:
    """Checked certificates and key, as PEM. The key is not encrypted any more: keep it in memory."""

    certificates: bytes
    key: bytes = field(repr=False)
    client_cas: bytes | None
    expires: datetime

    @classmethod
    def read(cls, conf: cfg.ConfigOpts, what: Exposed) -> Self | None:
        """From the files of an option group; None when TLS is not wanted. `InvalidConfiguration` unless all of it fits.
        """
        files = _Files(conf[what.group], what.group)
        if not any(files.options[name] for name in TLS_FILES):
            return None
        for name in ('tls_cert_file', 'tls_key_file'):
            if not files.options[name]:
                raise exception.InvalidConfiguration(
                    f'[{what.group}] {name} is not set; TLS needs tls_cert_file and tls_key_file')
        chain, certificates = _read_certificates(files, 'tls_cert_file')
        key = _read_key(files)
        if certificates[0].public_key() != key.public_key():
            raise files.bad('tls_key_file', 'does not belong to the first certificate in tls_cert_file, '
                            'which must be that of this server')
        _check_dates(files, certificates[0])
        client_cas = (
            _read_certificates(files, 'tls_client_ca_file')[0] if files.options.tls_client_ca_file else None)
        plain = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                  serialization.NoEncryption())
        return cls(chain, plain, client_cas, certificates[0].not_valid_after_utc)

    def context(self) -> ssl.SSLContext:
        """For a server of Python's: TLS 1.2 and newer."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with _in_memory(self.certificates) as certificates, _in_memory(self.key) as key:
            context.load_cert_chain(certificates, key)
        if self.client_cas is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=self.client_cas.decode('ascii'))
        return context


@contextlib.contextmanager
def _in_memory(data: bytes) -> Iterator[str]:
    """The path of a file that is in memory only: OpenSSL takes no bytes."""
    descriptor = os.memfd_create('delfin')
    try:
        os.pwrite(descriptor, data, 0)
        yield f'/proc/self/fd/{descriptor}'
    finally:
        os.close(descriptor)


def _read_certificates(files: _Files, option: str) -> tuple[bytes, list[x509.Certificate]]:
    """All certificates of a file: as PEM without whatever else stands there, and parsed."""
    try:
        certificates = x509.load_pem_x509_certificates(files.read(option))
    except ValueError:
        raise files.bad(option, 'holds no certificate in PEM form, or a damaged one') from None
    return b''.join(one.public_bytes(serialization.Encoding.PEM) for one in certificates), certificates


def _check_dates(files: _Files, certificate: x509.Certificate) -> None:
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if end <= datetime.now(UTC):
        raise files.bad('tls_cert_file', f'the certificate has expired on {end:%Y-%m-%d}; renew it')
    if begin > datetime.now(UTC):
        raise files.bad('tls_cert_file',
                        f'the certificate is not valid before {begin:%Y-%m-%d %H:%M} UTC; is the clock right?')


def _read_key(files: _Files) -> Key:
    password = files.options.tls_key_password or None
    try:
        key = serialization.load_pem_private_key(
            files.read('tls_key_file', private=True), password.encode() if password else None)
    except TypeError:
        raise files.bad('tls_key_file', 'is not encrypted; remove tls_key_password' if password else
                        'is encrypted; set tls_key_password') from None
    except (ValueError, UnsupportedAlgorithm):
        raise files.bad('tls_key_file', 'holds no private key in PEM form, or tls_key_password is wrong' if password
                        else 'holds no private key in PEM form') from None
    if not _is_usable(key):
        raise files.bad('tls_key_file', 'is of a kind that cannot be used; make an RSA key of 2048 to 8192 bits, or '
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


@dataclass(frozen=True, slots=True)
class _Files:
    """The files that an option group names."""

    options: Any
    group: str

    def read(self, option: str, private: bool = False) -> bytes:
        try:
            with open(self.options[option], 'rb') as file:
                mode = os.fstat(file.fileno()).st_mode
                # A group of its own may read the key (Debian has ssl-cert for that).
                if private and stat.S_IMODE(mode) & (stat.S_IRWXO | stat.S_IWGRP):
                    raise self.bad(option, f'is open to others; run "chmod 600 {self.options[option]}"')
                return file.read()
        except OSError as error:
            raise self.bad(option, error.strerror or 'cannot be read') from None

    def bad(self, option: str, what: str) -> exception.InvalidConfiguration:
        return exception.InvalidConfiguration(f'[{self.group}] {option}: {self.options[option]}: {what}')
