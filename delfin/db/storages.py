# SPDX-License-Identifier: Apache-2.0
"""Storages and their access information in the database."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from delfin import exception
from delfin.common.constants import ACCESS_TYPE
from delfin.db import alert_feeds, lists, metrics
from delfin.db import ownership as owners
from delfin.db.engine import Database, now
from delfin.db.runs import CONFIRM, STORAGE
from delfin.db.sqlalchemy.models import (
    access_info,
    ownership,
    storages,
    sync_failures,
    sync_freshness,
    sync_run_kinds,
    sync_runs,
)
from delfin.kinds import STORAGE_COLUMNS, STORAGE_LABELS

Values = Mapping[str, Any]

# The newest run decides what `sync_status` says; the second look at a suspiciously short answer does not count until it
# starts.
_last_run_state = (
    sa.select(sync_runs.c.state)
    .where(sync_runs.c.storage_id == storages.c.id,
           sa.or_(sync_runs.c.state != 'pending', sync_runs.c.trigger != CONFIRM))
    .order_by(sync_runs.c.id.desc()).limit(1).scalar_subquery())
_failed_kinds = (
    sa.select(sa.func.aggregate_strings(sync_failures.c.kind, ','))
    .where(sync_failures.c.storage_id == storages.c.id).scalar_subquery())

# Of the newest run that has tried: whether the array answered the question who it is.
_last_answer = (
    sa.select(sync_run_kinds.c.state).join(sync_runs, sync_runs.c.id == sync_run_kinds.c.run_id)
    .where(sync_runs.c.storage_id == storages.c.id, sync_run_kinds.c.kind == STORAGE,
           sync_run_kinds.c.state.in_(('done', 'failed')))
    .order_by(sync_runs.c.id.desc()).limit(1).scalar_subquery())
_last_sync_at = (
    sa.select(sa.func.max(sync_runs.c.finished_at))
    .where(sync_runs.c.storage_id == storages.c.id, sync_runs.c.state == 'done', sync_runs.c.complete == sa.true())
    .scalar_subquery())
_last_contact_at = (
    sa.select(sa.func.max(sync_freshness.c.seen_at))
    .where(sync_freshness.c.storage_id == storages.c.id).scalar_subquery())

REACHABLE = {'done': True, 'failed': False, None: None}       # by `last_answer` of a row

LABELS = ('display_name', 'note', 'site', 'tags')       # what people say of it
SETTINGS = ('maintenance', 'sync_interval_seconds')     # how it is to be polled

_view = sa.select(
    storages.c.created_at, storages.c.updated_at, storages.c.id,
    *(storages.c[column.name] for column in STORAGE_COLUMNS),
    *(storages.c[name] for name in (*LABELS, *SETTINGS)),
    storages.c.extra, storages.c.quarantined_until, storages.c.deleted_at, _last_run_state.label('last_run_state'),
    _last_answer.label('last_answer'), _failed_kinds.label('failed_kinds'),
    _last_sync_at.label('last_sync_at'), _last_contact_at.label('last_contact_at'),
).where(storages.c.live == 1)

_ONE = _view.where(storages.c.id == sa.bindparam('storage_id'))


def listing(connection: sa.Connection, query: lists.Query) -> lists.Page:
    """A page of the live storages."""
    return lists.fetch(connection, _view, storages, query)


def of_node(connection: sa.Connection, node: str) -> list[dict[str, Any]]:
    """The live storages that a node owns."""
    owned = _view.join(ownership, ownership.c.storage_id == storages.c.id).where(ownership.c.node == node)
    return [dict(row) for row in connection.execute(owned.order_by(storages.c.id)).mappings()]


def search(connection: sa.Connection, terms: Sequence[str], prefix: bool, limit: int) -> list[dict[str, Any]]:
    """Live storages with one of `terms` in a searchable column; see `resources.search`."""
    found: dict[str, dict[str, Any]] = {}
    for column in (column for column in (*STORAGE_COLUMNS, *STORAGE_LABELS) if column.searchable):
        matching = lists.matches(storages.c[column.name], terms, prefix)
        for row in connection.execute(_view.where(matching).order_by(storages.c.id).limit(limit)).mappings():
            found.setdefault(row['id'], {**row, 'matched': column.name})
    return list(found.values())[:limit]


def set_labels(connection: sa.Connection, storage_id: str, values: Values) -> None:
    """Change labels and settings of a storage; `StorageNotFound` if there is none."""
    changed = connection.execute(sa.update(storages).where(storages.c.id == storage_id, storages.c.live == 1),
                                 {**values, 'updated_at': now(connection)}).rowcount
    if not changed:
        raise exception.StorageNotFound(storage_id)


def show(database: Database, storage_id: str) -> dict[str, Any]:
    """One live storage, outside any transaction; `StorageNotFound` otherwise."""
    row = database.first(_ONE, {'storage_id': storage_id})
    if row is None:
        raise exception.StorageNotFound(storage_id)
    return row


def get(connection: sa.Connection, storage_id: str) -> dict[str, Any]:
    """One live storage; `StorageNotFound` otherwise."""
    row = connection.execute(_ONE, {'storage_id': storage_id}).mappings().first()
    if row is None:
        raise exception.StorageNotFound(storage_id)
    return dict(row)


def require(connection: sa.Connection, storage_id: str) -> None:
    """`StorageNotFound` unless there is a live storage with this id."""
    if not connection.execute(sa.select(storages.c.id).where(
            storages.c.id == storage_id, storages.c.live == 1)).first():
        raise exception.StorageNotFound(storage_id)


def ids(connection: sa.Connection) -> list[str]:
    """Ids of all live storages."""
    return list(connection.execute(sa.select(storages.c.id).where(storages.c.live == 1)).scalars())


def by_serial_number(connection: sa.Connection, serial_number: str) -> str | None:
    """Id of the live storage with this serial number."""
    return connection.execute(sa.select(storages.c.id).where(
        storages.c.serial_number == serial_number, storages.c.live == 1)).scalar()


def insert(connection: sa.Connection, storage_id: str, values: Values, access: Values, node: str | None = None) -> None:
    """A new storage with its access information and its owner; `StorageAlreadyExists` when the serial number is taken.
    """
    moment = now(connection)
    known = by_serial_number(connection, values['serial_number'])
    if known is not None:
        raise _already_exists(known)
    try:
        connection.execute(sa.insert(storages), {**values, 'id': storage_id, 'created_at': moment, 'live': 1})
    except IntegrityError:
        raise _already_exists(None) from None
    connection.execute(sa.insert(access_info), {**access, 'storage_id': storage_id, 'created_at': moment})
    owners.insert(connection, storage_id, node)
    alert_feeds.insert(connection, storage_id)
    metrics.insert(connection, storage_id)


def _already_exists(storage_id: str | None) -> exception.StorageAlreadyExists:
    if storage_id is None:
        return exception.StorageAlreadyExists()
    return exception.StorageAlreadyExists(
        storage_id, message=f'Storage already exists. It is registered as {storage_id}.')


def update(connection: sa.Connection, storage_id: str, values: Values) -> bool:
    """Set the columns that differ; whether there were any. A deleted storage stays as it is."""
    stored = connection.execute(sa.select(storages).where(
        storages.c.id == storage_id, storages.c.live == 1)).mappings().first()
    if stored is None:
        return False
    changes = {name: value for name, value in values.items() if stored[name] != value}
    if changes:
        connection.execute(sa.update(storages).where(storages.c.id == storage_id),
                           {**changes, 'updated_at': now(connection)})
    return bool(changes)


def set_quarantine(database: Database, storage_id: str, until: datetime | None) -> None:
    """Note (or take back) that calls to a storage pause."""
    with database.write() as connection:
        connection.execute(sa.update(storages).where(storages.c.id == storage_id), {'quarantined_until': until})


def end_quarantines(database: Database, storage_ids: Collection[str]) -> None:
    """Take back what a former owner has noted."""
    with database.read() as connection:
        noted = connection.execute(sa.select(storages.c.id).where(storages.c.quarantined_until.is_not(None)))
        ours = set(noted.scalars()) & set(storage_ids)
    for storage_id in ours:
        set_quarantine(database, storage_id, None)


def hide(connection: sa.Connection, storage_id: str) -> None:
    """Mark as deleted: nobody sees it any more and its serial number is free. `StorageNotFound` if there is none."""
    result = connection.execute(
        sa.update(storages).where(storages.c.id == storage_id, storages.c.live == 1),
        {'live': None, 'deleted_at': now(connection)})
    if not result.rowcount:
        raise exception.StorageNotFound(storage_id)


def hidden(connection: sa.Connection, node: str) -> list[str]:
    """Ids of deleted storages of `node` whose rows are still to be purged."""
    return list(connection.execute(
        sa.select(storages.c.id).join(ownership, ownership.c.storage_id == storages.c.id)
        .where(storages.c.live.is_(None), ownership.c.node == node)).scalars())


def purge(connection: sa.Connection, storage_id: str) -> None:
    """Remove the row of a deleted storage and, by cascade, whatever still belongs to it."""
    connection.execute(sa.delete(storages).where(storages.c.id == storage_id, storages.c.live.is_(None)))


def access(connection: sa.Connection, storage_id: str) -> dict[str, Any]:
    """Access information with its secrets sealed; `AccessInfoNotFound` if there is none."""
    row = connection.execute(sa.select(access_info).where(access_info.c.storage_id == storage_id)).mappings().first()
    if row is None:
        raise exception.AccessInfoNotFound(storage_id)
    return dict(row)


def all_access(connection: sa.Connection) -> list[dict[str, Any]]:
    """Access information of every live storage, secrets sealed, newest first."""
    query = sa.select(access_info).join(storages, storages.c.id == access_info.c.storage_id).where(
        storages.c.live == 1).order_by(access_info.c.created_at.desc(), access_info.c.storage_id)
    return [dict(row) for row in connection.execute(query).mappings()]


def set_access(connection: sa.Connection, storage_id: str, values: Values) -> None:
    """Replace sections of the access information (already sealed)."""
    wanted = {name: values[name] for name in (*ACCESS_TYPE, 'extra_attributes') if name in values}
    connection.execute(sa.update(access_info).where(access_info.c.storage_id == storage_id),
                       {**wanted, 'updated_at': now(connection)})
