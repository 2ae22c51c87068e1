# SPDX-License-Identifier: Apache-2.0
"""The migrations give the same schema on every database engine, and its rules hold there."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy.exc import IntegrityError

from delfin.db import Database, lists, resources, runs, storages
from delfin.db.schema import Schema
from delfin.db.sqlalchemy import models
from delfin.kinds import KINDS

VOLUMES = KINDS['volumes'].table


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database(database_url)
    assert Schema(opened).upgrade()[0] is None
    yield opened
    opened.close()


def _volume(native_id: str) -> dict:
    return {**{column.name: None for column in VOLUMES.columns}, 'native_volume_id': native_id, 'extra': None,
            'fingerprint': b'0' * 16}


def _storage(database: Database, storage_id: str, serial_number: str) -> str:
    with database.write() as connection:
        storages.insert(connection, storage_id, {'serial_number': serial_number},
                        {'vendor': 'v', 'model': 'm', 'rest': {'host': 'h'}})
    return storage_id


def test_the_migrations_give_the_models(database: Database) -> None:
    for spec in KINDS.tables():
        models.table(spec)
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={'compare_type': False})
        assert compare_metadata(context, models.metadata) == []


def test_an_installation_of_the_first_version_keeps_its_rows_over_the_upgrade(database_url: str) -> None:
    database = Database(database_url)
    schema = Schema(database)
    schema.upgrade('0001')
    columns = {'id': 's1', 'serial_number': 'one', 'created_at': datetime.now(UTC), 'live': 1, 'total_capacity': 7}
    with database.write() as connection:
        connection.execute(sa.insert(models.storages), columns)
        resources.insert(connection, VOLUMES, 's1', [_volume('lun')])
    assert schema.upgrade() == ('0001', schema.wanted())
    with database.read() as connection:
        assert storages.get(connection, 's1')['total_capacity'] == 7
        assert set(resources.stored(connection, VOLUMES, 's1')) == {('lun',)}
    database.close()


def test_native_ids_differ_by_case_and_by_trailing_blanks(database: Database) -> None:
    storage_id = _storage(database, 's1', 'one')
    with database.write() as connection:
        resources.insert(connection, VOLUMES, storage_id, [_volume(name) for name in ('lun', 'LUN', 'lun ', 'lün')])
    with database.read() as connection:
        assert set(resources.stored(connection, VOLUMES, storage_id)) == {('lun',), ('LUN',), ('lun ',), ('lün',)}


def test_a_native_id_is_unique_within_its_storage_only(database: Database) -> None:
    for storage_id in (_storage(database, 's1', 'one'), _storage(database, 's2', 'two')):
        with database.write() as connection:
            resources.insert(connection, VOLUMES, storage_id, [_volume('lun')])
    with pytest.raises(IntegrityError), database.write() as connection:
        resources.insert(connection, VOLUMES, 's1', [_volume('lun')])


def test_purging_a_storage_takes_its_rows_along_and_no_others(database: Database) -> None:
    for storage_id in (_storage(database, 's1', 'one'), _storage(database, 's2', 'two')):
        with database.write() as connection:
            resources.insert(connection, VOLUMES, storage_id, [_volume('lun')])
            runs.request(connection, storage_id, ['volumes'], 'api')
    with database.write() as connection:
        storages.hide(connection, 's1')
        storages.purge(connection, 's1')
    with database.read() as connection:
        for table in ('volumes', 'access_info', 'sync_runs'):
            query = sa.select(models.metadata.tables[table].c.storage_id)
            assert connection.execute(query).scalars().all() == ['s2'], table


def test_a_serial_number_is_free_again_after_deletion(database: Database) -> None:
    for storage_id in ('s1', 's2', 's3'):
        _storage(database, storage_id, 'one')
        with database.write() as connection:
            storages.hide(connection, storage_id)


def test_a_claimed_run_is_lost_to_the_next_taker(database: Database) -> None:
    storage_id = _storage(database, 's1', 'one')
    with database.write() as connection:
        runs.request(connection, storage_id, KINDS.names(), 'api')
        (first,) = runs.claim(connection, 'node-1', -1, 5)      # a lease that is over at once
    with database.write() as connection:
        (second,) = runs.claim(connection, 'node-2', 60, 5)
        assert runs.claim(connection, 'node-3', 60, 5) == []
        runs.guard(connection, second)
    with pytest.raises(runs.RunLost), database.write() as connection:
        runs.guard(connection, first)


def test_json_and_times_come_back_as_they_went(database: Database) -> None:
    storage_id = _storage(database, 's1', 'one')
    row = {**_volume('lun'), 'extra': {'ü': [1, None, {'a': 'b'}]}, 'total_capacity': 2**63 - 1, 'compressed': True}
    with database.write() as connection:
        resources.insert(connection, VOLUMES, storage_id, [row])
    with database.read() as connection:
        (shown,) = resources.listing(connection, KINDS['volumes'], lists.Query(10)).rows
    assert {name: shown[name] for name in ('extra', 'total_capacity', 'compressed')} == {
        name: row[name] for name in ('extra', 'total_capacity', 'compressed')}
    assert shown['created_at'].utcoffset().total_seconds() == 0
