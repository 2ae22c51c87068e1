# SPDX-License-Identifier: Apache-2.0
"""Alert syncs: the array's own list of alerts, asked for by people, by a schedule, or by a trap that says too little.

Each storage has one row, which is the request, the queue and the record at once: `wanted` counts requests and `done` is
the count that the last finished sync has answered. Requests that come while one waits become one. The storage's owner
does it; what it writes is fenced by the ownership's epoch, as with inventory syncs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa

from delfin.db.engine import now
from delfin.db.sqlalchemy.models import alert_feeds, ownership, storages

_c = alert_feeds.c

DONE, FAILED, UNSUPPORTED = 'done', 'failed', 'unsupported'


class Window(NamedTuple):
    """Times in epoch ms, both included; None is open."""

    begin: int | None = None
    end: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether everything lies in it."""
        return self.begin is None and self.end is None


EVERYTHING = Window()


@dataclass(frozen=True, slots=True)
class Task:
    """An alert sync that is due here. `wanted` tells which requests it answers."""

    storage_id: str
    node: str
    epoch: int
    wanted: int
    window: Window


def insert(connection: sa.Connection, storage_id: str) -> None:
    """A new storage."""
    connection.execute(sa.insert(alert_feeds), {'storage_id': storage_id})


def request(connection: sa.Connection, storage_id: str, window: Window = EVERYTHING, delay_seconds: float = 0) -> bool:
    """Ask for an alert sync; whether one will be made (False: there is no such storage)."""
    row = connection.execute(sa.select(_c.wanted, _c.done, _c.not_before, _c.begin_time, _c.end_time).where(
        _c.storage_id == storage_id).with_for_update()).first()
    if row is None:
        return False
    not_before = now(connection) + timedelta(seconds=delay_seconds)
    if row.wanted > row.done:       # one waits (or is under way, and will be made once more): it answers both
        window = _both(window, Window(row.begin_time, row.end_time))
        not_before = min(not_before, row.not_before or not_before)
    connection.execute(sa.update(alert_feeds).where(_c.storage_id == storage_id), {
        'wanted': row.wanted + 1, 'not_before': not_before, 'begin_time': window.begin, 'end_time': window.end})
    return True


def _both(one: Window, other: Window) -> Window:
    return Window(None if one.begin is None or other.begin is None else min(one.begin, other.begin),
                  None if one.end is None or other.end is None else max(one.end, other.end))


def due(connection: sa.Connection, node: str, working: Collection[str], limit: int) -> list[Task]:
    """What this node has to do now, beside the storages it is working on."""
    rows = connection.execute(
        sa.select(_c.storage_id, ownership.c.epoch, _c.wanted, _c.begin_time, _c.end_time)
        .join(ownership, ownership.c.storage_id == _c.storage_id).join(storages, storages.c.id == _c.storage_id)
        .where(ownership.c.node == node, storages.c.live == 1, _c.wanted > _c.done, _c.not_before <= now(connection))
        .order_by(_c.not_before).limit(limit + len(working)))
    return [Task(row.storage_id, node, int(row.epoch), int(row.wanted), Window(row.begin_time, row.end_time))
            for row in rows if row.storage_id not in working][:limit]


def seconds_to_next(connection: sa.Connection, node: str, working: Collection[str]) -> float | None:
    """Seconds until the earliest request of this node is due, beside those it works on; None when there is none."""
    earliest = connection.execute(
        sa.select(sa.func.min(_c.not_before)).join(ownership, ownership.c.storage_id == _c.storage_id)
        .join(storages, storages.c.id == _c.storage_id)
        .where(ownership.c.node == node, storages.c.live == 1, _c.wanted > _c.done,
               _c.storage_id.not_in(list(working)))).scalar()
    return None if earliest is None else max(0.0, (earliest - now(connection)).total_seconds())


def begin(connection: sa.Connection, storage_id: str) -> datetime:
    """Note that a sync begins; when that is."""
    moment = now(connection)
    connection.execute(sa.update(alert_feeds).where(_c.storage_id == storage_id), {'started_at': moment})
    return moment


def finish(connection: sa.Connection, task: Task, state: str, error: str | None = None,
           findings: Sequence[Mapping[str, Any]] = ()) -> None:
    """Record how a sync ended; requests that came meanwhile still wait."""
    connection.execute(sa.update(alert_feeds).where(_c.storage_id == task.storage_id), {
        'state': state, 'error': error, 'findings': list(findings), 'finished_at': now(connection)})
    connection.execute(sa.update(alert_feeds).where(_c.storage_id == task.storage_id, _c.done < task.wanted),
                       {'done': task.wanted})


def put_off(connection: sa.Connection, task: Task, seconds: float) -> None:
    """Try again later, for reasons of ours."""
    connection.execute(sa.update(alert_feeds).where(_c.storage_id == task.storage_id),
                       {'not_before': now(connection) + timedelta(seconds=seconds)})


def set_senders(connection: sa.Connection, storage_id: str, hosts: Sequence[str]) -> None:
    """Where the driver says that traps of the storage come from."""
    connection.execute(sa.update(alert_feeds).where(_c.storage_id == storage_id), {'senders': list(hosts)})


def plans(connection: sa.Connection, node: str) -> list[tuple[str, datetime | None]]:
    """(storage, begin of its last sync) of this node's arrays that may be asked without anybody's wish."""
    return [(row.storage_id, row.started_at) for row in connection.execute(
        sa.select(_c.storage_id, _c.started_at)
        .join(ownership, ownership.c.storage_id == _c.storage_id).join(storages, storages.c.id == _c.storage_id)
        .where(ownership.c.node == node, storages.c.live == 1, storages.c.maintenance == sa.false(),
               _c.wanted == _c.done))]


def get(connection: sa.Connection, storage_id: str) -> dict[str, Any] | None:
    """How the last sync of a storage went."""
    row = connection.execute(sa.select(alert_feeds).where(_c.storage_id == storage_id)).mappings().first()
    return None if row is None else {str(name): value for name, value in row.items()}
