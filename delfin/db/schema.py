# SPDX-License-Identifier: Apache-2.0
"""The schema's version: where the database stands, what this Delfin wants, and the way there."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from delfin import exception
from delfin.db.engine import Database


class Schema:
    """Migrations of one database. `more_versions` are further directories of migrations (kinds added elsewhere)."""

    def __init__(self, database: Database, more_versions: Sequence[str] = ()) -> None:
        self._database = database
        root = resources.files('delfin.db') / 'migrations'
        self._config = Config()
        self._config.set_main_option('script_location', str(root).replace('%', '%%'))
        self._config.set_main_option('path_separator', 'newline')
        locations = '\n'.join((str(root / 'versions'), *more_versions))
        self._config.set_main_option('version_locations', locations.replace('%', '%%'))
        self._script = ScriptDirectory.from_config(self._config)

    def current(self) -> str | None:
        """Version of the database; None when it is empty."""
        with self._database.read() as connection:
            return MigrationContext.configure(connection).get_current_revision()

    def wanted(self) -> str:
        """Version this Delfin works with."""
        head = self._script.get_current_head()
        if head is None:
            raise exception.InvalidConfiguration('the installation holds no migrations; install Delfin again')
        return head

    def problem(self) -> str | None:
        """What is wrong with the database's version and what to do; None when all is well."""
        current, wanted = self.current(), self.wanted()
        if current == wanted:
            return None
        if current is None:
            return 'the database is empty; run "delfin-manage db upgrade"'
        if not self._knows(current):
            return (f'the database has version {current}, which this Delfin (version {wanted}) does not know; '
                    'install the newer Delfin')
        return f'the database has version {current}, this Delfin needs {wanted}; run "delfin-manage db upgrade"'

    def upgrade(self, to: str | None = None) -> tuple[str | None, str]:
        """Bring the database to the wanted version, or to an earlier one; (version before, version after).

        Refuses a newer database.
        """
        before, wanted = self.current(), to or self.wanted()
        if before is not None and not self._knows(before):
            raise exception.InvalidConfiguration(str(self.problem()))
        if before != wanted:
            with self._database.engine.connect() as connection:
                self._config.attributes['connection'] = connection
                command.upgrade(self._config, wanted)
                if connection.in_transaction():
                    connection.commit()
        return before, wanted

    def _knows(self, version: str) -> bool:
        return version in {script.revision for script in self._script.walk_revisions()}
