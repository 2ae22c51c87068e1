# SPDX-License-Identifier: Apache-2.0
"""How full storages and pools were, day by day."""

import sqlalchemy as sa
from alembic import op

from delfin.db.migrations.columns import storage_fk
from delfin.db.sqlalchemy import types

revision = '0006'
down_revision = '0005'


def upgrade() -> None:
    op.create_table(
        'capacity_history',
        storage_fk(primary_key=True),
        sa.Column('kind', sa.String(64), primary_key=True),
        sa.Column('native_id', types.text(), primary_key=True),
        sa.Column('day', sa.Date(), primary_key=True),
        sa.Column('total_capacity', sa.BigInteger()),
        sa.Column('used_capacity', sa.BigInteger()),
        sa.Column('free_capacity', sa.BigInteger()),
        **types.MARIADB_TABLE,
    )
    op.create_index('ix_capacity_history_day', 'capacity_history', ['day'])
