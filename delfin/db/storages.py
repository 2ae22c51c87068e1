# SPDX-License-Identifier: Apache-2.0
"""Storages and their access information in the database."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from delfin import exception
from delfin.common.constants import ACCESS_TYPE
from delfin.db.engine import Database, now
from delfin.db.sqlalchemy.models import access_info, storages, sync_runs
from delfin.kinds import STORAGE_COLUMNS

Values = Mapping[str, Any]

# The newest run that is due or done decides what `sync_status` says; a run that only waits for its time (the second
# look at a suspiciously short answer) does not count until it starts.
_last_run_state = (
    sa.select(sync_runs.c.state)
    .where(sync_runs.c.storage_id == storages.c.id,
           sa.or_(sync_runs.c.state != 'pending', sync_runs.c.not_before <= sync_runs.c.created_at))
    .order_by(sync_runs.c.id.desc()).limit(1).scalar_subquery())

_view = sa.select(
    storages.c.created_at, storages.c.updated_at, storages.c.id,
    *(storages.c[column.name] for column in STORAGE_COLUMNS),
    storages.c.extra, storages.c.quarantined_until, storages.c.deleted_at, _last_run_state.label('last_run_state'),
).where(storages.c.live == 1)

FILTERS = ('id', *(column.name for column in STORAGE_COLUMNS))


def listing(connection: sa.Connection, filters: Values, limit: int, offset: int) -> list[dict[str, Any]]:
    """Live storages, newest first."""
    query = _view.where(*(storages.c[name] == value for name, value in filters.items()))
    query = query.order_by(storages.c.created_at.desc(), storages.c.id.desc()).limit(limit).offset(offset)
    return [dict(row) for row in connection.execute(query).mappings()]


def get(connection: sa.Connection, storage_id: str) -> dict[str, Any]:
    """One live storage; `StorageNotFound` otherwise."""
    row = connection.execute(_view.where(storages.c.id == storage_id)).mappings().first()
    if row is None:
        raise exception.StorageNotFound(storage_id)
    return dict(row)


def ids(connection: sa.Connection) -> list[str]:
    """Ids of all live storages."""
    return list(connection.execute(sa.select(storages.c.id).where(storages.c.live == 1)).scalars())


def by_serial_number(connection: sa.Connection, serial_number: str) -> str | None:
    """Id of the live storage with this serial number."""
    return connection.execute(sa.select(storages.c.id).where(
        storages.c.serial_number == serial_number, storages.c.live == 1)).scalar()


def insert(connection: sa.Connection, storage_id: str, values: Values, access: Values) -> None:
    """A new storage with its access information; `StorageAlreadyExists` when the serial number is taken."""
    moment = now(connection)
    known = by_serial_number(connection, values['serial_number'])
    if known is not None:
        raise _already_exists(known)
    try:
        connection.execute(sa.insert(storages), {**values, 'id': storage_id, 'created_at': moment, 'live': 1})
    except IntegrityError:
        raise _already_exists(None) from None
    connection.execute(sa.insert(access_info), {**access, 'storage_id': storage_id, 'created_at': moment})


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


def hide(connection: sa.Connection, storage_id: str) -> None:
    """Mark as deleted: nobody sees it any more and its serial number is free. `StorageNotFound` if there is none."""
    result = connection.execute(
        sa.update(storages).where(storages.c.id == storage_id, storages.c.live == 1),
        {'live': None, 'deleted_at': now(connection)})
    if not result.rowcount:
        raise exception.StorageNotFound(storage_id)


def hidden(connection: sa.Connection) -> list[str]:
    """Ids of deleted storages whose rows are still to be purged."""
    return list(connection.execute(sa.select(storages.c.id).where(storages.c.live.is_(None))).scalars())


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
    """Access information of every storage, secrets sealed."""
    return [dict(row) for row in connection.execute(sa.select(access_info)).mappings()]


def set_access(connection: sa.Connection, storage_id: str, values: Values) -> None:
    """Replace sections of the access information (already sealed)."""
    wanted = {name: values[name] for name in (*ACCESS_TYPE, 'extra_attributes') if name in values}
    connection.execute(sa.update(access_info).where(access_info.c.storage_id == storage_id),
                       {**wanted, 'updated_at': now(connection)})
