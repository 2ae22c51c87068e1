# SPDX-License-Identifier: Apache-2.0
"""Tests that are data: raw replies of an array in, rows out. A folder for each case, with

* `replies.json` for REST, `commands.json` and `files.json` for a command line: what the array answers, in the format of
  `delfin-driver record` (`compliance/replay.py`, `replay_ssh.py`), so that recorded replies of a real array are a case
  as they come. A body or an output may stand in a file beside it, named by `"file"`. Of several replies to one request
  each is given once, and the last one for ever.
* `expected.json`: `{"provenance": where the replies are from, or that they are invented, "call": name of the method,
  "arguments": behind the context, "answer": …}`, or `"error": {"is": name of the exception, "says": part of its text}`
  in place of an answer.

A vendor's tests are then

    @pytest.mark.parametrize('case', cases(Path(__file__).parent / 'data'), ids=str)
    def test_replies(case):
        with RestReplies([*LOGIN, *case.replies], place=…) as array:
            case.check(AcmeDriver(**array.arguments()))

For a command line it is `with CommandReplies(case.directory) as array`.
"""

from __future__ import annotations

import abc
import contextlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote

import pytest

from delfin import access, exception
from delfin.drivers.compliance.answers import Answers
from delfin.drivers.compliance.replay_ssh import Recorded, SshServer
from delfin.drivers.kit.simulator import Answer, Request, TlsServer, self_signed

Reply = Mapping[str, Any]
_KEYS = {'provenance', 'call', 'arguments', 'answer', 'error'}


@dataclass(frozen=True)
class Case:
    """One folder."""

    directory: Path
    provenance: str
    call: str
    arguments: list[Any]
    answer: Any = None
    error: Mapping[str, str] | None = None

    @classmethod
    def of(cls, directory: Path) -> Self:
        """AssertionError if the folder is not as it should be."""
        told = json.loads((directory / 'expected.json').read_text())
        assert told.keys() <= _KEYS, f'{directory.name}: {told.keys() - _KEYS}'
        assert told.get('provenance'), f'{directory.name}: where is it from?'
        assert ('answer' in told) != ('error' in told), f'{directory.name}: an answer, or an error'
        return cls(directory, told['provenance'], told['call'], told.get('arguments', []), told.get('answer'),
                   told.get('error'))

    @property
    def replies(self) -> list[Reply]:
        """What the array answers; none for calls that ask nothing."""
        file = self.directory / 'replies.json'
        entries = json.loads(file.read_text()) if file.exists() else []
        return [{**entry, 'body': (self.directory / entry['file']).read_text()} if 'file' in entry else entry
                for entry in entries]

    def check(self, driver: Any) -> None:
        """Make the call."""
        if self.error is not None:
            with pytest.raises(getattr(exception, self.error['is'])) as caught:
                self._said(driver)
            assert self.error['says'] in str(caught.value)
        else:
            assert self._said(driver) == self.answer

    def _said(self, driver: Any) -> Any:
        """The answer as JSON has it."""
        value = getattr(driver, self.call)(None, *self.arguments)
        plain = value if value is None or isinstance(value, Mapping) else list(value)
        return json.loads(json.dumps(plain))

    def __str__(self) -> str:
        return self.directory.name


def cases(directory: Path) -> list[Case]:
    """All below a directory."""
    found = [Case.of(each.parent) for each in sorted(directory.glob('*/expected.json'))]
    assert found, directory
    return found


class _Replies(abc.ABC):
    """A server that runs while the context is open. What had no reply fails the test at the end."""

    _server: contextlib.AbstractContextManager[Any]

    @property
    @abc.abstractmethod
    def missing(self) -> list[str]:
        """What was asked for in vain."""

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._server.__exit__(kind, error, trace)
        if error is None:
            assert self.missing == []


class CommandReplies(_Replies):
    """An SSH server that answers the commands of a folder. Commands without a reply are not found there, and fail the
    test at the end.
    """

    def __init__(self, directory: Path, *, username: str = 'monitor', password: str = 'monitor-Passw0rd') -> None:
        self._recorded = Recorded.of(directory)
        self._login = {'username': username, 'password': password}
        self._server = SshServer(self._recorded, username, password)

    @property
    def missing(self) -> list[str]:
        """Commands that had no reply."""
        return self._recorded.missing

    def arguments(self, **more: Any) -> dict[str, Any]:
        """Of a driver's constructor."""
        return access.for_driver({'vendor': 'vendor', 'model': 'model', **more, 'ssh': {
            'host': '127.0.0.1', 'port': self._server.port, 'pub_key': self._server.host_key, **self._login}}, '1', {})


class RestReplies(_Replies):
    """An HTTPS server. `place` shortens paths, of requests and of replies, so that cases need not repeat what is the
    same everywhere; queries are compared decoded. Requests without a reply are 404, and fail the test at the end.
    """

    def __init__(self, replies: Iterable[Reply], *, place: Callable[[str], str] = lambda path: path,
                 username: str = 'monitor', password: str = 'monitor-Passw0rd') -> None:
        self._place = place
        self._answers = Answers((self._name(each.get('method', 'GET'), each['path']), each) for each in replies)
        self._certificate = self_signed('127.0.0.1')
        self._server = TlsServer(self._answer, self._certificate)
        self._login = {'username': username, 'password': password}

    def arguments(self, **more: Any) -> dict[str, Any]:
        """Of a driver's constructor."""
        return access.for_driver({'vendor': 'vendor', 'model': 'model', **more, 'rest': {
            'host': self._server.host, 'port': self._server.port, 'fingerprint': self._certificate.fingerprint,
            **self._login}}, '1', {})

    @property
    def missing(self) -> list[str]:
        """Requests that had no reply."""
        return self._answers.missing

    def _name(self, method: str, path: str) -> str:
        return f'{method} {unquote(self._place(path))}'

    def _answer(self, request: Request) -> Answer:
        reply = self._answers.to(self._name(request.method, request.path))
        if reply is None:
            return Answer(b'no reply', 404)
        body = reply.get('body', '')
        return Answer(body.encode() if isinstance(body, str) else body, int(reply.get('status', 200)),
                      dict(reply.get('headers', {})))
