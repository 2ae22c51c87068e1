# SPDX-License-Identifier: Apache-2.0
"""The life of alerts: what a trap, a list or a person says of one, and what becomes of the stored rows.

Two reports of a storage that share one of the keys of `delfin.alerts.keys` are about the same alert. A fault raises it
or repeats it; a recovery, a complete list without it, or a person clears it. A recovery that overtakes its fault (two
alert services may hear of them) is remembered, and the late fault is cleared at once: what was received first, came
first. Every change writes, in the same transaction, what exporters have to deliver.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar

import sqlalchemy as sa

from delfin import exception
from delfin.alerts import (
    ACKNOWLEDGED,
    ALERT_COLUMNS,
    BY_LIST,
    BY_RECOVERY,
    BY_USER,
    CLEARED,
    EVENT,
    KEY_COLUMNS,
    LIST,
    OPEN,
    RECOVERY,
    STANDING,
    TRAP,
    Values,
    keys,
)
from delfin.common.constants import Category, Severity
from delfin.common.ids import new_id
from delfin.db import bulk, exports
from delfin.db.engine import now
from delfin.db.sqlalchemy.models import alert_feeds, alerts, storages
from delfin.db.tuples import joined, parameters

_c = alerts.c
_CHUNK = 500                            # values of one IN, tuples of one join
_SAME_EVENT = timedelta(hours=1)        # an event that comes again within it is the same row
_STILL_LISTED = timedelta(days=1)       # how often it is noted that an array goes on listing what a person has cleared

_FIELDS = tuple(column.name for column in ALERT_COLUMNS)
_CHANGING = (*_FIELDS, 'state', 'latest', 'count', 'first_seen_at', 'last_seen_at', 'listed', 'muted', 'announced',
             'cleared_at', 'cleared_by', 'trap', 'updated_at')
_LOADED = ('id', 'storage_id', *_CHANGING, 'acknowledged_at', 'note', 'origin')
_INDEXES = {'match_key': 'ix_alerts_match_key', 'sequence_number': 'ix_alerts_sequence_number',
            'alert_id': 'ix_alerts_place'}        # of keys
_latest = sa.select(*(_c[name] for name in _LOADED)).where(_c.latest == 1)

T = TypeVar('T')


@dataclass(frozen=True, slots=True)
class Report:
    """Somebody says something of an alert. `trap` is the raw trap as people read it."""

    storage_id: str
    values: Values
    received_at: datetime
    origin: str
    trap: Mapping[str, Any] | None = None


class Storage(NamedTuple):
    """What alerts need to know of their storage."""

    id: str
    name: str | None
    vendor: str | None
    model: str | None
    serial_number: str
    maintenance: bool


def lock(connection: sa.Connection, storage_ids: Collection[str]) -> dict[str, Storage]:
    """Those of the storages that are live. Until the transaction ends, nobody else changes their alerts."""
    found: dict[str, Storage] = {}
    for ids in _chunks(sorted(storage_ids)):
        # In the order of storages, as everybody who locks several of them.
        connection.execute(sa.select(alert_feeds.c.storage_id).where(alert_feeds.c.storage_id.in_(ids)).order_by(
            alert_feeds.c.storage_id).with_for_update()).all()
        columns = [storages.c[name] for name in Storage._fields]
        found |= {row.id: Storage(*row) for row in connection.execute(
            sa.select(*columns).where(storages.c.id.in_(ids), storages.c.live == 1))}
    return found


def apply(connection: sa.Connection, reports: Sequence[Report], live: Mapping[str, Storage] | None = None) -> int:
    """Take reports in their order; how many were of storages that are (still) there. `live` is what `lock` has said of
    all their storages, if it was asked already.
    """
    if not reports:
        return 0
    if live is None:
        live = lock(connection, {report.storage_id for report in reports})
    return _Book(connection, live).take(reports)


def apply_list(connection: sa.Connection, storage_id: str, listed: Sequence[Values], started_at: datetime,
               complete: bool) -> None:
    """Take the array's own list, which it began to give at `started_at`.

    Alerts that once stood in a complete list and do not stand in this one are cleared, if it is `complete`.
    """
    known = lock(connection, {storage_id})
    if not known:
        return
    book = _Book(connection, known)
    book.take([Report(storage_id, values, started_at, LIST) for values in listed], write=False)
    if complete:
        book.clear_absent(storage_id, started_at)
    book.write()


class _Book:
    """The alerts that a batch of reports may be about: read at once, changed in memory, written at once."""

    def __init__(self, connection: sa.Connection, known: Mapping[str, Storage]) -> None:
        self._connection = connection
        self._storages = known
        self._moment = now(connection)
        self._index: dict[tuple[str, ...], list[Values]] = defaultdict(list)
        self._rows: dict[str, Values] = {}
        self._new: dict[str, Values] = {}
        self._changed: dict[str, Values] = {}
        self._events: list[exports.Event] = []
        self._listed: set[str] = set()

    def take(self, reports: Sequence[Report], *, write: bool = True) -> int:
        """See `apply`."""
        ours = [report for report in reports if report.storage_id in self._storages]
        self._load(ours)
        for report in ours:
            self._take(report)
        if write:
            self.write()
        return len(ours)

    # --- reading ---

    def _load(self, reports: Sequence[Report]) -> None:
        wanted: dict[str, dict[tuple[str, ...], None]] = defaultdict(dict)
        for report in reports:
            for name, *values in keys(report.values):
                wanted[name][report.storage_id, *values] = None
        for name, tuples in wanted.items():
            columns = [_c.storage_id, *(_c[column] for column in KEY_COLUMNS[name])]
            statement = joined(_latest, columns, _INDEXES[name], self._connection.dialect.name)
            for some in _chunks(list(tuples)):
                for row in _rows(self._connection, statement, parameters(some)):
                    self._remember(row)

    def _read(self, condition: sa.ColumnElement[bool]) -> list[Values]:
        return [self._remember(row) for row in _rows(self._connection, _latest.where(condition))]

    def _remember(self, alert: Values) -> Values:
        """The alert; if it was known already, with what has been changed of it."""
        known = self._rows.setdefault(alert['id'], alert)
        if known is alert:
            self._note_keys(alert)
        return known

    def _note_keys(self, alert: Values) -> None:
        for key in keys(alert):
            rows = self._index[alert['storage_id'], *key]
            if not any(row is alert for row in rows):
                rows.append(alert)

    def _find(self, report: Report, states: Collection[str]) -> Values | None:
        """The latest alert in one of `states` that the report is about; the strongest key decides. Of several that have
        it (they were not known to be one when they were raised) the one that was heard of last.
        """
        for key in keys(report.values):
            # Keys may change: whoever stands in the index need not have this one any more.
            found = [alert for alert in self._index.get((report.storage_id, *key), ())
                     if alert['latest'] and alert['state'] in states and key in set(keys(alert))]
            if found:
                return max(found, key=_heard)
        return None

    # --- changing ---

    def _take(self, report: Report) -> None:
        if report.values['category'] == Category.RECOVERY:
            self._recover(report)
        elif report.values['category'] == Category.EVENT:
            self._happen(report)
        else:
            self._raise(report)

    def _raise(self, report: Report) -> None:
        alert = self._find(report, STANDING)
        if alert is not None:
            self._repeat(alert, report)
            return
        ended = self._find(report, (CLEARED, RECOVERY))
        if ended is not None:
            if ended['cleared_at'] > report.received_at or self._was_cleared_by_hand(ended, report):
                self._take_late(ended, report)
                return
            self._change(ended, latest=None)
        self._add(report, OPEN)

    def _repeat(self, alert: Values, report: Report) -> None:
        severity = alert['severity']
        said = _said(report)
        if report.origin == LIST:       # its time is that of the array's own record
            self._listed.add(alert['id'])
            if not alert['listed'] or any(alert[name] != value for name, value in said.items()):
                self._change(alert, **said, listed=True)
        else:
            if report.received_at < alert['last_seen_at']:      # it comes late: newer words stand already
                said = {name: value for name, value in said.items() if alert[name] is None}
            else:
                said |= {'trap': report.trap, 'last_seen_at': report.received_at}
            self._change(alert, **said, count=alert['count'] + (report.origin == TRAP),
                         first_seen_at=min(alert['first_seen_at'], report.received_at))
        self._note_keys(alert)
        if alert['severity'] != severity and alert['announced'] and not alert['muted']:
            self._tell('changed', alert)

    def _take_late(self, ended: Values, report: Report) -> None:
        """A fault that was cleared before we heard of it, or that a person has cleared and the array still lists."""
        if ended['state'] == RECOVERY:
            said = _said(report)
            self._change(ended, **said, state=CLEARED, count=1, trap=report.trap,
                         first_seen_at=report.received_at)
            self._note_keys(ended)
        elif report.origin == TRAP:
            self._change(ended, count=ended['count'] + 1,
                         first_seen_at=min(ended['first_seen_at'], report.received_at))
        elif report.origin == LIST and report.received_at - ended['last_seen_at'] > _STILL_LISTED:
            self._change(ended, last_seen_at=report.received_at)    # retention must not make it a new one

    @staticmethod
    def _was_cleared_by_hand(ended: Values, report: Report) -> bool:
        return bool(report.origin == LIST and ended['cleared_by'] == BY_USER
                    and report.values['occur_time'] in (None, ended['occur_time']))

    def _recover(self, report: Report) -> None:
        alert = self._find(report, STANDING)
        if alert is not None:
            if report.received_at >= alert['last_seen_at']:
                self.clear(alert, BY_RECOVERY, report.received_at)
            return
        ended = self._find(report, (CLEARED, RECOVERY))
        if ended is None:
            if report.origin == TRAP:       # no list of an array that keeps its history, no probe
                self._add(report, RECOVERY)
        elif ended['cleared_at'] < report.received_at and report.origin != LIST:
            self._change(ended, cleared_at=report.received_at, last_seen_at=report.received_at)

    def _happen(self, report: Report) -> None:
        event = self._find(report, (EVENT,))
        if event is not None:
            if report.origin == LIST:
                return
            if (event['description'] == report.values['description']
                    and abs(report.received_at - event['last_seen_at']) < _SAME_EVENT):
                newer = report.received_at >= event['last_seen_at']
                said = {'trap': report.trap, 'last_seen_at': report.received_at,
                        'occur_time': report.values['occur_time'] or event['occur_time']} if newer else {}
                self._change(event, **said, count=event['count'] + 1,
                             first_seen_at=min(event['first_seen_at'], report.received_at))
                return
            self._change(event, latest=None)
        self._add(report, EVENT)

    def clear(self, alert: Values, by: str, moment: datetime) -> None:
        """End a standing alert."""
        self._change(alert, state=CLEARED, cleared_at=moment, cleared_by=by)
        if alert['announced'] and not alert['muted']:
            self._tell('cleared', alert)

    def clear_absent(self, storage_id: str, started_at: datetime) -> None:
        """Clear what stood in an earlier complete list, stands in this one no more, and was not reported since."""
        for alert in self._read(sa.and_(
                _c.storage_id == storage_id, _c.state.in_(STANDING), _c.listed == sa.true())):
            if alert['state'] in STANDING and alert['id'] not in self._listed and alert['last_seen_at'] <= started_at:
                self.clear(alert, BY_LIST, started_at)

    def _add(self, report: Report, state: str) -> None:
        storage = self._storages[report.storage_id]
        announce = state in (OPEN, EVENT) and not storage.maintenance and not _is_history(report)
        alert: Values = {
            'id': new_id(), 'storage_id': storage.id, 'vendor': storage.vendor, **report.values,
            'state': state, 'latest': 1, 'count': 1, 'created_at': self._moment, 'updated_at': None,
            'first_seen_at': report.received_at, 'last_seen_at': report.received_at, 'origin': report.origin,
            'listed': report.origin == LIST, 'muted': storage.maintenance, 'announced': announce,
            'acknowledged_at': None, 'note': None, 'trap': report.trap,
            'cleared_at': report.received_at if state == RECOVERY else None,
            'cleared_by': BY_RECOVERY if state == RECOVERY else None}
        if alert['occur_time'] is None:     # nobody says when: it happened when we heard of it
            alert['occur_time'] = int(report.received_at.timestamp() * 1000)
        self._new[alert['id']] = alert
        self._remember(alert)
        if report.origin == LIST:
            self._listed.add(alert['id'])
        if announce:
            self._tell('event' if state == EVENT else 'raised', alert)

    def _change(self, alert: Values, **values: Any) -> None:
        alert.update(values, updated_at=self._moment)
        if alert['id'] not in self._new:
            self._changed[alert['id']] = alert

    def _tell(self, what: str, alert: Values) -> None:
        self._events.append(exports.Event(what, self._moment, view(alert, self._storages[alert['storage_id']])))

    # --- writing ---

    def write(self) -> None:
        """Everything at once."""
        bulk.insert(self._connection, alerts, list(self._new.values()))
        if self._changed:
            statement = sa.update(alerts).where(_c.id == sa.bindparam('row_id')).values(
                {name: sa.bindparam(name) for name in _CHANGING})
            self._connection.execute(statement, [
                {'row_id': alert['id'], **{name: alert[name] for name in _CHANGING}}
                for alert in self._changed.values()])
        exports.put(self._connection, self._events)


def _said(report: Report) -> Values:
    """What a report knows: who says nothing of the severity does not take back what others said."""
    return {name: value for name, value in report.values.items()
            if value is not None and not (name in ('severity', 'type') and value == Severity.NOT_SPECIFIED)}


def _is_history(report: Report) -> bool:
    """An event that an array still lists: exporters are told what happens, not what happened before we came."""
    moment = report.values['occur_time']
    return (report.origin == LIST and report.values['category'] == Category.EVENT and moment is not None
            and report.received_at.timestamp() - moment / 1000 > _SAME_EVENT.total_seconds())


def view(alert: Mapping[str, Any], storage: Storage) -> Values:
    """An alert as exporters see it."""
    return {'id': alert['id'], 'storage_id': storage.id, 'storage_name': storage.name, 'vendor': storage.vendor,
            'model': storage.model, 'serial_number': storage.serial_number,
            **{name: alert[name] for name in _FIELDS},
            **{name: alert[name] for name in ('state', 'count', 'first_seen_at', 'last_seen_at', 'acknowledged_at',
                                              'note', 'cleared_at', 'cleared_by')}}


# --- people ---

def acknowledge(connection: sa.Connection, alert_id: str, note: str | None) -> None:
    """Somebody looks after it. `AlertNotFound`; `AlertIsNotOpen` when it does not stand (any more)."""
    alert, storage = _one(connection, alert_id)
    if alert['state'] not in STANDING:
        raise exception.AlertIsNotOpen(alert_id, alert['state'])
    moment = now(connection)
    values = {'state': ACKNOWLEDGED, 'acknowledged_at': moment, 'note': note, 'updated_at': moment}
    connection.execute(sa.update(alerts).where(_c.id == alert_id), values)
    if alert['announced'] and not alert['muted']:
        exports.put(connection, [exports.Event('acknowledged', moment, view({**alert, **values}, storage))])


def take_back(connection: sa.Connection, alert_id: str) -> None:
    """Nobody looks after it any more: it is open again."""
    alert, _ = _one(connection, alert_id)
    if alert['state'] == ACKNOWLEDGED:
        connection.execute(sa.update(alerts).where(_c.id == alert_id), {
            'state': OPEN, 'acknowledged_at': None, 'note': None, 'updated_at': now(connection)})


def clear(connection: sa.Connection, alert_id: str) -> None:
    """By hand. `AlertNotFound`; `AlertIsNotOpen` for one that does not stand."""
    alert, storage = _one(connection, alert_id)
    if alert['state'] not in STANDING:
        raise exception.AlertIsNotOpen(alert_id, alert['state'])
    _clear(connection, [alert], storage)


def clear_sequence_number(connection: sa.Connection, storage_id: str, sequence_number: str) -> int:
    """What stands under a sequence number, after the array has cleared it; how many."""
    storage = lock(connection, {storage_id}).get(storage_id)
    if storage is None:
        return 0
    rows = _rows(connection, sa.select(alerts).where(
        _c.storage_id == storage_id, _c.sequence_number == sequence_number, _c.state.in_(STANDING)))
    _clear(connection, rows, storage)
    return len(rows)


def _clear(connection: sa.Connection, rows: Sequence[Values], storage: Storage) -> None:
    book = _Book(connection, {storage.id: storage})
    moment = now(connection)
    for row in rows:
        book.clear(row, BY_USER, moment)
    book.write()


def _one(connection: sa.Connection, alert_id: str) -> tuple[Values, Storage]:
    """An alert of a live storage, locked."""
    storage_id = connection.execute(sa.select(_c.storage_id).where(_c.id == alert_id)).scalar()
    storage = lock(connection, {storage_id}).get(storage_id) if storage_id else None
    rows = _rows(connection, sa.select(alerts).where(_c.id == alert_id))
    if storage is None or not rows:
        raise exception.AlertNotFound(alert_id)
    return rows[0], storage


def _heard(alert: Values) -> tuple[Any, ...]:
    """An order of alerts by when they were heard of, the same on every engine."""
    return (alert['last_seen_at'], alert['first_seen_at'],
            *(alert[name] or '' for name in ('match_key', 'sequence_number', 'alert_id', 'location')))


def _rows(connection: sa.Connection, select: sa.Select[Any],
          parameters: Mapping[str, Any] | None = None) -> list[Values]:
    return [{str(name): value for name, value in row.items()}
            for row in connection.execute(select, parameters).mappings()]


def set_muted(connection: sa.Connection, storage_id: str, muted: bool) -> None:
    """Maintenance began or ended. At its end exporters hear of what was raised meanwhile and stands, and of the end of
    what they had been told of before.
    """
    storage = lock(connection, {storage_id}).get(storage_id)
    standing = sa.and_(_c.storage_id == storage_id, _c.state.in_(STANDING), _c.muted != muted)
    ended = sa.and_(_c.storage_id == storage_id, _c.state == CLEARED, _c.muted == sa.true(), _c.announced == sa.true())
    if storage is None:
        return
    if muted:
        connection.execute(sa.update(alerts).where(standing), {'muted': True})
        return
    moment = now(connection)
    raised = sa.and_(standing, _c.announced == sa.false())
    for what, condition in (('cleared', ended), ('raised', raised)):
        exports.put(connection, [exports.Event(what, moment, view(row, storage)) for row in _rows(
            connection, sa.select(alerts).where(condition).order_by(_c.first_seen_at, _c.id))])
    connection.execute(sa.update(alerts).where(ended), {'muted': False})
    connection.execute(sa.update(alerts).where(standing), {'muted': False, 'announced': True})


# --- reading ---

_shown = (*(_c[name] for name in ('id', 'storage_id', 'created_at', 'updated_at', *_FIELDS, 'vendor', 'state', 'count',
                                  'first_seen_at', 'last_seen_at', 'origin', 'muted', 'acknowledged_at', 'note',
                                  'cleared_at', 'cleared_by')),
          storages.c.name.label('storage_name'), storages.c.model.label('model'),
          storages.c.serial_number.label('serial_number'))
SHOWN = tuple(str(column.name) for column in _shown)

LISTING = sa.select(*_shown).join(storages, storages.c.id == _c.storage_id).where(storages.c.live == 1)
for _dialect in ('mysql', 'mariadb'):       # MariaDB would begin with the storages and sort all their alerts
    LISTING = LISTING.prefix_with('STRAIGHT_JOIN', dialect=_dialect)


def get(connection: sa.Connection, alert_id: str) -> Values:
    """One alert with its raw trap (`trap`, None if there was none); `AlertNotFound`."""
    rows = _rows(connection, LISTING.add_columns(_c.trap).where(_c.id == alert_id))
    if not rows:
        raise exception.AlertNotFound(alert_id)
    return rows[0]


def summary(connection: sa.Connection, conditions: Sequence[sa.ColumnElement[bool]]) -> list[tuple[str, str, int]]:
    """(state, severity, number) of the alerts that `conditions` select."""
    selected = LISTING.where(*conditions).with_only_columns(_c.state, _c.severity, sa.func.count()).group_by(
        _c.state, _c.severity)
    return [(row[0], row[1], int(row[2])) for row in connection.execute(selected)]


def standing(connection: sa.Connection, cleared_since: datetime) -> list[Values]:
    """What a state feed tells: alerts that stand and are not muted, and those that were cleared lately."""
    return _rows(connection, LISTING.where(sa.or_(
        sa.and_(_c.state.in_(STANDING), _c.muted == sa.false()),
        sa.and_(_c.state == CLEARED, _c.announced == sa.true(), _c.cleared_at >= cleared_since))))


# --- retention ---

def delete_old(connection: sa.Connection, states: Sequence[str], before: datetime, limit: int) -> int:
    """Delete alerts that ended, and were seen last, before a time, at most `limit`; how many."""
    ids = list(connection.execute(sa.select(_c.id).where(
        _c.state.in_(states), _c.last_seen_at < before,
        sa.or_(_c.cleared_at.is_(None), _c.cleared_at < before)).limit(limit)).scalars())
    return _delete(connection, ids)


def delete_some(connection: sa.Connection, storage_id: str, limit: int) -> int:
    """Delete alerts of a storage that is removed, at most `limit`; how many."""
    return _delete(connection, list(connection.execute(
        sa.select(_c.id).where(_c.storage_id == storage_id).limit(limit)).scalars()))


def _delete(connection: sa.Connection, ids: Sequence[str]) -> int:
    for some in _chunks(ids):
        connection.execute(sa.delete(alerts).where(_c.id.in_(some)))
    return len(ids)


def _chunks(values: Sequence[T]) -> Iterator[Sequence[T]]:
    for begin in range(0, len(values), _CHUNK):
        yield values[begin:begin + _CHUNK]
