# SPDX-License-Identifier: Apache-2.0
"""The exporter `log`: one line for each event."""

from __future__ import annotations

import logging
from typing import Any

from delfin.context import RequestContext
from delfin.exporter import base_exporter
from delfin.exporter.base_exporter import AlertExporterBase

LOG = logging.getLogger(__name__)

_LONGEST = 500          # of one text in a line


class LogExporter(AlertExporterBase):
    """Writes INFO lines into the log of the alert service."""

    EVENTS = AlertExporterBase.EVENTS | {base_exporter.ACKNOWLEDGED}

    def dispatch(self, ctxt: RequestContext, data: list[dict[str, Any]]) -> None:
        """See the base class."""
        for alert in data:
            LOG.info('%s', line(alert))


def line(alert: dict[str, Any]) -> str:
    """An event as people read it. What arrays say cannot begin a line of its own or reach the terminal."""
    ids = _pairs((('alert_id', alert['alert_id']), ('sequence_number', alert['sequence_number'])))
    at = _pairs((('on', alert['storage_name']), ('serial', alert['serial_number']), ('location', alert['location'])))
    parts = [f'alert {alert["event"]}:', _harmless(alert['severity']),
             f'"{_harmless(alert["alert_name"] or alert["alert_id"] or alert["resource_type"])}"',
             *([f'({ids})'] if ids else []), *([at] if at else []),
             f'id={alert["id"]}', f'storage_id={alert["storage_id"]}']
    if alert['event'] == base_exporter.CLEARED:
        parts.append(f'cleared_by={alert["cleared_by"]}')
    if alert['event'] == base_exporter.ACKNOWLEDGED and alert['note']:
        parts.append(f'note="{_harmless(alert["note"])}"')
    elif alert['description']:
        parts.append(f'description="{_harmless(alert["description"])}"')
    return ' '.join(parts)


def _pairs(values: tuple[tuple[str, Any], ...]) -> str:
    return ' '.join(f'{name}="{_harmless(value)}"' for name, value in values if value)


def _harmless(value: Any) -> str:
    text = str(value)
    shown = ''.join(character if character.isprintable() else ' ' for character in text[:_LONGEST]).replace('"', "'")
    return shown + ('…' if len(text) > _LONGEST else '')
