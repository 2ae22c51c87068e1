# SPDX-License-Identifier: Apache-2.0
"""From a path to a controller. The only module that knows the routing library."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import routes
import webob

from delfin import exception
from delfin.api import wsgi
from delfin.api.middleware import Environ, StartResponse
from delfin.api.operations import Action, operations

_FORMAT_SUFFIX = '.json'
_NOT_A_SUFFIX = '/openapi.json'


def app_factory(global_conf: dict[str, str], **local_conf: str) -> Router:
    """PasteDeploy's entry."""
    return Router()


class Router:
    """The application behind the filters."""

    def __init__(self) -> None:
        self._actions: dict[str, dict[str, Action]] = {}
        self._mapper = routes.Mapper(controller_scan=None, register=False)
        self._mapper.minimization = False
        for operation in operations():
            if operation.path not in self._actions:
                self._mapper.connect(None, operation.path, path=operation.path)
            actions = self._actions.setdefault(operation.path, {})
            actions[operation.method] = operation.action
            if operation.method == 'GET':
                actions['HEAD'] = operation.action
        self._mapper.create_regs([])

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Dispatch. No such path is 404, no such method 405 with the methods there are."""
        request = webob.Request(environ)
        return self._answer(request)(environ, start_response)

    def _answer(self, request: webob.Request) -> webob.Response:
        match = self._match(request)
        if match is None:
            raise exception.NotFound(message='There is no such path.')
        actions = self._actions[match.pop('path')]
        action = actions.get(request.method)
        if action is None:
            allowed = ', '.join(sorted(actions))
            if request.method == 'OPTIONS':
                return wsgi.answer(200, headers={'Allow': allowed})
            raise exception.MethodNotAllowed(request.method[:32], allowed)
        answer = action(wsgi.Request(request), **match)
        if request.method in ('GET', 'HEAD') and answer.status_int == 200:
            tag = hashlib.sha256(answer.body).hexdigest()[:24]      # processors have instructions for it
            # May be kept, must be asked about.
            answer.headerlist += [('ETag', f'"{tag}"'), ('Cache-Control', 'no-cache'), ('Vary', 'Accept')]
            answer.conditional_response = 'HTTP_IF_NONE_MATCH' in request.environ       # WebOb then answers 304
        return answer

    def _match(self, request: webob.Request) -> dict[str, str] | None:
        try:
            path = request.path_info
        except UnicodeDecodeError:
            raise exception.MalformedRequestUrl(message='The path is not valid UTF-8.') from None
        if '\0' in path:
            raise exception.MalformedRequestUrl(message='The path contains a NUL character.')
        path = path.rstrip('/') or '/'
        if not path.endswith(_NOT_A_SUFFIX):
            path = path.removesuffix(_FORMAT_SUFFIX)
        found = self._mapper.match(path)
        return None if found is None else {name: value for name, value in found.items()
                                           if name not in ('action', 'controller')}
