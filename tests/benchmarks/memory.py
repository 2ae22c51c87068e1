# SPDX-License-Identifier: Apache-2.0
"""Memory of a sync of 100,000 volumes that the driver yields: `python -m tests.benchmarks.memory FOLDER WIDTH [trace]`.

A child process has the door, the inventory and a driver, and nothing else of a service. It syncs a few rows first, so
that the code is there; few, since what a larger sync gives back would serve the next one and hide what that one takes.
Then it resets the kernel's mark of the largest resident size, syncs, and looks how much that has grown. For the same
reason each sync has a child of its own. With `trace` it prints what Python holds near the first and the last row.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from delfin.db import Database
from delfin.db.schema import Schema
from delfin.drivers.api import Door
from delfin.kinds import ColumnType
from delfin.task_manager.sync.inventory import Inventory
from tests.benchmarks.databases import ROWS, VOLUMES, volume
from tests.benchmarks.measure import Figure
from tests.unit.support import Drivers, add_storage, make_driver, masker_for, take_run

LIMIT_BYTES = 600
_WARM_UP_ROWS = 100
_WIDEST = 250
_WIDTHS = {'narrow': 1, 'texts ten times as wide': 10}
_STATUS = Path('/proc/self/status')


def measure(folder: Path) -> list[Figure]:
    """First and unchanged sync, with narrow and with wide rows."""
    figures = []
    for what, width in _WIDTHS.items():
        home = folder / f'memory-{width}'
        home.mkdir()
        for sync in ('a first', 'an unchanged'):
            seen = _child(home, width)
            figures.append(Figure(
                f'memory of {sync} sync of {ROWS:,} volumes, {what}', 'sqlite', seen['grown'] / ROWS, 'bytes/row',
                LIMIT_BYTES, f'{seen["grown"] / 2**20:.0f} MiB above {seen["before"] / 2**20:.0f} MiB'))
    return figures


def _child(home: Path, width: int) -> dict[str, int]:
    done = subprocess.run([sys.executable, '-m', 'tests.benchmarks.memory', str(home), str(width)],
                          capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise RuntimeError(done.stderr)
    seen: dict[str, int] = json.loads(done.stdout)
    return seen


# --- the child ---

def _main(home: Path, width: int, trace: bool) -> None:
    database = Database(f'sqlite:///{home}/memory.sqlite')
    Schema(database).upgrade()
    serial_numbers = {'SN-warm': _WARM_UP_ROWS, 'SN-big': ROWS}
    with database.read() as connection:
        known: dict[str, str] = {
            name: row_id for name, row_id in connection.exec_driver_sql('SELECT serial_number, id FROM storages')}
    storage_ids = {name: known.get(name) or add_storage(database, name) for name in serial_numbers}
    _sync(database, storage_ids['SN-warm'], 'SN-warm', _WARM_UP_ROWS, width)
    gc.collect()
    if trace:
        tracemalloc.start()
        _sync(database, storage_ids['SN-big'], 'SN-big', ROWS, width, _print_largest)
        return
    Path('/proc/self/clear_refs').write_text('5')       # the peak begins anew
    before = _status('VmRSS')
    _sync(database, storage_ids['SN-big'], 'SN-big', ROWS, width)
    print(json.dumps({'before': before, 'grown': _status('VmHWM') - before}))


def _sync(database: Database, storage_id: str, serial_number: str, rows: int, width: int,
          look: Callable[[], None] = lambda: None) -> None:
    def yielded(self: Any, context: Any) -> Iterator[dict[str, Any]]:
        for number in range(rows):
            if number in (rows // 20, rows - rows // 50):         # the driver is a few chunks ahead
                look()
            yield _wide(volume(number), width)

    driver = make_driver(list_volumes=yielded, get_storage=lambda self, context: {'serial_number': serial_number})
    door = Door(Drivers(driver), lambda storage_id: {'vendor': 'a', 'model': 'b'})        # type: ignore[arg-type]
    taken = take_run(database, storage_id)
    Inventory(database, door, masker_for()).run(taken)
    with database.write() as connection:
        counted = connection.exec_driver_sql(f"SELECT seen, state FROM sync_run_kinds WHERE run_id = {taken.run_id} "
                                             "AND kind = 'volumes'").one()
        connection.exec_driver_sql(f"UPDATE sync_runs SET state = 'done', active = NULL WHERE id = {taken.run_id}")
    if tuple(counted) != (rows, 'done'):
        raise SystemExit(f'not the sync that was to be measured: {counted}')


def _wide(row: dict[str, Any], width: int) -> dict[str, Any]:
    if width == 1:
        return row
    free_text = {column.name for column in VOLUMES.table.columns
                 if column.type is ColumnType.TEXT and not column.values}
    return {name: f'{value}{"-" * min(_WIDEST - len(value), (width - 1) * len(value))}'
            if name in free_text and value else value for name, value in row.items()}


def _status(name: str) -> int:
    (line,) = (line for line in _STATUS.read_text().splitlines() if line.startswith(f'{name}:'))
    return int(line.split()[1]) * 1024


def _print_largest() -> None:
    snapshot = tracemalloc.take_snapshot()
    print(f'traced: {tracemalloc.get_traced_memory()[0] / ROWS:.0f} bytes a row')
    for statistic in snapshot.statistics('lineno')[:8]:
        frame = statistic.traceback[0]
        print(f'{statistic.size / ROWS:6.0f} bytes a row  {Path(frame.filename).name}:{frame.lineno}')


if __name__ == '__main__':
    _main(Path(sys.argv[1]), int(sys.argv[2]), 'trace' in sys.argv[3:])
