# SPDX-License-Identifier: Apache-2.0
"""The schema on SQLite: migrations, constraints. (All three engines: tests/integration.)"""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.exc import IntegrityError

from delfin import exception, service
from delfin.db import Database, freshness, migrations, runs, schema, storages
from delfin.db.schema import Schema, _versions
from delfin.db.sqlalchemy import models
from delfin.kinds import KINDS
from tests.unit.support import add_rows, add_storage, give, take_run

VOLUMES = KINDS['volumes'].table


@pytest.fixture
def empty(tmp_path):
    database = Database(f'sqlite:///{tmp_path}/empty.sqlite')
    yield database
    database.close()


def set_version(database, version):
    with database.write() as connection:
        connection.execute(sa.text('UPDATE alembic_version SET version_num = :version'), {'version': version})


def add_row(database, storage_id, native_id, table=VOLUMES):
    add_rows(database, storage_id, '', [{name: native_id for name in table.key}], table)


def count(database, table):
    with database.read() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(models.metadata.tables[table])).scalar_one()


def test_migrations_from_empty_give_exactly_the_models(database):
    for spec in KINDS.tables():
        models.table(spec)
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={'compare_type': True, 'compare_server_default': False})
        assert compare_metadata(context, models.metadata) == []


def test_nullability_of_the_migrations_is_that_of_the_models(database):
    for spec in KINDS.tables():
        models.table(spec)
    inspector = sa.inspect(database.engine)
    migrated = {(table, column['name']): column['nullable']
                for table in models.metadata.tables for column in inspector.get_columns(table)}
    assert migrated == {(table.name, column.name): column.nullable
                        for table in models.metadata.tables.values() for column in table.columns}


def test_migrations_stand_in_files_of_their_versions_and_follow_one_another():
    """What Delfin reads of their names is what Alembic reads of their contents."""
    folder = Path(migrations.__file__).parent
    config = Config()
    config.set_main_option('script_location', str(folder))
    scripts = list(ScriptDirectory.from_config(config).walk_revisions('base', 'head'))
    assert tuple(script.revision for script in reversed(scripts)) == _versions()
    assert {script.path for script in scripts} == {str(each) for each in (folder / 'versions').glob('v*.py')}


def test_a_process_stays_with_its_version_when_a_newer_one_is_installed(database, tmp_path, monkeypatch):
    """Its code is still the old one: it must not find a database good that has been upgraded beside it."""
    wanted = Schema(database).wanted()
    (tmp_path / 'versions').mkdir()
    (tmp_path / 'versions' / 'v9999_newer.py').touch()
    monkeypatch.setattr(schema, '_MIGRATIONS', tmp_path)
    assert Schema(database).wanted() == wanted
    set_version(database, '9999')
    assert 'does not know' in Schema(database).problem()


def test_an_empty_database_says_what_to_do(empty):
    assert Schema(empty).problem() == 'the database is empty; run "delfin-manage db upgrade"'


def test_the_first_upgrade_tells_from_where_to_where(empty):
    schema = Schema(empty)
    assert schema.upgrade() == (None, schema.wanted())


def test_an_upgraded_database_has_no_problem(empty):
    Schema(empty).upgrade()
    assert Schema(empty).problem() is None


def test_a_second_upgrade_is_harmless(database):
    storage_id = add_storage(database)
    schema = Schema(database)
    assert schema.upgrade() == (schema.wanted(), schema.wanted())
    with database.read() as connection:
        assert storages.get(connection, storage_id)['serial_number'] == 'SN-1'


def test_a_newer_database_is_refused_with_what_to_do(database):
    set_version(database, '9999')
    with pytest.raises(exception.InvalidConfiguration) as caught:
        Schema(database).upgrade()
    assert caught.value.msg == (
        f'the database has version 9999, which this Delfin (version {Schema(database).wanted()}) does not know; '
        'install the newer Delfin')


def test_a_service_does_not_start_on_a_newer_database(database):
    set_version(database, '9999')
    with pytest.raises(exception.InvalidConfiguration, match='does not know'):
        service.check_schema(database)


def test_a_refused_upgrade_leaves_the_version_alone(database):
    set_version(database, '9999')
    with pytest.raises(exception.InvalidConfiguration):
        Schema(database).upgrade()
    assert Schema(database).current() == '9999'


def test_an_unreachable_database_is_one_line(tmp_path):
    with pytest.raises(exception.InvalidConfiguration, match='^the database cannot be reached: [^\n]*$'):
        service.check_schema(Database(f'sqlite:///{tmp_path}/no/such/folder.sqlite'))


@pytest.mark.parametrize('spec', list(KINDS.tables()), ids=lambda spec: spec.name)
def test_a_removed_storage_takes_its_rows_along(database, storage_id, spec):
    add_row(database, storage_id, 'x', spec)
    with database.write() as connection:
        storages.hide(connection, storage_id)
        storages.purge(connection, storage_id)
    assert count(database, spec.name) == 0


def test_a_removed_storage_takes_all_that_is_known_of_it_along(database, storage_id):
    take_run(database, storage_id)
    with database.write() as connection:
        runs.note_outcome(connection, storage_id, 'volumes', True)
        freshness.note(connection, storage_id, 'volumes')
        storages.hide(connection, storage_id)
        storages.purge(connection, storage_id)
    assert {name: count(database, name) for name in (
        'access_info', 'ownership', 'sync_runs', 'sync_run_kinds', 'sync_failures', 'sync_freshness')} == {
        'access_info': 0, 'ownership': 0, 'sync_runs': 0, 'sync_run_kinds': 0, 'sync_failures': 0, 'sync_freshness': 0}


def test_the_owner_purges_and_nobody_else(database, storage_id):
    with database.write() as connection:
        storages.hide(connection, storage_id)
    with database.read() as connection:
        assert [storages.hidden(connection, node) for node in ('node-1', 'node-2')] == [[storage_id], []]


def test_a_deleted_storage_goes_over_to_another_owner_and_is_purged_there(database, storage_id):
    with database.write() as connection:
        storages.hide(connection, storage_id)
    give(database, storage_id, 'node-2')
    with database.read() as connection:
        assert storages.hidden(connection, 'node-2') == [storage_id]


def test_storages_of_an_earlier_version_are_free_to_take_and_their_runs_to_take_up(empty):
    schema = Schema(empty)
    schema.upgrade('0002')
    with empty.write() as connection:
        connection.execute(sa.text(
            "INSERT INTO storages (id, serial_number, created_at, live) VALUES ('s1', 'SN-1', '2026-01-01', 1)"))
        connection.execute(sa.text(
            "INSERT INTO sync_runs (storage_id, trigger, state, active, force, node, epoch, created_at, not_before, "
            "started_at) VALUES ('s1', 'api', 'running', 1, 0, 'node-1', 7, '2026-01-01', '2026-01-01', '2026-01-01')"))
    schema.upgrade()
    give(empty, 's1', 'node-2')
    with empty.write() as connection:
        (taken,) = runs.claim(connection, 'node-2', 5)
        runs.guard(connection, taken)
    assert taken.epoch > 7


def test_a_live_storage_is_not_purged(database, storage_id):
    with database.write() as connection:
        storages.purge(connection, storage_id)
    with database.read() as connection:
        assert storages.ids(connection) == [storage_id]


@pytest.mark.parametrize('spec', list(KINDS.tables()), ids=lambda spec: spec.name)
def test_a_native_id_is_unique_within_its_storage(database, storage_id, spec):
    add_row(database, storage_id, 'x', spec)
    with pytest.raises(IntegrityError):
        add_row(database, storage_id, 'x', spec)


def test_native_ids_that_differ_in_case_are_two(database, storage_id):
    add_row(database, storage_id, 'lun-a')
    add_row(database, storage_id, 'LUN-A')
    assert count(database, 'volumes') == 2


def test_two_storages_may_share_native_ids(database, storage_id):
    add_row(database, storage_id, 'x')
    add_row(database, add_storage(database, 'SN-2'), 'x')
    assert count(database, 'volumes') == 2


def test_a_row_of_an_unknown_storage_is_refused(database):
    with pytest.raises(IntegrityError):
        add_row(database, 'f' * 36, 'x')


def test_a_serial_number_is_registered_once(database, storage_id):
    with pytest.raises(exception.StorageAlreadyExists, match=storage_id):
        add_storage(database, 'SN-1')


def test_the_serial_number_of_a_deleted_storage_is_free_again(database, storage_id):
    with database.write() as connection:
        storages.hide(connection, storage_id)
    second = add_storage(database, 'SN-1')
    with database.read() as connection:
        assert storages.ids(connection) == [second]


def test_one_array_can_be_deleted_and_registered_many_times(database):
    """Deleted storages wait for their purge side by side; NULLs in a unique key do not collide."""
    for _ in range(3):
        storage_id = add_storage(database, 'SN-1')
        with database.write() as connection:
            storages.hide(connection, storage_id)
    with database.read() as connection:
        assert len(storages.hidden(connection, 'node-1')) == 3


def test_a_race_for_a_serial_number_has_one_winner(database, storage_id, monkeypatch):
    """Both registrations looked before either wrote: the unique key decides."""
    monkeypatch.setattr(storages, 'by_serial_number', lambda connection, serial_number: None)
    with pytest.raises(exception.StorageAlreadyExists):
        add_storage(database, 'SN-1')


def test_a_storage_has_at_most_one_active_run(database, storage_id):
    taken = take_run(database, storage_id)
    row = {'storage_id': storage_id, 'trigger': 'x', 'state': 'pending', 'active': 1, 'force': False, 'epoch': 0}
    with database.read() as connection:
        run = runs.listing(connection, storage_id, 1, 0)[0]
    assert run['id'] == taken.run_id
    with pytest.raises(IntegrityError), database.write() as connection:
        connection.execute(sa.insert(models.sync_runs), {
            **row, 'created_at': run['created_at'], 'not_before': run['created_at']})


@pytest.mark.parametrize(('url', 'reason'), [
    ('nonsense', 'not a database URL'), ('oracle://u:secret-word@h/d', 'oracle'), ('', 'not a database URL'),
    ('mysql+nosuch://u:secret-word@h/d', 'nosuch')])
def test_a_bad_database_url_is_explained_without_its_password(url, reason):
    with pytest.raises(exception.InvalidConfiguration, match=reason) as caught:
        Database(url)
    assert 'secret-word' not in caught.value.msg


def test_times_come_back_aware_in_utc(database, storage_id):
    with database.read() as connection:
        assert storages.get(connection, storage_id)['created_at'].tzinfo is not None
