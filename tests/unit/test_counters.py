# SPDX-License-Identifier: Apache-2.0
"""From counters to rates: what is a rate, and when there is none to be told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delfin.drivers.utils.counters import RateMeter, Rates, Reading, growth

BOOTED = 1_800_000_000_000      # epoch ms


def reading(seconds: float, era: str = '', **counts: int) -> Reading[str]:
    """What a machine counts that has been up for so many seconds: one counter for each thing."""
    return Reading({thing: {'reads': count} for thing, count in counts.items()}, seconds,
                   BOOTED + round(seconds * 1000), era)


class Collector:
    """Measures again and again, and counts the pauses."""

    def __init__(self) -> None:
        self.pauses = 0
        self._meter = RateMeter[str](self._pause)

    def _pause(self, seconds: float) -> None:
        self.pauses += 1

    def measure(self, *readings: Reading[str]) -> Rates[str]:
        """One call, in which there are these readings."""
        following: Iterator[Reading[str]] = iter(readings)
        return self._meter.measure(next(following), again=lambda: next(following))

    def reads(self, *readings: Reading[str]) -> dict[str, float]:
        """Reads per second that one call tells."""
        return {thing: rates['reads'] for thing, rates in self.measure(*readings).per_second.items()}


@pytest.fixture
def collector() -> Collector:
    return Collector()


def test_the_first_call_measures_for_a_second(collector: Collector) -> None:
    assert collector.reads(reading(100, disk=5_000_000), reading(101, disk=5_000_300)) == {'disk': 300}


def test_later_calls_tell_the_mean_since_the_one_before(collector: Collector) -> None:
    collector.measure(reading(100, disk=0), reading(101, disk=100))
    assert (collector.reads(reading(161, disk=6100)), collector.pauses) == ({'disk': 100}, 1)


def test_a_point_has_the_time_at_which_its_reading_was_taken(collector: Collector) -> None:
    assert collector.measure(reading(100, disk=0), reading(101, disk=1)).time == BOOTED + 101_000


def test_a_clock_that_is_set_does_not_bend_rates(collector: Collector) -> None:
    collector.measure(reading(100, disk=0), reading(101, disk=0))
    later = Reading({'disk': {'reads': 600}}, 161, BOOTED - 3_600_000)
    assert collector.reads(later) == {'disk': 10}


@pytest.mark.parametrize('count', [0, 40])
def test_a_counter_that_was_reset_is_measured_anew(collector: Collector, count: int) -> None:
    collector.measure(reading(100, disk=0), reading(101, disk=1000))
    assert collector.reads(reading(161, disk=count), reading(162, disk=count + 7)) == {'disk': 7}


def test_what_was_not_reset_keeps_its_mean_over_the_whole_time(collector: Collector) -> None:
    collector.measure(reading(100, a=1000, b=0), reading(101, a=1000, b=0))
    assert collector.reads(reading(160, a=0, b=500), reading(161, a=7, b=600)) == {'a': 7, 'b': 10}


def test_after_a_reboot_everything_is_measured_anew(collector: Collector) -> None:
    collector.measure(reading(100, 'boot 1', disk=0), reading(101, 'boot 1', disk=10))
    # The machine has been busy since: a difference would be positive, and wrong.
    assert collector.reads(reading(500, 'boot 2', disk=9000), reading(501, 'boot 2', disk=9001)) == {'disk': 1}


def test_a_clock_that_goes_back_is_a_reboot(collector: Collector) -> None:
    collector.measure(reading(100, disk=0), reading(101, disk=10))
    assert collector.reads(reading(20, disk=9000), reading(21, disk=9001)) == {'disk': 1}


def test_a_new_thing_has_a_rate_at_once(collector: Collector) -> None:
    collector.measure(reading(100, old=0), reading(101, old=0))
    assert collector.reads(reading(160, old=0, new=10**9), reading(161, old=60, new=10**9 + 5)) == {'old': 1, 'new': 5}


def test_what_is_gone_costs_no_pause(collector: Collector) -> None:
    collector.measure(reading(100, stays=0, goes=0), reading(101, stays=0, goes=0))
    assert (collector.reads(reading(161, stays=60)), collector.pauses) == ({'stays': 1}, 1)


def test_what_goes_within_the_second_has_no_rate(collector: Collector) -> None:
    assert collector.reads(reading(100, stays=0, goes=0), reading(101, stays=2)) == {'stays': 2}


def test_what_comes_within_the_second_has_one_next_time(collector: Collector) -> None:
    assert collector.reads(reading(100, stays=0), reading(101, stays=2, comes=10)) == {'stays': 2}
    assert collector.reads(reading(111, stays=2, comes=30)) == {'stays': 0, 'comes': 2}


def test_a_question_that_comes_too_soon_waits_for_its_answer(collector: Collector) -> None:
    collector.measure(reading(100, disk=0), reading(101, disk=0))
    assert collector.reads(reading(101.1, disk=50), reading(102.1, disk=110)) == {'disk': pytest.approx(100)}


def test_things_that_are_asked_for_in_turn_do_not_shorten_each_others_time(collector: Collector) -> None:
    collector.measure(reading(100, disk=0), reading(101, disk=0))
    collector.measure(reading(102, port=0), reading(103, port=0))
    assert collector.reads(reading(161, disk=60)) == {'disk': 1}
    assert collector.reads(reading(163, port=120)) == {'port': 2}


def test_the_mean_of_days_is_not_taken_for_the_rate_of_now(collector: Collector) -> None:
    collector.measure(reading(100, disk=0), reading(101, disk=0))
    assert collector.reads(reading(200_000, disk=10**9), reading(200_001, disk=10**9 + 3)) == {'disk': 3}


def test_other_counters_than_before_are_measured_anew(collector: Collector) -> None:
    collector.measure(reading(100, disk=0), reading(101, disk=0))
    both = [Reading({'disk': {'reads': count, 'writes': count}}, seconds, 0)
            for seconds, count in ((161, 60), (162, 70))]
    assert collector.measure(*both).per_second == {'disk': {'reads': 10, 'writes': 10}}


def test_a_call_that_failed_halfway_loses_nothing(collector: Collector) -> None:
    collector.measure(reading(100, old=0), reading(101, old=0))
    with pytest.raises(StopIteration):      # there is no second reading
        collector.measure(reading(161, old=60, new=0))
    assert collector.reads(reading(171, old=140, new=20)) == {'old': 2, 'new': 2}


def test_what_is_forgotten_is_measured_anew() -> None:
    pauses: list[float] = []
    meter = RateMeter[str](pauses.append)
    meter.measure(reading(100, disk=0), lambda: reading(101, disk=0))
    meter.forget()
    meter.measure(reading(161, disk=10), lambda: reading(162, disk=10))
    assert len(pauses) == 2


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2**64), st.sampled_from(['', 'boot 2'])), max_size=12))
def test_no_rate_is_ever_negative(steps: list[tuple[int, int, str]]) -> None:
    seconds, readings = 0, []
    for step, count, era in steps:
        seconds += step
        readings.append(reading(seconds, era, disk=count))
    collector = Collector()
    for first, second in zip(readings, readings[1:], strict=False):
        assert all(rate >= 0 for rate in collector.reads(first, second).values())


# --- between two readings that were written down ---

def written(seconds: float, **things: int) -> Reading[str]:
    return Reading({name: {'reads': value} for name, value in things.items()}, seconds, round(seconds * 1000))


def test_growth_is_what_lies_between() -> None:
    found = growth(written(100, a=10, b=5), written(110, a=40, b=5))
    assert (found.seconds, found.begun, found.restarted) == (10, frozenset(), False)
    assert found.per_second() == {'a': {'reads': 3}, 'b': {'reads': 0}}


def test_what_has_counted_less_or_is_new_has_begun_and_has_no_growth() -> None:
    found = growth(written(100, a=10, b=5, gone=7), written(110, a=40, b=4, c=1, idle=0))
    assert found.counters == {'a': {'reads': 30}}
    assert found.begun == {'b', 'c'}


@pytest.mark.parametrize(('newer', 'restarted'), [
    ({'a': 1, 'b': 2, 'c': 0}, True), ({'a': 11, 'b': 21, 'c': 0}, False), ({'a': 1, 'b': 50, 'c': 60}, False)])
def test_a_machine_has_restarted_if_most_of_what_is_busy_has_begun(newer: dict[str, int], restarted: bool) -> None:
    assert growth(written(100, a=10, b=20, c=0), written(110, **newer)).restarted is restarted


@pytest.mark.parametrize('seconds', [100, 99])
def test_readings_have_an_order(seconds: float) -> None:
    with pytest.raises(ValueError, match='wrong order'):
        growth(written(100, a=1), written(seconds, a=2))
