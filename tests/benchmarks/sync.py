# SPDX-License-Identifier: Apache-2.0
"""Syncs of one kind against plain inserts of the same rows.

The floor is the DB-API's `executemany` with tuples that were made before: batches of 1,000 into the same table with the
same indexes, committed after every second one, with one `created_at` for each commit. PostgreSQL's COPY, committed as
often, is shown beside it. Delfin gets what a driver answers (dicts, made before) and does everything a sync does: it
reads what is stored, coerces, makes fingerprints and ids, guards each transaction, shows progress and records the
outcome. All take turns on one table, which is emptied in between.
"""

from __future__ import annotations

import gc
import statistics
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from delfin.coerce import RowReader
from delfin.db import Database, resources, runs
from delfin.db.sqlalchemy import models
from delfin.findings import Findings
from delfin.task_manager.sync.inventory import Inventory
from tests.benchmarks.databases import VOLUMES, fresh, volume
from tests.benchmarks.measure import Comparison, Figure
from tests.unit.support import ScriptedDoor, add_storage, masker_for, recorded_writes, take_run

ENGINES = ('sqlite', 'postgresql')
FIRST_TARGET, CHANGED_TARGET, UNCHANGED_TARGET = 2.5, 0.5, 0.35
GROWTH_TARGET = 1.25            # time of a row when there are ten times as many of them

_ROUNDS = 3
_REPEATS = {1_000: 5, 10_000: 2, 100_000: 1}       # in each round
_TABLE = models.table(VOLUMES.table)
_TRANSACTION_ROWS = 2 * resources.BATCH
_KEEP_RUNS = 10

Row = dict[str, Any]


Times = dict[str, list[float]]


def measure(engine: str, folder: Path, say: Callable[[str], None]) -> tuple[list[Comparison], list[Figure]]:
    """First, unchanged and slightly changed syncs of 1,000, 10,000 and 100,000 volumes.

    The sizes take turns as well: their growth would otherwise compare one moment of the machine with another.
    """
    rounds: list[dict[int, Times]] = []
    with fresh(engine, folder) as database:
        arrays = {volumes: _Array(database, volumes) for volumes in _REPEATS}
        for array in arrays.values():
            array.times(1)          # warm-up
        for number in range(_ROUNDS):
            say(f'{engine}: syncs, round {number + 1} of {_ROUNDS}')
            rounds.append({volumes: array.times(_REPEATS[volumes]) for volumes, array in arrays.items()})
    compared: list[Comparison] = []
    for volumes in _REPEATS:
        compared += _comparisons(engine, volumes, [times[volumes] for times in rounds])
    return compared, list(_growth(engine, rounds))


def _comparisons(engine: str, volumes: int, rounds: Sequence[Times]) -> Iterator[Comparison]:
    times = {name: statistics.median(time for of_round in rounds for time in of_round[name]) for name in rounds[0]}

    def ratios(name: str, floor: str) -> tuple[float, ...]:
        return tuple(statistics.median(of_round[name]) / statistics.median(of_round[floor]) for of_round in rounds)

    for what, name, target in (('first', 'first', FIRST_TARGET), ('1 % changed', 'changed', CHANGED_TARGET),
                               ('unchanged', 'unchanged', UNCHANGED_TARGET)):
        parts = {} if name == 'first' else {'stored rows': times['stored']}
        parts |= {'coercion, fingerprints': times['coercion']}
        parts['the rest'] = times[name] - sum(parts.values())
        yield Comparison(f'{what} sync of {volumes:,} volumes', engine, f'executemany of {volumes:,} rows',
                         times['raw'], times[name], target, parts if volumes == max(_REPEATS) else {},
                         f'a sync of {volumes:,} volumes ({what})', ratios(name, 'raw'))
    if 'copy' in times:
        yield Comparison(f'first sync of {volumes:,} volumes', engine, f'COPY of {volumes:,} rows', times['copy'],
                         times['first'], FIRST_TARGET, ratios=ratios('first', 'copy'))


def _growth(engine: str, rounds: Sequence[dict[int, Times]]) -> Iterator[Figure]:
    """How much longer a row of a first sync takes when there are ten times as many; the floor grows, too."""
    sizes = sorted(_REPEATS)
    for few, many in zip(sizes, sizes[1:], strict=False):
        raw, delfin = ([statistics.median(times[many][name]) / statistics.median(times[few][name]) * few / many
                        for times in rounds] for name in ('raw', 'first'))
        yield Figure(f'time of a row of a first sync, {many:,} against {few:,} volumes', engine,
                     statistics.median(delfin), '×', GROWTH_TARGET,
                     f'executemany {statistics.median(raw):.2f} ({min(raw):.2f} to {max(raw):.2f})', tuple(delfin))


class _Array:
    """All contestants on one table, with rows made before."""

    def __init__(self, database: Database, volumes: int) -> None:
        self._database = database
        self._storage_id = add_storage(database, f'SN-{volumes}')
        self._rows = [volume(number) for number in range(volumes)]
        self._changed = [{**row, 'description': 'changed'} if number % 100 == 0 else row
                         for number, row in enumerate(self._rows)]
        self._names = [column.name for column in _TABLE.columns]
        self._tuples = list(self._plain())
        self._door = ScriptedDoor({'get_storage': {'serial_number': f'SN-{volumes}', 'name': 'array'}})
        self._inventory = Inventory(database, self._door, masker_for())       # type: ignore[arg-type]
        self._turn = 0
        gc.collect()
        gc.freeze()     # a driver's rows are not kept in life: they must not be gone through again and again

    def _plain(self) -> Iterator[tuple[Any, ...]]:
        # As in a sync, the rows of a transaction share one `created_at`. Nearly all indexes end in it: if all rows had
        # the same, the floor would fill them in another order and look up to 1.6 times slower than it is.
        began = datetime.now(UTC).replace(tzinfo=None)
        for number, row in enumerate(self._rows):
            moment: Any = began + timedelta(milliseconds=number // _TRANSACTION_ROWS)
            if self._database.dialect == 'sqlite':
                moment = moment.isoformat(' ', 'microseconds')
            values = {**row, 'id': str(uuid.uuid4()), 'storage_id': self._storage_id, 'created_at': moment,
                      'updated_at': None, 'stale_since': None, 'fingerprint': number.to_bytes(16, 'big')}
            yield tuple(values[name] for name in self._names)

    def times(self, repeats: int) -> Times:
        """Milliseconds of each contestant."""
        times: Times = defaultdict(list)
        contestants = [self._inserts, self._copies, self._syncs]
        for _ in range(repeats):
            self._turn += 1
            shift = self._turn % len(contestants)
            for contestant in contestants[shift:] + contestants[:shift]:       # nobody always follows the same one
                for name, milliseconds in contestant():
                    times[name].append(milliseconds)
        return times

    def _inserts(self) -> Iterator[tuple[str, float]]:
        self._empty()
        yield 'raw', _timed(self._executemany)

    def _copies(self) -> Iterator[tuple[str, float]]:
        if self._database.dialect == 'postgresql':
            self._empty()
            yield 'copy', _timed(self._copy)

    def _syncs(self) -> Iterator[tuple[str, float]]:
        self._empty()
        yield 'first', self._sync(self._rows, created=len(self._rows))
        with recorded_writes(self._database) as written:
            yield 'unchanged', self._sync(self._rows, unchanged=len(self._rows))
        if any(f' {_TABLE.name} ' in f'{statement} ' for statement in written):
            raise RuntimeError('a sync without changes has written resource rows')
        yield 'changed', self._sync(self._changed, updated=-(-len(self._rows) // 100))
        yield 'stored', _timed(self._read_stored)
        yield 'coercion', _timed(self._coerce)

    def _empty(self) -> None:
        with self._database.write() as connection:
            connection.exec_driver_sql('DELETE FROM volumes' if self._database.dialect == 'sqlite'
                                       else 'TRUNCATE TABLE volumes')

    # --- the contestants ---

    def _executemany(self) -> None:
        mark = '?' if self._database.dialect == 'sqlite' else '%s'
        statement = (f'INSERT INTO {_TABLE.name} ({", ".join(self._names)}) '
                     f'VALUES ({", ".join([mark] * len(self._names))})')
        pooled = self._database.engine.raw_connection()
        connection: Any = pooled.driver_connection
        cursor = connection.cursor()
        for portion in self._portions():
            if self._database.dialect == 'sqlite':
                cursor.execute('BEGIN IMMEDIATE')
            for batch in resources.batches(portion):
                cursor.executemany(statement, batch)
            connection.commit()
        cursor.close()
        pooled.close()

    def _copy(self) -> None:
        pooled = self._database.engine.raw_connection()
        connection: Any = pooled.driver_connection
        with connection.cursor() as cursor:
            for portion in self._portions():
                with cursor.copy(f'COPY {_TABLE.name} ({", ".join(self._names)}) FROM STDIN') as copy:
                    for row in portion:
                        copy.write_row(row)
                connection.commit()
        pooled.close()

    def _portions(self) -> Iterator[Sequence[tuple[Any, ...]]]:
        return (self._tuples[start:start + _TRANSACTION_ROWS]
                for start in range(0, len(self._tuples), _TRANSACTION_ROWS))

    def _sync(self, rows: list[Row], **expected: int) -> float:
        self._door.answers['list_volumes'] = lambda: iter(rows)
        taken = take_run(self._database, self._storage_id)
        milliseconds = _timed(lambda: self._inventory.run(taken))
        with self._database.write() as connection:
            state = runs.finish(connection, taken, _KEEP_RUNS)
        with self._database.read() as connection:
            (run,) = runs.listing(connection, self._storage_id, 1, 0)
        (kind,) = (kind for kind in run['kinds'] if kind['kind'] == VOLUMES.name)
        if state != 'done' or any(kind[name] != count for name, count in expected.items()):
            raise RuntimeError(f'not the sync that was to be measured: {kind}')
        return milliseconds

    def _read_stored(self) -> None:
        with self._database.read() as connection:
            resources.stored(connection, VOLUMES.table, self._storage_id)

    def _coerce(self) -> None:
        read, found = RowReader(VOLUMES.table).read, Findings()
        for row in self._rows:
            read(row, found)


def _timed(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) * 1000
