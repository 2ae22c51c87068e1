# SPDX-License-Identifier: Apache-2.0
"""A pool of SSH connections to one array, with commands and interactive shells. How a connection is made, and which
host key it accepts: `ssh_connection`.
"""

from __future__ import annotations

import contextlib
import threading
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import paramiko

from delfin import exception, utils
from delfin.common.text import printable
from delfin.drivers.utils import ssh_connection
from delfin.drivers.utils.ssh_connection import SSHSettings

CONNECTIONS_AT_MOST = 3
CONNECT_SECONDS = 60
# A command may take so many times the time-out in all, for output that is long but flows.
COMMAND_TIMEOUTS = 10

_WAKE_SECONDS = 1.0     # a connection that a driver lost without giving it back rings no bell
_SHELL_BYTES = 65536
_END_SECONDS = 0.5

_REFUSED_COMMAND = ('invalid command name', 'login failed', 'is not a recognized command')
_UNKNOWN_COMMAND = ('is not a recognized command', 'Unknown command')

_Error = type[exception.DelfinException]
# What errors of paramiko and the system say -> what `do_exec` raises, what `do_exec_shell` raises. First match counts.
_TEXTS: tuple[tuple[tuple[str, ...], _Error, _Error], ...] = (
    (('timed out',), exception.ConnectTimeout, exception.SSHConnectTimeout),
    (('Unable to connect to port',), exception.ConnectTimeout, exception.InvalidIpOrPort),
    (('No authentication methods available', 'Authentication failed'),
     exception.InvalidUsernameOrPassword, exception.InvalidUsernameOrPassword),
    (('not a valid RSA private key',), exception.InvalidPrivateKey, exception.InvalidPrivateKey),
    (('not found in known_hosts',), exception.SSHNotFoundKnownHosts, exception.SSHNotFoundKnownHosts),
)


class SSHPool:
    """At most three connections to an array, opened when needed; `SSHPool(**access_info)`, of which `ssh` is needed.

    `ssh` has `host`, `port`, `username`, `password` (encoded), and may have what `ssh_connection` knows: `pub_key` with
    `pub_key_type` (the host key), `fingerprint`, `private_key`, `passphrase`, `old_algorithms`, `timeout` or
    `conn_timeout` (seconds; 60 without). Without a host key or fingerprint the known hosts of the service's user count;
    others are refused.

    Nothing waits for ever: a connection, and silence during a command, take the time-out at most; a command ten times
    that; who finds all connections in use waits as long as a command may take.
    """

    SOCKET_TIMEOUT = 10     # seconds; for drivers with a `create` of their own, and for a shell to end after "exit"

    def __init__(self, **kwargs: Any) -> None:
        ssh = kwargs.get('ssh')
        if not isinstance(ssh, Mapping) or not ssh:
            raise exception.InvalidInput('ssh (host, port, username, password) is required.')
        self._section = dict(ssh)
        self.ssh_host = ssh.get('host')
        self.ssh_port = ssh.get('port')
        self.ssh_username = ssh.get('username')
        self.ssh_password = ssh.get('password')         # encoded, and opened by `create` only
        self.ssh_pub_key_type, self.ssh_pub_key = _host_key(ssh)
        self.ssh_conn_timeout = ssh.get('timeout') or ssh.get('conn_timeout') or CONNECT_SECONDS
        self.conn_timeout = self.ssh_conn_timeout
        self._changed = threading.Condition()
        self._idle: list[Any] = []                      # the warmest last
        self._opening = 0
        self._lent: weakref.WeakSet[Any] = weakref.WeakSet()

    # --- connections ---

    def create(self) -> paramiko.SSHClient:
        """A new connection, logged in. See `ssh_connection.connect` for what it raises."""
        return ssh_connection.connect(SSHSettings.from_access_info({
            **self._section, 'host': self.ssh_host, 'port': self.ssh_port, 'username': self.ssh_username,
            'password': self.ssh_password, 'pub_key': self.ssh_pub_key, 'pub_key_type': self.ssh_pub_key_type,
            'timeout': self.ssh_conn_timeout}))

    def set_host_key(self, line: str, ssh: paramiko.SSHClient) -> None:
        """Let `ssh`, not yet connected, accept only the host key in a line of known_hosts (`host type key`)."""
        try:
            entry = paramiko.hostkeys.HostKeyEntry.from_line(line)
        except (paramiko.SSHException, ValueError):
            entry = None
        if entry is None or entry.key is None:
            raise exception.InvalidInput('ssh.pub_key and ssh.pub_key_type are no host key.')
        for host in entry.hostnames:
            for name in (host, f'[{host}]:{self.ssh_port}'):        # paramiko looks for the second on other ports
                ssh.get_host_keys().add(name, entry.key.get_name(), entry.key)
        ssh.set_missing_host_key_policy(paramiko.RejectPolicy())

    def get(self) -> Any:
        """A connection that is alive: an idle one, else a new one, else wait for one. Give it back with `put`."""
        while (connection := self._idle_or_place()) is not None:
            if _is_alive(connection):
                return connection
            self.remove(connection)
        try:
            connection = self.create()
            with self._changed:
                self._lent.add(connection)
            return connection
        finally:
            with self._changed:
                self._opening -= 1
                self._changed.notify()

    def _idle_or_place(self) -> Any:
        """An idle connection, or None when a new one may be opened (which is counted already)."""
        seconds = float(self.ssh_conn_timeout) * COMMAND_TIMEOUTS
        deadline = time.monotonic() + seconds
        with self._changed:
            while not self._idle and self._opening + len(self._lent) >= CONNECTIONS_AT_MOST:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise exception.SSHException(f'all {CONNECTIONS_AT_MOST} connections to {self.ssh_host} have been '
                                                 f'in use for {seconds:g} seconds')
                self._changed.wait(min(left, _WAKE_SECONDS))
            if self._idle:
                connection = self._idle.pop()
                self._lent.add(connection)
                return connection
            self._opening += 1
            return None

    def put(self, conn: Any) -> None:
        """Give a connection back. What did not come from `get`, or was removed meanwhile, is left alone."""
        with self._changed:
            # By identity: tests of drivers replace `get` by one that returns anything.
            if any(lent is conn for lent in self._lent):
                self._lent.discard(conn)
                self._idle.append(conn)
                self._changed.notify()

    def remove(self, conn: Any) -> None:
        """Close a connection and forget it."""
        with self._changed:
            self._lent.discard(conn)
            self._idle = [idle for idle in self._idle if idle is not conn]
            self._changed.notify()
        conn.close()

    @contextlib.contextmanager
    def item(self) -> Iterator[Any]:
        """A connection for a block; given back at its end, whatever happens."""
        connection = self.get()
        try:
            yield connection
        finally:
            self.put(connection)

    # --- commands ---

    def do_exec(self, command: str) -> str:
        """Run one command; its output, or its error output if that is all there is.

        `StorageBackendException` if the array calls it unknown or refused; what `create` raises; `ConnectTimeout` if it
        takes too long; `SSHException` for anything else, among it a command that `check_ssh_injection` refuses.
        """
        try:
            with self.item() as ssh:
                utils.check_ssh_injection(command)
                output = self._execute(ssh, command)
        except Exception as error:      # of paramiko, the system, or a driver's own `create`
            raise self._mapped(error, 0) from error
        if any(words in output for words in _REFUSED_COMMAND):
            raise exception.StorageBackendException(output)
        return output

    def do_exec_shell(self, commands: Sequence[str], sleep_time: float = 0.5) -> str:
        """Type commands, then "exit", into an interactive shell; all that it shows, as one text.

        The next command is typed when nothing has been shown for `sleep_time` seconds. Raises what `do_exec` raises,
        but `SSHConnectTimeout` for time-outs, and `InvalidIpOrPort` if the shell calls a command unknown.
        """
        try:
            with self.item() as ssh:
                output = self._type(ssh, commands, sleep_time)
        except Exception as error:      # as above
            raise self._mapped(error, 1) from error
        if any(words in output for words in _UNKNOWN_COMMAND):
            raise exception.InvalidIpOrPort(message=f'Invalid ip or port. Is {self.ssh_host} such an array? It '
                                                    'answers that it does not know a command.')
        return output

    def _execute(self, ssh: paramiko.SSHClient, command: str) -> str:
        silence = float(self.ssh_conn_timeout)
        # When paramiko's file of the input goes, it sends an EOF. One that meets the end of a quick command comes too
        # late, and for that servers end the connection: so the file is kept until the channel is closed.
        kept, stream, _ = ssh.exec_command(command, timeout=silence)
        channel = stream.channel
        try:
            output, errors = ssh_connection.collect(channel, 'the command', silence * COMMAND_TIMEOUTS, silence)
            self._check_end(channel)
        except TimeoutError:
            self.remove(ssh)        # what still comes is nobody's answer
            raise
        finally:
            channel.close()
            del kept
        return _text(output or errors)

    def _type(self, ssh: paramiko.SSHClient, commands: Sequence[str], pause: float) -> str:
        deadline = time.monotonic() + float(self.ssh_conn_timeout) * COMMAND_TIMEOUTS
        shown = bytearray()
        with ssh.invoke_shell() as channel:
            for command in commands:
                channel.sendall(f'{command}\n'.encode())
                _read_until_silence(channel, shown, pause, deadline)
            channel.sendall(b'exit\n')
            # A command that is still at work takes the "exit" when it has ended; some shells stay nevertheless.
            _read_until_silence(channel, shown, max(pause, self.SOCKET_TIMEOUT), deadline)
            if channel.closed:
                self._check_end(channel)
        return _text(bytes(shown))

    def _check_end(self, channel: paramiko.Channel) -> None:
        """`SSHException` if the output ended because the connection did."""
        if channel.eof_received or channel.exit_status >= 0:
            return
        transport = channel.get_transport()
        transport.join(_END_SECONDS)        # its thread ends channels before it says that it has ended itself
        if not transport.is_active():
            raise paramiko.SSHException(f'the connection to {self.ssh_host} ended before the command')

    def _mapped(self, error: Exception, column: int) -> exception.DelfinException:
        """What `do_exec` (column 0) or `do_exec_shell` (1) raises for an error. What has a name already keeps it."""
        if isinstance(error, exception.DelfinException) and not isinstance(error, exception.SSHInjectionThreat):
            return error
        text = printable(error) or type(error).__name__
        if isinstance(error, TimeoutError) and 'timed out' not in text:
            text = f'timed out: {text}'
        for fragments, *classes in _TEXTS:
            if any(fragment in text for fragment in fragments):
                found = classes[column]
                sentence = found.msg_fmt.format(self.ssh_host).rstrip('.')
                return found(self.ssh_host, message=f'{sentence}. {self.ssh_host}: {text}')
        return exception.SSHException(text)


def _host_key(ssh: Mapping[str, Any]) -> tuple[Any, Any]:
    """Type and base64 text of the host key: `pub_key` may be a whole line."""
    words = str(ssh.get('pub_key') or '').split()
    return (words[0], words[1]) if len(words) > 1 else (ssh.get('pub_key_type'), ssh.get('pub_key'))


def _is_alive(connection: Any) -> bool:
    transport = connection.get_transport()
    return transport is not None and transport.is_active()


def _read_until_silence(channel: paramiko.Channel, shown: bytearray, silence: float, deadline: float) -> None:
    """Add to `shown` what comes until nothing has come for `silence` seconds, or the channel is closed."""
    channel.settimeout(silence)
    with contextlib.suppress(TimeoutError):
        while data := channel.recv(_SHELL_BYTES):
            shown.extend(data)
            ssh_connection.limit_output('the shell', shown)
            if time.monotonic() >= deadline:
                break
    if time.monotonic() >= deadline:
        raise TimeoutError('the shell timed out')


def _text(output: bytes) -> str:
    return output.decode('utf-8', 'backslashreplace')
