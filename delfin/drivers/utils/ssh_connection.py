# SPDX-License-Identifier: Apache-2.0
"""Connecting to devices over SSH.

`connect` opens a connection in this order: TCP, key exchange, *check of the host key*, authentication. The secret is
decoded after the key has been exchanged with nobody yet, kept in a local variable, and reaches the network only after
the host key was accepted: the check runs as paramiko's missing-host-key policy, which is asked before it authenticates
(the client is given no host keys of its own, so that the policy is asked every time).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import math
import re
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import paramiko

from delfin import cryptor, exception
from delfin.drivers.utils import ssh_algorithms
from delfin.drivers.utils.ssh_algorithms import KEY_TYPES

DEFAULT_PORT = 22
DEFAULT_TIMEOUT_SECONDS = 30.0
KEEPALIVE_SECONDS = 30
MAX_OUTPUT_BYTES = 64 * 2**20       # of one command
CHUNK_BYTES = 65536

_POLL_SECONDS = 0.1
_KEY_CLASSES = (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey)
_FINGERPRINT = re.compile(r'(?:SHA256:)?([A-Za-z0-9+/]{43})=?')


@dataclass(frozen=True, slots=True)
class SSHSettings:
    """What it takes to log in. Secrets are encoded text (`delfin.cryptor`) and are left out of the repr."""

    host: str
    username: str
    port: int = DEFAULT_PORT
    password: str | None = field(default=None, repr=False)
    private_key: str | None = field(default=None, repr=False)       # OpenSSH or PEM text
    passphrase: str | None = field(default=None, repr=False)
    host_key: paramiko.PKey | None = field(default=None, repr=False)
    fingerprint: str | None = None                                  # SHA256:… of the host key
    timeout: float = DEFAULT_TIMEOUT_SECONDS                        # seconds, for each step of connecting
    old_algorithms: bool = False                                    # see `ssh_algorithms`
    known_hosts: Path = field(default_factory=lambda: Path.home() / '.ssh' / 'known_hosts')

    @classmethod
    def from_access_info(cls, ssh: Mapping[str, Any]) -> SSHSettings:
        """Settings from the `ssh` section of access information; `InvalidInput` names the field that is wrong."""
        host, username = (str(ssh.get(name) or '').strip() for name in ('host', 'username'))
        if not host or not username:
            raise exception.InvalidInput('ssh needs a host and a username.')
        if not (ssh.get('password') or ssh.get('private_key')):
            raise exception.InvalidInput('ssh needs a password or a private_key.')
        return cls(
            host=host, username=username, port=_port(ssh.get('port')),
            password=ssh.get('password') or None,
            private_key=ssh.get('private_key') or None,
            passphrase=ssh.get('passphrase') or None,
            host_key=_host_key(ssh.get('pub_key'), ssh.get('pub_key_type')),
            fingerprint=_fingerprint_field(ssh.get('fingerprint')),
            timeout=_timeout(ssh.get('timeout') or ssh.get('conn_timeout')),
            old_algorithms=_switch(ssh.get('old_algorithms'), 'old_algorithms'))


def connect(settings: SSHSettings) -> paramiko.SSHClient:
    """An authenticated connection.

    Raises `InvalidIpOrPort`, `SSHConnectTimeout`, `SSHNotFoundKnownHosts` (the host key is not known or not the
    configured one), `InvalidUsernameOrPassword`, `InvalidPrivateKey`, `InvalidInput` if the settings cannot be
    followed, or `SSHException` for the rest.
    """
    if settings.old_algorithms:
        ssh_algorithms.require_old(settings.host)
    login_key = _load_private_key(settings)     # before the network: its faults need no server
    trust = _HostTrust.of(settings)
    offered = trust.key_types or tuple(KEY_TYPES)
    presented: list[paramiko.PKey] = []
    while offered:
        try:
            return _connect_once(settings, login_key, trust, offered)
        except _HostKeyRefused as refused:
            presented.append(refused.key)
            if settings.fingerprint is None:
                break
            # A fingerprint does not tell the type it belongs to: the server may have it among its other keys.
            offered = tuple(kind for kind in offered if kind != refused.key.get_name())
        except paramiko.IncompatiblePeer as error:
            if presented:
                break
            if not trust.key_types or offered != trust.key_types:
                raise exception.SSHException(
                    f'{settings.host} and Delfin share no algorithm: {error}{_old_hint(settings)}') from error
            # The server has no key of the type we trust any more: see what it presents instead.
            offered = tuple(kind for kind in KEY_TYPES if kind not in trust.key_types)
    if not presented:
        raise exception.SSHException(f'{settings.host} offers no host key of a type that Delfin '
                                     f'knows{_old_hint(settings)}.')
    raise trust.refusal(settings, presented)


def fingerprint(key: paramiko.PKey) -> str:
    """The key's fingerprint as OpenSSH prints it: `SHA256:` and base64 without padding."""
    digest = hashlib.sha256(key.asbytes()).digest()
    return 'SHA256:' + base64.b64encode(digest).decode('ascii').rstrip('=')


# --- what a command writes ---

def collect(channel: paramiko.Channel, what: str, seconds: float, silence: float | None = None) -> tuple[bytes, bytes]:
    """Output and error output of the command `what` until it closes both.

    `TimeoutError` if that takes more than `seconds`, or if nothing comes for `silence` seconds;
    `StorageBackendException` if it is more than `MAX_OUTPUT_BYTES`.
    """
    heard = time.monotonic()
    deadline = heard + seconds
    stdout, stderr = bytearray(), bytearray()
    streams = [(channel.recv, channel.recv_stderr_ready, stdout), (channel.recv_stderr, channel.recv_ready, stderr)]
    channel.settimeout(_POLL_SECONDS)
    while streams:
        receive, other_is_ready, buffer = streams[0]
        try:
            data = receive(CHUNK_BYTES)
        except TimeoutError:
            now = time.monotonic()
            if now >= deadline:
                raise TimeoutError(f'{what} timed out: it did not end within {seconds:g} seconds') from None
            if silence is not None and now >= heard + silence:
                raise TimeoutError(f'{what} timed out: nothing came for {silence:g} seconds') from None
        else:
            heard = time.monotonic()
            buffer.extend(data)
            limit_output(what, stdout, stderr)
            if not data:
                streams.pop(0)
            elif heard >= deadline:
                raise TimeoutError(f'{what} timed out: it did not end within {seconds:g} seconds')
        # A command that fills one stream's window while we wait for the other would never end.
        if len(streams) == 2 and other_is_ready():
            streams.reverse()
    return bytes(stdout), bytes(stderr)


def limit_output(what: str, *buffers: bytearray) -> None:
    """`StorageBackendException` if the command `what` has written too much."""
    if sum(map(len, buffers)) > MAX_OUTPUT_BYTES:
        raise exception.StorageBackendException(f'{what} wrote more than {MAX_OUTPUT_BYTES >> 20} MiB and was given up')


# --- the host key ---

class _HostKeyRefused(Exception):
    """The presented host key is not trusted; nothing has been sent yet."""

    def __init__(self, key: paramiko.PKey) -> None:
        super().__init__(key.get_name())
        self.key = key


@dataclass(frozen=True, slots=True)
class _HostTrust:
    """The host keys we accept. A configured key or fingerprint is the whole truth; known_hosts counts without one."""

    keys: tuple[paramiko.PKey, ...] = ()
    fingerprint: str | None = None
    revoked: frozenset[bytes] = frozenset()

    @classmethod
    def of(cls, settings: SSHSettings) -> _HostTrust:
        if settings.host_key is not None or settings.fingerprint is not None:
            keys = (settings.host_key,) if settings.host_key is not None else ()
            return cls(keys, settings.fingerprint)
        keys, revoked = _read_known_hosts(settings)
        return cls(keys, revoked=revoked)

    @property
    def key_types(self) -> tuple[str, ...]:
        """Types to restrict the key exchange to, or none: a server shows only one of its keys, the one asked for."""
        if self.fingerprint is not None:
            return ()
        trusted = {key.get_name() for key in self.keys}
        return tuple(kind for kind in KEY_TYPES if kind in trusted)

    def accepts(self, key: paramiko.PKey) -> bool:
        if key.asbytes() in self.revoked:
            return False
        return key in self.keys or (self.fingerprint is not None and fingerprint(key) == self.fingerprint)

    def refusal(self, settings: SSHSettings, presented: list[paramiko.PKey]) -> exception.SSHNotFoundKnownHosts:
        """The error that shows what was presented and which field would accept it."""
        shown = ' and '.join(f'a {key.get_name()} key with the fingerprint {fingerprint(key)}' for key in presented)
        trusted = [fingerprint(key) for key in self.keys]
        if self.fingerprint is not None:
            trusted.append(self.fingerprint)
        if any(key.asbytes() in self.revoked for key in presented):
            why = f'{settings.host} presents {shown}, which is marked @revoked in {settings.known_hosts}'
        elif trusted:
            source = 'the known' if self.keys and settings.host_key is None else 'the configured'
            why = (f'{settings.host} presents {shown}, which differs from {source} host key '
                   f'{" or ".join(trusted)}: either its keys were renewed or somebody is in between (possible man in '
                   f'the middle). The presented key was not found in known_hosts')
        else:
            why = f'{settings.host} not found in known_hosts ({settings.known_hosts}); it presents {shown}'
        key = presented[0]
        line = f'{key.get_name()} {key.get_base64()}'
        return exception.SSHNotFoundKnownHosts(settings.host, message=(
            f'{why}. No password or key was sent. If "ssh-keygen -lf" on the host prints the same fingerprint, accept '
            f'it with ssh.fingerprint = "{fingerprint(key)}" (or ssh.pub_key = "{line}").'))


class _AskTrust(paramiko.MissingHostKeyPolicy):
    def __init__(self, trust: _HostTrust) -> None:
        self._trust = trust

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        if not self._trust.accepts(key):
            raise _HostKeyRefused(key)


def _read_known_hosts(settings: SSHSettings) -> tuple[tuple[paramiko.PKey, ...], frozenset[bytes]]:
    """Keys of the host in known_hosts (plain and hashed names, `[host]:port` for other ports than 22), and all revoked
    ones. Patterns with * and ?, and host certificates, are not understood, which makes a host unknown, not trusted.
    """
    try:
        lines = settings.known_hosts.read_text('utf-8', 'replace').splitlines()
    except OSError:
        return (), frozenset()
    name = settings.host if settings.port == DEFAULT_PORT else f'[{settings.host}]:{settings.port}'
    known, revoked = [], set()
    for line in map(str.strip, lines):
        if line.startswith('@revoked'):
            revoked.add(_decoded_key(line))
        elif line and not line.startswith(('#', '@')):
            known += _keys_of_line(line, name)
    return tuple(known), frozenset(revoked)


def _keys_of_line(line: str, name: str) -> list[paramiko.PKey]:
    """The key of a known_hosts line if it is for the host called `name`."""
    try:
        entry = paramiko.hostkeys.HostKeyEntry.from_line(' '.join(line.split()))
    except (paramiko.SSHException, ValueError):     # somebody's broken line is no reason to fail
        return []
    if entry is None:
        return []
    hashes = paramiko.HostKeys.hash_host
    matches = any(host == name or (host.startswith('|1|') and hashes(name, host) == host) for host in entry.hostnames)
    return [entry.key] if matches else []


def _decoded_key(line: str) -> bytes:
    """The key's bytes in a line `@marker hosts type base64 …`."""
    try:
        return base64.b64decode(line.split()[3])
    except (IndexError, binascii.Error):
        return b''


# --- one attempt ---

def _connect_once(settings: SSHSettings, login_key: paramiko.PKey | None, trust: _HostTrust,
                  key_types: tuple[str, ...]) -> paramiko.SSHClient:
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(_AskTrust(trust))
    sock = _open_socket(settings)
    started = time.monotonic()
    try:
        client.connect(
            settings.host, settings.port, settings.username,
            password=None if login_key is not None else open_secret(settings.password, 'ssh.password'),
            pkey=login_key, sock=sock, look_for_keys=False, allow_agent=False,
            timeout=settings.timeout, banner_timeout=settings.timeout, auth_timeout=settings.timeout,
            channel_timeout=settings.timeout, transport_factory=partial(_transport, key_types, settings.old_algorithms))
        transport = client.get_transport()
        if transport is None:       # closed by the server right after the login
            raise paramiko.SSHException('the connection was closed')
        transport.set_keepalive(KEEPALIVE_SECONDS)
        _forget_secrets(transport)
    except BaseException as error:
        client.close()
        sock.close()
        if isinstance(error, (paramiko.SSHException, OSError, EOFError)):
            _raise_mapped(settings, error, time.monotonic() - started)
        raise
    return client


def _transport(key_types: tuple[str, ...], old: bool, sock: socket.socket, **kwargs: Any) -> paramiko.Transport:
    """A transport that asks the server for host keys of these types only."""
    transport = paramiko.Transport(sock, **{**kwargs, 'disabled_algorithms': ssh_algorithms.disabled(old)})
    transport.get_security_options().key_types = ssh_algorithms.signatures(key_types, old)
    return transport


def _old_hint(settings: SSHSettings) -> str:
    return '' if settings.old_algorithms else ('; if its software is old, "old_algorithms": true in the ssh section '
                                               'allows it those with SHA-1 (with paramiko 4 only)')


def _forget_secrets(transport: paramiko.Transport) -> None:
    """Drop what paramiko remembers of the login for as long as the connection lives; nothing needs it again."""
    for name in ('password', 'private_key'):
        if hasattr(transport.auth_handler, name):
            setattr(transport.auth_handler, name, None)


def _open_socket(settings: SSHSettings) -> socket.socket:
    where = f'{settings.host} port {settings.port}'
    try:
        sock = socket.create_connection((settings.host, settings.port), settings.timeout)
    except TimeoutError as error:
        raise exception.SSHConnectTimeout(message=(
            f'SSH connect timeout. {where} did not answer within {settings.timeout:g} seconds; check the address and '
            'the firewalls in between.')) from error
    except (OSError, UnicodeError) as error:    # UnicodeError: a name that cannot be a host name
        raise exception.InvalidIpOrPort(message=(
            f'Invalid ip or port. Cannot connect to {where} ({error}); check ssh.host and ssh.port, and that the SSH '
            'service runs there.')) from error
    # paramiko never sets it: with delayed ACKs at the peer every command takes 40 to 90 ms instead of 2.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _raise_mapped(settings: SSHSettings, error: Exception, seconds: float) -> NoReturn:
    """Turn what paramiko raises into the exceptions of `connect`; `seconds` passed since TCP was open."""
    where = f'{settings.host} port {settings.port}'
    if isinstance(error, paramiko.IncompatiblePeer):
        raise error
    if seconds >= settings.timeout * 0.95:      # paramiko words its time-outs in many ways
        raise exception.SSHConnectTimeout(message=(
            f'SSH connect timeout. {where} accepted the connection but did not finish the login within '
            f'{settings.timeout:g} seconds; check that an SSH service listens there, or raise ssh.timeout.')) from error
    if isinstance(error, paramiko.BadAuthenticationType):
        raise exception.InvalidUsernameOrPassword(message=(
            f'Invalid username or password. {where} refuses this kind of login for {settings.username}; it allows: '
            f'{", ".join(error.allowed_types)}.')) from error
    if isinstance(error, paramiko.AuthenticationException):
        what = 'the private key' if settings.private_key else 'the password'
        raise exception.InvalidUsernameOrPassword(message=(
            f'Invalid username or password. {where} refused {what} of {settings.username}.')) from error
    raise exception.SSHException(f'{where}: {error or type(error).__name__}') from error


# --- secrets and fields ---

def open_secret(encoded: str | None, name: str) -> str | None:
    """Decode a secret; `InvalidInput` names the field and never its content."""
    if encoded is None:
        return None
    try:
        return cryptor.decode(encoded)
    except ValueError as error:
        raise exception.InvalidInput(f'{name}: {error}.') from None


def _load_private_key(settings: SSHSettings) -> paramiko.PKey | None:
    text = open_secret(settings.private_key, 'ssh.private_key')
    if text is None:
        return None
    passphrase = open_secret(settings.passphrase, 'ssh.passphrase')
    text = '\n'.join(text.split('\r\n')).strip() + '\n'     # what copying through forms does to keys
    for key_class in _KEY_CLASSES:
        try:
            return key_class.from_private_key(io.StringIO(text), password=passphrase)
        except paramiko.PasswordRequiredException:
            _raise_private_key('it is encrypted; give its passphrase in ssh.passphrase')
        except (paramiko.SSHException, ValueError, TypeError, IndexError, UnicodeError):
            continue    # another type, or rubbish; parsers raise all of these on rubbish
    if text.startswith('PuTTY'):
        _raise_private_key('it is in PuTTY\'s format; convert it with "puttygen key.ppk -O private-openssh"')
    if passphrase is not None:
        _raise_private_key('the passphrase is wrong or the text is damaged')
    _raise_private_key('ssh.private_key must be the text of an OpenSSH or PEM private key (Ed25519, ECDSA or RSA)')


def _raise_private_key(why: str) -> NoReturn:
    raise exception.InvalidPrivateKey(message=f'ssh.private_key is not a valid RSA private key. Any type will do, '
                                              f'but {why}.') from None


def _port(value: Any) -> int:
    try:
        port = DEFAULT_PORT if value in (None, '') else int(value)
    except (TypeError, ValueError):
        port = 0
    if not 0 < port < 65536:
        raise exception.InvalidInput('ssh.port must be a number from 1 to 65535.')
    return port


def _timeout(value: Any) -> float:
    try:
        seconds = DEFAULT_TIMEOUT_SECONDS if value is None else float(value)
    except (TypeError, ValueError):
        seconds = 0.0
    if not (math.isfinite(seconds) and seconds > 0):
        raise exception.InvalidInput('ssh.timeout must be a number of seconds above 0.')
    return seconds


def _switch(value: Any, name: str) -> bool:
    if value is None or isinstance(value, bool):
        return bool(value)
    raise exception.InvalidInput(f'ssh.{name} must be true or false.')


def _fingerprint_field(value: Any) -> str | None:
    if not value:
        return None
    match = _FINGERPRINT.fullmatch(str(value).strip())
    if match is None:
        raise exception.InvalidInput('ssh.fingerprint must look like "SHA256:" and 43 characters, as printed by '
                                     '"ssh-keygen -lf".')
    return 'SHA256:' + match[1]


def _host_key(value: Any, key_type: Any) -> paramiko.PKey | None:
    """The host key in `pub_key`: a line as in a .pub file, or its base64 part alone."""
    if not value:
        return None
    words = str(value).split()
    encoded = words[1] if len(words) > 1 else words[0]
    try:
        raw = base64.b64decode(encoded, validate=True)
        own_type = paramiko.Message(raw).get_text()     # the first field of the key itself names its type
        key = paramiko.PKey.from_type_string(own_type, raw)
    except Exception as error:      # paramiko raises nearly anything on rubbish
        raise exception.InvalidInput('ssh.pub_key must be a public host key like "ssh-ed25519 AAAA…" (or its base64 '
                                     f'part), as found in /etc/ssh/ssh_host_*_key.pub ({type(error).__name__}).') \
            from None
    stated = words[0] if len(words) > 1 else key_type or own_type
    if stated != own_type or own_type not in KEY_TYPES:
        raise exception.InvalidInput(f'ssh.pub_key is a key of type {own_type}, not {stated}; use one of '
                                     f'{", ".join(KEY_TYPES)}.')
    return key
