# SPDX-License-Identifier: Apache-2.0
"""The migrations give the same schema on every database engine, and its rules hold there."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy.exc import IntegrityError

from delfin import exception
from delfin.db import Database, lists, ownership, resources, runs, storages
from delfin.db.schema import Schema
from delfin.db.sqlalchemy import models
from delfin.kinds import KINDS

VOLUMES = KINDS['volumes'].table
MOMENT_SECONDS = 0.5        # for a thread to reach a lock
PATIENCE_SECONDS = 20


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
        assert set(resources.stored(connection, VOLUMES, 's1')) == {'lun'}
    database.close()


def test_a_sync_that_an_earlier_version_left_running_is_taken_over(database_url: str) -> None:
    database = Database(database_url)
    schema = Schema(database)
    schema.upgrade('0002')
    moment = datetime.now(UTC)
    with database.write() as connection:
        connection.execute(sa.insert(models.storages), {
            'id': 's1', 'serial_number': 'one', 'created_at': moment, 'live': 1})
        run = {'storage_id': 's1', 'trigger': 'api', 'state': 'running', 'active': 1, 'force': False, 'node': 'node-1',
               'epoch': 7, 'created_at': moment, 'not_before': moment}
        connection.execute(sa.insert(sa.table('sync_runs', *(
            sa.column(name, models.sync_runs.c[name].type) for name in run))), run)
    assert schema.upgrade() == ('0002', schema.wanted())
    _give(database, 's1', 'node-2')
    with database.write() as connection:
        (taken,) = runs.claim(connection, 'node-2', 5)
        runs.guard(connection, taken)
        assert runs.listing(connection, 's1', 1, 0)[0]['trigger'] == 'takeover'
    database.close()


def test_native_ids_differ_by_case_and_by_trailing_blanks(database: Database) -> None:
    storage_id = _storage(database, 's1', 'one')
    with database.write() as connection:
        resources.insert(connection, VOLUMES, storage_id, [_volume(name) for name in ('lun', 'LUN', 'lun ', 'lün')])
    with database.read() as connection:
        assert set(resources.stored(connection, VOLUMES, storage_id)) == {'lun', 'LUN', 'lun ', 'lün'}


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


def _give(database: Database, storage_id: str, node: str) -> None:
    with database.write() as connection:
        ownership.give(connection, {held: node for held in ownership.all_held(connection)
                                    if held.storage_id == storage_id})


def _claimed(database: Database, storage_id: str, *kinds: str, node: str = 'node-1') -> runs.Claim:
    _give(database, storage_id, node)
    with database.write() as connection:
        runs.request(connection, storage_id, kinds, 'api')
    with database.write() as connection:
        (taken,) = runs.claim(connection, node, 5)
    return taken


def test_a_running_sync_goes_over_to_the_next_owner(database: Database) -> None:
    first = _claimed(database, _storage(database, 's1', 'one'))
    _give(database, 's1', 'node-2')
    with database.write() as connection:
        assert runs.claim(connection, 'node-1', 5) == []
        (second,) = runs.claim(connection, 'node-2', 5)
        assert second.run_id == first.run_id
        runs.guard(connection, second)
    with pytest.raises(runs.RunLost), database.write() as connection:
        runs.guard(connection, first)


def test_nodes_live_die_and_own_alike_everywhere(database: Database) -> None:
    storage_id = _storage(database, 's1', 'one')
    one, two = (ownership.Node(name, name * 9, '1.0') for name in ('one', 'two'))
    with database.write() as connection:
        ownership.join(connection, one, ['key'], 60)
        ownership.join(connection, two, ['key'], -60)       # dead already
    _give(database, storage_id, 'one')
    with database.write() as connection:
        assert ownership.alive(connection) == ['one']
        assert ownership.owner(connection, storage_id) == 'one'
        assert [(row['name'], row['alive'], row['storages']) for row in ownership.listing(connection)] == [
            ('one', True, 1), ('two', False, 0)]
        assert ownership.renew(connection, two, ['key', 'new'], 60)
        assert ownership.renew(connection, two, ['key', 'new'], 60)       # a row that does not change counts, too
        assert ownership.alive(connection) == ['one', 'two']
        (epoch,) = ownership.held_by(connection, 'one').values()
        assert [ownership.hold(connection, storage_id, 'one', number) for number in (epoch, epoch, epoch + 1)] == [
            True, True, False]
        ownership.leave(connection, one)
        assert ownership.owner(connection, storage_id) is None


def test_failed_kinds_and_plans_read_alike_everywhere(database: Database) -> None:
    storage_id = _storage(database, 's1', 'one')
    _give(database, storage_id, 'node-1')
    with database.write() as connection:
        assert [plan.last_run_at for plan in runs.plans(connection, 'node-1')] == [None]
        for kind in ('volumes', 'disks', 'volumes'):
            runs.note_outcome(connection, storage_id, kind, True)
        assert sorted(storages.get(connection, storage_id)['failed_kinds'].split(',')) == ['disks', 'volumes']
        assert runs.request_all(connection) == 1
        assert runs.plans(connection, 'node-1') == []
    with database.write() as connection:
        (taken,) = runs.claim(connection, 'node-1', 5)
        runs.finish(connection, taken, 5)
        (plan,) = runs.plans(connection, 'node-1')
        assert plan.last_run_at == runs.listing(connection, storage_id, 1, 0)[0]['created_at']


# --- two at once ---

def _beside(function: Callable[[], object]) -> Future[object]:
    """`function` in a thread of its own, once it had a moment to run or to wait for a lock."""
    future: Future[object] = Future()

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    with contextlib.suppress(TimeoutError):
        future.exception(MOMENT_SECONDS)
    return future


def test_an_array_does_not_change_hands_inside_a_guarded_transaction(database: Database) -> None:
    taken = _claimed(database, _storage(database, 's1', 'one'))
    with database.write() as connection:
        runs.guard(connection, taken)
        giving = _beside(lambda: _give(database, 's1', 'node-2'))
        if database.dialect != 'sqlite':        # where there is one writer at a time
            giving.result(PATIENCE_SECONDS)     # who waited for it could not say that he lives
        with database.read() as reading:
            assert list(ownership.held_by(reading, 'node-2')) == []
    giving.result(PATIENCE_SECONDS)
    _give(database, 's1', 'node-2')
    with database.read() as connection:
        assert list(ownership.held_by(connection, 'node-2')) == ['s1']


def test_who_waits_for_an_array_that_changes_hands_finds_that_it_is_lost(database: Database) -> None:
    taken = _claimed(database, _storage(database, 's1', 'one'))

    def guard() -> None:
        with database.write() as connection:
            runs.guard(connection, taken)
    with database.write() as connection:
        ownership.give(connection, {held: 'node-2' for held in ownership.all_held(connection)})
        guarding = _beside(guard)
        assert not guarding.done()
    with pytest.raises(runs.RunLost):
        guarding.result(PATIENCE_SECONDS)


def test_rows_that_are_written_while_a_storage_is_deleted_and_purged_do_not_survive_it(database: Database) -> None:
    taken = _claimed(database, _storage(database, 's1', 'one'))

    def remove() -> None:
        with database.write() as connection:
            storages.hide(connection, 's1')
        with database.write() as connection:
            storages.purge(connection, 's1')
    with database.write() as connection:
        runs.guard(connection, taken)
        resources.insert(connection, VOLUMES, 's1', [_volume('lun')])
        removing = _beside(remove)
    removing.result(PATIENCE_SECONDS)
    with database.read() as connection:
        assert connection.execute(sa.text('SELECT count(*) FROM volumes')).scalar_one() == 0


def test_two_clients_that_ask_for_one_array_at_once_get_the_same_run(database: Database) -> None:
    storage_id = _storage(database, 's1', 'one')

    def request() -> int:
        with database.write() as connection:
            return runs.request(connection, storage_id, ('volumes',), 'api')
    with database.write() as connection:
        first = runs.request(connection, storage_id, ('volumes',), 'api')
        second = _beside(request)
    assert second.result(PATIENCE_SECONDS) == first


def _waiting(database: Database) -> list[str]:
    """Storages with a pending run."""
    with database.read() as connection:
        return sorted(connection.execute(sa.select(models.sync_runs.c.storage_id)).scalars())


def test_two_clients_that_ask_for_all_at_once_are_both_served(database: Database) -> None:
    for number in range(3):
        _storage(database, f's{number}', f'SN-{number}')

    def request_all() -> None:
        with database.write() as connection:
            runs.request_all(connection)
    with database.write() as connection:
        runs.request_all(connection)
        second = _beside(request_all)
    second.result(PATIENCE_SECONDS)
    assert _waiting(database) == ['s0', 's1', 's2']


def test_asking_for_all_while_one_is_asked_for_alone_serves_the_others(database: Database) -> None:
    for number in range(3):
        _storage(database, f's{number}', f'SN-{number}')

    def request_all() -> None:
        with database.write() as connection:
            runs.request_all(connection)
    with database.write() as connection:
        runs.request(connection, 's0', (), 'api')
        every = _beside(request_all)
    every.result(PATIENCE_SECONDS)
    assert _waiting(database) == ['s0', 's1', 's2']


def test_a_request_that_meets_the_claim_of_the_run_it_joins_is_not_lost(database: Database) -> None:
    """It is refused, or the run that begins does what it asks for."""
    storage_id = _storage(database, 's1', 'one')
    _give(database, storage_id, 'node-1')
    with database.write() as connection:
        run_id = runs.request(connection, storage_id, ('volumes',), 'api')

    def claim() -> list[str]:
        with database.write() as connection:
            (taken,) = runs.claim(connection, 'node-1', 5)
        with database.read() as connection:         # what the worker reads first
            return runs.pending_kinds(connection, taken.run_id)

    claiming: list[Future[object]] = []

    def once(connection: sa.Connection, cursor: object, statement: str, *rest: object) -> None:
        # The request has just seen that the run waits.
        if statement.lstrip().startswith('SELECT') and 'FROM sync_runs' in statement and not claiming:
            claiming.append(_beside(claim))

    accepted = True
    with database.engine.connect() as connection, connection.begin():
        sa.event.listen(connection, 'after_cursor_execute', once)
        try:
            runs.request(connection, storage_id, ('disks',), 'api')
        except exception.StorageIsSyncing:
            accepted = False
    todo = claiming[0].result(PATIENCE_SECONDS)
    assert not accepted or 'disks' in todo, f'run {run_id} was joined and does only {todo}'


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
