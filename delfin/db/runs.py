# SPDX-License-Identifier: Apache-2.0
"""Sync runs: the rows that are both the queue of the work and its record.

A run is `pending` until a task service claims it, then `running` with a lease that its taker renews, and at last `done`
or `failed`. A storage has at most one active (pending or running) run. Every claim raises the run's `epoch`; every
write of a sync goes through `guard`, so a taker that lost its lease can commit nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from delfin import exception
from delfin.db.engine import now
from delfin.db.sqlalchemy.models import storages, sync_run_kinds, sync_runs

COUNTS = ('seen', 'created', 'updated', 'unchanged', 'deleted', 'stale', 'rejected')
STORAGE = 'storage'         # what the array itself is called among the kinds of a run

_runs, _kinds = sync_runs.c, sync_run_kinds.c


class RunLost(Exception):
    """Another task service has taken the run, or its storage was deleted."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A run that this node has taken."""

    run_id: int
    storage_id: str
    epoch: int
    force: bool


def request(connection: sa.Connection, storage_id: str, kinds: Sequence[str], trigger: str, *, force: bool = False,
            delay_seconds: float = 0) -> int:
    """A pending run for `kinds`, or the active one: a pending one takes the request in, a running one that covers it is
    joined. `StorageIsSyncing` when the running one does less than what is asked for. The run's id.
    """
    moment = now(connection)
    active = connection.execute(sa.select(_runs.id, _runs.state, _runs.force).where(
        _runs.storage_id == storage_id, _runs.active == 1)).first()
    if active is not None:
        return _join(connection, active, storage_id, kinds, force, bool(delay_seconds))
    try:
        inserted = connection.execute(sa.insert(sync_runs), {
            'storage_id': storage_id, 'trigger': trigger, 'state': 'pending', 'active': 1, 'force': force, 'epoch': 0,
            'created_at': moment, 'not_before': moment + timedelta(seconds=delay_seconds),
        }).inserted_primary_key
    except IntegrityError:      # somebody else was faster, or the storage is gone
        raise exception.StorageIsSyncing(storage_id) from None
    assert inserted is not None
    run_id = int(inserted[0])
    _add_kinds(connection, run_id, (STORAGE, *kinds), 0)
    return run_id


def _add_kinds(connection: sa.Connection, run_id: int, kinds: Sequence[str], position: int) -> None:
    if kinds:
        connection.execute(sa.insert(sync_run_kinds), [
            {'run_id': run_id, 'kind': kind, 'position': position + number, 'state': 'pending', 'withheld': False}
            for number, kind in enumerate(kinds)])


def _join(connection: sa.Connection, active: Any, storage_id: str, kinds: Sequence[str], force: bool,
          delayed: bool) -> int:
    has = list(connection.execute(sa.select(_kinds.kind).where(_kinds.run_id == active.id)).scalars())
    missing = [kind for kind in kinds if kind not in has]
    if active.state == 'pending':
        _add_kinds(connection, active.id, missing, len(has))
        values: dict[str, Any] = {'force': bool(active.force or force)}
        if not delayed:
            values['not_before'] = _runs.created_at
        connection.execute(sa.update(sync_runs).where(_runs.id == active.id).values(**values))
    elif missing or (force and not active.force):
        raise exception.StorageIsSyncing(storage_id)
    return int(active.id)


def claim(connection: sa.Connection, node: str, lease_seconds: float, limit: int) -> list[Claim]:
    """Take up to `limit` runs that are due, or whose taker has fallen silent."""
    moment = now(connection)
    candidates = connection.execute(
        sa.select(_runs.id, _runs.storage_id, _runs.state, _runs.epoch, _runs.force)
        .join(storages, storages.c.id == _runs.storage_id)
        .where(storages.c.live == 1, _due(moment))
        .order_by(_runs.id).limit(limit)).all()
    taken = []
    for run in candidates:
        changed = connection.execute(
            sa.update(sync_runs).where(_runs.id == run.id, _runs.epoch == run.epoch, _runs.state == run.state),
            {'state': 'running', 'node': node, 'epoch': run.epoch + 1,
             'lease_expires_at': moment + timedelta(seconds=lease_seconds)}).rowcount
        if changed:
            connection.execute(sa.update(sync_runs).where(_runs.id == run.id, _runs.started_at.is_(None)),
                               {'started_at': moment})
            connection.execute(sa.update(sync_run_kinds).where(_kinds.run_id == run.id, _kinds.state == 'running'),
                               {'state': 'pending'})
            taken.append(Claim(int(run.id), run.storage_id, run.epoch + 1, bool(run.force)))
    return taken


def _due(moment: Any) -> sa.ColumnElement[bool]:
    return sa.or_(sa.and_(_runs.state == 'pending', _runs.not_before <= moment),
                  sa.and_(_runs.state == 'running', _runs.lease_expires_at < moment))


def seconds_to_next(connection: sa.Connection) -> float | None:
    """Seconds until the earliest waiting run is due; None when none waits."""
    earliest = connection.execute(
        sa.select(sa.func.min(_runs.not_before)).join(storages, storages.c.id == _runs.storage_id)
        .where(_runs.state == 'pending', storages.c.live == 1)).scalar()
    return None if earliest is None else max(0.0, (earliest - now(connection)).total_seconds())


def renew(connection: sa.Connection, claims: Sequence[Claim], lease_seconds: float) -> None:
    """Tell the others that these runs are still being worked on."""
    moment = now(connection)
    for taken in claims:
        connection.execute(
            sa.update(sync_runs).where(_runs.id == taken.run_id, _runs.epoch == taken.epoch,
                                       _runs.state == 'running'),
            {'lease_expires_at': moment + timedelta(seconds=lease_seconds)})


def guard(connection: sa.Connection, taken: Claim) -> None:
    """First statement of every writing transaction of a sync: `RunLost` unless the run is still ours.

    It locks the run's row, so neither a new taker nor a deletion can come between this check and the commit.
    """
    held = connection.execute(
        sa.update(sync_runs).where(
            _runs.id == taken.run_id, _runs.epoch == taken.epoch, _runs.state == 'running',
            sa.exists().where(storages.c.id == taken.storage_id, storages.c.live == 1)),
        {'epoch': taken.epoch}).rowcount
    # MariaDB counts changed rows only unless told otherwise; SQLAlchemy's dialect asks for found rows.
    if not held:
        raise RunLost(f'sync run {taken.run_id} of storage {taken.storage_id} belongs to somebody else now')


def put_back(connection: sa.Connection, taken: Claim) -> None:
    """Give an unfinished run back: it is pending again, and what it has finished stays finished."""
    changed = connection.execute(
        sa.update(sync_runs).where(_runs.id == taken.run_id, _runs.epoch == taken.epoch, _runs.state == 'running'),
        {'state': 'pending', 'lease_expires_at': None}).rowcount
    if changed:
        connection.execute(sa.update(sync_run_kinds).where(
            _kinds.run_id == taken.run_id, _kinds.state == 'running'), {'state': 'pending'})


def put_back_all(connection: sa.Connection, node: str) -> int:
    """After a crash: runs that this node had begun are pending again; how many."""
    runs = connection.execute(sa.select(_runs.id, _runs.storage_id, _runs.epoch, _runs.force).where(
        _runs.node == node, _runs.state == 'running')).all()
    for run in runs:
        put_back(connection, Claim(int(run.id), run.storage_id, run.epoch, bool(run.force)))
    return len(runs)


def pending_kinds(connection: sa.Connection, run_id: int) -> list[str]:
    """Kinds that the run has still to do, in order."""
    return list(connection.execute(sa.select(_kinds.kind).where(
        _kinds.run_id == run_id, _kinds.state.in_(('pending', 'running'))).order_by(_kinds.position)).scalars())


def set_kind(connection: sa.Connection, run_id: int, kind: str, values: Mapping[str, Any]) -> None:
    """Record progress or the result of one kind."""
    connection.execute(sa.update(sync_run_kinds).where(_kinds.run_id == run_id, _kinds.kind == kind), dict(values))


def was_withheld(connection: sa.Connection, taken: Claim, kind: str) -> bool:
    """Whether the last finished look at this kind withheld a deletion."""
    return bool(connection.execute(
        sa.select(_kinds.withheld).join(sync_runs, _runs.id == _kinds.run_id)
        .where(_runs.storage_id == taken.storage_id, _runs.id < taken.run_id, _kinds.kind == kind,
               _kinds.state == 'done').order_by(_runs.id.desc()).limit(1)).scalar())


def finish(connection: sa.Connection, taken: Claim, keep: int) -> str:
    """Close the run: `failed` if any kind failed, else `done`. Drops the oldest runs beyond `keep`. The state."""
    failed = connection.execute(sa.select(sa.func.count()).select_from(sync_run_kinds).where(
        _kinds.run_id == taken.run_id, _kinds.state == 'failed')).scalar_one()
    state = 'failed' if failed else 'done'
    connection.execute(sa.update(sync_runs).where(_runs.id == taken.run_id),
                       {'state': state, 'active': None, 'finished_at': now(connection), 'lease_expires_at': None})
    old = connection.execute(sa.select(_runs.id).where(_runs.storage_id == taken.storage_id).order_by(
        _runs.id.desc()).offset(keep).limit(1)).scalar()
    if old is not None:
        connection.execute(sa.delete(sync_runs).where(_runs.storage_id == taken.storage_id, _runs.id <= old))
    return state


def listing(connection: sa.Connection, storage_id: str, limit: int, offset: int) -> list[dict[str, Any]]:
    """Runs of a storage, newest first, with their kinds."""
    runs = connection.execute(sa.select(sync_runs).where(_runs.storage_id == storage_id).order_by(
        _runs.id.desc()).limit(limit).offset(offset)).mappings().all()
    kinds: dict[int, list[dict[str, Any]]] = {run['id']: [] for run in runs}
    if kinds:
        for row in connection.execute(sa.select(sync_run_kinds).where(_kinds.run_id.in_(list(kinds))).order_by(
                _kinds.run_id, _kinds.position)).mappings():
            kinds[row['run_id']].append({
                'kind': row['kind'], 'state': row['state'], **{name: row[name] for name in COUNTS},
                'seconds': row['seconds'], 'findings': row['findings'] or [], 'error': row['error']})
    return [{**{name: run[name] for name in ('id', 'storage_id', 'trigger', 'state', 'force', 'node', 'created_at',
                                             'not_before', 'started_at', 'finished_at')},
             'kinds': kinds[run['id']]} for run in runs]
