# SPDX-License-Identifier: Apache-2.0
"""A request and an answer in JSON: parsing with limits, bodies, query parameters."""

from __future__ import annotations

from typing import Any

import webob

from delfin import exception
from delfin.api.backend import BACKEND, Backend
from delfin.api.middleware import CONTEXT
from delfin.common import json
from delfin.context import RequestContext

JSON_TYPE = 'application/json'

_MAX_DEPTH = 20
_NOTHING = (b'null', b'{}')


class Request:
    """What a controller sees of a request."""

    def __init__(self, request: webob.Request) -> None:
        self._request = request
        self.context: RequestContext = request.environ[CONTEXT]
        self.backend: Backend = request.environ[BACKEND]

    @property
    def max_limit(self) -> int:
        """Most rows of one answer."""
        return int(self.backend.conf.api.max_limit)

    def json(self, *, optional: bool = False) -> Any:
        """The body; `None` when there is none. 400, 413 or 415 for everything that is no JSON document.

        Where a body is `optional`, `null` and `{}` are welcome by any name, as with `no_body`.
        """
        body = self._read()
        if not body or (optional and body.strip() in _NOTHING):
            return None
        content_type = (self._request.content_type or '').lower()
        if content_type != 'application/json':
            raise exception.InvalidContentType(content_type or 'missing')
        try:
            document = json.loads(body)
        except json.JSONDecodeError as error:
            # Without the text around the place: it may hold a password.
            raise exception.MalformedRequestBody(f'not JSON at line {error.lineno}, column {error.colno}') from None
        _check_tree(document)
        return document

    def no_body(self) -> None:
        """For calls without arguments: an empty body, `null` and `{}` are welcome by any name, anything else is 400."""
        body = self._read()
        if body and body.strip() not in _NOTHING:
            raise exception.BadRequest(message='This call takes no body.')

    def _read(self) -> bytes:
        length, largest = self._request.content_length, self.backend.conf.api.max_body_kb * 1024
        if length is not None and length > largest:
            raise exception.RequestBodyTooLarge(largest)
        body: bytes = self._request.body_file.read(largest + 1)
        if len(body) > largest:
            raise exception.RequestBodyTooLarge(largest)
        return body

    def query(self) -> dict[str, list[str]]:
        """Query parameters with all their values. 400 for text that is not UTF-8."""
        parameters: dict[str, list[str]] = {}
        if not self._request.environ.get('QUERY_STRING'):
            return parameters
        try:
            for name, value in self._request.GET.items():
                parameters.setdefault(name, []).append(value)
        except UnicodeDecodeError:
            raise exception.MalformedRequestUrl(message='The query string is not valid UTF-8.') from None
        if any('\0' in text for name, values in parameters.items() for text in (name, *values)):
            raise exception.MalformedRequestUrl(message='The query string contains a NUL character.')
        return parameters

    def prefers(self, content_type: str) -> bool:
        """Whether the client would rather have `content_type` than JSON."""
        accept = self._request.accept
        if not self._request.headers.get('Accept'):
            return False
        best = accept.acceptable_offers(['application/json', content_type])
        return bool(best) and best[0][0] == content_type


def answer(status: int, body: Any = None, headers: dict[str, str] | None = None) -> webob.Response:
    """A JSON answer; without body it is empty."""
    content = b'' if body is None else json.dumps(body)
    return webob.Response(content, status, [
        ('Content-Type', JSON_TYPE), ('Content-Length', str(len(content))), *(headers or {}).items()])


def _check_tree(document: Any) -> None:
    """No NUL, no lone surrogate, no deep nesting: nothing that a later stage would stumble over."""
    todo = [(document, 0)]
    while todo:
        value, depth = todo.pop()
        if depth > _MAX_DEPTH:
            raise exception.MalformedRequestBody(f'nested deeper than {_MAX_DEPTH} levels')
        if isinstance(value, str) and '\0' in value:
            raise exception.MalformedRequestBody('text with a NUL character')
        if isinstance(value, dict):
            todo += [(name, depth + 1) for name in value] + [(item, depth + 1) for item in value.values()]
        elif isinstance(value, list):
            todo += [(item, depth + 1) for item in value]
