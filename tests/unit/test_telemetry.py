# SPDX-License-Identifier: Apache-2.0
"""When arrays are asked for their metrics, and that nothing stops the others."""

from __future__ import annotations

import dataclasses
import threading

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from delfin import exception
from delfin.db import metrics
from delfin.db.metrics import Plan
from delfin.db.sqlalchemy.models import storages
from delfin.task_manager.telemetry.collector import Lost, Outcome, Settings
from delfin.task_manager.telemetry.scheduler import Telemetry, due_at, newer
from tests.unit.support import PATIENCE_SECONDS, add_storage, give, until

NOW = 1_800_000_000.0
SETTINGS = Settings(True, 300, 60)
PLAN = Plan('storage-1', 1, None, None, None, NOW - 200, None)


def due(now=NOW, settings=SETTINGS, **values):
    return due_at(dataclasses.replace(PLAN, **values), settings, now)


# --- due or not ---

def test_a_new_array_is_asked_within_seconds():
    assert NOW < due(collected_at=None) <= NOW + 10


def test_the_first_moment_of_a_new_array_does_not_run_away():
    moment = due(collected_at=None)
    assert due(collected_at=None, now=moment - 0.001) == moment


def test_then_once_in_each_slot_of_its_own():
    first = due()
    assert NOW - 200 < first <= NOW + 100
    assert due(collected_at=first) == pytest.approx(first + 300)
    assert due(collected_at=first + 299) == pytest.approx(first + 300)
    assert due(storage_id='storage-2') % 300 != first % 300


@pytest.mark.parametrize(('own', 'advised', 'interval'), [(None, None, 300), (None, 60, 60), (30, 60, 30)])
def test_the_interval_of_a_storage_counts_before_its_drivers_and_the_common_one(own, advised, interval):
    first = due(interval_seconds=own, advised_seconds=advised)
    assert due(interval_seconds=own, advised_seconds=advised, collected_at=first) == pytest.approx(first + interval)


@pytest.mark.parametrize(('installation', 'own', 'wanted'), [
    (True, None, True), (True, False, False), (False, None, False), (False, True, True)])
def test_metrics_can_be_switched_on_and_off(installation, own, wanted):
    assert (due(settings=Settings(installation, 300), enabled=own) is not None) == wanted


def test_what_failed_is_tried_at_its_own_time():
    assert due(collected_at=NOW, retry_at=NOW + 7) == NOW + 7
    assert due(collected_at=NOW, retry_at=NOW + 3600) <= NOW + 300
    assert due(collected_at=NOW, retry_at=NOW - 3600) == NOW + 5


def test_a_clock_that_was_set_back_stops_nothing():
    assert due(collected_at=NOW + 86_400) <= NOW + 300


# --- the threads ---

def test_what_was_read_before_a_collection_ended_does_not_begin_it_again():
    before = dataclasses.replace(PLAN, collected_at=NOW - 60, retry_at=NOW)
    after = dataclasses.replace(PLAN, collected_at=NOW)
    assert newer(before, after) == after
    assert newer(after, before) == after
    assert newer(before, None) == before


class Work:
    """In place of the collector: does what `answers` says for a storage, notes the calls."""

    def __init__(self):
        self.calls = []
        self.answers = {}
        self.gate = threading.Event()
        self.gate.set()

    def collect(self, plan, node):
        self.calls.append(plan.storage_id)
        self.gate.wait(PATIENCE_SECONDS)
        answer = self.answers.get(plan.storage_id, Outcome())
        if isinstance(answer, Exception):
            raise answer
        return answer


class Seen:
    """In place of the service's own metrics."""

    def __init__(self):
        self.collections = []

    def collection(self, *values):
        self.collections.append(values)


@pytest.fixture
def work():
    return Work()


@pytest.fixture
def house(database, work):
    """A telemetry that begins when it is entered; `forgotten` is what it has forgotten."""
    made = []

    def make(workers=4, interval=5, holds=lambda storage_id: True):
        telemetry = Telemetry(database, 'node-1', work, Settings(True, interval, 0), workers=workers, poll_seconds=0.05,
                              holds=holds, forget=forgotten.append, observer=seen)
        telemetry.start()
        made.append(telemetry)
        return telemetry
    forgotten, seen = [], Seen()
    make.forgotten, make.seen = forgotten, seen
    yield make
    work.gate.set()
    for telemetry in made:
        telemetry.stop(PATIENCE_SECONDS)


def ours(database, number, node='node-1'):
    storage_id = add_storage(database, f'SN-{number}')
    give(database, storage_id, node)
    return storage_id


def test_all_arrays_of_this_node_are_collected_and_no_others(database, work, house):
    mine = {ours(database, number) for number in range(5)}
    ours(database, 9, 'node-2')
    house()
    until(lambda: set(work.calls) >= mine)
    assert set(work.calls) == mine


def test_an_array_is_never_collected_twice_at_a_time(database, work, house):
    storage_id = ours(database, 1)
    work.gate.clear()
    telemetry = house()
    until(lambda: work.calls)
    for _ in range(3):
        telemetry.wake()
    other = ours(database, 2)
    until(lambda: other in work.calls)
    assert work.calls.count(storage_id) == 1


def test_arrays_that_hang_take_no_more_than_the_threads_there_are(database, work, house):
    work.gate.clear()
    for number in range(4):
        ours(database, number)
    house(workers=2)
    until(lambda: len(work.calls) == 2)
    work.gate.set()
    until(lambda: len(set(work.calls)) == 4)


@pytest.mark.parametrize('error', [
    Lost(), exception.ServiceUnavailable('stopping'), OperationalError('x', None, Exception('away')),
    ValueError('bug')],
    ids=lambda error: type(error).__name__)
def test_one_array_that_goes_wrong_does_not_stop_the_others(database, work, house, error):
    bad, good = ours(database, 1), ours(database, 2)
    work.answers[bad] = error
    house(workers=1)
    until(lambda: {bad, good} <= set(work.calls))


def test_what_is_not_up_to_date_goes_on_at_once(database, work, house):
    storage_id = ours(database, 1)
    work.answers[storage_id] = Outcome(more=True)
    house(interval=3600)
    until(lambda: len(work.calls) >= 3)


def test_an_array_that_went_while_it_was_collected_is_forgotten(database, work, house):
    storage_id = ours(database, 1)
    house(holds=lambda storage_id: False)
    until(lambda: storage_id in house.forgotten)


@pytest.mark.parametrize('values', [{'live': None}, {'maintenance': True}], ids=['removed', 'under maintenance'])
def test_an_array_that_is_not_to_be_polled_is_forgotten(database, work, house, values):
    storage_id = ours(database, 1)
    house()
    until(lambda: work.calls)
    with database.write() as connection:
        connection.execute(sa.update(storages).where(storages.c.id == storage_id), values)
    until(lambda: storage_id in house.forgotten)


def test_a_setting_counts_when_the_bell_rings(database, work, house):
    storage_id = ours(database, 1)
    with database.write() as connection:
        metrics.set_settings(connection, storage_id, {'enabled': False})
    telemetry = house()
    other = ours(database, 2)
    telemetry.wake()
    until(lambda: other in work.calls)
    assert storage_id not in work.calls
    with database.write() as connection:
        metrics.set_settings(connection, storage_id, {'enabled': True})
    telemetry.wake()
    until(lambda: storage_id in work.calls)


def test_it_is_told_how_each_collection_went(database, work, house):
    storage_id = ours(database, 1)
    work.answers[storage_id] = Outcome('done', None, 17, {'not_finite': 2})
    house()
    until(lambda: house.seen.collections)
    seen_id, state, seconds, late, points, rejected = house.seen.collections[0]
    assert (seen_id, state, points, rejected) == (storage_id, 'done', 17, {'not_finite': 2})
    assert 0 <= seconds < PATIENCE_SECONDS and 0 <= late < PATIENCE_SECONDS
