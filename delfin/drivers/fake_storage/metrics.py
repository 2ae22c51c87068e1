# SPDX-License-Identifier: Apache-2.0
"""Performance of the make-believe array: each sample is a function of the resource and its time stamp alone.

So two windows that overlap agree, two that adjoin leave no gap, and a window can be asked for again. Only the four
basic arithmetic operations are used, which give the same doubles everywhere.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from delfin.common import constants
from delfin.common.constants import Metric, metric_struct
from delfin.drivers.fake_storage.model import Chance, FakeArray, Listing

_RESOURCE = constants.ResourceType
_DAY_MS = 86_400_000
_DIGITS = 3
_IO_SIZES_KB = (4, 8, 16, 32, 64)
_RETENTION_SECONDS = 7 * 86_400

# Resource type: its metrics, and the size option of the rows that have them (None: the array itself).
_RESOURCES: Mapping[str, tuple[type, str | None]] = {
    _RESOURCE.STORAGE: (constants.StorageMetric, None),
    _RESOURCE.STORAGE_POOL: (constants.StoragePoolMetric, 'pools'),
    _RESOURCE.VOLUME: (constants.VolumeMetric, 'volumes'),
    _RESOURCE.CONTROLLER: (constants.ControllerMetric, 'controllers'),
    _RESOURCE.PORT: (constants.PortMetric, 'ports'),
    _RESOURCE.DISK: (constants.DiskMetric, 'disks'),
    _RESOURCE.FILESYSTEM: (constants.FileSystemMetric, 'filesystems'),
}


def _metrics_of(metric_class: type) -> dict[str, Metric]:
    return {metric.name: metric for metric in vars(metric_class).values() if isinstance(metric, Metric)}


_METRICS: Mapping[str, Mapping[str, Metric]] = {
    resource: _metrics_of(metric_class) for resource, (metric_class, _) in _RESOURCES.items()}


def capabilities() -> dict[str, Any]:
    """Everything that can be measured. The array keeps its samples, and in fact for longer than it promises."""
    return {
        'is_historic': True,
        'performance_metric_retention_window': _RETENTION_SECONDS,
        'resource_metrics': {
            resource: {name: {'unit': metric.unit, 'description': metric.description}
                       for name, metric in metrics.items()}
            for resource, metrics in _METRICS.items()},
    }


def sample_times(start: int, end: int, newest: int, interval: int) -> range:
    """Time stamps in [start, end) up to `newest`: the multiples of `interval`. All in epoch ms."""
    return range(-(-start // interval) * interval, min(end, newest + 1), interval)


def collect(array: FakeArray, storage_id: str, wanted: Mapping[str, Collection[str]], times: range) -> Listing:
    """One series for each metric in `wanted` of each resource; what the array does not measure is left out."""
    asked = {resource: [name for name in names if name in _METRICS[resource]]
             for resource, names in wanted.items() if resource in _METRICS}

    def series() -> Iterator[metric_struct]:
        for resource, names in asked.items():
            if names:
                for resource_id, resource_name in _instances(array, resource):
                    yield from _series(array, storage_id, resource, names, resource_id, resource_name, times)

    def count() -> int:
        return sum(len(names) * _count(array, resource) for resource, names in asked.items())

    return Listing(series if times else lambda: iter(()), count if times else lambda: 0)


def _count(array: FakeArray, resource: str) -> int:
    size = _RESOURCES[resource][1]
    return len(array.extents[size]) if size else 1


def _instances(array: FakeArray, resource: str) -> Iterator[tuple[str, str]]:
    """Native id and name of everything of a resource type."""
    size = _RESOURCES[resource][1]
    if size is None:
        yield array.serial_number, array.name
        return
    rows = array.rows(size)
    key = rows.table.key[0] if rows.table else ''
    for row in rows:
        yield row[key], row['name']


def _series(array: FakeArray, storage_id: str, resource: str, names: list[str], resource_id: str, resource_name: str,
            times: range) -> Iterator[metric_struct]:
    load = _Load(array.tag, resource, resource_id)
    samples = {time: load.sample(time) for time in times}
    for name in names:
        labels = {
            'storage_id': storage_id,
            'resource_type': resource,
            'resource_id': resource_id,
            'resource_name': resource_name,
            'type': 'RAW',
            'unit': _METRICS[resource][name].unit,
        }
        yield metric_struct(name, labels, {time: round(sample[name], _DIGITS) for time, sample in samples.items()})


class _Load:
    """What one resource does all day: a wave with noise around what is typical for it."""

    def __init__(self, tag: str, resource: str, resource_id: str) -> None:
        typical = Chance.of(tag, 'metrics', resource, resource_id)
        self._peak = typical.roll(200, 20_000)
        self._read_share = typical.roll(30, 90) / 100
        self._read_kb, self._write_kb = typical.pick(_IO_SIZES_KB), typical.pick(_IO_SIZES_KB)
        self._shift = typical.roll(0, _DAY_MS)
        self._noise = typical.branch()

    def sample(self, time: int) -> dict[str, float]:
        """All metrics at one time; totals are the sums, means are weighted."""
        noise = self._noise(time)
        phase = (time + self._shift) % _DAY_MS
        load = 0.2 + 0.8 * abs(2 * phase - _DAY_MS) / _DAY_MS       # 0.2 at the quietest time, 1.0 at the busiest

        def jitter() -> float:
            return noise.roll(900, 1100) / 1000

        reads = self._peak * load * self._read_share * jitter()
        writes = self._peak * load * (1 - self._read_share) * jitter()
        read_size, write_size = self._read_kb * jitter(), self._write_kb * jitter()
        read_time, write_time = (0.3 + 2 * load) * jitter(), (0.2 + load) * jitter()
        read_hits, write_hits = 60 + noise.roll(0, 350) / 10, 90 + noise.roll(0, 99) / 10
        operations = reads + writes

        def mean(read: float, write: float) -> float:
            return (read * reads + write * writes) / operations

        read_rate, write_rate = reads * read_size / 1024, writes * write_size / 1024
        return {
            'iops': operations, 'readIops': reads, 'writeIops': writes,
            'throughput': read_rate + write_rate, 'readThroughput': read_rate, 'writeThroughput': write_rate,
            'responseTime': mean(read_time, write_time),
            'readResponseTime': read_time, 'writeResponseTime': write_time,
            'ioSize': mean(read_size, write_size), 'readIoSize': read_size, 'writeIoSize': write_size,
            'cacheHitRatio': mean(read_hits, write_hits),
            'readCacheHitRatio': read_hits, 'writeCacheHitRatio': write_hits,
            'cpuUsage': min(5 + 80 * load * jitter(), 100.0),
        }
