# SPDX-License-Identifier: Apache-2.0
"""The collections of all resource kinds: one controller, told its kind."""

from __future__ import annotations

import webob

from delfin import exception
from delfin.api import listing, wsgi
from delfin.db import resources, storages
from delfin.kinds import Column, Kind

FRAMEWORK_FIELDS = ('id', 'storage_id', 'created_at', 'updated_at', 'last_seen_at')


def columns(kind: Kind) -> tuple[Column, ...]:
    """What lists of `kind` are filtered and sorted by."""
    return (Column('id'), Column('storage_id'), *kind.table.columns)


def shown(kind: Kind) -> tuple[str, ...]:
    """The fields of a row, in order."""
    return (*FRAMEWORK_FIELDS, *(column.name for column in kind.table.columns), 'extra',
            *(members.shown_as for members in kind.members))


class ResourceController:
    """`/v1/<path>` of a flat kind, `/v1/storages/{storage_id}/<path>` of a nested one."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind

    def index(self, request: wsgi.Request, storage_id: str | None = None) -> webob.Response:
        """A page of rows."""
        rules = listing.ListRules(columns(self._kind), shown(self._kind), self._kind.filter_aliases,
                                  request.max_limit)
        wanted = rules.parse(request, None if storage_id is None else {'storage_id': storage_id})
        with request.backend.database.read() as connection:
            if storage_id is not None:
                storages.require(connection, storage_id)
            try:
                page = resources.listing(connection, self._kind, wanted.query)
            except exception.NotFound as error:         # the marker
                raise self._not_found(str(wanted.query.marker), error.msg) from None
        return listing.answer(request, self._kind.name, page, rules, wanted)

    def show(self, request: wsgi.Request, id: str, storage_id: str | None = None) -> webob.Response:
        """One row."""
        listing.no_more(request.query())
        row = resources.get(request.backend.database, self._kind, id)
        if row is None or storage_id not in (None, row['storage_id']):
            raise self._not_found(id)
        return wsgi.answer(200, row)

    def _not_found(self, row_id: str, message: str | None = None) -> exception.NotFound:
        error_class = getattr(exception, self._kind.not_found, exception.NotFound)
        error: exception.NotFound = error_class(row_id, message=message) if message else error_class(row_id)
        return error
