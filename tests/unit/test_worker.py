# SPDX-License-Identifier: Apache-2.0
"""Finding work in the database and doing it."""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, date, datetime

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from delfin import exception
from delfin.db import runs, storages
from delfin.db.sqlalchemy.models import capacity_history
from delfin.keyring import Keyring
from delfin.kinds import KINDS
from delfin.task_manager import worker as worker_module
from delfin.task_manager.alerting import Alerting
from delfin.task_manager.sync.inventory import Inventory
from delfin.task_manager.worker import Worker
from tests.unit.support import ScriptedDoor, add_rows, add_storage, give, take_run, until


class Door(ScriptedDoor):
    """Answers each array alike, knows its serial number, can hold calls up, and stops."""

    def __init__(self):
        super().__init__()
        self.serial_numbers = {}
        self.asked = []             # storage ids, once for each get_storage
        self.forgotten = []
        self.open = threading.Event()
        self.open.set()
        self.stopping = False
        self.busy = set()
        self.busiest = 0
        self._lock = threading.Lock()

    def call(self, storage_id, method, *args, lane, **kwargs):
        if method != 'get_storage':
            return super().call(storage_id, method, *args, lane=lane, **kwargs)
        with self._lock:
            self.asked.append(storage_id)
            self.busy.add(storage_id)
            self.busiest = max(self.busiest, len(self.busy))
        self.open.wait()
        with self._lock:
            self.busy.discard(storage_id)
        if self.stopping:
            raise exception.ServiceUnavailable('the service is stopping')
        super().call(storage_id, method, *args, lane=lane, **kwargs)
        return {'serial_number': self.serial_numbers[storage_id]}

    def refuse(self):
        self.stopping = True
        self.open.set()

    def stop(self, logout_seconds=0.0):
        self.refuse()

    def forget(self, storage_id):
        self.forgotten.append(storage_id)


class Site:
    """A database with storages, a door and a worker of node-1."""

    def __init__(self, conf, database, masker):
        self.conf, self.database, self.masker = conf, database, masker
        self.door = Door()
        self.workers = []
        conf.set_override('interval_seconds', 0, 'sync')
        conf.set_override('sync_interval_seconds', 0, 'alerts')
        conf.set_override('poll_interval_seconds', 1, 'sync')
        conf.set_override('confirm_delay_seconds', 1, 'sync')

    def storage(self, number=1):
        storage_id = add_storage(self.database, f'SN-{number}')
        self.door.serial_numbers[storage_id] = f'SN-{number}'
        return storage_id

    def start(self):
        worker = Worker(self.conf, self.database, self.door, Inventory(self.database, self.door, self.masker),
                        Alerting(self.database, self.door, Keyring(self.conf.secrets.key_file), self.masker))
        self.workers.append(worker)
        worker.start()
        return worker

    def ask(self, storage_id, *kinds, trigger='api'):
        with self.database.write() as connection:
            runs.request(connection, storage_id, kinds, trigger)
        for worker in self.workers:
            worker.wake()

    def runs(self, storage_id):
        """(trigger, state) of the runs, oldest first."""
        with self.database.read() as connection:
            found = runs.listing(connection, storage_id, 100, 0)
        return [(run['trigger'], run['state']) for run in reversed(found)]

    def ended(self, storage_id, count=1):
        """Wait until so many runs have ended."""
        until(lambda: [state for _, state in self.runs(storage_id)].count('done') >= count)

    def set(self, storage_id, **values):
        with self.database.write() as connection:
            storages.set_labels(connection, storage_id, values)


@pytest.fixture
def site(conf, database, masker):
    made = Site(conf, database, masker)
    yield made
    for worker in made.workers:
        worker.stop(10)


# --- runs ---

def test_a_waiting_run_is_done(site):
    storage_id = site.storage()
    site.start()
    site.ask(storage_id)
    site.ended(storage_id)
    assert site.runs(storage_id) == [('api', 'done')]


def test_a_run_is_found_without_a_doorbell(site):
    storage_id = site.storage()
    worker = site.start()
    site.workers.clear()        # nobody rings
    try:
        site.ask(storage_id)
        site.ended(storage_id)
    finally:
        worker.stop(10)


def test_the_runs_of_other_nodes_are_left_to_them(site):
    mine, theirs = site.storage(1), site.storage(2)
    give(site.database, theirs, 'node-2')
    site.ask(theirs)
    site.start()
    site.ask(mine)
    site.ended(mine)
    assert (site.runs(theirs), site.door.asked) == ([('api', 'pending')], [mine])


def test_no_more_arrays_than_workers_are_synced_at_once_and_all_in_the_end(site):
    site.conf.set_override('workers', 3, 'sync')
    ids = [site.storage(number) for number in range(8)]
    site.door.open.clear()
    site.start()
    for storage_id in ids:
        site.ask(storage_id)
    until(lambda: len(site.door.busy) == 3)
    site.door.open.set()
    for storage_id in ids:
        site.ended(storage_id)
    assert site.door.busiest == 3


def test_what_an_earlier_life_had_begun_is_finished_first_as_what_it_was(site):
    storage_id = site.storage()
    taken = take_run(site.database, storage_id, ('volumes',))
    with site.database.write() as connection:
        runs.set_kind(connection, taken.run_id, 'storage', {'state': 'done'})
        runs.set_kind(connection, taken.run_id, 'volumes', {'state': 'running'})
    site.start()
    site.ended(storage_id)
    assert (site.runs(storage_id), site.door.calls) == ([('test', 'done')], ['list_volumes'])


def test_what_another_owner_had_begun_is_taken_over(site):
    storage_id = site.storage()
    take_run(site.database, storage_id, ('volumes',), node='node-2')
    give(site.database, storage_id, 'node-1')
    site.start()
    site.ended(storage_id)
    assert site.runs(storage_id) == [('takeover', 'done')]


def test_an_array_that_goes_away_during_its_sync_is_left_to_the_next_owner(site, caplog):
    storage_id = site.storage()
    site.door.open.clear()
    site.start()
    with caplog.at_level(logging.INFO):
        site.ask(storage_id)
        until(lambda: site.door.busy)
        give(site.database, storage_id, 'node-2')
        site.door.open.set()
        until(lambda: 'belongs to another node now' in caplog.text)
    with site.database.write() as connection:
        assert [claim.storage_id for claim in runs.claim(connection, 'node-2', 9)] == [storage_id]


def test_an_array_that_comes_back_during_its_sync_is_synced_anew(site):
    """What this very node had begun under the old epoch is void: it begins once more."""
    storage_id = site.storage()
    site.door.open.clear()
    site.start()
    site.ask(storage_id, 'volumes')
    until(lambda: site.door.busy)
    give(site.database, storage_id, 'node-2')
    give(site.database, storage_id, 'node-1')
    site.door.open.set()
    site.ended(storage_id)
    assert (len(site.runs(storage_id)), site.door.asked) == (1, [storage_id, storage_id])


def test_stopping_puts_a_run_back_that_is_under_way(site):
    storage_id = site.storage()
    site.door.open.clear()
    worker = site.start()
    site.ask(storage_id)
    until(lambda: site.door.busy)
    worker.stop(10)
    assert site.runs(storage_id) == [('api', 'pending')]


def test_stopping_takes_no_new_work(site):
    storage_id = site.storage()
    worker = site.start()
    worker.stop(10)
    site.ask(storage_id)
    assert site.runs(storage_id) == [('api', 'pending')]


def test_missing_rows_are_looked_for_a_second_time_by_itself(site):
    storage_id = site.storage()
    add_rows(site.database, storage_id, 'volumes', [{'native_volume_id': 'a'}])
    site.door.answers['list_volumes'] = []
    site.start()
    site.ask(storage_id, 'volumes')
    site.ended(storage_id, 2)
    assert site.runs(storage_id) == [('api', 'done'), ('confirm', 'done')]


# --- what must not stop it ---

def test_a_bug_in_a_sync_puts_it_back_for_later_and_harms_no_other(site, monkeypatch, caplog):
    first, second = site.storage(1), site.storage(2)
    real = Inventory.run

    def buggy(self, taken):
        if taken.storage_id == first:
            raise ZeroDivisionError
        return real(self, taken)
    monkeypatch.setattr(Inventory, 'run', buggy)
    site.start()
    site.ask(first)
    until(lambda: 'stopped; it is taken up again in 60 s' in caplog.text)
    site.ask(second)
    site.ended(second)
    assert site.runs(first) == [('api', 'pending')]


def fails_once(monkeypatch, owner, name, error):
    """The next call of a function raises; tells whether it has."""
    real, failed = getattr(owner, name), []

    def function(*args, **kwargs):
        if not failed:
            failed.append(True)
            raise error
        return real(*args, **kwargs)
    monkeypatch.setattr(owner, name, function)
    return failed


@pytest.mark.parametrize('name', ['plans', 'claim', 'put_back_forgotten', 'seconds_to_next'])
def test_a_database_that_is_away_while_looking_is_asked_again(site, monkeypatch, caplog, name):
    monkeypatch.setattr(worker_module, '_RETRY_SECONDS', 0.05)
    failed = fails_once(monkeypatch, runs, name, OperationalError('SELECT 1', {}, Exception('gone')))
    storage_id = site.storage()
    site.start()
    site.ask(storage_id)
    site.ended(storage_id)
    assert failed and 'is the database up?' in caplog.text


def test_a_bug_while_looking_does_not_end_the_looking(site, monkeypatch):
    """Or the service would live on and never sync again."""
    monkeypatch.setattr(worker_module, '_RETRY_SECONDS', 0.05)
    failed = fails_once(monkeypatch, runs, 'plans', TypeError('a bug'))
    storage_id = site.storage()
    site.start()
    until(lambda: failed)
    site.ask(storage_id)
    site.ended(storage_id)


def test_an_array_that_may_not_be_called_at_the_moment_is_not_asked_all_the_time(site):
    """E.g. until this node has renewed its lease after an outage of the database: that takes a heartbeat."""
    storage_id = site.storage()
    site.door.answers['get_storage'] = exception.ServiceUnavailable('the lease could not be renewed')
    site.start()
    site.ask(storage_id)
    time.sleep(2)
    assert len(site.door.asked) <= 10


# --- without being asked ---

def test_an_array_is_synced_by_itself_again_and_again(site):
    site.conf.set_override('interval_seconds', 1, 'sync')
    storage_id = site.storage()
    site.start()
    site.ended(storage_id, 3)
    assert set(site.runs(storage_id)) <= {('schedule', 'done'), ('schedule', 'pending'), ('schedule', 'running')}


def test_with_an_interval_of_zero_nothing_is_synced_by_itself(site):
    quiet, asked = site.storage(1), site.storage(2)
    site.start()
    site.ask(asked)
    site.ended(asked)
    assert site.runs(quiet) == []


@pytest.mark.parametrize(('installation', 'own', 'synced'), [(3600, 0, False), (0, 3600, True), (3600, None, True)])
def test_the_interval_of_a_storage_goes_before_that_of_the_installation(site, installation, own, synced):
    site.conf.set_override('interval_seconds', installation, 'sync')
    storage_id, asked = site.storage(1), site.storage(2)
    site.set(storage_id, sync_interval_seconds=own)
    site.start()
    site.ask(asked)
    site.ended(asked)
    if synced:
        site.ended(storage_id)
    assert bool(site.runs(storage_id)) is synced


def test_an_array_under_maintenance_is_left_alone_until_somebody_asks(site):
    site.conf.set_override('interval_seconds', 3600, 'sync')
    resting, other = site.storage(1), site.storage(2)
    site.set(resting, maintenance=True)
    site.start()
    site.ended(other)
    assert (site.runs(resting), resting in site.door.asked) == ([], False)
    site.ask(resting)
    site.ended(resting)
    assert site.runs(resting) == [('api', 'done')]


def test_what_was_missed_in_maintenance_is_made_up_for_once(site):
    site.conf.set_override('interval_seconds', 3600, 'sync')
    storage_id, other = site.storage(1), site.storage(2)
    site.set(storage_id, maintenance=True)
    site.start()
    site.ended(other)
    site.set(storage_id, maintenance=False)
    site.ended(storage_id)
    assert site.runs(storage_id) == [('schedule', 'done')]


def test_an_array_of_another_node_is_not_scheduled_here(site):
    site.conf.set_override('interval_seconds', 3600, 'sync')
    mine, theirs = site.storage(1), site.storage(2)
    give(site.database, theirs, 'node-2')
    site.start()
    site.ended(mine)
    assert site.runs(theirs) == []


# --- removal ---

def test_a_deleted_storage_is_left_and_purged_with_everything(site, caplog):
    storage_id = site.storage()
    add_rows(site.database, storage_id, 'volumes', [{'native_volume_id': str(number)} for number in range(4500)])
    with site.database.write() as connection:
        storages.hide(connection, storage_id)
    with caplog.at_level(logging.INFO):
        site.start()
        until(lambda: f'storage {storage_id} is removed' in caplog.text)
    assert site.door.forgotten == [storage_id]
    with site.database.read() as connection:
        for table in ('storages', 'volumes', 'ownership', 'access_info'):
            assert connection.exec_driver_sql(f'SELECT count(*) FROM {table}').scalar_one() == 0


def test_capacities_that_are_too_old_are_deleted(site):
    storage_id = site.storage()
    with site.database.write() as connection:
        connection.execute(sa.insert(capacity_history), [
            {'storage_id': storage_id, 'kind': 'storages', 'native_id': '', 'day': day} for day in (
                date(2020, 1, 1), date(2020, 1, 2), datetime.now(UTC).date())])
    site.start()

    def days():
        with site.database.read() as connection:
            return connection.execute(sa.select(sa.func.count()).select_from(capacity_history)).scalar_one()
    until(lambda: days() == 1)


def test_a_deleted_storage_of_another_node_is_left_to_it(site):
    theirs, mine = site.storage(1), site.storage(2)
    give(site.database, theirs, 'node-2')
    with site.database.write() as connection:
        storages.hide(connection, theirs)
    site.start()
    site.ask(mine)
    site.ended(mine)
    assert site.door.forgotten == []


def test_deletion_during_a_sync_leaves_nothing_behind(site, caplog):
    storage_id = site.storage()
    site.door.answers['list_volumes'] = [{'native_volume_id': 'a'}]
    site.door.open.clear()
    site.start()
    site.ask(storage_id)
    until(lambda: site.door.busy)
    with site.database.write() as connection:
        storages.hide(connection, storage_id)
    with caplog.at_level(logging.INFO):
        site.door.open.set()
        until(lambda: f'storage {storage_id} is removed' in caplog.text)
        until(lambda: 'was deleted' in caplog.text)
    with site.database.read() as connection:
        for table in ('storages', 'sync_runs', 'sync_freshness', 'sync_failures', *KINDS.names()):
            assert connection.exec_driver_sql(f'SELECT count(*) FROM {table}').scalar_one() == 0
