# SPDX-License-Identifier: Apache-2.0
"""WSGI filters of the pipeline in etc/delfin/api-paste.ini."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from typing import Any

import webob
import webob.dec

from delfin import exception
from delfin.api import errors
from delfin.context import RequestContext
from delfin.db import is_away

LOG = logging.getLogger(__name__)

App = Callable[..., Any]

REQUEST_ID = 'X-Request-Id'
_PEER_REQUEST_ID = 'x-compute-request-id'       # the name that clients of SODA Delfin read
HEALTH_PATHS = ('/healthcheck', '/readiness')        # asked every few seconds: no news in the log
CONTEXT = 'delfin.context'
_GOOD_ID = re.compile(r'[A-Za-z0-9._-]{1,64}')


def request_id_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[App], App]:
    """Filter: a request id (the client's, if it sent a sensible one) in context, log and answer."""
    def make(app: App) -> App:
        @webob.dec.wsgify
        def request_id(request: webob.Request) -> webob.Response:
            started = time.monotonic()
            given = request.headers.get(REQUEST_ID, '')
            known = {'request_id': given} if _GOOD_ID.fullmatch(given) else {}
            context = RequestContext(is_admin=True, **known)
            context.update_store()      # oslo.log finds it there
            request.environ[CONTEXT] = context
            answer = request.get_response(app)
            answer.headers[REQUEST_ID] = answer.headers[_PEER_REQUEST_ID] = context.request_id
            level = logging.DEBUG if path_of(request) in HEALTH_PATHS else logging.INFO
            LOG.log(level, '%s %s %s %d %d bytes %.1f ms', request.remote_addr, _printable(request.method),
                    _printable(path_of(request)), answer.status_int, answer.content_length or 0,
                    (time.monotonic() - started) * 1000)
            return answer
        return request_id
    return make


def faults_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[App], App]:
    """Filter: every exception becomes an error answer of one shape."""
    def make(app: App) -> App:
        @webob.dec.wsgify
        def faults(request: webob.Request) -> webob.Response:
            request_id = request.environ[CONTEXT].request_id
            try:
                return request.get_response(app)
            except exception.DelfinException as error:
                if errors.status_of(error) == 500:
                    LOG.error('%s %s failed: %s', _printable(request.method), _printable(path_of(request)), error.msg)
                return errors.response(error, request_id)
            except Exception as error:      # the last net: our own bugs
                if is_away(error):
                    LOG.error('the database cannot be used: %s', str(error).splitlines()[0])
                    return errors.response(exception.ServiceUnavailable(
                        'the database cannot be reached; try again later'), request_id)
                LOG.exception('%s %s failed', _printable(request.method), _printable(path_of(request)))
                return errors.response(exception.DelfinException(
                    message='An internal error occurred. The log names it under the request id.'), request_id)
        return faults
    return make


def path_of(request: webob.Request) -> str:
    """The path as it came, whatever bytes it is made of (WebOb's own insists on UTF-8)."""
    return str(request.environ.get('PATH_INFO', ''))


def _printable(text: str) -> str:
    """Text of a client that cannot forge a log line."""
    return text[:200].encode('unicode_escape').decode('ascii')
