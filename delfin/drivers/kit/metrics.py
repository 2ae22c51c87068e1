# SPDX-License-Identifier: Apache-2.0
"""Tables of metrics: which field of a sample is which metric, and in which unit the array has it.

    VOLUMES = MetricTable('volume', {
        'readIops': ('reads', 'IOPS'),
        'readThroughput': ('read_bytes_per_s', 'B/s'),      # becomes MB/s
        'readResponseTime': ('read_us', 'us'),              # becomes ms
        'x_queueDepth': ('queue', 'requests'),              # a metric of the vendor's own keeps its unit
    })

    capabilities(VOLUMES, historic=True, retention_seconds=86400)       # for get_capabilities

    points = Points(storage_id, resource_metrics, start_time, end_time)
    for sample in samples:
        points.add(VOLUMES, sample, resource_id=sample['id'], time=sample['at'] * 1000)
    return points.series()
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from delfin.common.constants import metric_struct
from delfin.drivers.kit import units
from delfin.drivers.kit.mapping import field_of
from delfin.metrics import KINDS_OF, METRICS, RAW, VENDOR_NAME, VENDOR_PREFIX


class MetricTable:
    """The metrics of one resource type, a name of `constants.ResourceType`."""

    def __init__(self, resource_type: str, metrics: Mapping[str, tuple[str, str]], *,
                 descriptions: Mapping[str, str] | None = None) -> None:
        """`descriptions` are for metrics of one's own, and where Delfin's do not fit."""
        if resource_type not in KINDS_OF:
            raise ValueError(f'there is no resource type "{resource_type}"; there are {", ".join(KINDS_OF)}')
        self.resource_type = resource_type
        self.metrics = dict(metrics)
        self._descriptions = descriptions or {}
        self.units: dict[str, str] = {}
        self.fields: dict[str, tuple[str, float]] = {}      # metric: its field and what to multiply it with
        for name, (field, unit) in metrics.items():
            where = f'{resource_type}.{name}'
            if name in METRICS:
                try:
                    self.fields[name] = field, units.factor(unit, METRICS[name].unit)
                except ValueError as error:
                    raise ValueError(f'{where}: {error}') from None
                self.units[name] = METRICS[name].unit
            elif VENDOR_NAME.fullmatch(name):
                self.fields[name], self.units[name] = (field, 1), unit
            else:
                raise ValueError(f'{where}: there is no such metric; names of your own begin with {VENDOR_PREFIX}')

    def capabilities(self) -> dict[str, dict[str, str]]:
        """`{metric: {'unit', 'description'}}`."""
        standard = {name: METRICS[name].description for name in self.units if name in METRICS}
        return {name: {'unit': unit, 'description': {**standard, **self._descriptions}.get(name, '')}
                for name, unit in self.units.items()}


def capabilities(*tables: MetricTable, historic: bool, retention_seconds: int | None = None,
                 interval_seconds: int | None = None) -> dict[str, Any]:
    """What `get_capabilities` answers. `historic`: the array keeps samples, for `retention_seconds`; otherwise it only
    tells those of now. `interval_seconds` is how often it makes one.
    """
    found: dict[str, Any] = {'is_historic': historic,
                             'resource_metrics': {table.resource_type: table.capabilities() for table in tables}}
    if retention_seconds is not None:
        found['performance_metric_retention_window'] = retention_seconds
    if interval_seconds is not None:
        found['collect_interval'] = interval_seconds
    return found


class Points:
    """Collects what `collect_perf_metrics` answers. The arguments are the method's own.

    What was not asked for, lies outside of the window [start_time, end_time), or is no number is left out. Leave the
    window out for an array that only tells what is now, which is later than the question.
    """

    def __init__(self, storage_id: str, resource_metrics: Mapping[str, Any], start_time: float = -math.inf,
                 end_time: float = math.inf) -> None:
        self._storage_id, self._asked = storage_id, resource_metrics
        self._start, self._end = start_time, end_time
        self._found: dict[tuple[str, str, str], metric_struct] = {}

    def wants(self, table: MetricTable) -> bool:
        """Whether anything of the table was asked for: save the array the request if not."""
        return bool(self._asked.get(table.resource_type))

    def add(self, table: MetricTable, sample: Mapping[str, Any], *, resource_id: str, time: int,
            name: str | None = None) -> None:
        """One sample of one resource: `resource_id` is its native id in the inventory, `time` epoch ms."""
        if not self._start <= time < self._end:
            return
        asked = self._asked.get(table.resource_type) or ()
        for metric, (field, factor) in table.fields.items():
            value = units.number(field_of(sample, field)) if metric in asked else None
            if value is not None:
                self._series(table, metric, resource_id, name).values[time] = value * factor

    def _series(self, table: MetricTable, metric: str, resource_id: str, name: str | None) -> metric_struct:
        key = table.resource_type, resource_id, metric
        series = self._found.get(key)
        if series is None:
            labels = {'storage_id': self._storage_id, 'resource_type': table.resource_type,
                      'resource_id': resource_id, 'type': RAW, 'unit': table.units[metric]}
            if name is not None:
                labels['resource_name'] = name
            series = self._found[key] = metric_struct(metric, labels, {})
        return series

    def series(self) -> list[metric_struct]:
        """One for each resource and metric, its points by time."""
        return [metric_struct(name, labels, dict(sorted(values.items()))) for name, labels, values
                in self._found.values()]
