# SPDX-License-Identifier: Apache-2.0
"""What the other services may tell the alert services."""

from __future__ import annotations

from delfin import rpc
from delfin.context import RequestContext


class AlertAPI:
    """Client side of `delfin.alert_manager.service.AlertManager`."""

    def __init__(self, transport: rpc.Rpc) -> None:
        self._client = transport.client(rpc.ALERT_TOPIC)

    def sources_changed(self, context: RequestContext) -> None:
        """Doorbell of all alert services: the SNMP configuration in the database has changed."""
        self._client.ring(context, 'sources_changed')
