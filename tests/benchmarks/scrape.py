# SPDX-License-Identifier: Apache-2.0
"""A scrape of 200,000 series: `python -m tests.benchmarks.scrape [--rounds 3]`.

The floor is what printing as many gauges takes `prometheus_client` (`generate_latest`), and compressing that as its own
server does. Both have the same series: 100 arrays with 125 volumes each, 16 metrics of each volume, five labels. Before
each of our scrapes all values have changed, as if a whole interval had passed; what arrives is measured as well, since
the lines are made then.

Times are processor times. How long others wait for the interpreter is seen by a second thread that wants to wake
every half millisecond: the most that the process worked meanwhile, with one array of 12,500 volumes (whose chunks are
largest). The switch interval is that of the services. Memory is that of a fresh process, which holds nothing else.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import gc
import gzip
import itertools
import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import prometheus_client

from delfin.common.constants import metric_struct
from delfin.exporter.prometheus.exposition import Exposition
from delfin.exporter.prometheus.names import OwnNames
from delfin.metrics import METRICS, Owner
from tests.benchmarks import report
from tests.benchmarks.measure import Comparison, Figure

ARRAYS, VOLUMES = 100, 125
SERIES = ARRAYS * VOLUMES * len(METRICS)
TARGET = 0.25
HOLD_LIMIT_MS = 50
SERIES_LIMIT_BYTES = 1000       # of memory
ARRIVAL_LIMIT_US = 10.0
ROUNDS = 3

_INTERVAL_SECONDS = 300.0
_SWITCH_SECONDS = 0.0005        # of the services
_WAKE_SECONDS = 0.0005
_LABELS = ('instance', 'resource_id', 'resource_name', 'storage_id', 'storage_name')
_STATUS = Path('/proc/self/status')
_AGAINST = 'prometheus_client'


def measure(rounds: int = ROUNDS) -> tuple[list[Comparison], list[Figure]]:
    """Time, waits, memory."""
    ours, theirs = Ours(), Theirs()
    theirs.collect(1)
    ours.collect(1)
    if len(b''.join(ours.exposition.plain()).splitlines()) != len(theirs.plain().splitlines()):
        raise RuntimeError('the two do not print the same series')
    times: dict[str, list[float]] = {name: [] for name in ('plain', 'packed', 'their plain', 'their packed', 'arrival')}
    for at in range(2, 2 + rounds):
        times['arrival'].append(sum(_milliseconds(arrive) for arrive in ours.arrivals(at)))
        times['plain'].append(_milliseconds(ours.exposition.plain))
        times['packed'].append(_milliseconds(ours.exposition.packed))
        times['their plain'].append(_milliseconds(theirs.plain))
        times['their packed'].append(_milliseconds(theirs.packed))
    compared = [Comparison(
        f'scrape of {SERIES:,} series{what}', '–', _AGAINST, statistics.median(times[f'their {name}']),
        statistics.median(times[name]), TARGET, ratios=tuple(
            own / floor for own, floor in zip(times[name], times[f'their {name}'], strict=True)))
        for name, what in (('plain', ''), ('packed', ', compressed'))]
    again = _milliseconds(ours.exposition.packed)
    arrival = [1000 * milliseconds / SERIES for milliseconds in times['arrival']]
    return compared, [
        Figure('processor time of a point that arrives', '–', statistics.median(arrival), 'µs', ARRIVAL_LIMIT_US,
               f'a scrape in which nothing has changed: {again:.0f} ms, compressed', tuple(arrival)),
        *_waits(theirs), _memory()]


# --- the two ---

class Ours:
    """The store of the exporter."""

    def __init__(self, arrays: int = ARRAYS) -> None:
        self.exposition = Exposition(OwnNames())
        self._arrays = arrays

    def collect(self, at: int) -> None:
        """All points of one interval."""
        for arrive in self.arrivals(at):
            arrive()

    def arrivals(self, at: int) -> Iterator[Callable[[], None]]:
        """The same, a call for each array."""
        for array in range(self._arrays):
            yield functools.partial(self.exposition.collected, _owner(array), 'volume',
                                    list(_points(array, self._arrays, at)), _INTERVAL_SECONDS)


class Theirs:
    """A gauge for each metric."""

    def __init__(self, arrays: int = ARRAYS) -> None:
        self._arrays = arrays
        self._registry = prometheus_client.CollectorRegistry()
        self._families = OwnNames()
        self._gauges: dict[str, prometheus_client.Gauge] = {}

    def collect(self, at: int) -> None:
        """All points of one interval."""
        for array in range(self._arrays):
            for name, labels, values in _points(array, self._arrays, at):
                family = self._families.family('volume', name, labels['unit'])
                assert family is not None
                if name not in self._gauges:
                    self._gauges[name] = prometheus_client.Gauge(family.name, family.help, _LABELS,
                                                                 registry=self._registry)
                known = {'instance': '', **dict(self._families.labels(labels))}
                self._gauges[name].labels(*(known[label] for label in _LABELS)).set(
                    values[at] * family.times / family.per)

    def plain(self) -> bytes:
        """As text."""
        return prometheus_client.generate_latest(self._registry)

    def packed(self) -> bytes:
        """As its WSGI application compresses it."""
        return gzip.compress(self.plain())


def _owner(array: int) -> Owner:
    return Owner(f'{array:08d}-1111-4222-8333-444444444444', f'array-{array}', 'Example', 'X1', f'SN-{array}')


def _points(array: int, arrays: int, at: int) -> Iterator[metric_struct]:
    owner = _owner(array)
    for name, metric in METRICS.items():
        for volume in range(ARRAYS * VOLUMES // arrays):
            yield metric_struct(name, {
                'storage_id': owner.storage_id, 'resource_type': 'volume',
                'resource_id': f'60060e80{array:04x}{volume:016x}', 'resource_name': f'prod-db-volume-{volume:05d}',
                'type': 'RAW', 'unit': metric.unit, 'name': owner.name, 'serial_number': owner.serial_number,
                'vendor': owner.vendor, 'model': owner.model}, {at: 123.456 * volume + array + at})


# --- how long others wait ---

def _waits(theirs: Theirs) -> Iterator[Figure]:
    one = Ours(1)
    one.collect(1)
    moments = itertools.count(2)

    def scrape() -> None:
        one.exposition.plain()
        one.exposition.packed()

    arriving = list(_points(0, 1, next(moments)))
    their = _longest_wait(theirs.packed)
    yield Figure(f'longest wait for the interpreter in a scrape of {SERIES:,} series', '–', _longest_wait(scrape), 'ms',
                 HOLD_LIMIT_MS, f'{_AGAINST} {their:.1f} ms')
    yield Figure(f'the same while {SERIES:,} points of one array arrive', '–', _longest_wait(
        lambda: one.exposition.collected(_owner(0), 'volume', arriving, _INTERVAL_SECONDS)), 'ms', HOLD_LIMIT_MS)


def _longest_wait(action: Callable[[], object]) -> float:
    """The most milliseconds that this process worked while a second thread wanted to."""
    late = [0.0]
    ended = threading.Event()

    def watch() -> None:
        while not ended.is_set():
            before = time.process_time()
            time.sleep(_WAKE_SECONDS)
            late[0] = max(late[0], time.process_time() - before)

    with _switching():
        thread = threading.Thread(target=watch)
        thread.start()
        action()
        ended.set()
        thread.join()
    return 1000 * late[0]


@contextlib.contextmanager
def _switching() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.collect()
    gc.disable()        # its pauses are those of whoever makes objects, not of either of the two
    try:
        yield
    finally:
        gc.enable()
        sys.setswitchinterval(before)


def _milliseconds(action: Callable[[], object]) -> float:
    """Processor time: what other processes do does not count."""
    started = time.thread_time()
    action()
    return 1000 * (time.thread_time() - started)


# --- memory, in processes of their own ---

def _memory() -> Figure:
    ours, theirs = _grown('ours'), _grown('theirs')
    return Figure(f'memory of {SERIES:,} series after a compressed scrape', '–', ours / SERIES, 'bytes/series',
                  SERIES_LIMIT_BYTES, f'{_AGAINST} {theirs / SERIES:,.0f}, which keeps no text')


def _grown(who: str) -> int:
    done = subprocess.run([sys.executable, '-m', 'tests.benchmarks.scrape', '--memory-of', who], capture_output=True,
                          text=True, timeout=300, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return int(json.loads(done.stdout))


def _child(who: str) -> None:
    both: dict[str, Callable[[], Any]] = {'ours': Ours, 'theirs': Theirs}
    contestant = both[who]()
    gc.collect()
    before = _resident()
    for at in (1, 2):
        contestant.collect(at)
    if who == 'ours':
        contestant.exposition.packed()
    gc.collect()
    print(json.dumps(_resident() - before))


def _resident() -> int:
    (line,) = (line for line in _STATUS.read_text().splitlines() if line.startswith('VmRSS:'))
    return int(line.split()[1]) * 1024


if __name__ == '__main__':
    parser = argparse.ArgumentParser()
    parser.add_argument('--rounds', type=int, default=ROUNDS)
    parser.add_argument('--memory-of', choices=['ours', 'theirs'])
    arguments = parser.parse_args()
    if arguments.memory_of:
        _child(arguments.memory_of)
    else:
        print(report.text(*measure(arguments.rounds)))
