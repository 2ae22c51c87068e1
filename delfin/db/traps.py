# SPDX-License-Identifier: Apache-2.0
"""Traps in the database: how far spools are drained, what could not be understood, what was refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa

from delfin import exception
from delfin.db.engine import now
from delfin.db.sqlalchemy.models import failed_traps, rejected_traps, trap_marks

_marks, _failed, _rejected = trap_marks.c, failed_traps.c, rejected_traps.c

_MOST_ADDRESSES = 1000


# --- marks ---

def mark(connection: sa.Connection, spool_id: str, lane: int) -> int:
    """Up to which of its traps a lane is in the database."""
    return connection.execute(sa.select(_marks.mark).where(
        _marks.spool_id == spool_id, _marks.lane == lane)).scalar() or 0


def set_marks(connection: sa.Connection, marks: Mapping[tuple[str, int], int]) -> None:
    """By (spool, lane), up to which of its traps everything is done: part of the transaction that does it."""
    moment = now(connection)
    by_spool: dict[str, dict[int, int]] = {}
    for (spool_id, lane), value in sorted(marks.items()):
        by_spool.setdefault(spool_id, {})[lane] = value
    for spool_id, values in by_spool.items():
        ours = sa.and_(_marks.spool_id == spool_id, _marks.lane.in_(values))
        new_mark = sa.case(*((_marks.lane == lane, value) for lane, value in values.items()))
        if connection.execute(
                sa.update(trap_marks).where(ours).values(mark=new_mark, updated_at=moment)).rowcount < len(values):
            there = set(connection.execute(sa.select(_marks.lane).where(ours)).scalars())
            connection.execute(sa.insert(trap_marks), [
                {'spool_id': spool_id, 'lane': lane, 'mark': value, 'updated_at': moment}
                for lane, value in values.items() if lane not in there])


def forget_marks(connection: sa.Connection, seconds: float) -> None:
    """Drop the marks of spools that have not moved for so long."""
    connection.execute(sa.delete(trap_marks).where(_marks.updated_at < now(connection) - timedelta(seconds=seconds)))


# --- failed ---

class Failed(NamedTuple):
    """A trap that was authenticated but could not be made an alert of."""

    received_at: datetime
    source: str
    storage_ids: tuple[str, ...]
    version: str
    variables: Mapping[str, str]
    error: str


def add_failed(connection: sa.Connection, traps: Sequence[Failed], node: str, keep: int) -> None:
    """Keep traps for people to read and to retry; the oldest beyond `keep` go."""
    if not traps:
        return
    moment = now(connection)
    connection.execute(sa.insert(failed_traps), [
        {**trap._asdict(), 'storage_ids': list(trap.storage_ids), 'variables': dict(trap.variables),
         'created_at': moment, 'node': node} for trap in traps])
    last = connection.execute(sa.select(_failed.id).order_by(_failed.id.desc()).offset(keep).limit(1)).scalar()
    if last is not None:
        connection.execute(sa.delete(failed_traps).where(_failed.id <= last))


def failed(connection: sa.Connection, limit: int, offset: int = 0) -> list[dict[str, Any]]:
    """Traps that could not be understood, newest first."""
    return [{str(name): value for name, value in row.items()} for row in connection.execute(
        sa.select(failed_traps).order_by(_failed.id.desc()).limit(limit).offset(offset)).mappings()]


def failed_after(connection: sa.Connection, last_id: int, limit: int) -> list[dict[str, Any]]:
    """The same in the order in which they came, for those who go through all of them."""
    return [{str(name): value for name, value in row.items()} for row in connection.execute(
        sa.select(failed_traps).where(_failed.id > last_id).order_by(_failed.id).limit(limit)).mappings()]


def take_failed(connection: sa.Connection, trap_id: int) -> bool:
    """Remove a failed trap; False if somebody else has done so."""
    return bool(connection.execute(sa.delete(failed_traps).where(_failed.id == trap_id)).rowcount)


def delete_failed(connection: sa.Connection, trap_id: int) -> None:
    """Remove a failed trap; `NotFound`."""
    if not take_failed(connection, trap_id):
        raise exception.NotFound(message=f'There is no failed trap {trap_id}.')


def set_error(connection: sa.Connection, trap_id: int, error: str) -> None:
    """Why it still cannot be understood."""
    connection.execute(sa.update(failed_traps).where(_failed.id == trap_id), {'error': error})


# --- rejected ---

class Count(NamedTuple):
    """How often an address was refused for a reason. Address '' stands for those that found no room."""

    address: str
    reason: str
    number: int
    first_at: datetime
    last_at: datetime


def add_rejected(connection: sa.Connection, counts: Sequence[Count]) -> None:
    """Add to what is there. Beyond a thousand addresses, new ones are counted together."""
    if not counts:
        return
    known = {(row.address, row.reason) for row in connection.execute(sa.select(_rejected.address, _rejected.reason))}
    addresses = {address for address, _ in known}
    for count in counts:
        address = count.address
        if address not in addresses and len(addresses) >= _MOST_ADDRESSES:
            address = ''
        addresses.add(address)
        this = sa.and_(_rejected.address == address, _rejected.reason == count.reason)
        if (address, count.reason) in known:
            connection.execute(sa.update(rejected_traps).where(this).values(
                count=_rejected.count + count.number, last_at=count.last_at))
        else:
            known.add((address, count.reason))
            connection.execute(sa.insert(rejected_traps), {
                'address': address, 'reason': count.reason, 'count': count.number, 'first_at': count.first_at,
                'last_at': count.last_at})


def rejected(connection: sa.Connection) -> list[dict[str, Any]]:
    """What was refused, the latest first."""
    return [{str(name): value for name, value in row.items()} for row in connection.execute(
        sa.select(rejected_traps).order_by(_rejected.last_at.desc(), _rejected.address, _rejected.reason)).mappings()]


def forget_rejected(connection: sa.Connection, before: datetime | None = None) -> None:
    """Forget what was refused (before a time)."""
    connection.execute(sa.delete(rejected_traps).where(
        sa.true() if before is None else _rejected.last_at < before))
