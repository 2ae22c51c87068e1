# SPDX-License-Identifier: Apache-2.0
"""A REST client for the few calls the installer makes."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from installer.service import NO_PROXY

PAGE = 1000


class ApiError(Exception):
    """An answer that is no success: its HTTP status and Delfin's error body."""

    def __init__(self, status: int, body: dict[str, Any]):
        super().__init__(f'HTTP {status}: {body.get("error_msg") or "no explanation"}')
        self.status = status
        self.body = body


class Client:
    def __init__(self, url: str, timeout_seconds: float = 90):
        self.url = url
        self.timeout = timeout_seconds

    def get(self, path: str) -> dict[str, Any]:
        return self._call(urllib.request.Request(self.url + path))

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        headers = {'Content-Type': 'application/json'}
        return self._call(urllib.request.Request(self.url + path, json.dumps(body).encode(), headers, method='POST'))

    def rows(self, kind: str, storage_id: str) -> list[dict[str, Any]]:
        """The rows of a flat kind: /v1/storage-pools answers {"storage_pools": […]}."""
        answer = self.get(f'/v1/{kind.replace("_", "-")}?storage_id={storage_id}&limit={PAGE}')
        return list(answer.get(kind, []))

    def _call(self, request: urllib.request.Request) -> dict[str, Any]:
        try:
            with NO_PROXY.open(request, timeout=self.timeout) as answer:
                return _decoded(answer.read())
        except urllib.error.HTTPError as error:
            raise ApiError(error.code, _decoded(error.read())) from None
        except OSError as error:
            raise ApiError(0, {'error_msg': f'no answer ({error})'}) from None


def _decoded(text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text or b'{}')
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
