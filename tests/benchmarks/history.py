# SPDX-License-Identifier: Apache-2.0
"""The embedded history of metrics: room, time, memory, what a killed process loses.

One array of 5,000 volumes with 16 metrics is collected every minute and 200 arrays of 50 volumes every 5 minutes, for
some hours. Everything is `History`'s own, buffer and thread included. `python -m tests.benchmarks.history --week` reads
from a whole week of the large array, which it writes past the buffer (6 GB of disk, 15 minutes). `candidates.py`
compares engines.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import os
import resource
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from delfin.common.constants import metric_struct
from delfin.history import Query
from delfin.history.sheets import Batch, Sheets
from delfin.history.store import History
from delfin.metrics import METRICS, Owner
from tests.benchmarks import candidates
from tests.benchmarks.candidates import BEGIN, MINUTE
from tests.benchmarks.measure import Figure

HOURS = 2.0
SMALL, SMALL_VOLUMES, SMALL_MINUTES = 200, 50, 5
BIG = 'big'

_HOUR = 60 * MINUTE
_PATIENCE_SECONDS = 600
_KILLED_BATCHES = 20


class Fleet:
    """What is collected, minute by minute. Series are made once: making them is the driver's work."""

    def __init__(self) -> None:
        self._values = candidates.batches()
        self.moment = BEGIN
        self.points = 0
        self.making_seconds = 0.0               # processor time of what is the driver's work
        self.handing_seconds: list[float] = []  # how long the large array's collector was held up
        self.handing_cpu = 0.0
        self._big = self._series(BIG, candidates.VOLUMES)
        self._small = {f'small-{number}': self._series(f'small-{number}', SMALL_VOLUMES) for number in range(SMALL)}

    def clock(self) -> float:
        """The fleet's own time."""
        return self.moment / 1000

    def minute(self, history: History, number: int) -> None:
        """Hand over what one minute brings."""
        self.moment = BEGIN + number * MINUTE
        values = self._values[number % len(self._values)]
        self._put(history, BIG, self._big, values, 60)
        for name, series in self._small.items():
            if hash(name) % SMALL_MINUTES == number % SMALL_MINUTES:
                self._put(history, name, series, values, 300)

    def _put(self, history: History, name: str, series: list[metric_struct], values: Any, interval: float) -> None:
        began = time.thread_time()
        flat = (value for row in values for value in row)
        collected = [metric_struct(metric, labels, {self.moment: value})
                     for (metric, labels, _), value in zip(series, flat, strict=False)]
        self.making_seconds += time.thread_time() - began
        self.points += len(collected)
        began = time.thread_time()
        handing = _seconds(lambda: history.collected(Owner(name, name, 'Example', 'X1', name), 'volume', collected,
                                                     interval))
        if name == BIG:
            self.handing_seconds.append(handing)
            self.handing_cpu += time.thread_time() - began

    @staticmethod
    def _series(name: str, volumes: int) -> list[metric_struct]:
        return [metric_struct(metric.name, {
            'storage_id': name, 'resource_type': 'volume', 'resource_id': f'lun-{number}', 'type': 'RAW',
            'resource_name': f'data {number}', 'unit': metric.unit}, {})
            for number in range(volumes) for metric in METRICS.values()]


def measure(folder: Path, hours: float = HOURS) -> list[Figure]:
    """All figures."""
    context = multiprocessing.get_context('spawn')
    with context.Pool(1) as pool:
        figures: list[Figure] = pool.apply(_measure, (folder / 'history', hours))
    return [*figures, _killed(context, folder / 'killed')]


def _measure(folder: Path, hours: float) -> list[Figure]:
    sys.setswitchinterval(0.0005)       # as the services do
    fleet, minutes = Fleet(), int(hours * 60)
    history = History(folder, keep_days=8, max_mb=1_000_000, clock=fleet.clock)
    history.start()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began, busy = time.perf_counter(), time.process_time()
    for minute in range(minutes):
        fleet.minute(history, minute)
        if not history.wait_written(_PATIENCE_SECONDS):
            raise RuntimeError('the history does not get on')
    took, busy = time.perf_counter() - began, time.process_time() - busy - fleet.making_seconds
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory
    if history.lost:
        raise RuntimeError(f'{history.lost} points were lost')
    end = fleet.moment + MINUTE
    week = Query(BIG, 'volume', ('iops',), ('lun-77',), BEGIN, end)
    small = Query('small-7', 'volume', ('iops',), ('lun-7',), BEGIN, end)
    hour = Query(BIG, 'volume', ('iops',), (), end - _HOUR, end, _HOUR)
    reads = [statistics.median(_seconds(lambda wanted=wanted: history.query(wanted))       # type: ignore[misc]
                               for _ in range(5)) for wanted in (week, small, hour)]
    history.stop(_PATIENCE_SECONDS)
    files = sorted(folder.glob('*.sqlite'))
    size = sum(file.stat().st_size for file in files)
    history = History(folder, keep_days=8, clock=lambda: fleet.clock() + 30 * 86400)
    history.start()
    gone = _seconds(lambda: _until_empty(folder))
    history.stop(_PATIENCE_SECONDS)
    what = f'{hours:g} h of 5,000 volumes a minute and 200 small arrays'
    return [
        Figure(f'room, {what}', 'sqlite', size / fleet.points, 'bytes/point', 10, f'{size / 2**20:,.0f} MiB'),
        Figure('processor time of a point, from the collector to the disk', 'sqlite', busy / fleet.points * 1e6, 'µs',
               4, f'{fleet.points:,} points in {took:,.0f} s, in which they were made as well'),
        Figure('how long a collector of 80,000 points is held up', 'sqlite',
               statistics.median(fleet.handing_seconds), 's', 0.5,
               f'{fleet.handing_cpu / len(fleet.handing_seconds):.2f} s of processor time; worst '
               f'{max(fleet.handing_seconds):.2f} s'),
        Figure(f'one series of {hours:g} h, large array', 'sqlite', reads[0] * 1000, 'ms', 1000,
               f'{minutes:,} points in {len(files)} files'),
        Figure(f'one series of {hours:g} h, small array', 'sqlite', reads[1] * 1000, 'ms', 200),
        Figure('means of an hour of one metric of 5,000 volumes', 'sqlite', reads[2] * 1000, 'ms', 3000,
               f'{60 * candidates.VOLUMES:,} points read'),
        Figure('deleting all of it', 'sqlite', gone, 's', 2, f'{len(files)} files'),
        Figure('memory', 'sqlite', memory / 1024, 'MiB', 150, 'above what the fleet itself takes'),
    ]


def week(folder: Path) -> list[Figure]:
    """Reading one series of seven days, from the disk and from memory."""
    minutes, stretch = 7 * 24 * 60, 6 * 60
    metrics = [(metric.name, metric.unit) for metric in METRICS.values()]
    names: dict[str, str | None] = {f'lun-{number}': f'data {number}' for number in range(candidates.VOLUMES)}
    loads = [{native_id: dict(enumerate(row)) for native_id, row in zip(names, load, strict=True)}
             for load in candidates.batches()]
    for begin in range(0, minutes, stretch):
        file = Sheets(folder / f'{BEGIN + begin * MINUTE}.sqlite')
        for minute in range(begin, begin + stretch):
            moment = BEGIN + minute * MINUTE
            file.put(Batch(BIG, 'volume', metrics, names, {moment: loads[minute % len(loads)]}), [moment])
        file.close()
        descriptor = os.open(file.path, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)      # out of the kernel's memory
        os.close(descriptor)
    files = [*folder.glob('*.sqlite')]
    size, points = sum(file.stat().st_size for file in files), minutes * candidates.POINTS
    end = BEGIN + minutes * MINUTE
    history = History(folder, keep_days=8, max_mb=1_000_000, clock=lambda: end / 1000)
    history.start()
    wanted = Query(BIG, 'volume', ('iops',), ('lun-77',), BEGIN, end)
    cold, warm = (_seconds(lambda: history.query(wanted)) for _ in range(2))
    history.stop(_PATIENCE_SECONDS)
    basis = f'{minutes:,} points among {points:,} in {len(files)} files'
    return [Figure('room of a week', 'sqlite', size / points, 'bytes/point', 10, f'{size / 2**30:.1f} GiB'),
            Figure('one series of a week, from the disk', 'sqlite', cold, 's', 10, basis),
            Figure('one series of a week, from memory', 'sqlite', warm, 's', 1)]


def _until_empty(folder: Path) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while any(folder.glob('*.sqlite')) and time.monotonic() < deadline:
        time.sleep(0.01)


def _seconds(action: Any) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def _killed(context: Any, folder: Path) -> Figure:
    """Points that were written when a process is killed in the middle, and are not there afterwards."""
    receiver, sender = context.Pipe(False)
    process = context.Process(target=_write_for_ever, args=(folder, sender))
    process.start()
    written = 0
    while written < _KILLED_BATCHES:
        written = receiver.recv()
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    while receiver.poll():
        try:
            written = receiver.recv()
        except EOFError:
            break
    history = History(folder, clock=lambda: BEGIN / 1000)
    history.start()
    took = _seconds(lambda: history.query(Query(BIG, 'volume', ('iops',), ('lun-77',), BEGIN, BEGIN + 2 * _HOUR)))
    lengths = {len(series.points) for number in (0, 77, candidates.VOLUMES - 1) for series in history.query(
        Query(BIG, 'volume', (), (f'lun-{number}',), BEGIN, BEGIN + _HOUR))}
    history.stop(_PATIENCE_SECONDS)
    if len(lengths) != 1:
        raise RuntimeError(f'batches are torn: {lengths}')
    return Figure('written batches that a killed process loses', 'sqlite', max(0, written - min(lengths)), '', 0,
                  f'{written} of 80,000 points were written; the first read afterwards took {took * 1000:.0f} ms')


def _write_for_ever(folder: Path, sender: Any) -> None:
    fleet = Fleet()
    history = History(folder, clock=fleet.clock)
    history.start()
    for minute in itertools.count():
        fleet.minute(history, minute)
        history.wait_written(_PATIENCE_SECONDS)
        sender.send(minute + 1)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog='python -m tests.benchmarks.history')
    parser.add_argument('--hours', type=float, default=HOURS)
    parser.add_argument('--week', action='store_true', help='only read from a whole week')
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix='delfin-history-') as folder:
        for figure in week(Path(folder)) if arguments.week else measure(Path(folder), arguments.hours):
            print(f'{figure.what}: {figure.measured:,.3g} {figure.unit} (limit {figure.limit:g}); {figure.basis}')


if __name__ == '__main__':
    main()
