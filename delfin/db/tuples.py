# SPDX-License-Identifier: Apache-2.0
"""Tuples that a statement brings along, as a table to join with.

`a IN (…) AND b IN (…)` makes SQLite look for each a with each b, and PostgreSQL may read all rows of each a. For
`(a, b) IN (…)` SQLite uses no index.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from delfin.common import json

_TUPLES = 'tuples'
_MARIADB_COLUMN = 'VARCHAR(1024) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin'


def joined(select: sa.Select[Any], columns: Sequence[sa.Column[Any]], index: str, dialect: str) -> sa.Select[Any]:
    """The rows of a SELECT whose `columns`, texts of one table, are one of the tuples in `parameters`. They are the
    first ones of `index`.
    """
    table = _table(dialect, len(columns))
    same = [column == value for column, value in zip(columns, table.c, strict=True)]
    if dialect == 'postgresql':
        # OFFSET keeps it from making one join of it all, which it likes to do by reading the whole table.
        rows = select.where(*same).correlate(table).offset(sa.literal_column('0')).lateral('rows')
        return sa.select(*rows.c).select_from(table.join(rows, sa.true()))
    for name in ('mysql', 'mariadb'):       # would take any other that begins with the first column
        select = select.with_hint(columns[0].table, f'FORCE INDEX ({index})', name)
    return select.join(table, sa.and_(*same))


def parameters(tuples: Iterable[Sequence[str]]) -> dict[str, str]:
    """For a statement of `joined`."""
    return {_TUPLES: json.text(list(tuples))}


@functools.cache
def _table(dialect: str, width: int) -> sa.FromClause:
    names = [f't{number}' for number in range(width)]
    if dialect == 'sqlite':
        columns = ', '.join(f"json_extract(value, '$[{number}]') AS {name}" for number, name in enumerate(names))
        text = f'SELECT {columns} FROM json_each(:{_TUPLES})'
    elif dialect == 'postgresql':
        columns = ', '.join(f'each ->> {number} AS {name}' for number, name in enumerate(names))
        text = f'SELECT {columns} FROM jsonb_array_elements(CAST(:{_TUPLES} AS jsonb)) AS each'
    else:
        columns = ', '.join(f"{name} {_MARIADB_COLUMN} PATH '$[{number}]'" for number, name in enumerate(names))
        text = f"SELECT {', '.join(names)} FROM JSON_TABLE(:{_TUPLES}, '$[*]' COLUMNS ({columns})) AS each_one"
    return sa.text(text).columns(*(sa.column(name, sa.String) for name in names)).subquery('wanted')
