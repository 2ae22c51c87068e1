# SPDX-License-Identifier: Apache-2.0
"""The short way to one row of an SQLite file: the same row, no more rights, no worse errors."""

from __future__ import annotations

import sqlite3
import threading

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from delfin.db import Database, storages
from delfin.db.single import SingleRows
from delfin.db.sqlalchemy.models import storages as table


@pytest.fixture
def rows(database):
    made = SingleRows(database.sqlite_file, database.engine, 5)
    yield made
    made.close()


def test_a_row_reads_as_through_sqlalchemy(database, storage_id):
    with database.read() as connection:
        assert storages.show(database, storage_id) == storages.get(connection, storage_id)


def test_a_change_is_seen_at_once(database, storage_id):
    storages.show(database, storage_id)
    with database.write() as connection:
        storages.set_labels(connection, storage_id, {'site': 'Berlin'})
    assert storages.show(database, storage_id)['site'] == 'Berlin'


def test_other_parameters_give_another_row(rows, database, storage_id):
    select = sa.select(table.c.id).where(table.c.id == sa.bindparam('wanted'))
    assert rows.first(select, {'wanted': storage_id}) == {'id': storage_id}
    assert rows.first(select, {'wanted': 'nobody'}) is None


def test_it_cannot_write(rows, storage_id):
    with pytest.raises(sqlite3.OperationalError, match='readonly'):
        rows._connect().execute('DELETE FROM storages')


def test_threads_do_not_share_a_connection(rows, storage_id):
    select = sa.select(table.c.id)
    threads = [threading.Thread(target=rows.first, args=(select, {})) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(rows._open) == 3


def test_a_missing_file_is_sqlalchemys_error(tmp_path):
    database = Database(f'sqlite:///{tmp_path}/none/delfin.sqlite')
    with pytest.raises(OperationalError):
        storages.show(database, 'x')


def test_a_database_in_memory_has_no_short_way():
    database = Database('sqlite://')
    assert database.first(sa.select(sa.literal(1).label('one')), {}) == {'one': 1}
