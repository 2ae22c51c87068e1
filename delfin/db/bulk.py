# SPDX-License-Identifier: Apache-2.0
"""Many rows at once into one table, in the way that each engine likes best."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from delfin.common import json

_ROWS = 'rows'


def insert(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows, all with the same columns and times in UTC.

    SQLite and MariaDB get statements with many rows from SQLAlchemy or the driver. psycopg would send one for each row,
    with each value converted in Python; PostgreSQL is given all of them as one JSON text.
    """
    if not rows:
        return
    if connection.dialect.name == 'postgresql':
        connection.execute(_from_json(table, tuple(rows[0])), {_ROWS: json.text(rows)})
    else:
        connection.execute(sa.insert(table), rows)


@functools.lru_cache
def _from_json(table: sa.Table, columns: tuple[str, ...]) -> sa.TextClause:
    names = ', '.join(f'"{name}"' for name in columns)
    return sa.text(f'INSERT INTO {table.name} ({names}) SELECT {names} '      # noqa: S608  our own names
                   f'FROM json_populate_recordset(NULL::{table.name}, CAST(:{_ROWS} AS json))')
