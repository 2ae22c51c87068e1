# SPDX-License-Identifier: Apache-2.0
"""What exporters have still to deliver, and which node runs which exporter.

There are two streams, events of alerts and points of metrics. What is to be exported is queued once for each exporter
of its stream, in the transaction of the change it tells of, and goes when it is delivered. Exporters are known to
everybody through their rows in `exporters`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa

from delfin.db import bulk
from delfin.db.engine import now
from delfin.db.sqlalchemy.models import export_queue, exporters, metric_queue

_exporters = exporters.c


@dataclass(frozen=True)
class Stream:
    """A queue of its own. Its rows hold their content in `body`; `size` is how much of the bound one takes, None is 1.
    """

    name: str
    queue: sa.Table
    body: sa.Column[Any]
    size: sa.Column[int] | None = None

    @property
    def amount(self) -> sa.ColumnElement[int]:
        """How much rows are together."""
        return sa.func.count() if self.size is None else sa.func.coalesce(sa.func.sum(self.size), 0)


ALERTS = Stream('alerts', export_queue, export_queue.c.event)
METRICS = Stream('metrics', metric_queue, metric_queue.c.body, metric_queue.c.points)


class Event(NamedTuple):
    """Something happened to an alert: `raised`, `changed` (its severity), `acknowledged`, `cleared`, `event`."""

    what: str
    at: datetime
    alert: Mapping[str, Any]


class Queued(NamedTuple):
    """What waits for one exporter: of alerts `{'what', 'at', 'alert'}`, times in RFC 3339; of metrics bytes."""

    id: int
    event: Any


class Points(NamedTuple):
    """Packed points of metrics (`delfin.exporter.cargo`), and how many these are."""

    body: bytes
    number: int


def takers(connection: sa.Connection, stream: Stream) -> list[str]:
    """The exporters that a stream is queued for."""
    return list(connection.execute(sa.select(_exporters.name).where(
        _exporters.stream == stream.name, _exporters.events == sa.true())).scalars())


def put_points(connection: sa.Connection, portions: Sequence[Points]) -> None:
    """Queue metrics for every exporter that takes them."""
    names = takers(connection, METRICS) if portions else []
    if names:
        moment = now(connection)
        connection.execute(sa.insert(metric_queue), [
            {'exporter': name, 'created_at': moment, 'points': portion.number, 'body': portion.body}
            for portion in portions for name in names])


def put(connection: sa.Connection, events: Sequence[Event]) -> None:
    """Queue events of alerts for every exporter that takes them."""
    names = takers(connection, ALERTS) if events else []
    bulk.insert(connection, export_queue, [
        {'exporter': name, 'created_at': event.at, 'event': event._asdict()} for event in events for name in names])


def waiting(connection: sa.Connection, name: str, limit: int, stream: Stream = ALERTS) -> list[Queued]:
    """The oldest that an exporter has still to deliver."""
    queue = stream.queue.c
    return [Queued(*row) for row in connection.execute(
        sa.select(queue.id, stream.body).where(queue.exporter == name).order_by(queue.id).limit(limit))]


def remove(connection: sa.Connection, ids: Sequence[int], stream: Stream = ALERTS) -> int:
    """Take out of the queue what its exporter does not care for; how much that is."""
    if not ids:
        return 0
    gone = stream.queue.c.id.in_(ids)
    amount = len(ids) if stream.size is None else connection.execute(sa.select(stream.amount).where(gone)).scalar_one()
    connection.execute(sa.delete(stream.queue).where(gone))
    return int(amount)


def drop(connection: sa.Connection, name: str, ids: Sequence[int], error: str, stream: Stream = ALERTS) -> None:
    """Give up what the receiver will not take."""
    failed(connection, name, error, stream)
    amount = remove(connection, ids, stream)
    connection.execute(sa.update(exporters).where(_row(name, stream)).values(dropped=_exporters.dropped + amount))


def delivered(connection: sa.Connection, name: str, ids: Sequence[int], stream: Stream = ALERTS) -> None:
    """Take out of the queue what was delivered."""
    moment = now(connection)
    amount = remove(connection, ids, stream)
    connection.execute(sa.update(exporters).where(_row(name, stream)).values(
        delivered=_exporters.delivered + amount, succeeded_at=moment, error=None))


def failed(connection: sa.Connection, name: str, error: str, stream: Stream = ALERTS) -> None:
    """A delivery failed; what was to be delivered stays."""
    connection.execute(sa.update(exporters).where(_row(name, stream)).values(
        failures=_exporters.failures + 1, failed_at=now(connection), error=error))


def worked(connection: sa.Connection, name: str) -> None:
    """A state feed was taken."""
    connection.execute(sa.update(exporters).where(_row(name, ALERTS)).values(
        succeeded_at=now(connection), error=None))


def cut(connection: sa.Connection, name: str, most: int, stream: Stream = ALERTS) -> int:
    """Drop the oldest beyond `most`; how much. It is counted in `dropped`."""
    queue = stream.queue.c
    if stream.size is None:
        last = connection.execute(sa.select(queue.id).where(queue.exporter == name).order_by(
            queue.id.desc()).offset(most).limit(1)).scalar()
    else:
        so_far = sa.select(queue.id, sa.func.sum(stream.size).over(order_by=queue.id.desc()).label('amount')).where(
            queue.exporter == name).subquery()
        last = connection.execute(sa.select(sa.func.max(so_far.c.id)).where(so_far.c.amount > most)).scalar()
    if last is None:
        return 0
    gone = sa.and_(queue.exporter == name, queue.id <= last)
    dropped = int(connection.execute(sa.select(stream.amount).select_from(stream.queue).where(gone)).scalar_one())
    connection.execute(sa.delete(stream.queue).where(gone))
    connection.execute(sa.update(exporters).where(_row(name, stream)).values(dropped=_exporters.dropped + dropped))
    return dropped


def depth(connection: sa.Connection, stream: Stream = ALERTS) -> dict[str, int]:
    """How much each exporter has still to deliver: events, or points."""
    queue = stream.queue.c
    return {row[0]: int(row[1]) for row in connection.execute(
        sa.select(queue.exporter, stream.amount).group_by(queue.exporter))}


def _row(name: str, stream: Stream) -> sa.ColumnElement[bool]:
    return sa.and_(_exporters.stream == stream.name, _exporters.name == name)


# --- who runs an exporter ---

def claim(connection: sa.Connection, name: str, node: str, lease_seconds: float, *, events: bool,
          stream: Stream = ALERTS) -> bool:
    """Take (or keep) an exporter for this node; False while another node runs it."""
    moment = now(connection)
    values = {'node': node, 'expires_at': moment + timedelta(seconds=lease_seconds), 'events': events}
    free = sa.or_(_exporters.node == node, _exporters.node.is_(None), _exporters.expires_at < moment)
    if connection.execute(sa.update(exporters).where(_row(name, stream), free), values).rowcount:
        return True
    if connection.execute(sa.select(_exporters.name).where(_row(name, stream))).first():
        return False
    connection.execute(sa.insert(exporters), {'stream': stream.name, 'name': name, **values})
    return True


def release(connection: sa.Connection, names: Iterable[str], node: str, stream: Stream = ALERTS) -> None:
    """Leave exporters to other nodes at once."""
    for name in names:
        connection.execute(sa.update(exporters).where(_row(name, stream), _exporters.node == node),
                           {'node': None, 'expires_at': None})


def retire(connection: sa.Connection, configured: Sequence[str], seconds: float,
           stream: Stream = ALERTS) -> list[str]:
    """Forget exporters that no node has run for so long and this one is not configured to, with their queues."""
    gone = list(connection.execute(sa.select(_exporters.name).where(
        _exporters.stream == stream.name, _exporters.name.not_in(configured),
        sa.or_(_exporters.expires_at.is_(None),
               _exporters.expires_at < now(connection) - timedelta(seconds=seconds)))).scalars())
    for name in gone:
        connection.execute(sa.delete(stream.queue).where(stream.queue.c.exporter == name))
        connection.execute(sa.delete(exporters).where(_row(name, stream)))
    return gone


def listing(connection: sa.Connection) -> list[dict[str, Any]]:
    """All exporters with how much is `waiting`: events of alerts, points of metrics."""
    counts = {(stream.name, name): amount for stream in (ALERTS, METRICS)
              for name, amount in depth(connection, stream).items()}
    rows = connection.execute(sa.select(exporters).order_by(_exporters.stream, _exporters.name)).mappings()
    return [{**{str(name): value for name, value in row.items()},
             'waiting': counts.get((row['stream'], row['name']), 0)} for row in rows]
