# SPDX-License-Identifier: Apache-2.0
"""`/healthcheck` (the process is alive) and `/readiness` (it can do its work), for supervisors and load balancers."""

from __future__ import annotations

from collections.abc import Iterable

import webob
from sqlalchemy.exc import SQLAlchemyError

from delfin import exception
from delfin.api.backend import BACKEND, Backend
from delfin.api.middleware import HEALTH_PATHS, App, Environ, Filter, StartResponse, path_of
from delfin.common import json
from delfin.common.text import first_line
from delfin.context import get_admin_context

_OK = 'ok'


def health_factory(global_conf: dict[str, str], **local_conf: str) -> Filter:
    """Filter that answers the two paths itself and passes everything else on."""
    def make(app: App) -> App:
        def health(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
            if path_of(environ) not in HEALTH_PATHS or environ['REQUEST_METHOD'] not in ('GET', 'HEAD'):
                return app(environ, start_response)
            if path_of(environ) == '/healthcheck':
                return _answer(200, {'status': _OK})(environ, start_response)
            checks = readiness(environ[BACKEND])
            ready = all(result == _OK for result in checks.values())
            answer = _answer(200 if ready else 503, {'status': _OK if ready else 'not ready', **checks})
            return answer(environ, start_response)
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
    except SQLAlchemyError:         # it stands there which services there are
        checks['rpc'] = 'unknown'
    return checks


def _answer(status: int, body: dict[str, str]) -> webob.Response:
    return webob.Response(status=status, body=json.dumps(body), content_type='application/json', charset='UTF-8')
