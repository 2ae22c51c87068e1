# SPDX-License-Identifier: Apache-2.0
"""When an array is due without anybody asking."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delfin.task_manager.schedule import is_due, slot_start

HOUR = 3600
NOW = datetime(2026, 3, 1, 12, 34, 56, 789012, tzinfo=UTC)

moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC))
intervals = st.integers(1, 30 * 86400)
names = st.uuids().map(str)


# --- slots ---

@given(names, intervals, moments)
def test_now_lies_in_its_slot(name, interval, now):
    start = slot_start(name, interval, now)
    assert start <= now < start + timedelta(seconds=interval)


@given(names, intervals, moments, st.floats(0, 0.999))
def test_all_moments_of_a_slot_have_the_same_slot(name, interval, now, part):
    """Or an array that was synced at the very beginning of its slot would be synced once more."""
    start = slot_start(name, interval, now)
    assert slot_start(name, interval, start + timedelta(seconds=interval) * part) == start


@given(names, intervals, moments)
def test_slots_follow_each_other_without_a_gap(name, interval, now):
    start = slot_start(name, interval, now)
    assert slot_start(name, interval, start + timedelta(seconds=interval)) == start + timedelta(seconds=interval)


def test_the_slot_of_an_array_is_the_same_in_every_process():
    """Nothing is remembered: whoever owns the array computes the same."""
    assert slot_start('storage-1', HOUR, NOW).replace(microsecond=0) == datetime(2026, 3, 1, 12, 28, 28, tzinfo=UTC)


# --- due or not ---

def test_an_array_that_was_never_synced_is_due():
    assert is_due('a', HOUR, None, NOW)


def test_an_array_is_due_once_in_each_slot():
    start = slot_start('a', HOUR, NOW)
    assert is_due('a', HOUR, start - timedelta(seconds=1), NOW)
    assert not is_due('a', HOUR, start + timedelta(seconds=1), NOW)


def test_a_sync_that_somebody_asked_for_counts_for_its_slot():
    start = slot_start('a', HOUR, NOW)
    late = start + timedelta(seconds=HOUR - 10)
    assert not is_due('a', HOUR, late, late + timedelta(seconds=5))
    assert is_due('a', HOUR, late, late + timedelta(seconds=15))


def looked(interval, seconds, step=60, down=()):
    """Moments at which an array is synced when somebody looks every `step` seconds, except while all is down."""
    found, last = [], None
    for second in range(0, seconds, step):
        now = NOW + timedelta(seconds=second)
        if any(begin <= second < end for begin, end in down):
            continue
        if is_due('a', interval, last, now):
            last = now
            found.append(second)
    return found


def test_an_array_is_synced_once_in_each_interval():
    syncs = looked(HOUR, 10 * HOUR)
    assert len(syncs) == 11         # at once, and then in each of ten slots
    assert {late - early for early, late in zip(syncs[1:], syncs[2:], strict=False)} == {HOUR}


def test_slots_that_were_missed_are_made_up_for_once():
    """After a night without Delfin each array is synced once, not nine times."""
    up_again = 11 * HOUR
    syncs = [second for second in looked(HOUR, up_again + HOUR // 2, down=[(2 * HOUR, up_again)]) if second >= up_again]
    assert syncs[0] == up_again
    begin_of_slot = slot_start('a', HOUR, NOW + timedelta(seconds=up_again + HOUR // 2)) - NOW
    assert len(syncs) == 1 + (begin_of_slot > timedelta(seconds=up_again))      # and the next slot's, if it has begun


def test_an_interval_of_zero_is_never_due():
    assert not is_due('a', 0, None, NOW)
    assert not is_due('a', 0, NOW - timedelta(days=365), NOW)


def test_a_clock_that_was_set_back_does_not_make_an_array_due_at_once():
    assert not is_due('a', HOUR, NOW + timedelta(days=1), NOW)


# --- spread ---

@pytest.mark.parametrize('interval', [60, HOUR, 86400])
def test_arrays_are_spread_evenly_over_the_interval(interval):
    ids = [str(uuid.UUID(int=number)) for number in range(2000)]
    tenths = [0] * 10
    for storage_id in ids:
        age = (NOW - slot_start(storage_id, interval, NOW)).total_seconds()
        tenths[int(age * 10 / interval)] += 1
    assert max(tenths) < 1.3 * 200
    assert min(tenths) > 0.7 * 200
