# SPDX-License-Identifier: Apache-2.0
"""Cross-origin requests of browsers: only from the origins that the operator listed, by default from none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import webob
import webob.dec

from delfin.api.backend import BACKEND
from delfin.api.middleware import REQUEST_ID

App = Callable[..., Any]

_METHODS = 'GET, HEAD, POST, PUT, PATCH, DELETE'
_REQUEST_HEADERS = f'Content-Type, If-None-Match, {REQUEST_ID}'
_ANSWER_HEADERS = f'Allow, ETag, Location, Retry-After, X-Next-Marker, X-Total-Count, {REQUEST_ID}'
_PREFLIGHT_SECONDS = '600'


def cors_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[App], App]:
    """Filter: answers preflights of listed origins and lets their pages read the answers.

    Other origins are neither refused nor answered differently: without the headers the browser keeps the answer from
    the page. Credentials are never allowed, since the API has none that a browser would add by itself.
    """
    def make(app: App) -> App:
        @webob.dec.wsgify
        def cors(request: webob.Request) -> webob.Response:
            allowed = request.environ[BACKEND].conf.api.cors_allowed_origins
            if not allowed:
                return request.get_response(app)
            origin = request.headers.get('Origin', '')
            listed = origin in allowed
            answer = _preflight() if listed and _is_preflight(request) else request.get_response(app)
            answer.vary = (*(answer.vary or ()), 'Origin')
            if listed:
                answer.headers['Access-Control-Allow-Origin'] = origin
                answer.headers['Access-Control-Expose-Headers'] = _ANSWER_HEADERS
            return answer
        return cors
    return make


def _is_preflight(request: webob.Request) -> bool:
    return request.method == 'OPTIONS' and 'Access-Control-Request-Method' in request.headers


def _preflight() -> webob.Response:
    """What the browser may ask; whether the path knows the method is for the request itself to find out."""
    answer = webob.Response(status=204)
    answer.headers.update({
        'Access-Control-Allow-Methods': _METHODS, 'Access-Control-Allow-Headers': _REQUEST_HEADERS,
        'Access-Control-Max-Age': _PREFLIGHT_SECONDS})
    return answer
