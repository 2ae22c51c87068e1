# SPDX-License-Identifier: Apache-2.0
"""Numbers about the arrays of a node, in a few queries for any number of arrays."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from delfin.alerts import STANDING
from delfin.db.sqlalchemy import models
from delfin.db.sqlalchemy.models import alerts, ownership, storages, sync_freshness, sync_runs
from delfin.kinds import Kind


class Count(NamedTuple):
    """How many rows of a storage have a value in a column."""

    storage_id: str
    value: str | None
    number: int


def _owned(column: sa.Column[Any], node: str) -> sa.ColumnElement[bool]:
    return column.in_(sa.select(ownership.c.storage_id).where(ownership.c.node == node))


def last_answers(connection: sa.Connection, node: str) -> dict[tuple[str, str], datetime]:
    """(storage, kind) -> when the array last listed the kind completely. While that is the same, so are its rows."""
    c = sync_freshness.c
    return {(storage_id, kind): seen_at for storage_id, kind, seen_at in connection.execute(
        sa.select(c.storage_id, c.kind, c.seen_at).where(_owned(c.storage_id, node)))}


def rows(connection: sa.Connection, kind: Kind, columns: Sequence[str],
         storage_ids: Sequence[str]) -> list[tuple[Any, ...]]:
    """Storage, native id, name and these columns of all rows of a kind."""
    table = models.table(kind.table)
    return [tuple(row) for row in connection.execute(
        sa.select(table.c.storage_id, table.c[kind.native_id], table.c.name, *(table.c[name] for name in columns))
        .where(table.c.storage_id.in_(storage_ids)).order_by(table.c.storage_id, table.c[kind.native_id]))]


def counts(connection: sa.Connection, kind: Kind, column: str | None, storage_ids: Sequence[str]) -> list[Count]:
    """The rows of a kind by the value of a column; without one, all of them."""
    table = models.table(kind.table)
    value: sa.ColumnElement[Any] = sa.null() if column is None else table.c[column]
    by = [table.c.storage_id] if column is None else [table.c.storage_id, table.c[column]]
    return [Count(*row) for row in connection.execute(
        sa.select(table.c.storage_id, value, sa.func.count()).where(table.c.storage_id.in_(storage_ids))
        .group_by(*by).order_by(*by))]


def standing_alerts(connection: sa.Connection, node: str) -> list[Count]:
    """Alerts that stand and are not muted, by severity."""
    c = alerts.c
    return [Count(*row) for row in connection.execute(
        sa.select(c.storage_id, c.severity, sa.func.count())
        .where(c.state.in_(STANDING), c.muted == sa.false(), _owned(c.storage_id, node))
        .group_by(c.storage_id, c.severity))]


def active_syncs(connection: sa.Connection, node: str) -> dict[str, int]:
    """How many syncs are `pending` and `running`."""
    c = sync_runs.c
    found = {state: int(number) for state, number in connection.execute(
        sa.select(c.state, sa.func.count()).join(storages, storages.c.id == c.storage_id)
        .where(c.active == 1, storages.c.live == 1, _owned(c.storage_id, node)).group_by(c.state))}
    return {state: found.get(state, 0) for state in ('pending', 'running')}
