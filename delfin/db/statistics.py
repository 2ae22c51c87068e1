# SPDX-License-Identifier: Apache-2.0
"""What PostgreSQL knows of the tables when it plans a statement.

It renews this by itself, but looks once a minute. A storm of traps, or the first sync of a large array, makes a table a
hundred times larger in that time, and until then the server reads most of it for every alert. Renewed statistics also
end the plans of prepared statements that were made by the old ones.
"""

from __future__ import annotations

import sqlalchemy as sa

from delfin.db.engine import Database
from delfin.db.sqlalchemy.models import metadata

# Of tables of our own only: for others the server writes a warning into its log, each time it is asked.
_OUTGROWN = sa.text(
    'SELECT pg_class.relname FROM pg_stat_user_tables JOIN pg_class ON pg_class.oid = relid '
    "WHERE schemaname = current_schema() AND pg_has_role(relowner, 'USAGE') "
    'AND n_live_tup >= 1000 AND n_mod_since_analyze > n_live_tup / 2')


def renew(database: Database) -> list[str]:
    """Have the server look again at tables that have outgrown what it knows of them; their names.

    Nothing to do on the other engines: SQLite plans without numbers, MariaDB counts as it goes.
    """
    if database.dialect != 'postgresql':
        return []
    with database.read() as connection:
        names = sorted(set(connection.execute(_OUTGROWN).scalars()) & set(metadata.tables))
    for name in names:
        with database.write('statistics') as connection:
            connection.execute(sa.text(f'ANALYZE (SKIP_LOCKED) {name}'))      # one of our own names
    return names
