# SPDX-License-Identifier: Apache-2.0
"""The exporters `log`: one line for each event of an alert, one at DEBUG for each delivery of metrics."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any

from delfin.common.constants import metric_struct
from delfin.context import RequestContext
from delfin.exporter import base_exporter
from delfin.exporter.base_exporter import AlertExporterBase, PerformanceExporterBase

LOG = logging.getLogger(__name__)

_LONGEST = 500          # of one text in a line


class LogExporter(AlertExporterBase):
    """Writes INFO lines into the log of the alert service."""

    EVENTS = AlertExporterBase.EVENTS | {base_exporter.ACKNOWLEDGED}

    def dispatch(self, ctxt: RequestContext, data: list[dict[str, Any]]) -> None:
        """See the base class."""
        for alert in data:
            LOG.info('%s', line(alert))


class MetricsLogExporter(PerformanceExporterBase):
    """Says at DEBUG what was collected of which array: for those who look whether anything comes."""

    def dispatch(self, ctxt: RequestContext, data: list[metric_struct]) -> None:
        """See the base class."""
        counts: Counter[tuple[str, str]] = Counter()
        for _, labels, values in data:
            counts[labels['storage_id'], labels['resource_type']] += len(values)
        for (storage_id, resource_type), points in counts.items():
            LOG.debug('metrics of storage %s: %d points of %s', storage_id, points, resource_type)


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
    shown = text[:_LONGEST]
    if not shown.isprintable():
        shown = ''.join(character if character.isprintable() else ' ' for character in shown)
    return shown.replace('"', "'") + ('…' if len(text) > _LONGEST else '')
