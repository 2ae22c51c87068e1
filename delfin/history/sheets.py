# SPDX-License-Identifier: Apache-2.0
"""One SQLite file of points: a table (a *sheet*) for each storage and resource type.

A sheet has one row for each moment and resource, and a column for each metric. Rows are in the order of time, in which
they come, so that a batch is appended to full pages; a resource's own rows are found by leaping from moment to moment.
That takes a sixth of the room and a fifteenth of the time of one row for each point (docs/benchmarks.md).

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
_VARIABLES = 30_000             # of one statement; SQLite takes 32,766
_MOST_COLUMNS = 256             # of a sheet
_FEW = 8                        # leaping costs about as much as reading so many rows of each moment
_OPERATIONS = 200_000           # of SQLite's machine, some ms, between looks at the clock

_SCHEMA = f'''
BEGIN IMMEDIATE;
CREATE TABLE sheets (id INTEGER PRIMARY KEY, storage_id TEXT NOT NULL, resource_type TEXT NOT NULL,
    UNIQUE (storage_id, resource_type));
CREATE TABLE resources (sheet INTEGER NOT NULL, native_id TEXT NOT NULL, id INTEGER NOT NULL, name TEXT,
    PRIMARY KEY (sheet, native_id)) WITHOUT ROWID;
CREATE TABLE metrics (sheet INTEGER NOT NULL, number INTEGER NOT NULL, name TEXT NOT NULL, unit TEXT,
    PRIMARY KEY (sheet, number)) WITHOUT ROWID;
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
    metrics: dict[Metric, int]                          # -> number of the column


class Sheets:
    """A file for writing, made if there is none. For one thread, and for one object at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._sheets: dict[tuple[str, str], _Sheet] = {}
        try:
            self._prepare()
            self.last_ms = self._last_moment()
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
        with self._transaction():
            sheet = self._sheet(batch)
            columns = [self._column(sheet, metric) for metric in batch.metrics]
            kept = [place for place, column in enumerate(columns) if column is not None]
            numbers = {native_id: self._resource(sheet, native_id, name) for native_id, name in batch.names.items()}
            if kept:
                self._insert(sheet, [f'c{columns[place]}' for place in kept], sorted(
                    (moment, numbers[native_id], *map(row.get, kept))
                    for moment in moments for native_id, row in batch.rows[moment].items()))
        self.last_ms = max(self.last_ms, *moments)
        if len(kept) == len(columns):
            return 0
        lost = set(range(len(columns))) - set(kept)
        return sum(len(lost & row.keys()) for moment in moments for row in batch.rows[moment].values())

    def delete(self, storage_id: str) -> None:
        """Remove the sheets of a storage. Their room is used again by this file."""
        found = self._connection.execute('SELECT id FROM sheets WHERE storage_id = ?', (storage_id,)).fetchall()
        if not found:
            return
        with self._transaction():
            for number, in found:
                self._connection.execute(f'DROP TABLE points_{number}')
                for table, column in (('resources', 'sheet'), ('metrics', 'sheet'), ('sheets', 'id')):
                    self._connection.execute(f'DELETE FROM {table} WHERE {column} = ?', (number,))
            self._sheets.clear()

    # --- inside ---

    def _prepare(self) -> None:
        connection = self._connection
        for pragma in ('journal_mode = WAL', 'synchronous = NORMAL', f'wal_autocheckpoint = {_CHECKPOINT_PAGES}'):
            connection.execute(f'PRAGMA {pragma}').close()
        if not connection.execute('SELECT count(*) FROM sqlite_master').fetchone()[0]:
            connection.executescript(_SCHEMA)
        if connection.execute('PRAGMA user_version').fetchone()[0] != _VERSION:
            raise _not_ours('it was written by another version of Delfin')

    def _last_moment(self) -> int:
        numbers = [number for number, in self._connection.execute('SELECT id FROM sheets').fetchall()]
        moments = [self._connection.execute(f'SELECT max(ts) FROM points_{number}').fetchone()[0]
                   for number in numbers]
        return max((moment for moment in moments if moment is not None), default=0)

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
            found = self._connection.execute('SELECT id FROM sheets WHERE storage_id = ? AND resource_type = ?',
                                             key).fetchone()
            sheet = self._sheets[key] = self._load(found[0]) if found else self._create(batch)
        return sheet

    def _load(self, number: int) -> _Sheet:
        resources = self._connection.execute('SELECT native_id, id, name FROM resources WHERE sheet = ?', (number,))
        metrics = self._connection.execute('SELECT name, unit, number FROM metrics WHERE sheet = ?', (number,))
        return _Sheet(number, {native_id: (own, name) for native_id, own, name in resources.fetchall()},
                      {(name, unit): column for name, unit, column in metrics.fetchall()})

    def _create(self, batch: Batch) -> _Sheet:
        """With a column for each metric of the batch: adding one later makes SQLite read the whole schema again."""
        number = self._connection.execute('INSERT INTO sheets (storage_id, resource_type) VALUES (?, ?)',
                                          (batch.storage_id, batch.resource_type)).lastrowid or 0
        metrics = {metric: column for column, metric in enumerate(batch.metrics[:_MOST_COLUMNS])}
        columns = ''.join(f'c{column} REAL, ' for column in metrics.values())
        self._connection.execute(f'CREATE TABLE points_{number} (ts INTEGER NOT NULL, resource INTEGER NOT NULL, '
                                 f'{columns}PRIMARY KEY (ts, resource)) WITHOUT ROWID')
        for metric, column in metrics.items():
            self._name_column(number, column, metric)
        return _Sheet(number, {}, metrics)

    def _column(self, sheet: _Sheet, metric: Metric) -> int | None:
        """The number of the metric's column, a new one if need be; None if there is no room for one."""
        column = sheet.metrics.get(metric)
        if column is None and len(sheet.metrics) < _MOST_COLUMNS:
            column = sheet.metrics[metric] = len(sheet.metrics)
            self._name_column(sheet.number, column, metric)
            self._connection.execute(f'ALTER TABLE points_{sheet.number} ADD COLUMN c{column} REAL')
        return column

    def _name_column(self, sheet: int, column: int, metric: Metric) -> None:
        self._connection.execute('INSERT INTO metrics (sheet, number, name, unit) VALUES (?, ?, ?, ?)',
                                 (sheet, column, *metric))

    def _resource(self, sheet: _Sheet, native_id: str, name: str | None) -> int:
        number, known = sheet.resources.get(native_id, (0, None))
        if not number or known != name:
            number = number or len(sheet.resources) + 1
            sheet.resources[native_id] = number, name
            self._connection.execute(
                'INSERT INTO resources (sheet, native_id, id, name) VALUES (?, ?, ?, ?) '
                'ON CONFLICT DO UPDATE SET name = excluded.name', (sheet.number, native_id, number, name))
        return number

    def _insert(self, sheet: _Sheet, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
        table, width = f'points_{sheet.number}', len(columns) + 2
        portion = min(_ROWS, _VARIABLES // width)
        changes = ', '.join(f'{column} = coalesce(excluded.{column}, {column})' for column in columns)
        marks = f'({", ".join("?" * width)})'
        for begin in range(0, len(rows), portion):
            part = rows[begin:begin + portion]
            self._connection.execute(
                f'INSERT INTO {table} (ts, resource, {", ".join(columns)}) VALUES {", ".join([marks] * len(part))} '
                f'ON CONFLICT DO UPDATE SET {changes}', list(itertools.chain.from_iterable(part)))


# --- reading ---

@dataclass(slots=True)
class Found:
    """What one file has for a query."""

    connection: sqlite3.Connection
    number: int                                             # of the sheet
    resources: dict[int, tuple[str, str | None]]            # our number -> native id, name
    metrics: list[tuple[int, str, str | None]]              # number of the column, name, unit
    all_resources: int


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
        connection.execute('SELECT count(*) FROM sheets').fetchone()
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
    columns = [(number, name, unit) for number, name, unit in metrics if not wanted.metrics or name in wanted.metrics]
    return Found(connection, sheet[0], chosen, columns, len(resources)) if chosen and columns else None


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
        columns = [f'c{number}' for number, _, _ in found.metrics]
        if self._wanted.step_ms:
            query = self._buckets(found, columns)
        else:
            query = (f'SELECT resource, {_arrays(["ts", *columns])} FROM ({_rows(found, columns)} '
                     f'LIMIT {MOST_POINTS + 1}) GROUP BY resource')
        bounds = {'begin': self._wanted.begin_ms, 'end': self._wanted.finish_ms, 'step': self._wanted.step_ms}
        rows = 0
        for number, texts, *values in found.connection.execute(query, bounds).fetchall():
            moments = json.loads(texts)
            rows += len(moments)
            self._take(found, number, moments, [json.loads(text) for text in values])
        return rows <= MOST_POINTS and fits(len(self._series), self._points)

    def _buckets(self, found: Found, columns: Sequence[str]) -> str:
        sums = [f'sum({column}) AS s_{column}, count({column}) AS n_{column}' for column in columns]
        names = [name for column in columns for name in (f's_{column}', f'n_{column}')]
        return (f'SELECT resource, {_arrays(["bucket", *names])} FROM ('
                f'SELECT resource, ts - ts % :step AS bucket, {", ".join(sums)} FROM ({_rows(found, columns)}) '
                'GROUP BY resource, bucket) GROUP BY resource')

    def _take(self, found: Found, number: int, moments: list[int], values: list[list[Any]]) -> None:
        native_id, name = found.resources[number]
        for place, (_, metric, unit) in enumerate(found.metrics):
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
    """The rows of the resources: found by leaps if they are few, else by reading all of that time."""
    table, numbers = f'points_{found.number}', ', '.join(map(str, found.resources))
    if len(found.resources) * _FEW < found.all_resources:
        return (f'WITH RECURSIVE moments (ts) AS (SELECT min(ts) FROM {table} WHERE ts >= :begin UNION ALL '
                f'SELECT (SELECT min(ts) FROM {table} WHERE ts > moments.ts) FROM moments WHERE moments.ts < :end) '
                f'SELECT p.ts, p.resource, {", ".join(columns)} FROM moments CROSS JOIN {table} AS p '
                f'WHERE p.ts = moments.ts AND p.ts < :end AND p.resource IN ({numbers})')
    some = '' if len(found.resources) == found.all_resources else f' AND resource IN ({numbers})'
    return (f'SELECT ts, resource, {", ".join(columns)} FROM {table} WHERE ts >= :begin AND ts < :end{some}')


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
