# SPDX-License-Identifier: Apache-2.0
"""Storages: register, list, show, label, delete, sync, capabilities, and the record of syncs."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import webob

from delfin import access, exception
from delfin.api import listing, wsgi
from delfin.api.backend import Backend
from delfin.api.schemas import storages as schemas
from delfin.db import alerts, engine, runs, storages
from delfin.kinds import STORAGE_COLUMNS, STORAGE_LABELS, Column

# The task service must store a registration so much earlier than the API gives up.
ANSWER_SECONDS = 3

COLUMNS = (Column('id'), *STORAGE_COLUMNS, *STORAGE_LABELS)
SHOWN = ('id', 'created_at', 'updated_at', *(column.name for column in STORAGE_COLUMNS), *storages.LABELS,
         *storages.SETTINGS, 'sync_status', 'failed_kinds', 'last_sync_at', 'last_contact_at', 'reachable',
         'quarantined_until', 'extra', 'deleted_at', 'deleted')
_SYNC_STATUS = {'pending': 'SYNCING', 'running': 'SYNCING', 'failed': 'FAILED'}


def view(row: dict[str, Any]) -> dict[str, Any]:
    """A storage as clients see it. `deleted` and `deleted_at` are there because existing clients know them."""
    row = dict(row)
    row['failed_kinds'] = sorted(row['failed_kinds'].split(',')) if row['failed_kinds'] else []
    row['sync_status'] = _SYNC_STATUS.get(row.pop('last_run_state'), 'FAILED' if row['failed_kinds'] else 'SYNCED')
    row['reachable'] = storages.REACHABLE[row.pop('last_answer')]
    row |= {'deleted_at': None, 'deleted': False, 'tags': row['tags'] or []}
    return {name: row[name] for name in SHOWN}


def deadline(backend: Backend) -> str:
    """Until when the task service may still store the outcome of a call: on the database's clock, RFC 3339."""
    seconds = max(1, backend.conf.rpc.timeout_seconds - ANSWER_SECONDS)
    with backend.database.read() as connection:
        return (engine.now(connection) + timedelta(seconds=seconds)).isoformat()


class StorageController:
    """`/v1/storages`."""

    def index(self, request: wsgi.Request) -> webob.Response:
        """A page of storages."""
        rules = listing.ListRules(COLUMNS, SHOWN, {}, request.max_limit)
        wanted = rules.parse(request)
        with request.backend.database.read() as connection:
            try:
                page = storages.listing(connection, wanted.query)
            except exception.NotFound as error:         # the marker
                raise exception.StorageNotFound(wanted.query.marker, message=error.msg) from None
        page.rows[:] = [view(row) for row in page.rows]
        return listing.answer(request, 'storages', page, rules, wanted)

    def show(self, request: wsgi.Request, id: str) -> webob.Response:
        """One storage."""
        listing.no_more(request.query())
        return wsgi.answer(200, view(storages.show(request.backend.database, id)))

    def create(self, request: wsgi.Request) -> webob.Response:
        """Register an array: the task service logs in and asks who it is, then its inventory is fetched."""
        query = request.query()
        listing.no_more(query, 'dry_run')
        body = schemas.registration(request.json())
        storage_id = str(uuid.uuid4())
        # All extra attributes travel sealed; the task service knows which of them its driver calls secret.
        sealed = access.seal(body, storage_id, request.backend.keyring, lambda name: True)
        if listing.boolean(query.get('dry_run', ['false'])[-1], 'dry_run'):
            return wsgi.answer(200, request.backend.tasks.probe_storage(request.context, storage_id, sealed))
        failure: exception.ServiceUnavailable | None = None
        try:
            request.backend.tasks.register_storage(request.context, storage_id, sealed, deadline(request.backend))
        except exception.ServiceUnavailable as error:
            failure = error         # perhaps only the answer was lost: by now the deadline decides, look
        with request.backend.database.read() as connection:
            try:
                row = storages.get(connection, storage_id)
            except exception.StorageNotFound:
                raise failure or exception.StorageNotFound(storage_id) from None
        return wsgi.answer(201, view(row), {'Location': f'/v1/storages/{storage_id}'})

    def update(self, request: wsgi.Request, id: str) -> webob.Response:
        """Change labels (display name, note, site, tags) and settings of a storage. What is not given stays."""
        listing.no_more(request.query())
        values = schemas.labels(request.json())
        with request.backend.database.write() as connection:
            if 'maintenance' in values:     # first: whoever changes alerts locks them before the storage's row
                alerts.set_muted(connection, id, values['maintenance'])
            if values:
                storages.set_labels(connection, id, values)
            row = storages.get(connection, id)
        return wsgi.answer(200, view(row))

    def delete(self, request: wsgi.Request, id: str) -> webob.Response:
        """Hide a storage at once; the task service logs out of it and purges its rows."""
        listing.no_more(request.query())
        request.no_body()
        with request.backend.database.write('hide') as connection:
            storages.hide(connection, id)
        request.backend.tasks.look_for_work(request.context)
        return wsgi.answer(202)

    def sync(self, request: wsgi.Request, id: str) -> webob.Response:
        """Sync one storage, or join the sync that is under way."""
        listing.no_more(request.query())
        kinds, force = schemas.sync_request(request.json(optional=True))
        with request.backend.database.write('request') as connection:
            storages.require(connection, id)
            run_id = runs.request(connection, id, kinds, runs.API, force=force)
        request.backend.tasks.look_for_work(request.context)
        return wsgi.answer(202, {'id': run_id, 'storage_id': id}, {'Location': f'/v1/storages/{id}/syncs/latest'})

    def sync_all(self, request: wsgi.Request) -> webob.Response:
        """Sync every storage that is not being synced already."""
        listing.no_more(request.query())
        request.no_body()
        with request.backend.database.write('request-all') as connection:
            runs.request_all(connection)
        request.backend.tasks.look_for_work(request.context)
        return wsgi.answer(202)

    def syncs(self, request: wsgi.Request, id: str) -> webob.Response:
        """The recorded syncs of a storage, newest first."""
        query = request.query()
        listing.no_more(query, 'limit', 'offset')
        limit = listing.whole_number(query.get('limit', ['50'])[-1], 'limit')
        offset = listing.whole_number(query.get('offset', ['0'])[-1], 'offset', listing.MAX_OFFSET)
        with request.backend.database.read() as connection:
            storages.require(connection, id)
            found = runs.listing(connection, id, min(limit, request.max_limit), offset)
        return wsgi.answer(200, {'syncs': found})

    def latest_sync(self, request: wsgi.Request, id: str) -> webob.Response:
        """The newest sync of a storage, with live progress."""
        listing.no_more(request.query())
        with request.backend.database.read() as connection:
            storages.require(connection, id)
            found = runs.listing(connection, id, 1, 0)
        if not found:
            raise exception.SyncRunNotFound('latest')
        return wsgi.answer(200, found[0])

    def capabilities(self, request: wsgi.Request, id: str) -> webob.Response:
        """What of a storage can be measured, by the word of its driver, and what of that does not count."""
        listing.no_more(request.query())
        with request.backend.database.read() as connection:
            row = storages.get(connection, id)
        found = request.backend.tasks.get_capabilities(request.context, id)
        return wsgi.answer(200, {'metadata': {'vendor': row['vendor'], 'model': row['model']}, **found})


class AccessInfoController:
    """`/v1/access-infos` and `/v1/storages/{id}/access-info`."""

    def index(self, request: wsgi.Request) -> webob.Response:
        """The access information of every storage, without secrets."""
        listing.no_more(request.query())
        with request.backend.database.read() as connection:
            rows = storages.all_access(connection)
        return wsgi.answer(200, {'access_infos': [access.without_secrets(row) for row in rows]})

    def show(self, request: wsgi.Request, id: str) -> webob.Response:
        """How one storage is reached, without secrets."""
        listing.no_more(request.query())
        with request.backend.database.read() as connection:
            storages.require(connection, id)
            return wsgi.answer(200, access.without_secrets(storages.access(connection, id)))

    def update(self, request: wsgi.Request, id: str) -> webob.Response:
        """Change how a storage is reached. The array is asked first: it must be the same one."""
        listing.no_more(request.query())
        body = schemas.access_update(request.json())
        with request.backend.database.read() as connection:
            storages.require(connection, id)
        sealed = access.seal(body, id, request.backend.keyring, lambda name: True)
        request.backend.tasks.update_access_info(request.context, id, sealed, deadline(request.backend))
        return self.show(request, id)


class DriverController:
    """`/v1/drivers`."""

    def index(self, request: wsgi.Request) -> webob.Response:
        """Every declared driver; those that cannot be used say why."""
        listing.no_more(request.query())
        return wsgi.answer(200, {'drivers': request.backend.tasks.list_drivers(request.context)})

    def show(self, request: wsgi.Request, vendor: str, model: str) -> webob.Response:
        """One driver with its options and capabilities."""
        listing.no_more(request.query())
        return wsgi.answer(200, request.backend.tasks.get_driver(request.context, vendor, model))
