# SPDX-License-Identifier: Apache-2.0
"""What was refused: counted in bounded memory, told in few lines."""

from __future__ import annotations

import logging
import threading

import pytest

from delfin.alert_manager.rejected import REST, Count, Rejected


class Clock:
    """Seconds since the epoch that pass when told to."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def lines(caplog):
    """Gives the lines logged so far."""
    caplog.set_level(logging.INFO, 'delfin.alert_manager.rejected')
    return lambda: caplog.messages


def note(rejected, number, address='10.0.0.1', reason='unknown_sender'):
    for _ in range(number):
        rejected.note(address, reason)


def flood(rejected, number, reason='unknown_sender'):
    for value in range(number):
        rejected.note(f'172.16.{value // 256}.{value % 256}', reason)


def counts(rejected):
    return {(count.address, count.reason): count.count for count in rejected.drain()}


# --- counting ---

def test_an_address_is_counted_with_each_of_its_reasons(clock):
    rejected = Rejected(clock=clock)
    note(rejected, 2)
    note(rejected, 1, reason='malformed')
    assert counts(rejected) == {('10.0.0.1', 'unknown_sender'): 2, ('10.0.0.1', 'malformed'): 1}


def test_a_count_says_from_when_to_when(clock):
    rejected = Rejected(clock=clock)
    note(rejected, 1)
    clock.now += 2.5
    note(rejected, 1)
    assert rejected.drain() == [Count('10.0.0.1', 'unknown_sender', 2, 1_000_000, 1_002_500)]


def test_what_was_drained_does_not_come_again(clock):
    rejected = Rejected(clock=clock)
    note(rejected, 1)
    rejected.drain()
    assert rejected.drain() == []


def test_the_next_drain_begins_anew(clock):
    rejected = Rejected(clock=clock)
    note(rejected, 1)
    rejected.drain()
    clock.now += 1
    note(rejected, 1)
    assert rejected.drain() == [Count('10.0.0.1', 'unknown_sender', 1, 1_001_000, 1_001_000)]


def test_counts_that_could_not_be_stored_come_with_the_next(clock):
    rejected = Rejected(clock=clock)
    note(rejected, 2)
    drained = rejected.drain()
    clock.now += 1
    note(rejected, 1)
    rejected.give_back(drained)
    assert rejected.drain() == [Count('10.0.0.1', 'unknown_sender', 3, 1_000_000, 1_001_000)]


def test_no_refusal_is_lost_between_threads():
    rejected = Rejected()
    found = []
    threads = [threading.Thread(target=note, args=(rejected, 5000)) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        found += rejected.drain()
    found += rejected.drain()
    assert sum(count.count for count in found) == 20_000


# --- bounds ---

def test_a_flood_of_forged_addresses_is_one_row(clock):
    rejected = Rejected(most=12, clock=clock)
    flood(rejected, 5000)
    found = counts(rejected)
    assert (len(found), found[REST, 'unknown_sender']) == (10, 4991)        # three quarters of the places


def test_a_flood_leaves_places_for_senders_that_are_known(clock):
    rejected = Rejected(most=12, clock=clock)
    flood(rejected, 5000)
    note(rejected, 1, reason='wrong_community')
    assert counts(rejected)['10.0.0.1', 'wrong_community'] == 1


def test_a_flood_does_not_push_out_who_is_there(clock):
    rejected = Rejected(most=10, clock=clock)
    note(rejected, 1)
    rejected.drain()
    flood(rejected, 5000)
    note(rejected, 1)
    assert counts(rejected)['10.0.0.1', 'unknown_sender'] == 1


def test_who_is_there_may_be_refused_for_another_reason_when_it_is_full(clock):
    rejected = Rejected(most=10, clock=clock)
    note(rejected, 1)
    flood(rejected, 5000)
    note(rejected, 1, reason='wrong_community')
    assert counts(rejected)['10.0.0.1', 'wrong_community'] == 1


def test_the_rest_has_a_row_for_each_reason(clock):
    rejected = Rejected(most=0, clock=clock)
    note(rejected, 2)
    note(rejected, 1, reason='malformed')
    assert counts(rejected) == {(REST, 'unknown_sender'): 2, (REST, 'malformed'): 1}


def test_addresses_of_an_old_flood_make_room(clock):
    rejected = Rejected(most=10, clock=clock)
    flood(rejected, 10)
    clock.now += 3601
    rejected.drain()
    note(rejected, 1)
    assert counts(rejected) == {('10.0.0.1', 'unknown_sender'): 1}


def test_an_address_that_is_still_heard_keeps_its_place(clock):
    rejected = Rejected(most=2, clock=clock)
    for _ in range(3):
        clock.now += 3000
        note(rejected, 1)
        rejected.drain()
    flood(rejected, 5)
    note(rejected, 1)
    assert counts(rejected) == {('10.0.0.1', 'unknown_sender'): 1, (REST, 'unknown_sender'): 5}


# --- the log ---

def test_the_first_refusal_is_told_at_once(clock, lines):
    note(Rejected(clock=clock), 1)
    assert lines() == ['refused 1 datagram from 10.0.0.1: no storage has this alert source (unknown_sender)']


def test_an_address_has_one_line_a_minute(clock, lines):
    rejected = Rejected(clock=clock)
    note(rejected, 500)
    clock.now += 59
    note(rejected, 500)
    assert len(lines()) == 1


def test_the_next_line_says_how_many_it_stands_for(clock, lines):
    rejected = Rejected(clock=clock)
    note(rejected, 500)
    clock.now += 60
    note(rejected, 1)
    assert lines()[1:] == ['refused 500 datagrams from 10.0.0.1: no storage has this alert source (unknown_sender)']


def test_who_fell_silent_is_told_by_the_drain(clock, lines):
    rejected = Rejected(clock=clock)
    note(rejected, 500)
    clock.now += 60
    rejected.drain()
    assert lines()[1:] == ['refused 499 datagrams from 10.0.0.1: no storage has this alert source (unknown_sender)']


def test_all_addresses_together_have_few_lines_a_minute(clock, lines):
    rejected = Rejected(clock=clock, most_lines=5)
    flood(rejected, 500)
    rejected.drain()
    assert len(lines()) == 5


def test_the_lines_account_for_every_datagram(clock, lines):
    """Also for those whose lines did not fit, and those whose addresses were forgotten."""
    rejected = Rejected(most=100, clock=clock, most_lines=5)
    flood(rejected, 500)
    for _ in range(65):
        clock.now += 61
        rejected.drain()
    assert sum(int(line.split()[1]) for line in lines()) == 500


def test_a_clock_that_is_put_back_does_not_silence_the_log(clock, lines):
    rejected = Rejected(clock=clock, most_lines=1)
    clock.now += 86400
    note(rejected, 1)
    clock.now -= 86400
    note(rejected, 1)
    assert len(lines()) == 2


def test_a_line_holds_only_what_can_be_printed(clock, lines):
    note(Rejected(clock=clock), 1, address='fe80::1\n\x1b[31mroot')
    assert lines()[0].startswith('refused 1 datagram from fe80::1??[31mroot: ')
