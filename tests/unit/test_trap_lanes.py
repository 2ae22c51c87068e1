# SPDX-License-Identifier: Apache-2.0
"""From the spool to the database: exactly once, in order, whatever dies, hangs or is away."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter

import pytest
import sqlalchemy as sa

from delfin import exception, failpoints
from delfin.alert_manager.spool import LANES, Received, Spool, lane_of
from delfin.db import Database, alert_feeds, alerts, traps
from delfin.db.sqlalchemy import models
from delfin.drivers.manager import DriverManager
from tests.unit.support import ROOT, Drivers, add_storage, make_driver, until
from tests.unit.trap_support import ADDRESS, fault, known, make_lanes

_clock = itertools.count(int(time.time() * 1000))


def received(pdu, storage_id, source=ADDRESS):
    return Received(next(_clock), source, 'SNMPv2c', (storage_id,), pdu, None)


def fault_or_recovery(number, storage_id, recovered=False, source=ADDRESS):
    return received(fault(number, recovered=recovered), storage_id, source)


@pytest.fixture
def spool(tmp_path):
    opened = Spool(str(tmp_path / 'traps.sqlite'))
    yield opened
    opened.close()


@pytest.fixture
def started(database, storage_id, spool):
    """Starts lanes over the spool; they end with the test."""
    with contextlib.ExitStack() as stack:
        def start(drivers=None, **options):
            given = options.pop('spool', spool)
            lanes = make_lanes(given, options.pop('database', database), drivers or DriverManager(),
                               options.pop('storages', [known(storage_id)]), **options)
            stack.callback(lanes.stop, 5)
            lanes.start()
            return lanes
        yield start


def empty(spool):
    return not any(spool.depth().rows)


def rows(database, storage_id=None):
    """The alerts as they are listed, the oldest first."""
    with database.read() as connection:
        found = connection.execute(alerts.LISTING.order_by(models.alerts.c.first_seen_at)).mappings().all()
    return [row for row in found if storage_id in (None, row['storage_id'])]


def failed(database):
    with database.read() as connection:
        return traps.failed(connection, 1000)


# --- what lies in the spool becomes alerts ---

def test_what_an_earlier_life_has_left_becomes_alerts(database, storage_id, spool, started):
    spool.append([fault_or_recovery(number, storage_id) for number in range(3)])
    started()
    until(lambda: empty(spool))
    assert [(row['sequence_number'], row['count'], row['state']) for row in rows(database)] == [
        ('0', 1, 'open'), ('1', 1, 'open'), ('2', 1, 'open')]


def test_a_lane_that_is_woken_looks_at_once(database, storage_id, spool, started):
    lanes = started()
    spool.append([fault_or_recovery(1, storage_id)])
    lanes.wake({lane_of(ADDRESS)})
    until(lambda: empty(spool))
    assert len(rows(database)) == 1


def test_more_than_a_batch_is_done_without_a_wait(database, storage_id, spool, started):
    spool.append([fault_or_recovery(number % 7, storage_id) for number in range(1300)])
    lanes = started()
    until(lambda: empty(spool))
    assert (len(rows(database)), sum(row['count'] for row in rows(database)), lanes.stored) == (7, 1300, 1300)


def test_exporters_are_told_of_news(storage_id, spool, started):
    told = threading.Event()
    spool.append([fault_or_recovery(1, storage_id)])
    started(on_change=told.set)
    assert told.wait(5)


def test_a_trap_of_a_storage_that_is_gone_leaves_the_spool(database, spool, started):
    spool.append([fault_or_recovery(1, '00000000-0000-4000-8000-000000000000')])
    started()
    until(lambda: empty(spool))
    assert (rows(database), failed(database)) == ([], [])


def test_incomplete_traps_ask_for_one_alert_sync(database, storage_id, spool, started):
    rung = threading.Event()

    def parse_alert(context, alert):
        raise exception.IncompleteTrapInformation(storage_id)
    spool.append([fault_or_recovery(number, storage_id) for number in range(50)])
    started(Drivers(make_driver(parse_alert=staticmethod(parse_alert))), ring=rung.set)
    until(lambda: empty(spool))
    with database.read() as connection:
        feed = alert_feeds.get(connection, storage_id)
    assert (rung.is_set(), feed['wanted'] - feed['done'], failed(database)) == (True, 1, [])


def test_a_trap_that_is_malformed_inside_is_counted_and_leaves_the_spool(database, storage_id, spool, started):
    refused = []
    spool.append([received(b'\xa7\x01', storage_id), fault_or_recovery(1, storage_id)])
    started(refuse=refused.append)
    until(lambda: empty(spool))
    assert (refused, len(rows(database)), failed(database)) == ([ADDRESS], 1, [])


# --- dying ---

_LANES = '''
import sys
from delfin.alert_manager.spool import Spool
from delfin.db import Database
from delfin.drivers.manager import DriverManager
from tests.unit.support import until
from tests.unit.trap_support import known, make_lanes
spool = Spool(sys.argv[1])
make_lanes(spool, Database(sys.argv[2]), DriverManager(), [known(sys.argv[3])]).start()
until(lambda: not any(spool.depth().rows))
'''


@pytest.mark.parametrize('moment', ['traps.before', 'traps.after'])
def test_a_death_around_the_commit_neither_loses_nor_doubles(database, storage_id, tmp_path, moment):
    path = str(tmp_path / 'traps.sqlite')
    spool = Spool(path)
    spool.append([fault_or_recovery(number % 5, storage_id) for number in range(20)])
    spool.close()

    def life(**environment):
        return subprocess.run([sys.executable, '-c', _LANES, path, str(database.engine.url), storage_id], cwd=ROOT,
                              env={**os.environ, **environment}, timeout=60).returncode
    assert life(DELFIN_FAILPOINTS=f'{moment}=kill') == -9
    spool = Spool(path)
    assert sum(spool.depth().rows) == 20, 'it died before they had left the spool'
    spool.close()
    assert (len(rows(database)), life()) == (5 if moment == 'traps.after' else 0, 0)
    assert [row['count'] for row in rows(database)] == [4] * 5


def test_an_error_of_ours_is_tried_again(database, storage_id, spool, started, monkeypatch):
    monkeypatch.setattr('delfin.alert_manager.lanes._RETRY_SECONDS', (0.01,))
    monkeypatch.setattr(failpoints, '_armed', {'traps.before': ('raise', 1)})
    monkeypatch.setattr(failpoints, '_counts', {'traps.before': itertools.count(1)})
    spool.append([fault_or_recovery(1, storage_id)])
    started()
    until(lambda: empty(spool))
    assert [row['count'] for row in rows(database)] == [1]


# --- a database that is away, or refuses ---

def test_while_the_database_is_away_traps_wait(database, storage_id, spool, started, caplog):
    with database.write() as connection:
        connection.execute(sa.text('ALTER TABLE trap_marks RENAME TO away'))
    spool.append([fault_or_recovery(1, storage_id)])
    with caplog.at_level(logging.WARNING):
        started()
        until(lambda: 'traps wait in the spool' in caplog.text)
    assert (sum(spool.depth().rows), rows(database)) == (1, [])
    with database.write() as connection:
        connection.execute(sa.text('ALTER TABLE away RENAME TO trap_marks'))
    until(lambda: empty(spool))
    assert [row['count'] for row in rows(database)] == [1]


def test_a_database_that_somebody_else_locks_for_long_loses_and_fails_nothing(database, storage_id, spool, started):
    impatient = Database(str(database.engine.url), sqlite_busy_timeout_seconds=0)
    spool.append([fault_or_recovery(number, storage_id) for number in range(3)])
    with database.write():
        started(database=impatient)
        spool.append([fault_or_recovery(3, storage_id)])
    until(lambda: empty(spool))
    assert ([row['count'] for row in rows(database)], failed(database)) == ([1] * 4, [])
    impatient.close()


def test_what_the_database_refuses_fails_alone(database, storage_id, spool, started):
    with database.write() as connection:
        connection.execute(sa.text("CREATE TRIGGER no BEFORE INSERT ON alerts WHEN NEW.sequence_number = '2' "
                                   "BEGIN SELECT RAISE(ABORT, 'too strange'); END"))
    spool.append([fault_or_recovery(number, storage_id) for number in range(5)])
    started()
    until(lambda: empty(spool))
    assert [row['sequence_number'] for row in rows(database)] == ['0', '1', '3', '4']
    trap, = failed(database)
    assert 'too strange' in trap['error'] and 'disk 2' in trap['variables'].values()


def test_a_value_that_not_even_the_engine_takes_fails_alone(database, storage_id, spool, started, monkeypatch):
    """SQLite's own layer raises what is no error of SQLAlchemy."""
    def apply(connection, reports, live, really=alerts.apply):
        if any(report.values['sequence_number'] == '2' for report in reports):
            raise OverflowError('Python int too large to convert to SQLite INTEGER')
        return really(connection, reports, live)
    monkeypatch.setattr(alerts, 'apply', apply)
    spool.append([fault_or_recovery(number, storage_id) for number in range(5)])
    started()
    until(lambda: empty(spool))
    assert (len(rows(database)), len(failed(database))) == (4, 1)


def test_of_failed_traps_the_newest_are_kept(database, storage_id, spool, started):
    spool.append([received(fault(number, v7='soon'), storage_id) for number in range(10)])
    started(keep_failed=3)
    until(lambda: empty(spool))
    assert ['disk 9' in row['variables'].values() for row in failed(database)] == [True, False, False]


# --- drivers ---

def test_a_driver_that_fails_leaves_a_trap_to_be_read_and_goes_on(database, storage_id, spool, started):
    spool.append([fault_or_recovery(1, storage_id), received(fault(2, v99='raise'), storage_id),
                  fault_or_recovery(3, storage_id)])
    started()
    until(lambda: empty(spool))
    trap, = failed(database)
    assert [row['sequence_number'] for row in rows(database)] == ['1', '3']
    assert (trap['source'], trap['storage_ids'], trap['version'], trap['node'], 'KeyError' in trap['error']) == (
        ADDRESS, [storage_id], 'SNMPv2c', 'node-1', True)


class Hanging:
    """Drivers whose parse_alert hangs with trap number 1 until told."""

    def __init__(self):
        self.release, self.inside = threading.Event(), threading.Event()
        self.driver_class = make_driver(parse_alert=staticmethod(self._parse))
        self._really = DriverManager().get_class('fake_storage', 'fake_driver').parse_alert

    def get_class(self, vendor, model):
        return self.driver_class

    def _parse(self, context, alert):
        row = self._really(context, alert)
        if row['sequence_number'] == '1':
            self.inside.set()
            self.release.wait(30)
        return row


@pytest.fixture
def hanging():
    drivers = Hanging()
    yield drivers
    drivers.release.set()


def test_a_driver_that_hangs_costs_one_trap(database, storage_id, spool, started, hanging, monkeypatch):
    monkeypatch.setattr('delfin.alert_manager.lanes._WATCH_SECONDS', 0.05)
    spool.append([fault_or_recovery(number, storage_id) for number in range(4)])
    started(hanging, parse_timeout_seconds=0.2)
    until(lambda: empty(spool))
    trap, = failed(database)
    assert [row['sequence_number'] for row in rows(database)] == ['0', '2', '3']
    assert 'did not return in time' in trap['error']


def test_what_a_hung_driver_says_at_last_is_not_heard_any_more(database, storage_id, spool, started, hanging,
                                                               monkeypatch):
    monkeypatch.setattr('delfin.alert_manager.lanes._WATCH_SECONDS', 0.05)
    spool.append([fault_or_recovery(1, storage_id)])
    lanes = started(hanging, parse_timeout_seconds=0.2)
    until(lambda: empty(spool))
    hanging.release.set()
    spool.append([fault_or_recovery(5, storage_id)])
    lanes.wake_all()
    until(lambda: empty(spool))
    assert [row['sequence_number'] for row in rows(database)] == ['5']


def test_a_driver_that_hangs_with_every_trap_does_not_block_its_lane_for_ever(database, storage_id, spool, started,
                                                                              hanging, monkeypatch):
    monkeypatch.setattr('delfin.alert_manager.lanes._WATCH_SECONDS', 0.02)
    other = add_storage(database, 'SN-2')
    spool.append([*(fault_or_recovery(1, storage_id) for _ in range(100)), fault_or_recovery(2, other)])
    lanes = started(hanging, storages=[known(storage_id), known(other, 'SN-2')], parse_timeout_seconds=0.1)
    until(lambda: empty(spool))
    assert [row['storage_id'] for row in rows(database)] == [other]
    told = Counter(row['error'] for row in failed(database))
    assert sorted(told.values()) == [3, 97], told
    hanging.release.set()
    until(lambda: not any(lanes.hanging.values()))
    spool.append([fault_or_recovery(1, storage_id)])
    lanes.wake_all()
    until(lambda: empty(spool))
    assert {row['storage_id'] for row in rows(database)} == {storage_id, other}, 'it has come back'


def test_meanwhile_other_senders_go_on(database, storage_id, spool, started, hanging):
    other = next(address for address in (f'192.0.2.{last}' for last in range(2, 99))
                 if lane_of(address) != lane_of(ADDRESS))
    spool.append([fault_or_recovery(1, storage_id), fault_or_recovery(2, storage_id, source=other)])
    started(hanging, parse_timeout_seconds=60)
    assert hanging.inside.wait(5)
    until(lambda: [row['sequence_number'] for row in rows(database)] == ['2'])
    hanging.release.set()


def test_a_slow_driver_does_not_hide_what_it_has_read(database, storage_id, spool, started, monkeypatch):
    monkeypatch.setattr('delfin.alert_manager.lanes._BATCH_SECONDS', 0.0)
    gate = threading.Semaphore(2)
    really = DriverManager().get_class('fake_storage', 'fake_driver').parse_alert

    def parse_alert(context, alert):
        gate.acquire()
        return really(context, alert)
    spool.append([fault_or_recovery(number, storage_id) for number in range(4)])
    started(Drivers(make_driver(parse_alert=staticmethod(parse_alert))), parse_timeout_seconds=60)
    until(lambda: len(rows(database)) == 2)
    gate.release(2)
    until(lambda: empty(spool))
    assert len(rows(database)) == 4


# --- order ---

def test_faults_and_recoveries_of_each_sender_keep_their_order_with_two_services(database, storage_id, spool, started,
                                                                               tmp_path):
    """1000 faults and their ends from 50 senders, each datagram at one service or the other."""
    rng = random.Random(5)
    second = Spool(str(tmp_path / 'second.sqlite'))
    waiting = {f'192.0.2.{sender}': [number for number in range(sender, 1000, 50)] for sender in range(50)}
    batches = {spool: [], second: []}
    while waiting:
        source = rng.choice(sorted(waiting))
        number = waiting[source].pop()
        for recovered in (False, True):
            batches[rng.choice((spool, second))].append(fault_or_recovery(number, storage_id, recovered, source))
        if not waiting[source]:
            del waiting[source]
    running = [started(spool=each) for each in batches]
    for at in range(0, max(map(len, batches.values())), 100):
        for each, lanes in zip(batches, running, strict=True):
            each.append(batches[each][at:at + 100])
            lanes.wake(range(LANES))
    until(lambda: all(map(empty, batches)))
    found = rows(database)
    assert {row['state'] for row in found} == {'cleared'}
    assert sorted(int(row['sequence_number']) for row in found) == list(range(1000))
    for lanes in running:
        lanes.stop(5)
    second.close()


def test_one_alert_that_storms_from_many_senders_is_one_row(database, storage_id, spool, started):
    twin = add_storage(database, 'SN-2')
    spool.append([fault_or_recovery(1, (storage_id, twin)[number % 2], source=f'192.0.2.{number % 100}')
                  for number in range(2000)])
    started(storages=[known(storage_id), known(twin, 'SN-2')])
    until(lambda: empty(spool))
    assert [row['count'] for row in rows(database)] == [1000, 1000]
