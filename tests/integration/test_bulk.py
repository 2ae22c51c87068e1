# SPDX-License-Identifier: Apache-2.0
"""Many rows at once, and rows that are one of many tuples: the same on every engine."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from delfin.common.ids import new_id
from delfin.db import Database, bulk, statistics, tuples
from delfin.db.sqlalchemy.models import alerts
from tests.engines.base import wait_until
from tests.unit.support import add_storage

NOON = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)
TEXTS = ('plain', 'Größe', '数据库', "it's \"quoted\" \\ back", '%s :name', 'a\tb\nc', '😀', 'x' * 255, ' ', 'A', 'a',
         'a ')


def row(storage_id: str, number: int, **more: object) -> dict[str, object]:
    return {'id': new_id(), 'storage_id': storage_id, 'created_at': NOON, 'severity': 'Major', 'category': 'Fault',
            'resource_type': 'Disk', 'state': 'open', 'latest': 1, 'count': 2**40 + number, 'first_seen_at': NOON,
            'last_seen_at': NOON, 'origin': 'trap', 'listed': False, 'muted': True, 'announced': False,
            'match_key': None, 'alert_id': None, 'location': None, 'description': None, 'cleared_at': None,
            'trap': None, **more}


def test_what_was_inserted_is_what_is_read(database: Database) -> None:
    storage_id = add_storage(database)
    given = [row(storage_id, number, match_key=text, description=text, cleared_at=NOON if number % 2 else None,
                 trap={'variables': {'z': text, 'a': number}} if number % 3 else None)
             for number, text in enumerate(TEXTS)]
    with database.write() as connection:
        bulk.insert(connection, alerts, given)
        bulk.insert(connection, alerts, [])
    with database.read() as connection:
        read = connection.execute(sa.select(*(alerts.c[name] for name in given[0]))).mappings().all()
    assert {each['id']: dict(each) for each in read} == {each['id']: each for each in given}
    assert {tuple(each['trap']['variables']) for each in read if each['trap']} == {('z', 'a')}


@pytest.mark.parametrize('count', [1, 1200])
def test_more_rows_than_a_statement_takes_parameters(database: Database, count: int) -> None:
    storage_id = add_storage(database)
    with database.write() as connection:
        bulk.insert(connection, alerts, [row(storage_id, number) for number in range(count)])
    with database.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(alerts)).scalar() == count


def test_rows_are_found_by_their_tuple_alone(database: Database) -> None:
    first, second = add_storage(database, 'SN-1'), add_storage(database, 'SN-2')
    with database.write() as connection:
        bulk.insert(connection, alerts, [row(storage_id, 0, match_key=text, alert_id='0x1', location=text)
                                         for storage_id in (first, second) for text in TEXTS])
    wanted = [(first, text) for text in TEXTS[::2]] + [(second, text) for text in TEXTS[1::2]] + [(second, 'none')]
    by_key = tuples.joined(sa.select(alerts.c.storage_id, alerts.c.match_key),
                           [alerts.c.storage_id, alerts.c.match_key], 'ix_alerts_match_key', database.dialect)
    by_place = tuples.joined(sa.select(alerts.c.storage_id, alerts.c.location),
                             [alerts.c.storage_id, alerts.c.alert_id, alerts.c.location], 'ix_alerts_place',
                             database.dialect)
    with database.read() as connection:
        found = connection.execute(by_key, tuples.parameters(wanted)).all()
        placed = connection.execute(by_place, tuples.parameters(
            [(storage_id, '0x1', text) for storage_id, text in wanted] + [(first, '0x2', 'plain')])).all()
    assert sorted(map(tuple, found)) == sorted(map(tuple, placed)) == sorted(wanted[:-1])


def test_pairs_are_found_by_their_index_in_a_table_that_has_just_grown(database: Database) -> None:
    """No statistics, wrong ones (all that was there had one key), and those that are renewed."""
    if database.dialect != 'postgresql':
        pytest.skip('the other engines are told which index, or plan without numbers')
    storages = [add_storage(database, f'SN-{number}') for number in range(20)]
    by_key = tuples.joined(sa.select(alerts.c.id), [alerts.c.storage_id, alerts.c.match_key], 'ix_alerts_match_key',
                           'postgresql')
    plan = sa.text(f'EXPLAIN {by_key.compile(database.engine)}'.replace('%(tuples)s', ':tuples'))

    def explained() -> str:
        with database.read() as connection:
            return '\n'.join(connection.execute(plan, tuples.parameters([(storages[0], 'key-1')])).scalars())

    def grow(key: str, count: int) -> None:
        with database.write() as connection:
            bulk.insert(connection, alerts, [row(storages[number % 20], number, match_key=key.format(number))
                                             for number in range(count)])
    grow('one key', 20)
    with database.write() as connection:
        connection.execute(sa.text('ANALYZE alerts'))
    grow('key-{}', 4000)
    assert 'Seq Scan on alerts' not in explained()
    # The server counts what was changed a moment after the end of a transaction.
    assert wait_until(lambda: 'alerts' in statistics.renew(database), 20)
    assert 'ix_alerts_match_key' in explained()
    assert statistics.renew(database) == []
