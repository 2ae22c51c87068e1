# SPDX-License-Identifier: Apache-2.0
"""The runner: threads, nodes, receivers that are away, exporters that never return."""

from __future__ import annotations

import dataclasses
import time

import pytest

from delfin.db import exports
from delfin.exporter.runner import Runner
from tests.unit.exporter_support import FAST, Array, Web, declare, row_of
from tests.unit.support import in_thread, until

KEY = 'f3b8c1d2e4a5968778695a4b3c2d1e0f'

THIRD_PARTY = '''
import threading

calls = []
threads = set()
gate = threading.Event()
gate.set()
errors = []

class Ticket:
    def dispatch(self, ctxt, data):
        calls.append([(alert['event'], alert['sequence_number']) for alert in data])
        threads.add(threading.current_thread())
        gate.wait(20)
        if errors:
            raise errors.pop()
'''


class Site:
    """One database, a webhook's receiver, and runners of several nodes."""

    def __init__(self, conf, database, web, tmp_path):
        self.conf, self.database, self.web = conf, database, web
        self.array = Array(database)
        self.runners = []
        key = tmp_path / 'webhook.key'
        key.write_text(KEY)
        key.chmod(0o600)
        conf.set_override('secret_file', str(key), 'webhook')
        conf.set_override('url', web.http, 'webhook')

    def start(self, *names, node='node-1', pace=FAST):
        self.conf.set_override('exporters', list(names), 'alerts')
        self.conf.set_override('host', node)
        runner = Runner(self.conf, self.database, pace=pace)
        self.runners.append(runner)
        runner.start()
        until(lambda: set(names) <= self.claimed().keys())
        return runner

    def claimed(self):
        with self.database.read() as connection:
            return {row['name']: row['node'] for row in exports.listing(connection) if row['node']}

    def stop(self):
        for runner in self.runners:
            runner.stop(5)

    def received(self):
        """(event, sequence number) that the receiver has got."""
        return [(event['event'], event['alert']['sequence_number'])
                for post in self.web.posts for event in post['events']]


@pytest.fixture
def web():
    with Web() as server:
        yield server


@pytest.fixture
def site(conf, database, web, tmp_path):
    made = Site(conf, database, web, tmp_path)
    yield made
    web.gate.set()
    made.stop()


@pytest.fixture
def third_party(monkeypatch, tmp_path):
    """The module of a third party's package with the exporter `ticket`."""
    declare(monkeypatch, tmp_path, THIRD_PARTY, ticket='third_party:Ticket')
    import third_party
    yield third_party
    third_party.gate.set()


def test_an_alert_is_delivered_as_soon_as_somebody_says_so(site):
    runner = site.start('webhook', pace=dataclasses.replace(FAST, poll_seconds=3600))
    site.array.fault(1)
    runner.wake()
    until(lambda: site.received() == [('raised', '1')])


def test_an_alert_of_another_process_is_found_without(site):
    site.start('webhook')
    site.array.fault(1)
    until(lambda: site.received() == [('raised', '1')])


def test_a_feed_and_events_run_side_by_side(site):
    with Web() as alertmanager:
        site.conf.set_override('urls', [alertmanager.http], 'alertmanager')
        runner = site.start('webhook', 'alertmanager')
        site.array.fault(1)
        runner.wake()
        until(lambda: site.received() and alertmanager.posts)
    assert row_of(site.database, 'alertmanager')['waiting'] == 0


def test_a_feed_is_told_again_without_anything_new(site):
    with Web() as alertmanager:
        site.conf.set_override('urls', [alertmanager.http], 'alertmanager')
        site.array.fault(1)
        site.start('alertmanager')
        until(lambda: len(alertmanager.posts) >= 3)


def test_a_storm_does_not_make_a_storm_of_posts(site):
    """A feed rests a second after a post (here: an hour), whoever wakes it."""
    with Web() as alertmanager:
        site.conf.set_override('urls', [alertmanager.http], 'alertmanager')
        site.array.fault(1)
        runner = site.start('alertmanager', pace=dataclasses.replace(FAST, feed_seconds=3600, feed_rest_seconds=3600))
        until(lambda: alertmanager.posts)
        for _ in range(50):
            runner.wake()
            time.sleep(0.01)
        assert len(alertmanager.posts) == 1


# --- receivers that are away ---

def test_a_dead_receiver_loses_nothing_and_delays_nobody(site, third_party):
    site.web.status = 503
    runner = site.start('webhook', 'ticket')
    for number in range(5):
        site.array.fault(number)
        runner.wake()
        until(lambda number=number: ('raised', str(number)) in sum(third_party.calls, []))
    site.web.status = 200
    until(lambda: row_of(site.database, 'webhook')['waiting'] == 0)
    assert site.received()[-5:] == [('raised', str(number)) for number in range(5)]
    assert row_of(site.database, 'webhook')['dropped'] == 0


def test_beyond_the_bound_the_oldest_go_and_are_counted(site, caplog):
    site.conf.set_override('export_queue_max', 100, 'alerts')
    site.web.status = 503
    site.start('webhook', pace=dataclasses.replace(FAST, longest_pause_seconds=3600, first_pause_seconds=1))
    site.array.says(*({'category': 'Fault', 'sequence_number': str(number)} for number in range(130)))
    until(lambda: row_of(site.database, 'webhook')['dropped'] == 30)
    with site.database.read() as connection:
        left = [queued.event['alert']['sequence_number'] for queued in exports.waiting(connection, 'webhook', 1000)]
    assert left == [str(number) for number in range(30, 130)]
    assert 'the 30 oldest events are dropped' in caplog.text


def test_the_queue_of_an_exporter_that_nobody_runs_keeps_to_the_bound_too(site):
    site.conf.set_override('export_queue_max', 100, 'alerts')
    with site.database.write() as connection:
        exports.claim(connection, 'of-yesterday', 'node-9', 0, events=True)
    site.start('log')
    site.array.says(*({'category': 'Fault', 'sequence_number': str(number)} for number in range(130)))
    until(lambda: row_of(site.database, 'of-yesterday')['waiting'] == 100)


# --- exporters that misbehave ---

@pytest.mark.parametrize('error', [ConnectionError('away'), SystemExit(1)])
def test_an_exporter_that_raises_is_called_again(site, third_party, error):
    third_party.errors.append(error)
    site.start('ticket')
    site.array.fault(1)
    until(lambda: row_of(site.database, 'ticket')['delivered'] == 1)
    assert third_party.calls == [[('raised', '1')]] * 2
    assert row_of(site.database, 'ticket')['failures'] == 1


def test_a_call_that_never_returns_is_given_up(site, third_party):
    third_party.gate.clear()
    site.start('ticket', pace=dataclasses.replace(FAST, deadline_seconds=0.3))
    site.array.fault(1)
    until(lambda: len(third_party.calls) == 2)
    assert 'did not return within 0.3 s' in row_of(site.database, 'ticket')['error']
    third_party.gate.set()
    until(lambda: row_of(site.database, 'ticket')['waiting'] == 0)
    assert len(third_party.threads) >= 2


def test_the_threads_of_such_an_exporter_are_bounded_and_it_comes_back(site, third_party, caplog):
    third_party.gate.clear()
    site.start('ticket', pace=dataclasses.replace(FAST, deadline_seconds=0.1))
    site.array.fault(1)
    until(lambda: 'is left alone until one of 3 calls returns' in caplog.text)
    time.sleep(10 * FAST.renew_seconds)     # there would be more by now
    assert len(third_party.calls) == 3
    third_party.gate.set()
    until(lambda: row_of(site.database, 'ticket')['delivered'] == 1)


def test_a_call_that_comes_back_too_late_takes_nothing_out_of_the_queue(site, third_party):
    third_party.gate.clear()
    site.start('ticket', pace=dataclasses.replace(FAST, deadline_seconds=0.1, first_pause_seconds=3600,
                                                  longest_pause_seconds=3600))
    site.array.fault(1)
    until(lambda: row_of(site.database, 'ticket')['failures'] == 1)
    third_party.gate.set()
    until(lambda: not any(thread.is_alive() for thread in third_party.threads))
    assert row_of(site.database, 'ticket')['waiting'] == 1


def test_an_exporter_that_hangs_does_not_hold_up_the_others(site, third_party):
    third_party.gate.clear()
    site.start('ticket', 'webhook')
    site.array.fault(1)
    until(lambda: third_party.calls and site.received() == [('raised', '1')])


# --- several nodes ---

def test_one_of_two_nodes_delivers(site):
    first = site.start('webhook', node='node-1')
    second = site.start('webhook', node='node-2')
    for number in range(20):
        site.array.fault(number)
        first.wake()
        second.wake()
    until(lambda: row_of(site.database, 'webhook')['waiting'] == 0)
    assert site.received() == [('raised', str(number)) for number in range(20)]
    assert site.claimed() == {'webhook': 'node-1'}


def test_a_node_that_died_keeps_its_exporters_for_the_lease_and_no_longer(site):
    with site.database.write() as connection:
        exports.claim(connection, 'webhook', 'node-dead', 1.5, events=True)
    site.array.fault(1)
    site.start('webhook', node='node-2')
    assert site.claimed() == {'webhook': 'node-dead'}
    assert site.received() == []
    until(lambda: site.received() == [('raised', '1')])
    assert site.claimed() == {'webhook': 'node-2'}


def test_who_stops_leaves_its_exporters_at_once(site):
    pace = dataclasses.replace(FAST, lease_seconds=3600)
    first = site.start('webhook', node='node-1', pace=pace)
    site.start('webhook', node='node-2', pace=pace)
    first.stop(5)
    until(lambda: site.claimed() == {'webhook': 'node-2'})


def test_a_delivery_under_way_is_not_overtaken_by_another_node_at_a_stop(site):
    pace = dataclasses.replace(FAST, lease_seconds=3600)
    site.web.gate.clear()
    first = site.start('webhook', node='node-1', pace=pace)
    site.array.fault(1)
    until(lambda: site.web.requests)
    stopped = in_thread(first.stop, 0.3)
    stopped.result(10)
    assert site.claimed() == {'webhook': 'node-1'}


def test_a_node_that_cannot_renew_its_claim_delivers_nothing_more(site, monkeypatch):
    """Another node may have taken over in the meantime."""
    runner = site.start('webhook')
    lane = runner._lanes[0]
    monkeypatch.setattr(lane, 'renew', lambda: None)
    until(lambda: not lane._is_held())
    site.array.fault(1)
    runner.wake()
    time.sleep(2 * FAST.poll_seconds)
    assert site.received() == []


def test_stopping_is_quick_whatever_it_waits_for(site):
    site.web.status = 503
    runner = site.start('webhook', pace=dataclasses.replace(FAST, first_pause_seconds=3600, longest_pause_seconds=3600,
                                                            poll_seconds=3600, renew_seconds=1))
    site.array.fault(1)
    until(lambda: row_of(site.database, 'webhook')['failures'])
    begun = time.monotonic()
    runner.stop(10)
    assert time.monotonic() - begun < 5


def test_stopping_what_never_started_is_harmless(site):
    site.conf.set_override('exporters', ['log'], 'alerts')
    Runner(site.conf, site.database).stop(1)
