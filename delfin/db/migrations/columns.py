# SPDX-License-Identifier: Apache-2.0
"""What migrations share: how the table of a resource kind looks.

Migrations that were released call these functions, so what they produce must not change; a new layout gets a new one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

from delfin.db.sqlalchemy import types


def storage_fk(**kwargs: Any) -> sa.Column[Any]:
    """The reference to the storage that a row belongs to."""
    return sa.Column('storage_id', types.uuid_text(), sa.ForeignKey('storages.id', ondelete='CASCADE'),
                     nullable=False, **kwargs)


def create_filter_indexes(name: str, columns: Sequence[str]) -> None:
    """For each column that lists are filtered by: its rows in the default order of lists."""
    for column in columns:
        op.create_index(f'ix_{name}_{column}', name, [column, 'created_at', 'id'])


def create_resource_table(name: str, key: Sequence[str], *, texts: Sequence[str] = (), integers: Sequence[str] = (),
                          booleans: Sequence[str] = ()) -> None:
    """The table of a kind or relation: `key` identifies a row within its storage."""
    op.create_table(
        name,
        sa.Column('id', types.uuid_text(), primary_key=True),
        storage_fk(),
        sa.Column('created_at', types.UtcDateTime(), nullable=False),
        sa.Column('updated_at', types.UtcDateTime()),
        *(sa.Column(column, types.text(), nullable=False) for column in key),
        *(sa.Column(column, types.text()) for column in texts),
        *(sa.Column(column, sa.BigInteger()) for column in integers),
        *(sa.Column(column, sa.Boolean()) for column in booleans),
        sa.Column('extra', types.json()),
        sa.Column('fingerprint', sa.LargeBinary(16), nullable=False),
        sa.Column('stale_since', types.UtcDateTime()),
        sa.UniqueConstraint('storage_id', *key, name=f'uq_{name}_key'),
        **types.MARIADB_TABLE,
    )
    op.create_index(f'ix_{name}_storage', name, ['storage_id', 'created_at', 'id'])
    op.create_index(f'ix_{name}_order', name, ['created_at', 'id'])
