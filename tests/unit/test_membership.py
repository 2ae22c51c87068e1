# SPDX-License-Identifier: Apache-2.0
"""Nodes among each other, on one database, with short leases: arrays always have one owner, soon the right one."""

from __future__ import annotations

import contextlib
import logging
import threading
import time

import pytest
from sqlalchemy.exc import OperationalError

from delfin import exception
from delfin.db import ownership, runs, storages
from delfin.db.runs import RunLost
from delfin.drivers.api import Lane
from delfin.task_manager.manager import TaskManager
from delfin.task_manager.membership import Membership
from tests.unit.support import Drivers, MinimalDriver, add_storage, take_run, until

HEARTBEAT_SECONDS = 0.3
LEASE_SECONDS = 1.2
ARRAYS = 12


class Link:
    """A node's way to the database, which can be cut (calls fail) or paused (they wait)."""

    def __init__(self, database):
        self._database = database
        self._going = threading.Event()
        self._going.set()
        self.cut = False
        self.commit_seconds = 0.0       # how long the next commit takes

    def pause(self):
        self._going.clear()

    def go_on(self):
        self._going.set()

    def _pass(self):
        self._going.wait()
        if self.cut:
            raise OperationalError('SELECT 1', {}, Exception('the database is away'))

    @contextlib.contextmanager
    def read(self):
        self._pass()
        with self._database.read() as connection:
            yield connection

    @contextlib.contextmanager
    def write(self, what='write'):
        self._pass()
        with self._database.write(what) as connection:
            yield connection
            time.sleep(self.commit_seconds)
            self.commit_seconds = 0.0

    def attempt(self, action, what='write'):
        with self.write(what) as connection:
            return action(connection)


class NodeLife:
    """One life of a node, and what it was told."""

    def __init__(self, conf, database, name):
        conf.set_override('host', name)
        self.name = name
        self.link = Link(database)
        self.told = []
        self.membership = Membership(conf, self.link, lambda: ['key-1'],
                                     lambda gained, lost: self.told.append((set(gained), set(lost))))

    def start(self):
        self.membership.start()
        return self

    def stop(self):
        self.membership.stop(5)

    def die(self):
        """End without a word to the others."""
        self.link.go_on()
        self.membership._stopping.set()
        if self.membership._thread.is_alive():
            self.membership._thread.join(5)

    def admits(self, storage_id):
        try:
            self.membership.admit(storage_id)
        except exception.ServiceUnavailable:
            return False
        return True


class Cluster:
    """Nodes on one database."""

    def __init__(self, conf, database):
        conf.set_override('heartbeat_seconds', HEARTBEAT_SECONDS, 'cluster')
        conf.set_override('lease_seconds', LEASE_SECONDS, 'cluster')
        self.conf, self.database = conf, database
        self.lives = []

    def make(self, name):
        life = NodeLife(self.conf, self.database, name)
        self.lives.append(life)
        return life

    def start(self, *names):
        started = [self.make(name).start() for name in names]
        return started if len(names) > 1 else started[0]

    def held(self):
        """Owner and epoch of every array."""
        with self.database.read() as connection:
            return {row.storage_id: (row.node, row.epoch) for row in ownership.all_held(connection)}

    def owners(self):
        return {storage_id: node for storage_id, (node, _) in self.held().items()}

    def settled(self, *names):
        """Wait until each array belongs to who of these nodes should own it, and its owner knows."""
        wanted = {storage_id: ownership.chosen(storage_id, names) for storage_id in self.owners()}
        until(lambda: self.owners() == wanted)
        for life in self.lives:
            if life.name in names:
                mine = {storage_id for storage_id, name in wanted.items() if name == life.name}
                until(lambda life=life, mine=mine: set(life.membership._held) == mine)
        return wanted

    def end(self):
        for life in self.lives:
            life.die()


@pytest.fixture
def cluster(conf, database):
    made = Cluster(conf, database)
    yield made
    made.end()


@pytest.fixture
def arrays(database):
    """Ids of arrays that nobody owns yet."""
    ids = [add_storage(database, f'SN-{number}') for number in range(ARRAYS)]
    with database.write() as connection:
        ownership.join(connection, ownership.Node('node-1', 'registrar', '0'), [], 60)
        ownership.leave(connection, ownership.Node('node-1', 'registrar', '0'))
    return ids


def since(life, count=0):
    """(gained, lost) of what a node was told after the first `count` times."""
    gained = set().union(*(came for came, _ in life.told[count:]))
    lost = set().union(*(went for _, went in life.told[count:]))
    return gained, lost


# --- one node ---

def test_a_single_node_owns_everything_when_its_start_returns(cluster, arrays):
    one = cluster.start('one')
    assert all(one.admits(storage_id) for storage_id in arrays)
    assert since(one) == (set(arrays), set())


def test_a_restarted_node_has_its_arrays_at_once_under_new_epochs(cluster, arrays):
    cluster.start('one').die()
    before = cluster.held()
    again = cluster.start('one')
    assert all(again.admits(storage_id) for storage_id in arrays)
    assert cluster.held() == {storage_id: ('one', epoch + 1) for storage_id, (_, epoch) in before.items()}


def test_an_array_that_is_registered_here_is_admitted_at_once_and_stays(cluster, database):
    one = cluster.start('one')
    storage_id = add_storage(database, 'SN-new')
    with database.write() as connection:
        ownership.give(connection, {held: 'one' for held in ownership.all_held(connection)})
    one.membership.took(storage_id)
    assert one.admits(storage_id)
    until(lambda: one.membership._held == {storage_id: 2})
    assert one.admits(storage_id)


def test_arrays_of_others_are_not_admitted(cluster, arrays):
    one = cluster.start('one')
    with pytest.raises(exception.ServiceUnavailable, match='belongs to another task service'):
        one.membership.admit('somebody-elses')


# --- coming and going ---

def test_a_node_that_joins_gets_its_share_and_the_others_keep_theirs(cluster, arrays):
    one = cluster.start('one')
    before = cluster.held()
    two = cluster.start('two')
    owners = cluster.settled('one', 'two')
    share = {storage_id for storage_id, name in owners.items() if name == 'two'}
    assert 0 < len(share) < ARRAYS
    assert since(two) == (share, set())
    assert since(one, 1) == (set(), share)
    assert all(cluster.held()[storage_id] == before[storage_id] for storage_id in arrays if storage_id not in share)


def test_three_nodes_share_all_arrays(cluster, arrays):
    lives = cluster.start('one', 'two', 'three')
    owners = cluster.settled('one', 'two', 'three')
    for storage_id in arrays:
        assert [life.name for life in lives if life.admits(storage_id)] == [owners[storage_id]]


def test_what_a_node_leaves_is_taken_at_the_next_heartbeat(cluster, arrays):
    _, two = cluster.start('one', 'two')
    cluster.settled('one', 'two')
    two.stop()
    left = time.monotonic()
    cluster.settled('one')
    assert time.monotonic() - left < LEASE_SECONDS      # nobody waited for the lease


def test_what_a_dead_node_had_is_taken_when_its_lease_is_over_and_not_before(cluster, arrays, database):
    _, two = cluster.start('one', 'two')
    before = cluster.settled('one', 'two')
    time.sleep(LEASE_SECONDS)       # node one is settled: it may judge
    two.die()
    with database.read() as connection:
        (expires,) = [row['expires_at'] for row in ownership.listing(connection) if row['name'] == 'two']

    def judged():
        with database.read() as connection:
            owners = {held.storage_id: held.node for held in ownership.all_held(connection)}
            assert owners == before or ownership.now(connection) >= expires
        return 'two' not in owners.values()
    until(judged)
    cluster.settled('one')


def test_of_three_nodes_one_dies_and_only_its_arrays_move(cluster, arrays):
    *_, three = cluster.start('one', 'two', 'three')
    cluster.settled('one', 'two', 'three')
    before = cluster.held()
    three.die()
    cluster.settled('one', 'two')
    assert {storage_id: held for storage_id, held in cluster.held().items() if before[storage_id][0] != 'three'} == {
        storage_id: held for storage_id, held in before.items() if held[0] != 'three'}


def test_a_node_that_starts_beside_a_dead_one_waits_a_lease_before_it_judges(cluster, arrays):
    """It cannot know yet whether the other is dead or the database was away for both."""
    cluster.start('one').die()
    time.sleep(LEASE_SECONDS + HEARTBEAT_SECONDS)
    two = cluster.start('two')
    assert not any(two.admits(storage_id) for storage_id in arrays)
    cluster.settled('two')


# --- a node that is paused ---

def test_a_paused_node_admits_nothing_once_its_lease_is_over(cluster, arrays):
    one = cluster.start('one')
    one.link.pause()
    until(lambda: not one.admits(arrays[0]))
    with pytest.raises(exception.ServiceUnavailable, match='lease'):
        one.membership.admit(arrays[0])
    one.link.go_on()
    until(lambda: one.admits(arrays[0]))


def test_a_paused_node_stops_acting_before_anybody_acts_for_it(cluster, arrays):
    one, _ = cluster.start('one', 'two')
    owners = cluster.settled('one', 'two')
    mine = [storage_id for storage_id, name in owners.items() if name == 'one']
    one.link.pause()

    def taken():
        lost = [storage_id for storage_id, name in cluster.owners().items() if name == 'two' and storage_id in mine]
        assert not any(one.admits(storage_id) for storage_id in lost)       # asked after it was seen
        return len(lost) == len(mine)
    until(taken)


def test_a_node_whose_joining_took_longer_than_the_lease_admits_nothing_yet(cluster, arrays):
    """By the database's clock it is dead already."""
    cluster.start('one').die()
    one = cluster.make('one')
    one.link.commit_seconds = LEASE_SECONDS
    one.start()
    assert not any(one.admits(storage_id) for storage_id in arrays)
    until(lambda: all(one.admits(storage_id) for storage_id in arrays))


def test_a_paused_node_that_goes_on_learns_what_it_lost_and_can_write_nothing_of_it(cluster, arrays, database):
    one, _ = cluster.start('one', 'two')
    owners = cluster.settled('one', 'two')
    mine = {storage_id for storage_id, name in owners.items() if name == 'one'}
    claims = [take_run(database, storage_id, node='one') for storage_id in mine]
    one.link.pause()
    cluster.settled('two')
    told = len(one.told)
    one.link.go_on()
    cluster.settled('one', 'two')       # it gets them back
    assert since(one, told)[0] == mine
    for claim in claims:
        with pytest.raises(RunLost), database.write() as connection:
            runs.guard(connection, claim)


# --- the database is away ---

def test_no_node_takes_the_others_arrays_when_all_were_away_at_once(cluster, arrays):
    one, two = cluster.start('one', 'two')
    cluster.settled('one', 'two')
    time.sleep(LEASE_SECONDS)
    before = cluster.held()
    for life in (one, two):
        life.link.cut = True
    until(lambda: not any(life.admits(storage_id) for life in (one, two) for storage_id in arrays))
    one.link.cut = False
    until(lambda: any(one.admits(storage_id) for storage_id in arrays))
    assert cluster.held() == before         # two looks dead, but one does not judge yet
    two.link.cut = False
    until(lambda: any(two.admits(storage_id) for storage_id in arrays))
    time.sleep(LEASE_SECONDS)
    assert cluster.held() == before


def test_who_does_not_come_back_after_an_outage_loses_its_arrays_after_all(cluster, arrays):
    one, two = cluster.start('one', 'two')
    cluster.settled('one', 'two')
    for life in (one, two):
        life.link.cut = True
    until(lambda: not one.admits(arrays[0]) and not two.admits(arrays[0]))
    one.link.cut = False
    cluster.settled('one')


def test_an_outage_is_said_in_one_line_without_end_of_the_service(cluster, arrays, caplog):
    with caplog.at_level(logging.WARNING):
        one = cluster.start('one')
        one.link.cut = True
        until(lambda: 'could not be renewed; is the database up?' in caplog.text)
        one.link.cut = False
        until(lambda: one.admits(arrays[0]))
    assert 'Traceback' not in caplog.text


def test_a_node_that_cannot_say_good_bye_stops_all_the_same(cluster, arrays, caplog):
    one = cluster.start('one')
    one.link.cut = True
    one.stop()
    assert 'could not say good-bye' in caplog.text


def test_a_restored_database_without_the_nodes_row_is_joined_anew(cluster, arrays, database):
    one = cluster.start('one')
    with database.write() as connection:
        connection.execute(ownership.nodes.delete())
    until(lambda: cluster.owners() == dict.fromkeys(arrays, 'one'))
    until(lambda: _alive(database) == ['one'])
    until(lambda: one.admits(arrays[0]))


def _alive(database):
    with database.read() as connection:
        return ownership.alive(connection)


# --- one name twice ---

def test_two_nodes_with_one_name_say_so_and_never_both_write(cluster, arrays, database, caplog):
    """Whoever joined last is the owner; what the other had begun is void."""
    cluster.start('one')
    claim = take_run(database, arrays[0], node='one')
    with caplog.at_level(logging.ERROR):
        cluster.start('one')
        with pytest.raises(RunLost), database.write() as connection:
            runs.guard(connection, claim)
        until(lambda: 'another task service has the same name "one"' in caplog.text)
    assert 'set another host in [DEFAULT]' in caplog.text


# --- a bug ---

def test_a_bug_in_what_is_told_does_not_end_the_heartbeat(cluster, arrays, database, caplog):
    one = cluster.start('one')
    one.membership._on_change = lambda gained, lost: 1 / 0
    storage_id = add_storage(database, 'SN-new')
    with database.write() as connection:
        ownership.give(connection, {held: 'one' for held in ownership.all_held(connection) if held.node != 'one'})
    until(lambda: 'ZeroDivisionError' in caplog.text)
    time.sleep(LEASE_SECONDS + HEARTBEAT_SECONDS)
    assert one.admits(storage_id)


# --- sessions ---

@pytest.fixture
def services(cluster, database, keyring, masker):
    """`services('one')`: a whole task service, and the storages whose driver of that node is logged in."""
    started = []

    def start(name):
        sessions = set()

        class Driver(MinimalDriver):
            def __init__(self, **kwargs):
                super().__init__(**kwargs)
                sessions.add(self.storage_id)

            def get_storage(self, context):
                with database.read() as connection:
                    return {'serial_number': storages.get(connection, self.storage_id)['serial_number']}

            def delete_storage(self, context):
                sessions.discard(self.storage_id)
        cluster.conf.set_override('host', name)
        manager = TaskManager(cluster.conf, database, keyring, Drivers(Driver), masker)
        started.append(manager)
        manager.start()
        return manager, sessions
    yield start
    for manager in started:
        manager.stop(5)


def sync_all(database, *managers):
    """A sync of every array, to its end; the nodes that did it, by array."""
    with database.write() as connection:
        runs.request_all(connection)
    for manager in managers:
        manager.worker.wake()

    def newest():
        with database.read() as connection:
            return {storage_id: runs.listing(connection, storage_id, 1, 0)[0] for storage_id in
                    storages.ids(connection)}
    until(lambda: all(run['state'] == 'done' for run in newest().values()))
    return {storage_id: run['node'] for storage_id, run in newest().items()}


def test_sessions_follow_the_arrays(cluster, arrays, database, services):
    one, ours = services('one')
    assert set(sync_all(database, one).values()) == {'one'}
    assert ours == set(arrays)
    two, theirs = services('two')
    owners = cluster.settled('one', 'two')
    until(lambda: ours == {storage_id for storage_id, name in owners.items() if name == 'one'})
    assert sync_all(database, one, two) == owners
    assert theirs == set(arrays) - ours


def test_what_the_api_wants_of_an_array_of_another_node_is_to_be_tried_again(cluster, arrays, database, services):
    one, _ = services('one')
    two, _ = services('two')
    owners = cluster.settled('one', 'two')
    for manager, name in ((one, 'two'), (two, 'one')):
        storage_id = next(storage_id for storage_id, owner in owners.items() if owner == name)
        until(lambda manager=manager, storage_id=storage_id: storage_id not in manager.membership._held)
        with pytest.raises(exception.ServiceUnavailable):
            manager.door.call(storage_id, 'get_storage', lane=Lane.INTERACTIVE)
