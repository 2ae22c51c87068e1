# SPDX-License-Identifier: Apache-2.0
"""Rows that a driver yields reach whoever asked as they come, from threads and from processes alike."""

from __future__ import annotations

import itertools
import threading
import tracemalloc

import pytest

from delfin import exception
from delfin.drivers.api import Lane
from delfin.drivers.streaming import CHUNK_ROWS
from tests.unit.door_drivers import SECRET, Streaming
from tests.unit.door_house import HANG_SECONDS, ID, houses
from tests.unit.support import PATIENCE_SECONDS, in_thread, until

MEGABYTE = 2**20


@pytest.fixture(params=['thread', 'process'])
def house(request, tmp_path):
    yield from houses(tmp_path, request.param)


@pytest.fixture
def streaming(house):
    made = house(Streaming)
    made.call()
    return made


def handover(house):
    """The call under way."""
    return next(iter(house.door._under_way))


def until_the_driver_waits(house):
    until(lambda: handover(house)._waiting_since is not None)


# --- rows ---

def test_many_rows_come_in_order_and_cost_little_memory(streaming):
    """200,000 rows of a kilobyte are 200 MB as a list."""
    tracemalloc.start()
    try:
        with streaming.answer('list_volumes') as rows:
            numbers = all(row['native_volume_id'] == number
                          for row, number in zip(rows, itertools.count(), strict=False))
            count = next(rows, 'no more')
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (numbers, count) == (True, 'no more')
    assert peak < 30 * MEGABYTE


def test_rows_can_be_taken_while_the_driver_makes_more(streaming):
    with streaming.answer('list_disks') as rows:
        first = list(itertools.islice(rows, 3000))
        streaming.write('go')
        assert (first, list(rows)) == (list(range(3000)), ['last'])


def test_a_driver_that_is_faster_than_the_consumer_waits(streaming):
    streaming.write('taken')
    with (streaming.dir / 'taken').open('ab', buffering=0) as taken, streaming.answer('list_quotas') as rows:
        for row in rows:        # noqa: B007
            taken.write(b'.')
    assert row <= 8 * CHUNK_ROWS


def test_a_generator_runs_in_one_thread_from_the_first_row_to_the_last(streaming):
    with streaming.answer('list_ports') as rows:
        threads = set(rows)
    assert len(threads) == 1 and threading.get_ident() not in {thread for thread, pid in threads}


def test_iterators_inside_a_dict_are_lists(streaming):
    with streaming.answer('list_volume_groups') as answer:
        assert answer == {'volume_groups': [1, 2], 'vol_grp_vol_rels': [3]}


def test_an_answer_that_is_no_iterator_is_given_as_it_is(streaming):
    with streaming.answer('list_storage_pools') as answer:
        assert answer == []


def test_a_call_that_wants_it_all_gets_a_list(streaming):
    assert len(streaming.call('list_ports')) == 5000


def test_rows_cannot_be_read_after_the_call(streaming):
    with streaming.answer('list_ports') as rows:
        next(rows)
    with pytest.raises(RuntimeError, match='while the call is open'):
        list(rows)


def test_the_array_takes_no_other_call_before_the_generator_has_ended(streaming):
    with streaming.answer('list_controllers') as rows:
        next(rows)
        with pytest.raises(exception.DriverCallTimeout, match='did not get its turn'):
            streaming.call(lane=Lane.INTERACTIVE, timeout_seconds=HANG_SECONDS)


# --- errors ---

def test_an_error_in_the_middle_comes_after_the_rows_before_it_and_without_secrets(streaming):
    taken = []
    with pytest.raises(exception.InvalidIpOrPort) as caught, streaming.answer('list_shares') as rows:
        for row in rows:
            taken.append(row)
    assert taken == list(range(2 * CHUNK_ROWS))
    assert SECRET not in repr(caught.value) and 'reset by ***' in caught.value.msg


def test_an_error_of_the_driver_keeps_no_original(streaming):
    with pytest.raises(exception.InvalidIpOrPort) as caught, streaming.answer('list_shares') as rows:
        list(rows)
    assert caught.value.__cause__ is None and caught.value.__context__ is None


def test_an_error_of_the_consumer_is_its_own(streaming):
    with pytest.raises(ZeroDivisionError), streaming.answer('list_controllers') as rows:
        next(rows)
        raise ZeroDivisionError
    assert streaming.call()['instance'] == 1


# --- leaving early ---

def test_a_consumer_that_leaves_stops_the_generator_in_its_own_thread(streaming):
    with streaming.answer('list_controllers') as rows:
        next(rows)
    until(lambda: streaming.told('closed'))
    assert streaming.told('closed')[0].split()[1] == streaming.told('began')[0].split()[1]


def test_who_never_takes_a_row_stops_the_generator_too(streaming):
    with streaming.answer('list_controllers'):
        pass
    streaming.call()        # gets its turn when the generator has ended, if it ever began
    assert len(streaming.told('closed')) == len(streaming.told('began'))


def test_a_call_that_was_left_is_not_abandoned(streaming):
    with streaming.answer('list_controllers') as rows:
        next(rows)
    assert streaming.call()['instance'] == 1 and streaming.door.abandoned() == {}


def test_a_driver_that_does_not_stop_by_the_deadline_is_abandoned_after_all(streaming):
    with streaming.answer('list_disks', timeout_seconds=1) as rows:
        next(rows)
        streaming.await_told('waiting')
    until(lambda: streaming.door._array(ID).instance is None)
    assert streaming.call()['instance'] == 2
    assert streaming.door.abandoned() == ({ID: 1} if streaming.isolation == 'thread' else {})


# --- deadlines ---

def test_time_that_the_driver_waits_for_the_consumer_does_not_count(streaming):
    with streaming.answer('list_volumes') as rows:
        for _ in range(3):
            next(rows)
            until_the_driver_waits(streaming)
            streaming.clock.ahead += 10_000
            for _ in range(CHUNK_ROWS):
                next(rows)
        assert len(list(rows)) == 200_000 - 3 * (CHUNK_ROWS + 1)


def test_time_that_the_consumer_waits_for_the_driver_counts(streaming):
    with pytest.raises(exception.DriverCallTimeout), streaming.answer('list_disks') as rows:
        list(itertools.islice(rows, 3000))
        streaming.await_told('waiting')
        streaming.clock.ahead += 10_000
        next(rows)


def test_a_driver_that_hangs_in_the_middle_is_abandoned_and_the_next_call_gets_a_new_one(streaming):
    with pytest.raises(exception.DriverCallTimeout), streaming.answer('list_disks', timeout_seconds=1) as rows:
        list(rows)
    assert streaming.door.abandoned() == ({ID: 1} if streaming.isolation == 'thread' else {})
    assert streaming.call()['instance'] == 2


@pytest.mark.parametrize('house', ['thread'], indirect=True)
def test_an_abandoned_generator_that_goes_on_is_no_longer_counted(house):
    made = house(Streaming)
    made.call()
    with pytest.raises(exception.DriverCallTimeout), made.answer('list_disks', timeout_seconds=HANG_SECONDS) as rows:
        list(rows)
    made.write('go')
    until(lambda: made.door.abandoned() == {})


# --- stopping ---

def test_stopping_the_door_ends_a_consumer_that_waits_for_rows(streaming):
    def consume():
        with streaming.answer('list_disks') as rows:
            return list(rows)
    consumer = in_thread(consume)
    streaming.await_told('waiting')
    streaming.door.stop()
    with pytest.raises(exception.ServiceUnavailable):
        consumer.result(PATIENCE_SECONDS)
