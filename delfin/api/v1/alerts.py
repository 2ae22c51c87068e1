# SPDX-License-Identifier: Apache-2.0
"""Alerts of all storages: list, count, show, acknowledge, clear; and what one array lists itself."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import webob

from delfin import exception
from delfin.alerts import ALERT_COLUMNS, DELFIN, SEVERITIES, STANDING, STATES
from delfin.api import listing, wsgi
from delfin.api.schemas import alerts as schemas
from delfin.db import alert_feeds, alerts, lists, storages
from delfin.db.lists import Operator
from delfin.db.sqlalchemy import models
from delfin.kinds import Column, ColumnType

COLUMNS = (Column('id'), Column('storage_id'), Column('vendor'), *ALERT_COLUMNS, Column('state', values=STATES),
           Column('muted', ColumnType.BOOLEAN), Column('count', ColumnType.INTEGER, indexed=False))
SHORTHANDS = {
    'text': listing.Shorthand(('alert_name', 'alert_id', 'description', 'location'), Operator.CONTAINS,
                              'part of alert_name, alert_id, description or location; case counts'),
    'begin_time': listing.Shorthand(('occur_time',), Operator.AT_LEAST, 'happened then or later, epoch ms'),
    'end_time': listing.Shorthand(('occur_time',), Operator.AT_MOST, 'happened then or earlier, epoch ms'),
}
# Of an alert that an array lists.
LIVE_SHOWN = ('storage_id', 'storage_name', 'vendor', 'model', 'serial_number',
              *(column.name for column in ALERT_COLUMNS))


def _rules(request: wsgi.Request) -> listing.ListRules:
    return listing.ListRules(COLUMNS, alerts.SHOWN, {}, request.max_limit, SHORTHANDS)


class AlertController:
    """`/v1/alerts`."""

    def index(self, request: wsgi.Request) -> webob.Response:
        """A page of the alerts of all storages."""
        rules = _rules(request)
        wanted = rules.parse(request)
        with request.backend.database.read() as connection:
            try:
                page = lists.fetch(connection, alerts.LISTING, models.alerts, wanted.query)
            except exception.NotFound as error:         # the marker
                raise exception.AlertNotFound(wanted.query.marker, message=error.msg) from None
        return listing.answer(request, 'alerts', page, rules, wanted)

    def summary(self, request: wsgi.Request) -> webob.Response:
        """How many alerts there are by state and severity, with the filters of the list."""
        filters = _rules(request).parse_filters(request)
        with request.backend.database.read() as connection:
            counts = alerts.summary(connection, lists.conditions(connection, models.alerts, filters))
        return wsgi.answer(200, _summary(counts))

    def show(self, request: wsgi.Request, id: str) -> webob.Response:
        """One alert with the trap that told of it last."""
        listing.no_more(request.query())
        with request.backend.database.read() as connection:
            return wsgi.answer(200, alerts.get(connection, id))

    def acknowledge(self, request: wsgi.Request, id: str) -> webob.Response:
        """Say that somebody looks after an alert, and what is being done; said again, the note is replaced."""
        listing.no_more(request.query())
        note = schemas.acknowledgement(request.json(optional=True))
        with request.backend.database.write('acknowledge') as connection:
            alerts.acknowledge(connection, id, note)
            return wsgi.answer(200, alerts.get(connection, id))

    def take_back(self, request: wsgi.Request, id: str) -> webob.Response:
        """Take an acknowledgement back: the alert is open again."""
        listing.no_more(request.query())
        request.no_body()
        with request.backend.database.write('acknowledge') as connection:
            alerts.take_back(connection, id)
            return wsgi.answer(200, alerts.get(connection, id))

    def clear(self, request: wsgi.Request, id: str) -> webob.Response:
        """Clear an alert by hand: on the array, then here; with force here only."""
        listing.no_more(request.query())
        force = schemas.clearing(request.json(optional=True))
        database = request.backend.database
        with database.read() as connection:
            alert = alerts.get(connection, id)
        if alert['state'] not in STANDING:
            raise exception.AlertIsNotOpen(id, alert['state'])
        if not force and alert['origin'] != DELFIN:
            _clear_on_array(request, alert)
        with database.write('clear') as connection:
            with contextlib.suppress(exception.AlertIsNotOpen):     # the task service, or a recovery, was faster
                alerts.clear(connection, id)
            return wsgi.answer(200, alerts.get(connection, id))


def _clear_on_array(request: wsgi.Request, alert: Mapping[str, Any]) -> None:
    if alert['sequence_number'] is None:
        raise exception.StorageCapabilityNotSupported(message=(
            'The array cannot clear an alert that has no sequence number; with "force" it is cleared here only.'))
    try:
        request.backend.tasks.clear_alert(request.context, alert['storage_id'], alert['sequence_number'])
    except exception.StorageCapabilityNotSupported:
        raise exception.StorageCapabilityNotSupported(message=(
            'The driver of this array cannot clear alerts; with "force" it is cleared here only.')) from None


def _summary(counts: Sequence[tuple[str, str, int]]) -> dict[str, Any]:
    """Known states and severities always stand there; others (an array's own severity) when there are any."""
    states, severities = Counter(dict.fromkeys(STATES, 0)), Counter(dict.fromkeys(SEVERITIES, 0))
    for state, severity, number in counts:
        states[state] += number
        severities[severity] += number
    order = list(severities)
    rows = sorted(counts, key=lambda row: (list(states).index(row[0]), order.index(row[1])))
    return {'total': sum(states.values()), 'by_state': dict(states), 'by_severity': dict(severities),
            'counts': [{'state': state, 'severity': severity, 'count': number} for state, severity, number in rows]}


class StorageAlertController:
    """`/v1/storages/{id}/alerts`."""

    def index(self, request: wsgi.Request, id: str) -> webob.Response:
        """What the array itself lists now."""
        query = request.query()
        listing.no_more(query, 'begin_time', 'end_time')
        bounds = {name: listing.whole_number(values[-1], name) for name, values in query.items()}
        window = schemas.window(bounds.get('begin_time'), bounds.get('end_time'))
        with request.backend.database.read() as connection:
            storages.require(connection, id)
        found = request.backend.tasks.list_alerts(request.context, id, window.begin, window.end)
        return wsgi.answer(200, {'alerts': [{name: row.get(name) for name in LIVE_SHOWN} for row in found]})

    def clear(self, request: wsgi.Request, id: str, sequence_number: str) -> webob.Response:
        """Clear an alert on the array; what is stored under its sequence number is cleared as well."""
        listing.no_more(request.query())
        request.no_body()
        with request.backend.database.read() as connection:
            storages.require(connection, id)
        request.backend.tasks.clear_alert(request.context, id, sequence_number)
        return wsgi.answer(200)

    def sync(self, request: wsgi.Request, id: str) -> webob.Response:
        """Take over the array's own list of alerts; without bounds the whole list."""
        listing.no_more(request.query())
        window = schemas.sync_request(request.json(optional=True))
        with request.backend.database.write('request') as connection:
            storages.require(connection, id)
            alert_feeds.request(connection, id, window)
        request.backend.tasks.look_for_work(request.context)
        return wsgi.answer(202, headers={'Location': f'/v1/storages/{id}/alerts/sync'})

    def last_sync(self, request: wsgi.Request, id: str) -> webob.Response:
        """How the last sync of alerts went, and whether one is asked for."""
        listing.no_more(request.query())
        with request.backend.database.read() as connection:
            storages.require(connection, id)
            feed = alert_feeds.get(connection, id) or {}
        return wsgi.answer(200, {
            'storage_id': id, 'pending': feed.get('wanted', 0) > feed.get('done', 0),
            **{name: feed.get(name) for name in ('state', 'error', 'started_at', 'finished_at')},
            'findings': feed.get('findings') or []})
