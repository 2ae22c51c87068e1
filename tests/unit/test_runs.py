# SPDX-License-Identifier: Apache-2.0
"""Sync runs: the rows that are queue and record at once."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from delfin import exception
from delfin.db import engine, runs, storages
from delfin.db.runs import RunLost
from delfin.db.sqlalchemy.models import sync_runs
from tests.unit.support import add_storage, take_run

KINDS = ('storage_pools', 'volumes')


@pytest.fixture
def clock(monkeypatch):
    """Moves the database's clock as `runs` sees it: `clock(31)` is 31 seconds later."""
    ahead = [0.0]
    real = engine.now
    monkeypatch.setattr(runs, 'now', lambda connection: real(connection) + timedelta(seconds=ahead[0]))

    def advance(seconds):
        ahead[0] += seconds
    return advance


@pytest.fixture
def write(database):
    """`write(runs.request, …)`: call it in a transaction of its own."""
    def call(function, *args, **kwargs):
        with database.write() as connection:
            return function(connection, *args, **kwargs)
    return call


@pytest.fixture
def latest(database):
    """The newest run of a storage as the API shows it."""
    def show(storage_id):
        with database.read() as connection:
            return runs.listing(connection, storage_id, 1, 0)[0]
    return show


@pytest.fixture
def status(database):
    """The state that decides a storage's `sync_status`."""
    def show(storage_id):
        with database.read() as connection:
            return storages.get(connection, storage_id)['last_run_state']
    return show


def kinds_of(run):
    return [kind['kind'] for kind in run['kinds']]


# --- asking ---

def test_a_run_begins_with_the_storage_itself(write, latest, storage_id):
    write(runs.request, storage_id, KINDS, 'api')
    run = latest(storage_id)
    assert (run['state'], run['trigger'], kinds_of(run)) == ('pending', 'api', ['storage', *KINDS])


def test_a_second_request_joins_the_waiting_run(write, storage_id):
    assert write(runs.request, storage_id, KINDS, 'api') == write(runs.request, storage_id, KINDS, 'api')


def test_a_second_request_joins_the_running_run(database, write, storage_id):
    taken = take_run(database, storage_id, KINDS)
    assert write(runs.request, storage_id, KINDS[1:], 'api') == taken.run_id


def test_a_request_for_more_than_the_running_run_does_is_refused(database, write, storage_id):
    take_run(database, storage_id, KINDS[:1])
    with pytest.raises(exception.StorageIsSyncing):
        write(runs.request, storage_id, KINDS, 'api')
    with pytest.raises(exception.StorageIsSyncing):
        write(runs.request, storage_id, KINDS[:1], 'api', force=True)


def test_after_the_end_of_a_run_a_request_makes_a_new_one(database, write, storage_id):
    taken = take_run(database, storage_id)
    write(runs.finish, taken, 50)
    assert write(runs.request, storage_id, KINDS, 'api') > taken.run_id


def test_a_delayed_run_waits_for_its_time(write, clock, storage_id):
    write(runs.request, storage_id, KINDS, 'confirm', delay_seconds=30)
    assert write(runs.claim, 'node-1', 30, 9) == []
    clock(31)
    assert len(write(runs.claim, 'node-1', 30, 9)) == 1


def test_a_delayed_run_tells_when_it_is_due(write, storage_id):
    write(runs.request, storage_id, KINDS, 'confirm', delay_seconds=30)
    assert 29 < write(runs.seconds_to_next) <= 30


def test_without_waiting_runs_nothing_is_due(write):
    assert write(runs.seconds_to_next) is None


def test_a_request_pulls_a_delayed_run_forward(write, storage_id):
    write(runs.request, storage_id, KINDS, 'confirm', delay_seconds=3600)
    write(runs.request, storage_id, KINDS, 'api')
    assert len(write(runs.claim, 'node-1', 30, 9)) == 1


def test_a_delayed_request_does_not_pull_forward(write, storage_id):
    write(runs.request, storage_id, KINDS, 'confirm', delay_seconds=3600)
    write(runs.request, storage_id, KINDS, 'confirm', delay_seconds=30)
    assert write(runs.claim, 'node-1', 30, 9) == []


def test_a_full_sync_that_joins_a_waiting_partial_run_is_still_a_full_sync(write, latest, storage_id):
    """A second look at the volumes waits; who asks for a sync now wants all kinds."""
    write(runs.request, storage_id, ('volumes',), 'confirm', delay_seconds=30)
    write(runs.request, storage_id, KINDS, 'api')
    assert set(kinds_of(latest(storage_id))) == {'storage', *KINDS}


def test_a_full_sync_does_not_join_a_running_partial_run(database, write, storage_id):
    """It would come back as done without having looked at the other kinds."""
    take_run(database, storage_id, ('volumes',))
    with pytest.raises(exception.StorageIsSyncing):
        write(runs.request, storage_id, KINDS, 'api')


def test_force_is_not_lost_by_joining_a_waiting_run(write, latest, storage_id):
    write(runs.request, storage_id, KINDS, 'api')
    write(runs.request, storage_id, KINDS, 'api', force=True)
    assert latest(storage_id)['force'] is True


def test_a_race_of_two_requests_is_refused_not_run_twice(database, storage_id, monkeypatch):
    """Both looked before either wrote: the unique key decides, and the loser learns that a sync is under way."""
    take_run(database, storage_id)
    with database.write() as connection:
        real = connection.execute

        def blind(statement, *args, **kwargs):      # does not see the active run
            if isinstance(statement, sa.Select):
                return real(sa.select(sync_runs.c.id, sync_runs.c.state).where(sa.false()))
            return real(statement, *args, **kwargs)
        monkeypatch.setattr(connection, 'execute', blind)
        with pytest.raises(exception.StorageIsSyncing):
            runs.request(connection, storage_id, KINDS, 'api')


# --- claiming ---

def test_of_two_nodes_one_gets_the_run(write, storage_id):
    write(runs.request, storage_id, KINDS, 'api')
    assert [len(write(runs.claim, node, 30, 9)) for node in ('node-1', 'node-2')] == [1, 0]


def test_a_claimed_run_tells_its_node(database, latest, storage_id):
    take_run(database, storage_id, node='node-7')
    run = latest(storage_id)
    assert (run['state'], run['node'], run['started_at'] is None) == ('running', 'node-7', False)


def test_a_node_takes_no_more_than_it_wants_and_the_oldest_first(database, write):
    expected = [add_storage(database, f'SN-{number}') for number in range(3)]
    for storage_id in expected:
        write(runs.request, storage_id, KINDS, 'api')
    assert [claim.storage_id for claim in write(runs.claim, 'node-1', 30, 2)] == expected[:2]


def test_a_claim_carries_force(database, storage_id):
    assert take_run(database, storage_id, force=True).force is True


def test_a_run_whose_node_fell_silent_is_taken_over(database, write, clock, storage_id):
    first = take_run(database, storage_id)
    clock(31)
    second = write(runs.claim, 'node-2', 30, 9)
    assert [(claim.run_id, claim.epoch) for claim in second] == [(first.run_id, first.epoch + 1)]


def test_a_renewed_lease_is_not_taken_over(database, write, clock, storage_id):
    first = take_run(database, storage_id)
    clock(20)
    write(runs.renew, [first], 30)
    clock(20)
    assert write(runs.claim, 'node-2', 30, 9) == []


def test_the_former_holder_can_write_no_more(database, write, clock, storage_id):
    first = take_run(database, storage_id)
    clock(31)
    write(runs.claim, 'node-2', 30, 9)
    with pytest.raises(RunLost):
        write(runs.guard, first)


def test_the_former_holder_cannot_renew(database, write, clock, storage_id):
    first = take_run(database, storage_id)
    clock(31)
    write(runs.claim, 'node-2', 30, 9)
    write(runs.renew, [first], 3600)
    clock(31)
    assert len(write(runs.claim, 'node-3', 30, 9)) == 1


def test_the_former_holder_cannot_put_back(database, write, latest, clock, storage_id):
    first = take_run(database, storage_id)
    clock(31)
    write(runs.claim, 'node-2', 30, 9)
    write(runs.put_back, first)
    assert latest(storage_id)['state'] == 'running'


def test_the_new_holder_may_write(database, write, clock, storage_id):
    take_run(database, storage_id)
    clock(31)
    write(runs.guard, write(runs.claim, 'node-2', 30, 9)[0])


def test_a_late_holder_whom_nobody_replaced_may_go_on(database, write, clock, storage_id):
    taken = take_run(database, storage_id)
    clock(3600)
    write(runs.guard, taken)


def test_the_start_of_a_run_is_told_once(database, write, latest, clock, storage_id):
    take_run(database, storage_id)
    started = latest(storage_id)['started_at']
    clock(31)
    write(runs.claim, 'node-2', 30, 9)
    assert latest(storage_id)['started_at'] == started


def test_a_taken_over_run_does_the_kind_again_that_was_under_way(database, write, clock, storage_id):
    first = take_run(database, storage_id, KINDS)
    write(runs.set_kind, first.run_id, 'storage', {'state': 'done'})
    write(runs.set_kind, first.run_id, 'storage_pools', {'state': 'running'})
    clock(31)
    write(runs.claim, 'node-2', 30, 9)
    assert write(runs.pending_kinds, first.run_id) == ['storage_pools', 'volumes']


# --- putting back ---

def test_a_run_put_back_is_pending_and_keeps_what_is_finished(database, write, latest, storage_id):
    taken = take_run(database, storage_id, KINDS)
    write(runs.set_kind, taken.run_id, 'storage', {'state': 'done'})
    write(runs.set_kind, taken.run_id, 'storage_pools', {'state': 'running'})
    write(runs.put_back, taken)
    run = latest(storage_id)
    assert (run['state'], [kind['state'] for kind in run['kinds']]) == ('pending', ['done', 'pending', 'pending'])


def test_a_run_put_back_can_be_claimed_at_once(database, write, storage_id):
    write(runs.put_back, take_run(database, storage_id))
    assert len(write(runs.claim, 'node-2', 30, 9)) == 1


def test_who_put_a_run_back_can_write_no_more(database, write, storage_id):
    taken = take_run(database, storage_id)
    write(runs.put_back, taken)
    with pytest.raises(RunLost):
        write(runs.guard, taken)


def test_a_restarted_node_takes_up_what_it_had_begun_and_nothing_else(database, write, latest):
    mine, theirs = add_storage(database, 'SN-1'), add_storage(database, 'SN-2')
    take_run(database, mine, node='node-1')
    take_run(database, theirs, node='node-2')
    assert write(runs.put_back_all, 'node-1') == 1
    assert (latest(mine)['state'], latest(theirs)['state']) == ('pending', 'running')


def test_finished_runs_are_not_put_back(database, write, latest, storage_id):
    write(runs.finish, take_run(database, storage_id), 50)
    assert (write(runs.put_back_all, 'node-1'), latest(storage_id)['state']) == (0, 'done')


# --- the end ---

@pytest.mark.parametrize(('state', 'expected'), [('done', 'done'), ('unsupported', 'done'), ('failed', 'failed')])
def test_a_run_fails_when_a_kind_failed(database, write, latest, storage_id, state, expected):
    taken = take_run(database, storage_id)
    write(runs.set_kind, taken.run_id, 'volumes', {'state': state})
    assert write(runs.finish, taken, 50) == expected
    assert (latest(storage_id)['state'], latest(storage_id)['finished_at'] is None) == (expected, False)


def test_only_the_newest_runs_are_kept(database, write, storage_id):
    ids = []
    for _ in range(5):
        taken = take_run(database, storage_id)
        write(runs.finish, taken, 3)
        ids.append(taken.run_id)
    with database.read() as connection:
        kept = runs.listing(connection, storage_id, 100, 0)
    assert [run['id'] for run in kept] == ids[:1:-1]


def test_dropping_old_runs_leaves_other_storages_alone(database, write, latest, storage_id):
    other = add_storage(database, 'SN-2')
    write(runs.finish, take_run(database, other), 50)
    for _ in range(3):
        write(runs.finish, take_run(database, storage_id), 1)
    assert latest(other)['state'] == 'done'


@pytest.mark.parametrize('withheld', [True, False])
def test_a_run_knows_whether_the_last_look_withheld_a_deletion(database, write, storage_id, withheld):
    first = take_run(database, storage_id)
    write(runs.set_kind, first.run_id, 'volumes', {'state': 'done', 'withheld': withheld})
    write(runs.finish, first, 50)
    assert write(runs.was_withheld, take_run(database, storage_id), 'volumes') is withheld


def test_a_failed_look_between_two_short_answers_does_not_count(database, write, storage_id):
    for state, withheld in (('done', True), ('failed', False)):
        taken = take_run(database, storage_id)
        write(runs.set_kind, taken.run_id, 'volumes', {'state': state, 'withheld': withheld})
        write(runs.finish, taken, 50)
    assert write(runs.was_withheld, take_run(database, storage_id), 'volumes') is True


def test_runs_are_listed_newest_first_in_pages(database, write, storage_id):
    ids = []
    for _ in range(4):
        taken = take_run(database, storage_id)
        write(runs.finish, taken, 50)
        ids.append(taken.run_id)
    with database.read() as connection:
        page = runs.listing(connection, storage_id, 2, 1)
    assert [run['id'] for run in page] == [ids[2], ids[1]]


# --- what a storage shows ---

def test_a_storage_that_was_never_synced_shows_no_run(status, storage_id):
    assert status(storage_id) is None


def test_a_waiting_run_shows(write, status, storage_id):
    write(runs.request, storage_id, KINDS, 'api')
    assert status(storage_id) == 'pending'


def test_a_delayed_run_does_not_show(database, write, status, storage_id):
    """The second look at a short answer is announced for later: meanwhile the sync before it counts."""
    write(runs.finish, take_run(database, storage_id), 50)
    write(runs.request, storage_id, KINDS, 'confirm', delay_seconds=30)
    assert status(storage_id) == 'done'


def test_a_delayed_run_shows_once_it_is_pulled_forward(database, write, status, storage_id):
    write(runs.finish, take_run(database, storage_id), 50)
    write(runs.request, storage_id, KINDS, 'confirm', delay_seconds=30)
    write(runs.request, storage_id, KINDS, 'api')
    assert status(storage_id) == 'pending'


def test_a_delayed_run_shows_once_it_runs(database, write, status, clock, storage_id):
    write(runs.request, storage_id, KINDS, 'confirm', delay_seconds=30)
    clock(31)
    write(runs.claim, 'node-1', 30, 9)
    assert status(storage_id) == 'running'


# --- deleted storages ---

def test_the_run_of_a_deleted_storage_is_not_claimed(write, storage_id):
    write(runs.request, storage_id, KINDS, 'api')
    write(storages.hide, storage_id)
    assert write(runs.claim, 'node-1', 30, 9) == []


def test_a_sync_of_a_storage_that_was_deleted_meanwhile_can_write_no_more(database, write, storage_id):
    taken = take_run(database, storage_id)
    write(storages.hide, storage_id)
    with pytest.raises(RunLost):
        write(runs.guard, taken)


def test_a_silent_run_of_a_deleted_storage_is_not_taken_over(database, write, clock, storage_id):
    take_run(database, storage_id)
    write(storages.hide, storage_id)
    clock(3600)
    assert write(runs.claim, 'node-2', 30, 9) == []


def test_the_waiting_run_of_a_deleted_storage_does_not_keep_the_service_awake(write, storage_id):
    """The looker sleeps until the next run is due: one that nobody may take must not count."""
    write(runs.request, storage_id, KINDS, 'api')
    write(storages.hide, storage_id)
    assert write(runs.seconds_to_next) is None


def test_a_storage_that_does_not_exist_cannot_be_synced(write):
    with pytest.raises(exception.DelfinException):
        write(runs.request, 'f' * 36, KINDS, 'api')
