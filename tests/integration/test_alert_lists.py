# SPDX-License-Identifier: Apache-2.0
"""The list of alerts, which shows fields of their storages as well, reads the same on every engine."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from delfin.alerts import TRAP, parsed
from delfin.db import Database, alerts, lists, storages
from delfin.db.alerts import Report
from delfin.db.lists import Filter, Operator, Order, Query
from delfin.db.schema import Schema
from delfin.db.sqlalchemy import models
from delfin.findings import Findings

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ARRAYS = ('array-a', 'array-b', 'array-c')
NUMBER = 7          # alerts of each array


@pytest.fixture(scope='module', params=['sqlite', 'postgresql', 'mariadb'])
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """Three arrays with seven alerts each, and a deleted one. No test changes it."""
    if request.param == 'sqlite':
        yield from _filled(f'sqlite:///{tmp_path_factory.mktemp("sqlite")}/delfin.sqlite')
    else:
        with request.getfixturevalue(request.param).database() as url:
            yield from _filled(url)


def _filled(url: str) -> Iterator[Database]:
    database = Database(url)
    Schema(database).upgrade()
    for array in (*ARRAYS, 'deleted'):
        with database.write() as connection:
            storages.insert(connection, array, {'name': array, 'serial_number': array}, {'vendor': 'v', 'model': 'm'})
            alerts.apply(connection, [_report(array, number) for number in range(NUMBER)])
    with database.write() as connection:
        storages.hide(connection, 'deleted')
    yield database
    database.close()


def _report(array: str, number: int) -> Report:
    at = NOON + timedelta(seconds=number)
    row = {'alert_id': f'0x{number}', 'alert_name': f'Alert {number}', 'sequence_number': f'{number}',
           'location': 'Bay 50%' if number == 3 else None, 'severity': 'Critical' if number % 2 else 'Warning',
           'description': f'about {array}'}
    return Report(array, parsed(row, Findings()).values, at, TRAP)


def fetched(database: Database, query: Query) -> lists.Page:
    with database.read() as connection:
        return lists.fetch(connection, alerts.LISTING, models.alerts, query)


@pytest.mark.parametrize('by', ['marker', 'offset'])
@pytest.mark.parametrize('orders', [
    (), (Order('occur_time'),), (Order('severity', False), Order('alert_name'))], ids=len)
def test_pages_have_every_alert_once_with_the_name_of_its_own_array(database: Database, orders: tuple[Order, ...],
                                                                     by: str) -> None:
    whole = fetched(database, Query(1000, orders=orders)).rows
    found: list[dict[str, object]] = []
    marker = None
    while len(found) < len(ARRAYS) * NUMBER:
        page = fetched(database, Query(4, orders=orders, marker=marker if by == 'marker' else None,
                                       offset=len(found) if by == 'offset' else 0, with_total=True))
        assert page.rows and page.total == len(ARRAYS) * NUMBER
        found += page.rows
        marker = page.next_marker
    assert found == whole
    assert all(row['storage_name'] == row['storage_id'] == row['serial_number'] for row in found)


@pytest.mark.parametrize(('text', 'number'), [
    ('Alert 3', len(ARRAYS)), ('alert 3', 0), ('array-b', NUMBER), ('50%', len(ARRAYS)), ('%', len(ARRAYS)), ('_', 0),
    ('0x6', len(ARRAYS))])
def test_a_text_is_found_in_any_of_several_columns(database: Database, text: str, number: int) -> None:
    wanted = Filter('alert_name', Operator.CONTAINS, (text,), ('alert_id', 'description', 'location'))
    assert len(fetched(database, Query(1000, (wanted,))).rows) == number


def test_counts_take_the_filters_of_the_list(database: Database) -> None:
    wanted = (Filter('storage_id', Operator.EQUAL, ARRAYS[:2]), Filter('occur_time', Operator.AT_LEAST, (
        int(NOON.timestamp() * 1000) + 1000,)))
    with database.read() as connection:
        counts = alerts.summary(connection, lists.conditions(connection, models.alerts, wanted))
    assert sorted(counts) == [('open', 'Critical', 6), ('open', 'Warning', 6)]
