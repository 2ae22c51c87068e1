# SPDX-License-Identifier: Apache-2.0
"""Who lives and who owns which array, as rows of the database."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delfin import exception
from delfin.context import get_admin_context
from delfin.db import engine, ownership, storages
from delfin.db.ownership import Held, Node
from delfin.task_manager.rpcapi import TaskAPI
from tests.unit.support import add_storage

LEASE_SECONDS = 6
NAMES = st.lists(st.text(st.characters(codec='utf-8'), min_size=1, max_size=8), min_size=1, max_size=6, unique=True)


@pytest.fixture
def clock(monkeypatch):
    """Moves the database's clock as `ownership` sees it."""
    ahead = [0.0]
    real = engine.now
    monkeypatch.setattr(ownership, 'now', lambda connection: real(connection) + timedelta(seconds=ahead[0]))

    def advance(seconds):
        ahead[0] += seconds
    return advance


@pytest.fixture
def write(database):
    """`write(ownership.join, …)`: call it in a transaction of its own."""
    def call(function, *args, **kwargs):
        with database.write() as connection:
            return function(connection, *args, **kwargs)
    return call


def node(name, boot='boot-1'):
    return Node(name, boot, '1.0')


@pytest.fixture
def join(write):
    """`join('a', 'b')`: first lives of these nodes."""
    def begin(*names, boot='boot-1'):
        for name in names:
            write(ownership.join, node(name, boot), ['key-1'], LEASE_SECONDS)
    return begin


@pytest.fixture
def held(write):
    """Node and epoch of an array."""
    def show(storage_id):
        return next((row.node, row.epoch) for row in write(ownership.all_held) if row.storage_id == storage_id)
    return show


# --- who lives ---

def test_who_joined_lives_until_the_lease_is_over(write, join, clock):
    join('b', 'a')
    assert write(ownership.alive) == ['a', 'b']
    clock(LEASE_SECONDS + 1)
    assert write(ownership.alive) == []


def test_who_renews_goes_on_living(write, join, clock):
    join('a', 'b')
    clock(LEASE_SECONDS - 1)
    assert write(ownership.renew, node('a'), ['key-1'], LEASE_SECONDS)
    clock(2)
    assert write(ownership.alive) == ['a']


def test_who_was_silent_for_too_long_lives_again_by_renewing(write, join, clock):
    join('a')
    clock(LEASE_SECONDS * 10)
    assert write(ownership.renew, node('a'), ['key-1'], LEASE_SECONDS)
    assert write(ownership.alive) == ['a']


def test_an_earlier_life_cannot_renew(write, join, clock):
    join('a')
    join('a', boot='boot-2')
    assert not write(ownership.renew, node('a'), ['key-1'], LEASE_SECONDS)
    assert write(ownership.renew, node('a', 'boot-2'), ['key-1'], LEASE_SECONDS)


def test_nobody_renews_what_never_joined(write):
    assert not write(ownership.renew, node('a'), ['key-1'], LEASE_SECONDS)
    assert write(ownership.alive) == []


def test_the_keys_of_a_node_are_told_and_follow_its_key_file(write, join):
    join('a')
    write(ownership.renew, node('a'), ['key-2', 'key-1'], LEASE_SECONDS)
    (row,) = write(ownership.listing)
    assert row['key_ids'] == ['key-2', 'key-1']


def test_the_list_tells_who_lives_and_how_much_each_owns(database, write, join, clock):
    join('dead')
    clock(LEASE_SECONDS + 1)
    join('node-1')
    for number in range(2):
        add_storage(database, f'SN-{number}')
    assert [(row['name'], row['alive'], row['storages']) for row in write(ownership.listing)] == [
        ('dead', False, 0), ('node-1', True, 2)]


def test_a_dead_node_is_buried_after_a_while(write, join, clock):
    join('a')
    clock(LEASE_SECONDS + 3600)
    join('b')
    assert write(ownership.long_dead, 7200) == []
    assert write(ownership.long_dead, 1800) == ['a']
    write(ownership.bury, ['a', 'b'], 1800)
    assert [row['name'] for row in write(ownership.listing)] == ['b']


# --- a life begins and ends ---

def test_a_new_life_keeps_the_arrays_under_a_new_epoch(write, join, held, storage_id):
    join('node-1')
    before = held(storage_id)
    join('node-1', boot='boot-2')
    assert held(storage_id) == ('node-1', before[1] + 1)


def test_a_new_life_leaves_the_arrays_of_others_alone(write, join, held, storage_id):
    before = held(storage_id)
    join('node-2')
    assert held(storage_id) == before


def test_who_leaves_gives_everything_up_at_once(write, join, held, storage_id):
    join('node-1')
    epoch = held(storage_id)[1]
    write(ownership.leave, node('node-1'))
    assert (held(storage_id), write(ownership.alive)) == ((None, epoch + 1), [])


def test_an_earlier_life_that_leaves_late_takes_nothing_from_the_next_one(write, join, held, storage_id):
    """A slow shutdown beside the restarted service."""
    join('node-1')
    join('node-1', boot='boot-2')
    before = held(storage_id)
    write(ownership.leave, node('node-1', 'boot-1'))
    assert (held(storage_id), write(ownership.alive)) == (before, ['node-1'])


# --- who should own ---

@given(NAMES, st.uuids())
def test_an_array_always_has_one_who_should_own_it(names, storage_id):
    assert ownership.chosen(str(storage_id), names) in names


@given(NAMES, st.uuids())
def test_all_nodes_choose_alike_whatever_order_they_see_each_other_in(names, storage_id):
    assert ownership.chosen(str(storage_id), names) == ownership.chosen(str(storage_id), set(names[::-1]))


@given(NAMES, st.text(min_size=1, max_size=8), st.uuids())
def test_when_a_node_joins_arrays_move_to_it_or_not_at_all(names, newcomer, storage_id):
    before = ownership.chosen(str(storage_id), names)
    assert ownership.chosen(str(storage_id), [*names, newcomer]) in (before, newcomer)


@given(NAMES, st.uuids())
def test_when_a_node_goes_only_its_own_arrays_move(names, storage_id):
    owner = ownership.chosen(str(storage_id), names)
    for gone in set(names) - {owner}:
        assert ownership.chosen(str(storage_id), [name for name in names if name != gone]) == owner


@pytest.mark.parametrize('count', [2, 3, 5])
def test_arrays_are_spread_evenly(count):
    names = [f'node-{number}' for number in range(count)]
    owned = [ownership.chosen(f'storage-{number}', names) for number in range(1000)]
    assert all(0.8 * 1000 / count < owned.count(name) < 1.2 * 1000 / count for name in names)


def test_where_nobody_lives_nobody_should_own():
    assert ownership.chosen('storage', []) is None


# --- who owns ---

def test_a_new_array_belongs_to_who_registered_it(held, storage_id):
    assert held(storage_id) == ('node-1', 1)


def test_an_array_that_is_given_away_gets_a_new_epoch(write, held, storage_id):
    write(ownership.give, {Held(storage_id, 'node-1', 1): 'node-2'})
    assert held(storage_id) == ('node-2', 2)


def test_of_two_who_give_an_array_at_once_the_first_decides(write, held, storage_id):
    seen = Held(storage_id, 'node-1', 1)        # both had looked before either wrote
    write(ownership.give, {seen: 'node-2'})
    write(ownership.give, {seen: 'node-3'})
    assert held(storage_id) == ('node-2', 2)


def test_giving_one_array_leaves_the_others_alone(database, write, held, storage_id):
    other = add_storage(database, 'SN-2')
    write(ownership.give, {Held(storage_id, 'node-1', 1): 'node-2'})
    assert held(other) == ('node-1', 1)


def test_a_node_sees_what_it_holds(database, write, storage_id):
    other = add_storage(database, 'SN-2')
    write(ownership.give, {Held(other, 'node-1', 1): 'node-2'})
    assert [write(ownership.held_by, name) for name in ('node-1', 'node-2', 'node-3')] == [
        {storage_id: 1}, {other: 2}, {}]


def test_calls_go_to_the_owner_while_it_lives(write, join, clock, storage_id):
    assert write(ownership.owner, storage_id) is None       # it has not joined
    join('node-1')
    assert write(ownership.owner, storage_id) == 'node-1'
    clock(LEASE_SECONDS + 1)
    assert write(ownership.owner, storage_id) is None


def test_an_array_that_does_not_exist_has_no_owner(write, join):
    join('node-1')
    assert write(ownership.owner, 'nothing') is None


# --- holding ---

def test_the_owner_holds_its_array(write, storage_id):
    assert write(ownership.hold, storage_id, 'node-1', 1)


@pytest.mark.parametrize(('name', 'epoch'), [('node-2', 1), ('node-1', 0), ('node-1', 2)])
def test_nobody_else_and_no_other_epoch_holds_it(write, storage_id, name, epoch):
    assert not write(ownership.hold, storage_id, name, epoch)


def test_holding_changes_nothing(write, held, storage_id):
    write(ownership.hold, storage_id, 'node-1', 1)
    assert held(storage_id) == ('node-1', 1)


def test_a_deleted_array_is_held_by_nobody(write, storage_id):
    write(storages.hide, storage_id)
    assert not write(ownership.hold, storage_id, 'node-1', 1)


def test_a_lease_that_is_over_does_not_matter_as_long_as_nobody_took_the_array(write, join, clock, storage_id):
    """Only the epoch decides over writes: a slow owner whom nobody replaced may finish."""
    join('node-1')
    epoch = write(ownership.held_by, 'node-1')[storage_id]
    clock(3600)
    assert write(ownership.hold, storage_id, 'node-1', epoch)


# --- where calls go ---

class Transport:
    """In place of the message bus: notes method and server of each call."""

    def __init__(self):
        self.calls = []

    def client(self, topic):
        return self

    def call(self, context, method, *, server=None, **kwargs):
        self.calls.append((method, server))


@pytest.fixture
def transport():
    return Transport()


@pytest.fixture
def tasks(transport, database):
    return TaskAPI(transport, database)


def test_calls_that_talk_to_an_array_go_to_its_owner(join, tasks, transport, storage_id):
    join('node-0', 'node-1', 'node-2')
    tasks.get_capabilities(get_admin_context(), storage_id)
    tasks.update_access_info(get_admin_context(), storage_id, {}, '')
    assert transport.calls == [('get_capabilities', 'node-1'), ('update_access_info', 'node-1')]


def test_a_registration_goes_to_who_will_own_the_array(join, tasks, transport):
    """So that the array need not move at once."""
    names = ('node-0', 'node-1', 'node-2')
    join(*names)
    ids = [f'storage-{number}' for number in range(9)]
    for storage_id in ids:
        tasks.register_storage(get_admin_context(), storage_id, {}, '')
        tasks.probe_storage(get_admin_context(), storage_id, {})
    chosen = [ownership.chosen(storage_id, names) for storage_id in ids]
    assert transport.calls == [(method, name) for name in chosen for method in ('register_storage', 'probe_storage')]


def test_calls_that_any_node_can_answer_go_to_any(join, tasks, transport):
    join('node-1')
    tasks.list_drivers(get_admin_context())
    assert transport.calls == [('list_drivers', None)]


def test_without_a_living_owner_a_call_is_to_be_tried_again(join, tasks, transport, clock, storage_id):
    join('node-1')
    clock(LEASE_SECONDS + 1)
    join('node-2')
    with pytest.raises(exception.ServiceUnavailable, match='no task service owns storage'):
        tasks.get_capabilities(get_admin_context(), storage_id)
    assert transport.calls == []


def test_without_any_node_nothing_can_be_registered(tasks, transport):
    with pytest.raises(exception.ServiceUnavailable, match='no task service is running'):
        tasks.register_storage(get_admin_context(), 'new', {}, '')
    assert transport.calls == []
