# SPDX-License-Identifier: Apache-2.0
"""Embedded engines that could keep the history of metrics, with one load: `python -m tests.benchmarks.candidates`.

An hour of an array with 5,000 volumes and 16 metrics, a batch a minute. A third of the volumes does nothing; the others
have values as counters give them. DuckDB is measured where it is installed, with numpy for its fast way in
(`pip install duckdb numpy`). Each candidate has a process of its own. What was chosen is measured in `history.py`.
"""

from __future__ import annotations

import itertools
import multiprocessing
import random
import resource
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

VOLUMES, METRICS, MINUTES = 5000, 16, 60
BEGIN, MINUTE = 1_793_880_000_000, 60_000
POINTS = VOLUMES * METRICS

Rows = Sequence[Sequence[float]]


class Candidate(Protocol):
    """A way to keep points."""

    def put(self, moment: int, rows: Rows) -> None:
        """Commit a batch: for each volume the values of all metrics."""

    def finish(self) -> None:
        """Bring everything into its file."""

    def one(self, volume: int, metric: int) -> int:
        """Read a series; its points."""

    def hour(self, metric: int) -> int:
        """Read a metric of all volumes; its points."""


def batches(count: int = 10) -> list[Rows]:
    """What is collected, different each minute."""
    chance = random.Random(1)
    bases = [[0.0] * METRICS if volume % 3 == 0 else [chance.expovariate(1 / 300) for _ in range(METRICS)]
             for volume in range(VOLUMES)]

    def value(place: int, base: float, factor: float) -> float:
        if place < 3:
            return round(base * factor * 60) / 60       # operations counted for a minute
        return base * factor if place < 6 else round(base * factor / 100, 3)

    return [[[value(place, base, chance.random() + 0.5) for place, base in enumerate(row)] for row in bases]
            for _ in range(count)]


class _SQLite:
    """With the settings of the history."""

    def __init__(self, folder: Path, columns: str, key: str) -> None:
        self._connection = sqlite3.connect(folder / 'points.sqlite', isolation_level=None, check_same_thread=False)
        for pragma in ('journal_mode = WAL', 'synchronous = NORMAL', 'wal_autocheckpoint = 4000'):
            self._connection.execute(f'PRAGMA {pragma}')
        self._connection.execute(f'CREATE TABLE points ({columns}, PRIMARY KEY ({key})) WITHOUT ROWID')

    def _insert(self, width: int, changes: str, rows: Sequence[Sequence[Any]]) -> None:
        portion = 30_000 // width
        marks = f'({", ".join("?" * width)})'
        self._connection.execute('BEGIN IMMEDIATE')
        for begin in range(0, len(rows), portion):
            part = rows[begin:begin + portion]
            self._connection.execute(f'INSERT INTO points VALUES {", ".join([marks] * len(part))} '
                                     f'ON CONFLICT DO UPDATE SET {changes}', list(itertools.chain.from_iterable(part)))
        self._connection.execute('COMMIT')

    def _count(self, query: str, *bounds: Any) -> int:
        return len(self._connection.execute(query, bounds).fetchall())

    def finish(self) -> None:
        self._connection.execute('PRAGMA wal_checkpoint(TRUNCATE)')


_MOMENTS = ('WITH RECURSIVE moments (ts) AS (SELECT min(ts) FROM points UNION ALL SELECT (SELECT min(ts) FROM points '
            'WHERE ts > moments.ts) FROM moments WHERE moments.ts IS NOT NULL)')


class SQLiteBySeries(_SQLite):
    """A row a point, by series and time."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, 'series INTEGER, ts INTEGER, value REAL', 'series, ts')

    def put(self, moment: int, rows: Rows) -> None:
        self._insert(3, 'value = excluded.value', [
            (volume * METRICS + metric, moment, value) for volume, row in enumerate(rows)
            for metric, value in enumerate(row)])

    def one(self, volume: int, metric: int) -> int:
        return self._count('SELECT ts, value FROM points WHERE series = ?', volume * METRICS + metric)

    def hour(self, metric: int) -> int:
        return self._count('WITH RECURSIVE wanted (number) AS (SELECT ? UNION ALL SELECT number + ? FROM wanted WHERE '
                           'number + ? < ?) SELECT series, ts, value FROM wanted CROSS JOIN points '
                           'WHERE series = number', metric, METRICS, METRICS, POINTS)


class SQLiteByTime(_SQLite):
    """A row a point, by time and series."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, 'ts INTEGER, series INTEGER, value REAL', 'ts, series')

    def put(self, moment: int, rows: Rows) -> None:
        self._insert(3, 'value = excluded.value', [
            (moment, volume * METRICS + metric, value) for volume, row in enumerate(rows)
            for metric, value in enumerate(row)])

    def one(self, volume: int, metric: int) -> int:
        return self._count(f'{_MOMENTS} SELECT p.ts, value FROM moments JOIN points p ON p.ts = moments.ts '
                           'AND series = ?', volume * METRICS + metric)

    def hour(self, metric: int) -> int:
        return self._count('SELECT series, ts, value FROM points WHERE series % ? = ?', METRICS, metric)


class SQLiteSheet(_SQLite):
    """A row a moment and volume, a column a metric: what was chosen."""

    def __init__(self, folder: Path) -> None:
        names = [f'c{metric}' for metric in range(METRICS)]
        super().__init__(folder, 'ts INTEGER, resource INTEGER, ' + ', '.join(f'{name} REAL' for name in names),
                         'ts, resource')
        self._changes = ', '.join(f'{name} = coalesce(excluded.{name}, {name})' for name in names)

    def put(self, moment: int, rows: Rows) -> None:
        self._insert(METRICS + 2, self._changes, [(moment, volume, *row) for volume, row in enumerate(rows)])

    def one(self, volume: int, metric: int) -> int:
        return self._count(f'{_MOMENTS} SELECT p.ts, c{metric} FROM moments JOIN points p ON p.ts = moments.ts '
                           'AND resource = ?', volume)

    def hour(self, metric: int) -> int:
        return self._count(f'SELECT resource, ts, c{metric} FROM points')


class SQLiteSheetRowByRow(SQLiteSheet):
    """The same by executemany, which gives up the interpreter lock for each row."""

    def _insert(self, width: int, changes: str, rows: Sequence[Sequence[Any]]) -> None:
        self._connection.execute('BEGIN IMMEDIATE')
        self._connection.executemany(f'INSERT INTO points VALUES ({", ".join("?" * width)}) '
                                     f'ON CONFLICT DO UPDATE SET {changes}', rows)
        self._connection.execute('COMMIT')


class _DuckDB:
    """A column a metric; without a key, whose index would be in memory."""

    def __init__(self, folder: Path) -> None:
        import duckdb  # type: ignore[import-not-found,unused-ignore]
        self._connection = duckdb.connect(str(folder / 'points.duckdb'), config={'memory_limit': '256MB', 'threads': 1})
        self._connection.execute('CREATE TABLE points (ts BIGINT, resource INTEGER, '
                                 + ', '.join(f'c{metric} DOUBLE' for metric in range(METRICS)) + ')')

    def _count(self, query: str) -> int:
        return len(self._connection.execute(query).fetchall())

    def one(self, volume: int, metric: int) -> int:
        return self._count(f'SELECT ts, c{metric} FROM points WHERE resource = {volume} ORDER BY ts')

    def hour(self, metric: int) -> int:
        return self._count(f'SELECT resource, ts, c{metric} FROM points')

    def finish(self) -> None:
        self._connection.execute('CHECKPOINT')


class DuckDBFromNumpy(_DuckDB):
    """Columns as arrays of numpy, its fast way in."""

    def put(self, moment: int, rows: Rows) -> None:
        import numpy  # type: ignore[import-not-found,unused-ignore]
        values = numpy.array(rows)
        batch = {'ts': numpy.full(len(rows), moment), 'resource': numpy.arange(len(rows), dtype='int32'),
                 **{f'c{metric}': values[:, metric].copy() for metric in range(METRICS)}}
        self._connection.register('batch', batch)
        self._connection.execute('INSERT INTO points SELECT * FROM batch')
        self._connection.unregister('batch')


class DuckDBFromLists(_DuckDB):
    """Columns as lists of Python."""

    def put(self, moment: int, rows: Rows) -> None:
        columns = ', '.join(f'unnest(${place})' for place in range(2, METRICS + 3))
        values = [list(column) for column in zip(*rows, strict=True)]
        self._connection.execute(f'INSERT INTO points SELECT $1, {columns}', [moment, list(range(len(rows))), *values])


CANDIDATES: tuple[Callable[[Path], Candidate], ...] = (
    SQLiteBySeries, SQLiteByTime, SQLiteSheetRowByRow, SQLiteSheet, DuckDBFromLists, DuckDBFromNumpy)


def measure(make: Callable[[Path], Candidate]) -> str:
    """A row of the table of docs/benchmarks.md."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            return _measure(make, Path(folder))
        except ImportError as error:
            return f'| {make.__name__} | not measured: {error} |'


def _measure(make: Callable[[Path], Candidate], folder: Path) -> str:
    sys.setswitchinterval(0.0005)       # as the services do
    load = batches()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    candidate = make(folder)
    candidate.put(BEGIN - MINUTE, load[-1])
    wrote, began, busy = _written(), time.perf_counter(), time.process_time()
    for minute in range(MINUTES):
        candidate.put(BEGIN + minute * MINUTE, load[minute % len(load)])
    took, busy = time.perf_counter() - began, time.process_time() - busy
    candidate.finish()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    points, wrote = MINUTES * POINTS, _written() - wrote
    size = sum(path.stat().st_size for path in folder.iterdir()) / (points + POINTS)
    beside = _beside(lambda: candidate.put(BEGIN + MINUTES * MINUTE, load[0]))
    one, hour = _milliseconds(lambda: candidate.one(77, 3)), _milliseconds(lambda: candidate.hour(3))
    return (f'| {make.__name__} | {size:.1f} | {wrote / points:.0f} | {points / took / 1e6:.2f} | '
            f'{busy / points * 1e6:.2f} | {took / MINUTES * 1000:.0f} | {beside:.0f} | {one:.1f} | {hour:.0f} | '
            f'{memory >> 10} |')


def _written() -> int:
    """Bytes that this process had written to disks."""
    text = Path('/proc/self/io').read_text()
    return int(text.partition('\nwrite_bytes: ')[2].partition('\n')[0])


def _milliseconds(action: Callable[[], Any]) -> float:
    began = time.perf_counter()
    action()
    return (time.perf_counter() - began) * 1000


def _beside(action: Callable[[], Any]) -> float:
    """Milliseconds beside a thread that computes all the time."""
    done = threading.Event()

    def compute() -> None:
        while not done.is_set():
            sum(range(100))

    thread = threading.Thread(target=compute)
    thread.start()
    took = _milliseconds(action)
    done.set()
    thread.join()
    return took


def main() -> None:
    """The command."""
    print('| | bytes a point | written a point | million points/s | CPU µs a point | batch ms '
          '| beside a busy thread ms | one series ms | a metric of all ms | memory MiB |\n|' + '---|' * 10)
    for make in CANDIDATES:
        with multiprocessing.get_context('spawn').Pool(1) as pool:
            print(pool.apply(measure, (make,)), flush=True)


if __name__ == '__main__':
    main()
