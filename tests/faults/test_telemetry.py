# SPDX-License-Identifier: Apache-2.0
"""Collecting metrics through a day in which everything goes wrong that can: what comes of it at the receiver.

In short an hour; with DELFIN_LONG=1 the whole day. The clock jumps, so it takes seconds.
"""

from __future__ import annotations

import contextlib
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from delfin.db import Database
from delfin.db.schema import Schema
from delfin.db.sqlalchemy import models
from tests.faults.cluster import LONG
from tests.faults.telemetry_day import BEGIN, INTERVAL, Array, Day, value_of

HOUR = 3600
SECONDS = 24 * HOUR if LONG else HOUR
MINUTE_MS = 60_000
SEEDS = range(3) if LONG else range(1)
SERIES = [('volume', 'v1', 'iops'), ('volume', 'with "quotes"', 'responseTime')]


def arrays() -> list[Array]:
    """One of each nature."""
    return [
        Array('keeps', historic=True), Array('clock ahead', historic=True, skew=2 * HOUR),
        Array('clock behind', historic=True, skew=-40 * 60),
        Array('keeps little', historic=True, retention=1200),
        Array('says not how far', historic=True, tells_latest=False, lag=40),
        Array('is late', historic=True, tells_latest=False, lag=400),
        Array('keeps nothing', historic=False), Array('slow', historic=True, step=300),
    ]


@contextlib.contextmanager
def begun(folder: Path, seed: int) -> Iterator[Day]:
    database = Database(f'sqlite:///{folder}/delfin.sqlite')
    Schema(database).upgrade()
    day = Day(database, arrays(), seed)
    try:
        yield day
    finally:
        day.close()
        database.close()


@pytest.fixture(scope='module', params=SEEDS, ids=[f'seed-{seed}' for seed in SEEDS])
def day(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    """A day with outages of arrays and of the receiver, moves, restarts, crashes; its last eighth is quiet."""
    with begun(tmp_path_factory.mktemp('day'), request.param) as day:
        make_trouble(day)
        yield day


def make_trouble(day: Day) -> None:
    """Let the day pass."""
    chance, loud = day.chance, SECONDS * 7 // 8
    events = []
    often = max(2, SECONDS // 7200)
    for array in day.arrays:
        forgets = array.name == 'keeps little'      # what it has measured before it is back
        begin = BEGIN + chance.randrange(600, 900 if forgets else loud // 2)
        array.away.append((begin, begin + (1800 if forgets else chance.choice([250, 900]))))
        if LONG:
            begin = BEGIN + chance.randrange(loud // 2, loud - 5 * HOUR)
            array.away.append((begin, begin + chance.choice([HOUR, 3 * HOUR, 4 * HOUR])))
        events += [(chance.randrange(loud), lambda array=array: day.move(array)) for _ in range(often)]
    events += [(chance.randrange(loud), lambda node=node: day.restart(node)) for node in day.NODES
               for _ in range(often)]

    def receiver(away: bool) -> None:
        day.receiver.away = away

    events += [(loud * 0.2, lambda: receiver(True)), (loud * 0.5, lambda: receiver(False))]
    day.fragile.share = 0.05
    events.append((loud, lambda: setattr(day.fragile, 'share', 0.0)))
    day.run(SECONDS, events)


def within(time: int, spans: list[tuple[int, int]]) -> bool:
    return any(begin <= time < end for begin, end in spans)


def test_every_point_comes_that_the_array_could_still_tell(day: Day) -> None:
    assert day.fragile.crashes and day.receiver.arrived
    told = 0
    for array in day.arrays:
        if not array.historic:
            continue
        for resource_type, resource_id, name in SERIES:
            arrived = day.arrived(array, resource_type, resource_id, name)
            gaps, mark = day.gaps(array, resource_type), day.mark(array, resource_type)
            first = min(arrived)
            produced = set(array.times(first, mark))
            assert first <= (BEGIN + array.skew + 2 * INTERVAL) * 1000, array.name
            assert produced - arrived.keys() == {time for time in produced if within(time, gaps)}, array.name
            assert all(value == value_of(resource_id, time) for time, value in arrived.items())
            assert arrived.keys() <= produced
            told += len(gaps)
            # What is lost is no more than what the array had already forgotten when it could be asked again.
            for begin, end in gaps:
                assert any(end / 1000 <= to + array.skew - array.retention + 2 * INTERVAL + array.lag + 900 and
                           begin / 1000 >= since + array.skew - array.lag - 3 * INTERVAL
                           for since, to in array.away), (array.name, begin, end)
    assert told, 'no array was away for longer than it keeps its points'


def test_it_is_up_to_date_when_all_is_well_again(day: Day) -> None:
    for array in day.arrays:
        newest = max(day.arrived(array, 'volume', 'v1', 'iops'))
        late = (day.clock.now + array.skew) - newest / 1000
        assert late <= 2 * INTERVAL + array.lag + array.step + 60, array.name


def test_an_array_that_keeps_nothing_tells_what_was_missed(day: Day) -> None:
    array = next(each for each in day.arrays if not each.historic)
    times = sorted(day.arrived(array, 'volume', 'v1', 'iops'))
    gaps = day.gaps(array, 'volume')
    for before, after in zip(times, times[1:], strict=False):
        if after - before > 2.5 * INTERVAL * 1000:
            assert any(begin <= after and end > before for begin, end in gaps), (before, after)
    assert all(any(begin / 1000 <= to and end / 1000 > since - 3 * INTERVAL for since, to in array.away)
               for begin, end in gaps)


def test_a_quiet_day_needs_no_more_at_its_end_than_at_its_begin(tmp_path: Path) -> None:
    """Neither in the database nor in memory; and no array is asked more than it must be."""
    with begun(tmp_path, 0) as day:
        day.run(SECONDS // 4, [])
        before, series = sizes(day), len(day.receiver.arrived)
        tracemalloc.start()
        day.run(SECONDS, [])
        grown = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        points = sum(map(len, day.receiver.arrived.values()))
        assert (sizes(day), len(day.receiver.arrived)) == (before, series)
        assert grown < 200 * points + 2**20        # the receiver of this test remembers every point
        for array in day.arrays:
            assert array.asked['collect_perf_metrics'] <= SECONDS / INTERVAL + 3, array.name
            assert array.asked['get_capabilities'] <= SECONDS / 900 + 3, array.name


def sizes(day: Day) -> dict[str, int]:
    tables = (models.metric_queue, models.metric_gaps, models.collection_marks, models.metric_feeds)
    with day.database.read() as connection:
        return {table.name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
                for table in tables}
