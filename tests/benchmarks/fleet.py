# SPDX-License-Identifier: Apache-2.0
"""The metrics of a whole fleet, collected by one task service on SQLite for some minutes.

1,000 arrays of 200 series each are collected every 5 minutes and take 200 ms to answer; one array of 5,000 volumes with
16 metrics is collected every minute and takes 2 s; 50 more arrays never answer. A window is late by the time from its
slot to the commit of its points. Everything is the service's own (scheduler, door with its threads, marks, queue, the
scrape endpoint's lines, an exporter that takes everything) but the arrays, which are a driver class that sleeps.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import tempfile
import threading
import time
import uuid
from collections import defaultdict
from pathlib import Path
from typing import Any

from delfin import service
from delfin.common import config
from delfin.common.constants import metric_struct
from delfin.db import Database, ownership, storages
from delfin.db.schema import Schema
from delfin.drivers.api import Door, Limits
from delfin.exporter.base_exporter import PerformanceExporterBase
from delfin.exporter.manager import METRICS as GROUP
from delfin.exporter.manager import Selected
from delfin.exporter.prometheus.exposition import Exposition
from delfin.exporter.prometheus.names import NAMES
from delfin.exporter.runner import Runner
from delfin.metrics import METRICS
from delfin.task_manager.telemetry.collector import Collector, Settings
from delfin.task_manager.telemetry.scheduler import Telemetry
from tests.benchmarks.measure import Figure, percentile
from tests.unit.support import Drivers, MinimalDriver

ARRAYS, SERIES, SECONDS, ANSWER_SECONDS = 1000, 200, 300, 0.2
BIG_VOLUMES, BIG_SECONDS, BIG_ANSWER_SECONDS = 5000, 60, 2.0
HANGING = 50
LATE_SHARE = 0.1
DURATION = 660.0

_NEVER = threading.Event()
_DEADLINE_SECONDS = 120


class FleetDriver(MinimalDriver):
    """Answers after a while, or never."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        facts = kwargs['extra_attributes']
        self._volumes, self._metrics = int(facts['volumes']), list(METRICS)[:int(facts['metrics'])]
        self._answer_seconds = float(facts['answer_seconds'])
        self._interval = int(facts['interval'])

    def get_capabilities(self, context: Any, filters: Any = None) -> dict[str, Any]:
        return {'is_historic': True, 'collect_interval': self._interval, 'performance_metric_retention_window': 86400,
                'resource_metrics': {'volume': {name: {'unit': METRICS[name].unit} for name in self._metrics}}}

    def collect_perf_metrics(self, context: Any, storage_id: str, resource_metrics: Any, start_time: int,
                             end_time: int) -> list[metric_struct]:
        if not self._answer_seconds:
            _NEVER.wait()
        time.sleep(self._answer_seconds)
        step = self._interval * 1000
        times = range(-(-start_time // step) * step, end_time, step)
        return [metric_struct(name, {'storage_id': storage_id, 'resource_type': 'volume', 'resource_id': f'v{number}',
                                     'resource_name': f'data {number}', 'type': 'RAW', 'unit': METRICS[name].unit},
                              {moment: number + moment % 1000 / 7 for moment in times})
                for number in range(self._volumes) for name in self._metrics]


class Taker(PerformanceExporterBase):
    """Takes everything, as fast as it comes."""

    points = 0

    def dispatch(self, ctxt: Any, data: list[metric_struct]) -> None:
        Taker.points += sum(len(values) for _, _, values in data)


class Seen:
    """How late the windows of each array were."""

    def __init__(self) -> None:
        self.windows: dict[str, list[tuple[str, float]]] = defaultdict(list)
        self.points = 0

    def collection(self, storage_id: str, state: str, seconds: float, late_seconds: float, points: int,
                   rejected: dict[str, int]) -> None:
        self.windows[storage_id].append((state, late_seconds + seconds))
        self.points += points


def measure(folder: Path, seconds: float = DURATION) -> list[Figure]:
    """Lateness of the fleet's and the big array's windows as a share of their interval."""
    with multiprocessing.get_context('spawn').Pool(1) as pool:
        return pool.apply(_measure, (str(folder), seconds))


def _measure(folder: str, seconds: float) -> list[Figure]:
    service.tune_interpreter()
    database = Database(f'sqlite:///{folder}/fleet.sqlite')
    Schema(database).upgrade()
    kinds = _register(database)
    file = Path(folder) / 'delfin.conf'
    file.write_text(f'[DEFAULT]\nhost = node-1\nstate_path = {folder}\n')
    conf = config.load(['--config-file', str(file)], 'delfin-fleet', default_config_dirs=[])
    door = Door(Drivers(FleetDriver), lambda storage_id: {      # type: ignore[arg-type]
        'vendor': 'v', 'model': 'm', 'rest': {}, 'extra_attributes': kinds[storage_id][1]},
        limits=Limits(60, _DEADLINE_SECONDS, 600))
    runner = Runner(conf, database, group=GROUP, selected=[Selected('taker', Taker, GROUP)])
    seen, settings = Seen(), Settings(True, SECONDS, 60)
    collector = Collector(database, door, settings, [Exposition(NAMES['delfin']())], on_queued=runner.wake)
    telemetry = Telemetry(database, 'node-1', collector, settings, workers=128, poll_seconds=5,
                          holds=lambda storage_id: True, forget=lambda storage_id: None, observer=seen)
    runner.start()
    telemetry.start()
    began, busy = time.monotonic(), time.process_time()
    threading.Event().wait(seconds)
    busy, lasted = time.process_time() - busy, time.monotonic() - began
    door.stop()
    telemetry.stop(10)
    runner.stop(10)
    cpu = (f'{busy / lasted * 100:.0f} % of a core, {seen.points / lasted:,.0f} points/s, '
           f'{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB')
    figures = [_figure(f'{ARRAYS:,} arrays every {SECONDS} s', 'healthy', SECONDS, kinds, seen, cpu),
               _figure(f'an array of {BIG_VOLUMES * len(METRICS):,} series every {BIG_SECONDS} s', 'big', BIG_SECONDS,
                       kinds, seen, f'{Taker.points:,} points delivered to the exporter')]
    return figures


def _figure(what: str, kind: str, interval: int, kinds: dict[str, tuple[str, Any]], seen: Seen, basis: str) -> Figure:
    # The first window begins when the array is new, not in its slot.
    windows = [each for storage_id, found in seen.windows.items() if kinds[storage_id][0] == kind for each in found[1:]]
    failed = sum(state != 'done' for state, _ in windows)
    if not windows or failed:
        raise RuntimeError(f'{what}: {len(windows)} windows, {failed} failed')
    shares = [late / interval for _, late in windows]
    return Figure(f'latest window of {what}, of its interval', 'sqlite', max(shares), '', LATE_SHARE,
                  f'{len(windows)} windows; median {percentile(shares, 50) * interval:.2f} s, '
                  f'p99 {percentile(shares, 99) * interval:.2f} s, latest {max(shares) * interval:.2f} s; {basis}')


def _register(database: Database) -> dict[str, tuple[str, dict[str, str]]]:
    """All arrays, given to this node: kind and facts by id."""
    kinds: dict[str, tuple[str, dict[str, str]]] = {}

    def add(kind: str, count: int, volumes: int, metrics: int, interval: int, answer: float) -> None:
        facts = {'volumes': str(volumes), 'metrics': str(metrics), 'interval': str(interval),
                 'answer_seconds': str(answer)}
        for _ in range(count):
            storage_id = str(uuid.uuid4())
            kinds[storage_id] = kind, facts
            storages.insert(connection, storage_id, {'name': kind, 'serial_number': storage_id},
                            {'vendor': 'v', 'model': 'm', 'extra_attributes': facts}, 'node-1')

    with database.write() as connection:
        add('healthy', ARRAYS, SERIES // 8, 8, SECONDS, ANSWER_SECONDS)
        add('big', 1, BIG_VOLUMES, len(METRICS), BIG_SECONDS, BIG_ANSWER_SECONDS)
        add('hanging', HANGING, SERIES // 8, 8, SECONDS, 0)
        ownership.join(connection, ownership.Node('node-1', 'boot', '0'), [], 86_400)
    return kinds


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog='python -m tests.benchmarks.fleet',
                                     description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--seconds', type=float, default=DURATION, help='for how long; less than 660 is only for a try')
    with tempfile.TemporaryDirectory(prefix='delfin-fleet-') as folder:
        for figure in measure(Path(folder), parser.parse_args().seconds):
            print(f'{figure.what}: {figure.measured:.4f} (limit {figure.limit}); {figure.basis}')


if __name__ == '__main__':
    main()
    os._exit(0)     # arrays that never answer
