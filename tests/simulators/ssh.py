# SPDX-License-Identifier: Apache-2.0
"""An SSH server for simulators: each exec channel is one question; files by SCP and SFTP; and what servers do wrong.

    with SshServer(Answers()) as server:
        ... server.port, server.host_key ...

What it says is the business of `Answers`. One thread serves all connections; leaving the block ends it and them.
"""

from __future__ import annotations

import asyncio
import contextlib
import posixpath
import socket
import stat
import threading
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeAlias, cast

import asyncssh

_Channel: TypeAlias = 'asyncssh.SSHServerChannel[bytes]'
_START_SECONDS, _STOP_SECONDS = 10.0, 10.0
_CHUNK_BYTES = 1 << 18
_SOFTWARE = 70                  # EX_SOFTWARE

# What is offered, by the name of a choice. SHA-1 and DSA are what the arrays of 2012 had.
_OLD = {'encryption_algs': ('aes128-cbc', 'aes256-cbc', '3des-cbc'), 'mac_algs': ('hmac-sha1', 'hmac-md5'),
        'kex_algs': ('diffie-hellman-group-exchange-sha1', 'diffie-hellman-group14-sha1', 'diffie-hellman-group1-sha1')}
ALGORITHMS: dict[str, dict[str, tuple[str, ...]]] = {'modern': {}, 'old': _OLD, 'dss': _OLD}
HOST_KEYS = {'modern': 'ssh-ed25519', 'old': 'ssh-rsa', 'dss': 'ssh-dss'}


@dataclass(frozen=True, slots=True)
class Reply:
    """To a command. Without a status the channel is closed without one; `hang_up` closes the connection behind the
    output. `wait` is seconds before anything is said; `times` repeats the output."""

    stdout: bytes = b''
    stderr: bytes = b''
    status: int | None = 0
    wait: float = 0.0
    hang_up: bool = False
    times: int = 1


class Vanished(Exception):
    """There is no such file (any more)."""


class Answers:
    """What a server says: derive, and say something. All is called in the server's thread."""

    def login(self, username: str, password: str) -> bool:
        """Whether a password lets somebody in."""
        return False

    def login_by_key(self, username: str, key: str) -> bool:
        """Whether a public key (`ssh-ed25519 AAAA…`) does."""
        return False

    def admits(self, sessions: int) -> bool:
        """Whether one more connection is welcome, when there are so many."""
        return True

    def execute(self, username: str, command: str) -> Reply:
        """Answer a command."""
        return Reply(stderr=b'nothing is done here\n', status=1)

    def listing(self, directory: str) -> list[tuple[str, float]] | None:
        """Name and time of the files in a directory; None if there is none such."""
        return None

    def size(self, path: str) -> int:
        """Of a file that is listed."""
        return 0

    async def fetch(self, username: str, path: str) -> bytes:
        """A file; Vanished, or ConnectionAbortedError to hang up."""
        raise Vanished(path)


class SshServer:
    """Serves from the moment it is entered; `port` 0 takes a free one.

    `algorithms` is a key of ALGORITHMS. `channels` are how many a connection may have open at once; `sftp`: whether
    there is that subsystem (SCP always works).
    """

    def __init__(self, answers: Answers, *, host: str = '127.0.0.1', port: int = 0, algorithms: str = 'modern',
                 channels: int = 10, sftp: bool = True) -> None:
        self.answers = answers
        self.channels = channels
        self.sftp = sftp
        self.connections = 0
        self.open: set[_Connection] = set()
        self._algorithms = ALGORITHMS[algorithms]
        self._key = asyncssh.generate_private_key(HOST_KEYS[algorithms])
        family = socket.AF_INET6 if ':' in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family, backlog=128)
        self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)    # connections inherit it
        self.host: str = self._listener.getsockname()[0]
        self.port: int = self._listener.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self.stopping = asyncio.Event()
        self._acceptor: asyncssh.SSHAcceptor | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, name=f'simulator-{self.port}', daemon=True)

    @property
    def host_key(self) -> str:
        """As known_hosts has it behind the name: `ssh-ed25519 AAAA…`."""
        return ' '.join(self._key.export_public_key().decode().split()[:2])

    @property
    def fingerprint(self) -> str:
        """As OpenSSH prints it: `SHA256:…`."""
        return self._key.get_fingerprint()

    def change_host_key(self, algorithm: str) -> None:
        """Another key for connections from now on, e.g. ssh-ed25519, ssh-rsa, ecdsa-sha2-nistp256."""
        self._key = asyncssh.generate_private_key(algorithm)
        if self._acceptor is not None:
            self._acceptor.update(server_host_keys=[self._keypair()])

    def hang_up(self) -> None:
        """Close all connections, before anything else is answered. (Does not wait: the server may wait for us.)"""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._abort)

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._listen())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End everything; afterwards no thread of this server is left."""
        if self._thread.is_alive():
            self._run(self._stop())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_STOP_SECONDS)
        self._listener.close()
        self._loop.close()

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(_START_SECONDS)

    async def _listen(self) -> None:
        self._acceptor = await asyncssh.listen(
            sock=self._listener, server_factory=lambda: _Connection(self), server_host_keys=[self._keypair()],
            config=None, encoding=None, line_editor=False, agent_forwarding=False, allow_pty=True, gss_host=None,
            login_timeout=30, **self._algorithms)

    def _keypair(self) -> asyncssh.SSHKeyPair:
        pair = asyncssh.load_keypairs(self._key)[0]
        if self._algorithms and self._key.get_algorithm() == 'ssh-rsa':
            pair.host_key_algorithms = pair.sig_algorithms = (b'ssh-rsa',)      # signed with SHA-1
        return pair

    def _abort(self) -> None:
        for connection in list(self.open):
            connection.abort()

    async def _stop(self) -> None:
        self.stopping.set()
        if self._acceptor is not None:
            self._acceptor.close()
        self._abort()
        rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        await self._loop.shutdown_default_executor()

    async def pause(self, seconds: float) -> None:
        """Sleep, but not longer than the server lives."""
        if seconds > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.stopping.wait(), seconds)


class _Connection(asyncssh.SSHServer):
    """One client."""

    def __init__(self, server: SshServer) -> None:
        self.server = server
        self.channels = 0
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self.server.connections += 1
        if self.server.answers.admits(len(self.server.open)):
            self.server.open.add(self)
        else:
            conn.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.server.open.discard(self)

    def abort(self) -> None:
        """Close it without a word."""
        if self._connection is not None:
            self._connection.abort()

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def kbdint_auth_supported(self) -> bool:
        return False

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return self.server.answers.login(username, password)

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return self.server.answers.login_by_key(username, ' '.join(key.export_public_key().decode().split()[:2]))

    def session_requested(self) -> asyncssh.SSHServerProcess[bytes]:
        if self.channels >= self.server.channels:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_RESOURCE_SHORTAGE, 'too many sessions')
        self.channels += 1
        return _Session(self)


class _Session(asyncssh.SSHServerProcess[bytes]):
    """One channel."""

    def __init__(self, connection: _Connection) -> None:
        self._client = connection
        self._server = connection.server
        super().__init__(self._serve, lambda channel: _Files(cast('_Channel', channel), connection), 3, True)

    def connection_lost(self, exc: Exception | None) -> None:
        self._client.channels -= 1
        super().connection_lost(exc)

    def subsystem_requested(self, subsystem: str) -> bool:
        return subsystem == 'sftp' and self._server.sftp

    async def _serve(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        if process.command is None:
            process.stderr.write(b'There is no shell here: one command for each channel.\r\n')
            process.exit(1)
            return
        try:
            reply = self._server.answers.execute(str(process.get_extra_info('username')), process.command)
        except Exception as error:      # a fault of the simulator
            process.stderr.write(f'{type(error).__name__}: {error}\n'.encode())
            process.exit(_SOFTWARE)
            raise
        await self._server.pause(reply.wait)
        try:
            if reply.stderr:
                process.stderr.write(reply.stderr)
            for _ in range(reply.times):
                for start in range(0, len(reply.stdout), _CHUNK_BYTES):
                    process.stdout.write(reply.stdout[start:start + _CHUNK_BYTES])
                    await process.stdout.drain()
        except (asyncssh.Error, OSError):
            return                  # clients go whenever they like
        if reply.hang_up:
            await self._server.pause(0.05)      # so that what was written gets out
            self._client.abort()
        elif reply.status is None:
            process.close()
        else:
            process.exit(reply.status)


class _Files(asyncssh.SFTPServer):
    """The files as SFTP and SCP see them: for reading."""

    def __init__(self, channel: _Channel, connection: _Connection) -> None:
        super().__init__(channel)
        self._client = connection
        self._answers = connection.server.answers
        self._username = str(channel.get_extra_info('username'))

    async def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
        found = self._answers.listing(self.realpath(path).decode())
        if found is None:
            raise asyncssh.SFTPNoSuchFile('No such directory')
        for name, at in found:
            yield asyncssh.SFTPName(name.encode(), '', _attributes(None, at))

    def realpath(self, path: bytes) -> bytes:
        return posixpath.normpath(posixpath.join(b'/', path))

    def stat(self, path: bytes) -> asyncssh.SFTPAttrs:
        whole = self.realpath(path).decode()
        if self._answers.listing(whole) is not None:
            return asyncssh.SFTPAttrs(type=asyncssh.FILEXFER_TYPE_DIRECTORY, size=4096, uid=0, gid=0,
                                      permissions=stat.S_IFDIR | 0o755, atime=0, mtime=0)
        directory, _, name = whole.rpartition('/')
        for one, at in self._answers.listing(directory or '/') or ():
            if one == name:
                return _attributes(self._answers.size(whole), at)
        raise asyncssh.SFTPNoSuchFile('No such file or directory')

    def lstat(self, path: bytes) -> asyncssh.SFTPAttrs:
        return self.stat(path)

    def fstat(self, file_obj: object) -> asyncssh.SFTPAttrs:
        return _attributes(len(_content(file_obj)), 0)

    async def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        if pflags & (asyncssh.FXF_WRITE | asyncssh.FXF_APPEND | asyncssh.FXF_CREAT | asyncssh.FXF_TRUNC):
            raise asyncssh.SFTPPermissionDenied('Permission denied')
        try:
            return await self._answers.fetch(self._username, self.realpath(path).decode())
        except Vanished:
            raise asyncssh.SFTPNoSuchFile('No such file or directory') from None
        except ConnectionAbortedError:
            self._client.abort()
            raise asyncssh.SFTPConnectionLost('gone') from None

    def read(self, file_obj: object, offset: int, size: int) -> bytes:
        return _content(file_obj)[offset:offset + size]

    def close(self, file_obj: object) -> None:
        pass

    def exit(self) -> None:
        if self.channel.get_subsystem() is not None:
            self.channel.exit(0)        # scp takes an end without status for a failure

    def _refuse(self, *_: Any) -> Any:
        raise asyncssh.SFTPPermissionDenied('Permission denied')

    _refused: Any = _refuse
    remove = rename = posix_rename = mkdir = rmdir = setstat = lsetstat = fsetstat = symlink = link = write = _refused


def _content(file_obj: object) -> bytes:
    assert isinstance(file_obj, bytes)
    return file_obj


def _attributes(size: int | None, at: float) -> asyncssh.SFTPAttrs:
    return asyncssh.SFTPAttrs(type=asyncssh.FILEXFER_TYPE_REGULAR, size=size, uid=0, gid=0,
                              permissions=stat.S_IFREG | 0o644, atime=int(at), mtime=int(at))
