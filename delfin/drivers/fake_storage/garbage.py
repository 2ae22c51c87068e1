# SPDX-License-Identifier: Apache-2.0
"""Answers that are wrong in every way we could think of, with a healthy row among them that must survive.

Each wrong row has an id of its own (`garbage_…`) where the id itself is not what is wrong, so that a test can look up
what became of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from delfin.common.constants import metric_struct
from delfin.drivers.driver import Row
from delfin.kinds import ColumnType, Table

LONG_NAME = 'n' * 5_000


class Unprintable:
    """Cannot be turned into text."""

    def __str__(self) -> str:
        raise RuntimeError('this object has no text')

    __repr__ = __str__


# What stands where a row should be.
_NO_ROWS: tuple[Any, ...] = ('a text', b'bytes', 42, None, True, [], [['nested'], [{}]], object(), {})

# What stands where a native id should be. The last four look different but are text and short enough.
_IDS: tuple[Any, ...] = (
    None, '', '   ', 7, 1.5, True, b'id', ['id'], {'id': 1}, Unprintable(), 'i' * 300,
    'garbage_nul\0id', 'garbage_surrogate_\ud800', ' garbage_blanks ', 'garbage_ünï_💾')

_NUMBERS: tuple[Any, ...] = (
    1.5, '123', ' 456 ', '1e3', '12 GB', '1,024', 'unknown', 'infinite', 'N/A', '', -1, -1.0, 10**30, 2**63,
    float('nan'), float('inf'), True, None, [], {}, [1, [2, [3]]], b'5', Unprintable())
_BOOLEANS: tuple[Any, ...] = ('true', 'False', 'no', 'maybe', '', 0, 1, 2, -1, 0.5, None, [], Unprintable())
_TEXTS: tuple[Any, ...] = (
    'nul\0inside', 'lone surrogate \ud800', LONG_NAME, '', ' \t\n', 'N/A', 7, 1.5, False, None, b'bytes', ['a', ['b']],
    {'a': {'b': 1}}, object(), Unprintable())
_ENUMERATED: tuple[Any, ...] = ('no-such-value', 'NORMAL', ' normal ', '', 5, True, None, ['normal'], Unprintable())

_EXTRAS: tuple[Any, ...] = (
    {'free_capacit': 1}, {'storage_id': 'not-ours'}, {'id': 'not-ours', 'created_at': 'yesterday'},
    {'extra': 'no dict'}, {'extra': {'set': {1, 2}}}, {'extra': {1: 'number as key'}}, {5: 'number as key'},
    {None: 'none as key'}, {'nested': [[[{}]]]}, {'__class__': 'x'}, {"'; DROP TABLE volumes; --": 1})


def rows(table: Table, healthy: Row | None) -> Iterator[Any]:
    """Wrong rows of a table; `healthy`, if there is one, comes first and again with another name."""
    key = table.key[0]
    if healthy is not None:
        yield dict(healthy)
        yield {**healthy, 'name': 'the same id again'}
    base = healthy or {}
    yield from _NO_ROWS
    yield {column: value for column, value in base.items() if column != key}
    yield from ({**base, key: wrong} for wrong in _IDS)
    for what, columns, values in (
            ('number', _columns(table, ColumnType.INTEGER), _NUMBERS),
            ('boolean', _columns(table, ColumnType.BOOLEAN), _BOOLEANS),
            ('enumerated', _columns(table, ColumnType.TEXT, enumerated=True), _ENUMERATED),
            ('text', _columns(table, ColumnType.TEXT), _TEXTS)):
        for number, value in enumerate(values if columns else ()):
            yield {**base, key: f'garbage_{what}_{number}', **dict.fromkeys(columns, value)}
    for number, extra in enumerate(_EXTRAS):
        yield {**base, key: f'garbage_extra_{number}', **extra}


def _columns(table: Table, column_type: ColumnType, *, enumerated: bool = False) -> list[str]:
    return [column.name for column in table.columns
            if column.type is column_type and bool(column.values) is enumerated and column.name not in table.key]


def storage(healthy: Row) -> Row:
    """The array itself, wrong in everything but its serial number."""
    return {
        **healthy,
        'name': LONG_NAME + '\0\ud800', 'description': Unprintable(), 'status': 'no-such-value', 'location': ['a', 5],
        'total_capacity': '123 GB', 'used_capacity': -1, 'free_capacity': float('nan'), 'raw_capacity': 10**30,
        'subscribed_capacity': 'unknown', 'no_such_column': {'nested': []}, 'storage_id': 'not-ours',
    }


def metrics() -> Iterator[Any]:
    """Wrong series: foreign labels, values that are no numbers, times that are no times."""
    labels = {'storage_id': 'not-ours', 'resource_type': 'volume', 'resource_id': 'volume_0', 'type': 'RAW',
              'unit': 'IOPS'}
    yield from ('a text', 42, None, (), ('iops', labels), {'name': 'iops'}, [metric_struct('iops', labels, {})])
    yield metric_struct('iops', None, {0: 1.0})     # type: ignore[arg-type]
    yield metric_struct('iops', {}, {0: 1.0})
    yield metric_struct('iops', labels, None)       # type: ignore[arg-type]
    yield metric_struct('no_such_metric', labels, {0: 1.0})
    yield metric_struct(LONG_NAME, labels, {0: 1.0})
    yield metric_struct('iops', {**labels, 'unit': 'bananas', 'resource_type': 'no-such-type'}, {0: 1.0})
    yield metric_struct('iops', {**labels, 'resource_id': 'line\nbreak "quote" \0 \ud800'}, {0: 1.0})
    times: tuple[Any, ...] = (-1, 0, 1.5, '1700000000000', 'yesterday', None, 1_700_000_000, 10**30)
    yield metric_struct('iops', labels, dict.fromkeys(times, 1.0))
    values: tuple[Any, ...] = ('5', 'unknown', None, -1, float('nan'), float('inf'), 10**400, True, [], Unprintable())
    yield metric_struct('iops', labels, dict(enumerate(values)))


def value() -> Any:
    """Where a time stamp or nothing is expected."""
    return {'yesterday': [Unprintable()]}
