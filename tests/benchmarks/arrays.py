# SPDX-License-Identifier: Apache-2.0
"""Many arrays at once in a real `delfin-all` on SQLite.

50 make-believe arrays let every call wait, a second in sum for each array. They could all be done after that second and
the processor time that the process takes; that is the floor of a sync of all. The request itself is measured with 500
storages, which stand in the database without having been registered one by one; each round begins when all are idle.
"""

from __future__ import annotations

import os
import statistics
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from delfin.db import Database, storages
from delfin.drivers.fake_storage.options import SIZES
from delfin.kinds import KINDS
from tests.benchmarks.measure import Figure
from tests.services import FAKE, Client, Process, Site, fake, wait_for

ARRAYS = 50
STORAGES = 500
FACTOR = 1.5
REQUEST_LIMIT_MS = 100.0

_ARRAY_SECONDS = 1.0
_CALLS = len(KINDS) + 1         # each kind, and the array itself
_ROUNDS = 5
_REQUEST_ROUNDS = 5
_IDLE_SECONDS = 300.0
_FIRST_PORT = 9000
_TICKS = os.sysconf('SC_CLK_TCK')
_QUIET = {'interval_seconds': 0}


def measure(folder: Path) -> list[Figure]:
    """The sync of all arrays, and the request for it."""
    return [*_slow_arrays(folder / 'arrays'), *_request(folder / 'request')]


def _slow_arrays(root: Path) -> list[Figure]:
    site = Site(root, sync=_QUIET)
    latency = f'{_ARRAY_SECONDS * 1000 / _CALLS:.3f}'
    ratios, texts = [], []
    with site.start() as process:
        process.ready()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: Client(site.port).post(
                '/v1/storages', fake(_FIRST_PORT + number, latency_ms=latency), 201), range(ARRAYS)))
        _until_synced(site)
        _check_synced(process, ARRAYS)
        for _ in range(_ROUNDS):
            busy, started = processor_seconds(process.pid), time.time()
            process.client.post('/v1/storages/sync')
            _until_synced(site)
            busy = processor_seconds(process.pid) - busy
            ended, longest = _last_runs(site, started)
            _check_synced(process, ARRAYS)
            bound = _ARRAY_SECONDS + busy
            ratios.append((ended - started) / bound)
            texts.append(f'{ended - started:.2f} s; {_ARRAY_SECONDS:g} s of the array + {busy:.2f} s CPU; '
                         f'longest run {longest:.2f} s')
        process.stop()
    middle = sorted(range(_ROUNDS), key=ratios.__getitem__)[_ROUNDS // 2]
    return [Figure(f'sync of all {ARRAYS} arrays', 'sqlite', ratios[middle], '× floor', FACTOR, texts[middle],
                   tuple(ratios))]


def _request(root: Path) -> list[Figure]:
    site = Site(root, sync=_QUIET)
    database = Database(site.database)
    with database.write() as connection:
        for number in range(STORAGES):
            storages.insert(
                connection, str(uuid.uuid4()), {'name': f'array {number}', 'serial_number': f'SN-{number}'},
                {**FAKE, 'extra_attributes': {'serial_number': f'SN-{number}', **dict.fromkeys(SIZES, '0')}})
    database.close()
    times, syncs = [], []
    with site.start() as process:
        process.ready()
        for _ in range(_REQUEST_ROUNDS):
            started = time.perf_counter()
            process.client.post('/v1/storages/sync')
            times.append((time.perf_counter() - started) * 1000)
            _until_synced(site)
            syncs.append(time.perf_counter() - started)
            _check_synced(process, STORAGES)
        process.stop()
    return [Figure(f'POST /v1/storages/sync with {STORAGES} storages', 'sqlite', statistics.median(times), 'ms',
                   REQUEST_LIMIT_MS, f'worst {max(times):.0f} ms; all synced after {statistics.median(syncs):.1f} s',
                   tuple(times))]


def _until_synced(site: Site) -> None:
    """Wait for the end of all runs. Looks into the file: a request would take processor time of the process."""
    database = Database(site.database)

    def at_rest() -> bool:
        with database.read() as connection:
            return not connection.exec_driver_sql('SELECT count(*) FROM sync_runs WHERE active = 1').scalar_one()
    wait_for('the end of all syncs', at_rest, _IDLE_SECONDS)
    database.close()


def _check_synced(process: Process, count: int) -> None:
    states = [row['sync_status'] for row in process.client.get('/v1/storages', limit=1000)['storages']]
    if states != ['SYNCED'] * count:
        raise RuntimeError(f'{states.count("SYNCED")} of {count} storages synced: see {process.site.log}')


def _last_runs(site: Site, since: float) -> tuple[float, float]:
    """When the last run ended (epoch seconds), and the longest of those that were asked for after `since`."""
    database = Database(site.database)
    with database.read() as connection:
        runs = connection.exec_driver_sql(
            'SELECT (julianday(finished_at) - 2440587.5) * 86400, '
            '(julianday(finished_at) - julianday(started_at)) * 86400 FROM sync_runs '
            'WHERE (julianday(created_at) - 2440587.5) * 86400 >= ?', (since - 0.01,)).all()
    database.close()
    if len(runs) != ARRAYS:
        raise RuntimeError(f'{len(runs)} runs for {ARRAYS} arrays')
    return max(run[0] for run in runs), max(run[1] for run in runs)


def processor_seconds(pid: int) -> float:
    """What all threads of a process have used, in user and kernel mode."""
    fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
