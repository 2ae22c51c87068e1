# SPDX-License-Identifier: Apache-2.0
"""Readers beside a sync of 100,000 volumes in a real `delfin-all` on SQLite: one process, one lock, one file.

First sync: several clients read lists, a storage's volumes and the progress all the while; what counts is the longest
answer, and that none fails. Then syncs follow one another, every second one finding a hundredth of the rows changed,
while one client asks for the storages; what counts is the 99th percentile. The clients are in this process, Delfin in
another one.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.databases import ROWS
from tests.benchmarks.measure import Figure, percentile
from tests.benchmarks.single import Client
from tests.services import Process, Site, fake, wait_for

LONGEST_LIMIT_SECONDS = 1.0
P99_LIMIT_MS = 150.0

_REQUESTS = 1_000
_PAUSE_SECONDS = 0.02
_SYNC_SECONDS = 300.0


def measure(folder: Path) -> list[Figure]:
    """The first sync, then the syncs in a row."""
    site = Site(folder / 'readers', sync={'interval_seconds': 0})
    control = site.root / 'array.json'
    control.write_text('{}')
    with site.start() as process:
        process.ready()
        figures = [_first_sync(process, control), *_looping_syncs(process, control)]
        process.stop()
    return figures


# --- the first sync ---

def _first_sync(process: Process, control: Path) -> Figure:
    body = fake(8088, volumes=str(ROWS), control_file=str(control))
    storage = process.client.post('/v1/storages', body, 201)
    started = time.monotonic()
    paths = ('/v1/storages', '/v1/volumes?limit=100', f'/v1/volumes?storage_id={storage["id"]}&limit=1000',
             f'/v1/storages/{storage["id"]}/syncs/latest')
    with _Readers(process.site.port, paths) as readers:
        run = _ended(process, storage['id'])
    if run['state'] != 'done':
        raise RuntimeError(f'the first sync failed: {run}')
    slowest = max(readers.seconds, key=lambda path: max(readers.seconds[path]))
    times = [seconds for of_path in readers.seconds.values() for seconds in of_path]
    if readers.errors:
        raise RuntimeError(f'{len(readers.errors)} readers failed, the first with {readers.errors[0]}')
    return Figure(f'longest answer during a first sync of {ROWS:,} volumes', 'sqlite', max(times), 's',
                  LONGEST_LIMIT_SECONDS,
                  f'{len(times):,} answers in {time.monotonic() - started:.0f} s, none failed; '
                  f'p99 {percentile(times, 99):.2f} s; longest: {slowest.replace(storage["id"], "…")}')


class _Readers:
    """A client for each path that asks again and again until the block ends."""

    def __init__(self, port: int, paths: tuple[str, ...]) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.errors: list[str] = []
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._read, args=(port, path), daemon=True) for path in paths]

    def _read(self, port: int, path: str) -> None:
        with Client(port, path) as client:
            while not self._end.wait(_PAUSE_SECONDS):
                started = time.monotonic()
                try:
                    client.get()
                except (OSError, RuntimeError) as error:        # noqa: PERF203 - this reader ends
                    self.errors.append(f'{path}: {error}')
                    return
                self.seconds[path].append(time.monotonic() - started)

    def __enter__(self) -> _Readers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()


# --- one sync after the other ---

def _looping_syncs(process: Process, control: Path) -> Iterator[Figure]:
    (storage,) = process.client.get('/v1/storages')['storages']
    idle = _answers(process.site.port)
    with _syncing(process, storage['id'], control) as done:
        wait_for('a sync under way', lambda: done or process.client.get(
            f'/v1/storages/{storage["id"]}')['sync_status'] == 'SYNCING')
        busy = _answers(process.site.port)
        finished = len(done)
    if not finished:
        raise RuntimeError('no sync ended while the answers were timed')
    yield Figure(f'p99 of GET /v1/storages while syncs of {ROWS:,} volumes follow one another', 'sqlite',
                 percentile(busy, 99), 'ms', P99_LIMIT_MS,
                 f'{_REQUESTS:,} requests, no 5xx, {finished} syncs ended; median {percentile(busy, 50):.1f}, worst '
                 f'{max(busy):.0f} ms; without syncs p99 {percentile(idle, 99):.1f} ms')


def _answers(port: int) -> list[float]:
    """Milliseconds of each answer; one that is not 200 raises."""
    times = []
    with Client(port, '/v1/storages') as client:
        for _ in range(_REQUESTS):
            started = time.perf_counter()
            client.get()
            times.append((time.perf_counter() - started) * 1000)
            time.sleep(_PAUSE_SECONDS)
    return times


@contextlib.contextmanager
def _syncing(process: Process, storage_id: str, control: Path) -> Iterator[list[str]]:
    """Sync without a break; the states of the syncs that have ended."""
    done: list[str] = []
    end = threading.Event()

    def sync() -> None:
        number = 0
        while not end.is_set():
            number += 1
            _write(control, {'epoch': number // 2})
            process.client.post(f'/v1/storages/{storage_id}/sync')
            done.append(_ended(process, storage_id)['state'])

    thread = threading.Thread(target=sync, daemon=True)
    thread.start()
    try:
        yield done
    finally:
        end.set()
        thread.join()
    if set(done) != {'done'}:
        raise RuntimeError(f'syncs ended as {set(done)}: see {process.site.log}')


def _ended(process: Process, storage_id: str) -> dict[str, str]:
    """The newest run when it has ended."""
    def ended() -> dict[str, str] | None:
        run: dict[str, str] = process.client.get(f'/v1/storages/{storage_id}/syncs/latest')
        return run if run['state'] in ('done', 'failed') else None
    found: dict[str, str] = wait_for('the end of the sync', ended, _SYNC_SECONDS)
    return found


def _write(control: Path, options: dict[str, int]) -> None:
    """Renamed into place: a call never finds it half written."""
    new = control.with_suffix('.new')
    new.write_text(json.dumps(options))
    new.rename(control)
