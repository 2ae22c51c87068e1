# SPDX-License-Identifier: Apache-2.0
"""Which task service owns which array.

A node lives as long as it renews its row in `nodes` (all times are the database's). Among the living, a hash of node
and storage says who *should* own an array; the row in `ownership` says who *does*. Its epoch grows with each change of
hands, and every write of a sync checks it: a node that slept past its lease finds that it owns nothing any more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa

from delfin.db.engine import now
from delfin.db.sqlalchemy.models import nodes, ownership, storages

_nodes, _owned = nodes.c, ownership.c


@dataclass(frozen=True, slots=True)
class Node:
    """One life of a task service: its name, and an id that is new at each start."""

    name: str
    boot: str
    version: str


class Held(NamedTuple):
    """Who owns an array, since which epoch."""

    storage_id: str
    node: str | None
    epoch: int


# --- who lives ---

def join(connection: sa.Connection, node: Node, key_ids: Sequence[str], lease_seconds: float) -> None:
    """Begin a life. What an earlier life of this node owned is ours, with a new epoch."""
    moment = now(connection)
    values = {'boot': node.boot, 'version': node.version, 'key_ids': list(key_ids), 'started_at': moment,
              'heartbeat_at': moment, 'expires_at': moment + timedelta(seconds=lease_seconds)}
    if not connection.execute(sa.update(nodes).where(_nodes.name == node.name), values).rowcount:
        connection.execute(sa.insert(nodes), {'name': node.name, **values})
    connection.execute(sa.update(ownership).where(_owned.node == node.name).values(epoch=_owned.epoch + 1))


def renew(connection: sa.Connection, node: Node, key_ids: Sequence[str], lease_seconds: float) -> bool:
    """A sign of life; False when this life's row is gone: the database was restored, or another process has our name.
    """
    moment = now(connection)
    return bool(connection.execute(
        sa.update(nodes).where(_nodes.name == node.name, _nodes.boot == node.boot),
        {'heartbeat_at': moment, 'expires_at': moment + timedelta(seconds=lease_seconds),
         'key_ids': list(key_ids)}).rowcount)


def leave(connection: sa.Connection, node: Node) -> None:
    """End a life in good order: the others need not wait for the lease to run out."""
    if connection.execute(sa.delete(nodes).where(_nodes.name == node.name, _nodes.boot == node.boot)).rowcount:
        connection.execute(sa.update(ownership).where(_owned.node == node.name).values(
            node=None, epoch=_owned.epoch + 1))


def alive(connection: sa.Connection) -> list[str]:
    """Names of the living, in order."""
    return list(connection.execute(
        sa.select(_nodes.name).where(_nodes.expires_at > now(connection)).order_by(_nodes.name)).scalars())


def listing(connection: sa.Connection) -> list[dict[str, Any]]:
    """All nodes with `alive` and the number of `storages` they own."""
    moment = now(connection)
    count = sa.select(sa.func.count()).where(_owned.node == _nodes.name).scalar_subquery()
    return [{**row, 'alive': row['expires_at'] > moment} for row in connection.execute(
        sa.select(nodes, count.label('storages')).order_by(_nodes.name)).mappings()]


def long_dead(connection: sa.Connection, seconds: float) -> list[str]:
    """Names of nodes that have been dead for so long."""
    return list(connection.execute(
        sa.select(_nodes.name).where(_nodes.expires_at < now(connection) - timedelta(seconds=seconds))).scalars())


def bury(connection: sa.Connection, names: Sequence[str], seconds: float) -> None:
    """Forget nodes that have been dead for so long. By name: a search would lock the rows of the living on MariaDB."""
    for name in names:
        connection.execute(sa.delete(nodes).where(
            _nodes.name == name, _nodes.expires_at < now(connection) - timedelta(seconds=seconds)))


# --- who owns ---

def chosen(storage_id: str, living: Collection[str]) -> str | None:
    """Who of the living should own an array (highest random weight): only what must move moves when nodes change."""
    return max(living, key=lambda name: (_weight(name, storage_id), name), default=None)


def _weight(name: str, storage_id: str) -> bytes:
    return hashlib.blake2b(f'{name}\0{storage_id}'.encode(), digest_size=8).digest()


def all_held(connection: sa.Connection) -> list[Held]:
    """Every array, deleted ones that are not yet purged included."""
    return [Held(*row) for row in connection.execute(sa.select(_owned.storage_id, _owned.node, _owned.epoch))]


def held_by(connection: sa.Connection, node: str) -> dict[str, int]:
    """The arrays of a node with their epochs."""
    return {row.storage_id: row.epoch for row in connection.execute(
        sa.select(_owned.storage_id, _owned.epoch).where(_owned.node == node))}


def insert(connection: sa.Connection, storage_id: str, node: str | None) -> None:
    """A new array."""
    connection.execute(sa.insert(ownership), {'storage_id': storage_id, 'node': node, 'epoch': 1})


def give(connection: sa.Connection, moves: Mapping[Held, str]) -> None:
    """Change hands, each array unless somebody else has changed it meanwhile, or is at it."""
    for held, node in sorted(moves.items()):        # whoever locks several arrays does it in this order
        # What a transaction of its owner holds (perhaps of one that stands still) is left for the next time: who waited
        # for it here could not say that he lives.
        if connection.execute(sa.select(_owned.epoch).where(_owned.storage_id == held.storage_id).with_for_update(
                skip_locked=True)).first() is None:
            continue
        connection.execute(
            sa.update(ownership).where(_owned.storage_id == held.storage_id, _owned.epoch == held.epoch),
            {'node': node, 'epoch': held.epoch + 1})


def owner(connection: sa.Connection, storage_id: str) -> str | None:
    """The living owner of an array; None if it has none now."""
    return connection.execute(
        sa.select(_owned.node).join(nodes, _nodes.name == _owned.node)
        .where(_owned.storage_id == storage_id, _nodes.expires_at > now(connection))).scalar()


def hold(connection: sa.Connection, storage_id: str, node: str, epoch: int) -> bool:
    """Whether an array that is still registered is `node`'s with this epoch. Until the transaction ends it stays so."""
    # An UPDATE, since all engines lock for it. MariaDB counts changed rows only unless told otherwise; SQLAlchemy's
    # dialect asks for found rows.
    return bool(connection.execute(
        sa.update(ownership).where(
            _owned.storage_id == storage_id, _owned.node == node, _owned.epoch == epoch,
            sa.exists().where(storages.c.id == storage_id, storages.c.live == 1)), {'epoch': epoch}).rowcount)
