# SPDX-License-Identifier: Apache-2.0
"""How full storages and pools were: a row for each and each day, as they were at the last sync of that day.

In the central database, unlike metrics: it is little, and must be there when an array moves to another node.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, Final

import sqlalchemy as sa

from delfin.db.engine import now
from delfin.db.runs import STORAGE
from delfin.db.sqlalchemy import models
from delfin.db.sqlalchemy.models import capacity_history, storages
from delfin.kinds import KINDS

POOLS: Final = 'storage_pools'
OF_STORAGE: Final = 'storages'
OF_SYNC_KINDS: Final = {STORAGE: OF_STORAGE, POOLS: POOLS}     # what a sync calls them
VALUES: Final = ('total_capacity', 'used_capacity', 'free_capacity')

_c = capacity_history.c


def today(connection: sa.Connection) -> date:
    """The day, by the database's clock in UTC."""
    return now(connection).date()


def is_noted(connection: sa.Connection, storage_id: str, kind: str, day: date) -> bool:
    """Whether what is stored of the storage or its pools stands there for this day."""
    return not connection.execute(sa.select(sa.exists(_unnoted(storage_id, kind, day)))).scalar()


def note(connection: sa.Connection, storage_id: str, kind: str, day: date) -> None:
    """Take over what is stored of the storage or its pools, as far as it is new."""
    source = _source(storage_id, kind)
    this_day = sa.and_(_c.storage_id == storage_id, _c.kind == kind, _c.day == day)
    differs = sa.or_(*(_c[name].is_distinct_from(source.c[name]) for name in VALUES))
    connection.execute(sa.delete(capacity_history).where(this_day, sa.exists(
        sa.select(sa.literal(1)).select_from(source).where(source.c.native_id == _c.native_id, differs))))
    connection.execute(sa.insert(capacity_history).from_select(
        ['storage_id', 'kind', 'native_id', 'day', *VALUES], _unnoted(storage_id, kind, day)))


def history(connection: sa.Connection, storage_id: str, kind: str, native_id: str | None, begin: date,
            limit: int) -> list[dict[str, Any]]:
    """Rows from `begin` on by native id and day, at most `limit`; without `native_id` those of all."""
    query = sa.select(_c.native_id, _c.day, *(_c[name] for name in VALUES)).where(
        _c.storage_id == storage_id, _c.kind == kind, _c.day >= begin)
    if native_id is not None:
        query = query.where(_c.native_id == native_id)
    return [dict(row) for row in connection.execute(query.order_by(_c.native_id, _c.day).limit(limit)).mappings()]


def names(connection: sa.Connection, storage_id: str, kind: str) -> dict[str, str | None]:
    """Names by native id of what there is now."""
    if kind == OF_STORAGE:
        return {'': connection.execute(sa.select(storages.c.name).where(storages.c.id == storage_id)).scalar()}
    pools = _pools()
    found = connection.execute(sa.select(pools.c[KINDS[POOLS].native_id], pools.c.name).where(
        pools.c.storage_id == storage_id))
    return {native_id: name for native_id, name in found}


def delete_old(connection: sa.Connection, keep_days: int) -> bool:
    """Remove the oldest day if it is too old; whether there was one."""
    oldest = connection.execute(sa.select(sa.func.min(_c.day))).scalar()
    if oldest is None or oldest > today(connection) - timedelta(days=keep_days):
        return False
    connection.execute(sa.delete(capacity_history).where(_c.day == oldest))
    return True


def delete_some(connection: sa.Connection, storage_id: str, limit: int) -> int:
    """The rows of one of the days of a storage that is removed, or about `limit`; how many."""
    days: Sequence[date] = connection.execute(
        sa.select(_c.day).where(_c.storage_id == storage_id).order_by(_c.day).limit(limit)).scalars().all()
    if not days:
        return 0
    return connection.execute(sa.delete(capacity_history).where(
        _c.storage_id == storage_id, _c.day <= days[-1])).rowcount


def _source(storage_id: str, kind: str) -> sa.Subquery:
    """What is stored now: native id and capacities, without those of which nothing is known."""
    native_id: sa.ColumnElement[Any]
    if kind == OF_STORAGE:
        table, native_id = storages, sa.literal('', models.types.text())
        mine = sa.and_(storages.c.id == storage_id, storages.c.live == 1)
    else:
        table = _pools()
        native_id = table.c[KINDS[POOLS].native_id]
        mine = sa.and_(table.c.storage_id == storage_id, table.c.stale_since.is_(None))
    values = [table.c[name] for name in VALUES]
    return sa.select(native_id.label('native_id'), *values).where(
        mine, sa.or_(*(value.is_not(None) for value in values))).subquery('source')


def _unnoted(storage_id: str, kind: str, day: date) -> sa.Select[Any]:
    source = _source(storage_id, kind)
    same = sa.and_(*(_c[name].is_not_distinct_from(source.c[name]) for name in VALUES))
    noted = sa.select(sa.literal(1)).select_from(capacity_history).where(
        _c.storage_id == storage_id, _c.kind == kind, _c.day == day, _c.native_id == source.c.native_id, same)
    return sa.select(sa.literal(storage_id, models.types.uuid_text()), sa.literal(kind, sa.String(64)),
                     source.c.native_id, sa.literal(day, sa.Date()), *(source.c[name] for name in VALUES)).where(
        ~sa.exists(noted))


def _pools() -> sa.Table:
    return models.table(KINDS[POOLS].table)
