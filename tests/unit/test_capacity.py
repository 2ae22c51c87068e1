# SPDX-License-Identifier: Apache-2.0
"""When a storage will be full: the trend follows how things go, not single days; and a row a day that it is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delfin import capacity as trends
from delfin.capacity import Forecast, Level
from delfin.db import Database, capacity, runs, storages
from delfin.task_manager.sync.inventory import Inventory
from tests.unit.support import Rest, ScriptedDoor, as_documented, masker_for, recorded_writes, take_run

TODAY = date(2026, 11, 5)
TIB = 2**40


def levels(used: Sequence[float | None], total: int = 1000) -> list[Level]:
    """One a day up to today; None: no sync that day."""
    return [Level(TODAY - timedelta(days=len(used) - 1 - place), int(value), int(total - value))
            for place, value in enumerate(used) if value is not None]


# --- the trend ---

def test_steady_growth_is_carried_on() -> None:
    assert trends.forecast(levels([100 + 10 * day for day in range(30)]), TODAY) == Forecast(10, 61)


def test_the_last_month_counts_when_it_has_enough_days() -> None:
    slow_then_fast = [100 + day for day in range(60)] + [160 + 10 * day for day in range(30)]
    assert trends.forecast(levels(slow_then_fast), TODAY).bytes_per_day == 10


def test_an_array_that_is_seldom_synced_is_judged_by_three_months() -> None:
    weekly = [100 + day if day % 9 == 0 else None for day in range(90)]
    assert trends.forecast(levels(weekly), TODAY).bytes_per_day == 1


@pytest.mark.parametrize('event', [
    pytest.param(lambda day: -300 if day == 12 else 0, id='one wrong number'),
    pytest.param(lambda day: 400 if day in (20, 21) else 0, id='a copy for two days'),
    pytest.param(lambda day: -60 if day >= 27 else 0, id='a clean-up'),
])
def test_single_events_do_not_turn_the_trend(event: Any) -> None:
    forecast = trends.forecast(levels([400 + 10 * day + event(day) for day in range(30)]), TODAY)
    assert forecast.bytes_per_day == pytest.approx(10, rel=0.1)


@pytest.mark.parametrize(('used', 'expected'), [
    ([500] * 30, Forecast(0, None)),
    ([500 - day for day in range(30)], Forecast(-1, None)),
    ([100 + 10 * day for day in range(6)], Forecast(None, None)),
    ([100, 110, 120, 130, None, None, None, None, 180, 190], Forecast(None, None)),
    ([], Forecast(None, None)),
    ([1000] * 30, Forecast(0, 0)),
    ([1000], Forecast(None, 0)),
], ids=['flat', 'shrinking', 'six days', 'six of ten days', 'nothing', 'full', 'full today'])
def test_there_is_no_forecast_without_growth_or_days(used: list[float | None], expected: Forecast) -> None:
    assert trends.forecast(levels(used), TODAY) == expected


def test_what_takes_more_than_ten_years_is_no_forecast() -> None:
    assert trends.forecast(levels([100 + day for day in range(30)], total=10**6), TODAY) == Forecast(1, None)


def test_a_pool_that_is_no_more_is_not_forecast() -> None:
    old = [Level(TODAY - timedelta(days=100 + day), 10 * (30 - day), 0) for day in range(30)]
    assert trends.forecast(old, TODAY) == Forecast(None, None)


def test_a_larger_pool_is_full_later() -> None:
    grown = [Level(each.day, each.used, each.free + (1000 if each.day == TODAY else 0))
             for each in levels([100 + 10 * day for day in range(30)])]
    assert trends.forecast(grown, TODAY) == Forecast(10, 161)


@pytest.mark.parametrize(('total', 'used', 'free', 'expected'), [
    (100, 60, 30, (60, 30)), (100, 60, None, (60, 40)), (100, None, 30, (70, 30)), (None, 60, None, (60, None)),
    (100, 130, None, (130, 0)), (100, None, None, None), (None, None, 30, None)])
def test_what_is_not_said_follows_from_the_rest(total: int | None, used: int | None, free: int | None,
                                                expected: tuple[int, int | None] | None) -> None:
    row = {'day': TODAY, 'total_capacity': total, 'used_capacity': used, 'free_capacity': free}
    assert trends.level(row) == (expected and Level(TODAY, *expected))


@given(st.lists(st.one_of(st.none(), st.integers(0, 100 * TIB)), max_size=100), st.integers(0, 100 * TIB))
def test_any_history_has_a_forecast_that_makes_sense(used: list[int | None], total: int) -> None:
    known = [Level(TODAY - timedelta(days=place), value, max(0, total - value))
             for place, value in enumerate(used) if value is not None]
    forecast = trends.forecast(known, TODAY)
    if forecast.bytes_per_day is not None:
        recent = [each.used for each in known if each.day > TODAY - timedelta(days=90)]
        assert abs(forecast.bytes_per_day) <= max(recent) - min(recent)
    if forecast.days_to_full is not None:
        assert 0 <= forecast.days_to_full <= trends.FURTHEST_DAYS
        assert forecast.days_to_full == 0 or (forecast.bytes_per_day or 0) > 0
    assert trends.forecast(reversed(known), TODAY) == forecast


@given(st.lists(st.integers(0, 1000), min_size=7, max_size=30), st.integers(-50, 50))
def test_adding_the_same_each_day_adds_it_to_the_trend(used: list[int], more: int) -> None:
    days = [Level(TODAY + timedelta(days=place), value, 0) for place, value in enumerate(used)]
    faster = [Level(each.day, each.used + more * place, 0) for place, each in enumerate(days)]
    assert trends.slope(faster) == pytest.approx(trends.slope(days) + more)


# --- a row a day ---

class Array:
    """A storage with pools that is synced."""

    def __init__(self, database: Database, storage_id: str) -> None:
        self.database, self.storage_id = database, storage_id
        self.door = ScriptedDoor()
        self.set(700, a=300, b=400)

    def set(self, used: int, **pools: int) -> None:
        self.door.answers['get_storage'] = {
            'serial_number': 'SN-1', 'total_capacity': TIB, 'used_capacity': used, 'free_capacity': TIB - used}
        self.door.answers['list_storage_pools'] = [
            {'native_storage_pool_id': name, 'name': f'pool {name}', 'total_capacity': TIB, 'used_capacity': value,
             'free_capacity': TIB - value} for name, value in pools.items()]

    def sync(self, *kinds: str) -> None:
        taken = take_run(self.database, self.storage_id, kinds or ('storage_pools',))
        Inventory(self.database, self.door, masker_for()).run(taken)
        with self.database.write() as connection:
            runs.finish(connection, taken, 50)

    def used(self, kind: str) -> Mapping[str, list[int]]:
        """Used bytes by native id, oldest day first."""
        with self.database.read() as connection:
            found: dict[str, list[int]] = {}
            for row in capacity.history(connection, self.storage_id, kind, None, date(1970, 1, 1), 1000):
                found.setdefault(row['native_id'], []).append(row['used_capacity'])
        return found


@pytest.fixture
def array(database: Database, storage_id: str) -> Array:
    return Array(database, storage_id)


@pytest.fixture
def day(monkeypatch: pytest.MonkeyPatch) -> list[date]:
    """Today by the database's clock, which the test moves."""
    moving = [TODAY]
    monkeypatch.setattr(capacity, 'today', lambda connection: moving[0])
    return moving


def test_a_sync_notes_how_full_the_storage_and_its_pools_are(array: Array) -> None:
    array.sync()
    assert array.used('storages') == {'': [700]}
    assert array.used('storage_pools') == {'a': [300], 'b': [400]}


def test_the_last_sync_of_a_day_counts(array: Array) -> None:
    array.sync()
    array.set(750, a=350, b=400, c=0)
    array.sync()
    assert array.used('storages') == {'': [750]}
    assert array.used('storage_pools') == {'a': [350], 'b': [400], 'c': [0]}


def test_an_unchanged_day_costs_no_write(array: Array) -> None:
    array.sync()
    with recorded_writes(array.database) as writes:
        array.sync()
    assert not [statement for statement in writes if 'capacity_history' in statement]


def test_each_day_has_a_row_also_when_nothing_has_changed(array: Array, day: list[date]) -> None:
    array.sync()
    day[0] += timedelta(days=1)
    array.sync()
    array.set(800, a=400)           # b is no more
    day[0] += timedelta(days=1)
    array.sync()
    assert array.used('storages') == {'': [700, 700, 800]}
    assert array.used('storage_pools') == {'a': [300, 300, 400], 'b': [400, 400]}


def test_what_was_not_asked_today_is_not_noted_for_today(array: Array, day: list[date]) -> None:
    array.sync()
    day[0] += timedelta(days=1)
    array.door.answers['list_storage_pools'] = RuntimeError('broken')
    array.sync()
    assert (array.used('storages'), array.used('storage_pools')) == ({'': [700, 700]}, {'a': [300], 'b': [400]})


def test_a_storage_that_says_nothing_of_its_capacity_has_no_history(array: Array) -> None:
    array.door.answers |= {'get_storage': {'serial_number': 'SN-1'}, 'list_storage_pools': []}
    array.sync()
    assert (array.used('storages'), array.used('storage_pools')) == ({}, {})


def test_old_days_are_deleted_one_by_one(array: Array, day: list[date]) -> None:
    for _ in range(5):
        array.sync()
        array.set(array.used('storages')[''][-1] + 1)
        day[0] += timedelta(days=1)
    day[0] = TODAY + timedelta(days=4)
    deleted = 0
    with array.database.write() as connection:
        while capacity.delete_old(connection, 2):
            deleted += 1
    assert (deleted, array.used('storages')) == (3, {'': [703, 704]})


def test_a_removed_storage_takes_its_days_along(array: Array) -> None:
    array.sync()
    with array.database.write() as connection:
        assert capacity.delete_some(connection, array.storage_id, 2) == 3      # all of that day
        assert capacity.delete_some(connection, array.storage_id, 2) == 0


# --- REST ---

PATH = '/v1/storages/{id}/capacity-history'


@pytest.fixture
def grown(array: Array, day: list[date]) -> Array:
    """Ten days in which it grew by a GiB a day."""
    for number in range(10):
        day[0] = TODAY - timedelta(days=9 - number)
        array.set((number + 1) << 30, a=number << 30, b=7)
        array.sync()
    return array


def test_the_history_of_a_storage_tells_when_it_will_be_full(rest: Rest, grown: Array) -> None:
    answer = rest.get(f'/v1/storages/{grown.storage_id}/capacity-history')
    assert as_documented(answer, f'GET {PATH}')
    (found,) = answer.body['capacity_history']
    points = found.pop('points')
    assert found == {'kind': 'storages', 'native_id': None, 'name': None, 'bytes_per_day': 2**30,
                     'days_to_full': 1014.0}
    assert len(points) == 10 and points[-1] == {
        'day': '2026-11-05', 'total_capacity': TIB, 'used_capacity': 10 << 30, 'free_capacity': TIB - (10 << 30)}


def test_pools_have_their_own_and_bounds_of_days_do_not_change_the_forecast(rest: Rest, grown: Array) -> None:
    answer = rest.get(f'/v1/storages/{grown.storage_id}/capacity-history?kind=storage_pools'
                      '&start=2026-11-01T00:00:00Z&end=2026-11-02T23:59:59Z')
    assert as_documented(answer, f'GET {PATH}')
    assert [(each['native_id'], each['name'], each['bytes_per_day'], each['days_to_full'],
             [point['day'] for point in each['points']]) for each in answer.body['capacity_history']] == [
        ('a', 'pool a', 2**30, 1015.0, ['2026-11-01', '2026-11-02']),
        ('b', 'pool b', 0, None, ['2026-11-01', '2026-11-02'])]
    one = rest.get(f'/v1/storages/{grown.storage_id}/capacity-history?kind=storage_pools&native_id=b')
    assert [each['native_id'] for each in one.body['capacity_history']] == ['b']


@pytest.mark.parametrize('query', ['kind=volumes', 'start=yesterday', 'start=2026-11-05T00:00:00Z&end=0',
                                   'kind=storages&kind=storage_pools', 'day=1'])
def test_what_makes_no_sense_is_refused(rest: Rest, storage_id: str, query: str) -> None:
    answer = rest.get(f'/v1/storages/{storage_id}/capacity-history?{query}')
    assert (answer.status, answer.error) == (400, 'InvalidInput')


def test_a_storage_that_is_not_there_is_404(rest: Rest, database: Database, storage_id: str) -> None:
    with database.write() as connection:
        storages.hide(connection, storage_id)
    assert rest.get(f'/v1/storages/{storage_id}/capacity-history').status == 404
