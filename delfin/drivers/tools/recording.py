# SPDX-License-Identifier: Apache-2.0
"""`delfin-driver record`: what an array answers over HTTP, written down without secrets.

The folder is what `delfin-compliance --replay` and `delfin.drivers.compliance.replay` take: `replies.json`, and an
`access.json` with another user and password. Cut out are the secrets of the access information in every form, what has
a name that sounds like a secret in a JSON reply or a query, and such values wherever else they come. Of headers only a
few harmless ones are kept; what was sent to the array is not recorded at all.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import requests
from requests.adapters import HTTPAdapter

from delfin.access import sounds_secret
from delfin.common.masking import MASK, Masker
from delfin.drivers.compliance.replay import without_secrets

_OWNER = 'recording'
_HEADERS = ('Content-Type', 'Retry-After', 'Location')
_ACCESS = {'rest': {'host': '127.0.0.1', 'port': 443, 'username': 'recorded', 'password': 'recorded'}}


class Recorder:
    """While it is open, it notes the replies to all `requests` sessions of this process; then it writes them down."""

    def __init__(self, folder: str | Path, masker: Masker) -> None:
        self.folder = Path(folder)
        self._masker = masker
        self._replies: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._send: Callable[..., requests.Response] = HTTPAdapter.send

    @property
    def count(self) -> int:
        """How many replies there are."""
        return len(self._replies)

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)      # rather now than after an hour
        plain, note = self._send, self._note

        def send(adapter: HTTPAdapter, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> Any:
            response = plain(adapter, request, *args, **kwargs)
            note(request, response)
            return response
        HTTPAdapter.send = send     # type: ignore[assignment]
        return self

    def __exit__(self, *error: object) -> None:
        HTTPAdapter.send = self._send       # type: ignore[method-assign]
        for reply in self._replies:         # all of them first: a token that comes late may stand in the first one
            self._masker.learn(_OWNER, _secrets_in(reply))
        _write(self.folder / 'replies.json', [self._scrubbed(reply) for reply in self._replies])
        _write(self.folder / 'access.json', _ACCESS)

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
