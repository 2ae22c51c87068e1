# SPDX-License-Identifier: Apache-2.0
"""Storages: register, list, show, delete, sync, and the record of syncs."""

from __future__ import annotations

import contextlib
import uuid
from datetime import timedelta
from typing import Any

import webob

from delfin import access, exception
from delfin.api import wsgi
from delfin.api.schemas.storages import registration
from delfin.db import engine, runs, storages
from delfin.kinds import KINDS, STORAGE_COLUMNS, Column

_COLUMNS = (Column('id'), *STORAGE_COLUMNS)
# The task service must store a registration so much earlier than the API gives up.
_ANSWER_SECONDS = 3
_SYNC_STATUS = {'pending': 'SYNCING', 'running': 'SYNCING', 'failed': 'FAILED'}


def view(row: dict[str, Any]) -> dict[str, Any]:
    """A storage as clients see it. `deleted` and `deleted_at` are there because existing clients know them."""
    shown = dict(row)
    shown['sync_status'] = _SYNC_STATUS.get(shown.pop('last_run_state'), 'SYNCED')
    return {**shown, 'deleted_at': None, 'deleted': False}


class StorageController:
    """`/v1/storages`."""

    def index(self, request: wsgi.Request) -> webob.Response:
        """A page of storages."""
        query = request.query()
        limit, offset = wsgi.page(query, request.max_limit)
        wanted = wsgi.filters(query, _COLUMNS)
        with request.backend.database.read() as connection:
            rows = storages.listing(connection, wanted, limit, offset)
        return wsgi.answer(200, {'storages': [view(row) for row in rows]})

    def show(self, request: wsgi.Request, id: str) -> webob.Response:
        """One storage."""
        with request.backend.database.read() as connection:
            return wsgi.answer(200, view(storages.get(connection, id)))

    def create(self, request: wsgi.Request) -> webob.Response:
        """Register an array: the task service logs in and asks who it is, then its inventory is fetched."""
        body = registration(request.json())
        storage_id = str(uuid.uuid4())
        # All extra attributes travel sealed; the task service knows which of them its driver calls secret.
        sealed = access.seal(body, storage_id, request.backend.keyring, lambda name: True)
        seconds = max(1, request.backend.conf.rpc.timeout_seconds - _ANSWER_SECONDS)
        with request.backend.database.read() as connection:
            deadline = engine.now(connection) + timedelta(seconds=seconds)
        failure: exception.ServiceUnavailable | None = None
        try:
            request.backend.tasks.register_storage(request.context, storage_id, sealed, deadline.isoformat())
        except exception.ServiceUnavailable as error:
            failure = error         # perhaps only the answer was lost: by now the deadline decides, look
        with request.backend.database.read() as connection:
            try:
                row = storages.get(connection, storage_id)
            except exception.StorageNotFound:
                raise failure or exception.StorageNotFound(storage_id) from None
        return wsgi.answer(201, view(row), {'Location': f'/v1/storages/{storage_id}'})

    def delete(self, request: wsgi.Request, id: str) -> webob.Response:
        """Hide a storage at once; the task service logs out of it and purges its rows."""
        request.no_body()
        with request.backend.database.write() as connection:
            storages.hide(connection, id)
        request.backend.tasks.look_for_work(request.context)
        return wsgi.answer(202)

    def sync(self, request: wsgi.Request, id: str) -> webob.Response:
        """Sync one storage, or join the sync that is under way."""
        request.no_body()
        with request.backend.database.write() as connection:
            storages.get(connection, id)
            run_id = runs.request(connection, id, KINDS.names(), 'api')
        request.backend.tasks.look_for_work(request.context)
        return wsgi.answer(202, {'id': run_id, 'storage_id': id}, {'Location': f'/v1/storages/{id}/syncs/latest'})

    def sync_all(self, request: wsgi.Request) -> webob.Response:
        """Sync every storage that is not being synced already."""
        request.no_body()
        with request.backend.database.write() as connection:
            for storage_id in storages.ids(connection):
                with contextlib.suppress(exception.StorageIsSyncing):
                    runs.request(connection, storage_id, KINDS.names(), 'api')
        request.backend.tasks.look_for_work(request.context)
        return wsgi.answer(202)

    def syncs(self, request: wsgi.Request, id: str) -> webob.Response:
        """The recorded syncs of a storage, newest first."""
        query = request.query()
        limit, offset = wsgi.page(query, request.max_limit)
        wsgi.filters(query, ())
        with request.backend.database.read() as connection:
            storages.get(connection, id)
            return wsgi.answer(200, {'syncs': runs.listing(connection, id, limit, offset)})

    def latest_sync(self, request: wsgi.Request, id: str) -> webob.Response:
        """The newest sync of a storage, with live progress."""
        with request.backend.database.read() as connection:
            storages.get(connection, id)
            found = runs.listing(connection, id, 1, 0)
        if not found:
            raise exception.SyncRunNotFound('latest')
        return wsgi.answer(200, found[0])


class DriverController:
    """`/v1/drivers`."""

    def index(self, request: wsgi.Request) -> webob.Response:
        """Every declared driver; those that cannot be used say why."""
        wsgi.filters(request.query(), ())
        return wsgi.answer(200, {'drivers': request.backend.tasks.list_drivers(request.context)})
