# SPDX-License-Identifier: Apache-2.0
"""Column types that mean the same on SQLite, PostgreSQL and MariaDB. Used by the models and by the migrations."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from delfin.kinds import TEXT_LENGTH

_EPOCH = datetime(1970, 1, 1)
_EPOCH_UTC = datetime(1970, 1, 1, tzinfo=UTC)

# Ids and names compare byte by byte, trailing blanks included, as they already do on the other two engines.
MARIADB_TABLE: dict[str, Any] = {
    f'{dialect}_{name}': value
    for dialect in ('mysql', 'mariadb')
    for name, value in (('charset', 'utf8mb4'), ('collate', 'utf8mb4_nopad_bin'), ('engine', 'InnoDB'))
}


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """An aware datetime in UTC, stored without zone and with microseconds."""

    impl = sa.DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        if dialect.name in ('mysql', 'mariadb'):
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(sa.DateTime())

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        # An addition costs a tenth of replace(tzinfo=…), and lists have thousands of times.
        return None if value is None else _EPOCH_UTC + (value - _EPOCH)


def uuid_text() -> sa.String:
    """A UUID4 in its text form."""
    return sa.String(36)


def text() -> sa.String:
    """Short text: names, native ids, enumerations. Compared and ordered byte by byte on every engine."""
    return sa.String(TEXT_LENGTH).with_variant(sa.String(TEXT_LENGTH, collation='C'), 'postgresql')


def serial() -> sa.types.TypeEngine[int]:
    """An automatic 64-bit number (SQLite numbers only INTEGER columns)."""
    return sa.BigInteger().with_variant(sa.Integer(), 'sqlite')


def blob() -> sa.types.TypeEngine[bytes]:
    """Bytes, up to 16 MiB."""
    return sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), 'mysql', 'mariadb')


def json() -> sa.JSON:
    """A JSON document; None is NULL."""
    return sa.JSON(none_as_null=True)
