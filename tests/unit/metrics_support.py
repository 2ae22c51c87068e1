# SPDX-License-Identifier: Apache-2.0
"""Points of metrics as a collection hands them to exporters."""

from __future__ import annotations

from typing import Any

from delfin.common.constants import metric_struct
from delfin.metrics import METRICS, Owner

OWNER = Owner('5f0e8b5a-0000-4000-8000-000000000001', 'array', 'Example', 'X1', 'SN-1')
ODD = 'a "b" \\ c\nd 🦆'     # what people and arrays put into names


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def points(resource_id: str, values: dict[int, float], metric: str = 'iops', *, owner: Owner = OWNER,
           resource_type: str = 'volume', resource_name: str | None = None, **labels: Any) -> metric_struct:
    """One series with its points by epoch milliseconds."""
    named = {} if resource_name is None else {'resource_name': resource_name}
    return metric_struct(metric, {
        'storage_id': owner.storage_id, 'resource_type': resource_type, 'resource_id': resource_id, 'type': 'RAW',
        'unit': METRICS[metric].unit if metric in METRICS else '', 'name': owner.name,
        'serial_number': owner.serial_number, 'vendor': owner.vendor, 'model': owner.model, **named, **labels}, values)
