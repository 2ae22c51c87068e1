# SPDX-License-Identifier: Apache-2.0
"""Pages of lists, of arrays that do it well and of arrays that do not."""

from __future__ import annotations

import itertools
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delfin import exception
from delfin.drivers.kit import by_cursor, by_offset, paging


@given(st.integers(0, 40), st.integers(1, 10))
def test_offsets_give_every_entry_once_with_as_few_requests_as_can_be(count, size):
    asked = []

    def fetch(offset, limit):
        asked.append(offset)
        return list(range(count))[offset:offset + limit] or None       # some arrays leave an empty page out
    assert list(by_offset(fetch, size)) == list(range(count))
    assert asked == list(range(0, count + 1, size))


@given(st.lists(st.lists(st.integers()), min_size=1))
def test_cursors_give_every_entry_once(pages):
    def fetch(cursor):
        place = int(cursor or 0)
        return pages[place], str(place + 1) if place + 1 < len(pages) else None
    assert list(by_cursor(fetch)) == list(itertools.chain.from_iterable(pages))


@pytest.mark.parametrize('count', [3, 5, 10])
def test_an_array_that_ignores_offsets_gives_its_list_once(count):
    assert list(by_offset(lambda offset, size: list(range(count)), 5)) == list(range(count))


def test_its_first_page_is_known_again_although_it_moved():
    numbers = itertools.count()
    assert [row['id'] for row in by_offset(lambda offset, size: [{'id': 'a', 'load': next(numbers)}, {'id': 'b'}], 2,
                                           key=lambda row: row['id'])] == ['a', 'b']


def test_a_later_page_that_is_too_long_is_an_error():
    with pytest.raises(exception.BadResponse):
        list(by_offset(lambda offset, size: list(range(offset, offset + size + bool(offset))), 5))


def test_a_page_that_fails_fails_the_list():
    def fetch(offset, size):
        if offset:
            raise exception.StorageBackendException('no')
        return [1, 2]
    entries = by_offset(fetch, 2)
    assert [next(entries), next(entries)] == [1, 2]
    with pytest.raises(exception.StorageBackendException):
        next(entries)


def test_a_list_without_end_is_an_error():
    with pytest.raises(exception.BadResponse):
        list(by_cursor(lambda cursor: ([1], 'same')))


@pytest.fixture
def slow_array(monkeypatch):
    """Every page takes long enough to be worth a thread."""
    monkeypatch.setattr(paging, '_WORTH_SECONDS', 0)


@pytest.mark.usefixtures('slow_array')
def test_no_more_than_one_page_is_fetched_before_it_is_wanted():
    asked = []
    entries = by_offset(lambda offset, size: asked.append(offset) or [offset], 1)
    next(entries)
    entries.close()
    assert asked == [0, 1]


@pytest.mark.usefixtures('slow_array')
def test_the_next_page_comes_while_a_full_one_is_looked_at():
    asked = threading.Event()

    def fetch(offset, size):
        if offset:
            asked.set()
        return list(range(offset, offset + size))
    entries = by_offset(fetch, 2)
    assert next(entries) == 0
    assert asked.wait(10)
    entries.close()


@pytest.mark.parametrize('worth_seconds', [0, 60], ids=['slow array', 'quick array'])
def test_pages_come_in_their_order_however_long_they_take(monkeypatch, worth_seconds):
    monkeypatch.setattr(paging, '_WORTH_SECONDS', worth_seconds)
    there = list(range(25))
    assert list(by_offset(lambda offset, size: there[offset:offset + size], 10)) == there


def test_pages_of_a_quick_array_are_fetched_when_they_are_wanted(monkeypatch):
    monkeypatch.setattr(paging, '_WORTH_SECONDS', 60)
    asked = []
    entries = by_offset(lambda offset, size: asked.append(offset) or [offset], 1)
    next(entries)
    assert asked == [0]
    next(entries)
    assert asked == [0, 1]


@pytest.mark.usefixtures('slow_array')
def test_a_list_that_nobody_reads_to_its_end_leaves_no_thread():
    before = threading.active_count()
    entries = by_offset(lambda offset, size: list(range(offset, offset + size)), 2)
    assert next(entries) == 0
    entries.close()
    assert threading.active_count() == before
