# SPDX-License-Identifier: Apache-2.0
"""Everything in this folder is an integration test; tox.ini selects by the mark."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from delfin.db import Database
from delfin.db.schema import Schema
from delfin.db.sqlalchemy import models
from delfin.kinds import KINDS


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker('integration')


@pytest.fixture(scope='session', params=['sqlite', 'postgresql', 'mariadb'])
def migrated_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a database with the schema, one on each engine: migrations take seconds there."""
    with contextlib.ExitStack() as stack:
        url = (f'sqlite:///{tmp_path_factory.mktemp("migrated")}/delfin.sqlite' if request.param == 'sqlite'
               else stack.enter_context(request.getfixturevalue(request.param).database()))
        with contextlib.closing(Database(url)) as database:
            assert Schema(database).upgrade()[0] is None
        for spec in KINDS.tables():
            models.table(spec)
        yield url


@pytest.fixture
def database(migrated_url: str) -> Iterator[Database]:
    """A database with the schema and without rows, on each engine."""
    with contextlib.closing(Database(migrated_url)) as database:
        with database.write() as connection:
            for table in reversed(models.metadata.sorted_tables):
                connection.execute(sa.delete(table))
        yield database
