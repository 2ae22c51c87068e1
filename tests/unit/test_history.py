# SPDX-License-Identifier: Apache-2.0
"""The embedded history of metrics: what was collected is there when it is asked for, within its bounds of days and
room, whatever happens to the process, the disk and the files.
"""

from __future__ import annotations

import itertools
import logging
import os
import signal
import sqlite3
import statistics
import subprocess
import sys
import threading
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delfin import exception
from delfin.history import MOST_POINTS, Query, packed, sheets, store, unpacked
from delfin.metrics import Owner
from delfin.own_metrics import OwnMetrics
from tests.checkouts import ROOT
from tests.unit.history_support import DAY, HOUR, MINUTE, NOON, OWNER, Clock, ask, points, put, running, series

# --- points ---

def test_what_was_collected_is_there_with_its_name_and_unit(tmp_path: Path) -> None:
    with running(tmp_path) as history:
        put(history, series('v1', {NOON: 5.25, NOON + MINUTE: 6}), series('v1', {NOON: 0.4}, 'responseTime', unit='ms'))
        found = ask(history)
    assert [one.view() for one in found] == [
        {'resource_type': 'volume', 'resource_id': 'v1', 'resource_name': 'volume v1', 'metric': 'iops',
         'unit': 'IOPS', 'points': [[NOON, 5.25], [NOON + MINUTE, 6.0]]},
        {'resource_type': 'volume', 'resource_id': 'v1', 'resource_name': 'volume v1', 'metric': 'responseTime',
         'unit': 'ms', 'points': [[NOON, 0.4]]}]


def test_a_point_that_comes_again_is_one_point_with_the_later_value(tmp_path: Path) -> None:
    with running(tmp_path) as history:
        put(history, series('v1', {NOON: 1, NOON + MINUTE: 2}), series('v1', {NOON: 9}, 'responseTime', unit='ms'))
        put(history, series('v1', {NOON + MINUTE: 3, NOON + 2 * MINUTE: 4}))
        assert points(ask(history)) == {
            ('v1', 'iops'): [(NOON, 1), (NOON + MINUTE, 3), (NOON + 2 * MINUTE, 4)],
            ('v1', 'responseTime'): [(NOON, 9)]}


def test_storages_types_resources_and_metrics_are_told_apart(tmp_path: Path) -> None:
    other = Owner('storage-2', 'other', 'Example', 'X1', 'SN-2')
    with running(tmp_path) as history:
        put(history, series('a', {NOON: 1}), series('b', {NOON: 2}), series('a', {NOON: 3}, 'throughput', unit='MB/s'))
        put(history, series('a', {NOON: 4}), owner=other)
        put(history, series('a', {NOON: 5}), resource_type='port')
        assert points(ask(history, 'iops', resources=('b', 'a'))) == {('a', 'iops'): [(NOON, 1)],
                                                                     ('b', 'iops'): [(NOON, 2)]}
        assert points(ask(history, 'throughput')) == {('a', 'throughput'): [(NOON, 3)]}
        assert points(ask(history, storage_id='storage-2')) == {('a', 'iops'): [(NOON, 4)]}
        assert points(ask(history, resource_type='port')) == {('a', 'iops'): [(NOON, 5)]}
        assert ask(history, resource_type='disk') == ask(history, 'cpuUsage') == ask(history, resources=('c',)) == []


def test_one_name_in_two_units_is_two_series(tmp_path: Path) -> None:
    with running(tmp_path) as history:
        put(history, series('v1', {NOON: 1}, 'x_wait', unit='ms'), series('v1', {NOON: 2}, 'x_wait', unit='KB'))
        assert [(one.unit, one.points) for one in ask(history)] == [('KB', [(NOON, 2)]), ('ms', [(NOON, 1)])]


def test_what_others_made_of_points_is_not_kept(tmp_path: Path) -> None:
    with running(tmp_path) as history:
        put(history, series('v1', {NOON: 1}), series('v1', {NOON: 7}, type='AGGREGATED'))
        assert points(ask(history)) == {('v1', 'iops'): [(NOON, 1)]}


def test_a_resource_shows_its_newest_name(tmp_path: Path) -> None:
    with running(tmp_path) as history:
        put(history, series('v1', {NOON: 1}, resource_name='old'))
        put(history, series('v1', {NOON + MINUTE: 2}, resource_name='new'))
        assert [one.resource_name for one in ask(history)] == ['new']


def test_start_belongs_to_it_and_end_does_not(tmp_path: Path) -> None:
    with running(tmp_path) as history:
        put(history, series('v1', {NOON + minute * MINUTE: minute for minute in range(5)}))
        assert points(ask(history, start=NOON + MINUTE, end=NOON + 3 * MINUTE)) == {
            ('v1', 'iops'): [(NOON + MINUTE, 1), (NOON + 2 * MINUTE, 2)]}


def test_few_of_many_resources_are_found(tmp_path: Path) -> None:
    with running(tmp_path) as history:
        for minute in range(3):
            put(history, *(series(f'v{number}', {NOON + minute * MINUTE: number}) for number in range(20)))
        assert points(ask(history, resources=('v7', 'v19'), end=NOON + 2 * MINUTE)) == {
            (f'v{number}', 'iops'): [(NOON, number), (NOON + MINUTE, number)] for number in (7, 19)}


# --- means ---

def test_a_step_gives_means_of_buckets_that_begin_at_its_multiples(tmp_path: Path) -> None:
    with running(tmp_path) as history:
        put(history, series('v1', {NOON + minute * MINUTE: minute for minute in range(12)}))
        found = ask(history, start=NOON + 7 * MINUTE, end=NOON + 11 * MINUTE, step=5 * MINUTE)
        assert points(found) == {('v1', 'iops'): [(NOON + 5 * MINUTE, 7), (NOON + 10 * MINUTE, 10.5)]}


def test_a_bucket_that_lies_in_two_files_is_one_mean(tmp_path: Path) -> None:
    clock = Clock()
    with running(tmp_path, clock, max_mb=1) as history:
        put(history, *(series(f'v{number}', {NOON: 1, NOON + MINUTE: 2}) for number in range(4000)))
        put(history, series('v1', {NOON + 2 * MINUTE: 6}))
        assert len(list(tmp_path.glob('*.sqlite'))) == 2
        assert points(ask(history, resources=('v1',), start=NOON, step=HOUR)) == {('v1', 'iops'): [(NOON, 3)]}


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 50), st.sampled_from('ab'), st.integers(-1000, 1000)), max_size=60),
       st.sampled_from([None, 2, 7, 60]), st.integers(0, 50), st.integers(1, 51))
def test_it_is_a_plain_dictionary_with_means(tmp_path_factory: pytest.TempPathFactory,
                                             collected: list[tuple[int, str, int]], step: int | None, start: int,
                                             length: int) -> None:
    model: dict[str, dict[int, float]] = {}
    with running(tmp_path_factory.mktemp('history')) as history:
        for minute, resource_id, value in collected:
            model.setdefault(resource_id, {})[minute] = value
            history.collected(OWNER, 'volume', [series(resource_id, {NOON + minute * MINUTE: value})], 60)
        assert history.wait_written(10)
        found = ask(history, start=NOON + start * MINUTE, end=NOON + (start + length) * MINUTE,
                    step=step and step * MINUTE)
    base = NOON // MINUTE
    begin = start - (base + start) % step if step else start
    finish = start + length + (-(base + start + length) % step if step else 0)
    expected: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for resource_id, values in sorted(model.items()):
        buckets: dict[int, list[float]] = defaultdict(list)
        for minute, value in sorted(values.items()):
            if begin <= minute < finish:
                buckets[minute - (base + minute) % step if step else minute].append(value)
        if buckets:
            expected[resource_id, 'iops'] = [(NOON + minute * MINUTE, pytest.approx(statistics.fmean(those)))
                                             for minute, those in buckets.items()]
    assert points(found) == expected


# --- bounds of an answer ---

def test_too_many_points_are_refused_with_the_step_that_fits(tmp_path: Path) -> None:
    with running(tmp_path) as history:
        put(history, *(series(f'v{number}', {NOON + minute * MINUTE: 1.0 for minute in range(60)})
                       for number in range(700)))
        with pytest.raises(exception.InvalidInput, match='700 series .* a step of 120 seconds fits'):
            ask(history, start=NOON, end=NOON + HOUR)
        with pytest.raises(exception.InvalidInput, match='a step of 120 seconds fits'):
            ask(history, start=NOON, end=NOON + HOUR, step=MINUTE)
        found = ask(history, start=NOON, end=NOON + HOUR, step=2 * MINUTE)
        assert sum(len(one.points) for one in found) == 700 * 30


def test_too_many_series_are_told_so() -> None:
    with pytest.raises(exception.InvalidInput, match='name fewer metrics or resources'):
        Query('s', 'volume', (), (), NOON, NOON + HOUR, HOUR).check(MOST_POINTS // 5)


def test_the_largest_answer_is_a_message_that_brokers_take(tmp_path: Path) -> None:
    with running(tmp_path) as history:
        put(history, *(series(f'600a098000d8c4f2000{number:013}', {NOON: number / 7}, resource_name=f'oracle-{number}')
                       for number in range(5000)))
        found = ask(history)
    text = packed(found)
    assert len(text) < 500_000 and unpacked(text) == [one.view() for one in found]


# --- bounds of days and room ---

def test_what_is_too_old_is_gone_as_soon_as_it_is(tmp_path: Path) -> None:
    clock = Clock()
    with running(tmp_path, clock, keep_days=2) as history:
        put(history, series('v1', {NOON: 1}))
        clock.now += DAY
        put(history, series('v1', {clock.now: 2}))
        clock.now += DAY + MINUTE
        assert points(ask(history, end=clock.now)) == {('v1', 'iops'): [(NOON + DAY, 2)]}


def test_files_that_are_too_old_are_deleted(tmp_path: Path) -> None:
    clock = Clock()
    with running(tmp_path, clock, keep_days=1) as history:
        for _ in range(8):
            put(history, series('v1', {clock.now: 1}))
            clock.now += 6 * HOUR
        history._trim()
        assert len(list(tmp_path.glob('*.sqlite'))) == 4


def test_the_last_file_goes_as_well_when_nothing_comes_any_more(tmp_path: Path) -> None:
    clock = Clock()
    with running(tmp_path, clock, keep_days=1) as history:
        put(history, series('v1', {clock.now: 1}))
        clock.now += 2 * DAY
        history._trim()
        assert list(tmp_path.glob('*.sqlite*')) == []


def test_the_oldest_points_go_when_there_is_too_little_room(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with running(tmp_path, max_mb=1) as history:
        for minute in range(15):
            put(history, *(series(f'v{number}', {NOON + minute * MINUTE: number / 3}) for number in range(2000)))
        history._trim()
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 1.5 * 2**20
        kept = points(ask(history, resources=('v7',)))['v7', 'iops']
        assert kept[-1][0] == NOON + 14 * MINUTE and kept[0][0] > NOON
    assert 'goes back only to 2026-11-05T12:' in caplog.text


def test_late_points_go_where_they_belong(tmp_path: Path) -> None:
    clock = Clock()
    with running(tmp_path, clock) as history:
        for back in (0, 7, 1, 30, 13):
            put(history, series('v1', {clock.now - back * HOUR: back}))
        assert points(ask(history)) == {('v1', 'iops'): [(NOON - back * HOUR, back) for back in (30, 13, 7, 1, 0)]}


@pytest.mark.parametrize('moment', [NOON - 8 * DAY, NOON + 2 * HOUR], ids=['long ago', 'in the future'])
def test_points_of_a_wrong_clock_are_counted_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture,
                                                      moment: int) -> None:
    with running(tmp_path) as history:
        put(history, series('v1', {moment: 1, NOON: 2}))
        assert points(ask(history)) == {('v1', 'iops'): [(NOON, 2)]}
        assert history.lost == 1
    assert 'look at the clock of the array' in caplog.text


def test_a_driver_that_invents_metrics_does_not_go_on_for_ever(tmp_path: Path, caplog: pytest.LogCaptureFixture
                                                               ) -> None:
    with running(tmp_path) as history:
        put(history, *(series('v1', {NOON: number}, f'x_{number}') for number in range(300)))
        assert (len(ask(history)), history.lost) == (256, 44)
        assert points(ask(history, 'x_0', 'x_17', 'x_255', 'x_256')) == {
            ('v1', f'x_{number}'): [(NOON, number)] for number in (0, 17, 255)}
    assert 'too many different metrics' in caplog.text


# --- storages that go ---

def test_a_storage_that_is_removed_takes_its_points_along(tmp_path: Path) -> None:
    clock = Clock()
    with running(tmp_path, clock) as history:
        for owner in (OWNER, Owner('storage-2', 'other', 'Example', 'X1', 'SN-2')):
            for back in (0, 9):
                put(history, series('v1', {NOON - back * HOUR: 1}), owner=owner)
        history.delete('storage-1')
        assert history.wait_written(10)
        assert ask(history) == []
        assert len(ask(history, storage_id='storage-2')[0].points) == 2
        put(history, series('v2', {NOON + MINUTE: 5}))          # it is registered again under the same id, say
        assert points(ask(history)) == {('v2', 'iops'): [(NOON + MINUTE, 5)]}


def test_what_moves_to_another_node_stays_here(tmp_path: Path) -> None:
    with running(tmp_path) as history:
        put(history, series('v1', {NOON: 1}))
        history.forget('storage-1')
        assert points(ask(history)) == {('v1', 'iops'): [(NOON, 1)]}


# --- starts, ends, deaths ---

def test_a_start_finds_what_was_there(tmp_path: Path) -> None:
    with running(tmp_path) as history:
        put(history, series('v1', {NOON: 1}), series('v2', {NOON: 2}))
    with running(tmp_path) as history:
        put(history, series('v2', {NOON + MINUTE: 4}), series('v3', {NOON: 3}, 'throughput', unit='MB/s'))
        assert points(ask(history)) == {('v1', 'iops'): [(NOON, 1)], ('v2', 'iops'): [(NOON, 2), (NOON + MINUTE, 4)],
                                        ('v3', 'throughput'): [(NOON, 3)]}


def test_what_waits_is_written_at_the_end(tmp_path: Path) -> None:
    with running(tmp_path) as history:
        for minute in range(200):
            history.collected(OWNER, 'volume', [series('v1', {NOON + minute * MINUTE: 1})], 60)
    with running(tmp_path) as history:
        assert len(ask(history, end=NOON + DAY)[0].points) == 200 - 139     # what lies in the future is not kept


def test_a_killed_process_leaves_whole_batches(tmp_path: Path) -> None:
    script = (
        'import itertools, sys\n'
        'from pathlib import Path\n'
        'from tests.unit.history_support import *\n'
        f'with running(Path({str(tmp_path)!r})) as history:\n'
        '    for second in itertools.count():\n'
        '        put(history, *(series(f"v{number}", {NOON + second: number}) for number in range(100)))\n'
        '        print(second, flush=True)\n')
    with subprocess.Popen([sys.executable, '-c', script], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        written = int(next(itertools.islice(process.stdout, 5, None)))
        os.kill(process.pid, signal.SIGKILL)
    with running(tmp_path) as history:
        lengths = {len(ask(history, resources=(f'v{number}',))[0].points) for number in (0, 50, 99)}
        assert len(lengths) == 1 and lengths.pop() >= written + 1
        put(history, series('v1', {NOON + HOUR: 1}))


def test_two_processes_do_not_share_one_history(tmp_path: Path) -> None:
    with running(tmp_path), pytest.raises(exception.InvalidConfiguration, match='in use by another process'), \
            running(tmp_path):
        pass


def test_a_folder_that_cannot_be_used_is_told_at_the_start(tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('')
    with pytest.raises(exception.InvalidConfiguration, match='cannot be used: Not a directory'):
        store.History(tmp_path / 'file' / 'history').start()


# --- disks and files that fail ---

def test_a_full_disk_is_told_once_and_collection_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    with running(tmp_path) as history:
        put(history, series('v1', {NOON: 1}))
        full = os.statvfs(tmp_path)
        with monkeypatch.context() as patch:
            patch.setattr(os, 'statvfs', lambda path: os.statvfs_result((*full[:4], 10, *full[5:])))
            for minute in range(5):
                put(history, series('v1', {NOON + minute * MINUTE: 2}))
        put(history, series('v1', {NOON + 9 * MINUTE: 3}))
        assert points(ask(history)) == {('v1', 'iops'): [(NOON, 1), (NOON + 9 * MINUTE, 3)]}
        assert history.lost == 5
    assert [record.levelno for record in caplog.records if 'cannot be written' in record.message] == [logging.WARNING]


def test_a_write_that_fails_is_made_whole_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(tmp_path) as history:
        with monkeypatch.context() as patch:
            patch.setattr(sheets.Sheets, '_insert', _disk_full)
            put(history, series('v1', {NOON: 1}))
        put(history, series('v2', {NOON: 2}), series('v1', {NOON + MINUTE: 3}))
        assert points(ask(history)) == {('v1', 'iops'): [(NOON + MINUTE, 3)], ('v2', 'iops'): [(NOON, 2)]}


def _disk_full(*_arguments: object) -> None:
    raise sqlite3.OperationalError('database or disk is full')


def test_a_damaged_file_is_removed_and_a_new_one_begun(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with running(tmp_path) as history:
        put(history, series('v1', {NOON: 1}))
    (file,) = tmp_path.glob('*.sqlite')
    file.write_bytes(b'no database' * 1000)
    with running(tmp_path) as history:
        put(history, series('v1', {NOON + MINUTE: 2}))      # meets the damage
        put(history, series('v1', {NOON + 2 * MINUTE: 3}))
        assert points(ask(history)) == {('v1', 'iops'): [(NOON + 2 * MINUTE, 3)]}
    assert 'is damaged' in caplog.text


def test_a_damaged_file_is_503_to_readers(tmp_path: Path) -> None:
    with running(tmp_path) as history:
        put(history, series('v1', {NOON: 1}))
    (file,) = tmp_path.glob('*.sqlite')
    file.write_bytes(b'no database' * 1000)
    with running(tmp_path) as history, pytest.raises(exception.ServiceUnavailable, match='cannot be read'):
        ask(history)


def test_a_read_that_takes_too_long_is_told_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, '_QUERY_SECONDS', -1.0)
    monkeypatch.setattr(sheets, '_OPERATIONS', 1000)
    with running(tmp_path) as history:
        put(history, *(series(f'v{number}', {NOON: 1}) for number in range(5000)))
        with pytest.raises(exception.InvalidInput, match='ask for a shorter time'):
            ask(history)


# --- collectors ---

def test_collectors_never_wait_for_a_writer_that_hangs(tmp_path: Path, caplog: pytest.LogCaptureFixture,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    write = store.History._write
    monkeypatch.setattr(store.History, '_write', lambda history, job: released.wait(10) and write(history, job))
    own = OwnMetrics()
    with running(tmp_path, buffer_points=10, own=own) as history:
        for minute in range(30):
            history.collected(OWNER, 'volume', [series('v1', {NOON + minute * MINUTE: 1})], 60)
        lost = history.lost
        assert 19 <= lost <= 20         # ten wait, and one may be under way
        assert own.registry.get_sample_value('delfin_history_missing_points_total') == lost
        released.set()
        assert history.wait_written(10)
        assert len(ask(history)[0].points) == 30 - lost
    assert caplog.text.count('more comes than can be written') == 1


def test_many_threads_collect_and_read(tmp_path: Path) -> None:
    failures: list[BaseException] = []

    def collect(history: store.History, number: int) -> None:
        try:
            for minute in range(20):
                put(history, series(f'v{number}', {NOON + minute * MINUTE: number}))
                ask(history, step=HOUR)
        except BaseException as error:
            failures.append(error)

    with running(tmp_path) as history:
        threads = [threading.Thread(target=collect, args=(history, number)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures
        assert {len(one.points) for one in ask(history)} == {20}


def test_files_may_be_deleted_under_a_reader(tmp_path: Path) -> None:
    clock = Clock()
    with running(tmp_path, clock, keep_days=1) as history:
        put(history, series('v1', {NOON: 1}))
        wanted = Query('storage-1', 'volume', (), (), NOON - HOUR, NOON + HOUR)
        (reader,) = history._readers(wanted, float('inf'))
        clock.now += 3 * DAY
        put(history, series('v1', {clock.now: 2}))
        history._trim()
        found = sheets.find(reader, wanted)
        assert found is not None
        collected = sheets.Collected(wanted)
        assert collected.add(found) and collected.series()[0].points == [(NOON, 1)]
        reader.close()
