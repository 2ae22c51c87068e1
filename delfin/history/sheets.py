# SPDX-License-Identifier: Apache-2.0
"""One SQLite file of points.

What is collected of one resource type of a storage is a *sheet*: a row for each moment and resource, a column for each
metric (those beyond the sixteenth stand in further parts of the sheet). All sheets share one table, whose key begins
with a number that a moment of a sheet gets when it comes first: so a batch is appended to full pages, whatever its time
is, and the rows of a moment lie together. Reading leaps from moment to moment of a sheet.

That takes a third of the room and a fraction of the time of a row for each point (docs/benchmarks.md).

Each statement is one call: sqlite3 gives up the interpreter lock for every row that it takes or returns, and beside a
busy thread waits each time to get it back. So rows go in by the hundred, and series come out as JSON texts.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import sqlite3
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from delfin.common import json
from delfin.common.constants import metric_struct
from delfin.history import MOST_POINTS, Query, Series, fits
from delfin.metrics import RAW

DAMAGE: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

_APPLICATION_ID = 0x44466C48    # 'DFlH': tells our files from somebody else's
_VERSION = 1
_CHECKPOINT_PAGES = 4000        # fewer, larger ones; the log takes 16 MiB at most
_ROWS = 500                     # of one statement
_WIDTH = 16                     # columns of a part
_MOST_METRICS = 16 * _WIDTH     # of a sheet
_OPERATIONS = 200_000           # of SQLite's machine, some ms, between looks at the clock

_COLUMNS = tuple(f'c{column}' for column in range(_WIDTH))
_SCHEMA = f'''
BEGIN IMMEDIATE;
CREATE TABLE sheets (id INTEGER PRIMARY KEY, storage_id TEXT NOT NULL, resource_type TEXT NOT NULL,
    UNIQUE (storage_id, resource_type));
CREATE TABLE resources (sheet INTEGER NOT NULL, native_id TEXT NOT NULL, id INTEGER NOT NULL, name TEXT,
    PRIMARY KEY (sheet, native_id)) WITHOUT ROWID;
CREATE TABLE metrics (sheet INTEGER NOT NULL, number INTEGER NOT NULL, name TEXT NOT NULL, unit TEXT,
    PRIMARY KEY (sheet, number)) WITHOUT ROWID;
CREATE TABLE moments (sheet INTEGER NOT NULL, part INTEGER NOT NULL, ts INTEGER NOT NULL, id INTEGER NOT NULL,
    PRIMARY KEY (sheet, part, ts)) WITHOUT ROWID;
CREATE TABLE points (moment INTEGER NOT NULL, resource INTEGER NOT NULL,
    {", ".join(f"{column} REAL" for column in _COLUMNS)}, PRIMARY KEY (moment, resource)) WITHOUT ROWID;
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {_VERSION};
COMMIT;
'''

Metric = tuple[str, str | None]         # name and unit


@dataclass(slots=True)
class Batch:
    """Points as they are stored: by moment (epoch ms) and resource a row of values by their place in `metrics`."""

    storage_id: str
    resource_type: str
    metrics: list[Metric] = field(default_factory=list)
    names: dict[str, str | None] = field(default_factory=dict)          # of resources, by native id
    rows: dict[int, dict[str, dict[int, float]]] = field(default_factory=dict)

    @classmethod
    def of(cls, storage_id: str, resource_type: str, series: Iterable[metric_struct]) -> Batch:
        """Of what was collected. Only points as they were measured: others are made of these."""
        batch = cls(storage_id, resource_type)
        places: dict[Metric, int] = {}
        names, rows_of = batch.names, batch.rows
        for name, labels, values in series:         # tens of thousands in one go
            if labels.get('type', RAW) != RAW:
                continue
            metric, native_id = (name, labels.get('unit')), labels['resource_id']
            place = places.get(metric)
            if place is None:
                place = places[metric] = len(places)
            if native_id not in names:
                names[native_id] = labels.get('resource_name')
            for moment, value in values.items():
                rows = rows_of.get(moment)
                if rows is None:
                    rows = rows_of[moment] = {}
                row = rows.get(native_id)
                if row is None:
                    rows[native_id] = {place: value}
                else:
                    row[place] = value
        batch.metrics = list(places)
        return batch

    def points(self, moments: Iterable[int]) -> int:
        """How many there are at these moments."""
        return sum(len(row) for moment in moments for row in self.rows[moment].values())


@dataclass(slots=True)
class _Sheet:
    """What is remembered of a sheet while it is written."""

    number: int
    resources: dict[str, tuple[int, str | None]]        # native id -> our number, name
    metrics: dict[Metric, int]                          # -> number: the part and the column in it


class Sheets:
    """A file for writing, made if there is none. For one thread, and for one object at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._sheets: dict[tuple[str, str], _Sheet] = {}
        try:
            self._prepare()
            self.last_ms: int = self._one('SELECT max(ts) FROM moments') or 0
            self._last_id: int = self._one('SELECT max(moment) FROM points') or 0
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Bring everything into the one file."""
        self._connection.close()

    def size(self) -> int:
        """Bytes on the disk."""
        return size_of(self.path)

    def put(self, batch: Batch, moments: Collection[int]) -> int:
        """Store these moments of a batch, all or nothing; how many points found no column. Points that are there
        already take the new value.
        """
        last_id = self._last_id
        try:
            with self._transaction():
                sheet = self._sheet(batch)
                parts: dict[int, list[tuple[int, int]]] = {}        # -> (column, place in the rows of the batch)
                for place, metric in enumerate(batch.metrics):
                    number = self._metric(sheet, metric)
                    if number is not None:
                        parts.setdefault(number // _WIDTH, []).append((number % _WIDTH, place))
                numbers = {native_id: self._resource(sheet, native_id, name)
                           for native_id, name in batch.names.items()}
                for part, columns in parts.items():
                    self._insert(sheet, part, columns, [(moment, [
                        (numbers[native_id], row) for native_id, row in batch.rows[moment].items()])
                        for moment in sorted(moments)])
        except BaseException:
            self._last_id = last_id
            raise
        self.last_ms = max(self.last_ms, *moments)
        kept = {place for columns in parts.values() for _, place in columns}
        lost = set(range(len(batch.metrics))) - kept
        return sum(len(lost & row.keys()) for moment in moments for row in batch.rows[moment].values()) if lost else 0

    def delete(self, storage_id: str) -> None:
        """Forget the sheets of a storage. Their points cannot be read any more; their room comes back with the file."""
        numbers = [number for number, in self._connection.execute(
            'SELECT id FROM sheets WHERE storage_id = ?', (storage_id,)).fetchall()]
        if not numbers:
            return
        with self._transaction():
            for number in numbers:
                for table in ('resources', 'metrics', 'moments'):
                    self._connection.execute(f'DELETE FROM {table} WHERE sheet = ?', (number,))
                self._connection.execute('DELETE FROM sheets WHERE id = ?', (number,))
            self._sheets.clear()

    # --- inside ---

    def _prepare(self) -> None:
        connection = self._connection
        for pragma in ('journal_mode = WAL', 'synchronous = NORMAL', f'wal_autocheckpoint = {_CHECKPOINT_PAGES}'):
            connection.execute(f'PRAGMA {pragma}').close()
        if not self._one('SELECT count(*) FROM sqlite_master'):
            connection.executescript(_SCHEMA)
        if self._one('PRAGMA user_version') != _VERSION:
            raise _not_ours('it was written by another version of Delfin')

    def _one(self, query: str, *parameters: object) -> Any:
        """The first value of the first row; None if there is none."""
        row = self._connection.execute(query, parameters).fetchone()
        return row[0] if row else None

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute('BEGIN IMMEDIATE')
        try:
            yield
            self._connection.execute('COMMIT')
        except BaseException:
            self._sheets.clear()        # it may remember what is undone
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute('ROLLBACK')
            raise

    def _sheet(self, batch: Batch) -> _Sheet:
        key = batch.storage_id, batch.resource_type
        sheet = self._sheets.get(key)
        if sheet is None:
            number = self._one('SELECT id FROM sheets WHERE storage_id = ? AND resource_type = ?', *key)
            if number is None:
                number = self._connection.execute('INSERT INTO sheets (storage_id, resource_type) VALUES (?, ?)',
                                                  key).lastrowid or 0
            resources = self._connection.execute('SELECT native_id, id, name FROM resources WHERE sheet = ?', (number,))
            metrics = self._connection.execute('SELECT name, unit, number FROM metrics WHERE sheet = ?', (number,))
            sheet = self._sheets[key] = _Sheet(
                number, {native_id: (own, name) for native_id, own, name in resources.fetchall()},
                {(name, unit): place for name, unit, place in metrics.fetchall()})
        return sheet

    def _metric(self, sheet: _Sheet, metric: Metric) -> int | None:
        """Its number, a new one if need be; None if there are too many."""
        number = sheet.metrics.get(metric)
        if number is None and len(sheet.metrics) < _MOST_METRICS:
            number = sheet.metrics[metric] = len(sheet.metrics)
            self._connection.execute('INSERT INTO metrics (sheet, number, name, unit) VALUES (?, ?, ?, ?)',
                                     (sheet.number, number, *metric))
        return number

    def _resource(self, sheet: _Sheet, native_id: str, name: str | None) -> int:
        number, known = sheet.resources.get(native_id, (0, None))
        if not number or known != name:
            number = number or len(sheet.resources) + 1
            sheet.resources[native_id] = number, name
            self._connection.execute(
                'INSERT INTO resources (sheet, native_id, id, name) VALUES (?, ?, ?, ?) '
                'ON CONFLICT DO UPDATE SET name = excluded.name', (sheet.number, native_id, number, name))
        return number

    def _insert(self, sheet: _Sheet, part: int, columns: Sequence[tuple[int, int]],
                moments: Sequence[tuple[int, list[tuple[int, dict[int, float]]]]]) -> None:
        """Rows of one part: by moment the numbers of resources and their values by place."""
        places = [place for _, place in columns]
        rows: list[tuple[Any, ...]] = []
        for moment, found in moments:
            number = self._moment(sheet, part, moment)
            rows += [(number, resource, *map(row.get, places)) for resource, row in found]
        rows.sort(key=lambda row: row[:2])
        names = [_COLUMNS[column] for column, _ in columns]
        changes = ', '.join(f'{name} = coalesce(excluded.{name}, {name})' for name in names)
        marks = f'({", ".join("?" * (len(names) + 2))})'
        for begin in range(0, len(rows), _ROWS):
            some = rows[begin:begin + _ROWS]
            self._connection.execute(
                f'INSERT INTO points (moment, resource, {", ".join(names)}) VALUES {", ".join([marks] * len(some))} '
                f'ON CONFLICT DO UPDATE SET {changes}', list(itertools.chain.from_iterable(some)))

    def _moment(self, sheet: _Sheet, part: int, moment: int) -> int:
        key = sheet.number, part, moment
        number: int | None = self._one('SELECT id FROM moments WHERE sheet = ? AND part = ? AND ts = ?', *key)
        if number is None:
            self._last_id += 1
            number = self._last_id
            self._connection.execute('INSERT INTO moments (sheet, part, ts, id) VALUES (?, ?, ?, ?)', (*key, number))
        return number


# --- reading ---

@dataclass(slots=True)
class Found:
    """What one file has for a query."""

    connection: sqlite3.Connection
    sheet: int
    resources: dict[int, tuple[str, str | None]]            # our number -> native id, name
    metrics: list[tuple[int, str, str | None]]              # number, name, unit
    all_resources: bool


def open_reader(path: Path, until: float) -> sqlite3.Connection:
    """A connection that only reads, of this moment; whatever takes longer than `until` (monotonic) is interrupted.

    The file may be deleted meanwhile: what is open stays readable.
    """
    connection = sqlite3.connect(f'{path.absolute().as_uri()}?mode=rw', uri=True, isolation_level=None,
                                 check_same_thread=False)
    try:
        connection.execute('PRAGMA query_only = ON').close()
        connection.set_progress_handler(lambda: time.monotonic() > until, _OPERATIONS)
        connection.execute('BEGIN').close()
        connection.execute('SELECT 1 FROM sheets LIMIT 1').fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def find(connection: sqlite3.Connection, wanted: Query) -> Found | None:
    """The sheet, resources and metrics that are asked for, as far as the file has them."""
    sheet = connection.execute('SELECT id FROM sheets WHERE storage_id = ? AND resource_type = ?',
                               (wanted.storage_id, wanted.resource_type)).fetchone()
    if sheet is None:
        return None
    resources = connection.execute('SELECT id, native_id, name FROM resources WHERE sheet = ?', sheet).fetchall()
    metrics = connection.execute('SELECT number, name, unit FROM metrics WHERE sheet = ? ORDER BY number',
                                 sheet).fetchall()
    chosen = {number: (native_id, name) for number, native_id, name in resources
              if not wanted.resource_ids or native_id in wanted.resource_ids}
    named = [(number, name, unit) for number, name, unit in metrics if not wanted.metrics or name in wanted.metrics]
    if not chosen or not named:
        return None
    return Found(connection, sheet[0], chosen, named, not wanted.resource_ids)


class Collected:
    """Series put together from one file after the other, in the order of time."""

    def __init__(self, wanted: Query) -> None:
        self._wanted = wanted
        self._series: dict[tuple[str, str, str | None], Series] = {}
        self._counts: dict[tuple[str, str, str | None], int] = {}       # how many points the last bucket is made of
        self._points = 0

    def series(self) -> list[Series]:
        """What there is."""
        return list(self._series.values())

    def add(self, found: Found) -> bool:
        """The points of one file; False when there are too many for an answer."""
        parts = itertools.groupby(found.metrics, lambda metric: metric[0] // _WIDTH)
        return all(self._add(found, part, list(metrics)) for part, metrics in parts)

    def _add(self, found: Found, part: int, metrics: list[tuple[int, str, str | None]]) -> bool:
        columns = [_COLUMNS[number % _WIDTH] for number, _, _ in metrics]
        rows = _rows(found, columns)
        query = _buckets(rows, columns) if self._wanted.step_ms else (
            f'SELECT resource, {_arrays(["ts", *columns])} FROM ({rows} LIMIT {MOST_POINTS + 1}) GROUP BY resource')
        bounds = {'sheet': found.sheet, 'part': part, 'begin': self._wanted.begin_ms, 'end': self._wanted.finish_ms,
                  'step': self._wanted.step_ms}
        count = 0
        for number, texts, *values in found.connection.execute(query, bounds).fetchall():
            moments = json.loads(texts)
            count += len(moments)
            self._take(found.resources[number], metrics, moments, [json.loads(text) for text in values])
        return count <= MOST_POINTS and fits(len(self._series), self._points)

    def _take(self, resource: tuple[str, str | None], metrics: Sequence[tuple[int, str, str | None]],
              moments: list[int], values: list[list[Any]]) -> None:
        native_id, name = resource
        for place, (_, metric, unit) in enumerate(metrics):
            key = native_id, metric, unit
            series = self._series.get(key)
            if series is None:
                series = self._series[key] = Series(self._wanted.resource_type, native_id, name, metric, unit, [])
            series.resource_name = name
            before = len(series.points)
            if self._wanted.step_ms:
                self._merge(key, series, moments, values[2 * place], values[2 * place + 1])
            else:
                series.points += sorted((moment, value) for moment, value in zip(moments, values[place], strict=True)
                                        if value is not None)
            self._points += len(series.points) - before

    def _merge(self, key: tuple[str, str, str | None], series: Series, moments: list[int], sums: list[float | None],
               counts: list[int]) -> None:
        """Means of buckets; the first may be the rest of one that the file before has begun."""
        for moment, total, count in sorted(zip(moments, sums, counts, strict=True)):
            if not count or total is None:
                continue
            if series.points and series.points[-1][0] == moment:
                total += series.points[-1][1] * self._counts[key]
                count += self._counts[key]
                series.points.pop()
            series.points.append((moment, total / count))
            self._counts[key] = count


def _rows(found: Found, columns: Sequence[str]) -> str:
    """The rows of the resources in the time."""
    some = '' if found.all_resources else f' AND p.resource IN ({", ".join(map(str, found.resources))})'
    return (f'SELECT m.ts, p.resource, {", ".join(columns)} FROM moments AS m CROSS JOIN points AS p '
            f'WHERE m.sheet = :sheet AND m.part = :part AND m.ts >= :begin AND m.ts < :end AND p.moment = m.id{some}')


def _buckets(rows: str, columns: Sequence[str]) -> str:
    """Sums and counts of the rows by resource and bucket."""
    sums = ', '.join(f'sum({column}) AS s_{column}, count({column}) AS n_{column}' for column in columns)
    names = [name for column in columns for name in (f's_{column}', f'n_{column}')]
    return (f'SELECT resource, {_arrays(["bucket", *names])} FROM (SELECT resource, ts - ts % :step AS bucket, {sums} '
            f'FROM ({rows}) GROUP BY resource, bucket) GROUP BY resource')


def _arrays(columns: Iterable[str]) -> str:
    return ', '.join(f'json_group_array({column})' for column in columns)


def size_of(path: Path) -> int:
    """Bytes of a file and its log."""
    total = 0
    for name in (str(path), f'{path}-wal'):
        with contextlib.suppress(FileNotFoundError):
            total += os.path.getsize(name)
    return total


def remove(path: Path) -> None:
    """Delete a file and what belongs to it."""
    for suffix in ('', '-wal', '-shm'):
        Path(f'{path}{suffix}').unlink(missing_ok=True)


def is_damaged(error: sqlite3.Error) -> bool:
    """Whether the file cannot be used any more."""
    return getattr(error, 'sqlite_errorcode', 0) & 0xff in DAMAGE


def _not_ours(text: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(text)
    error.sqlite_errorcode = sqlite3.SQLITE_NOTADB
    return error
