# SPDX-License-Identifier: Apache-2.0
"""`delfin-driver record`: what an array answers over HTTP and SSH, written down without secrets.

The folder is what `delfin-compliance --replay` and `delfin.drivers.compliance.replay` take: `replies.json` of HTTP,
`commands.json` and `files.json` of SSH, as far as there was any, and an `access.json` with another user and password.
Cut out are the secrets of the access information in every form, what has a name that sounds like a secret in a JSON
reply, a query or an option of a command, and such values wherever else they come. Of headers only a few harmless ones
are kept; what was sent to the array over HTTP is not recorded at all. Commands typed into an interactive shell are not
recorded.
"""

from __future__ import annotations

import base64
import contextlib
import json
import threading
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import paramiko
import requests
from requests.adapters import HTTPAdapter

from delfin.access import sounds_secret
from delfin.common.masking import MASK, Masker
from delfin.drivers.compliance.replay import without_secrets
from delfin.drivers.compliance.replay_ssh import masked, split
from delfin.drivers.kit.files import Files, OpenChannel
from delfin.drivers.utils import ssh_connection

_OWNER = 'recording'
_HEADERS = ('Content-Type', 'Retry-After', 'Location')
_LOGIN = {'host': '127.0.0.1', 'username': 'recorded', 'password': 'recorded'}
_STATUS_SECONDS = 1.0


class Recorder:
    """While it is open, it notes the replies to all `requests` sessions, and the answers to all commands over SSH and
    files read there, of this process; then it writes them down.
    """

    def __init__(self, folder: str | Path, masker: Masker) -> None:
        self.folder = Path(folder)
        self._masker = masker
        self._replies: list[dict[str, Any]] = []
        self._commands: list[dict[str, Any]] = []
        self._files: dict[str, bytes] = {}
        self._lock = threading.Lock()
        self._open = contextlib.ExitStack()

    @property
    def count(self) -> int:
        """How many replies there are."""
        return len(self._replies) + len(self._commands) + len(self._files)

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)      # rather now than after an hour
        self._watch_http()
        self._watch_commands()
        self._watch_files()
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()
        for reply in self._replies:         # all of them first: a token that comes late may stand in the first one
            self._masker.learn(_OWNER, _secrets_in(reply))
        for command in self._commands:
            self._masker.learn(_OWNER, _secrets_of(command['command']))
        access: dict[str, Any] = {}
        if self._replies or not (self._commands or self._files):
            access['rest'] = {**_LOGIN, 'port': 443}
            _write(self.folder / 'replies.json', [self._scrubbed(reply) for reply in self._replies])
        if self._commands or self._files:
            access['ssh'] = {**_LOGIN, 'port': 22}
            _write(self.folder / 'commands.json', [self._clean(each) for each in self._commands])
            _write(self.folder / 'files.json', [self._file(*each) for each in self._files.items()])
        _write(self.folder / 'access.json', access)

    # --- noting ---

    def _watch_http(self) -> None:
        plain, note = HTTPAdapter.send, self._note

        def send(adapter: HTTPAdapter, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> Any:
            response = plain(adapter, request, *args, **kwargs)
            note(request, response)
            return response
        self._replace(HTTPAdapter, 'send', send)

    def _watch_commands(self) -> None:
        """A channel is given its command, and read to the end in one place: `ssh_connection.collect`."""
        execute, collect = paramiko.Channel.exec_command, ssh_connection.collect
        commands: weakref.WeakKeyDictionary[paramiko.Channel, str] = weakref.WeakKeyDictionary()

        def exec_command(channel: paramiko.Channel, command: Any) -> None:
            commands[channel] = command if isinstance(command, str) else bytes(command).decode('utf-8', 'replace')
            execute(channel, command)

        def collected(channel: paramiko.Channel, *args: Any, **kwargs: Any) -> tuple[bytes, bytes]:
            stdout, stderr = collect(channel, *args, **kwargs)
            channel.status_event.wait(_STATUS_SECONDS)
            with self._lock:
                self._commands.append({
                    'command': commands.get(channel, ''), 'stdout': stdout.decode('utf-8', 'backslashreplace'),
                    'stderr': stderr.decode('utf-8', 'backslashreplace'), 'status': max(0, channel.exit_status)})
            return stdout, stderr
        self._replace(paramiko.Channel, 'exec_command', exec_command)
        self._replace(ssh_connection, 'collect', collected)

    def _watch_files(self) -> None:
        read = Files.read

        def noted(files: Files, transport: paramiko.Transport, open_channel: OpenChannel, path: str,
                  seconds: float) -> bytes | None:
            content = read(files, transport, open_channel, path, seconds)
            if content is not None:
                with self._lock:
                    self._files[path] = content
            return content
        self._replace(Files, 'read', noted)

    def _replace(self, owner: Any, name: str, new: Any) -> None:
        self._open.callback(setattr, owner, name, getattr(owner, name))
        setattr(owner, name, new)

    def _note(self, request: requests.PreparedRequest, response: requests.Response) -> None:
        parts = urlsplit(str(request.url))
        try:
            body = response.json()
        except requests.JSONDecodeError:
            body = response.text
        with self._lock:
            self._replies.append({
                'method': request.method, 'path': f'{parts.path}?{parts.query}' if parts.query else parts.path,
                'status': response.status_code,
                'headers': {name: response.headers[name] for name in _HEADERS if name in response.headers},
                'body': body})

    def _scrubbed(self, reply: Mapping[str, Any]) -> dict[str, Any]:
        return {**reply, 'path': self._masker.mask(without_secrets(reply['path'])),
                'headers': self._clean(reply['headers']), 'body': self._clean(reply['body'])}

    def _file(self, path: str, content: bytes) -> dict[str, str]:
        try:
            return {'path': path, 'content': self._masker.mask(content.decode())}
        except UnicodeDecodeError:
            return {'path': path, 'base64': base64.b64encode(content).decode()}

    def _clean(self, value: Any, name: str = '') -> Any:
        if isinstance(value, dict):
            return {known: self._clean(each, known) for known, each in value.items()}
        if isinstance(value, list):
            return [self._clean(each, name) for each in value]
        if isinstance(value, str):
            return MASK if value and sounds_secret(name) else self._masker.mask(value)
        return value


def _secrets_in(reply: Mapping[str, Any]) -> Iterator[str]:
    yield from _texts(reply['body'])
    for name, value in parse_qsl(urlsplit(reply['path']).query):
        if sounds_secret(name):
            yield value


def _secrets_of(command: str) -> Iterator[str]:
    words = split(command)
    for word, shown in zip(words, masked(words), strict=True):
        if shown != word:
            yield word


def _texts(value: Any, name: str = '') -> Iterator[str]:
    if isinstance(value, dict):
        for known, each in value.items():
            yield from _texts(each, known)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each, name)
    elif isinstance(value, str) and sounds_secret(name):
        yield value


def _write(path: Path, document: Any) -> None:
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + '\n', 'utf-8')
