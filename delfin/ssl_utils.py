# SPDX-License-Identifier: Apache-2.0
"""Which TLS servers Delfin believes, and what it tells people about those it does not.

`Trust` says whom to believe, `TrustAdapter` makes a `requests` session keep to it, `certificate_refused` explains a
refusal. `HostNameIgnoreAdapter` and `get_host_name_ignore_adapter` are for drivers with sessions of their own.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import contextvars
import functools
import hashlib
import os
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from requests.adapters import HTTPAdapter

from delfin import exception

LOOK_SECONDS = 5.0      # for fetching a refused certificate, to connect and to shake hands each

_CA_FILES = ('.pem', '.cer', '.crt')
_TEXT_LIMIT = 300       # of what a stranger's certificate may put into our messages

# As printed by `openssl x509 -fingerprint -sha256` and browsers, or in base64 as OpenSSH does it.
_FINGERPRINT_LABEL = re.compile(r'sha-?256(?: fingerprint)?\s*[:=]\s*', re.IGNORECASE)
_FINGERPRINT_HEX = re.compile(r'[0-9A-Fa-f]{64}')
_FINGERPRINT_BASE64 = re.compile(r'[A-Za-z0-9+/]{43}=?')

# What OpenSSL calls it (X509_V_ERR_…, ssl.SSLCertVerificationError.verify_code).
_NOT_YET_VALID, _EXPIRED = 9, 10
_SELF_SIGNED, _SELF_SIGNED_ROOT = 18, 19
_ISSUER_UNKNOWN = frozenset({2, _SELF_SIGNED, _SELF_SIGNED_ROOT, 20, 21, 27})
_WRONG_NAME = frozenset({62, 64})       # host name, IP address


# --- whom to believe ---

@dataclass(frozen=True, slots=True)
class Trust:
    """Whom a TLS client believes. As it is: the system's CAs, and the certificate must be for the host's name.

    Other trust, first match counts: `fingerprint` (SHA-256 of exactly one certificate; neither its issuer nor its
    names nor its validity matter then), `verified` False (anybody), `ca_cert` (PEM text of the only CAs), `ca_path`
    (the same in a file or a directory).
    """

    fingerprint: bytes | None = None
    ca_cert: str | None = None
    ca_path: str | None = None
    verified: bool = True

    def context(self) -> ssl.SSLContext:
        """The context that all connections of this process with this trust share: building one may cost 20 ms.

        `InvalidCAPath` if there is nothing to read at `ca_path`. A changed file or directory makes a new context.
        """
        with _contexts_lock:        # or a hundred threads would build the same one at start
            return _shared_context(self._checked, self.ca_cert, self.ca_path, _stamp(self.ca_path))

    def own_context(self) -> ssl.SSLContext:
        """A context nobody shares, for a client certificate: others must not send it to their servers."""
        return _new_context(self._checked, self.ca_cert, self.ca_path)

    @property
    def _checked(self) -> bool:
        """Whether OpenSSL checks chain and name; a fingerprint is compared instead of that."""
        return self.verified and self.fingerprint is None


_contexts_lock = threading.Lock()


@functools.lru_cache(maxsize=256)
def _shared_context(checked: bool, ca_cert: str | None, ca_path: str | None, stamp: int) -> ssl.SSLContext:
    return _new_context(checked, ca_cert, ca_path)


def _new_context(checked: bool, ca_cert: str | None, ca_path: str | None) -> ssl.SSLContext:
    # Not ssl.create_default_context(): from Python 3.13 on it also refuses private CAs that lack extensions, which
    # arrays' CAs do. TLS 1.2 is the minimum.
    context = _Context(ssl.PROTOCOL_TLS_CLIENT)
    context.hostname_checks_common_name = False     # RFC 9525
    ssl.SSLContext.set_alpn_protocols(context, ['http/1.1'])
    if not checked:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif ca_cert is not None:
        _trust_all_of(context, cadata=ca_cert)
    elif ca_path is not None:
        _load_path(context, Path(ca_path))
    else:
        context.load_default_certs()
    return context


def _trust_all_of(context: ssl.SSLContext, **where: Any) -> None:
    """Trust these CAs, also those in the middle of a chain, whose root we need not know."""
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(**where)


def _load_path(context: ssl.SSLContext, path: Path) -> None:
    try:
        if not path.is_dir():
            _trust_all_of(context, cafile=path)
            return
        _trust_all_of(context, capath=path)
        # OpenSSL finds files in a directory by the hashes in their names only (openssl rehash).
        for file in sorted(path.iterdir()):
            if file.suffix.lower() in _CA_FILES:
                _trust_all_of(context, cafile=file)
    except OSError as error:        # ssl.SSLError is one
        raise exception.InvalidCAPath(str(path), message=(
            f'The CA path {path} does not exist or holds something else than PEM certificates: {error}.')) from error


def _stamp(path: str | None) -> int:
    """Changes when what is at `path` does."""
    try:
        return 0 if path is None else os.stat(path).st_mtime_ns
    except OSError:
        return 0


class _Socket(ssl.SSLSocket):
    """Keeps to the limit of `limited`. The time-out of sockets is for one read: bytes that trickle in never meet it."""

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        deadline = _deadline.get()
        if deadline is not None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError('the answer took too long')
            timeout = self.gettimeout()
            if timeout is None or left < timeout:       # urllib3 sets the time-out again for each answer
                self.settimeout(left)
        return super().recv_into(buffer, nbytes, flags)


class _Context(ssl.SSLContext):
    sslsocket_class = _Socket

    def set_alpn_protocols(self, alpn_protocols: Any) -> None:
        """Done once when the context is made. urllib3 asks for it before every connection, and OpenSSL would exchange
        memory from which a connection of another thread may just be copying.
        """


_deadline: contextvars.ContextVar[float | None] = contextvars.ContextVar('deadline', default=None)


@contextlib.contextmanager
def limited(seconds: float) -> Iterator[None]:
    """In this block all reads together from connections of `TrustAdapter`s in this thread end after `seconds`."""
    token = _deadline.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _deadline.reset(token)


# --- sessions ---

class TrustAdapter(HTTPAdapter):
    """Makes a `requests` session believe whom `trust` says, whatever `verify` it or a call is given.

    A fingerprint is compared by urllib3 when the handshake is done, before the first byte of a request. `timeout`,
    seconds to connect and to read, is for calls that bring none; requests would wait for ever.
    """

    def __init__(self, trust: Trust, timeout: tuple[float, float]) -> None:
        self._trust = trust
        self._timeout = timeout
        self._context = trust.context()
        self._own_context: ssl.SSLContext | None = None
        super().__init__()      # urllib3 sets TCP_NODELAY

    def send(self, request: Any, stream: bool = False, timeout: Any = None, *args: Any, **kwargs: Any) -> Any:
        return super().send(request, stream, self._timeout if timeout is None else timeout, *args, **kwargs)

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
        host: Any
        tls: Any        # what urllib3 takes as keyword arguments, more than requests' own types know
        host, tls = super().build_connection_pool_key_attributes(request, True, cert)
        context = self._context
        if cert is not None:
            context = self._own_context = self._own_context or self._trust.own_context()
        tls['ssl_context'] = context
        tls['cert_reqs'] = context.verify_mode
        if self._trust.fingerprint is not None:
            tls['assert_fingerprint'] = self._trust.fingerprint.hex()
        return host, tls

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """The context has all it needs; requests would add its own bundle of public CAs to it."""


class HostNameIgnoreAdapter(HTTPAdapter):
    """Verifies the chain of certificates as the session's `verify` says, but not that they are for this host."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **{**kwargs, 'assert_hostname': False})


def get_host_name_ignore_adapter() -> HostNameIgnoreAdapter:
    """A new adapter, to be mounted on `https://`."""
    return HostNameIgnoreAdapter()


# --- fields of access information ---

def read_fingerprint(value: str, field: str) -> bytes:
    """The SHA-256 digest in a fingerprint as people write it; `InvalidInput` names the `field`."""
    text = _FINGERPRINT_LABEL.sub('', value.strip(), count=1)
    pairs = re.sub(r'[:\s]', '', text)
    if _FINGERPRINT_HEX.fullmatch(pairs):
        return bytes.fromhex(pairs)
    if _FINGERPRINT_BASE64.fullmatch(text):
        with contextlib.suppress(binascii.Error):
            return base64.b64decode(text.rstrip('=') + '=')
    raise exception.InvalidInput(f'{field} must be the SHA-256 fingerprint of a certificate: "SHA256:" and 64 '
                                 'hexadecimal digits, as printed by "openssl x509 -noout -fingerprint -sha256".')


def fingerprint_text(digest: bytes) -> str:
    """How we write a fingerprint: as `openssl x509 -fingerprint` and browsers do, so that people can compare."""
    return f'SHA256:{digest.hex(":").upper()}'


def read_ca_cert(value: str, field: str) -> str:
    """The certificates in a PEM text and nothing else of it; `InvalidInput` names the `field`."""
    try:
        certificates = x509.load_pem_x509_certificates(value.encode('utf-8'))
    except ValueError:
        raise exception.InvalidInput(f'{field} must be one or several certificates in PEM form '
                                     '("-----BEGIN CERTIFICATE-----" …).') from None
    return ''.join(certificate.public_bytes(Encoding.PEM).decode('ascii') for certificate in certificates)


# --- certificates that are refused ---

@dataclass(frozen=True, slots=True)
class Presented:
    """A certificate as a server shows it. Only the fingerprint is sure to be there: some cannot be parsed."""

    digest: bytes
    subject: str = ''
    names: tuple[str, ...] = ()
    begins: datetime | None = None
    ends: datetime | None = None

    @classmethod
    def parse(cls, der: bytes) -> Presented:
        digest = hashlib.sha256(der).digest()
        try:
            certificate = x509.load_der_x509_certificate(der)
            return cls(digest, _harmless(certificate.subject.rfc4514_string()), _names(certificate),
                       certificate.not_valid_before_utc, certificate.not_valid_after_utc)
        except Exception:       # what a stranger sends is parsed by cryptography in many ways that may fail
            return cls(digest)

    def __str__(self) -> str:
        facts = [f'subject "{self.subject}"']
        if self.names:
            facts.append(f'for {_harmless(", ".join(self.names))}')
        if self.begins is not None and self.ends is not None:
            facts.append(f'valid from {self.begins:%Y-%m-%d} to {self.ends:%Y-%m-%d}')
        return ', '.join([*facts, f'fingerprint {fingerprint_text(self.digest)}'])


def presented_certificate(host: str, port: int, seconds: float = LOOK_SECONDS) -> Presented | None:
    """The certificate a server shows, or None. Believes anybody and sends nothing but the handshake."""
    try:
        with socket.create_connection((host, port), seconds) as plain, Trust(verified=False).context().wrap_socket(
                plain, server_hostname=host.partition('%')[0]) as secured:
            der = secured.getpeercert(binary_form=True)
    except (OSError, ValueError):       # ValueError: a name that cannot be sent
        return None
    return Presented.parse(der) if der else None


def certificate_refused(error: BaseException, trust: Trust, host: str, port: int,
                        section: str = 'rest') -> exception.SSLCertificateFailed:
    """The exception for a certificate that `trust` does not accept; its argument is the presented fingerprint.

    `error` is what the verification raised, `section` the access section whose fields would accept the certificate.
    Connects to the server once more, because nothing else tells which certificate it was.
    """
    presented = presented_certificate(host, port)
    sentences = [f'The TLS certificate of {host} port {port} {_why(error, trust, host, presented, section)}.',
                 'No request and no password was sent to it.']
    field = f'{section}.fingerprint'
    arguments: tuple[str, ...] = ()
    if presented is not None:
        arguments = (fingerprint_text(presented.digest),)
        field += f' = "{arguments[0]}"'
        sentences.append(f'It presents: {presented}.')
    sentences.append(f'If the array itself shows the same fingerprint, accept exactly this certificate with {field}'
                     f'{_other_ways(error, trust, section)}.')
    return exception.SSLCertificateFailed(*arguments, message=' '.join(sentences))


def is_verification_failure(error: BaseException) -> bool:
    """Whether a TLS error is about the server's certificate; texts count, too: libraries wrap errors in many ways."""
    text = str(error).lower()
    return isinstance(error, ssl.SSLCertVerificationError) or any(
        words in text for words in ('certificate verify failed', 'certificate_verify_failed', 'fingerprints did not'))


def _why(error: BaseException, trust: Trust, host: str, presented: Presented | None, section: str) -> str:
    """What is wrong with it, to follow "The certificate …"."""
    if trust.fingerprint is not None:
        return (f'is not the one with the fingerprint {fingerprint_text(trust.fingerprint)} of {section}.fingerprint: '
                'either it was renewed or somebody is in between (possible man in the middle)')
    code = getattr(error, 'verify_code', None)
    issuers = (f'{section}.ca_cert' if trust.ca_cert is not None
               else trust.ca_path if trust.ca_path is not None else 'the CAs of the system')
    if code == _SELF_SIGNED:
        return f'is self-signed and not among {issuers}'
    if code == _SELF_SIGNED_ROOT:
        return f'was issued by an unknown CA, which is not among {issuers}'
    if code in _ISSUER_UNKNOWN:
        return (f'has an unknown issuer: neither {issuers} nor the certificates the server sent along lead to '
                'a trusted CA')
    if code == _EXPIRED:
        if presented is not None and presented.ends is not None and presented.ends > datetime.now(UTC):
            return 'was issued by a CA whose certificate has expired'
        return 'has expired'
    if code == _NOT_YET_VALID:
        return 'is not valid yet (are the clocks right?)'
    if code in _WRONG_NAME:
        return f'has the wrong host name: it was not issued for {host}'
    return f'could not be verified ({getattr(error, "verify_message", None) or type(error).__name__})'


def _other_ways(error: BaseException, trust: Trust, section: str) -> str:
    """What else would help than the fingerprint, in brackets."""
    if trust.fingerprint is not None:
        return ''
    ways = [f'switch the check off with {section}.verify = false']
    code = getattr(error, 'verify_code', None)
    if code in _WRONG_NAME:
        ways.insert(0, f'give one of the names it was issued for as {section}.host')
    elif code in _ISSUER_UNKNOWN:
        ways.insert(0, f'trust its issuer with {section}.ca_cert = the PEM text of the CA')
    return f' (or {", or ".join(ways)})'


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(str(name.value) for name in names if isinstance(name, x509.DNSName | x509.IPAddress))


def _harmless(text: str) -> str:
    """A stranger's text without line breaks and terminal codes, and not endless."""
    shown = ''.join(character if character.isprintable() else '?' for character in text[:_TEXT_LIMIT])
    return shown + ('…' if len(text) > _TEXT_LIMIT else '')
