# SPDX-License-Identifier: Apache-2.0
"""Writers of one process write in the order in which they came."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy.exc import OperationalError

from delfin.db import Database
from delfin.db.turns import Turns
from tests.unit.support import PATIENCE_SECONDS, in_thread, until


def queue_up(turns: Turns, name: object, order: list[object], count: int):
    """A thread that waits for its turn behind `count` others."""
    def wait():
        with turns.turn():
            order.append(name)
    future = in_thread(wait)
    until(lambda: len(turns._waiting) == count + 1)
    return future


def test_the_turn_goes_round_in_the_order_of_asking():
    turns, order = Turns(PATIENCE_SECONDS), []
    with turns.turn():
        waiting = [queue_up(turns, number, order, number) for number in range(5)]
    for future in waiting:
        future.result(PATIENCE_SECONDS)
    assert order == [0, 1, 2, 3, 4]


def test_who_has_just_had_it_comes_behind_those_who_wait():
    turns, order = Turns(PATIENCE_SECONDS), []
    with turns.turn():
        other = queue_up(turns, 'other', order, 0)
    with turns.turn():
        order.append('again')
    other.result(PATIENCE_SECONDS)
    assert order == ['other', 'again']


def test_who_has_waited_too_long_leaves_the_queue():
    turns, order = Turns(0.05), []
    with turns.turn():
        impatient = queue_up(turns, 'impatient', order, 0)
        with pytest.raises(TimeoutError):
            impatient.result(PATIENCE_SECONDS)
    with turns.turn():
        pass
    assert order == [] and not turns._busy


def test_an_error_passes_the_turn_on():
    turns = Turns(PATIENCE_SECONDS)
    with pytest.raises(ValueError, match='boom'), turns.turn():
        raise ValueError('boom')
    with turns.turn():
        pass


def test_a_writer_that_never_ends_is_a_locked_database_for_the_others(migrated_file, tmp_path):
    database = Database(f'sqlite:///{migrated_file}', sqlite_busy_timeout_seconds=1)
    entered, leave = threading.Event(), threading.Event()

    def hold():
        with database.write():
            entered.set()
            leave.wait(PATIENCE_SECONDS)
    holder = in_thread(hold)
    assert entered.wait(PATIENCE_SECONDS)
    with pytest.raises(OperationalError, match='database is locked'), database.write():
        pass
    leave.set()
    holder.result(PATIENCE_SECONDS)
    database.close()
