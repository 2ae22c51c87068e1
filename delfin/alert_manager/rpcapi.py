# SPDX-License-Identifier: Apache-2.0
"""What the other services may tell the alert services."""

from __future__ import annotations

from delfin import exception, rpc
from delfin.context import RequestContext

_LOCAL_SECONDS = 2.0


class AlertAPI:
    """Client side of `delfin.alert_manager.service.AlertManager`."""

    def __init__(self, transport: rpc.Rpc) -> None:
        self._client = transport.client(rpc.ALERT_TOPIC)

    def sources_changed(self, context: RequestContext) -> None:
        """The SNMP configuration in the database has changed.

        The receiver of this process knows it when this returns, those of others a moment later. Never fails: they also
        look by themselves.
        """
        if self._client.is_local:
            try:
                self._client.call(context, 'sources_changed', timeout_seconds=_LOCAL_SECONDS)
            except exception.ServiceUnavailable:
                return
        else:
            self._client.ring(context, 'sources_changed')
