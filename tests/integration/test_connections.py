# SPDX-License-Identifier: Apache-2.0
"""Connections when all of them are in use, on every engine."""

from __future__ import annotations

import contextlib

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from delfin.db import Database, engine


def test_what_is_apart_does_not_wait_for_the_others(migrated_url: str) -> None:
    with contextlib.closing(Database(migrated_url, pool_size=1, pool_timeout_seconds=1)) as database, (
            contextlib.closing(database.apart())) as apart, contextlib.ExitStack() as others:
        for _ in range(2):      # as many as the pool may open
            others.enter_context(database.read())
        with pytest.raises(PoolTimeoutError), database.read():
            pass
        with apart.read() as connection:
            assert engine.now(connection)
        assert apart.attempt(lambda connection: connection.execute(sa.text('SELECT 1')).scalar()) == 1


def test_what_is_apart_ends_alone(migrated_url: str) -> None:
    with contextlib.closing(Database(migrated_url)) as database:
        with contextlib.closing(database.apart()) as apart, apart.read():
            pass
        assert database.first(sa.select(sa.literal(1).label('one')), {}) == {'one': 1}


def test_a_database_in_memory_has_nothing_apart() -> None:
    database = Database('sqlite://')
    assert database.apart() is database
