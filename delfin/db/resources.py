# SPDX-License-Identifier: Apache-2.0
"""Rows of resource kinds: lists for the API, comparison and set-based writing for sync."""

from __future__ import annotations

import functools
import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa

from delfin.common.ids import new_id
from delfin.db import freshness, lists
from delfin.db.engine import Database, now
from delfin.db.sqlalchemy import models
from delfin.db.sqlalchemy.models import storages, sync_freshness
from delfin.kinds import KINDS, Key, Kind, Table

T = TypeVar('T')
BATCH = 1000            # rows of one statement; a transaction holds at most two


# --- for the API ---

def listing(connection: sa.Connection, kind: Kind, query: lists.Query) -> lists.Page:
    """A page of the rows of live storages, with their member lists and freshness."""
    table = models.table(kind.table)
    page = lists.fetch(connection, _rows(table), table, query)
    _complete(connection, kind, page.rows)
    return page


def get(database: Database, kind: Kind, row_id: str) -> dict[str, Any] | None:
    """One row of a live storage by our id."""
    statement, parameters = _row(models.table(kind.table)), {'row_id': row_id}
    if not kind.members:
        row = database.first(statement, parameters)
        return None if row is None else _seen(row)
    with database.read() as connection:         # members stand in other tables: all must be of one moment
        found = connection.execute(statement, parameters).mappings().first()
        if found is None:
            return None
        row = _seen(dict(found))
        _add_members(connection, kind, [row])
    return row


def _seen(row: dict[str, Any]) -> dict[str, Any]:
    row['last_seen_at'] = row.pop('stale_since') or row['last_seen_at']
    return row


def search(connection: sa.Connection, kind: Kind, terms: Sequence[str], prefix: bool,
           limit: int) -> list[dict[str, Any]]:
    """Rows with one of `terms` (or, with `prefix`, a text that begins with it) in one of the searchable columns."""
    table = models.table(kind.table)
    found: dict[str, dict[str, Any]] = {}
    for column in (column for column in kind.table.columns if column.searchable):
        condition = lists.matches(table.c[column.name], terms, prefix)
        query = _rows(table).where(condition).order_by(table.c[column.name], table.c.id).limit(limit)
        for row in connection.execute(query).mappings():
            found.setdefault(row['id'], {**row, 'matched': column.name})
        if len(found) >= limit:
            break
    rows = list(found.values())[:limit]
    _complete(connection, kind, rows)
    return rows


@functools.cache
def _rows(table: sa.Table) -> sa.Select[Any]:
    """All rows of live storages. Made once for each table: making a statement takes longer than a row's answer."""
    columns = [column for column in table.columns if column.name != 'fingerprint']
    # Not "in the live ones": from that the engines make a join that begins with the storages and sorts all their rows.
    hidden = sa.select(storages.c.id).where(storages.c.live.is_(None))
    return sa.select(*columns).where(table.c.storage_id.not_in(hidden))


@functools.cache
def _row(table: sa.Table) -> sa.Select[Any]:
    """The row with `row_id`, and when its kind was last seen."""
    seen_at = sa.select(sync_freshness.c.seen_at).where(
        sync_freshness.c.storage_id == table.c.storage_id, sync_freshness.c.kind == table.name)
    return _rows(table).add_columns(seen_at.scalar_subquery().label('last_seen_at')).where(
        table.c.id == sa.bindparam('row_id'))


def _complete(connection: sa.Connection, kind: Kind, rows: Sequence[dict[str, Any]]) -> None:
    """Add what stands in other tables: when the rows were last seen, and their members."""
    seen_at = freshness.of_kind(connection, kind.name, {row['storage_id'] for row in rows})
    for row in rows:
        stale_since = row.pop('stale_since')
        row['last_seen_at'] = stale_since or seen_at.get(row['storage_id'])
    _add_members(connection, kind, rows)


def _add_members(connection: sa.Connection, kind: Kind, rows: Sequence[dict[str, Any]]) -> None:
    """Fill the lists of member ids: one query for a page of rows of any number of storages."""
    for members in kind.members:
        found: dict[tuple[str, str], list[str]] = defaultdict(list)
        table = models.table(KINDS.table(members.table))
        wanted = {(row['storage_id'], row[kind.native_id]) for row in rows}
        if wanted:
            group, member = table.c[members.key_column], table.c[members.member_column]
            by_storage: dict[str, list[str]] = defaultdict(list)
            for storage_id, native_id in wanted:
                by_storage[storage_id].append(native_id)
            for storage_id, native_ids in by_storage.items():
                query = sa.select(group, member).where(table.c.storage_id == storage_id, group.in_(native_ids))
                for native_id, member_id in connection.execute(query.order_by(group, member)):
                    found[storage_id, native_id].append(member_id)
        for row in rows:
            row[members.shown_as] = found[row['storage_id'], row[kind.native_id]]


# --- for sync ---

# What sync needs to know of a stored row, in 33 bytes: there may be a million of them. Our id, the fingerprint, and
# whether the row is stale.
_ID, _FINGERPRINT, _STALE = slice(0, 16), slice(16, 32), 32
_READ_AT_ONCE = 5000


def stored(connection: sa.Connection, spec: Table, storage_id: str) -> dict[Key, bytes]:
    """The rows of one storage by natural key; see `row_id`, `same`, `is_stale`."""
    c = models.table(spec).c
    query = sa.select(*(c[name] for name in spec.key), c.id, c.fingerprint, c.stale_since.is_not(None)).where(
        c.storage_id == storage_id).execution_options(yield_per=_READ_AT_ONCE)
    flags, unhex = (b'\0', b'\1'), bytes.fromhex
    rows: Iterable[Sequence[Any]] = connection.execute(query)
    if len(spec.key) == 1:
        return {key: unhex(row_id.replace('-', '')) + mark + flags[bool(stale)] for key, row_id, mark, stale in rows}
    return {tuple(row[:-3]): unhex(row[-3].replace('-', '')) + row[-2] + flags[bool(row[-1])]
            for row in rows}


def row_id(packed: bytes) -> str:
    """Our id of a stored row."""
    return str(uuid.UUID(bytes=packed[_ID]))


def same(packed: bytes, fingerprint: bytes) -> bool:
    """Whether a stored row was made of the same values."""
    return packed[_FINGERPRINT] == fingerprint


def is_stale(packed: bytes) -> bool:
    """Whether the array has sent a stored row in unusable form since."""
    return bool(packed[_STALE])


def dangling(connection: sa.Connection, spec: Table, storage_id: str, column: str, target: Table) -> tuple[int, Any]:
    """How many rows name something in `column` that `target` does not hold, and an example of what they name."""
    t, other = models.table(spec), models.table(target).alias('other')
    missing = sa.and_(
        t.c.storage_id == storage_id, t.c[column].is_not(None),
        ~sa.exists().where(other.c.storage_id == t.c.storage_id, other.c[target.key[0]] == t.c[column]))
    count, example = connection.execute(sa.select(sa.func.count(), sa.func.min(t.c[column])).where(missing)).one()
    return int(count), example


def insert(connection: sa.Connection, spec: Table, storage_id: str, rows: Sequence[dict[str, Any]]) -> None:
    """New rows: dicts with every column of `spec`, `extra` and `fingerprint`."""
    moment = now(connection)
    common = {'storage_id': storage_id, 'created_at': moment, 'updated_at': None, 'stale_since': None}
    statement = sa.insert(models.table(spec))
    for batch in batches(rows):
        connection.execute(statement, [{**row, **common, 'id': new_id()} for row in batch])


def update(connection: sa.Connection, spec: Table, rows: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """Changed rows: (our id, dict as for `insert`)."""
    moment = now(connection)
    table = models.table(spec)
    names = [column.name for column in spec.columns if column.name not in spec.key] + ['extra', 'fingerprint']
    statement = sa.update(table).where(table.c.id == sa.bindparam('row_id')).values(
        {**{name: sa.bindparam(f'new_{name}', type_=table.c[name].type) for name in names},
         'updated_at': sa.bindparam('moment', type_=table.c.updated_at.type), 'stale_since': None})
    for batch in batches(rows):
        connection.execute(statement, [
            {'row_id': row_id, 'moment': moment, **{f'new_{name}': row[name] for name in names}}
            for row_id, row in batch])


def set_stale(connection: sa.Connection, spec: Table, row_ids: Sequence[str], stale: bool) -> None:
    """Mark rows that the array sends in unusable form, or clear the mark."""
    c = models.table(spec).c
    moment = now(connection) if stale else None
    for batch in batches(row_ids):
        statement = sa.update(models.table(spec)).where(c.id.in_(batch))
        if stale:
            statement = statement.where(c.stale_since.is_(None))
        connection.execute(statement, {'stale_since': moment})


def delete(connection: sa.Connection, spec: Table, row_ids: Sequence[str]) -> None:
    """Remove rows by our ids."""
    c = models.table(spec).c
    for batch in batches(row_ids):
        connection.execute(sa.delete(models.table(spec)).where(c.id.in_(batch)))


def delete_some(connection: sa.Connection, spec: Table, storage_id: str, limit: int) -> int:
    """Remove up to `limit` rows of a storage that is being purged; how many went."""
    c = models.table(spec).c
    row_ids = list(connection.execute(sa.select(c.id).where(c.storage_id == storage_id).limit(limit)).scalars())
    delete(connection, spec, row_ids)
    return len(row_ids)


def batches(rows: Sequence[T]) -> Iterable[Sequence[T]]:
    """`rows` in portions of `BATCH`."""
    return (rows[start:start + BATCH] for start in range(0, len(rows), BATCH))
