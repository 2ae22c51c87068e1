# SPDX-License-Identifier: Apache-2.0
"""How busy the array is: a load curve, and the statistics that the array makes of it.

Each LUN and file system has a workload, which says at what time of day it is busy and with what. What others carry is
the sum: a pool its LUNs and file systems, a controller those it owns, a disk its part of its pool, a port its part of
all. A sample is a function of object and time; the array keeps only the current one, which begins anew with every
interval.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from tests.simulators.huawei import errors
from tests.simulators.huawei.errors import Refusal
from tests.simulators.huawei.firmware import Firmware
from tests.simulators.huawei.model import Model
from tests.simulators.huawei.views import BY_TYPE
from tests.simulators.load import NATURES, WORKLOADS, busyness

Weights = tuple[float, ...]         # IO/s of each workload while it is at its busiest

_NOTHING: Weights = (0.0,) * len(WORKLOADS)
_CARRYING = ('link up', 'running', 'normal', 'online')
_STILL = ('offline', 'link down', 'unknown', 'power-on failed', 'deleting')
_SATURATION = 40_000.0              # IO/s at which things become slow

# name in this module -> id on the wire
METRICS = {
    'iops': 22, 'read_iops': 25, 'write_iops': 28, 'throughput': 21, 'read_throughput': 23, 'write_throughput': 26,
    'response_time': 370, 'read_response_time': 384, 'write_response_time': 385, 'io_size': 228, 'read_io_size': 24,
    'write_io_size': 27, 'hit_ratio': 303, 'read_hit_ratio': 93, 'write_hit_ratio': 95, 'cpu_usage': 68, 'usage': 18,
    'queue_length': 19}
_NAMES = {id: name for name, id in METRICS.items()}
_ONLY = {'cpu_usage': ('controller',), 'hit_ratio': ('lun',), 'read_hit_ratio': ('lun',), 'write_hit_ratio': ('lun',)}


@dataclass
class Settings:
    """What `performance_statistic_strategy` holds."""

    interval: int = 5
    archive: bool = True
    archive_time: int = 300
    auto_stop: bool = False
    max_time: int = 0


class Metrics:
    """`clock` is the array's time, in epoch seconds."""

    def __init__(self, model: Model, firmware: Firmware, clock: Callable[[], float] = time.time) -> None:
        self.settings = Settings()
        self._on_since: float | None = clock() - 3600
        self.hidden: set[tuple[str, str]] = set()       # objects (kind, id) whose sample is missing
        self.blanked: set[str] = set()                  # metrics that read `--`
        self._model = model
        self._firmware = firmware
        self._clock = clock
        self._lock = threading.Lock()

    # --- what the array measures ---

    def current(self) -> int:
        """Time stamp of the newest sample."""
        interval = max(1, self.settings.interval)
        return int(self._clock() // interval) * interval

    def sample(self, kind: str, id: str, at: int) -> dict[str, float]:
        """All metrics of an object at a time stamp: IO/s, MB/s, microseconds, KB and percent, as the wire has them.

        KeyError for an object that is not there.
        """
        item = self._model.find(kind, id)
        weights = _NOTHING if item.state in _STILL else self._weights(kind, id)
        loads = [weight * busyness(self._model.seed, workload, at)
                 for weight, workload in zip(weights, WORKLOADS, strict=True)]
        natures = [NATURES[workload] for workload in WORKLOADS]
        reads = [load * nature.reads for load, nature in zip(loads, natures, strict=True)]
        writes = [load - read for load, read in zip(loads, reads, strict=True)]
        read_kb = _dot(reads, (nature.read_size for nature in natures))
        write_kb = _dot(writes, (nature.write_size for nature in natures))
        read, write = sum(reads), sum(writes)
        busy = min(1.0, (read + write) / _SATURATION)
        read_hits = _dot(reads, (nature.read_hits for nature in natures)) / read if read else 0.0
        write_hits = _dot(writes, (nature.write_hits for nature in natures)) / write if write else 0.0
        read_time = 0.0 if not read else (300 + 8 * (100 - read_hits)) * (1 + 4 * busy)
        write_time = 0.0 if not write else (200 + 4 * (100 - write_hits)) * (1 + 6 * busy)
        found = {
            'read_iops': round(read), 'write_iops': round(write), 'read_throughput': self._megabytes(read_kb),
            'write_throughput': self._megabytes(write_kb), 'read_response_time': round(read_time),
            'write_response_time': round(write_time), 'read_io_size': round(read_kb / read) if read else 0,
            'write_io_size': round(write_kb / write) if write else 0, 'read_hit_ratio': round(read_hits),
            'write_hit_ratio': round(write_hits), 'cpu_usage': round(5 + 90 * busy), 'usage': round(100 * busy),
            'queue_length': round(64 * busy)}
        both = read + write
        found.update({
            'iops': found['read_iops'] + found['write_iops'],
            'throughput': round(found['read_throughput'] + found['write_throughput'], 2),
            'response_time': round((read * read_time + write * write_time) / both) if both else 0,
            'io_size': round((read_kb + write_kb) / both) if both else 0,
            'hit_ratio': round((read * read_hits + write * write_hits) / both) if both else 0})
        return {name: value for name, value in found.items() if kind in _ONLY.get(name, (kind,))}

    def _megabytes(self, kilobytes: float) -> float:
        return round(kilobytes / 1024, 2) if self._firmware.decimals else round(kilobytes / 1024)

    def _weights(self, kind: str, id: str) -> Weights:
        return self._model.derived('weights', self._all_weights).get((kind, id), _NOTHING)

    def _all_weights(self) -> dict[tuple[str, str], Weights]:
        model = self._model
        found: dict[tuple[str, str], Weights] = {}
        whole = _NOTHING
        for kind in ('lun', 'filesystem'):
            for item in model[kind].values():
                weights = tuple(item.iops if workload == item.workload else 0.0 for workload in WORKLOADS)
                found[kind, item.id] = weights
                if item.state not in _STILL:
                    for carrier in (('pool', item.pool), ('controller', item.controller)):
                        found[carrier] = _sum(found.get(carrier, _NOTHING), weights)
                    whole = _sum(whole, weights)
        for pool in model['pool'].values():
            members = [disk for disk in model.by('disk', 'domain').get(pool.domain, ()) if disk.role == 'member']
            for disk in members:
                found['disk', disk.id] = _part(found.get(('pool', pool.id), _NOTHING), len(members))
        carrying = [[(kind, port.id) for kind in kinds for port in model[kind].values()
                     if port.state in _CARRYING and port.role == role] for kinds, role in (
            (('fc_port', 'fcoe_port', 'eth_port'), 'service'), (('sas_port',), 'expansion'),
            (('pcie_port',), 'interconnect'), (('bond_port',), 'service'))]
        for ports in carrying:
            for port in ports:
                found[port] = _part(whole, len(ports))
        return found

    # --- how it is asked ---

    def read(self, parameters: dict[str, str]) -> list[dict[str, str]]:
        """The current sample of one object, as `cur_statistic_data` has it; Refusal."""
        type, _, id = parameters.get('CMO_STATISTIC_UUID', '').partition(':')
        asked = parameters.get('CMO_STATISTIC_DATA_ID_LIST', '').split(',')
        kind = BY_TYPE.get(int(type)) if type.isdecimal() else None
        if kind is None or not all(number.isdecimal() for number in asked):
            raise Refusal(errors.BAD_PARAMETER)
        if id not in self._model[kind]:
            raise Refusal(errors.NO_SUCH_LUN if kind == 'lun' else errors.NO_SUCH_OBJECT)
        at = self.current()
        with self._lock:
            if not self._collecting(at) or (kind, id) in self.hidden:
                return []
        sample = self.sample(kind, id, at)
        known = [int(number) for number in asked if _NAMES.get(int(number)) in sample]
        if self._firmware.sorts_metrics:
            known.sort()
        values = ['--' if _NAMES[number] in self.blanked else f'{sample[_NAMES[number]]}' for number in known]
        return [{'CMO_STATISTIC_DATA_ID_LIST': ','.join(map(str, known)), 'CMO_STATISTIC_DATA_LIST': ','.join(values),
                 'CMO_STATISTIC_TIMESTAMP': str(at), 'CMO_STATISTIC_UUID': f'{type}:{id}'}]

    def _collecting(self, at: int) -> bool:
        """The first sample is there an interval after collection began; it may end by itself."""
        if self._on_since is None or at < self._on_since:
            return False
        return not (self.settings.auto_stop and 0 < self.settings.max_time < at - self._on_since)

    def switch(self) -> dict[str, str]:
        """Whether statistics are collected."""
        return {'CMO_PERFORMANCE_SWITCH': str(int(self._on_since is not None))}

    def set_switch(self, body: Any) -> None:
        """Begin or end collection; Refusal."""
        value = str(body.get('CMO_PERFORMANCE_SWITCH')) if isinstance(body, dict) else ''
        if value not in ('0', '1'):
            raise Refusal(errors.BAD_PARAMETER)
        with self._lock:
            if value == '0':
                self._on_since = None
            elif self._on_since is None:
                self._on_since = self._clock()

    def strategy(self) -> dict[str, str]:
        """How statistics are collected."""
        now = self.settings
        return {'CMO_STATISTIC_INTERVAL': str(now.interval), 'CMO_STATISTIC_ARCHIVE_SWITCH': str(int(now.archive)),
                'CMO_STATISTIC_ARCHIVE_TIME': str(now.archive_time),
                'CMO_STATISTIC_AUTO_STOP': str(int(now.auto_stop)), 'CMO_STATISTIC_MAX_TIME': str(now.max_time)}

    def set_strategy(self, body: Any) -> None:
        """Change that, while nothing is collected; Refusal."""
        if not isinstance(body, dict) or not body.keys() <= self.strategy().keys() or self._on_since is not None:
            raise Refusal(errors.BAD_PARAMETER)
        texts = {key: str(value) for key, value in {**self.strategy(), **body}.items()}
        if not all(text.isdecimal() for text in texts.values()) or int(texts['CMO_STATISTIC_INTERVAL']) < 1:
            raise Refusal(errors.BAD_PARAMETER)
        with self._lock:
            self.settings = Settings(
                int(texts['CMO_STATISTIC_INTERVAL']), texts['CMO_STATISTIC_ARCHIVE_SWITCH'] == '1',
                int(texts['CMO_STATISTIC_ARCHIVE_TIME']), texts['CMO_STATISTIC_AUTO_STOP'] == '1',
                int(texts['CMO_STATISTIC_MAX_TIME']))


def _sum(first: Weights, second: Weights) -> Weights:
    return tuple(one + other for one, other in zip(first, second, strict=True))


def _part(weights: Weights, of: int) -> Weights:
    return tuple(weight / of for weight in weights)


def _dot(loads: list[float], factors: Iterable[float]) -> float:
    return sum(load * factor for load, factor in zip(loads, factors, strict=True))
