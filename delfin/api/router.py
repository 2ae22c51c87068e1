# SPDX-License-Identifier: Apache-2.0
"""From a path to a controller. The only module that knows the routing library."""

from __future__ import annotations

from collections.abc import Callable

import routes
import webob
import webob.dec

from delfin import exception
from delfin.api import wsgi
from delfin.api.v1.resources import ResourceController
from delfin.api.v1.storages import DriverController, StorageController
from delfin.kinds import KINDS

Action = Callable[..., webob.Response]
_VERSION_PREFIX = '/v1'
_FORMAT_SUFFIX = '.json'


def app_factory(global_conf: dict[str, str], **local_conf: str) -> Router:
    """PasteDeploy's entry."""
    return Router()


class Router:
    """The application behind the filters."""

    def __init__(self) -> None:
        self._actions: dict[str, dict[str, Action]] = {}
        self._mapper = routes.Mapper(controller_scan=None, register=False)
        self._mapper.minimization = False
        for path, actions in _table():
            self._actions[path] = {'HEAD': actions['GET'], **actions} if 'GET' in actions else actions
            self._mapper.connect(None, _VERSION_PREFIX + path, path=path)
        self._mapper.create_regs([])

    @webob.dec.wsgify
    def __call__(self, request: webob.Request) -> webob.Response:
        """Dispatch. No such path is 404, no such method 405 with the methods there are."""
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
        return action(wsgi.Request(request), **match)

    def _match(self, request: webob.Request) -> dict[str, str] | None:
        try:
            path = request.path_info
        except UnicodeDecodeError:
            raise exception.MalformedRequestUrl(message='The path is not valid UTF-8.') from None
        if '\0' in path:
            raise exception.MalformedRequestUrl(message='The path contains a NUL character.')
        path = path.rstrip('/').removesuffix(_FORMAT_SUFFIX)
        found = self._mapper.match(path) if path else None
        return None if found is None else {name: value for name, value in found.items()
                                           if name not in ('action', 'controller')}


def _table() -> list[tuple[str, dict[str, Action]]]:
    """Every path with its methods. Fixed words stand before ids."""
    storage, drivers = StorageController(), DriverController()
    table: list[tuple[str, dict[str, Action]]] = [
        ('/storages', {'GET': storage.index, 'POST': storage.create}),
        ('/storages/sync', {'POST': storage.sync_all}),
        ('/storages/{id}', {'GET': storage.show, 'DELETE': storage.delete}),
        ('/storages/{id}/sync', {'POST': storage.sync}),
        ('/storages/{id}/syncs', {'GET': storage.syncs}),
        ('/storages/{id}/syncs/latest', {'GET': storage.latest_sync}),
        ('/drivers', {'GET': drivers.index}),
    ]
    for kind in KINDS:
        controller = ResourceController(kind)
        prefix = '/storages/{storage_id}/' if kind.nested else '/'
        for name in (kind.path, *kind.aliases):
            table += [(prefix + name, {'GET': controller.index}), (f'{prefix}{name}/{{id}}', {'GET': controller.show})]
    return table
