# SPDX-License-Identifier: Apache-2.0
"""Sync runs: the rows that are both the queue of the work and its record.

A run is `pending` until the owner of its array claims it, then `running`, and at last `done` or `failed`. A storage
has at most one active (pending or running) run. A run carries the epoch of its taker's ownership; every write of a sync
goes through `guard`, so a taker that is the owner no more can commit nothing, and the next owner takes the run up.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from delfin import exception
from delfin.db import ownership as owners
from delfin.db.engine import now
from delfin.db.sqlalchemy.models import ownership, storages, sync_failures, sync_run_kinds, sync_runs
from delfin.kinds import KINDS

COUNTS = ('seen', 'created', 'updated', 'unchanged', 'deleted', 'stale', 'rejected')
STORAGE = 'storage'         # what the array itself is called among the kinds of a run

# Who asked. Those of ASKED_FOR are done even for an array under maintenance.
API, REGISTER, SCHEDULE, CONFIRM, TAKEOVER = 'api', 'register', 'schedule', 'confirm', 'takeover'
ASKED_FOR = (API, REGISTER)

_runs, _kinds, _failures = sync_runs.c, sync_run_kinds.c, sync_failures.c


class RunLost(Exception):
    """Another node owns the array now, or its storage was deleted."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A run that this node has taken."""

    run_id: int
    storage_id: str
    node: str
    epoch: int
    force: bool


class Plan(NamedTuple):
    """What decides when an array is synced next without being asked for."""

    storage_id: str
    interval_seconds: int | None        # None: the installation's
    last_run_at: datetime | None


def request(connection: sa.Connection, storage_id: str, kinds: Sequence[str], trigger: str, *, force: bool = False,
            delay_seconds: float = 0) -> int:
    """A pending run for `kinds` (none: all), or the active one: a pending one takes the request in, a running one that
    covers it is joined. `StorageIsSyncing` when the running one does less than what is asked for. The run's id.
    """
    complete = not kinds or set(kinds) >= set(KINDS.names())
    moment = now(connection)
    active = _active(connection, storage_id)
    if active is not None:
        return _join(connection, active, storage_id, () if complete else kinds, trigger, force, bool(delay_seconds))
    try:
        with connection.begin_nested():
            inserted = connection.execute(sa.insert(sync_runs), {
                'storage_id': storage_id, 'trigger': trigger, 'state': 'pending', 'active': 1, 'force': force,
                'complete': complete, 'epoch': 0, 'created_at': moment,
                'not_before': moment + timedelta(seconds=delay_seconds),
            }).inserted_primary_key
    except IntegrityError:
        active = connection.execute(        # locking, since a snapshot may be older than what stood in the way
            sa.select(_runs.id, _runs.state, _runs.force)
            .where(_runs.storage_id == storage_id, _runs.active == 1).with_for_update()).first()
        if active is None:          # the storage is gone
            raise exception.StorageIsSyncing(storage_id) from None
        return _join(       # somebody else was faster
            connection, active, storage_id, () if complete else kinds, trigger, force, bool(delay_seconds))
    assert inserted is not None
    run_id = int(inserted[0])
    if not complete:
        _add_kinds(connection, run_id, dict.fromkeys((STORAGE, *kinds)), 0)
    return run_id


def _active(connection: sa.Connection, storage_id: str) -> Any:
    """The active run, locked, so that nobody claims or finishes it while somebody joins it; None if there is none."""
    # Locked by its key: a lock on a row that is not there would be one on its neighbours.
    found = sa.select(_runs.id).where(_runs.storage_id == storage_id, _runs.active == 1)
    run_id = connection.execute(found).scalar()
    return None if run_id is None else connection.execute(
        sa.select(_runs.id, _runs.state, _runs.force).where(_runs.id == run_id, _runs.active == 1)
        .with_for_update()).first()


def request_all(connection: sa.Connection) -> int:
    """A pending run for every array that has no active one and is not under maintenance; how many."""
    moment = sa.literal(now(connection), _runs.created_at.type)
    wanted = sa.select(
        storages.c.id, sa.literal(API), sa.literal('pending'), sa.literal(1), sa.false(), sa.true(), sa.literal(0),
        moment, moment).where(
        storages.c.live == 1, storages.c.maintenance == sa.false(),
        ~sa.exists().where(_runs.storage_id == storages.c.id, _runs.active == 1)
    ).suffix_with('ON CONFLICT DO NOTHING', dialect='postgresql')
    # Somebody may ask at the same time. (SQLite lets one wait for the other.)
    insert = sa.insert(sync_runs).prefix_with('IGNORE', dialect='mysql').prefix_with('IGNORE', dialect='mariadb')
    return connection.execute(insert.from_select(
        ['storage_id', 'trigger', 'state', 'active', 'force', 'complete', 'epoch', 'created_at', 'not_before'],
        wanted), execution_options={'preserve_rowcount': True}).rowcount


def plans(connection: sa.Connection, node: str) -> list[Plan]:
    """The arrays of `node` that may be synced without being asked for and have no active run."""
    last = (sa.select(_runs.created_at).where(_runs.storage_id == storages.c.id, _runs.complete == sa.true())
            .order_by(_runs.id.desc()).limit(1).scalar_subquery())
    return [Plan(*row) for row in connection.execute(
        sa.select(storages.c.id, storages.c.sync_interval_seconds, last)
        .join(ownership, ownership.c.storage_id == storages.c.id)
        .where(ownership.c.node == node, storages.c.live == 1, storages.c.maintenance == sa.false(),
               ~sa.exists().where(_runs.storage_id == storages.c.id, _runs.active == 1)))]


def _add_kinds(connection: sa.Connection, run_id: int, kinds: Collection[str], position: int) -> None:
    if kinds:
        connection.execute(sa.insert(sync_run_kinds), [
            {'run_id': run_id, 'kind': kind, 'position': position + number, 'state': 'pending', 'withheld': False}
            for number, kind in enumerate(kinds)])


def _join(connection: sa.Connection, active: Any, storage_id: str, kinds: Sequence[str], trigger: str, force: bool,
          delayed: bool) -> int:
    """Make an active run do what is asked for as well (no kinds: all of them)."""
    has = list(connection.execute(
        sa.select(_kinds.kind).where(_kinds.run_id == active.id).with_for_update()).scalars())
    complete = not has or (set(has) >= set(KINDS.names()) and active.state == 'running')
    missing = [] if complete else [kind for kind in kinds or KINDS.names() if kind not in has]
    if active.state == 'pending':
        values: dict[str, Any] = {'force': bool(active.force or force)}
        if not kinds:
            connection.execute(sa.delete(sync_run_kinds).where(_kinds.run_id == active.id))
            values['complete'] = True
        elif missing:
            _add_kinds(connection, active.id, missing, len(has))
        if not delayed:
            values['not_before'] = _runs.created_at
        if trigger in ASKED_FOR:
            values['trigger'] = trigger
        connection.execute(sa.update(sync_runs).where(_runs.id == active.id).values(**values))
    elif missing or (force and not active.force):
        raise exception.StorageIsSyncing(storage_id)
    return int(active.id)


# --- for the owner ---

def claim(connection: sa.Connection, node: str, limit: int) -> list[Claim]:
    """Take up to `limit` runs of arrays that `node` owns: those that are due, and those a former owner had begun."""
    candidates = connection.execute(
        sa.select(_runs.id, _runs.storage_id, _runs.state, _runs.epoch, _runs.force, ownership.c.epoch.label('ours'))
        .join(storages, storages.c.id == _runs.storage_id)
        .join(ownership, ownership.c.storage_id == _runs.storage_id)
        .where(ownership.c.node == node, storages.c.live == 1, _due(now(connection)))
        .order_by(_runs.id).limit(limit)).all()
    # In the order of arrays, as everybody who locks several of them.
    taken = [_take(connection, node, run) for run in sorted(candidates, key=lambda run: str(run.storage_id))]
    return sorted(filter(None, taken), key=lambda claim: claim.run_id)


def _due(moment: datetime) -> sa.ColumnElement[bool]:
    return sa.or_(
        sa.and_(_runs.state == 'pending', _runs.not_before <= moment,
                sa.or_(storages.c.maintenance == sa.false(), _runs.trigger.in_((*ASKED_FOR, TAKEOVER)))),
        sa.and_(_runs.state == 'running', _runs.epoch != ownership.c.epoch))


def _take(connection: sa.Connection, node: str, run: Any) -> Claim | None:
    if not owners.hold(connection, run.storage_id, node, int(run.ours)):
        return None
    # What a request has made of it meanwhile.
    force = connection.execute(sa.select(_runs.force).where(_runs.id == run.id).with_for_update()).scalar()
    if force is None:
        return None
    taken = Claim(int(run.id), run.storage_id, node, int(run.ours), bool(force))
    values: dict[str, Any] = {'state': 'running', 'node': node, 'epoch': taken.epoch}
    if run.state == 'running':
        values['trigger'] = TAKEOVER
    connection.execute(sa.update(sync_runs).where(_runs.id == run.id), values)
    connection.execute(sa.update(sync_runs).where(_runs.id == run.id, _runs.started_at.is_(None)),
                       {'started_at': now(connection)})
    if not connection.execute(sa.select(_kinds.kind).where(_kinds.run_id == run.id).with_for_update()).first():
        _add_kinds(connection, taken.run_id, (STORAGE, *KINDS.names()), 0)
    connection.execute(sa.update(sync_run_kinds).where(_kinds.run_id == run.id, _kinds.state == 'running'),
                       {'state': 'pending'})
    return taken


def seconds_to_next(connection: sa.Connection, node: str) -> float | None:
    """Seconds until the earliest waiting run of an array of `node` is due; None when none waits."""
    earliest = connection.execute(
        sa.select(sa.func.min(_runs.not_before)).join(storages, storages.c.id == _runs.storage_id)
        .join(ownership, ownership.c.storage_id == _runs.storage_id)
        .where(ownership.c.node == node, _runs.state == 'pending', storages.c.live == 1,
               sa.or_(storages.c.maintenance == sa.false(), _runs.trigger.in_((*ASKED_FOR, TAKEOVER))))).scalar()
    return None if earliest is None else max(0.0, (earliest - now(connection)).total_seconds())


def guard(connection: sa.Connection, taken: Claim) -> None:
    """First statement of every writing transaction of a sync: `RunLost` unless the array is still ours.

    It locks the ownership, so that no new owner can come between this check and the commit. A deletion can; the purge,
    which is the owner's as well, removes what came with it.
    """
    if not owners.hold(connection, taken.storage_id, taken.node, taken.epoch):
        raise RunLost(f'storage {taken.storage_id} belongs to another node now, or was deleted: sync run '
                      f'{taken.run_id} ends here')


def put_back(connection: sa.Connection, taken: Claim, delay_seconds: float = 0) -> None:
    """Give an unfinished run back: it is pending again, and what it has finished stays finished."""
    _put_back(connection, taken.run_id, sa.and_(_runs.node == taken.node, _runs.epoch == taken.epoch), delay_seconds)


def put_back_forgotten(connection: sa.Connection, node: str, working: Collection[int]) -> int:
    """Runs that `node` has begun and nobody there works on any more (a crash, a bug) are pending again; how many."""
    begun = connection.execute(sa.select(_runs.id).where(_runs.node == node, _runs.state == 'running')).scalars()
    lost = [run_id for run_id in begun if run_id not in working]
    for run_id in lost:
        _put_back(connection, run_id, _runs.node == node, 0)
    return len(lost)


def _put_back(connection: sa.Connection, run_id: int, ours: sa.ColumnElement[bool], delay_seconds: float) -> None:
    changed = connection.execute(
        sa.update(sync_runs).where(_runs.id == run_id, _runs.state == 'running', ours),
        {'state': 'pending', 'not_before': now(connection) + timedelta(seconds=delay_seconds)}).rowcount
    if changed:
        connection.execute(sa.update(sync_run_kinds).where(
            _kinds.run_id == run_id, _kinds.state == 'running'), {'state': 'pending'})


def pending_kinds(connection: sa.Connection, run_id: int) -> list[str]:
    """Kinds that the run has still to do, in order."""
    return list(connection.execute(sa.select(_kinds.kind).where(
        _kinds.run_id == run_id, _kinds.state.in_(('pending', 'running'))).order_by(_kinds.position)).scalars())


def set_kind(connection: sa.Connection, run_id: int, kind: str, values: Mapping[str, Any]) -> None:
    """Record progress or the result of one kind."""
    connection.execute(sa.update(sync_run_kinds).where(_kinds.run_id == run_id, _kinds.kind == kind), dict(values))


def done_kinds(connection: sa.Connection, run_id: int) -> set[str]:
    """Kinds that the run has done."""
    return set(connection.execute(sa.select(_kinds.kind).where(
        _kinds.run_id == run_id, _kinds.state == 'done')).scalars())


def add_findings(connection: sa.Connection, run_id: int, kind: str, findings: Sequence[Mapping[str, Any]]) -> None:
    """More findings of a kind that is done."""
    this = sa.and_(_kinds.run_id == run_id, _kinds.kind == kind)
    before = connection.execute(sa.select(_kinds.findings).where(this)).scalar() or []
    connection.execute(sa.update(sync_run_kinds).where(this), {'findings': [*before, *findings]})


def note_outcome(connection: sa.Connection, storage_id: str, kind: str, failed: bool) -> None:
    """Remember that a kind has failed, or forget it."""
    this = sa.and_(_failures.storage_id == storage_id, _failures.kind == kind)
    if not failed:
        connection.execute(sa.delete(sync_failures).where(this))
    elif not connection.execute(sa.update(sync_failures).where(this), {'failed_at': now(connection)}).rowcount:
        connection.execute(sa.insert(sync_failures), {
            'storage_id': storage_id, 'kind': kind, 'failed_at': now(connection)})


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
                       {'state': state, 'active': None, 'finished_at': now(connection)})
    _drop_old(connection, taken.storage_id, keep)
    return state


def _drop_old(connection: sa.Connection, storage_id: str, keep: int) -> None:
    """Keep the newest runs, and the last ones that say when everything was looked at, and found."""
    newest = sa.select(_runs.id).where(_runs.storage_id == storage_id).order_by(_runs.id.desc())
    old = connection.execute(newest.offset(keep).limit(1)).scalar()
    if old is None:
        return
    complete = newest.where(_runs.complete == sa.true()).limit(1)
    kept = {connection.execute(query).scalar() for query in (complete, complete.where(_runs.state == 'done'))}
    connection.execute(sa.delete(sync_runs).where(
        _runs.storage_id == storage_id, _runs.id <= old, _runs.id.not_in([run_id for run_id in kept if run_id])))


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
             'kinds': kinds[run['id']] or _waiting_kinds()} for run in runs]


def _waiting_kinds() -> list[dict[str, Any]]:
    """All kinds, as a run shows them that nobody has begun yet."""
    return [{'kind': kind, 'state': 'pending', **dict.fromkeys(COUNTS, 0), 'seconds': None, 'findings': [],
             'error': None} for kind in (STORAGE, *KINDS.names())]
