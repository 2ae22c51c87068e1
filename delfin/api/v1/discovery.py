# SPDX-License-Identifier: Apache-2.0
"""What there is: versions of the API, its OpenAPI document, a page for people, the nodes of the installation."""

from __future__ import annotations

import functools

import webob

from delfin.api import listing, wsgi
from delfin.common import json
from delfin.db import ownership
from delfin.version import version_string


@functools.cache
def _document() -> tuple[bytes, bytes]:
    """The OpenAPI document and its page; made once, since the kinds do not change while a process runs."""
    from delfin.api import openapi
    document = openapi.document()
    return json.dumps(document), openapi.page(document).encode('utf-8')


class DiscoveryController:
    """`/`, `/v1`, `/v1/openapi.json`, `/v1/docs`."""

    def versions(self, request: wsgi.Request) -> webob.Response:
        """The versions of the API."""
        return wsgi.answer(200, {'name': 'delfin', 'version': version_string(), 'versions': [self._v1()]})

    def version(self, request: wsgi.Request) -> webob.Response:
        """Version 1 of the API."""
        return wsgi.answer(200, self._v1())

    def openapi(self, request: wsgi.Request) -> webob.Response:
        """The OpenAPI 3.1 document."""
        result = wsgi.answer(200)
        result.body = _document()[0]
        return result

    def docs(self, request: wsgi.Request) -> webob.Response:
        """The API as a page to read."""
        result = wsgi.answer(200)
        result.content_type = 'text/html'
        result.body = _document()[1]
        return result

    @staticmethod
    def _v1() -> dict[str, str]:
        return {'id': 'v1', 'status': 'current', 'href': '/v1', 'openapi': '/v1/openapi.json', 'docs': '/v1/docs'}


class NodeController:
    """`/v1/nodes`."""

    _SHOWN = ('name', 'version', 'alive', 'storages', 'started_at', 'heartbeat_at', 'expires_at')

    def index(self, request: wsgi.Request) -> webob.Response:
        """The task services, how many storages each owns, and whether it lives."""
        listing.no_more(request.query())
        with request.backend.database.read() as connection:
            rows = ownership.listing(connection)
        return wsgi.answer(200, {'nodes': [{name: row[name] for name in self._SHOWN} for row in rows]})
