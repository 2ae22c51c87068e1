# SPDX-License-Identifier: Apache-2.0
"""A request and an answer in JSON: parsing with limits, bodies, query parameters."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import webob

from delfin import exception
from delfin.api.backend import BACKEND, Backend
from delfin.api.middleware import CONTEXT
from delfin.common import json
from delfin.context import RequestContext
from delfin.kinds import BIGINT_MAX, Column, ColumnType

_MAX_DEPTH = 20
_MAX_OFFSET = 2**31 - 1
_TRUE, _FALSE = ('true', '1'), ('false', '0')


class Request:
    """What a controller sees of a request."""

    def __init__(self, request: webob.Request) -> None:
        self._request = request
        self.context: RequestContext = request.environ[CONTEXT]
        self.backend: Backend = request.environ[BACKEND]
        self._max_body_bytes = self.backend.conf.api.max_body_kb * 1024

    @property
    def max_limit(self) -> int:
        """Most rows of one answer."""
        return int(self.backend.conf.api.max_limit)

    def json(self) -> Any:
        """The body; `None` when there is none. 400, 413 or 415 for everything that is no JSON document."""
        length = self._request.content_length
        if length is not None and length > self._max_body_bytes:
            raise exception.RequestBodyTooLarge(self._max_body_bytes)
        body = self._request.body_file.read(self._max_body_bytes + 1)
        if len(body) > self._max_body_bytes:
            raise exception.RequestBodyTooLarge(self._max_body_bytes)
        if not body.strip():
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
        """For calls without arguments: an empty body, `null` and `{}` are welcome, anything else is 400."""
        if self.json() not in (None, {}):
            raise exception.BadRequest(message='This call takes no body.')

    def query(self) -> dict[str, str]:
        """Query parameters; the last of a repeated one counts. 400 for text that is not UTF-8."""
        try:
            parameters = dict(self._request.GET)
        except UnicodeDecodeError:
            raise exception.MalformedRequestUrl(message='The query string is not valid UTF-8.') from None
        if any('\0' in text for item in parameters.items() for text in item):
            raise exception.MalformedRequestUrl(message='The query string contains a NUL character.')
        return parameters


def answer(status: int, body: Any = None, headers: dict[str, str] | None = None) -> webob.Response:
    """A JSON answer; without body it is empty."""
    result = webob.Response(status=status, content_type='application/json', charset='UTF-8')
    if body is not None:
        result.body = json.dumps(body)
    result.headers.update(headers or {})
    return result


def page(query: dict[str, str], max_limit: int) -> tuple[int, int]:
    """Take (limit, offset) out of the query; a larger limit than allowed is cut to it."""
    limit = _integer(query.pop('limit', str(max_limit)), 'limit')
    offset = _integer(query.pop('offset', '0'), 'offset')
    if offset > _MAX_OFFSET:
        raise exception.InvalidInput(f'offset must be at most {_MAX_OFFSET}.')
    return min(limit, max_limit), offset


def filters(query: dict[str, str], columns: Collection[Column], fixed: Collection[str] = ()) -> dict[str, Any]:
    """Equality filters from what is left of the query; an unknown name is 400 and the error lists the known ones."""
    by_name = {column.name: column for column in columns}
    result = {}
    for name, text in query.items():
        if name not in by_name or name in fixed:
            known = ', '.join(sorted(set(by_name) - set(fixed)))
            raise exception.InvalidInput(f'Unknown filter {name[:64]!r}. Known are: limit, offset, {known}.')
        result[name] = _READ[by_name[name].type](text, name)
    return result


def _integer(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 19 or int(text) > BIGINT_MAX:
        raise exception.InvalidInput(f'{name} must be a whole number from 0 to {BIGINT_MAX}.')
    return int(text)


def _boolean(text: str, name: str) -> bool:
    word = text.lower()
    if word not in _TRUE + _FALSE:
        raise exception.InvalidInput(f'{name} must be true or false.')
    return word in _TRUE


_READ: dict[ColumnType, Callable[[str, str], Any]] = {
    ColumnType.TEXT: lambda text, name: text,
    ColumnType.INTEGER: _integer,
    ColumnType.BOOLEAN: _boolean,
}


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
