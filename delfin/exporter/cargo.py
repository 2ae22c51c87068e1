# SPDX-License-Identifier: Apache-2.0
"""What waits in the two queues of exporters, and what exporters get of it."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from delfin.common import json
from delfin.common.constants import Category, metric_struct
from delfin.db import exports
from delfin.db.exports import Points, Queued, Stream
from delfin.exporter.base_exporter import CLEARED, AlertExporterBase
from delfin.metrics import Owner

_PORTION_POINTS = 5000      # about what one message to a receiver can be
_FASTEST = 1                # of zlib's levels; higher ones save little


class Cargo(Protocol):
    """What is to be known of a stream. `rows` of its queue go into one call."""

    stream: Stream
    rows: int

    def wanted(self, queued: Queued) -> bool:
        """Whether the exporter wants to hear of it."""

    def unpack(self, batch: Sequence[Queued]) -> list[Any]:
        """What `dispatch` is given."""

    def describe(self, queued: Queued) -> str:
        """What is lost when it is dropped, for the log."""


class Alerts:
    """Events of alerts, of which an exporter wants some."""

    stream = exports.ALERTS
    rows = 100

    def __init__(self, wanted: frozenset[str] = AlertExporterBase.EVENTS) -> None:
        self._wanted = wanted

    def wanted(self, queued: Queued) -> bool:
        """See `Cargo`."""
        return queued.event['what'] in self._wanted

    def unpack(self, batch: Sequence[Queued]) -> list[dict[str, Any]]:
        """See `AlertExporterBase`."""
        return [alert_of(queued) for queued in batch]

    def describe(self, queued: Queued) -> str:
        """See `Cargo`."""
        alert = queued.event['alert']
        return f'the event "{queued.event["what"]}" of alert {alert["id"]} of storage {alert["storage_id"]}'


class Metrics:
    """Points, all of which an exporter wants."""

    stream = exports.METRICS
    rows = 4

    def wanted(self, queued: Queued) -> bool:
        """See `Cargo`."""
        return True

    def unpack(self, batch: Sequence[Queued]) -> list[metric_struct]:
        """See `PerformanceExporterBase`."""
        return [series for queued in batch for series in unpack(queued.event)]

    def describe(self, queued: Queued) -> str:
        """See `Cargo`."""
        found = unpack(queued.event)
        labels = found[0].labels
        return f'{len(found)} series of {labels["resource_type"]} of storage {labels["storage_id"]}'


# --- metrics ---

def pack(owner: Owner, resource_type: str, series: Sequence[metric_struct]) -> Iterator[Points]:
    """Series of one resource type as they are queued, in portions."""
    head = [owner.storage_id, owner.name, owner.vendor, owner.model, owner.serial_number, resource_type]
    rows: list[list[Any]] = []
    count = 0
    for metric, labels, values in series:
        rows.append([metric, labels['unit'], labels['resource_id'], labels.get('resource_name'), labels['type'],
                     list(values), list(values.values())])
        count += len(values)
        if count >= _PORTION_POINTS:
            yield Points(zlib.compress(json.dumps([head, rows]), _FASTEST), count)
            rows, count = [], 0
    if rows:
        yield Points(zlib.compress(json.dumps([head, rows]), _FASTEST), count)


def unpack(body: bytes) -> list[metric_struct]:
    """The inverse of `pack`, for one portion."""
    (storage_id, name, vendor, model, serial_number, resource_type), rows = json.loads(zlib.decompress(body))
    found = []
    for metric, unit, resource_id, resource_name, kind, times, values in rows:
        labels = {'storage_id': storage_id, 'resource_type': resource_type, 'resource_id': resource_id,
                  'resource_name': resource_name, 'type': kind, 'unit': unit, 'name': name,
                  'serial_number': serial_number, 'vendor': vendor, 'model': model}
        if resource_name is None:
            del labels['resource_name']
        found.append(metric_struct(metric, labels, dict(zip(times, values, strict=True))))
    return found


# --- alerts ---

def alert_of(queued: Queued) -> dict[str, Any]:
    """The event as exporters get it: see `AlertExporterBase`."""
    what, at = queued.event['what'], queued.event['at']
    alert: dict[str, Any] = {**queued.event['alert'], 'event': what, 'event_at': at, 'event_id': _event_id(queued)}
    if what == CLEARED:
        alert['category'] = Category.RECOVERY
        alert['occur_time'] = _milliseconds(alert.get('cleared_at') or at)
    return alert


def _event_id(queued: Queued) -> str:
    """Of all events ever. Numbers in the queue alone may come again: SQLite begins anew when it is empty."""
    parts: Mapping[str, Any] = queued.event
    text = '\n'.join((str(queued.id), parts['alert']['id'], parts['what'], parts['at']))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _milliseconds(moment: str) -> int:
    return round(datetime.fromisoformat(moment).timestamp() * 1000)
