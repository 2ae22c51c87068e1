# SPDX-License-Identifier: Apache-2.0
"""Recorded commands as an SSH server on loopback: it takes the recorded user, and answers command lines and reads of
files as an array once did.

* `commands.json`: a list of `{"command": "lssystem -delim '!'", "stdout": "…", "stderr": "…", "status": 0}`. Of several
  answers to one command each is given once, in their order, and the last one for ever. What was not recorded is not
  found (status 127). Arguments behind options whose names sound like secrets do not matter.
* `files.json`: a list of `{"path": "/dumps/a", "content": "text"}` (`"base64"` for what is no text), served by SFTP.

In both, `"file": "volumes.txt"` names a file beside them that holds the output or the content.
"""

from __future__ import annotations

import base64
import contextlib
import json
import shlex
import socket
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import paramiko

from delfin import exception
from delfin.access import sounds_secret
from delfin.common.masking import MASK
from delfin.drivers.compliance.answers import Answers

_ADDRESS = '127.0.0.1'
_ACCEPT_SECONDS = 0.2
_LEAVE_SECONDS = 5.0
_READ_SECONDS = 30.0      # for the client to take an answer
_INPUT_BYTES = 4096
_NOT_FOUND = 127


class Recorded:
    """What is answered to which command, and the files."""

    def __init__(self, commands: Sequence[Any], files: Sequence[Any] = ()) -> None:
        found: list[tuple[str, tuple[bytes, bytes, int]]] = []
        for number, entry in enumerate(commands, 1):
            if not isinstance(entry, dict) or not isinstance(entry.get('command'), str):
                raise exception.InvalidInput(f'commands.json, answer {number}: it must be an object with a command')
            found.append((without_secrets(entry['command']), (
                str(entry.get('stdout', '')).encode(), str(entry.get('stderr', '')).encode(),
                int(entry.get('status', 0)))))
        self._answers = Answers(found)
        self.files = {entry['path']: base64.b64decode(entry['base64']) if 'base64' in entry
                      else str(entry.get('content', '')).encode() for entry in files}

    @classmethod
    def of(cls, directory: Path) -> Self:
        """What `delfin-driver record` has written there."""
        return cls(_entries(directory, 'commands.json', 'stdout'), _entries(directory, 'files.json', 'content'))

    def to(self, command: str) -> tuple[bytes, bytes, int]:
        """Output, errors and status of the next answer."""
        return self._answers.to(without_secrets(command)) or (b'', b'not recorded: command not found\n', _NOT_FOUND)

    @property
    def missing(self) -> list[str]:
        """Commands that were not recorded."""
        return self._answers.missing


def _entries(directory: Path, name: str, field: str) -> list[Any]:
    """The entries of a file, if there is one, with what stands beside it."""
    where = directory / name
    try:
        entries = json.loads(where.read_text('utf-8')) if where.exists() else []
        return [{**entry, field: (directory / Path(entry['file']).name).read_text('utf-8')}
                if isinstance(entry, dict) and 'file' in entry else entry for entry in entries]
    except (OSError, ValueError) as error:
        raise exception.InvalidInput(f'{where} cannot be used: {error}') from None


def without_secrets(command: str) -> str:
    """A command line without what follows options that sound like secrets, `-community public`."""
    return shlex.join(masked(split(command)))


def split(command: str) -> list[str]:
    """Its words; those that blanks separate if it is no proper command line."""
    try:
        return shlex.split(command)
    except ValueError:
        return command.split()


def masked(words: Sequence[str]) -> list[str]:
    """The words with secrets masked."""
    return [MASK if number and words[number - 1].startswith('-') and sounds_secret(words[number - 1]) else word
            for number, word in enumerate(words)]


class SshServer:
    """Serves while the context is open."""

    def __init__(self, recorded: Recorded, username: str, password: str | None) -> None:
        self._recorded, self._login = recorded, (username, password)
        self._key = paramiko.ECDSAKey.generate()
        self._listener = socket.create_server((_ADDRESS, 0))
        self._listener.settimeout(_ACCEPT_SECONDS)
        self._leaving = threading.Event()
        self._transports: list[paramiko.Transport] = []
        self._thread = threading.Thread(target=self._serve, name='replay-ssh', daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    @property
    def host_key(self) -> str:
        """As in a .pub file."""
        return f'{self._key.get_name()} {self._key.get_base64()}'

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._leaving.set()
        self._thread.join(_LEAVE_SECONDS)
        self._listener.close()
        for transport in self._transports:
            transport.close()

    def _serve(self) -> None:
        while not self._leaving.is_set():
            with contextlib.suppress(TimeoutError):
                client, _ = self._listener.accept()
                transport = paramiko.Transport(client)
                transport.add_server_key(self._key)
                transport.set_subsystem_handler('sftp', paramiko.SFTPServer, _Files, self._recorded.files)
                self._transports.append(transport)
                # Somebody who only looks whether the port is open: the event is set, and nothing is raised.
                transport.start_server(threading.Event(), _Login(self._login, self._recorded))


class _Login(paramiko.ServerInterface):
    """One connection."""

    def __init__(self, login: tuple[str, str | None], recorded: Recorded) -> None:
        self._wanted, self._recorded = login, recorded

    def get_allowed_auths(self, username: str) -> str:
        return 'password'

    def check_auth_password(self, username: str, password: str) -> int:
        return paramiko.AUTH_SUCCESSFUL if (username, password) == self._wanted else paramiko.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED if kind == 'session' \
            else paramiko.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        answer = self._recorded.to(command.decode('utf-8', 'backslashreplace'))
        threading.Thread(target=_answer, args=(channel, *answer), name='replay-ssh', daemon=True).start()
        return True


def _answer(channel: paramiko.Channel, stdout: bytes, stderr: bytes, status: int) -> None:
    """The channel is left for the client to close: paramiko may not have said yes to the command yet."""
    channel.settimeout(_READ_SECONDS)
    with contextlib.suppress(OSError, EOFError), channel:       # who asked may have left
        channel.sendall(stdout)
        channel.sendall_stderr(stderr)
        channel.send_exit_status(status)
        channel.shutdown_write()
        while channel.recv(_INPUT_BYTES):
            pass


class _Files(paramiko.SFTPServerInterface):
    """The recorded files, to read."""

    def __init__(self, server: paramiko.ServerInterface, files: dict[str, bytes]) -> None:
        super().__init__(server)
        self._files = files

    def open(self, path: str, flags: int, attr: paramiko.SFTPAttributes) -> Any:
        return _File(self._files[path]) if path in self._files else paramiko.SFTP_NO_SUCH_FILE

    def stat(self, path: str) -> Any:
        return _size(self._files[path]) if path in self._files else paramiko.SFTP_NO_SUCH_FILE


class _File(paramiko.SFTPHandle):
    def __init__(self, content: bytes) -> None:
        super().__init__()
        self._content = content

    def stat(self) -> paramiko.SFTPAttributes:
        return _size(self._content)

    def read(self, offset: int, length: int) -> bytes:
        return self._content[offset:offset + length]


def _size(content: bytes) -> paramiko.SFTPAttributes:
    found = paramiko.SFTPAttributes()
    found.st_size = len(content)
    return found
