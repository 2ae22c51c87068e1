# SPDX-License-Identifier: Apache-2.0
"""One SSH connection to a machine: opened by the first command, kept alive, opened again when it broke. Each command
runs on a channel of its own, so any number of threads share the connection.

What a command is made of, what its answers mean, and when it is asked again: `cli`, which stands on this.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import paramiko

from delfin import exception
from delfin.common.text import printable
from delfin.drivers.kit.errors import ArrayBusy, ShellBroke
from delfin.drivers.kit.files import Files
from delfin.drivers.utils import ssh_connection
from delfin.drivers.utils.ssh_connection import SSHSettings

LOG = logging.getLogger(__name__)

_WORDS = 200        # of the machine's own explanation in an error
_REFUSED = 'Unable to open channel.'


@dataclass(frozen=True, slots=True)
class Output:
    """What a command wrote, and its exit status."""

    stdout: bytes
    stderr: bytes
    status: int


class Shell:
    """The connection. For any number of threads; nothing is connected before it is needed."""

    def __init__(self, settings: SSHSettings) -> None:
        self.settings = settings
        self._login = threading.Lock()
        self._client: paramiko.SSHClient | None = None
        self._failed = 0                # logins
        self._failure: exception.DelfinException | None = None      # the last one's
        self._files = Files()

    def run(self, command: str, what: str, seconds: float) -> Output:
        """Run a command line; `what` names it in errors.

        `ShellBroke` if the connection ends meanwhile, `ArrayBusy` if the machine opens no further channel,
        `TimeoutError` after `seconds`, `StorageBackendException` if it writes more than
        `ssh_connection.MAX_OUTPUT_BYTES`; and what `ssh_connection.connect` raises.
        """
        deadline = time.monotonic() + seconds
        with self._unbroken(sent=False):
            channel = self._channel(self.transport())
        with self._unbroken(), channel:
            # No EOF is sent: where the machine closes the channel at that moment, paramiko sends it too late, and for
            # that servers end the connection. A command that reads its input must be given some.
            channel.exec_command(command)
            stdout, stderr = ssh_connection.collect(channel, what, seconds)
            if not channel.status_event.wait(max(0.0, deadline - time.monotonic())):
                raise TimeoutError(f'{what} timed out: it did not end within {seconds:g} seconds')
            if channel.exit_status < 0:     # the connection ended, or a signal the server reports without a status
                said = printable(stderr.decode('utf-8', 'backslashreplace')).strip()[:_WORDS]
                raise ShellBroke(f'{what} broke off without a status{f": {said}" if said else ""}')
            return Output(stdout, stderr, channel.exit_status)

    def read_file(self, path: str, seconds: float) -> bytes | None:
        """The content of a file, by SFTP or else SCP; None if it is not there. Raises what `run` raises."""
        with self._unbroken():
            return self._files.read(self.transport(), self._channel, path, seconds)

    def close(self) -> None:
        """End the connection; a later command would open one."""
        with self._login:
            self._close()

    def transport(self) -> paramiko.Transport:
        """The connection, opened if need be. Who waited for a login that failed gets its error: each attempt counts
        towards the lock of an account.
        """
        failed = self._failed
        with self._login:
            transport = self._client.get_transport() if self._client is not None else None
            if transport is not None and transport.is_active():
                return transport
            if self._failed != failed and self._failure is not None:
                raise self._failure
            self._close()
            try:
                self._client = ssh_connection.connect(self.settings)
            except exception.DelfinException as error:
                self._failed, self._failure = self._failed + 1, error
                raise
            LOG.debug('connected to %s', self.settings.host)
            opened = self._client.get_transport()
            if opened is None:
                raise ShellBroke(f'{self.settings.host} ended the connection right after the login')
            return opened

    # --- within ---

    def _close(self) -> None:
        client, self._client = self._client, None
        self._files.close()
        if client is not None:
            client.close()

    def _channel(self, transport: paramiko.Transport) -> paramiko.Channel:
        try:
            return transport.open_session(timeout=self.settings.timeout)
        except paramiko.SSHException as error:
            # paramiko keeps one refusal for all threads: of several at once, one gets it and the others this text.
            if not (isinstance(error, paramiko.ChannelException) or str(error) == _REFUSED and transport.is_active()):
                raise
            raise ArrayBusy(message=f'{self.settings.host} opens no further channel '
                                    f'({getattr(error, "text", "") or error}): too many sessions are in use there.'
                            ) from error

    @contextmanager
    def _unbroken(self, *, sent: bool = True) -> Iterator[None]:
        """`ShellBroke` for all that a broken connection raises. It is closed then, for everybody."""
        try:
            yield
        except TimeoutError:        # an OSError, too; the connection may be well
            raise
        except (paramiko.SSHException, OSError, EOFError) as error:
            self.close()
            raise ShellBroke(f'the connection to {self.settings.host} broke: {error or type(error).__name__}',
                             sent=sent) from error
