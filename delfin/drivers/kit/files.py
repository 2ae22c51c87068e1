# SPDX-License-Identifier: Apache-2.0
"""Reading files of a machine over its SSH connection: by SFTP, or by SCP (the old protocol, `scp -f`) where the machine
has no SFTP. Into memory, never to disk.
"""

from __future__ import annotations

import shlex
import threading
import time
from collections.abc import Callable

import paramiko

from delfin import exception
from delfin.drivers.utils.ssh_connection import CHUNK_BYTES, MAX_OUTPUT_BYTES

OpenChannel = Callable[[paramiko.Transport], paramiko.Channel]

_NO_SUCH_FILE = 'no such file'
_LINE_BYTES = 8192
_ACKNOWLEDGED, _WARNING, _ERROR = b'\0', b'\1', b'\2'


class Files:
    """Reads files one after the other, over one SFTP channel as long as the connection lives."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._transport: paramiko.Transport | None = None       # that the other two belong to
        self._sftp: paramiko.SFTPClient | None = None
        self._has_sftp = True

    def read(self, transport: paramiko.Transport, open_channel: OpenChannel, path: str, seconds: float) -> bytes | None:
        """The content; None if there is no such file.

        `TimeoutError` after `seconds`, `StorageBackendException` if the machine refuses it or it is too large; what
        `open_channel` raises, and paramiko when the connection breaks.
        """
        with self._lock:
            sftp = self._opened(transport, open_channel)
            if sftp is not None:
                return _by_sftp(sftp, path, seconds)
            with open_channel(transport) as channel:
                return _by_scp(channel, path, seconds)

    def close(self) -> None:
        """Forget the connection; it is closed by its owner."""
        self._transport = self._sftp = None

    def _opened(self, transport: paramiko.Transport, open_channel: OpenChannel) -> paramiko.SFTPClient | None:
        if self._transport is not transport:
            self._transport, self._has_sftp, self._sftp = transport, True, None
        if self._sftp is None and self._has_sftp:
            channel = open_channel(transport)
            try:
                channel.invoke_subsystem('sftp')
                self._sftp = paramiko.SFTPClient(channel)
            except (paramiko.SSHException, EOFError):
                channel.close()
                if not transport.is_active():
                    raise
                self._has_sftp = False
        return self._sftp


def _by_sftp(sftp: paramiko.SFTPClient, path: str, seconds: float) -> bytes | None:
    sftp.get_channel().settimeout(seconds)
    try:
        with sftp.open(path, 'rb') as file:
            size = file.stat().st_size or 0
            _check_size(path, size)
            file.prefetch(size)
            return file.read()
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise exception.StorageBackendException(f'{path} may not be read: {error}') from error


def _by_scp(channel: paramiko.Channel, path: str, seconds: float) -> bytes | None:
    channel.exec_command(f'scp -f {shlex.quote(path)}')
    stream = _Stream(channel, time.monotonic() + seconds)
    channel.sendall(_ACKNOWLEDGED)
    header = stream.line()
    if header[:1] in (_WARNING, _ERROR):
        words = header[1:].decode('utf-8', 'backslashreplace').strip()
        if _NO_SUCH_FILE in words.lower():
            return None
        raise exception.StorageBackendException(f'{path} cannot be read: {words}')
    fields = header.split(b' ', 2)
    if header[:1] != b'C' or len(fields) != 3 or not fields[1].isdigit():
        raise exception.InvalidResults(f'scp of {path} answered {header[:80]!r}')
    _check_size(path, int(fields[1]))
    channel.sendall(_ACKNOWLEDGED)
    content = stream.exactly(int(fields[1]))
    stream.exactly(1)       # whether it was read well; what is missing shows when it is parsed
    channel.sendall(_ACKNOWLEDGED)
    return content


class _Stream:
    """What comes through a channel, until a deadline."""

    def __init__(self, channel: paramiko.Channel, deadline: float) -> None:
        self._channel, self._deadline = channel, deadline
        self._rest = b''

    def line(self) -> bytes:
        while b'\n' not in self._rest and len(self._rest) < _LINE_BYTES:
            self._rest += self._more()
        line, _, self._rest = self._rest.partition(b'\n')
        return line

    def exactly(self, count: int) -> bytes:
        parts = bytearray(self._rest)
        while len(parts) < count:
            parts += self._more()
        self._rest = bytes(parts[count:])
        return bytes(parts[:count])

    def _more(self) -> bytes:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError('scp timed out')
        self._channel.settimeout(left)
        data = self._channel.recv(CHUNK_BYTES)
        if not data:
            said = self._channel.recv_stderr(_LINE_BYTES) if self._channel.recv_stderr_ready() else b''
            error = said.decode('utf-8', 'backslashreplace').strip()
            if not self._channel.get_transport().is_active():
                raise EOFError('the connection ended')
            raise exception.StorageBackendException(f'scp ended too early: {error or "no error text"}')
        return data


def _check_size(path: str, size: int) -> None:
    if size > MAX_OUTPUT_BYTES:
        raise exception.StorageBackendException(f'{path} has {size} bytes, more than {MAX_OUTPUT_BYTES >> 20} MiB')
