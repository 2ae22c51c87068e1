# SPDX-License-Identifier: Apache-2.0
"""What exporters have still to deliver, and which node runs which exporter.

An event is queued once for each exporter that takes events, in the transaction of the change it tells of, and goes
when it is delivered. Exporters are known to everybody through their rows in `exporters`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa

from delfin.common import json
from delfin.db.engine import now
from delfin.db.sqlalchemy.models import export_queue, exporters

_queue, _exporters = export_queue.c, exporters.c


class Event(NamedTuple):
    """Something happened to an alert: `raised`, `changed` (its severity), `acknowledged`, `cleared`, `event`."""

    what: str
    at: datetime
    alert: Mapping[str, Any]


class Queued(NamedTuple):
    """An event in the queue of one exporter: `{'what', 'at', 'alert'}`, times in RFC 3339."""

    id: int
    event: dict[str, Any]


def put(connection: sa.Connection, events: Sequence[Event]) -> None:
    """Queue events for every exporter that takes them."""
    if not events:
        return
    names = list(connection.execute(sa.select(_exporters.name).where(_exporters.events == sa.true())).scalars())
    if not names:
        return
    moment = now(connection)
    # Through text: the column takes what JSON knows, and times are none of it.
    bodies = [json.loads(json.dumps(event._asdict())) for event in events]
    connection.execute(sa.insert(export_queue), [
        {'exporter': name, 'created_at': moment, 'event': body} for body in bodies for name in names])


def waiting(connection: sa.Connection, name: str, limit: int) -> list[Queued]:
    """The oldest events that an exporter has still to deliver."""
    return [Queued(row.id, row.event) for row in connection.execute(
        sa.select(_queue.id, _queue.event).where(_queue.exporter == name).order_by(_queue.id).limit(limit))]


def remove(connection: sa.Connection, ids: Sequence[int]) -> None:
    """Take events out of the queue that their exporter does not care for."""
    if ids:
        connection.execute(sa.delete(export_queue).where(_queue.id.in_(ids)))


def drop(connection: sa.Connection, name: str, ids: Sequence[int], error: str) -> None:
    """Give events up that the receiver will not take."""
    failed(connection, name, error)
    remove(connection, ids)
    connection.execute(sa.update(exporters).where(_exporters.name == name).values(
        dropped=_exporters.dropped + len(ids)))


def delivered(connection: sa.Connection, name: str, ids: Sequence[int]) -> None:
    """Take events out of the queue."""
    moment = now(connection)
    connection.execute(sa.delete(export_queue).where(_queue.id.in_(ids)))
    connection.execute(sa.update(exporters).where(_exporters.name == name).values(
        delivered=_exporters.delivered + len(ids), succeeded_at=moment, error=None))


def failed(connection: sa.Connection, name: str, error: str) -> None:
    """A delivery failed; the events stay."""
    connection.execute(sa.update(exporters).where(_exporters.name == name).values(
        failures=_exporters.failures + 1, failed_at=now(connection), error=error))


def worked(connection: sa.Connection, name: str) -> None:
    """A state feed was taken."""
    connection.execute(sa.update(exporters).where(_exporters.name == name).values(
        succeeded_at=now(connection), error=None))


def cut(connection: sa.Connection, name: str, most: int) -> int:
    """Drop the oldest events beyond `most`; how many. They are counted in `dropped`."""
    last = connection.execute(sa.select(_queue.id).where(_queue.exporter == name).order_by(
        _queue.id.desc()).offset(most).limit(1)).scalar()
    if last is None:
        return 0
    dropped = connection.execute(sa.delete(export_queue).where(_queue.exporter == name, _queue.id <= last)).rowcount
    connection.execute(sa.update(exporters).where(_exporters.name == name).values(
        dropped=_exporters.dropped + dropped))
    return dropped


def depth(connection: sa.Connection) -> dict[str, int]:
    """How many events each exporter has still to deliver."""
    return {row[0]: int(row[1]) for row in connection.execute(
        sa.select(_queue.exporter, sa.func.count()).group_by(_queue.exporter))}


# --- who runs an exporter ---

def claim(connection: sa.Connection, name: str, node: str, lease_seconds: float, *, events: bool) -> bool:
    """Take (or keep) an exporter for this node; False while another node runs it."""
    moment = now(connection)
    values = {'node': node, 'expires_at': moment + timedelta(seconds=lease_seconds), 'events': events}
    free = sa.or_(_exporters.node == node, _exporters.node.is_(None), _exporters.expires_at < moment)
    if connection.execute(sa.update(exporters).where(_exporters.name == name, free), values).rowcount:
        return True
    if connection.execute(sa.select(_exporters.name).where(_exporters.name == name)).first():
        return False
    connection.execute(sa.insert(exporters), {'name': name, **values})
    return True


def release(connection: sa.Connection, names: Iterable[str], node: str) -> None:
    """Leave exporters to other nodes at once."""
    for name in names:
        connection.execute(sa.update(exporters).where(_exporters.name == name, _exporters.node == node),
                           {'node': None, 'expires_at': None})


def retire(connection: sa.Connection, configured: Sequence[str], seconds: float) -> list[str]:
    """Forget exporters that no node has run for so long and this one is not configured to, with their queues."""
    gone = list(connection.execute(sa.select(_exporters.name).where(
        _exporters.name.not_in(configured),
        sa.or_(_exporters.expires_at.is_(None),
               _exporters.expires_at < now(connection) - timedelta(seconds=seconds)))).scalars())
    for name in gone:
        connection.execute(sa.delete(export_queue).where(_queue.exporter == name))
        connection.execute(sa.delete(exporters).where(_exporters.name == name))
    return gone


def listing(connection: sa.Connection) -> list[dict[str, Any]]:
    """All exporters with the number of `waiting` events."""
    counts = depth(connection)
    return [{**{str(name): value for name, value in row.items()}, 'waiting': counts.get(row['name'], 0)}
            for row in connection.execute(sa.select(exporters).order_by(_exporters.name)).mappings()]
