# SPDX-License-Identifier: Apache-2.0
"""What was: the points of metrics of a storage, and how full it and its pools were."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Any

import webob

from delfin import capacity as trends
from delfin import exception
from delfin.api import listing, wsgi
from delfin.common.constants import ResourceType
from delfin.db import capacity, storages
from delfin.history import MOST_POINTS, Query
from delfin.metrics import KINDS_OF, METRICS, VENDOR_NAME

PARAMETERS = ('resource_type', 'resource_id', 'metric', 'start', 'end', 'step')
CAPACITY_PARAMETERS = ('kind', 'native_id', 'start', 'end')
MOST_VALUES = 100               # of one parameter
LONGEST_STEP_SECONDS = 366 * 86400
CAPACITY_KINDS = (capacity.OF_STORAGE, capacity.POOLS)

_HOUR_MS = 3_600_000
_CAPACITY_DAYS = 90


class MetricController:
    """`/v1/storages/{id}/metrics` and `/v1/storages/{id}/capacity-history`."""

    def index(self, request: wsgi.Request, id: str) -> webob.Response:
        """Points of metrics, as they were measured or, with a step, means of its length."""
        given = request.query()
        listing.no_more(given, *PARAMETERS)
        wanted = _wanted(id, given)
        backend = request.backend
        with backend.database.read() as connection:
            storages.require(connection, id)
        if backend.metrics is not None:
            source, found = 'prometheus', [series.view() for series in backend.metrics.query(wanted)]
        else:
            source, found = 'history', backend.tasks.read_metrics(request.context, wanted)
        return wsgi.answer(200, {
            'metrics': found, 'step_seconds': wanted.step_ms and wanted.step_ms // 1000, 'source': source})

    def capacity(self, request: wsgi.Request, id: str) -> webob.Response:
        """How full a storage or its pools were, day by day, and when they will be full."""
        given = request.query()
        listing.no_more(given, *CAPACITY_PARAMETERS)
        one = _single(given, 'kind', 'native_id')
        kind = one.get('kind', capacity.OF_STORAGE)
        if kind not in CAPACITY_KINDS:
            raise exception.InvalidInput(f'kind must be one of {", ".join(CAPACITY_KINDS)}.')
        with request.backend.database.read() as connection:
            storages.require(connection, id)
            today = capacity.today(connection)
            begin, end = _days(given, today)
            rows = capacity.history(connection, id, kind, one.get('native_id'),
                                    min(begin, today - timedelta(days=trends.WINDOWS_DAYS[-1])), MOST_POINTS + 1)
            names = capacity.names(connection, id, kind)
        if len(rows) > MOST_POINTS:
            raise exception.InvalidInput('There are too many rows for one answer; name a pool (native_id), or a later '
                                         'start.')
        return wsgi.answer(200, {'capacity_history': [
            _history(kind, native_id, names.get(native_id), list(group), begin, end, today)
            for native_id, group in groupby(rows, lambda row: row['native_id'])]})


def _wanted(storage_id: str, given: Mapping[str, Sequence[str]]) -> Query:
    one = _single(given, 'resource_type', 'start', 'end', 'step')
    resource_type = one.get('resource_type')
    if resource_type not in ResourceType.ALL:
        raise exception.InvalidInput(f'resource_type must be one of {", ".join(KINDS_OF)}.')
    metrics, resource_ids = (tuple(dict.fromkeys(given.get(name, ()))) for name in ('metric', 'resource_id'))
    for name, values in (('metric', metrics), ('resource_id', resource_ids)):
        if len(values) > MOST_VALUES:
            raise exception.InvalidInput(f'{name} may be given {MOST_VALUES} times at most.')
    for metric in metrics:
        if metric not in METRICS and not VENDOR_NAME.fullmatch(metric):
            raise exception.InvalidInput(f"Unknown metric {metric[:64]!r}. Known are {', '.join(METRICS)}; a vendor's "
                                         'own begin with x_.')
    end = listing.moment(one['end'], 'end') if 'end' in one else int(time.time() * 1000)
    start = listing.moment(one['start'], 'start') if 'start' in one else max(0, end - _HOUR_MS)
    if start > end and 'end' in one:
        raise exception.InvalidInput('start must not be after end.')
    step = listing.whole_number(one['step'], 'step', LONGEST_STEP_SECONDS) if 'step' in one else None
    if step == 0:
        raise exception.InvalidInput('step must be at least 1 (second).')
    return Query(storage_id, resource_type, metrics, resource_ids, start, max(end, start + 1), step and step * 1000)


def _single(given: Mapping[str, Sequence[str]], *names: str) -> dict[str, str]:
    """The parameters that may be given once."""
    for name in names:
        if len(given.get(name, ())) > 1:
            raise exception.InvalidInput(f'{name} may be given once.')
    return {name: given[name][0] for name in names if name in given}


def _days(given: Mapping[str, Sequence[str]], today: date) -> tuple[date, date]:
    one = _single(given, 'start', 'end')
    end = _day(one['end'], 'end') if 'end' in one else today
    begin = _day(one['start'], 'start') if 'start' in one else min(end, today) - timedelta(days=_CAPACITY_DAYS)
    if begin > end and 'end' in one:
        raise exception.InvalidInput('start must not be after end.')
    return begin, end


def _day(text: str, name: str) -> date:
    return datetime.fromtimestamp(listing.moment(text, name) / 1000, UTC).date()


def _history(kind: str, native_id: str, name: str | None, rows: Sequence[Mapping[str, Any]], begin: date, end: date,
             today: date) -> dict[str, Any]:
    known = [level for row in rows if (level := trends.level(row)) is not None]
    forecast = trends.forecast(known, today)
    rate, days = forecast.bytes_per_day, forecast.days_to_full
    return {
        'kind': kind, 'native_id': native_id or None, 'name': name,
        'days_to_full': None if days is None else round(days, 1),
        'bytes_per_day': None if rate is None else round(rate),
        'points': [{column: row[column] for column in ('day', *capacity.VALUES)} for row in rows
                   if begin <= row['day'] <= end]}
