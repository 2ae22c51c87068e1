# SPDX-License-Identifier: Apache-2.0
"""`/healthcheck` (the process is alive) and `/readiness` (it can do its work), for supervisors and load balancers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import webob
import webob.dec
from sqlalchemy.exc import SQLAlchemyError

from delfin import exception
from delfin.api.backend import BACKEND, Backend
from delfin.api.middleware import HEALTH_PATHS, path_of
from delfin.common import json
from delfin.context import get_admin_context
from delfin.service import first_line

App = Callable[..., Any]
_OK = 'ok'


def health_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[App], App]:
    """Filter that answers the two paths itself and passes everything else on."""
    def make(app: App) -> App:
        @webob.dec.wsgify
        def health(request: webob.Request) -> webob.Response:
            if path_of(request) not in HEALTH_PATHS or request.method not in ('GET', 'HEAD'):
                return request.get_response(app)
            if path_of(request) == '/healthcheck':
                return _answer(200, {'status': _OK})
            checks = readiness(request.environ[BACKEND])
            ready = all(result == _OK for result in checks.values())
            return _answer(200 if ready else 503, {'status': _OK if ready else 'not ready', **checks})
        return health
    return make


def readiness(backend: Backend) -> dict[str, str]:
    """'ok' or what is wrong, for `database`, `migrations` and `rpc`."""
    checks = {}
    try:
        problem = backend.schema.problem()
        checks['database'] = _OK
        checks['migrations'] = problem or _OK
    except SQLAlchemyError as error:
        checks['database'] = first_line(error)
        checks['migrations'] = 'unknown'
    try:
        backend.tasks.ping(get_admin_context(), backend.conf.api.ready_timeout_seconds)
        checks['rpc'] = _OK
    except exception.DelfinException as error:
        checks['rpc'] = error.msg
    return checks


def _answer(status: int, body: dict[str, str]) -> webob.Response:
    return webob.Response(status=status, body=json.dumps(body), content_type='application/json', charset='UTF-8')
