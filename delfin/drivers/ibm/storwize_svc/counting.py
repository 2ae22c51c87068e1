# SPDX-License-Identifier: Apache-2.0
"""What becomes of the counters in statistics files: which metrics there are, as tables, and their points.

A counter `ro` in a formula is its growth per second, of all nodes together. Blocks have 512 bytes; counters of time are
ms, those that begin with `u` µs; those of ports count bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from delfin.common.constants import ResourceType
from delfin.drivers import kit
from delfin.drivers.ibm.storwize_svc.statistics import DISKS, NODES, VOLUMES, Interval, Thing

Rates = Mapping[str, float]

_DIGITS = 3
RETENTION_SECONDS = 15 * 300    # fifteen intervals; they are five minutes unless somebody has chosen others


class Formula(NamedTuple):
    """Sum of the counters `above`, over that of those `below` if there are any, times `factor`. Nothing below is no
    I/O, which has `idle` (None: no value).
    """

    unit: str
    above: tuple[str, ...]
    below: tuple[str, ...] = ()
    factor: float = 1.0
    idle: float | None = 0.0

    def of(self, rates: Rates) -> float | None:
        """Its value."""
        above = sum(rates.get(name, 0.0) for name in self.above)
        if not self.below:
            return round(above * self.factor, _DIGITS)
        below = sum(rates.get(name, 0.0) for name in self.below)
        return round(above / below * self.factor, _DIGITS) if below else self.idle


_BLOCKS_IN_MB, _BLOCKS_IN_KB, _BYTES_IN_MB = 512 / 2**20, 512 / 2**10, 1 / 2**20
_HITS: Mapping[str, Any] = {'factor': 100.0, 'idle': None}

_LOAD = {
    'iops': Formula('IOPS', ('ro', 'wo')),
    'readIops': Formula('IOPS', ('ro',)),
    'writeIops': Formula('IOPS', ('wo',)),
    'throughput': Formula('MiB/s', ('rb', 'wb'), factor=_BLOCKS_IN_MB),
    'readThroughput': Formula('MiB/s', ('rb',), factor=_BLOCKS_IN_MB),
    'writeThroughput': Formula('MiB/s', ('wb',), factor=_BLOCKS_IN_MB),
}
VOLUME = {
    **_LOAD,
    'responseTime': Formula('ms', ('rl', 'wl'), ('ro', 'wo')),
    'readResponseTime': Formula('ms', ('rl',), ('ro',)),
    'writeResponseTime': Formula('ms', ('wl',), ('wo',)),
    'ioSize': Formula('KiB', ('rb', 'wb'), ('ro', 'wo'), _BLOCKS_IN_KB),
    'readIoSize': Formula('KiB', ('rb',), ('ro',), _BLOCKS_IN_KB),
    'writeIoSize': Formula('KiB', ('wb',), ('wo',), _BLOCKS_IN_KB),
    'cacheHitRatio': Formula('%', ('ctrhs', 'ctwhs'), ('ctrs', 'ctws'), **_HITS),
    'readCacheHitRatio': Formula('%', ('ctrhs',), ('ctrs',), **_HITS),
    'writeCacheHitRatio': Formula('%', ('ctwhs',), ('ctws',), **_HITS),
}
DISK = {**_LOAD, 'responseTime': Formula('ms', ('urq', 'uwq'), ('ro', 'wo'), 1 / 1000)}
DISK_WITHOUT_MICROSECONDS = {**_LOAD, 'responseTime': Formula('ms', ('rq', 'wq'), ('ro', 'wo'))}
CONTROLLER = {
    **_LOAD,        # of the volumes, as this node has served them
    'responseTime': VOLUME['responseTime'],
    'cpuUsage': Formula('%', ('busy',), factor=100 / 1000),
}
_RECEIVED, _SENT = ('hbr', 'cbr', 'lnbr', 'rmbr'), ('hbt', 'cbt', 'lnbt', 'rmbt')
_RECEIVED_COMMANDS, _SENT_COMMANDS = ('her', 'cer', 'lner', 'rmer'), ('het', 'cet', 'lnet', 'rmet')
PORT = {            # of hosts, back-end controllers, local nodes and remote clusters; "read" is what the port received
    'iops': Formula('IOPS', (*_RECEIVED_COMMANDS, *_SENT_COMMANDS)),
    'readIops': Formula('IOPS', _RECEIVED_COMMANDS),
    'writeIops': Formula('IOPS', _SENT_COMMANDS),
    'throughput': Formula('MiB/s', (*_RECEIVED, *_SENT), factor=_BYTES_IN_MB),
    'readThroughput': Formula('MiB/s', _RECEIVED, factor=_BYTES_IN_MB),
    'writeThroughput': Formula('MiB/s', _SENT, factor=_BYTES_IN_MB),
}


def _table(resource_type: str, formulas: Mapping[str, Formula]) -> kit.MetricTable:
    return kit.MetricTable(resource_type, {name: (name, formula.unit) for name, formula in formulas.items()})


_VOLUMES, _DISKS = _table(ResourceType.VOLUME, VOLUME), _table(ResourceType.DISK, DISK)
_CONTROLLERS, _PORTS = _table(ResourceType.CONTROLLER, CONTROLLER), _table(ResourceType.PORT, PORT)
# The kinds of files that each needs.
_FILES = {_VOLUMES.resource_type: (_VOLUMES, (VOLUMES,)), _DISKS.resource_type: (_DISKS, (DISKS,)),
          _CONTROLLERS.resource_type: (_CONTROLLERS, (VOLUMES, NODES)), _PORTS.resource_type: (_PORTS, (NODES,))}


def capabilities() -> dict[str, Any]:
    """What can be measured."""
    return kit.capabilities(_VOLUMES, _DISKS, _CONTROLLERS, _PORTS, historic=True, retention_seconds=RETENTION_SECONDS)


def kinds(points: kit.Points) -> list[str]:
    """The kinds of files that are needed for what was asked for."""
    return sorted({kind for table, files in _FILES.values() if points.wants(table) for kind in files})


def needs_ports(points: kit.Points) -> bool:
    """Whether points of ports were asked for."""
    return points.wants(_PORTS)


def add(points: kit.Points, intervals: Iterable[Interval], ports: Mapping[str, Mapping[str, str]]) -> None:
    """The points of each interval; `ports` by their WWPN in capitals."""
    for interval in intervals:
        if points.wants(_VOLUMES):
            _add_sums(points, _VOLUMES, VOLUME, interval, VOLUMES)
        if points.wants(_DISKS):
            _add_sums(points, _DISKS, DISK, interval, DISKS)
        if points.wants(_CONTROLLERS):
            _add_controllers(points, interval)
        if points.wants(_PORTS):
            _add_ports(points, interval, ports)


def _add_sums(points: kit.Points, table: kit.MetricTable, formulas: Mapping[str, Formula], interval: Interval,
              kind: str) -> None:
    """What several nodes count of one thing."""
    for thing, rates in _sums(interval, kind).items():
        fitting = DISK_WITHOUT_MICROSECONDS if formulas is DISK and 'urq' not in rates else formulas
        points.add(table, _values(fitting, rates), resource_id=thing.id, name=thing.name, time=interval.time)


def _sums(interval: Interval, kind: str) -> Mapping[Thing, Rates]:
    of_nodes = list(interval.rates.get(kind, {}).values())
    if len(of_nodes) == 1 and not interval.lost:
        return of_nodes[0]
    found: dict[Thing, dict[str, float]] = {}
    for of_node in of_nodes:
        for thing, rates in of_node.items():
            if thing not in interval.lost:
                _add_to(found.setdefault(thing, {}), rates)
    return found


def _add_controllers(points: kit.Points, interval: Interval) -> None:
    of_nodes = interval.rates.get(NODES, {})
    for node, things in interval.rates.get(VOLUMES, {}).items():
        total: dict[str, float] = {}
        for rates in things.values():
            _add_to(total, rates)
        values = _values(CONTROLLER, total)
        processor = next((rates for thing, rates in of_nodes.get(node, {}).items() if thing.element == 'cpu'), None)
        values['cpuUsage'] = None if processor is None else min(100.0, CONTROLLER['cpuUsage'].of(processor) or 0.0)
        points.add(_CONTROLLERS, values, resource_id=node.id, name=node.name, time=interval.time)


def _add_ports(points: kit.Points, interval: Interval, ports: Mapping[str, Mapping[str, str]]) -> None:
    for things in interval.rates.get(NODES, {}).values():
        for thing, rates in things.items():
            port = ports.get(thing.id) if thing.element == 'port' else None
            if port is not None:
                points.add(_PORTS, _values(PORT, rates), resource_id=port['id'],
                           name=f'{port["node_name"]}_{port["id"]}', time=interval.time)


def _values(formulas: Mapping[str, Formula], rates: Rates) -> dict[str, float | None]:
    return {metric: formula.of(rates) for metric, formula in formulas.items()}


def _add_to(total: dict[str, float], rates: Rates) -> None:
    for name, value in rates.items():
        total[name] = total.get(name, 0.0) + value


