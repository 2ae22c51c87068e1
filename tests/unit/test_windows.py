# SPDX-License-Identifier: Apache-2.0
"""What of an array's metrics is due: windows that neither overlap nor leave a gap, and gaps that are told."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from delfin.capabilities import Capabilities
from delfin.metrics import Gap, Mark
from delfin.task_manager.telemetry.windows import Window, plan, reached, retry_seconds

MINUTE, HOUR = 60_000, 3_600_000
NOW = 1_700_000_000_000
KEEPS_TWO_HOURS = Capabilities(is_historic=True, retention_seconds=7200)
KEEPS_NOTHING = Capabilities(is_historic=False)


def due(marks, capabilities=KEEPS_TWO_HOURS, end=NOW, types=('volume', 'disk')):
    return plan(types, marks, capabilities, 5 * MINUTE, end, end / 1000)


def test_a_new_array_is_asked_for_one_interval():
    assert due({}).windows == [Window(('volume', 'disk'), NOW - 5 * MINUTE, NOW)]


def test_it_goes_on_where_it_ended():
    marks = {'volume': Mark(NOW - MINUTE), 'disk': Mark(NOW - MINUTE)}
    assert due(marks).windows == [Window(('volume', 'disk'), NOW - MINUTE, NOW)]


def test_types_that_are_not_equally_far_have_windows_of_their_own():
    marks = {'volume': Mark(NOW - MINUTE), 'disk': Mark(NOW - 2 * MINUTE)}
    assert sorted(due(marks).windows) == [
        Window(('disk',), NOW - 2 * MINUTE, NOW), Window(('volume',), NOW - MINUTE, NOW)]


def test_what_has_just_failed_is_asked_alone():
    marks = {'volume': Mark(NOW - MINUTE, failures=1), 'disk': Mark(NOW - MINUTE, failures=1)}
    assert [window.resource_types for window in due(marks).windows] == [('volume',), ('disk',)]


def test_what_pauses_is_left_out():
    marks = {'volume': Mark(NOW - MINUTE, 1, retry_at=NOW / 1000 + 1), 'disk': Mark(NOW - MINUTE)}
    assert [window.resource_types for window in due(marks).windows] == [('disk',)]


def test_nothing_new_is_nothing_to_do():
    assert due({'volume': Mark(NOW), 'disk': Mark(NOW + 30 * MINUTE)}).windows == []


def test_what_the_array_does_not_keep_any_more_is_lost_and_told():
    found = due({'volume': Mark(NOW - 3 * HOUR)}, types=('volume',))
    assert found.gaps == [Gap('volume', NOW - 3 * HOUR, NOW - 2 * HOUR, 'retention')]
    assert found.windows == [Window(('volume',), NOW - 2 * HOUR, NOW - HOUR)]
    assert found.more


def test_an_array_that_keeps_nothing_has_lost_what_nobody_asked_for():
    found = due({'volume': Mark(NOW - 3 * HOUR)}, KEEPS_NOTHING, types=('volume',))
    assert found.gaps == [Gap('volume', NOW - 3 * HOUR, NOW - 5 * MINUTE, 'not_historic')]
    assert found.windows == [Window(('volume',), NOW - 5 * MINUTE, None)]


def test_a_little_late_is_no_loss():
    found = due({'volume': Mark(NOW - 9 * MINUTE)}, KEEPS_NOTHING, types=('volume',))
    assert (found.gaps, found.windows) == ([], [Window(('volume',), NOW - 9 * MINUTE, None)])


def test_a_clock_that_was_set_back_does_not_stop_the_collection():
    found = due({'volume': Mark(NOW + 2 * HOUR)}, types=('volume',))
    assert (found.set_back, found.windows) == (['volume'], [Window(('volume',), NOW - 5 * MINUTE, NOW)])


@given(st.lists(st.integers(1, 4 * HOUR), min_size=1, max_size=20))
def test_windows_of_an_array_follow_each_other_and_gaps_fill_the_rest(pauses):
    """Whatever the pauses: every moment from the first mark on is in just one window or gap."""
    until, end = NOW, NOW
    for pause in pauses:
        end += pause
        more = True
        while more:
            found = due({'volume': Mark(until)}, end=end, types=('volume',))
            covered = until
            for gap in found.gaps:
                assert gap.begin == covered
                covered = gap.end
            for window in found.windows:
                assert window.start == covered and window.end > window.start
                covered = window.end
            until, more = covered, found.more
        assert until == end


# --- marks ---

def test_where_the_array_says_how_far_it_is_the_window_is_done_with():
    assert reached(Window(('volume',), NOW - HOUR, NOW), NOW - 30 * MINUTE, NOW, 5 * MINUTE, True) == NOW


def test_else_late_points_are_waited_for_as_long_as_two_intervals():
    window = Window(('volume',), NOW - HOUR, NOW)
    assert reached(window, NOW - 3 * MINUTE, NOW, 5 * MINUTE, False) == NOW - 3 * MINUTE + 1
    assert reached(window, NOW - 30 * MINUTE, NOW, 5 * MINUTE, False) == NOW - 10 * MINUTE
    assert reached(window, None, NOW, 5 * MINUTE, False) == NOW - 10 * MINUTE


def test_the_next_point_of_what_keeps_nothing_comes_after_the_last():
    window = Window(('volume',), NOW - HOUR, None)
    assert reached(window, NOW + 5, NOW, 5 * MINUTE, False) == NOW + 6
    assert reached(window, None, NOW, 5 * MINUTE, False) == NOW


# --- pauses ---

def test_pauses_grow_and_end_before_the_array_forgets():
    pauses = [retry_seconds(failures, 300, KEEPS_TWO_HOURS) for failures in range(1, 8)]
    assert pauses == [60, 120, 240, 480, 900, 900, 900]
    brief = Capabilities(is_historic=True, retention_seconds=1200)
    assert max(retry_seconds(failures, 300, brief) for failures in range(1, 50)) == 300
    assert retry_seconds(1, 300, Capabilities(retry_seconds=7)) == 7
