# SPDX-License-Identifier: Apache-2.0
"""The collection of a storage's metrics: what is wanted, how far it has got, what is lost."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import webob
from oslo_config import cfg

from delfin.api import listing, wsgi
from delfin.api.schemas import metrics as schemas
from delfin.db import metrics

CONFIG_SHOWN = ('storage_id', *metrics.SETTINGS, 'advised_interval_seconds', 'effective')
STATUS_SHOWN = ('storage_id', 'state', 'error', 'collected_at', 'finished_at', 'capabilities_at', 'skew_ms',
                'findings', 'marks', 'gaps')
MARK_SHOWN = ('resource_type', 'collected_until', 'newest_at', 'points', 'unknown_resources', 'failures', 'retry_at',
              'error')
GAP_SHOWN = ('resource_type', 'begin_at', 'end_at', 'reason', 'noted_at')


def config_view(storage_id: str, row: Mapping[str, Any], conf: cfg.ConfigOpts) -> dict[str, Any]:
    """What is wanted of a storage's metrics, and what comes of it."""
    enabled, interval, advised = row['enabled'], row['interval_seconds'], row['advised_seconds']
    return {
        'storage_id': storage_id, **{name: row[name] for name in metrics.SETTINGS},
        'advised_interval_seconds': advised,
        'effective': {'enabled': conf.metrics.enabled if enabled is None else enabled,
                      'interval_seconds': interval or advised or conf.metrics.interval_seconds}}


def status_view(row: Mapping[str, Any]) -> dict[str, Any]:
    """How the collection fares. Times of the array's clock become times like all others."""
    marks = [{**mark, **_times(mark, 'collected_until', 'newest_at')} for mark in row['marks']]
    gaps = [{**gap, **_times(gap, 'begin_at', 'end_at')} for gap in row['gaps']]
    shown = {**row, 'findings': row['findings'] or [],
             'marks': [{name: mark[name] for name in MARK_SHOWN} for mark in marks],
             'gaps': [{name: gap[name] for name in GAP_SHOWN} for gap in gaps]}
    return {name: shown[name] for name in STATUS_SHOWN}


def _times(row: Mapping[str, Any], *names: str) -> dict[str, datetime | None]:
    return {name: None if row[name] is None else datetime.fromtimestamp(row[name] / 1000, UTC) for name in names}


class CollectionController:
    """`/v1/storages/{id}/metrics-config` and `/v1/storages/{id}/metrics-status`."""

    def show(self, request: wsgi.Request, id: str) -> webob.Response:
        """What is wanted of a storage's metrics."""
        listing.no_more(request.query())
        with request.backend.database.read() as connection:
            row = metrics.settings(connection, id)
        return wsgi.answer(200, config_view(id, row, request.backend.conf))

    def update(self, request: wsgi.Request, id: str) -> webob.Response:
        """Change whether, how often and which metrics are collected. What is not given stays."""
        listing.no_more(request.query())
        values = schemas.config(request.json())
        with request.backend.database.write('metrics-config') as connection:
            metrics.set_settings(connection, id, values)
        request.backend.tasks.look_for_work(request.context)
        return self.show(request, id)

    def status(self, request: wsgi.Request, id: str) -> webob.Response:
        """How far the metrics of a storage are collected, how the last collection went, and what is lost."""
        listing.no_more(request.query())
        with request.backend.database.read() as connection:
            row = metrics.status(connection, id)
        return wsgi.answer(200, status_view(row))
