# SPDX-License-Identifier: Apache-2.0
"""Sync runs: the rows that are queue and record at once."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from delfin import exception
from delfin.api.v1.storages import view
from delfin.db import engine, runs, storages
from delfin.db import ownership as owners
from delfin.db.ownership import Node
from delfin.db.runs import RunLost
from delfin.db.sqlalchemy.models import sync_runs
from delfin.kinds import KINDS as ALL
from tests.unit.support import add_storage, give, recorded_writes, take_run

KINDS = ('storage_pools', 'volumes')
COMPLETE = ()       # what is asked for when all kinds are meant


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


@pytest.fixture
def shown(database):
    """A storage as clients see it."""
    def show(storage_id):
        return view(storages.show(database, storage_id))
    return show


@pytest.fixture
def planned(database):
    """The arrays of a node that may be synced without being asked for."""
    def show(node='node-1'):
        with database.read() as connection:
            return {plan.storage_id: plan for plan in runs.plans(connection, node)}
    return show


@pytest.fixture
def do(database, write):
    """`do(storage_id, volumes='failed')`: a whole run of these kinds that ended so; its id."""
    def run(storage_id, keep=50, **outcomes):
        taken = take_run(database, storage_id, tuple(outcomes))
        write(runs.set_kind, taken.run_id, runs.STORAGE, {'state': 'done'})
        for kind, state in outcomes.items():
            write(runs.set_kind, taken.run_id, kind, {'state': state})
            write(runs.note_outcome, storage_id, kind, state == 'failed')
        write(runs.finish, taken, keep)
        return taken.run_id
    return run


def set_maintenance(write, storage_id, maintenance=True):
    write(storages.set_labels, storage_id, {'maintenance': maintenance})


def kinds_of(run):
    return [kind['kind'] for kind in run['kinds']]


# --- asking ---

def test_a_run_begins_with_the_storage_itself(write, latest, storage_id):
    write(runs.request, storage_id, KINDS, 'api')
    run = latest(storage_id)
    assert (run['state'], run['trigger'], kinds_of(run)) == ('pending', 'api', ['storage', *KINDS])


@pytest.mark.parametrize('kinds', [COMPLETE, ALL.names()], ids=['none named', 'all named'])
def test_a_complete_run_shows_all_kinds_before_it_begins(write, latest, storage_id, kinds):
    write(runs.request, storage_id, kinds, 'api')
    assert kinds_of(latest(storage_id)) == ['storage', *ALL.names()]


def test_a_complete_run_has_all_kinds_to_do_when_it_is_claimed(database, write, storage_id):
    taken = take_run(database, storage_id, COMPLETE)
    assert write(runs.pending_kinds, taken.run_id) == ['storage', *ALL.names()]


def test_asking_for_a_complete_run_costs_one_row(database, write, storage_id):
    """Of ten thousand arrays that are synced at once, each has only its run until it begins."""
    with recorded_writes(database) as writes:
        write(runs.request, storage_id, COMPLETE, 'api')
    assert [statement.split()[:3] for statement in writes] == [['INSERT', 'INTO', 'sync_runs']]


def test_a_second_request_joins_the_waiting_run(write, storage_id):
    assert write(runs.request, storage_id, KINDS, 'api') == write(runs.request, storage_id, KINDS, 'api')


@pytest.mark.parametrize('asked', [KINDS[1:], KINDS])
def test_a_second_request_joins_the_running_run_that_covers_it(database, write, storage_id, asked):
    taken = take_run(database, storage_id, KINDS)
    assert write(runs.request, storage_id, asked, 'api') == taken.run_id


@pytest.mark.parametrize('asked', [COMPLETE, KINDS, ALL.names()], ids=['none named', 'some', 'all named'])
def test_every_request_joins_the_complete_run(database, write, storage_id, asked):
    taken = take_run(database, storage_id, COMPLETE)
    assert write(runs.request, storage_id, asked, 'api') == taken.run_id


def test_a_request_for_more_than_the_running_run_does_is_refused(database, write, storage_id):
    take_run(database, storage_id, KINDS[:1])
    with pytest.raises(exception.StorageIsSyncing):
        write(runs.request, storage_id, KINDS, 'api')


def test_a_full_sync_does_not_join_a_running_partial_run(database, write, storage_id):
    """It would come back as done without having looked at the other kinds."""
    take_run(database, storage_id, ('volumes',))
    with pytest.raises(exception.StorageIsSyncing):
        write(runs.request, storage_id, COMPLETE, 'api')


def test_force_does_not_join_a_running_run_without(database, write, storage_id):
    take_run(database, storage_id, KINDS)
    with pytest.raises(exception.StorageIsSyncing):
        write(runs.request, storage_id, KINDS, 'api', force=True)


@pytest.mark.parametrize('force', [True, False])
def test_every_request_joins_a_running_run_with_force(database, write, storage_id, force):
    taken = take_run(database, storage_id, KINDS, force=True)
    assert write(runs.request, storage_id, KINDS, 'api', force=force) == taken.run_id


def test_a_refused_request_changes_nothing(database, write, latest, storage_id):
    take_run(database, storage_id, KINDS[:1])
    before = latest(storage_id)
    with pytest.raises(exception.StorageIsSyncing):
        write(runs.request, storage_id, KINDS, 'api', force=True)
    assert latest(storage_id) == before


def test_after_the_end_of_a_run_a_request_makes_a_new_one(database, write, storage_id):
    taken = take_run(database, storage_id)
    write(runs.finish, taken, 50)
    assert write(runs.request, storage_id, KINDS, 'api') > taken.run_id


def test_a_waiting_partial_run_takes_more_kinds_in(write, latest, storage_id):
    first = write(runs.request, storage_id, ('volumes',), 'api')
    assert write(runs.request, storage_id, ('disks', 'volumes'), 'api') == first
    assert kinds_of(latest(storage_id)) == ['storage', 'volumes', 'disks']


def test_a_full_sync_that_joins_a_waiting_partial_run_is_still_a_full_sync(write, latest, storage_id):
    """A second look at the volumes waits; who asks for a sync now wants all kinds."""
    write(runs.request, storage_id, ('volumes',), 'confirm', delay_seconds=30)
    write(runs.request, storage_id, COMPLETE, 'api')
    (taken,) = write(runs.claim, 'node-1', 9)
    assert write(runs.pending_kinds, taken.run_id) == ['storage', *ALL.names()]
    assert kinds_of(latest(storage_id)) == ['storage', *ALL.names()]


def test_a_partial_request_does_not_narrow_a_waiting_full_sync(write, storage_id):
    write(runs.request, storage_id, COMPLETE, 'api')
    write(runs.request, storage_id, ('volumes',), 'api')
    (taken,) = write(runs.claim, 'node-1', 9)
    assert write(runs.pending_kinds, taken.run_id) == ['storage', *ALL.names()]


def test_a_full_sync_that_joins_a_run_put_back_looks_at_everything_anew(database, write, storage_id):
    taken = take_run(database, storage_id, COMPLETE)
    write(runs.set_kind, taken.run_id, 'storage', {'state': 'done'})
    write(runs.put_back, taken)
    assert write(runs.request, storage_id, COMPLETE, 'api') == taken.run_id
    assert write(runs.claim, 'node-1', 9)
    assert write(runs.pending_kinds, taken.run_id) == ['storage', *ALL.names()]


def test_force_is_not_lost_by_joining_a_waiting_run(write, latest, storage_id):
    write(runs.request, storage_id, KINDS, 'api')
    write(runs.request, storage_id, KINDS, 'api', force=True)
    write(runs.request, storage_id, KINDS, 'api')
    assert latest(storage_id)['force'] is True


@pytest.mark.parametrize(('first', 'second', 'shown'), [
    ('schedule', 'api', 'api'), ('confirm', 'api', 'api'), ('api', 'schedule', 'api'), ('register', 'api', 'api')])
def test_a_waiting_run_that_is_asked_for_says_so(write, latest, storage_id, first, second, shown):
    write(runs.request, storage_id, KINDS, first)
    write(runs.request, storage_id, KINDS, second)
    assert latest(storage_id)['trigger'] == shown


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


def test_a_storage_that_does_not_exist_cannot_be_synced(write):
    with pytest.raises(exception.DelfinException):
        write(runs.request, 'f' * 36, KINDS, 'api')


# --- later ---

def test_a_delayed_run_waits_for_its_time(write, clock, storage_id):
    write(runs.request, storage_id, KINDS, 'confirm', delay_seconds=30)
    assert write(runs.claim, 'node-1', 9) == []
    clock(31)
    assert len(write(runs.claim, 'node-1', 9)) == 1


def test_a_delayed_run_tells_its_owner_when_it_is_due(write, storage_id):
    write(runs.request, storage_id, KINDS, 'confirm', delay_seconds=30)
    assert 29 < write(runs.seconds_to_next, 'node-1') <= 30
    assert write(runs.seconds_to_next, 'node-2') is None


def test_without_waiting_runs_nothing_is_due(write, storage_id):
    assert write(runs.seconds_to_next, 'node-1') is None


def test_a_request_pulls_a_delayed_run_forward(write, storage_id):
    write(runs.request, storage_id, KINDS, 'confirm', delay_seconds=3600)
    write(runs.request, storage_id, KINDS, 'api')
    assert len(write(runs.claim, 'node-1', 9)) == 1


def test_a_delayed_request_does_not_pull_forward(write, storage_id):
    write(runs.request, storage_id, KINDS, 'confirm', delay_seconds=3600)
    write(runs.request, storage_id, KINDS, 'confirm', delay_seconds=30)
    assert write(runs.claim, 'node-1', 9) == []


# --- all at once ---

def test_asking_for_all_is_one_statement(database, write):
    for number in range(3):
        add_storage(database, f'SN-{number}')
    with recorded_writes(database) as writes:
        assert write(runs.request_all) == 3
    assert len(writes) == 1


def test_asking_for_all_makes_complete_runs_that_are_due_now(database, write, latest):
    ids = [add_storage(database, f'SN-{number}') for number in range(3)]
    write(runs.request_all)
    taken = write(runs.claim, 'node-1', 9)
    assert {claim.storage_id for claim in taken} == set(ids)
    assert [write(runs.pending_kinds, claim.run_id) for claim in taken] == [['storage', *ALL.names()]] * 3
    assert {(latest(one)['trigger'], latest(one)['force']) for one in ids} == {('api', False)}


def test_asking_for_all_leaves_out_what_is_under_way_deleted_or_under_maintenance(database, write, latest):
    waiting, running, deleted, resting, free = (add_storage(database, f'SN-{number}') for number in range(5))
    take_run(database, running, ('disks',))
    write(runs.request, waiting, ('volumes',), 'api')
    write(storages.hide, deleted)
    set_maintenance(write, resting)
    assert write(runs.request_all) == 1
    assert kinds_of(latest(free)) == ['storage', *ALL.names()]
    assert [kinds_of(latest(one)) for one in (waiting, running)] == [['storage', 'volumes'], ['storage', 'disks']]


def test_asking_for_all_twice_makes_one_run_each(database, write, storage_id):
    assert [write(runs.request_all) for _ in range(2)] == [1, 0]


# --- claiming ---

def test_only_the_owner_of_an_array_claims_its_run(write, storage_id):
    write(runs.request, storage_id, KINDS, 'api')
    assert [len(write(runs.claim, node, 9)) for node in ('node-2', 'node-1', 'node-1')] == [0, 1, 0]


def test_the_run_of_an_array_that_nobody_owns_waits(database, write, storage_id):
    write(owners.join, Node('node-1', 'boot-1', '0'), [], 60)
    write(owners.leave, Node('node-1', 'boot-1', '0'))
    write(runs.request, storage_id, KINDS, 'api')
    assert write(runs.claim, 'node-1', 9) == []


def test_a_claimed_run_tells_its_node(database, latest, storage_id):
    take_run(database, storage_id, node='node-7')
    run = latest(storage_id)
    assert (run['state'], run['node'], run['started_at'] is None) == ('running', 'node-7', False)


def test_a_node_takes_no_more_than_it_wants_and_the_oldest_first(database, write):
    expected = [add_storage(database, f'SN-{number}') for number in range(3)]
    for storage_id in expected:
        write(runs.request, storage_id, KINDS, 'api')
    assert [claim.storage_id for claim in write(runs.claim, 'node-1', 2)] == expected[:2]


def test_a_claim_carries_force(database, storage_id):
    assert take_run(database, storage_id, force=True).force is True


def test_an_array_that_was_taken_away_while_its_run_was_looked_up_is_not_claimed(database, write, storage_id,
                                                                                 monkeypatch):
    write(runs.request, storage_id, KINDS, 'api')
    monkeypatch.setattr(owners, 'hold', lambda *args: False)
    assert write(runs.claim, 'node-1', 9) == []


# --- another owner ---

def test_the_next_owner_takes_a_running_run_over(database, write, latest, storage_id):
    first = take_run(database, storage_id)
    give(database, storage_id, 'node-2')
    (second,) = write(runs.claim, 'node-2', 9)
    assert (second.run_id, second.node, second.epoch) == (first.run_id, 'node-2', first.epoch + 1)
    run = latest(storage_id)
    assert (run['trigger'], run['node'], run['state']) == ('takeover', 'node-2', 'running')


def test_a_run_that_only_waited_is_claimed_by_the_next_owner_as_what_it_is(database, write, latest, storage_id):
    write(runs.request, storage_id, KINDS, 'schedule')
    give(database, storage_id, 'node-2')
    assert write(runs.claim, 'node-2', 9)
    assert latest(storage_id)['trigger'] == 'schedule'


def test_a_run_is_taken_over_once(database, write, storage_id):
    take_run(database, storage_id)
    give(database, storage_id, 'node-2')
    assert [len(write(runs.claim, 'node-2', 9)) for _ in range(2)] == [1, 0]


def test_the_former_owner_can_write_no_more(database, write, storage_id):
    first = take_run(database, storage_id)
    give(database, storage_id, 'node-2')
    with pytest.raises(RunLost, match=storage_id):
        write(runs.guard, first)


def test_the_former_owner_can_write_no_more_although_it_has_the_array_again(database, write, storage_id):
    """What it had read before may be old: whoever had the array in between may have written."""
    first = take_run(database, storage_id)
    give(database, storage_id, 'node-2')
    give(database, storage_id, 'node-1')
    with pytest.raises(RunLost):
        write(runs.guard, first)
    (second,) = write(runs.claim, 'node-1', 9)
    write(runs.guard, second)


def test_an_earlier_life_of_the_owner_can_write_no_more(database, write, storage_id):
    first = take_run(database, storage_id)
    write(owners.join, Node('node-1', 'boot-2', '0'), [], 60)
    with pytest.raises(RunLost):
        write(runs.guard, first)


def test_the_former_owner_cannot_put_back_what_the_next_one_does(database, write, latest, storage_id):
    first = take_run(database, storage_id)
    give(database, storage_id, 'node-2')
    write(runs.claim, 'node-2', 9)
    write(runs.put_back, first)
    assert latest(storage_id)['state'] == 'running'


def test_the_next_owner_may_write(database, write, storage_id):
    take_run(database, storage_id)
    give(database, storage_id, 'node-2')
    write(runs.guard, write(runs.claim, 'node-2', 9)[0])


def test_a_slow_owner_whom_nobody_replaced_may_go_on(database, write, clock, storage_id):
    taken = take_run(database, storage_id)
    clock(3600)
    write(runs.guard, taken)


def test_the_start_of_a_run_is_told_once(database, write, latest, clock, storage_id):
    take_run(database, storage_id)
    started = latest(storage_id)['started_at']
    clock(31)
    give(database, storage_id, 'node-2')
    write(runs.claim, 'node-2', 9)
    assert latest(storage_id)['started_at'] == started


def test_a_taken_over_run_does_the_kind_again_that_was_under_way(database, write, storage_id):
    first = take_run(database, storage_id, KINDS)
    write(runs.set_kind, first.run_id, 'storage', {'state': 'done'})
    write(runs.set_kind, first.run_id, 'storage_pools', {'state': 'running'})
    give(database, storage_id, 'node-2')
    write(runs.claim, 'node-2', 9)
    assert write(runs.pending_kinds, first.run_id) == ['storage_pools', 'volumes']


def test_a_guarded_transaction_holds_the_array_until_it_commits(database, storage_id):
    """Nobody can change hands in between: on SQLite nobody else writes at all, elsewhere the row is locked."""
    taken = take_run(database, storage_id)
    with database.write() as connection:
        runs.guard(connection, taken)
        with pytest.raises(sa.exc.OperationalError, match='locked'):
            rival = sa.create_engine(database.engine.url, connect_args={'timeout': 0})
            with rival.begin() as other:
                other.execute(sa.text("UPDATE ownership SET node = 'node-2'"))


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
    assert len(write(runs.claim, 'node-1', 9)) == 1


def test_a_run_put_back_for_later_is_claimed_later(database, write, clock, storage_id):
    write(runs.put_back, take_run(database, storage_id), 60)
    assert write(runs.claim, 'node-1', 9) == []
    clock(61)
    assert len(write(runs.claim, 'node-1', 9)) == 1


def test_a_run_put_back_keeps_its_trigger(database, write, latest, storage_id):
    taken = take_run(database, storage_id)
    write(runs.put_back, taken)
    write(runs.claim, 'node-1', 9)
    assert latest(storage_id)['trigger'] == 'test'


def test_a_node_takes_up_what_it_had_begun_and_works_on_no_more(database, write, latest):
    working, forgotten, theirs = (add_storage(database, f'SN-{number}') for number in range(3))
    under_way = take_run(database, working)
    take_run(database, forgotten)
    take_run(database, theirs, node='node-2')
    assert write(runs.put_back_forgotten, 'node-1', {under_way.run_id}) == 1
    assert [latest(one)['state'] for one in (working, forgotten, theirs)] == ['running', 'pending', 'running']


def test_finished_runs_are_not_put_back(database, write, latest, storage_id):
    write(runs.finish, take_run(database, storage_id), 50)
    assert (write(runs.put_back_forgotten, 'node-1', set()), latest(storage_id)['state']) == (0, 'done')


# --- the end ---

@pytest.mark.parametrize(('state', 'expected'), [('done', 'done'), ('unsupported', 'done'), ('failed', 'failed')])
def test_a_run_fails_when_a_kind_failed(database, write, latest, storage_id, state, expected):
    taken = take_run(database, storage_id)
    write(runs.set_kind, taken.run_id, 'volumes', {'state': state})
    assert write(runs.finish, taken, 50) == expected
    assert (latest(storage_id)['state'], latest(storage_id)['finished_at'] is None) == (expected, False)


def test_only_the_newest_runs_are_kept(database, storage_id, do):
    ids = [do(storage_id, keep=3, volumes='done') for _ in range(5)]
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


def test_runs_are_listed_newest_first_in_pages(database, storage_id, do):
    ids = [do(storage_id, volumes='done') for _ in range(4)]
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


def test_a_delayed_run_shows_once_it_runs(write, status, clock, storage_id):
    write(runs.request, storage_id, KINDS, 'confirm', delay_seconds=30)
    clock(31)
    write(runs.claim, 'node-1', 9)
    assert status(storage_id) == 'running'


# --- what failed ---

def test_a_failed_kind_is_remembered_until_it_succeeds(shown, storage_id, do):
    seen = []
    for state in ('failed', 'failed', 'done'):
        do(storage_id, volumes=state)
        seen.append((shown(storage_id)['failed_kinds'], shown(storage_id)['sync_status']))
    assert seen == [(['volumes'], 'FAILED'), (['volumes'], 'FAILED'), ([], 'SYNCED')]


def test_a_partial_run_that_succeeds_does_not_hide_another_kind_that_failed(shown, storage_id, do):
    do(storage_id, volumes='failed', disks='failed', ports='done')
    do(storage_id, disks='done')
    storage = shown(storage_id)
    assert (storage['failed_kinds'], storage['sync_status']) == (['volumes'], 'FAILED')


def test_failed_kinds_are_told_in_order(shown, storage_id, do):
    do(storage_id, volumes='failed', disks='failed', ports='failed')
    assert shown(storage_id)['failed_kinds'] == ['disks', 'ports', 'volumes']


def test_a_kind_that_the_array_does_not_have_is_no_failure(shown, storage_id, do):
    do(storage_id, volumes='failed')
    do(storage_id, volumes='unsupported')
    storage = shown(storage_id)
    assert (storage['failed_kinds'], storage['sync_status']) == ([], 'SYNCED')


def test_a_failure_of_one_storage_is_not_anothers(database, shown, storage_id, do):
    do(storage_id, volumes='failed')
    other = add_storage(database, 'SN-2')
    do(other, volumes='done')
    assert (shown(other)['failed_kinds'], shown(storage_id)['failed_kinds']) == ([], ['volumes'])


def test_while_it_is_synced_a_failed_storage_is_syncing_and_says_what_had_failed(write, shown, storage_id, do):
    do(storage_id, volumes='failed')
    write(runs.request, storage_id, COMPLETE, 'api')
    storage = shown(storage_id)
    assert (storage['sync_status'], storage['failed_kinds']) == ('SYNCING', ['volumes'])


def test_a_sync_of_some_kinds_does_not_make_a_storage_completely_synced(write, shown, storage_id, do):
    """`last_sync_at` says when everything was last complete; here it never was."""
    do(storage_id, volumes='done')
    assert shown(storage_id)['last_sync_at'] is None


# --- without being asked for ---

def test_an_array_that_was_never_synced_is_planned(planned, storage_id):
    assert planned()[storage_id].last_run_at is None


def test_only_the_owner_plans(database, planned, storage_id):
    assert (list(planned('node-1')), list(planned('node-2'))) == ([storage_id], [])
    give(database, storage_id, 'node-2')
    assert (list(planned('node-1')), list(planned('node-2'))) == ([], [storage_id])


def test_the_schedule_counts_from_the_beginning_of_the_last_complete_run(database, write, planned, latest,
                                                                         storage_id, do):
    write(runs.finish, take_run(database, storage_id, COMPLETE), 50)
    complete = latest(storage_id)['created_at']
    do(storage_id, volumes='done')
    assert planned()[storage_id].last_run_at == complete


def test_a_partial_run_that_became_complete_counts_for_the_schedule(write, planned, latest, storage_id):
    write(runs.request, storage_id, ('volumes',), 'api')
    write(runs.request, storage_id, COMPLETE, 'api')
    (taken,) = write(runs.claim, 'node-1', 9)
    write(runs.finish, taken, 50)
    assert planned()[storage_id].last_run_at == latest(storage_id)['created_at']


def test_the_schedule_still_counts_from_a_complete_run_when_many_partial_ones_followed(database, write, planned,
                                                                                       storage_id, do):
    """Only the newest runs are kept; dropping this one would make the array due at once."""
    write(runs.finish, take_run(database, storage_id, COMPLETE), 2)
    for _ in range(3):
        do(storage_id, keep=2, volumes='done')
    assert planned()[storage_id].last_run_at is not None


def test_a_storage_that_has_not_been_synced_for_long_still_says_when_it_was(database, write, shown, storage_id, do):
    """An array that is down fails each hour; the record of its last success must not be dropped with old runs."""
    write(runs.finish, take_run(database, storage_id, COMPLETE), 2)
    for _ in range(3):
        do(storage_id, keep=2, volumes='failed')
    assert shown(storage_id)['last_sync_at'] is not None


def test_an_array_with_a_run_under_way_is_not_planned(write, planned, storage_id):
    write(runs.request, storage_id, ('volumes',), 'api')
    assert planned() == {}


def test_a_deleted_array_is_not_planned(write, planned, storage_id):
    write(storages.hide, storage_id)
    assert planned() == {}


def test_an_array_has_its_own_interval(write, planned, storage_id):
    assert planned()[storage_id].interval_seconds is None
    write(storages.set_labels, storage_id, {'sync_interval_seconds': 900})
    assert planned()[storage_id].interval_seconds == 900


# --- maintenance ---

def test_an_array_under_maintenance_is_not_planned(write, planned, storage_id):
    set_maintenance(write, storage_id)
    assert planned() == {}
    set_maintenance(write, storage_id, False)
    assert list(planned()) == [storage_id]


@pytest.mark.parametrize('trigger', ['api', 'register'])
def test_who_asks_gets_a_sync_of_an_array_under_maintenance(write, storage_id, trigger):
    set_maintenance(write, storage_id)
    write(runs.request, storage_id, KINDS, trigger)
    assert write(runs.seconds_to_next, 'node-1') == 0
    assert len(write(runs.claim, 'node-1', 9)) == 1


@pytest.mark.parametrize('trigger', ['schedule', 'confirm'])
def test_what_nobody_asked_for_waits_for_the_end_of_maintenance(write, storage_id, trigger):
    write(runs.request, storage_id, KINDS, trigger)
    set_maintenance(write, storage_id)
    assert write(runs.claim, 'node-1', 9) == []
    assert write(runs.seconds_to_next, 'node-1') is None
    set_maintenance(write, storage_id, False)
    assert len(write(runs.claim, 'node-1', 9)) == 1


def test_a_waiting_run_is_done_in_spite_of_maintenance_when_somebody_asks(write, storage_id):
    write(runs.request, storage_id, KINDS, 'schedule')
    set_maintenance(write, storage_id)
    write(runs.request, storage_id, KINDS, 'api')
    assert len(write(runs.claim, 'node-1', 9)) == 1


def test_a_sync_that_was_asked_for_is_done_in_spite_of_maintenance_by_the_next_owner(database, write, storage_id):
    set_maintenance(write, storage_id)
    write(runs.request, storage_id, KINDS, 'api')
    write(runs.claim, 'node-1', 9)
    give(database, storage_id, 'node-2')
    assert len(write(runs.claim, 'node-2', 9)) == 1


def test_a_sync_that_was_asked_for_is_done_in_spite_of_maintenance_after_takeover_and_restart(database, write,
                                                                                             storage_id):
    """The next owner took it over and was stopped itself: it was asked for all the same."""
    set_maintenance(write, storage_id)
    write(runs.request, storage_id, KINDS, 'api')
    write(runs.claim, 'node-1', 9)
    give(database, storage_id, 'node-2')
    (taken,) = write(runs.claim, 'node-2', 9)
    write(runs.put_back, taken)
    assert len(write(runs.claim, 'node-2', 9)) == 1


# --- deleted storages ---

def test_the_run_of_a_deleted_storage_is_not_claimed(write, storage_id):
    write(runs.request, storage_id, KINDS, 'api')
    write(storages.hide, storage_id)
    assert write(runs.claim, 'node-1', 9) == []


def test_a_sync_of_a_storage_that_was_deleted_meanwhile_can_write_no_more(database, write, storage_id):
    taken = take_run(database, storage_id)
    write(storages.hide, storage_id)
    with pytest.raises(RunLost):
        write(runs.guard, taken)


def test_the_running_run_of_a_deleted_storage_is_not_taken_over(database, write, storage_id):
    take_run(database, storage_id)
    write(storages.hide, storage_id)
    give(database, storage_id, 'node-2')
    assert write(runs.claim, 'node-2', 9) == []


def test_the_waiting_run_of_a_deleted_storage_does_not_keep_the_service_awake(write, storage_id):
    """The looker sleeps until the next run is due: one that nobody may take must not count."""
    write(runs.request, storage_id, KINDS, 'api')
    write(storages.hide, storage_id)
    assert write(runs.seconds_to_next, 'node-1') is None
