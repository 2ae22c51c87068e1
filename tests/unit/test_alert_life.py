# SPDX-License-Identifier: Apache-2.0
"""The life of an alert: raised, repeated, acknowledged, cleared, muted, forgotten; and what a driver's row becomes."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from unittest import mock

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from delfin import exception
from delfin.alerts import (
    ALERT_COLUMNS,
    BY_LIST,
    BY_RECOVERY,
    BY_USER,
    CLEARED,
    DELFIN,
    EVENT,
    LIST,
    OPEN,
    RECOVERY,
    STANDING,
    TRAP,
    parsed,
)
from delfin.common.constants import Category
from delfin.db import Database, alerts, storages
from delfin.db.alerts import Report
from delfin.db.sqlalchemy import models
from delfin.findings import Findings
from delfin.kinds import BIGINT_MAX
from tests.unit.alert_story import NOON, Story, alert, at, listed, minutes
from tests.unit.support import Unprintable, recorded_writes

BOTH = ('raised', 'cleared')
DAY = 24 * 60


@pytest.fixture
def story(database: Database) -> Story:
    return Story(database)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`clock(minute)`: from now on the database says that it is so late."""
    def be(minute: float) -> None:
        monkeypatch.setattr(alerts, 'now', lambda connection: at(minute))
    be(0)
    return be


# --- raised and repeated ---

def test_a_fault_raises_an_alert(story):
    story.say(0, trap={'source': '10.0.0.1'}, description='disk 3 is dead')
    row = story.only()
    assert (row['state'], row['count'], row['origin'], row['description']) == (OPEN, 1, TRAP, 'disk 3 is dead')
    assert row['trap'] == {'source': '10.0.0.1'} and story.told() == ['raised']


def test_a_storm_of_one_alert_is_one_row_that_counts(story):
    story.deliver([story.report(minute) for minute in range(100)])
    story.say(100)
    row = story.only()
    assert (row['count'], minutes(row['first_seen_at']), minutes(row['last_seen_at'])) == (101, 0, 100)
    assert story.told() == ['raised']


def test_a_repeat_brings_the_latest_words_and_keeps_what_it_does_not_say(story):
    story.say(0, description='99 errors', location='slot 3')
    story.say(1, description='100 errors')
    row = story.only()
    assert (row['description'], row['location']) == ('100 errors', 'slot 3')


def test_a_repeat_that_comes_late_counts_but_does_not_talk_over_newer_words(story):
    story.say(5, severity='Critical', description='dead')
    story.say(2, severity='Minor', description='sick', location='slot 3', trap={'of': 'minute 2'})
    row = story.only()
    assert (row['severity'], row['description'], row['location'], row['trap']) == ('Critical', 'dead', 'slot 3', None)
    assert (row['count'], minutes(row['first_seen_at']), minutes(row['last_seen_at'])) == (2, 2, 5)
    assert story.told() == ['raised']


def test_another_severity_is_told(story):
    story.say(0, severity='Minor')
    story.say(1, severity='Critical')
    assert [(what, told['severity']) for what, told in story.heard()] == [('raised', 'Minor'), ('changed', 'Critical')]


@pytest.mark.parametrize('shared', [
    {'match_key': 'm'}, {'sequence_number': '7'}, {'alert_id': 'A', 'location': 'slot 3'}], ids='-'.join)
def test_one_shared_key_makes_two_reports_one_alert(story, shared):
    story.say(0, **{'match_key': None, **shared})
    story.say(1, **{'match_key': None, 'sequence_number': '8', 'alert_id': 'B', 'location': 'slot 9', **shared})
    assert story.only()['count'] == 2


@pytest.mark.parametrize(('one', 'other'), [
    ({'alert_id': 'A'}, {'alert_id': 'A', 'location': 'slot 4'}),
    ({'alert_id': 'A', 'location': 'slot 3'}, {'alert_id': 'A', 'location': 'slot 4'}),
    ({'sequence_number': 'x'}, {'match_key': 'x'}), ({'sequence_number': 'a'}, {'sequence_number': 'A'}),
    ({'match_key': 'a'}, {'match_key': 'a '})], ids=str)
def test_without_a_shared_key_they_are_two(story, one, other):
    story.say(0, **{'match_key': None, **one})
    story.say(1, **{'match_key': None, **other})
    assert story.states() == [OPEN, OPEN]


def test_of_two_matches_the_stronger_key_decides(story):
    story.say(0, match_key='m', sequence_number='1')
    story.say(1, match_key='n', sequence_number='2')
    story.say(2, match_key='m', sequence_number='2')
    assert [row['count'] for row in story.rows()] == [2, 1]


def test_of_two_that_have_the_only_key_the_one_that_was_heard_of_last_is_meant(story):
    """A trap with the one key, a trap with the other, then one with both: the two were one all the time."""
    story.say(0, match_key=None, sequence_number='7')
    story.say(1, match_key='m')
    story.say(2, match_key='m', sequence_number='7')
    story.say(3, Category.RECOVERY, match_key=None, sequence_number='7')
    assert [(row['match_key'], row['state']) for row in story.rows()] == [(None, OPEN), ('m', CLEARED)]


def test_a_key_that_a_repeat_brings_counts_from_then_on(story):
    story.deliver([story.report(0, match_key=None, sequence_number='7'),
                   story.report(1, match_key='m', sequence_number='7'), story.report(2, match_key='m')])
    assert story.only()['count'] == 3


def test_what_delfin_itself_finds_again_is_no_repeat(story):
    for minute in (0, 1):
        story.say(minute, origin=DELFIN)
    assert (story.only()['count'], minutes(story.only()['last_seen_at'])) == (1, 1)


def test_alerts_of_two_storages_never_meet(story):
    other = Story(story.database, 'SN-2')
    story.say(0)
    other.say(1)
    story.say(2, Category.RECOVERY)
    assert (story.states(), other.states()) == ([CLEARED], [OPEN])


def test_a_report_of_an_unknown_or_deleted_storage_is_dropped_and_the_others_are_taken(story):
    gone = Story(story.database, 'SN-2')
    gone.do(storages.hide, gone.storage_id)
    nobody = dataclasses.replace(story.report(0), storage_id='00000000-0000-4000-8000-000000000000')
    assert story.deliver([gone.report(0), nobody, story.report(0)]) == 1
    assert (story.states(), gone.states()) == ([OPEN], [])


# --- cleared by a recovery ---

def test_a_recovery_clears(story):
    story.say(0)
    story.say(5, Category.RECOVERY)
    row = story.only()
    assert (row['state'], row['cleared_by'], minutes(row['cleared_at'])) == (CLEARED, BY_RECOVERY, 5)
    assert story.told() == [*BOTH]


def test_an_acknowledged_alert_repeats_and_clears_like_an_open_one(story):
    story.say(0)
    story.do(alerts.acknowledge, story.only()['id'], 'part is ordered')
    story.say(1)
    row = story.only()
    assert (row['state'], row['count'], row['note']) == ('acknowledged', 2, 'part is ordered')
    story.say(2, Category.RECOVERY)
    assert story.states() == [CLEARED] and story.told() == ['raised', 'acknowledged', 'cleared']


def test_a_fault_after_its_recovery_is_a_new_alert(story):
    story.say(0)
    story.say(5, Category.RECOVERY)
    story.say(9)
    assert story.states() == [CLEARED, OPEN] and story.told() == [*BOTH, 'raised']


def test_a_recovery_that_overtakes_its_fault_leaves_no_alert(story):
    story.say(5, Category.RECOVERY)
    assert story.states() == [RECOVERY] and story.told() == []
    story.say(3, description='dead', trap={'of': 'the fault'})
    row = story.only()
    assert (row['state'], row['count'], row['description'], row['trap']) == (CLEARED, 1, 'dead', {'of': 'the fault'})
    assert (minutes(row['first_seen_at']), minutes(row['cleared_at'])) == (3, 5) and story.told() == []


def test_a_fault_received_before_the_recovery_that_cleared_it_is_absorbed(story):
    story.say(2)
    story.say(5, Category.RECOVERY)
    story.say(1)
    row = story.only()
    assert (row['state'], row['count'], minutes(row['first_seen_at'])) == (CLEARED, 2, 1)


def test_a_fault_received_after_a_recovery_that_was_waiting_for_an_earlier_one_is_raised(story):
    story.say(5, Category.RECOVERY)
    story.say(6)
    assert sorted(story.states()) == [OPEN, RECOVERY]


def test_a_recovery_clears_only_what_was_last_seen_before_it(story):
    story.say(0)
    story.say(9)
    story.say(5, Category.RECOVERY)
    assert story.states() == [OPEN]


def test_a_second_recovery_reaches_further_than_the_first(story):
    """Fault, recovery, fault, recovery; the second fault comes last."""
    story.say(0)
    story.say(1, Category.RECOVERY)
    story.say(3, Category.RECOVERY)
    story.say(2)
    assert story.states() == [CLEARED]


def test_fault_and_recovery_of_one_batch_are_raised_and_cleared(story):
    story.deliver([story.report(0), story.report(1, Category.RECOVERY), story.report(2)])
    assert story.states() == [CLEARED, OPEN] and story.told() == [*BOTH, 'raised']


def test_of_what_was_received_in_the_same_moment_the_order_decides(story):
    story.deliver([story.report(0), story.report(0, Category.RECOVERY), story.report(0)])
    assert sorted(story.states()) == [CLEARED, OPEN]


# --- events ---

def test_an_event_is_never_open_and_no_recovery_clears_it(story):
    story.say(0, Category.EVENT)
    story.say(1, Category.RECOVERY)
    assert [row['state'] for row in story.rows()] == [EVENT, RECOVERY] and story.told() == ['event']


def test_a_fault_is_no_repeat_of_an_event_with_its_key(story):
    story.say(0, Category.EVENT)
    story.say(1)
    assert story.states() == [EVENT, OPEN]


@pytest.mark.parametrize(('minute', 'words', 'rows'), [
    (59, 'login of root', 1), (61, 'login of root', 2), (-59, 'login of root', 1), (-61, 'login of root', 2),
    (1, 'login of admin', 2)])
def test_an_event_that_comes_again_within_the_hour_with_the_same_words_is_one(story, minute, words, rows):
    story.say(0, Category.EVENT, description='login of root')
    story.say(minute, Category.EVENT, description=words)
    assert len(story.rows()) == rows and story.told() == ['event'] * rows
    assert sum(row['count'] for row in story.rows()) == 2


def test_an_event_in_the_list_of_every_sync_is_one_event(story):
    for minute in range(0, 300, 15):
        story.list(minute, alert(Category.EVENT, occur_time=int(NOON.timestamp() * 1000)))
    assert story.only()['count'] == 1 and story.told() == ['event']


def test_what_had_happened_before_the_array_was_registered_is_shown_and_not_told(story):
    story.list(0, alert(Category.EVENT, occur_time=int((NOON - timedelta(hours=2)).timestamp() * 1000)))
    assert story.states() == [EVENT] and story.told() == []


def test_a_fault_without_a_time_happened_when_it_was_heard_of(story):
    story.say(3, occur_time=None)
    assert story.only()['occur_time'] == int(at(3).timestamp() * 1000)


def test_a_listed_fault_without_a_time_is_written_once(story):
    story.list(0, alert(occur_time=None))
    before = story.only()
    story.list(15, alert(occur_time=None))
    assert story.only() == before


def test_who_does_not_know_the_severity_does_not_take_it_back(story):
    story.say(0)
    story.say(1, severity=None)
    assert story.only()['severity'] == 'Major' and story.told() == ['raised']


# --- the array's list ---

def test_a_list_raises_what_no_trap_announced(story):
    story.list(0, *listed('disk-3', 'disk-4'))
    assert story.states() == [OPEN, OPEN] and {row['origin'] for row in story.rows()} == {LIST}


def test_a_list_is_no_repeat(story):
    story.say(0)
    for minute in (1, 2, 3):
        story.list(minute, alert())
    row = story.only()
    assert (row['count'], minutes(row['last_seen_at'])) == (1, 0)


def test_a_list_that_says_nothing_new_writes_nothing(story):
    story.list(0, alert())
    with recorded_writes(story.database) as writes:
        story.list(1, alert())
    assert writes == []


def test_absence_from_a_complete_list_clears_what_stood_in_an_earlier_one(story):
    story.list(0, *listed('disk-3', 'disk-4'))
    story.list(5, *listed('disk-4'))
    gone, stays = sorted(story.rows(), key=lambda row: row['match_key'])
    assert (gone['state'], gone['cleared_by'], minutes(gone['cleared_at'])) == (CLEARED, BY_LIST, 5)
    assert stays['state'] == OPEN


def test_what_no_list_ever_showed_is_not_cleared_by_absence(story):
    """Many arrays list only part of what they send traps about."""
    story.say(0)
    story.list(5)
    story.list(9, *listed('another'))
    assert story.only(match_key='disk-3')['state'] == OPEN


def test_what_was_reported_since_the_list_began_is_not_cleared_by_it(story):
    story.list(0, alert())
    story.say(6)
    story.list(5)
    assert story.states() == [OPEN]
    story.list(7)
    assert story.states() == [CLEARED]


def test_a_list_of_a_window_clears_nothing(story):
    story.list(0, alert())
    story.list(5, complete=False)
    assert story.states() == [OPEN]


def test_the_history_in_a_list_leaves_no_tombstones(story):
    story.list(0, alert(Category.RECOVERY))
    assert story.rows() == []


def test_a_recovery_in_a_list_clears(story):
    story.say(0)
    story.list(5, alert(Category.RECOVERY))
    assert story.states() == [CLEARED]


def test_what_a_person_cleared_stays_cleared_while_the_array_lists_the_same_occurrence(story, clock):
    story.list(0, alert())
    clock(1)
    story.do(alerts.clear, story.only()['id'])
    for minute in (2, 3, 40 * DAY):
        story.list(minute, alert())
    assert (story.only()['state'], story.only()['cleared_by']) == (CLEARED, BY_USER)
    story.list(40 * DAY + 1, alert(occur_time=1_700_000_000_001))
    assert story.states() == [CLEARED, OPEN]


def test_retention_does_not_bring_back_what_a_person_cleared_and_the_array_goes_on_listing(story, clock):
    story.list(0, alert())
    clock(1)
    story.do(alerts.clear, story.only()['id'])
    for day in range(1, 60):
        story.list(day * DAY, alert())
        story.do(alerts.delete_old, (CLEARED,), at((day - 30) * DAY), 100)
    assert story.states() == [CLEARED]


def test_what_a_recovery_cleared_and_the_array_still_lists_is_raised_again(story):
    story.list(0, alert())
    story.say(1, Category.RECOVERY)
    story.list(2, alert())
    assert story.states() == [CLEARED, OPEN]


def test_two_rows_of_a_list_about_one_alert_are_one(story):
    story.list(0, alert(), alert(description='again'))
    assert story.only()['description'] == 'again' and story.told() == ['raised']


def test_a_list_of_another_storage_clears_nothing_here(story):
    other = Story(story.database, 'SN-2')
    story.list(0, alert())
    other.list(1)
    assert story.states() == [OPEN]


# --- people ---

def test_an_acknowledgement_can_be_taken_back(story):
    story.say(0)
    alert_id = story.only()['id']
    story.do(alerts.acknowledge, alert_id, 'mine')
    story.do(alerts.take_back, alert_id)
    row = story.only()
    assert (row['state'], row['note'], row['acknowledged_at']) == (OPEN, None, None)


@pytest.mark.parametrize('action', [lambda *args: alerts.acknowledge(*args, None), alerts.clear],
                         ids=['acknowledge', 'clear'])
@pytest.mark.parametrize('category', [Category.EVENT, Category.RECOVERY])
def test_nobody_can_look_after_what_does_not_stand(story, action, category):
    story.say(0, category)
    with pytest.raises(exception.AlertIsNotOpen):
        story.do(action, story.only()['id'])
    assert story.told() == (['event'] if category == Category.EVENT else [])


@pytest.mark.parametrize('action', [lambda *args: alerts.acknowledge(*args, None), alerts.clear, alerts.get],
                         ids=['acknowledge', 'clear', 'get'])
def test_alerts_of_a_deleted_storage_are_gone(story, action):
    story.say(0)
    story.do(storages.hide, story.storage_id)
    with pytest.raises(exception.AlertNotFound):
        story.do(action, story.rows()[0]['id'])


def test_clearing_by_sequence_number_clears_what_stands_under_it(story):
    story.say(0, match_key='a', sequence_number='7')
    story.say(0, match_key='b', sequence_number='8')
    assert story.do(alerts.clear_sequence_number, story.storage_id, '7') == 1
    assert story.only(sequence_number='7')['cleared_by'] == BY_USER and story.only(sequence_number='8')['state'] == OPEN
    assert story.do(alerts.clear_sequence_number, story.storage_id, '7') == 0


# --- maintenance ---

def test_what_is_raised_during_maintenance_is_told_at_its_end(story):
    story.maintenance(True)
    story.say(0)
    story.say(1, severity='Critical')
    assert story.only()['muted'] and story.told() == []
    story.maintenance(False)
    assert [(what, told['severity']) for what, told in story.heard()] == [('raised', 'Critical')]
    story.say(2, Category.RECOVERY)
    assert not story.only()['muted'] and story.told() == ['cleared']


def test_what_came_and_went_during_maintenance_is_never_told(story):
    story.maintenance(True)
    story.say(0)
    story.do(alerts.acknowledge, story.only()['id'], None)
    story.say(1, Category.RECOVERY)
    story.say(2, Category.EVENT, match_key='e')
    story.maintenance(False)
    assert story.told() == []


def test_during_maintenance_nobody_is_told_of_older_alerts_either_and_at_its_end_of_their_end(story):
    story.say(0)
    assert story.told() == ['raised']
    story.maintenance(True)
    story.do(alerts.acknowledge, story.only()['id'], None)
    story.say(1, severity='Critical')
    story.say(2, Category.RECOVERY)
    assert story.told() == []
    story.maintenance(False)
    assert story.told() == ['cleared']
    story.maintenance(True)
    story.maintenance(False)
    assert story.told() == []


def test_an_alert_that_stands_through_maintenance_is_not_told_twice(story):
    story.say(0)
    story.maintenance(True)
    story.maintenance(False)
    assert story.told() == ['raised']


# --- exporters ---

def test_a_change_that_is_rolled_back_is_told_to_nobody(story):
    with pytest.raises(RuntimeError), story.database.write() as connection:
        alerts.apply(connection, [story.report(0)])
        raise RuntimeError
    assert story.rows() == [] and story.told() == []


def test_an_event_tells_what_a_receiver_needs(story):
    story.say(0, description='dead', sequence_number='7')
    (_, told), = story.heard()
    assert told.items() >= {'id': story.only()['id'], 'storage_name': 'array', 'serial_number': 'SN-1',
                            'description': 'dead', 'state': 'open', 'count': 1, 'sequence_number': '7'}.items()
    assert 'trap' not in told


def test_a_state_feed_hears_of_what_stands_and_of_what_was_cleared_lately(story):
    story.deliver([story.report(0, match_key=name) for name in ('stands', 'cleared', 'cleared long ago')])
    story.say(1, Category.RECOVERY, match_key='cleared long ago')
    story.say(100, Category.RECOVERY, match_key='cleared')
    story.say(100, Category.EVENT, match_key='event')
    story.say(100, Category.RECOVERY, match_key='tombstone')
    with story.database.read() as connection:
        assert {row['match_key'] for row in alerts.standing(connection, at(90))} == {'stands', 'cleared'}


def test_a_state_feed_does_not_hear_of_what_is_muted(story):
    story.maintenance(True)
    story.say(0)
    with story.database.read() as connection:
        assert alerts.standing(connection, at(-90)) == []


# --- retention ---

def test_retention_deletes_what_has_ended_and_nothing_that_stands(story):
    story.say(0, match_key='stands')
    story.say(0, match_key='acknowledged')
    story.do(alerts.acknowledge, story.only(match_key='acknowledged')['id'], None)
    story.say(0, match_key='cleared')
    story.say(1, Category.RECOVERY, match_key='cleared')
    story.say(1, Category.RECOVERY, match_key='tombstone')
    story.say(1, Category.EVENT, match_key='event')
    assert story.do(alerts.delete_old, (CLEARED, EVENT, RECOVERY), at(2), 100) == 3
    assert {row['match_key'] for row in story.rows()} == {'stands', 'acknowledged'}


def test_retention_counts_from_the_end_of_an_alert(story):
    story.say(0)
    story.say(40 * DAY, Category.RECOVERY)
    assert story.do(alerts.delete_old, (CLEARED,), at(39 * DAY), 100) == 0
    assert story.do(alerts.delete_old, (CLEARED,), at(41 * DAY), 100) == 1


def test_retention_takes_no_more_than_it_may(story):
    story.deliver([story.report(0, Category.EVENT, match_key=str(number)) for number in range(5)])
    assert [story.do(alerts.delete_old, (EVENT,), at(1), 2) for _ in range(4)] == [2, 2, 1, 0]


# --- the cost ---

def test_an_array_with_thousands_of_alerts_of_one_kind_costs_no_more_than_another(story, monkeypatch):
    """The pair of kind and place must not lead to every alert of that kind."""
    story.deliver([story.report(0, match_key=None, alert_id='A', location=f'slot {number}')
                   for number in range(2000)])
    read = []
    real = alerts._rows
    monkeypatch.setattr(alerts, '_rows', lambda *args: read.append(real(*args)) or read[-1])
    story.deliver([story.report(1, match_key=None, alert_id='A', location=f'slot {number}') for number in (1, 2)])
    assert sum(map(len, read)) == 2
    assert sum(row['count'] for row in story.rows()) == 2002


# --- any story, against a model ---

@dataclasses.dataclass
class Told:
    """What the decisions say of one alert. Times are minutes."""

    thing: int
    state: str
    severity: str
    occur: int
    count: int
    first: int
    last: int
    listed: bool
    muted: bool
    announced: bool
    cleared_at: int | None = None
    cleared_by: str | None = None
    words: str | None = None

    def shown(self) -> tuple[Any, ...]:
        severity = None if self.state == RECOVERY else self.severity
        return (f'thing {self.thing}', self.state, severity, self.count, self.first, self.last, self.listed,
                self.muted, self.cleared_at, self.cleared_by)


class Model:
    """The decisions in plain Python: no keys, no batches, no database. Things know who they are."""

    def __init__(self) -> None:
        self.all: list[Told] = []
        self.latest: dict[tuple[int, bool], Told] = {}      # by thing, and whether it is an event
        self.maintenance = False
        self.events: Counter[tuple[str, str]] = Counter()

    def _tell(self, what: str, told: Told) -> None:
        self.events[what, f'thing {told.thing}'] += 1

    def _new(self, thing: int, state: str, t: int, severity: str, occur: int, listed: bool = False) -> Told:
        loud = state in (OPEN, EVENT) and not self.maintenance
        told = Told(thing, state, severity, occur, 1, t, t, listed, self.maintenance, loud)
        self.all.append(told)
        self.latest[thing, state == EVENT] = told
        if loud:
            self._tell('event' if state == EVENT else 'raised', told)
        return told

    def standing(self, thing: int) -> Told | None:
        told = self.latest.get((thing, False))
        return told if told and told.state in STANDING else None

    def clear(self, told: Told, t: int, by: str) -> None:
        told.state, told.cleared_at, told.cleared_by = CLEARED, t, by
        if told.announced and not told.muted:
            self._tell('cleared', told)

    def fault(self, thing: int, t: int, severity: str, occur: int, *, by_list: bool = False) -> None:
        told = self.latest.get((thing, False))
        if told is None:
            self._new(thing, OPEN, t, severity, occur, by_list)
        elif told.state in STANDING:
            newest = by_list or t >= told.last
            if newest and told.severity != severity and told.announced and not told.muted:
                self._tell('changed', told)
            if newest:
                told.severity, told.occur = severity, occur
            if by_list:
                told.listed = True
            else:
                told.count, told.first, told.last = told.count + 1, min(told.first, t), max(told.last, t)
        elif told.cleared_at > t or (by_list and told.cleared_by == BY_USER and told.occur == occur):
            if told.state == RECOVERY:
                told.state, told.severity, told.occur, told.first = CLEARED, severity, occur, t
            elif not by_list:
                told.count, told.first = told.count + 1, min(told.first, t)
        else:
            self._new(thing, OPEN, t, severity, occur, by_list)

    def recovery(self, thing: int, t: int, severity: str, occur: int) -> None:
        told = self.latest.get((thing, False))
        if told is None:
            told = self._new(thing, RECOVERY, t, severity, occur)
            told.cleared_at, told.cleared_by = t, BY_RECOVERY
        elif told.state in STANDING:
            if told.last <= t:
                self.clear(told, t, BY_RECOVERY)
        elif told.cleared_at < t:
            told.cleared_at = told.last = t

    def event(self, thing: int, t: int, severity: str, words: str) -> None:
        told = self.latest.get((thing, True))
        if told and told.words == words and abs(t - told.last) < 60:
            told.count, told.first, told.last = told.count + 1, min(told.first, t), max(told.last, t)
        else:
            self._new(thing, EVENT, t, severity, 0).words = words

    def list(self, t: int, rows: Mapping[int, tuple[str, int]], complete: bool) -> None:
        for thing, (severity, occur) in rows.items():
            self.fault(thing, t, severity, occur, by_list=True)
        for told in self.all:
            if complete and told.state in STANDING and told.listed and told.thing not in rows and told.last <= t:
                self.clear(told, t, BY_LIST)

    def set_maintenance(self, on: bool) -> None:
        self.maintenance = on
        for told in self.all:
            if on and told.state in STANDING:
                told.muted = True
            elif not on and told.muted and told.state in STANDING:
                if not told.announced:
                    self._tell('raised', told)
                told.muted, told.announced = False, True
            elif not on and told.muted and told.state == CLEARED and told.announced:
                self._tell('cleared', told)
                told.muted = False


# What each thing is known by: the key in every report of it, and further ones that some have.
_THINGS: tuple[tuple[dict[str, str], dict[str, str]], ...] = (
    ({'match_key': 'm0'}, {'sequence_number': 's0', 'alert_id': 'a', 'location': 'l0'}),
    ({'sequence_number': 's1'}, {'match_key': 'm1'}),
    ({'alert_id': 'a', 'location': 'l2'}, {'sequence_number': 's2', 'match_key': 'm2'}),
    ({'match_key': 'm3', 'sequence_number': 's3'}, {'alert_id': 'b', 'location': 'l0'}),
)
_things = st.integers(0, len(_THINGS) - 1)
_severities = st.sampled_from(('Critical', 'Minor'))
_occurrences = st.sampled_from((1_700_000_000_000, 1_700_000_000_001))
_subsets = st.sampled_from((frozenset(), frozenset({'match_key'}), frozenset({'sequence_number'}),
                            frozenset({'sequence_number', 'alert_id', 'location', 'match_key'})))


class Life(RuleBasedStateMachine):
    """Two alert services receive traps and hand them on in portions, whenever they get to it; lists and people between.
    """

    def __init__(self, database: Database, number: int) -> None:
        super().__init__()
        self.story = Story(database, f'SN-{number}')
        self.model = Model()
        self.minute = 0
        self.nodes: tuple[list[Any], list[Any]] = ([], [])
        self.recovered: dict[int, int] = {}
        self.faulted: dict[int, int] = {}
        self._patch = mock.patch.object(alerts, 'now', lambda connection: at(self.minute))
        self._patch.start()

    def teardown(self) -> None:
        self._patch.stop()

    def _report(self, thing: int, category: str, severity: str, occur: int, subset: frozenset[str],
                words: str | None = None) -> Report:
        anchor, more = _THINGS[thing]
        given = {**anchor, **{name: value for name, value in more.items() if name in subset}}
        return self.story.report(self.minute, category, **{
            'match_key': None, 'alert_name': f'thing {thing}', 'severity': severity, 'occur_time': occur,
            'description': words, **given})

    # --- what happens ---

    @rule(pause=st.sampled_from((1, 7, 45)))
    def wait(self, pause: int) -> None:
        self.minute += pause

    @rule(node=st.integers(0, 1), thing=_things, severity=_severities, occur=_occurrences, subset=_subsets,
          category=st.sampled_from((Category.FAULT, Category.FAULT, Category.RECOVERY, Category.EVENT)),
          words=st.sampled_from(('this', 'that')))
    def receive(self, node: int, thing: int, severity: str, occur: int, subset: frozenset[str], category: str,
                words: str) -> None:
        self.minute += 1
        told = words if category == Category.EVENT else None
        self.nodes[node].append((self._report(thing, category, severity, occur, subset, told), self.minute, thing,
                                 severity, occur, words))

    @precondition(lambda self: any(self.nodes))
    @rule(node=st.integers(0, 1), portion=st.integers(1, 4))
    def hand_on(self, node: int, portion: int) -> None:
        taken = self.nodes[node][:portion]
        del self.nodes[node][:portion]
        self.story.deliver([report for report, *_ in taken])
        for report, t, thing, severity, occur, words in taken:
            category = report.values['category']
            if category == Category.EVENT:
                self.model.event(thing, t, severity, words)
            elif category == Category.RECOVERY:
                self.model.recovery(thing, t, severity, occur)
                self.recovered[thing] = max(t, self.recovered.get(thing, 0))
            else:
                self.model.fault(thing, t, severity, occur)
                self.faulted[thing] = max(t, self.faulted.get(thing, 0))

    @rule(rows=st.dictionaries(_things, st.tuples(_severities, _occurrences)), subset=_subsets, complete=st.booleans())
    def list(self, rows: dict[int, tuple[str, int]], subset: frozenset[str], complete: bool) -> None:
        self.minute += 1
        self.story.list(self.minute, *(
            self._report(thing, Category.FAULT, severity, occur, subset).values
            for thing, (severity, occur) in rows.items()), complete=complete)
        self.model.list(self.minute, rows, complete)
        self.faulted |= dict.fromkeys(rows, self.minute)

    @rule(on=st.booleans())
    def maintain(self, on: bool) -> None:
        self.story.maintenance(on)
        self.model.set_maintenance(on)

    @rule(thing=_things)
    def acknowledge(self, thing: int) -> None:
        told = self.model.standing(thing)
        if told:
            self.story.do(alerts.acknowledge, self._id(thing), None)
            told.state = 'acknowledged'
            if told.announced and not told.muted:
                self.model._tell('acknowledged', told)

    @rule(thing=_things)
    def clear(self, thing: int) -> None:
        self.minute += 1
        told = self.model.standing(thing)
        if told:
            self.story.do(alerts.clear, self._id(thing))
            self.model.clear(told, self.minute, BY_USER)

    def _id(self, thing: int) -> str:
        return next(row['id'] for row in self.story.rows(alert_name=f'thing {thing}') if row['state'] in STANDING)

    # --- what holds ---

    @invariant()
    def rows_are_as_decided(self) -> None:
        rows = [(row['alert_name'], row['state'], None if row['state'] == RECOVERY else row['severity'], row['count'],
                 minutes(row['first_seen_at']), minutes(row['last_seen_at']), row['listed'], row['muted'],
                 minutes(row['cleared_at']), row['cleared_by']) for row in self.story.rows()]
        assert Counter(rows) == Counter(told.shown() for told in self.model.all)

    @invariant()
    def exporters_heard_of_each_transition_once(self) -> None:
        heard = Counter((what, told['alert_name']) for what, told in self.story.heard())
        assert heard == self.model.events
        self.model.events.clear()

    @invariant()
    def at_most_one_stands_for_each_thing(self) -> None:
        stand = [row for row in self.story.rows() if row['state'] in STANDING]
        for name in ('alert_name', 'match_key', 'sequence_number'):
            assert max(Counter(row[name] for row in stand if row[name]).values(), default=0) <= 1

    @invariant()
    def nothing_stands_whose_recovery_was_received_last(self) -> None:
        for thing, t in self.recovered.items():
            assert t < self.faulted.get(thing, 0) or self.model.standing(thing) is None


def test_any_story_ends_as_decided(database: Database) -> None:
    numbers = itertools.count()
    run_state_machine_as_test(lambda: Life(database, next(numbers)), settings=settings(
        settings.get_profile('unit'), max_examples=20, stateful_step_count=30))


# --- what a driver's row becomes ---

class Hostile:
    """Whatever is asked of it goes wrong."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __str__(self) -> str:
        raise RuntimeError('no text')

    __repr__ = __str__

    def __bool__(self) -> bool:
        raise RuntimeError('neither')

    def __int__(self) -> int:
        raise RuntimeError('no number')


class HostileText(str):
    """Text that cannot be worked with."""

    __slots__ = ()

    def strip(self, *args: Any) -> str:
        raise RuntimeError

    lower = encode = replace = strip

    def __len__(self) -> int:
        raise RuntimeError


class HostileRow(dict):
    """A mapping that breaks off."""

    def get(self, *args: Any) -> Any:
        raise KeyError(*args)


class HostileKeys(dict):
    """A mapping that does not know its keys."""

    def keys(self) -> Any:
        raise RuntimeError


_scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters(), max_size=20), st.binary(max_size=4),
    st.sampled_from((-1, 2**63, 2**63 - 1, 'a\0b', '\ud800', 'x' * 5000, '\0', '', ' ', '1e400', 'NaN', type, ...)),
    st.just(5000).map(lambda digits: 10**digits), st.builds(Hostile), st.builds(Unprintable), st.builds(object),
    st.sampled_from(('fault', '7')).map(HostileText),
    st.decimals(-10**6, 10**6), st.complex_numbers())
_values = st.recursive(_scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(
    st.text(max_size=3), inner, max_size=2), max_leaves=3)
_keys = st.sampled_from([column.name for column in ALERT_COLUMNS] + ['serial_number', 'storage_name']) | st.one_of(
    st.text(max_size=3), st.integers(), st.none(), st.just('\ud800'), st.tuples(st.integers()))
_given = st.one_of(
    st.dictionaries(_keys, _values, max_size=12), _values,
    st.dictionaries(_keys, _values, max_size=3).map(HostileRow),
    st.dictionaries(_keys, _values, max_size=3).map(HostileKeys))


@settings(max_examples=300)
@given(_given)
def test_whatever_a_driver_returns_is_an_alert_or_refused_as_none(row: Any) -> None:
    try:
        values, *target = parsed(row, Findings())
    except exception.InvalidResults as error:
        error.msg.encode()
        return
    assert values.keys() == {column.name for column in ALERT_COLUMNS}
    assert values['occur_time'] is None or 0 < values['occur_time'] <= BIGINT_MAX
    for text in [*values.values(), *target]:
        if isinstance(text, str):
            assert type(text) is str and '\0' not in text and text.encode() and len(text) <= 4000
    assert list(alerts.keys(values))


@settings(max_examples=50)
@given(_given)
def test_whatever_is_an_alert_can_be_stored(database: Database, row: Any) -> None:
    try:
        values = parsed(row, Findings()).values
    except exception.InvalidResults:
        return
    with database.read() as connection:
        storage_id = connection.execute(sa.select(models.storages.c.id)).scalar()
    if storage_id is None:
        storage_id = Story(database).storage_id
    with database.write() as connection:
        assert alerts.apply(connection, [Report(storage_id, values, NOON, DELFIN)]) == 1


@pytest.mark.parametrize('row', [
    None, 'text', 7, [], {}, {'severity': 'Fatal'}, {'alert_id': ''}, {'alert_name': '\0'}], ids=ascii)
def test_what_says_nothing_is_no_alert(row):
    with pytest.raises(exception.InvalidResults):
        parsed(row, Findings())


def test_what_a_row_does_not_say_is_filled_in():
    values = parsed({'alert_name': 'fan slow'}, Findings()).values
    assert values.items() >= {'severity': 'NotSpecified', 'category': 'Fault', 'resource_type': 'Storage'}.items()


def test_a_time_in_seconds_is_understood_and_noted():
    findings = Findings()
    assert parsed({'alert_name': 'x', 'occur_time': 1_700_000_000}, findings).values[
        'occur_time'] == 1_700_000_000_000
    assert [found['code'] for found in findings.listing()] == ['unlikely_unit']


def test_alerts_without_any_key_are_told_apart_by_their_words():
    def key(**row):
        return parsed({'alert_name': 'x', **row}, Findings()).values['match_key']
    assert key() == key(severity='Fatal') == key(occur_time=5)
    assert len({key(), key(description='a'), key(description='b'), key(resource_type='Disk')}) == 4


def test_whose_the_alert_is_stands_beside_it():
    row = parsed({'alert_name': 'x', 'serial_number': 7, 'storage_name': 'left'}, Findings())
    assert (row.serial_number, row.storage_name) == ('7', 'left') and 'serial_number' not in row.values


def test_received_times_are_kept_to_the_millisecond(story):
    moment = at(0) + timedelta(milliseconds=1)
    story.deliver([story.report(0), dataclasses.replace(story.report(0, Category.RECOVERY), received_at=moment),
                   story.report(0)])
    assert story.states() == [CLEARED] and story.only()['count'] == 2
