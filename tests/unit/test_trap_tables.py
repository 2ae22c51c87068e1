# SPDX-License-Identifier: Apache-2.0
"""Tables around traps: who may send them, how far spools are drained, what was refused or not understood, exporters."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from delfin import exception
from delfin.db import alert_feeds, alert_sources, exports, storages, traps
from delfin.db.traps import Count, Failed
from tests.unit.support import add_rows, add_storage

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SPOOL, OTHER_SPOOL = '11111111-1111-4111-8111-111111111111', '22222222-2222-4222-8222-222222222222'
V2C = {'host': '10.0.0.1', 'version': 'snmpv2c', 'community_string': 'sealed'}
EVENT = exports.Event('raised', NOON, {'storage_id': 'x', 'first_seen_at': NOON})


class Table:
    """A module of `delfin.db`, each function in a transaction of its own, at a time that the test sets."""

    def __init__(self, database, module):
        self._database, self._module = database, module
        self.clock = NOON

    def __getattr__(self, name):
        def call(*args, **kwargs):
            with self._database.write() as connection:
                return getattr(self._module, name)(connection, *args, **kwargs)
        return call


@pytest.fixture
def table(database, monkeypatch):
    """`table(traps)`: that module."""
    def make(module):
        made = Table(database, module)
        monkeypatch.setattr(module, 'now', lambda connection: made.clock)
        return made
    return make


# --- marks of spools ---

def test_each_lane_of_each_spool_has_its_mark(table):
    marks = table(traps)
    assert marks.mark(SPOOL, 0) == 0
    for value in (5, 9):
        marks.set_marks({(SPOOL, 0): value})
    marks.set_marks({(SPOOL, 1): 3})
    assert [marks.mark(SPOOL, lane) for lane in range(3)] == [9, 3, 0] and marks.mark(OTHER_SPOOL, 0) == 0


def test_the_mark_goes_back_with_what_it_was_written_with(table, database):
    marks = table(traps)
    marks.set_marks({(SPOOL, 0): 5})
    with pytest.raises(RuntimeError), database.write() as connection:
        traps.set_marks(connection, {(SPOOL, 0): 9})
        raise RuntimeError
    assert marks.mark(SPOOL, 0) == 5


def test_marks_of_spools_that_are_no_more_are_forgotten(table):
    marks = table(traps)
    marks.set_marks({(SPOOL, 0): 5})
    marks.clock += timedelta(days=1)
    marks.set_marks({(OTHER_SPOOL, 0): 7})
    marks.forget_marks(3600)
    assert (marks.mark(SPOOL, 0), marks.mark(OTHER_SPOOL, 0)) == (0, 7)


# --- traps that could not be understood ---

def failure(number):
    return Failed(NOON, '10.0.0.1', ('a', 'b'), 'v2c', {'1.3.6': str(number)}, 'parse_alert raised')


def test_a_failed_trap_can_be_read_with_all_it_said(table):
    table(traps).add_failed([failure(1)], 'node-1', 10)
    (row,) = table(traps).failed(10)
    assert row.items() >= {'source': '10.0.0.1', 'storage_ids': ['a', 'b'], 'variables': {'1.3.6': '1'},
                           'error': 'parse_alert raised', 'node': 'node-1', 'received_at': NOON}.items()


def test_the_newest_failed_traps_are_kept(table):
    failed = table(traps)
    for number in range(0, 10, 2):
        failed.add_failed([failure(number), failure(number + 1)], 'node-1', 3)
    assert [row['variables']['1.3.6'] for row in failed.failed(10)] == ['9', '8', '7']
    assert [row['variables']['1.3.6'] for row in failed.failed(1, 1)] == ['8']


def test_failed_traps_are_gone_through_in_their_order_and_each_is_taken_once(table):
    failed = table(traps)
    failed.add_failed([failure(number) for number in range(5)], 'node-1', 10)
    first = failed.failed_after(0, 2)
    rest = failed.failed_after(first[-1]['id'], 10)
    assert [row['variables']['1.3.6'] for row in [*first, *rest]] == ['0', '1', '2', '3', '4']
    failed.set_error(first[0]['id'], 'still')
    assert failed.failed_after(0, 1)[0]['error'] == 'still'
    assert [failed.take_failed(first[0]['id']) for _ in range(2)] == [True, False]
    with pytest.raises(exception.NotFound):
        failed.delete_failed(first[0]['id'])


def test_no_failed_traps_are_no_work(table):
    table(traps).add_failed([], 'node-1', 0)
    assert table(traps).failed(10) == []


# --- traps that were refused ---

def count(address, number=1, reason='unknown_sender', minute=0):
    moment = NOON + timedelta(minutes=minute)
    return Count(address, reason, number, moment, moment)


def test_refused_traps_are_counted_by_sender_and_reason(table):
    refused = table(traps)
    refused.add_rejected([count('10.0.0.1', 2), count('10.0.0.1', 3, 'bad_community')])
    refused.add_rejected([count('10.0.0.1', 5, minute=7)])
    rows = {(row['address'], row['reason']): row for row in refused.rejected()}
    assert {key: row['count'] for key, row in rows.items()} == {
        ('10.0.0.1', 'unknown_sender'): 7, ('10.0.0.1', 'bad_community'): 3}
    row = rows['10.0.0.1', 'unknown_sender']
    assert (row['first_at'], row['last_at']) == (NOON, NOON + timedelta(minutes=7))


def test_the_same_sender_twice_in_one_portion_is_one_row(table):
    refused = table(traps)
    refused.add_rejected([count('10.0.0.1', 2), count('10.0.0.1', 3)])
    assert [row['count'] for row in refused.rejected()] == [5]


def test_a_flood_from_forged_addresses_does_not_grow_the_table(table):
    refused = table(traps)
    for portion in range(4):
        refused.add_rejected([count(f'10.0.{portion}.{number}') for number in range(256)] + [
            count(f'10.1.{portion}.{number}') for number in range(256)])
    rows = refused.rejected()
    assert len(rows) <= 1001 and sum(row['count'] for row in rows) == 4 * 512
    assert next(row['count'] for row in rows if row['address'] == '') == 4 * 512 - 1000
    refused.add_rejected([count('10.0.0.0', minute=1)])
    assert refused.rejected()[0]['address'] == '10.0.0.0', 'who is known goes on being counted by name'


def test_refused_traps_are_forgotten_by_age_or_all(table):
    refused = table(traps)
    refused.add_rejected([count('old'), count('new', minute=9)])
    refused.forget_rejected(NOON + timedelta(minutes=5))
    assert [row['address'] for row in refused.rejected()] == ['new']
    refused.forget_rejected()
    assert refused.rejected() == []


# --- who may send ---

def test_a_configuration_is_replaced_and_asked_anew(table, storage_id):
    sources = table(alert_sources)
    sources.put(storage_id, V2C)
    sources.note_probe(storage_id, alert_sources.FAILED, 'no answer')
    sources.put(storage_id, {**V2C, 'host': '10.0.0.2'})
    row = sources.get(storage_id)
    assert row.items() >= {'host': '10.0.0.2', 'community_string': 'sealed', 'probe_state': None, 'probe_error': None,
                           'probe_due_at': NOON}.items()


def test_a_configuration_that_is_deleted_is_gone(table, storage_id):
    sources = table(alert_sources)
    sources.put(storage_id, V2C)
    sources.delete(storage_id)
    for call in (sources.get, sources.delete, sources.forget_engine_id):
        with pytest.raises(exception.AlertSourceNotFound):
            call(storage_id)
    assert sources.listing() == []


def test_the_configuration_of_a_deleted_storage_counts_no_more(table, database, storage_id):
    sources = table(alert_sources)
    sources.put(storage_id, V2C)
    with database.write() as connection:
        storages.hide(connection, storage_id)
    assert sources.listing() == [] and sources.take_probe(60) is None
    with pytest.raises(exception.AlertSourceNotFound):
        sources.get(storage_id)


def test_the_first_engine_id_is_pinned_until_it_is_forgotten(table, storage_id):
    sources = table(alert_sources)
    sources.put(storage_id, V2C)
    assert [sources.learn_engine_id(storage_id, word) for word in ('80aa', '80bb')] == ['80aa', '80aa']
    assert sources.get(storage_id)['engine_id_learned'] is True
    sources.forget_engine_id(storage_id)
    assert sources.get(storage_id)['engine_id_learned'] is False
    assert sources.learn_engine_id(storage_id, '80bb') == '80bb'


def test_a_configured_engine_id_is_not_learned_over(table, storage_id):
    sources = table(alert_sources)
    sources.put(storage_id, {**V2C, 'engine_id': '80cc'})
    assert sources.learn_engine_id(storage_id, '80aa') == '80cc'
    assert sources.get(storage_id)['engine_id_learned'] is False


def test_an_engine_id_of_a_source_that_is_gone_is_none(table, storage_id):
    assert table(alert_sources).learn_engine_id(storage_id, '80aa') is None


def test_each_agent_is_asked_by_one_node_and_again_after_the_interval(table, database):
    sources = table(alert_sources)
    ids = {add_storage(database, f'SN-{number}') for number in range(2)}
    for storage_id in ids:
        sources.put(storage_id, V2C)
    assert {sources.take_probe(60)['storage_id'] for _ in range(2)} == ids
    assert sources.take_probe(60) is None
    sources.clock += timedelta(seconds=60)
    assert sources.take_probe(60) is not None


def test_a_probe_tells_what_the_one_before_said(table, storage_id):
    sources = table(alert_sources)
    sources.put(storage_id, V2C)
    assert [sources.note_probe(storage_id, state, None) for state in ('failed', 'ok', 'ok')] == [None, 'failed', 'ok']


def test_receivers_learn_of_all_addresses_of_an_array(table, database, storage_id):
    sources = table(alert_sources)
    other = add_storage(database, 'SN-2')       # has controllers, but nobody may send for it
    sources.put(storage_id, V2C)
    for each in (storage_id, other):
        add_rows(database, each, 'controllers', [
            {'native_controller_id': '1', 'name': 'left', 'mgmt_ip': '10.0.0.11'},
            {'native_controller_id': '2', 'name': None, 'mgmt_ip': '10.0.0.12'},
            {'native_controller_id': '3', 'name': 'dark', 'mgmt_ip': None}])
        with database.write() as connection:
            alert_feeds.set_senders(connection, each, ['10.0.0.21', 'array.example.com'])
    found = sources.configuration()
    assert [source['host'] for source in found.sources] == ['10.0.0.1']
    assert {key: sorted(hosts) for key, hosts in found.hosts.items()} == {
        storage_id: ['10.0.0.11', '10.0.0.12', '10.0.0.21', 'array.example.com']}
    assert found.controllers == {(storage_id, '10.0.0.11'): 'left'}
    assert found.storages == {storage_id: (storage_id, 'array', 'SN-1', 'fake_storage', 'fake_driver')}


# --- queues of exporters ---

@pytest.fixture
def queues(table):
    made = table(exports)
    for name in ('one', 'two'):
        made.claim(name, 'node-1', 30, events=True)
    made.claim('feed', 'node-1', 30, events=False)
    return made


def test_an_event_is_queued_once_for_each_exporter_that_takes_events(queues):
    queues.put([EVENT, EVENT])
    assert queues.depth() == {'one': 2, 'two': 2}
    assert queues.waiting('one', 1)[0].event == {
        'what': 'raised', 'at': '2026-01-01T12:00:00Z',
        'alert': {'storage_id': 'x', 'first_seen_at': '2026-01-01T12:00:00Z'}}


def test_events_wait_in_their_order_until_they_are_delivered(queues):
    queues.put([exports.Event(what, NOON, {}) for what in ('raised', 'changed', 'cleared')])
    first, *_ = queues.waiting('one', 2)
    queues.delivered('one', [first.id])
    assert [entry.event['what'] for entry in queues.waiting('one', 9)] == ['changed', 'cleared']
    assert queues.depth()['two'] == 3, 'an exporter took what was for another'


def test_the_oldest_events_beyond_the_bound_go_and_are_counted(queues):
    queues.put([exports.Event(str(number), NOON, {}) for number in range(5)])
    assert [queues.cut('one', 3) for _ in range(2)] == [2, 0]
    assert [entry.event['what'] for entry in queues.waiting('one', 9)] == ['2', '3', '4']
    (row,) = [row for row in queues.listing() if row['name'] == 'one']
    assert (row['dropped'], row['waiting']) == (2, 3) and queues.depth()['two'] == 5


def test_how_an_exporter_fares_is_shown(queues):
    queues.put([EVENT])
    queues.failed('one', 'connection refused')
    assert next(row for row in queues.listing() if row['name'] == 'one').items() >= {
        'error': 'connection refused', 'failures': 1, 'failed_at': NOON, 'waiting': 1}.items()
    queues.delivered('one', [queues.waiting('one', 1)[0].id])
    assert next(row for row in queues.listing() if row['name'] == 'one').items() >= {
        'error': None, 'delivered': 1, 'succeeded_at': NOON, 'waiting': 0}.items()


def test_one_node_runs_an_exporter_until_its_lease_is_over_or_it_leaves(queues):
    assert not queues.claim('one', 'node-2', 30, events=True)
    assert queues.claim('one', 'node-1', 30, events=True)
    queues.release(['one'], 'node-2')       # not its own
    assert not queues.claim('one', 'node-2', 30, events=True)
    queues.release(['one'], 'node-1')
    assert queues.claim('one', 'node-2', 30, events=True)
    queues.clock += timedelta(seconds=31)
    assert queues.claim('one', 'node-1', 30, events=True)


def test_an_exporter_that_nobody_runs_any_more_is_forgotten_with_its_queue(queues):
    queues.put([EVENT])
    assert queues.retire(['two', 'feed'], 60) == []
    queues.clock += timedelta(seconds=91)
    assert queues.retire(['two', 'feed'], 60) == ['one']
    assert queues.depth() == {'two': 1} and [row['name'] for row in queues.listing()] == ['feed', 'two']
