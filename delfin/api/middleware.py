# SPDX-License-Identifier: Apache-2.0
"""WSGI filters of the pipeline in etc/delfin/api-paste.ini.

Plain WSGI on purpose: a filter with a WebOb request and answer of its own costs as much as finding the route.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterable
from typing import Any

import webob

from delfin import exception
from delfin.api import errors
from delfin.common.text import first_line
from delfin.context import RequestContext
from delfin.db import is_away

LOG = logging.getLogger(__name__)

Environ = dict[str, Any]
Headers = list[tuple[str, str]]
StartResponse = Callable[..., Any]
App = Callable[[Environ, StartResponse], Iterable[bytes]]
Filter = Callable[[App], App]

REQUEST_ID = 'X-Request-Id'
_PEER_REQUEST_ID = 'x-compute-request-id'       # the name that clients of SODA Delfin read
HEALTH_PATHS = ('/healthcheck', '/readiness')        # asked every few seconds: no news in the log
CONTEXT = 'delfin.context'
_GOOD_ID = re.compile(r'[A-Za-z0-9._-]{1,64}')


def request_id_factory(global_conf: dict[str, str], **local_conf: str) -> Filter:
    """Filter: a request id (the client's, if it sent a sensible one) in context, log and answer."""
    somebody = RequestContext(is_admin=True)

    def make(app: App) -> App:
        def request_id(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
            started = time.monotonic()
            given = environ.get('HTTP_X_REQUEST_ID', '')
            context = somebody.renewed(given if _GOOD_ID.fullmatch(given) else None)
            context.update_store()      # oslo.log finds it there
            environ[CONTEXT] = context
            code, length = '', '0'

            def start(status: str, headers: Headers, exc_info: Any = None) -> Any:
                nonlocal code, length
                code = status[:3]
                length = next((value for name, value in headers if name == 'Content-Length'), '0')
                request_ids = [(name, context.request_id) for name in (REQUEST_ID, _PEER_REQUEST_ID)]
                return start_response(status, headers + request_ids, exc_info)

            answer = app(environ, start)
            _log_access(environ, code, length, time.monotonic() - started)
            return answer
        return request_id
    return make


def _log_access(environ: Environ, code: str, length: str, seconds: float) -> None:
    level = logging.DEBUG if path_of(environ) in HEALTH_PATHS else logging.INFO
    if LOG.isEnabledFor(level):
        # A record of our own: logging would walk the stack for a place that no line shows.
        LOG.handle(logging.LogRecord(
            LOG.name, level, __file__, 0, '%s %s %s %s %s bytes %.1f ms',
            (environ.get('REMOTE_ADDR'), _printable(environ['REQUEST_METHOD']), _printable(path_of(environ)), code,
             length, seconds * 1000), None))


def faults_factory(global_conf: dict[str, str], **local_conf: str) -> Filter:
    """Filter: every exception becomes an error answer of one shape."""
    def make(app: App) -> App:
        def faults(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
            try:
                return app(environ, start_response)
            except Exception as error:
                return _fault(environ, error)(environ, start_response)
        return faults
    return make


def _fault(environ: Environ, error: Exception) -> webob.Response:
    request_id = environ[CONTEXT].request_id
    asked = f'{_printable(environ["REQUEST_METHOD"])} {_printable(path_of(environ))}'
    if isinstance(error, exception.DelfinException):
        if errors.status_of(error) == 500:
            LOG.error('%s failed: %s', asked, error.msg)
        return errors.response(error, request_id)
    if is_away(error):
        LOG.error('the database cannot be used: %s', first_line(error))
        return errors.response(exception.ServiceUnavailable(
            'the database cannot be reached; try again later'), request_id)
    LOG.exception('%s failed', asked)       # the last net: our own bugs
    return errors.response(exception.DelfinException(
        message='An internal error occurred. The log names it under the request id.'), request_id)


def path_of(environ: Environ) -> str:
    """The path as it came, whatever bytes it is made of (WebOb's own insists on UTF-8)."""
    return str(environ.get('PATH_INFO', ''))


def _printable(text: str) -> str:
    """Text of a client that cannot forge a log line."""
    return text[:200].encode('unicode_escape').decode('ascii')
