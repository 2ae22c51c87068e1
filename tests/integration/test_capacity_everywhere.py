# SPDX-License-Identifier: Apache-2.0
"""How full storages and pools were, in every database."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import sqlalchemy as sa

from delfin.db import Database, capacity
from delfin.db.sqlalchemy.models import storages, table
from delfin.kinds import KINDS
from tests.unit.support import add_rows, add_storage

DAY = date(2026, 11, 5)


def test_days_are_noted_the_same_on_every_engine(database: Database) -> None:
    """One story, for a database server is slow to be made ready."""
    storage_id, other = add_storage(database), add_storage(database, 'SN-2')
    pools = [{'native_storage_pool_id': name, 'total_capacity': 100 << 40, 'used_capacity': used}
             for name, used in (('p', 1), ('P', None), ('p ', 3))]
    add_rows(database, storage_id, 'storage_pools', [*pools, {'native_storage_pool_id': 'unknown'}])

    def note(day: date) -> list[str]:
        """Kinds of which something was new."""
        new = []
        with database.write() as connection:
            for kind in (capacity.OF_STORAGE, capacity.POOLS):
                if not capacity.is_noted(connection, storage_id, kind, day):
                    capacity.note(connection, storage_id, kind, day)
                    new.append(kind)
        return new

    def used(kind: str, native_id: str | None = None) -> list[tuple[Any, ...]]:
        with database.read() as connection:
            rows = capacity.history(connection, storage_id, kind, native_id, DAY, 100)
        return [(row['native_id'], (row['day'] - DAY).days, row['used_capacity']) for row in rows]

    def change(statement: sa.Update) -> None:
        with database.write() as connection:
            connection.execute(statement)

    # Only what says something of its capacity, by ids that differ in case and blanks; once.
    assert note(DAY) == [capacity.POOLS] and note(DAY) == []
    assert used('storages') == []
    assert sorted(used('storage_pools')) == [('P', 0, None), ('p', 0, 1), ('p ', 0, 3)]

    # A change, also from and to nothing, takes the place of what stood there.
    rows = table(KINDS['storage_pools'].table)
    change(sa.update(rows).where(rows.c.native_storage_pool_id == 'P').values(used_capacity=7))
    change(sa.update(rows).where(rows.c.native_storage_pool_id == 'p').values(used_capacity=None))
    change(sa.update(storages).where(storages.c.id == storage_id).values(used_capacity=2**62, total_capacity=2**63 - 1))
    assert note(DAY) == ['storages', 'storage_pools'] and note(DAY) == []
    assert sorted(used('storage_pools')) == [('P', 0, 7), ('p', 0, None), ('p ', 0, 3)]
    assert used('storages') == [('', 0, 2**62)]

    # Every day has its rows; those of one pool come in order.
    for number in (2, 1):
        assert note(DAY + timedelta(days=number)) == ['storages', 'storage_pools']
    assert used('storage_pools', 'p ') == [('p ', number, 3) for number in range(3)]
    with database.read() as connection:
        assert capacity.names(connection, storage_id, 'storages') == {'': 'array'}
        assert capacity.names(connection, storage_id, 'storage_pools').keys() == {'p', 'P', 'p ', 'unknown'}
        assert capacity.history(connection, other, 'storage_pools', None, DAY, 100) == []

    # The oldest go by days, and what is left with its storage.
    keep = (capacity_today(database) - DAY).days        # of three days one is too old
    with database.write() as connection:
        assert [capacity.delete_old(connection, keep) for _ in range(2)] == [True, False]
        assert capacity.delete_some(connection, other, 100) == 0
        assert capacity.delete_some(connection, storage_id, 1) == 4
        assert [capacity.delete_some(connection, storage_id, 100) for _ in range(2)] == [4, 0]


def capacity_today(database: Database) -> date:
    with database.read() as connection:
        return capacity.today(connection)
