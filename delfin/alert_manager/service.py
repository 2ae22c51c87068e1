# SPDX-License-Identifier: Apache-2.0
"""The alert service as a part of a process.

It is a member of the installation (it starts, answers RPC and stops like the others); what receives traps moves in
with alerting.
"""

from __future__ import annotations

from typing import Any

from delfin import rpc
from delfin.context import RequestContext
from delfin.service import Parts
from delfin.version import version_string


class AlertManager:
    """RPC endpoint of the alert service."""

    target = rpc.messaging.Target(version=rpc.VERSION)

    def __init__(self, host: str) -> None:
        self._host = host

    def ping(self, context: RequestContext) -> dict[str, Any]:
        """A sign of life."""
        return {'host': self._host, 'version': version_string()}


class AlertService:
    """RPC server."""

    name = 'alert'

    def __init__(self, parts: Parts) -> None:
        self._server = parts.rpc.server(rpc.ALERT_TOPIC, [AlertManager(parts.conf.host)])

    def start(self) -> None:
        """Take calls."""
        self._server.start()

    def stop(self, timeout_seconds: float) -> None:
        """Let calls under way end."""
        self._server.stop()
