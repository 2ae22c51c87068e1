# SPDX-License-Identifier: Apache-2.0
"""Cross-origin requests of browsers: only from the origins that the operator listed, by default from none."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import webob

from delfin.api.backend import BACKEND
from delfin.api.middleware import REQUEST_ID, App, Environ, Filter, Headers, StartResponse

_METHODS = 'GET, HEAD, POST, PUT, PATCH, DELETE'
_REQUEST_HEADERS = f'Content-Type, If-None-Match, {REQUEST_ID}'
_ANSWER_HEADERS = f'Allow, ETag, Location, Retry-After, X-Next-Marker, X-Total-Count, {REQUEST_ID}'
_PREFLIGHT_SECONDS = '600'


def cors_factory(global_conf: dict[str, str], **local_conf: str) -> Filter:
    """Filter: answers preflights of listed origins and lets their pages read the answers.

    Other origins are neither refused nor answered differently: without the headers the browser keeps the answer from
    the page. Credentials are never allowed, since the API has none that a browser would add by itself.
    """
    def make(app: App) -> App:
        def cors(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
            allowed = environ[BACKEND].cors_allowed_origins
            if not allowed:
                return app(environ, start_response)
            origin = environ.get('HTTP_ORIGIN', '')
            listed = origin in allowed

            def start(status: str, headers: Headers, exc_info: Any = None) -> Any:
                return start_response(status, _with_cors(headers, origin if listed else None), exc_info)

            return (_preflight() if listed and _is_preflight(environ) else app)(environ, start)
        return cors
    return make


def _with_cors(headers: Headers, origin: str | None) -> Headers:
    """Headers that let pages of a listed `origin` read the answer; caches must tell origins apart in any case."""
    vary = [value for name, value in headers if name == 'Vary']
    headers = [(name, value) for name, value in headers if name != 'Vary']
    headers.append(('Vary', ', '.join([*vary, 'Origin'])))
    if origin is not None:
        headers += [('Access-Control-Allow-Origin', origin), ('Access-Control-Expose-Headers', _ANSWER_HEADERS)]
    return headers


def _is_preflight(environ: Environ) -> bool:
    return environ['REQUEST_METHOD'] == 'OPTIONS' and 'HTTP_ACCESS_CONTROL_REQUEST_METHOD' in environ


def _preflight() -> webob.Response:
    """What the browser may ask; whether the path knows the method is for the request itself to find out."""
    answer = webob.Response(status=204)
    answer.headers.update({
        'Access-Control-Allow-Methods': _METHODS, 'Access-Control-Allow-Headers': _REQUEST_HEADERS,
        'Access-Control-Max-Age': _PREFLIGHT_SECONDS})
    return answer
