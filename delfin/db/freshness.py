# SPDX-License-Identifier: Apache-2.0
"""When an array last gave a complete answer, for each kind: what "last seen" of its rows is derived from.

One row a kind instead of a column a resource: a sync that finds nothing changed writes no resource row.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import sqlalchemy as sa

from delfin.db.engine import now
from delfin.db.sqlalchemy.models import sync_freshness

_c = sync_freshness.c

_OF_KIND = sa.select(_c.storage_id, _c.seen_at).where(
    _c.kind == sa.bindparam('kind'), _c.storage_id.in_(sa.bindparam('storage_ids', expanding=True)))


def note(connection: sa.Connection, storage_id: str, kind: str) -> None:
    """The array has just given a complete answer for `kind`."""
    moment = now(connection)
    changed = connection.execute(sa.update(sync_freshness).where(_c.storage_id == storage_id, _c.kind == kind),
                                 {'seen_at': moment}).rowcount
    if not changed:
        connection.execute(sa.insert(sync_freshness), {'storage_id': storage_id, 'kind': kind, 'seen_at': moment})


def of_kind(connection: sa.Connection, kind: str, storage_ids: Collection[str]) -> dict[str, datetime]:
    """When each of the storages was last seen completely, for one kind."""
    if not storage_ids:
        return {}
    rows = connection.execute(_OF_KIND, {'kind': kind, 'storage_ids': list(storage_ids)})
    return {storage_id: seen_at for storage_id, seen_at in rows}


def kinds(connection: sa.Connection, storage_id: str) -> set[str]:
    """Kinds that the array has ever listed completely."""
    return set(connection.execute(sa.select(_c.kind).where(_c.storage_id == storage_id)).scalars())
