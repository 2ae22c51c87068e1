# SPDX-License-Identifier: Apache-2.0
"""The collections of all resource kinds: one controller, told its kind."""

from __future__ import annotations

from typing import Any

import webob

from delfin import exception
from delfin.api import wsgi
from delfin.db import resources, storages
from delfin.kinds import Column, Kind


class ResourceController:
    """`/v1/<path>` of a flat kind, `/v1/storages/{storage_id}/<path>` of a nested one."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._columns = (Column('id'), Column('storage_id'), *kind.table.columns)

    def index(self, request: wsgi.Request, storage_id: str | None = None) -> webob.Response:
        """A page of rows; every column is a filter."""
        query = request.query()
        limit, offset = wsgi.page(query, request.max_limit)
        fixed = () if storage_id is None else ('storage_id',)
        if storage_id is not None:
            query.pop('storage_id', None)       # the path decides
        wanted = wsgi.filters(query, self._columns, fixed)
        with request.backend.database.read() as connection:
            if storage_id is not None:
                wanted['storage_id'] = storages.get(connection, storage_id)['id']
            rows = resources.listing(connection, self._kind, wanted, limit, offset)
        return wsgi.answer(200, {self._kind.name: rows})

    def show(self, request: wsgi.Request, id: str, storage_id: str | None = None) -> webob.Response:
        """One row."""
        wsgi.filters(request.query(), ())
        row: dict[str, Any] | None
        with request.backend.database.read() as connection:
            row = resources.get(connection, self._kind, id)
        if row is None or storage_id not in (None, row['storage_id']):
            raise getattr(exception, self._kind.not_found, exception.NotFound)(id)
        return wsgi.answer(200, row)
