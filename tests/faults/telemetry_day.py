# SPDX-License-Identifier: Apache-2.0
"""A day of collecting metrics in minutes: arrays, nodes and a receiver on a clock that jumps to what is due next.

Everything between the clock and the receiver is real: driver calls through the door, marks, queue and ownership in a
database. Arrays go away, nodes end at any moment and lose arrays to each other, the receiver is away for hours. What
the arrays have produced is computed here, without asking Delfin.
"""

from __future__ import annotations

import heapq
import random
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.exc import OperationalError

from delfin import exception
from delfin.common.constants import metric_struct
from delfin.db import Database, exports, metrics, ownership, storages
from delfin.drivers.api import Door, Limits
from delfin.drivers.driver import StorageDriver
from delfin.exporter import cargo
from delfin.exporter.base_exporter import DeliveryFailed
from delfin.exporter.work import CallFailed, Events, Pace
from delfin.task_manager.telemetry.collector import Collector, Lost, Settings
from delfin.task_manager.telemetry.scheduler import due_at

BEGIN = 1_800_000_000           # epoch seconds
INTERVAL = 300
EXPORTER = 'receiver'


@dataclass
class Array:
    """What an array produces: a point each `step` seconds of each of its series, by its own clock."""

    name: str
    historic: bool
    retention: int = 7200
    tells_latest: bool = True
    skew: int = 0                       # its clock less ours, seconds
    lag: int = 0                        # so much later than its time stamp a point can be read
    step: int = 60
    volumes: tuple[str, ...] = ('v1', 'v2', 'with "quotes"')
    away: list[tuple[int, int]] = field(default_factory=list)       # [from, to) by our clock
    asked: Counter[str] = field(default_factory=Counter)

    def is_away(self, now: float) -> bool:
        return any(begin <= now < end for begin, end in self.away)

    def times(self, start: int, end: int) -> range:
        """Time stamps in ms in [start, end)."""
        step = self.step * 1000
        return range(-(-start // step) * step, end, step)


class Clock:
    """Epoch seconds, moved by the day."""

    def __init__(self) -> None:
        self.now = float(BEGIN)

    def __call__(self) -> float:
        return self.now


class ArrayDriver(StorageDriver):
    """Reads an `Array`."""

    arrays: dict[str, Array] = {}
    clock = Clock()

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._array = self.arrays[kwargs['extra_attributes']['array']]

    def _reach(self, method: str) -> float:
        now = self.clock.now
        self._array.asked[method] += 1
        if self._array.is_away(now):
            raise exception.InvalidIpOrPort()
        return now + self._array.skew

    def reset_connection(self, context: Any, **kwargs: Any) -> None:
        return None

    def get_storage(self, context: Any) -> dict[str, Any]:
        return {'name': self._array.name, 'serial_number': self._array.name}

    list_storage_pools = list_volumes = list_alerts = add_trap_config = remove_trap_config = clear_alert = (
        lambda self, *args, **kwargs: [])

    def get_capabilities(self, context: Any, filters: Any = None) -> dict[str, Any]:
        self._reach('get_capabilities')
        return {'is_historic': self._array.historic, 'performance_metric_retention_window': self._array.retention,
                'resource_metrics': {'volume': {'iops': {'unit': 'IOPS'}, 'responseTime': {'unit': 'ms'}},
                                     'storage': {'iops': {'unit': 'IOPS'}}}}

    def get_latest_perf_timestamp(self, context: Any) -> int | None:
        now = self._reach('get_latest_perf_timestamp')
        if not self._array.tells_latest:
            return None
        step = self._array.step
        return int((now - self._array.lag) // step * step * 1000)

    def collect_perf_metrics(self, context: Any, storage_id: str, resource_metrics: Any, start_time: int,
                             end_time: int) -> Iterator[metric_struct]:
        now = self._reach('collect_perf_metrics')
        array = self._array
        if array.historic:
            newest = int((now - array.lag) * 1000)
            times = [time for time in array.times(max(start_time, int((now - array.retention) * 1000)), end_time)
                     if time <= newest]
        else:
            times = [int(now * 1000)]
        for resource_type, names in resource_metrics.items():
            for resource_id in (array.volumes if resource_type == 'volume' else (array.name,)):
                for name in names:
                    yield metric_struct(name, {'resource_type': resource_type, 'resource_id': resource_id},
                                        {time: value_of(resource_id, time) for time in times})


def value_of(resource_id: str, time: int) -> float:
    """What was measured, as a function of what and when."""
    return (hash_of(resource_id) + time // 1000) % 1000 / 7


def hash_of(text: str) -> int:
    return sum(text.encode())


class Drivers:
    """In place of the driver manager: one class."""

    def get_class(self, vendor: str, model: str) -> type:
        return ArrayDriver


class Receiver:
    """Counts what arrives, by series and time."""

    def __init__(self) -> None:
        self.away = False
        self.arrived: dict[tuple[str, str, str, str], dict[int, float]] = {}
        self.repeated = 0

    def __call__(self, method: str, data: list[metric_struct]) -> None:
        if self.away:
            raise CallFailed(DeliveryFailed('away'))
        for name, labels, values in data:
            key = (labels['storage_id'], labels['resource_type'], labels['resource_id'], name)
            known = self.arrived.setdefault(key, {})
            for time, value in values.items():
                if time in known:
                    self.repeated += 1
                    assert known[time] == value, (key, time)
                known[time] = value


class Crash(OperationalError):
    """The node ended in the middle of something."""

    def __init__(self) -> None:
        super().__init__('crash', None, Exception('the node ended'))


class Fragile:
    """A database whose transactions of `collector` fail now and then: before they are committed, or after."""

    def __init__(self, database: Database, chance: random.Random) -> None:
        self._database, self._chance = database, chance
        self.share = 0.0
        self.crashes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    def attempt(self, action: Any, what: str = 'write') -> Any:
        fails = self._chance.random() < self.share
        after = self._chance.random() < 0.5
        if fails and not after:
            self.crashes += 1
            raise Crash
        result = self._database.attempt(action, what)
        if fails:
            self.crashes += 1
            raise Crash
        return result


class Day:
    """Two nodes collect from `arrays`; `step()` goes on to what is due next."""

    NODES = ('node-1', 'node-2')

    def __init__(self, database: Database, arrays: list[Array], seed: int) -> None:
        self.database, self.arrays = database, arrays
        self.chance = random.Random(seed)
        self.clock = ArrayDriver.clock = Clock()
        ArrayDriver.arrays = {array.name: array for array in arrays}
        self.fragile = Fragile(database, self.chance)
        self.settings = Settings(True, INTERVAL, 60)
        self.ids: dict[str, str] = {}
        for array in arrays:
            storage_id = self.ids[array.name] = str(uuid.uuid4())
            with database.write() as connection:
                storages.insert(connection, storage_id, {'name': array.name, 'serial_number': array.name},
                                {'vendor': 'v', 'model': 'm', 'extra_attributes': {'array': array.name}}, 'node-1')
        with database.write() as connection:
            exports.claim(connection, EXPORTER, 'node-1', 10 * 86400, events=True, stream=exports.METRICS)
        self.receiver = Receiver()
        self.events = Events(database, EXPORTER, lambda connection: True, cargo.Metrics(), Pace())
        self.tried: dict[tuple[str, str], float] = {}       # what a node knows besides the database
        self.collectors: dict[str, Collector] = {}
        self.doors: list[Door] = []
        for node in self.NODES:
            self.restart(node)

    def restart(self, node: str) -> None:
        """A node begins anew: it knows what is in the database."""
        door = Door(Drivers(), lambda storage_id: {      # type: ignore[arg-type]
            'vendor': 'v', 'model': 'm', 'rest': {}, 'extra_attributes': {'array': self._name(storage_id)}},
            limits=Limits(30, 30, 30))
        self.doors.append(door)
        self.collectors[node] = Collector(self.fragile, door, self.settings, clock=self.clock)  # type: ignore[arg-type]
        for key in [key for key in self.tried if key[0] == node]:
            del self.tried[key]

    def _name(self, storage_id: str) -> str:
        return next(name for name, each in self.ids.items() if each == storage_id)

    def move(self, array: Array) -> None:
        """Another node takes the array over."""
        with self.database.write() as connection:
            held = next(each for each in ownership.all_held(connection) if each.storage_id == self.ids[array.name])
            ownership.give(connection, {held: next(node for node in self.NODES if node != held.node)})

    def due(self) -> list[tuple[float, str, metrics.Plan]]:
        """What is to be done, the first first."""
        found = []
        for node in self.NODES:
            with self.database.read() as connection:
                plans = metrics.plans(connection, node)
            for plan in plans:
                moment = due_at(plan, self.settings, self.clock.now)
                if moment is not None:
                    found.append((max(moment, self.tried.get((node, plan.storage_id), 0.0)), node, plan))
        return sorted(found, key=lambda each: each[:2])

    def run(self, seconds: int, events: list[tuple[float, Any]]) -> None:
        """Let so much time pass; `events` are (seconds from the begin, what happens then)."""
        end = BEGIN + seconds
        agenda = [(BEGIN + at, number, action) for number, (at, action) in enumerate(events)]
        heapq.heapify(agenda)
        while True:
            due = self.due()
            moment = due[0][0] if due else float(end)
            if agenda and agenda[0][0] <= max(moment, self.clock.now):
                at, _, action = heapq.heappop(agenda)
                self.clock.now = max(self.clock.now, at)
                action()
                continue
            if moment >= end:
                self.clock.now = float(end)
                break
            self.clock.now = max(self.clock.now, moment)
            _, node, plan = due[0]
            self._collect(node, plan)
            self._deliver()
        for array in self.arrays:       # what was begun is ended: the receiver is back, nobody crashes
            array.away = [(begin, min(to, end)) for begin, to in array.away]
        self.receiver.away, self.fragile.share = False, 0.0
        self._deliver(until_empty=True)

    def _collect(self, node: str, plan: metrics.Plan) -> None:
        self.tried[node, plan.storage_id] = self.clock.now + 5      # if nothing comes of it
        try:
            outcome = self.collectors[node].collect(plan, node)
        except Crash:
            self.restart(node)
        except Lost:
            pass
        else:
            self.tried[node, plan.storage_id] = self.clock.now if outcome.more else self.clock.now + 1

    def _deliver(self, until_empty: bool = False) -> None:
        while True:
            rest = self.events.round(self.receiver)
            if rest.most and not (until_empty and self.waiting()):
                return

    def waiting(self) -> int:
        with self.database.read() as connection:
            return exports.depth(connection, exports.METRICS).get(EXPORTER, 0)

    def close(self) -> None:
        for door in self.doors:
            door.stop()

    # --- what should have come ---

    def gaps(self, array: Array, resource_type: str) -> list[tuple[int, int]]:
        with self.database.read() as connection:
            rows = metrics.status(connection, self.ids[array.name])['gaps']
        return [(row['begin_at'], row['end_at']) for row in rows if row['resource_type'] == resource_type]

    def mark(self, array: Array, resource_type: str) -> int:
        with self.database.read() as connection:
            rows = metrics.status(connection, self.ids[array.name])['marks']
        return next(row['collected_until'] for row in rows if row['resource_type'] == resource_type)

    def arrived(self, array: Array, resource_type: str, resource_id: str, name: str) -> dict[int, float]:
        return self.receiver.arrived.get((self.ids[array.name], resource_type, resource_id, name), {})


