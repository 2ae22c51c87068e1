# SPDX-License-Identifier: Apache-2.0
"""Events on their way from the queue to an exporter: order, repetition, refusal, loss."""

from __future__ import annotations

from datetime import datetime

import pytest

from delfin.db import alerts
from delfin.db.alerts import acknowledge
from delfin.exporter import cargo, work
from delfin.exporter.base_exporter import DeliveryFailed, EventRefused
from delfin.exporter.work import Events, Pace
from tests.unit.exporter_support import Array, Calls, register, row_of

NAME = 'ticket'
PACE = Pace()


class Clock:
    """Stands still until a test moves it."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def array(database):
    register(database, NAME)
    return Array(database)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def mine():
    """Whether the exporter is (still) this node's."""
    return [True]


@pytest.fixture
def events(database, clock, mine):
    return Events(database, NAME, lambda connection: mine[0], cargo.Alerts(), PACE, clock)


@pytest.fixture
def calls():
    return Calls()


def numbers(data):
    return [int(alert['sequence_number']) for alert in data]


def refuse(*wanted, final):
    """A receiver that cannot take these alerts."""
    return lambda data: EventRefused('no', final=final) if set(wanted) & set(numbers(data)) else None


def test_what_happened_comes_once_and_in_order(array, events, calls, database):
    for number in (1, 2, 3):
        array.fault(number)
    array.recovery(2)
    events.round(calls)
    events.round(calls)
    assert [[(alert['event'], alert['sequence_number']) for alert in data] for data in calls.data] == [
        [('raised', '1'), ('raised', '2'), ('raised', '3'), ('cleared', '2')]]
    assert (row_of(database, NAME)['delivered'], row_of(database, NAME)['waiting']) == (4, 0)


def test_an_exporter_gets_the_alert_and_its_storage(array, events, calls):
    array.fault(7, occur_time=1_700_000_000_000, match_key='m')
    events.round(calls)
    expected = {
        'alert_id': '0x17', 'alert_name': 'Disk failed', 'severity': 'Major', 'category': 'Fault',
        'type': 'EquipmentAlarm', 'sequence_number': '7', 'occur_time': 1_700_000_000_000, 'match_key': 'm',
        'description': 'Disk 3 does not answer.', 'resource_type': 'Disk', 'location': 'slot 7',
        'recovery_advice': None, 'clear_category': None, 'storage_id': array.storage_id, 'storage_name': 'array',
        'vendor': 'Example', 'model': 'X1', 'serial_number': 'SN-1', 'state': 'open', 'count': 1, 'event': 'raised'}
    assert {name: calls.data[0][0][name] for name in expected} == expected


def test_the_end_of_an_alert_is_a_recovery(array, events, calls):
    array.fault(1, occur_time=1_700_000_000_000)
    array.recovery(1)
    events.round(calls)
    end = calls.data[0][1]
    assert (end['category'], end['state'], end['cleared_by']) == ('Recovery', 'cleared', 'recovery')
    assert end['occur_time'] == round(datetime.fromisoformat(end['cleared_at']).timestamp() * 1000)


def test_who_does_not_ask_for_acknowledgements_gets_none(array, events, calls, database):
    array.fault(1)
    with database.write() as connection:
        acknowledge(connection, array.alert_id(1), 'on it')
    events.round(calls)
    assert [alert['event'] for alert in calls.data[0]] == ['raised']
    assert (row_of(database, NAME)['waiting'], row_of(database, NAME)['delivered']) == (0, 1)


def test_more_than_a_batch_comes_in_several_without_a_pause(array, events, calls):
    array.says(*({'category': 'Fault', 'sequence_number': str(number)}
                 for number in range(250)))
    rests = [events.round(calls) for _ in range(3)]
    assert [len(data) for data in calls.data] == [100, 100, 50]
    assert [number for data in calls.data for number in numbers(data)] == list(range(250))
    assert [rest.most for rest in rests] == [0, 0, PACE.poll_seconds]


# --- a receiver that is away ---

def test_what_could_not_be_delivered_comes_again_the_same(array, events, calls, database):
    array.fault(1)
    calls.fail = lambda data: DeliveryFailed('the line is cut')
    events.round(calls)
    shown = row_of(database, NAME)
    assert (shown['failures'], shown['error'], shown['waiting']) == (1, 'the line is cut', 1)
    array.fault(2)
    calls.fail = lambda data: None
    events.round(calls)
    events.round(calls)
    assert [numbers(data) for data in calls.data] == [[1], [1], [2]]
    assert calls.data[0] == calls.data[1]
    assert row_of(database, NAME)['error'] is None


def test_pauses_double_up_to_a_minute_and_begin_anew(array, events, calls):
    array.fault(1)
    calls.fail = lambda data: ConnectionError('away')
    pauses = [events.round(calls).least for _ in range(10)]
    for pause, expected in zip(pauses, (1, 2, 4, 8, 16, 32, 60, 60, 60, 60), strict=True):
        assert 0.8 * expected <= pause <= 1.2 * expected
    calls.fail = lambda data: None
    events.round(calls)
    array.fault(2)
    calls.fail = lambda data: ConnectionError('away')
    assert events.round(calls).least <= 1.2


def test_a_receiver_that_is_away_for_hours_loses_nothing(array, events, calls, clock, database):
    array.fault(1)
    calls.fail = lambda data: DeliveryFailed('answered 503')
    for _ in range(500):
        clock.now += 60
        events.round(calls)
    assert (row_of(database, NAME)['waiting'], row_of(database, NAME)['dropped']) == (1, 0)


# --- events that nobody takes ---

def test_one_that_is_refused_for_good_is_dropped_and_the_others_arrive(array, events, calls, database, caplog):
    array.says(*({'category': 'Fault', 'sequence_number': str(number)}
                 for number in range(20)))
    calls.fail = refuse(13, final=True)
    arrived = []
    for _ in range(30):
        before = len(calls.data)
        events.round(calls)
        for data in calls.data[before:]:
            arrived += [] if 13 in numbers(data) else numbers(data)
    assert arrived == [number for number in range(20) if number != 13]
    shown = row_of(database, NAME)
    assert (shown['delivered'], shown['dropped'], shown['waiting']) == (19, 1, 0)
    assert f'the event "raised" of alert {array.alert_id(13)}' in caplog.text


def test_one_that_is_refused_otherwise_is_tried_for_minutes_before_it_is_dropped(array, events, calls, clock, database):
    array.fault(1)
    calls.fail = refuse(1, final=False)
    for _ in range(PACE.attempts + 5):
        clock.now += 1
        events.round(calls)
    assert row_of(database, NAME)['waiting'] == 1
    clock.now += PACE.patience_seconds
    events.round(calls)
    assert (row_of(database, NAME)['waiting'], row_of(database, NAME)['dropped']) == (0, 1)


def test_a_long_time_without_attempts_drops_nothing(array, events, calls, clock, database):
    array.fault(1)
    calls.fail = refuse(1, final=False)
    for _ in range(PACE.attempts - 1):
        clock.now += 3600
        events.round(calls)
    assert row_of(database, NAME)['waiting'] == 1


def test_an_event_that_an_exporter_cannot_cope_with_does_not_stop_the_others(array, events, calls, clock, database):
    array.says(*({'category': 'Fault', 'sequence_number': str(number)} for number in range(8)))
    calls.fail = lambda data: KeyError('location') if 5 in numbers(data) else None
    for _ in range(60):
        clock.now += 60
        events.round(calls)
    assert (row_of(database, NAME)['delivered'], row_of(database, NAME)['dropped']) == (7, 1)


# --- what goes wrong beside the receiver ---

def test_what_was_delivered_while_the_database_went_away_is_not_delivered_again(array, events, calls, monkeypatch,
                                                                                database):
    array.fault(1)
    attempt = database.attempt

    def away(*args):
        raise ConnectionError('database')

    monkeypatch.setattr(database, 'attempt', away)
    with pytest.raises(ConnectionError):
        events.round(calls)
    monkeypatch.setattr(database, 'attempt', attempt)
    events.round(calls)
    assert [numbers(data) for data in calls.data] == [[1]]
    assert row_of(database, NAME)['waiting'] == 0


def test_who_lost_the_exporter_while_delivering_takes_nothing_out_of_the_queue(array, events, calls, mine, database):
    array.fault(1)
    mine[0] = False
    events.round(calls)
    assert row_of(database, NAME)['waiting'] == 1


def test_an_event_keeps_its_id_and_two_never_share_one(array, events, calls):
    """Although the numbers of the queue begin anew on SQLite."""
    for number in (1, 2):
        array.fault(number)
        events.round(calls)
    first, second = (data[0]['event_id'] for data in calls.data)
    assert first != second


def test_an_error_of_a_third_party_shows_no_url():
    error = ConnectionError('Max retries exceeded with url: /hooks/s3cret (https://u:pw@host/s3cret)')
    assert work.reason_of(error) == 'ConnectionError: Max retries exceeded with url: … (https://…'


def test_events_during_maintenance_are_told_at_its_end(array, events, calls, database):
    array.fault(1)
    with database.write() as connection:
        alerts.set_muted(connection, array.storage_id, True)
    with database.write() as connection:
        alerts.set_muted(connection, array.storage_id, False)
    events.round(calls)
    assert [numbers(data) for data in calls.data] == [[1]]
