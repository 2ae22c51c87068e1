# SPDX-License-Identifier: Apache-2.0
"""The JSON objects that exporters hand on, one for each event and one for each series; docs/exporters.md shows them."""

from __future__ import annotations

from typing import Any, Final

from delfin.common.constants import metric_struct

# Of both shapes. New keys may come; what is there keeps its name and meaning as long as the number stays.
VERSION: Final = '1'

_ABOUT = {'event_id': 'id', 'event': 'event', 'event_at': 'at'}


def event(alert: dict[str, Any]) -> dict[str, Any]:
    """`{"id", "event", "at", "alert"}` of what an `AlertExporterBase` is given."""
    about = {shown: alert[name] for name, shown in _ABOUT.items()}
    return {**about, 'alert': {name: value for name, value in alert.items() if name not in _ABOUT}}


def series(measured: metric_struct) -> dict[str, Any]:
    """`{"version", "metric", "type", "unit", "storage", "resource", "points"}`; a point is `[epoch ms, number]`.

    One series with all its points, and not a whole batch or a single point: each object stands for itself, and nothing
    is repeated for each point.
    """
    labels = measured.labels
    return {
        'version': VERSION,
        'metric': measured.name,
        'type': labels['type'],
        'unit': labels['unit'],
        'storage': {'id': labels['storage_id'], 'name': labels['name'], 'vendor': labels['vendor'],
                    'model': labels['model'], 'serial_number': labels['serial_number']},
        'resource': {'type': labels['resource_type'], 'id': labels['resource_id'],
                     'name': labels.get('resource_name')},
        'points': list(measured.values.items()),
    }
