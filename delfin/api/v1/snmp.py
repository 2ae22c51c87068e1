# SPDX-License-Identifier: Apache-2.0
"""SNMP configuration of storages, what became of traps that are no alerts, and who alerts are handed to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
import webob

from delfin import exception
from delfin.api import listing, wsgi
from delfin.api.schemas import snmp as schemas
from delfin.db import alert_sources, alerts, exports, storages, traps
from delfin.db.alert_sources import PLACE, SECRETS
from delfin.keyring import Keyring, place
from delfin.kinds import BIGINT_MAX

SHOWN = ('created_at', 'updated_at', 'storage_id', 'host', 'version', 'username', 'security_level', 'auth_protocol',
         'privacy_protocol', 'engine_id', 'engine_id_learned', *schemas.MERGED, 'probe_state', 'probe_error',
         'probed_at')
FAILED_SHOWN = ('id', 'created_at', 'received_at', 'source', 'storage_ids', 'version', 'variables', 'error', 'node')
REJECTED_SHOWN = ('address', 'reason', 'count', 'first_at', 'last_at')
EXPORTER_SHOWN = ('stream', 'name', 'node', 'expires_at', 'events', 'waiting', 'delivered', 'dropped', 'failures',
                  'succeeded_at', 'failed_at', 'error')


def view(row: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration as clients see it: without secrets."""
    return {name: row[name] for name in SHOWN}


def _sealed(given: Mapping[str, Any], storage_id: str, keyring: Keyring) -> dict[str, Any]:
    return {name: keyring.seal(value, place(storage_id, PLACE, name)) if name in SECRETS else value
            for name, value in given.items()}


def _stored(connection: sa.Connection, storage_id: str) -> dict[str, Any] | None:
    try:
        return alert_sources.get(connection, storage_id)
    except exception.AlertSourceNotFound:
        return None


class SnmpConfigController:
    """`/v1/snmp-configs` and `/v1/storages/{id}/snmp-config`."""

    def index(self, request: wsgi.Request) -> webob.Response:
        """The SNMP configuration of every storage, without secrets."""
        listing.no_more(request.query())
        with request.backend.database.read() as connection:
            rows = alert_sources.listing(connection)
        return wsgi.answer(200, {'snmp_configs': [view(row) for row in rows]})

    def show(self, request: wsgi.Request, id: str) -> webob.Response:
        """Who may send traps for a storage, without secrets, and whether its SNMP agent answers."""
        listing.no_more(request.query())
        with request.backend.database.read() as connection:
            storages.require(connection, id)
            return wsgi.answer(200, view(alert_sources.get(connection, id)))

    def update(self, request: wsgi.Request, id: str) -> webob.Response:
        """Set who may send traps for a storage. The receivers know it at once."""
        listing.no_more(request.query())
        given = schemas.config(request.json())
        with request.backend.database.write('snmp-config') as connection:
            if id not in alerts.lock(connection, {id}):     # one after the other: each is merged over the one before
                raise exception.StorageNotFound(id)
            # In here: a key that is dropped meanwhile waits for our commit, or we seal with its successor.
            sealed = _sealed(given, id, request.backend.keyring)
            alert_sources.put(connection, id, schemas.complete(sealed, _stored(connection, id)))
            row = alert_sources.get(connection, id)
        request.backend.alerts.sources_changed(request.context)
        return wsgi.answer(200, view(row))

    def delete(self, request: wsgi.Request, id: str) -> webob.Response:
        """Take no more traps for a storage."""
        listing.no_more(request.query())
        request.no_body()
        with request.backend.database.write('snmp-config') as connection:
            storages.require(connection, id)
            alert_sources.delete(connection, id)
        request.backend.alerts.sources_changed(request.context)
        return wsgi.answer(200)

    def forget_engine_id(self, request: wsgi.Request, id: str) -> webob.Response:
        """Forget the engine id: the next message of the user that authenticates brings the new one."""
        listing.no_more(request.query())
        request.no_body()
        with request.backend.database.write('snmp-config') as connection:
            storages.require(connection, id)
            alert_sources.forget_engine_id(connection, id)
        request.backend.alerts.sources_changed(request.context)
        return wsgi.answer(200)

    def push(self, request: wsgi.Request, id: str) -> webob.Response:
        """Tell the array itself to send its traps to Delfin."""
        listing.no_more(request.query())
        return self._push(request, id, *schemas.push(request.json(optional=True)), remove=False)

    def remove(self, request: wsgi.Request, id: str) -> webob.Response:
        """Tell the array to send no more traps to Delfin."""
        query = request.query()
        listing.no_more(query, 'host', 'port')
        request.no_body()
        port = listing.whole_number(query['port'][-1], 'port', 65535) if 'port' in query else None
        host, port = schemas.push({'host': query.get('host', [None])[-1], 'port': port})
        return self._push(request, id, host, port, remove=True)

    def _push(self, request: wsgi.Request, id: str, host: str | None, port: int | None, *,
              remove: bool) -> webob.Response:
        with request.backend.database.read() as connection:
            storages.require(connection, id)
            alert_sources.get(connection, id)
        options = request.backend.conf.alerts
        host = host or options.trap_host
        if not host:
            raise exception.InvalidInput(
                'host is required: the address of the alert service as the array sees it. '
                'Give it here, or set trap_host in section [alerts] of the configuration.')
        schemas.check_host(host)
        request.backend.tasks.push_trap_config(request.context, id, host, port or options.trap_port, remove=remove)
        return wsgi.answer(200)


class TrapController:
    """`/v1/traps`: those that became no alerts."""

    def rejected(self, request: wsgi.Request) -> webob.Response:
        """How many messages were refused, by sender and reason, the latest first."""
        listing.no_more(request.query())
        with request.backend.database.read() as connection:
            rows = traps.rejected(connection)
        return wsgi.answer(200, {'rejected_traps': [
            {name: row[name] if name != 'address' else row[name] or None for name in REJECTED_SHOWN}
            for row in rows]})

    def forget_rejected(self, request: wsgi.Request) -> webob.Response:
        """Begin to count anew."""
        listing.no_more(request.query())
        request.no_body()
        with request.backend.database.write('traps') as connection:
            traps.forget_rejected(connection)
        return wsgi.answer(200)

    def failed(self, request: wsgi.Request) -> webob.Response:
        """Traps that a driver could not make alerts of, newest first, with the reason."""
        query = request.query()
        listing.no_more(query, 'limit', 'offset')
        limit = listing.whole_number(query.get('limit', ['50'])[-1], 'limit')
        offset = listing.whole_number(query.get('offset', ['0'])[-1], 'offset', listing.MAX_OFFSET)
        with request.backend.database.read() as connection:
            rows = traps.failed(connection, min(limit, request.max_limit), offset)
        return wsgi.answer(200, {'failed_traps': [{name: row[name] for name in FAILED_SHOWN} for row in rows]})

    def delete_failed(self, request: wsgi.Request, id: str) -> webob.Response:
        """Forget a failed trap."""
        listing.no_more(request.query())
        request.no_body()
        if not (id.isascii() and id.isdigit() and len(id) <= 19 and int(id) <= BIGINT_MAX):
            raise exception.NotFound(message=f'There is no failed trap {id[:64]}.')
        with request.backend.database.write('traps') as connection:
            traps.delete_failed(connection, int(id))
        return wsgi.answer(200)


class ExporterController:
    """`/v1/exporters`."""

    def index(self, request: wsgi.Request) -> webob.Response:
        """Whom alerts and metrics are handed to, what waits for them, and how they fare."""
        listing.no_more(request.query())
        with request.backend.database.read() as connection:
            rows = exports.listing(connection)
        return wsgi.answer(200, {'exporters': [{name: row[name] for name in EXPORTER_SHOWN} for row in rows]})
