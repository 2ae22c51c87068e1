# SPDX-License-Identifier: Apache-2.0
"""Requests for alert syncs as rows of the database, and the worker that answers them."""

from __future__ import annotations

import threading
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delfin import exception
from delfin.alerts import CLEARED, OPEN
from delfin.db import alert_feeds, alerts, storages
from delfin.db.alert_feeds import EVERYTHING, Task, Window
from delfin.task_manager import schedule
from delfin.task_manager.alerting import Alerting
from delfin.task_manager.sync.inventory import Inventory
from delfin.task_manager.worker import Worker
from tests.unit.alert_story import Story, at
from tests.unit.support import ScriptedDoor, add_storage, give, until

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Feeds:
    """The feeds of a database, asked one transaction at a time."""

    def __init__(self, database):
        self.database = database
        self.clock = None

    def __getattr__(self, name):
        def call(*args, **kwargs):
            with self.database.write() as connection:
                return getattr(alert_feeds, name)(connection, *args, **kwargs)
        return call

    def due(self, node='node-1', working=(), limit=10):
        """What a node has to do."""
        with self.database.read() as connection:
            return alert_feeds.due(connection, node, working, limit)


@pytest.fixture
def feeds(database, monkeypatch):
    made = Feeds(database)
    made.clock = NOON
    monkeypatch.setattr(alert_feeds, 'now', lambda connection: made.clock)
    return made


# --- asking ---

def test_a_new_storage_waits_for_nothing(feeds, storage_id):
    assert feeds.due() == [] and feeds.seconds_to_next('node-1', ()) is None


def test_nobody_can_ask_for_a_storage_that_is_not_there(feeds):
    assert not feeds.request('00000000-0000-4000-8000-000000000000')


def test_requests_that_wait_become_one_sync(feeds, storage_id):
    for _ in range(5):
        assert feeds.request(storage_id)
    (task,) = feeds.due()
    feeds.finish(task, alert_feeds.DONE)
    assert feeds.due() == [] and feeds.get(storage_id)['state'] == 'done'


def test_a_request_during_a_sync_leads_to_one_more(feeds, storage_id):
    feeds.request(storage_id)
    (task,) = feeds.due()
    feeds.begin(storage_id)
    feeds.request(storage_id)
    feeds.request(storage_id)
    feeds.finish(task, alert_feeds.DONE)
    (again,) = feeds.due()
    feeds.finish(again, alert_feeds.FAILED, 'no')
    assert feeds.due() == []


def test_a_sync_that_ends_late_does_not_undo_what_a_later_one_has_answered(feeds, storage_id):
    feeds.request(storage_id)
    (first,) = feeds.due()
    feeds.request(storage_id)
    (second,) = feeds.due()
    feeds.finish(second, alert_feeds.DONE)
    feeds.finish(first, alert_feeds.DONE)
    assert feeds.due() == []


_bounds = st.none() | st.integers(0, 5)
_windows = st.builds(Window, _bounds, _bounds)


def covers(one, other):
    """Whether every moment of `other` lies in `one`."""
    return (one.begin is None or (other.begin is not None and one.begin <= other.begin)) and (
        one.end is None or (other.end is not None and one.end >= other.end))


@given(st.lists(_windows, min_size=1, max_size=5))
def test_a_waiting_sync_answers_every_request(database, windows):
    feeds, storage_id = Feeds(database), add_storage(database, str(uuid.uuid4()))
    for window in windows:
        feeds.request(storage_id, window)
    (task,) = [task for task in feeds.due(limit=10_000) if task.storage_id == storage_id]
    assert all(covers(task.window, window) for window in windows)
    begins, ends = [window.begin for window in windows], [window.end for window in windows]
    assert task.window.begin in begins and task.window.end in ends      # and not more than was asked for


def test_the_window_of_an_answered_request_is_forgotten(feeds, storage_id):
    feeds.request(storage_id, Window(1, 2))
    feeds.finish(feeds.due()[0], alert_feeds.DONE)
    feeds.request(storage_id, Window(8, 9))
    assert feeds.due()[0].window == Window(8, 9)


def test_a_request_with_a_delay_waits_and_the_earliest_wins(feeds, storage_id):
    feeds.request(storage_id, delay_seconds=10)
    assert feeds.due() == [] and feeds.seconds_to_next('node-1', ()) == 10
    feeds.request(storage_id, delay_seconds=20)
    assert feeds.seconds_to_next('node-1', ()) == 10
    feeds.request(storage_id)
    assert len(feeds.due()) == 1


def test_what_is_put_off_comes_later(feeds, storage_id):
    feeds.request(storage_id)
    feeds.put_off(feeds.due()[0], 5)
    assert feeds.due() == []
    feeds.clock += timedelta(seconds=5)
    assert len(feeds.due()) == 1


# --- who does it ---

def test_only_the_owner_does_it_under_its_epoch(feeds, database, storage_id):
    feeds.request(storage_id)
    assert feeds.due('node-2') == [] and feeds.due()[0].epoch == 1
    give(database, storage_id, 'node-2')
    assert feeds.due() == [] and feeds.due('node-2')[0].epoch == 2


def test_a_deleted_storage_is_not_asked(feeds, database, storage_id):
    feeds.request(storage_id)
    with database.write() as connection:
        storages.hide(connection, storage_id)
    assert feeds.due() == [] and feeds.seconds_to_next('node-1', ()) is None


def test_who_waits_longest_comes_first_and_nobody_twice(feeds, database):
    ids = [add_storage(database, f'SN-{number}') for number in range(5)]
    for storage_id in ids:
        feeds.request(storage_id)
        feeds.clock += timedelta(seconds=1)
    assert [task.storage_id for task in feeds.due(working=ids[:2], limit=2)] == ids[2:4]
    assert feeds.seconds_to_next('node-1', ids) is None


# --- without anybody's wish ---

def test_arrays_under_maintenance_and_those_that_wait_already_are_not_planned(feeds, database):
    idle, waiting, resting, gone = [add_storage(database, f'SN-{number}') for number in range(4)]
    feeds.request(waiting)
    with database.write() as connection:
        storages.set_labels(connection, resting, {'maintenance': True})
        storages.hide(connection, gone)
    assert feeds.plans('node-1') == [(idle, None)]
    feeds.begin(idle)
    assert feeds.plans('node-1') == [(idle, NOON)] and feeds.plans('node-2') == []


def test_a_request_under_maintenance_is_answered(feeds, database, storage_id):
    with database.write() as connection:
        storages.set_labels(connection, storage_id, {'maintenance': True})
    feeds.request(storage_id)
    assert len(feeds.due()) == 1


def test_scheduled_syncs_are_spread_over_the_interval():
    """Neither all arrays at once, nor an array's alerts together with its inventory."""
    names = [f'alerts/{number}' for number in range(200)]
    starts = {schedule.slot_start(name, 900, NOON) for name in names}
    per_minute = [sum(NOON - start < timedelta(minutes=m + 1) and NOON - start >= timedelta(minutes=m)
                      for start in starts) for m in range(15)]
    assert len(starts) == 200 and max(per_minute) < 40
    assert schedule.slot_start('alerts/1', 900, NOON) != schedule.slot_start('1', 900, NOON)


# --- the worker ---

class Site:
    """A worker of node-1 and a door whose arrays list what `rows` says; `open` holds calls up."""

    def __init__(self, conf, database, keyring, masker):
        self.conf, self.database = conf, database
        self.door = Listing()
        self.masker, self.keyring = masker, keyring
        self.workers = []
        conf.set_override('interval_seconds', 0, 'sync')
        conf.set_override('poll_interval_seconds', 1, 'sync')
        conf.set_override('sync_interval_seconds', 0, 'alerts')

    def worker(self):
        made = Worker(self.conf, self.database, self.door, Inventory(self.database, self.door, self.masker),
                      Alerting(self.database, self.door, self.keyring, self.masker))
        self.workers.append(made)
        return made

    def start(self):
        made = self.worker()
        made.start()
        return made

    def ask(self, storage_id, window=EVERYTHING):
        with self.database.write() as connection:
            alert_feeds.request(connection, storage_id, window)
        for worker in self.workers:
            worker.wake()

    def feed(self, storage_id):
        with self.database.read() as connection:
            return alert_feeds.get(connection, storage_id)

    def answered(self, storage_id):
        until(lambda: self.feed(storage_id)['state'] and self.feed(storage_id)['done'] == self.feed(
            storage_id)['wanted'])


class Listing(ScriptedDoor):
    """Lists alerts, notes of whom, and stops."""

    def __init__(self):
        super().__init__({'get_alert_sources': []})
        self.rows = [{'alert_name': 'disk failed', 'match_key': 'disk-3', 'occur_time': 1_700_000_000_000}]
        self.asked = []
        self.open = threading.Event()
        self.open.set()
        self.stopping = False

    def call(self, storage_id, method, *args, lane, **kwargs):
        if method != 'list_alerts':
            return super().call(storage_id, method, *args, lane=lane, **kwargs)
        self.asked.append(storage_id)
        self.open.wait()
        if self.stopping:
            raise exception.ServiceUnavailable('the service is stopping')
        return list(self.rows)

    def refuse(self):
        self.stopping = True

    def stop(self, logout_seconds=0.0):
        self.refuse()
        self.open.set()

    def forget(self, storage_id):
        pass


@pytest.fixture
def site(conf, database, keyring, masker):
    made = Site(conf, database, keyring, masker)
    yield made
    made.door.open.set()
    for worker in made.workers:
        worker.stop(10)


def test_a_requested_sync_is_made(site):
    story = Story(site.database)
    site.start()
    site.ask(story.storage_id)
    site.answered(story.storage_id)
    assert story.states() == [OPEN] and story.told() == ['raised']


def test_many_requests_during_a_sync_lead_to_one_more(site, storage_id):
    site.door.open.clear()
    site.start()
    site.ask(storage_id)
    until(lambda: site.door.asked)
    for _ in range(5):
        site.ask(storage_id)
    site.door.open.set()
    site.answered(storage_id)
    assert site.door.asked == [storage_id] * 2


def test_every_array_is_asked_once_in_its_interval_but_those_under_maintenance(site):
    site.conf.set_override('sync_interval_seconds', 30 * 86400, 'alerts')
    ids = [add_storage(site.database, f'SN-{number}') for number in range(4)]
    with site.database.write() as connection:
        storages.set_labels(connection, ids[3], {'maintenance': True})
    worker = site.start()
    for storage_id in ids[:3]:
        site.answered(storage_id)
    worker._plan()
    worker._take_alert_syncs()
    assert sorted(site.door.asked) == sorted(ids[:3])
    site.ask(ids[3])
    site.answered(ids[3])


def test_an_array_that_does_not_answer_keeps_no_other_waiting(site):
    slow, quick = add_storage(site.database, 'SN-1'), add_storage(site.database, 'SN-2')
    site.door.open.clear()
    site.start()
    site.ask(slow)
    until(lambda: site.door.asked)
    site.ask(quick)
    until(lambda: quick in site.door.asked)


def test_a_worker_with_all_hands_busy_waits_for_one_of_them(site):
    """It used to look twenty times a second whether there is work, while there was and nobody to do it."""
    site.conf.set_override('workers', 1, 'sync')
    ids = [add_storage(site.database, f'SN-{number}') for number in range(2)]
    site.door.open.clear()
    worker = site.worker()
    for storage_id in ids:
        site.ask(storage_id)
    worker._take_alert_syncs()
    until(lambda: site.door.asked)
    assert worker._pause(plan_at=float('inf')) > 1
    site.door.open.set()
    until(lambda: not worker._alert_syncs)
    assert worker._pause(plan_at=float('inf')) < 1


def test_a_sync_that_is_stopped_is_made_by_whoever_comes_next(site):
    story = Story(site.database)
    site.door.open.clear()
    worker = site.start()
    site.ask(story.storage_id)
    until(lambda: site.door.asked)
    worker.stop(10)
    feed = site.feed(story.storage_id)
    assert (feed['wanted'], feed['done'], feed['state']) == (1, 0, None) and story.rows() == []


def test_a_removed_storage_takes_its_alerts_with_it(site):
    story, other = Story(site.database), Story(site.database, 'SN-2')
    for each in (story, other):
        each.say(0)
    story.do(storages.hide, story.storage_id)
    site.start()
    until(lambda: story.rows() == [])
    assert other.states() == [OPEN]


def test_a_storage_that_is_removed_during_its_sync_gets_no_alerts(site):
    story = Story(site.database)
    site.door.open.clear()
    site.start()
    site.ask(story.storage_id)
    until(lambda: site.door.asked)
    story.do(storages.hide, story.storage_id)
    site.door.open.set()
    until(lambda: site.feed(story.storage_id) is None)
    assert story.rows() == []


def test_an_array_that_moved_during_its_sync_is_asked_by_its_new_owner(site):
    story = Story(site.database)
    site.door.open.clear()
    worker = site.start()
    site.ask(story.storage_id)
    until(lambda: site.door.asked)
    give(site.database, story.storage_id, 'node-2')
    site.door.open.set()
    until(lambda: not worker._alert_syncs)
    with site.database.read() as connection:
        (task,) = alert_feeds.due(connection, 'node-2', (), 9)
    assert isinstance(task, Task) and story.rows() == [] and site.feed(story.storage_id)['state'] is None


def test_what_a_list_does_not_show_any_more_is_cleared_by_the_next_sync(site):
    story = Story(site.database)
    site.start()
    site.ask(story.storage_id)
    site.answered(story.storage_id)
    site.door.rows = [{'alert_name': 'another', 'match_key': 'another'}]
    site.ask(story.storage_id)
    site.answered(story.storage_id)
    assert {row['alert_name']: row['state'] for row in story.rows()} == {'disk failed': CLEARED, 'another': OPEN}
    story.do(alerts.delete_old, (CLEARED,), at(10**9), 10)
    assert [row['alert_name'] for row in story.rows()] == ['another']
