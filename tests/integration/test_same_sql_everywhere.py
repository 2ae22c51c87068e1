# SPDX-License-Identifier: Apache-2.0
"""Lists are the same on every engine: filters, orders, pages and totals of SQLite, PostgreSQL and MariaDB, asked the
same at once, equal each other and a model in plain Python of what `delfin.db.lists` promises.

The examples are the same in every run; set HYPOTHESIS_PROFILE=explore to look further.
"""

from __future__ import annotations

import base64
import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from delfin import exception
from delfin.common import json
from delfin.db import Database, resources, storages
from delfin.db.lists import Filter, Operator, Order, Page, Query
from delfin.db.schema import Schema
from delfin.db.sqlalchemy import models
from delfin.kinds import BIGINT_MAX, KINDS, Column, ColumnType
from tests.engines import MariaDB, PostgreSQL

Row = dict[str, Any]

ENGINES = ('sqlite', 'postgresql', 'mariadb')
EXPLORE = os.environ.get('HYPOTHESIS_PROFILE') == 'explore'
VOLUMES = KINDS['volumes']
TABLE = models.table(VOLUMES.table)
STORAGES = tuple(str(uuid.UUID(int=number << 100, version=4)) for number in (0x0a, 0x1f, 0xf1))
HIDDEN = str(uuid.UUID(int=0xff << 100, version=4))         # deleted: its rows are still there and never shown
EVERYTHING = 1000
NOON = datetime(2026, 11, 5, 12, tzinfo=UTC)

# What the API offers: filters by a kind's columns and the two ids, orders by these and the times.
FILTERED = (Column('id'), Column('storage_id'), *VOLUMES.table.columns)
OTHERS = ('id', 'storage_id', VOLUMES.native_id, 'created_at', 'updated_at')


# --- databases ---

@pytest.fixture(scope='module')
def databases(tmp_path_factory: pytest.TempPathFactory, postgresql: PostgreSQL,
              mariadb: MariaDB) -> Iterator[dict[str, Database]]:
    """One migrated database on each engine, with the same three storages and a hidden one."""
    file = tmp_path_factory.mktemp('sqlite') / 'delfin.sqlite'
    with postgresql.database() as on_postgresql, mariadb.database() as on_mariadb:
        opened = {name: Database(url) for name, url in
                  zip(ENGINES, (f'sqlite:///{file}', on_postgresql, on_mariadb), strict=True)}
        for database in opened.values():
            Schema(database).upgrade()
            with database.write() as connection:
                for storage_id in (*STORAGES, HIDDEN):
                    storages.insert(connection, storage_id, {'serial_number': storage_id},
                                    {'vendor': 'v', 'model': 'm'})
                storages.hide(connection, HIDDEN)
        yield opened
        for database in opened.values():
            database.close()


@pytest.fixture(params=ENGINES)
def database(request: pytest.FixtureRequest, databases: dict[str, Database]) -> Database:
    """One of them, for the cases that need not be compared."""
    return databases[request.param]


def store(database: Database, rows: Sequence[Row]) -> None:
    """Make these the only volumes."""
    with database.write() as connection:
        connection.execute(sa.delete(TABLE))
        if rows:
            connection.execute(sa.insert(TABLE), [{**row, 'fingerprint': b'0' * 16} for row in rows])


def ask(database: Database, query: Query) -> Page:
    """A list as the API gets it."""
    with database.read() as connection:
        return resources.listing(connection, VOLUMES, query)


def volume(number: int, **values: Any) -> Row:
    """A row; whatever is not given is NULL, and the later its number the newer it is."""
    return {**dict.fromkeys(column.name for column in VOLUMES.table.columns), 'id': str(uuid.UUID(int=number)),
            'storage_id': STORAGES[0], 'created_at': NOON + timedelta(seconds=number), 'updated_at': None,
            'native_volume_id': f'lun-{number}', 'extra': None, **values}


# --- the model: what lists mean ---

def matches(row: Row, filter_: Filter) -> bool:
    """Whether a row passes: text byte by byte, NULL never."""
    value, wanted = row[filter_.column], filter_.values
    if value is None:
        return False
    comparisons: dict[Operator, Callable[[], bool]] = {
        Operator.EQUAL: lambda: value in wanted,
        Operator.CONTAINS: lambda: wanted[0] in value,
        Operator.AT_LEAST: lambda: value >= wanted[0],
        Operator.AT_MOST: lambda: value <= wanted[0],
    }
    return comparisons[filter_.operator]()


def expected(rows: Sequence[Row], query: Query) -> list[Row]:
    """The whole list. NULL is smaller than every value; `created_at` and `id` decide between equal rows."""
    found = [row for row in rows if row['storage_id'] != HIDDEN and all(matches(row, f) for f in query.filters)]
    direction = query.orders[0].descending if query.orders else True
    last = (Order('created_at', direction), Order('id', direction))
    for order in reversed((*query.orders, *last)):      # a stable sort by the last key first
        found.sort(key=lambda row: (row[order.column] is not None, row[order.column]), reverse=order.descending)
    return [{**row, 'last_seen_at': None} for row in found]


# --- examples ---

# Whatever collations, paddings, wildcards, encodings and escapes might take for each other; Python compares texts by
# code point, which is the order of their bytes in UTF-8 too.
_PIECES = ('A', 'a', 'Ab', 'ä', 'a\u0308', 'Ä', 'ß', 'ss', 'i', 'ı', 'İ', 'ﬁ', 'fi', ' ', '\u00a0', '\t', '\n', '%',
           '_', '\\', "'", '"', ';', '--', '?', ':a', '%s', '0', '1', '01', '\u200d', '\uffee', '😀', '\U0010fffd')
_texts = st.one_of(
    st.sampled_from(('', *_PIECES)),
    st.sampled_from(_PIECES).flatmap(lambda piece: st.sampled_from((piece, piece + ' ', ' ' + piece, piece * 2))),
    st.lists(st.sampled_from(_PIECES), max_size=3).map(''.join),
    st.text(st.characters(codec='utf-8', exclude_characters='\0'), max_size=6))
_integers = st.one_of(st.sampled_from((0, 1, 9, 10, 2**31, 2**53, 2**53 + 1, BIGINT_MAX - 1, BIGINT_MAX)),
                      st.integers(0, BIGINT_MAX))
_times = st.sampled_from((NOON, NOON + timedelta(microseconds=1), NOON + timedelta(milliseconds=1),
                          NOON - timedelta(days=400)))
_VALUES: Mapping[ColumnType, st.SearchStrategy[Any]] = {
    ColumnType.TEXT: _texts, ColumnType.INTEGER: _integers, ColumnType.BOOLEAN: st.booleans()}
_COMPARABLE = {Operator.EQUAL: tuple(ColumnType), Operator.CONTAINS: (ColumnType.TEXT,),
               Operator.AT_LEAST: (ColumnType.INTEGER,), Operator.AT_MOST: (ColumnType.INTEGER,)}
_NATIVE_ID = VOLUMES.table.column(VOLUMES.native_id)


@dataclass(frozen=True)
class Example:
    """Rows, what is asked of them, and in pages of how many."""

    rows: list[Row]
    query: Query
    page_size: int


@st.composite
def _alike(draw: st.DrawFn, column: Column) -> list[Any]:
    """A few values for a column: NULL, and some that a careless comparison would take for each other."""
    value = draw(_VALUES[column.type])
    if column.type is not ColumnType.TEXT:
        return [None, value, value, draw(_VALUES[column.type])]
    likes = (value.swapcase(), f'{value} ', f'{value}\u0308', f'{value}%', f'_{value[1:]}', value[:1], draw(_texts))
    return [None, value, *draw(st.lists(st.sampled_from(likes), min_size=1, max_size=3))]


@st.composite
def _rows(draw: st.DrawFn, alike: Mapping[str, Sequence[Any]]) -> list[Row]:
    """Rows with these values, all others NULL; a native id that is taken drops its row."""
    rows: dict[tuple[str, str], Row] = {}
    native_ids = [text for text in alike[_NATIVE_ID.name] if text]
    for number in range(draw(st.sampled_from((16, 12, 9, 6, 3)))):
        storage_id = draw(st.sampled_from((*STORAGES, HIDDEN)))
        native_id = draw(st.sampled_from([f'{number}', *native_ids]))
        values = {name: draw(st.sampled_from(values)) for name, values in alike.items()}
        row = volume(number, **values) | {
            'id': str(draw(st.uuids(version=4))), 'storage_id': storage_id, _NATIVE_ID.name: native_id,
            'created_at': draw(_times), 'updated_at': draw(st.none() | _times)}
        rows[storage_id, native_id] = row
    return list(rows.values())


@st.composite
def _filter(draw: st.DrawFn, columns: Sequence[Column], rows: Sequence[Row]) -> Filter:
    """A condition on values that are stored, and on their likes."""
    operator = draw(st.sampled_from(Operator))
    possible = [column for column in columns if column.type in _COMPARABLE[operator]]
    column = draw(st.sampled_from(possible or FILTERED[:1]))
    operator = operator if possible else Operator.EQUAL
    values = _VALUES[column.type]
    stored = [row[column.name] for row in rows if row[column.name] is not None]
    if stored:
        values = st.sampled_from(stored) if draw(st.integers(0, 3)) else values
    if operator is Operator.EQUAL:
        return Filter(column.name, operator, tuple(draw(st.lists(values, min_size=1, max_size=4))))
    value = draw(values)
    if operator is Operator.CONTAINS:
        value = draw(st.sampled_from((value, value[1:], value[:1], value[-1:], value.swapcase(), f'{value[:1]}%')))
    return Filter(column.name, operator, (value,))


@st.composite
def examples(draw: st.DrawFn) -> Example:
    """Few columns with few values for many rows, so that keys are equal and pages end in the middle of them."""
    columns = draw(st.lists(st.sampled_from(VOLUMES.table.columns[1:]), min_size=2, max_size=3, unique=True))
    rows = draw(_rows({column.name: draw(_alike(column)) for column in (_NATIVE_ID, *columns)}))
    filtered = [*columns, *columns, *(column for column in FILTERED if column.name in OTHERS)]
    filters = [draw(_filter(filtered, rows)) for _ in range(draw(st.sampled_from((0, 1, 1, 2))))]
    names = st.sampled_from([*(column.name for column in columns), *OTHERS])
    orders = {name: Order(name, draw(st.booleans()))
              for name in (draw(names) for _ in range(draw(st.sampled_from((0, 1, 2, 3)))))}
    return Example(rows, Query(EVERYTHING, tuple(filters), tuple(orders.values())),
                   draw(st.sampled_from((1, 2, 3, 5))))


# --- the property ---

def by_marker(database: Database, query: Query, limit: int) -> list[Page]:
    """The pages, each after the `next_marker` of the one before."""
    pages = [_page(database, query, limit=limit)]
    while pages[-1].next_marker is not None:
        pages.append(_page(database, query, limit=limit, marker=pages[-1].next_marker))
    return pages


def by_row_id(database: Database, query: Query, limit: int) -> list[Page]:
    """The pages, each after the id of the last row of the one before."""
    pages = [_page(database, query, limit=limit)]
    while pages[-1].rows:
        pages.append(_page(database, query, limit=limit, marker=pages[-1].rows[-1]['id']))
    return pages[:-1] or pages


def by_offset(database: Database, query: Query, limit: int) -> list[Page]:
    """The pages by their distance from the begin, with the total."""
    pages: list[Page] = []
    while not pages or pages[-1].rows:
        pages.append(_page(database, query, limit=limit, offset=limit * len(pages), with_total=True))
    return pages[:-1] or pages


def _page(database: Database, query: Query, **changes: Any) -> Page:
    return ask(database, Query(**{'limit': query.limit, 'filters': query.filters, 'orders': query.orders, **changes}))


@settings(derandomize=not EXPLORE, database=None, deadline=None, max_examples=5000 if EXPLORE else 100,
          suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example])
@given(examples())
@pytest.mark.timeout(0 if EXPLORE else 240)
def test_lists_are_the_same_on_every_engine(databases: dict[str, Database], example: Example) -> None:
    rows, size = expected(example.rows, example.query), example.page_size
    chunks = [rows[start:start + size] for start in range(0, len(rows), size)] or [[]]
    markers: dict[str, list[str | None]] = {}
    for name, database in databases.items():
        store(database, example.rows)
        whole = ask(database, example.query)
        assert whole.rows == rows, name
        assert whole.next_marker is None, name
        pages = by_marker(database, example.query, size)
        assert [page.rows for page in pages] == chunks, name
        markers[name] = [page.next_marker for page in pages]
        assert [page.rows for page in by_row_id(database, example.query, size)] == chunks, name
        pages = by_offset(database, example.query, size)
        assert [page.rows for page in pages] == chunks, name
        assert {page.total for page in pages} == {len(rows)}, name
    # The same text on every engine: a marker says nothing about the database behind it.
    assert markers['sqlite'] == markers['postgresql'] == markers['mariadb']


# --- markers that are not what they were, or never were anything ---

def numbers(page: Page) -> list[int]:
    """The rows of a page as the tests below name them."""
    return [uuid.UUID(row['id']).int for row in page.rows]


def marker_of(*entries: Any) -> str:
    """A marker with this content."""
    return 'm.' + base64.urlsafe_b64encode(json.dumps(list(entries))).decode('ascii').rstrip('=')


@pytest.mark.parametrize('descending', [True, False])
def test_a_page_goes_on_where_the_last_one_ended_although_that_row_is_gone(database: Database,
                                                                           descending: bool) -> None:
    rows = [volume(number, name='same') for number in range(6)]
    store(database, rows)
    query = Query(2, orders=(Order('name', descending),))
    first = ask(database, query)
    store(database, [row for row in rows if row['id'] != first.rows[-1]['id']])
    rest = ask(database, Query(10, orders=query.orders, marker=first.next_marker))
    assert numbers(first) + numbers(rest) == (list(range(6))[::-1] if descending else list(range(6)))


@pytest.mark.parametrize('descending', [True, False])
def test_null_is_smaller_than_the_smallest_value(database: Database, descending: bool) -> None:
    store(database, [volume(number, name=name, total_capacity=size, compressed=flag) for number, (name, size, flag) in
                     enumerate([(None, None, None), ('', 0, False), ('\t', 1, True), (None, None, None)])])
    for column in ('name', 'total_capacity', 'compressed'):
        query = Query(1, orders=(Order(column, descending),))
        shown = [number for page in by_marker(database, query, 1) for number in numbers(page)]
        assert shown == ([2, 1, 3, 0] if descending else [0, 3, 1, 2]), column


def test_no_filter_finds_null(database: Database) -> None:
    store(database, [volume(0), volume(1, name='', total_capacity=0)])
    for filter_ in (Filter('name', Operator.EQUAL, ('',)), Filter('name', Operator.CONTAINS, ('',)),
                    Filter('total_capacity', Operator.AT_LEAST, (0,)),
                    Filter('total_capacity', Operator.AT_MOST, (BIGINT_MAX,))):
        assert numbers(ask(database, Query(10, (filter_,)))) == [1], filter_


def test_an_offset_counts_from_the_marker(database: Database) -> None:
    store(database, [volume(number) for number in range(6)])
    marker = ask(database, Query(2)).next_marker
    assert numbers(ask(database, Query(2, marker=marker, offset=1, with_total=True))) == [2, 1]


def test_a_limit_of_none_counts_only(database: Database) -> None:
    store(database, [volume(number) for number in range(3)])
    assert ask(database, Query(0, with_total=True)) == Page([], None, 3)


def test_a_marker_of_another_order_is_refused(database: Database) -> None:
    store(database, [volume(number) for number in range(3)])
    marker = ask(database, Query(1, orders=(Order('name'),))).next_marker
    for orders in ((), (Order('name', False),), (Order('wwn'),), (Order('name'), Order('wwn'))):
        with pytest.raises(exception.InvalidInput, match='another order'):
            ask(database, Query(1, orders=orders, marker=marker))


_ID = str(uuid.UUID(int=1))
_WHEN = '2026-11-05T12:00:00.000000Z'


@pytest.mark.parametrize('marker', [
    'm.', 'm.x', 'm.!', 'm.ä', 'm.' + base64.b64encode(b'\xff').decode(), marker_of(), marker_of(1),
    marker_of(['created_at', True]),
    marker_of(['created_at', True, None], ['id', True, _ID]),
    marker_of(['created_at', True, 5], ['id', True, _ID]),
    marker_of(['created_at', True, 'yesterday'], ['id', True, _ID]),
    # Times that only overflow, and texts that only break, once the database is asked.
    marker_of(['created_at', True, '0001-01-01T00:00:00+23:00'], ['id', True, _ID]),
    marker_of(['created_at', True, '9999-12-31T23:59:59-23:00'], ['id', True, _ID]),
    marker_of(['created_at', True, _WHEN], ['id', True, 'a\0b']),
    marker_of(['created_at', True, _WHEN], ['id', True, {}]),
], ids=str)
def test_a_damaged_marker_is_refused(database: Database, marker: str) -> None:
    with pytest.raises(exception.InvalidInput):
        ask(database, Query(1, marker=marker))


@pytest.mark.parametrize('value', [True, 1.5, '1', -2**63, 2**63, [1]], ids=str)
def test_a_marker_with_a_value_of_another_type_is_refused(database: Database, value: Any) -> None:
    marker = marker_of(['total_capacity', True, value], ['created_at', True, _WHEN], ['id', True, _ID])
    with pytest.raises(exception.InvalidInput, match='damaged'):
        ask(database, Query(1, orders=(Order('total_capacity'),), marker=marker))


def test_the_id_of_no_row_of_the_list_is_no_marker(database: Database) -> None:
    store(database, [volume(0, name='other'), volume(1, storage_id=HIDDEN), volume(2, name='one')])
    for number in (0, 1, 7):
        with pytest.raises(exception.NotFound):
            ask(database, Query(1, (Filter('name', Operator.EQUAL, ('one',)),),
                                marker=str(uuid.UUID(int=number))))
