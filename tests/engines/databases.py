# SPDX-License-Identifier: Apache-2.0
"""What the database engines share: fresh databases under URLs of SQLAlchemy."""

from __future__ import annotations

import abc
import contextlib
import re
import secrets
from collections.abc import Iterator
from typing import ClassVar

from tests.engines.base import Engine


class DatabaseEngine(Engine):
    """A database server. The user of every URL may do everything."""

    create_statement: ClassVar[str]
    drop_statement: ClassVar[str]

    @abc.abstractmethod
    def url(self, database: str) -> str:
        """The URL of a database, in the form of SQLAlchemy."""

    @abc.abstractmethod
    def execute(self, statement: str) -> list[tuple[object, ...]]:
        """Run one statement as the administrator, outside of a transaction; its rows."""

    def create_database(self, name: str | None = None) -> str:
        """Make an empty database for any Unicode text; its URL."""
        name = name or f'delfin_{secrets.token_hex(6)}'
        self.execute(self.create_statement.format(_identifier(name)))
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Remove a database, also one that is in use or already gone."""
        self.execute(self.drop_statement.format(_identifier(name)))

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """The URL of an empty database that exists for the duration of the `with`."""
        name = f'delfin_{secrets.token_hex(6)}'
        url = self.create_database(name)
        try:
            yield url
        finally:
            self.start()  # the test may have stopped it
            self.drop_database(name)


def _identifier(name: str) -> str:
    if not re.fullmatch(r'[a-z][a-z0-9_]{0,62}', name):
        raise ValueError(f'{name!r} is not a plain lower-case database name')
    return name
