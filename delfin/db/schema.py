# SPDX-License-Identifier: Apache-2.0
"""The schema's version: where the database stands, what this Delfin wants, and the way there.

Alembic and all it brings along are imported for the way only: they would be a fifth of every start, and each start asks
for the two versions. They stand in Alembic's table and in the names of the migrations, `vNNNN_what.py`.
"""

from __future__ import annotations

import functools
import re
from importlib import resources
from typing import Final

import sqlalchemy as sa

from delfin import exception
from delfin.db.engine import Database

_MIGRATIONS: Final = resources.files('delfin.db') / 'migrations'
_MIGRATION: Final = re.compile(r'v([0-9]{4})_\w+\.py')
_VERSIONS: Final = sa.table('alembic_version', sa.column('version_num', sa.String))


class Schema:
    """The schema of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def current(self) -> str | None:
        """Version of the database; None when it is empty."""
        with self._database.read() as connection:
            if not sa.inspect(connection).has_table(_VERSIONS.name):
                return None
            return connection.execute(sa.select(_VERSIONS.c.version_num)).scalar_one_or_none()

    def wanted(self) -> str:
        """Version this Delfin works with."""
        return _versions()[-1]

    def problem(self) -> str | None:
        """What is wrong with the database's version and what to do; None when all is well."""
        current, wanted = self.current(), self.wanted()
        if current == wanted:
            return None
        if current is None:
            return 'the database is empty; run "delfin-manage db upgrade"'
        if current not in _versions():
            return (f'the database has version {current}, which this Delfin (version {wanted}) does not know; '
                    'install the newer Delfin')
        return f'the database has version {current}, this Delfin needs {wanted}; run "delfin-manage db upgrade"'

    def upgrade(self, to: str | None = None) -> tuple[str | None, str]:
        """Bring the database to the wanted version, or to an earlier one; (version before, version after).

        Refuses a newer database.
        """
        before, wanted = self.current(), to or self.wanted()
        if before is not None and before not in _versions():
            raise exception.InvalidConfiguration(str(self.problem()))
        if before != wanted:
            self._migrate(wanted)
        return before, wanted

    def _migrate(self, to: str) -> None:
        from alembic import command
        from alembic.config import Config
        config = Config()
        config.set_main_option('script_location', str(_MIGRATIONS).replace('%', '%%'))
        config.set_main_option('path_separator', 'newline')
        config.set_main_option('version_locations', str(_MIGRATIONS / 'versions').replace('%', '%%'))
        with self._database.engine.connect() as connection:
            config.attributes['connection'] = connection
            command.upgrade(config, to)
            if connection.in_transaction():
                connection.commit()


@functools.cache        # a process stays with what it was started with, whatever is installed meanwhile
def _versions() -> tuple[str, ...]:
    """Versions that this Delfin knows, the oldest first."""
    found = (_MIGRATION.fullmatch(each.name) for each in (_MIGRATIONS / 'versions').iterdir())
    versions = tuple(sorted(each[1] for each in found if each is not None))
    if not versions:
        raise exception.InvalidConfiguration('the installation holds no migrations; install Delfin again')
    return versions
