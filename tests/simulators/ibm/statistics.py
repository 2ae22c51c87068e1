# SPDX-License-Identifier: Apache-2.0
"""What the nodes count: cumulative counters that follow the load curve and begin at zero when a node starts.

Each volume has a workload. Its preferred node does most of its I/O, the others the rest; what a node that is down would
have done is not done. What others carry is the sum: an MDisk its part of what its pool's volumes do not find in the
cache, a drive its part of its MDisk, a port its part of its node.

A counter is a function of node and time, in exact numbers until it is written; times are epoch seconds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tests.simulators.ibm.model import Model, Volume
from tests.simulators.load import NATURES, WORKLOADS, Work

Counters = dict[str, float]

_BEFORE = 26 * 3600.0           # seconds for which the nodes of a new array have been up
_PREFERRED = 0.94               # part of a volume's I/O that its preferred node does
_WORKING = ('online', 'degraded', 'degraded_paths', 'active', 'degraded_ports')
_BACKEND_MS = 4.0               # response of an MDisk
_QUEUE_MS = 1.0                 # and what waiting adds


@dataclass(frozen=True)
class Period:
    """In which statistics are written every so many minutes, or not at all."""

    begin: float
    minutes: int | None


class Statistics:
    """The counters of one array. Thread-safe together with the model's lock."""

    def __init__(self, model: Model, clock: Callable[[], float]) -> None:
        self._model = model
        self._clock = clock
        self._work = Work(model.seed)
        since = clock() - _BEFORE
        self.periods = [Period(since, model.system.statistics_minutes)]
        # When each node came up (True) and went down, and since when each volume has what IO/s at its busiest.
        self._life = {node.id: [(since - 1000 * int(node.id), node.status == 'online')]
                      for node in model['node'].values()}
        self._loads = {volume.id: [(0.0, _iops(volume))] for volume in model['volume'].values()}

    # --- what happens ---

    def switch(self, on: bool, minutes: int | None = None) -> None:
        """Write statistics, every so many minutes, or no more."""
        with self._model.changing():
            system = self._model.system
            system.statistics_on = on
            system.statistics_minutes = minutes or system.statistics_minutes
            self.periods.append(Period(self._clock(), system.statistics_minutes if on else None))

    def note(self, kind: str, item: Any) -> None:
        """Something is new or has changed: the load of a volume; a node, which begins to count from zero or stops."""
        if kind == 'volume':
            self._loads.setdefault(item.id, []).append((self._clock(), _iops(item)))
        elif kind == 'node' and (up := item.status == 'online') != self._life[item.id][-1][1]:
            self._life[item.id].append((self._clock(), up))

    def up_since(self, node: str, at: float) -> float | None:
        """When a node that was up right before that time had started; None if it was down."""
        past = [event for event in self._life.get(node, ()) if event[0] < at]
        return past[-1][0] if past and past[-1][1] else None

    # --- what is counted ---

    def volume(self, volume: Volume, node: str, begin: float, end: float) -> Counters:
        """What a node does for a volume between two times: operations, bytes, milliseconds."""
        return _io(volume.workload, self._all_work(begin, end)[volume.id] * self._part(volume.node, node))

    def existed(self, volume: str, at: float) -> bool:
        """Whether a volume was there before that time."""
        return self._loads[volume][0][0] < at

    def host(self, node: str, begin: float, end: float) -> Counters:
        """What a node does for hosts."""
        return self._sum(node, begin, end, None)

    def mdisk(self, mdisk: str, node: str, begin: float, end: float) -> Counters:
        """What a node does with an MDisk: operations, bytes, milliseconds and those of them before the queue."""
        disk = self._model['mdisk'][mdisk]
        fellows = [one for one in self._model.by('mdisk', 'pool').get(disk.pool, ()) if one.status in _WORKING]
        if not disk.pool or disk not in fellows:
            return _backend(0, 0, 0, 0)
        one, of = self._sum(node, begin, end, disk.pool), len(fellows)
        return _backend(one['missed_reads'] / of, one['writes'] / of,
                        (one['read_bytes'] - one['read_hit_bytes']) / of, one['written_bytes'] / of)

    def drive(self, drive: str, node: str, begin: float, end: float) -> Counters:
        """The same for a drive: its part of its MDisk."""
        it = self._model['drive'][drive]
        fellows = [one for one in self._model.by('drive', 'mdisk').get(it.mdisk, ()) if one.status in _WORKING]
        if it.mdisk is None or it not in fellows:
            return _backend(0, 0, 0, 0)
        one = self.mdisk(it.mdisk, node, begin, end)
        return _backend(*(one[name] / len(fellows) for name in ('reads', 'writes', 'read_bytes', 'written_bytes')))

    def port(self, port: str, begin: float, end: float) -> Counters:
        """What a port receives and sends: commands and bytes, with hosts, back-ends and other nodes."""
        it = self._model['fc_port'][port]
        fellows = [one for one in self._model.by('fc_port', 'node')[it.node] if one.status in _WORKING]
        if it not in fellows:
            return dict.fromkeys(('her', 'hbr', 'hbt', 'cet', 'cbr', 'cbt', 'lner', 'lnet', 'lnbr', 'lnbt'), 0.0)
        one, of = self.host(it.node, begin, end), len(fellows)
        missed = one['read_bytes'] - one['read_hit_bytes']
        return {'her': (one['reads'] + one['writes']) / of, 'hbr': one['written_bytes'] / of,
                'hbt': one['read_bytes'] / of, 'cet': (one['reads'] + one['writes']) / 2 / of, 'cbr': missed / of,
                'cbt': one['written_bytes'] / of, 'lner': one['writes'] / of, 'lnet': one['writes'] / of,
                'lnbr': one['written_bytes'] / of, 'lnbt': one['written_bytes'] / of}

    def busy(self, node: str, begin: float, end: float) -> float:
        """Milliseconds for which the cores of a node had work, on average."""
        one = self.host(node, begin, end)
        return max(0.0, end - begin) * 50 + (one['reads'] + one['writes']) * 0.004

    def _sum(self, node: str, begin: float, end: float, pool: str | None) -> Counters:
        """Of all volumes, or of those whose primary copy is in a pool."""
        total: Counters = defaultdict(float)
        for workload in WORKLOADS:
            for name, value in _io(workload, self._sums(begin, end).get((node, pool, workload), 0.0)).items():
                total[name] += value
        return total

    def _all_work(self, begin: float, end: float) -> dict[str, float]:
        """I/O of all volumes in all nodes between two times."""
        return self._model.derived(('work', begin, end), lambda: self._make_work(begin, end))

    def _make_work(self, begin: float, end: float) -> dict[str, float]:
        whole = {workload: self._work.between(workload, begin, end) for workload in WORKLOADS}
        found = {}
        for volume in self._model['volume'].values():
            loads = self._loads[volume.id]
            if len(loads) == 1 and loads[0][0] <= begin:
                found[volume.id] = loads[0][1] * whole[volume.workload]
            else:
                until = [load[0] for load in loads[1:]] + [end]
                found[volume.id] = sum(
                    iops * self._work.between(volume.workload, max(begin, since), min(end, stop))
                    for (since, iops), stop in zip(loads, until, strict=True))
        return found

    def _sums(self, begin: float, end: float) -> dict[tuple[str, str | None, str], float]:
        """By node, pool (None: all) and workload. A child pool is on the MDisks of its parent."""
        return self._model.derived(('sums', begin, end), lambda: self._make_sums(begin, end))

    def _make_sums(self, begin: float, end: float) -> dict[tuple[str, str | None, str], float]:
        found: dict[tuple[str, str | None, str], float] = defaultdict(float)
        work, pools, nodes = self._all_work(begin, end), self._model['pool'], list(self._model['node'])
        for volume in self._model['volume'].values():
            pool = pools[volume.primary.pool].parent
            for node in nodes:
                part = work[volume.id] * self._part(volume.node, node)
                found[node, pool, volume.workload] += part
                found[node, None, volume.workload] += part
        return found

    def _part(self, preferred: str, node: str) -> float:
        others = len(self._model['node']) - 1
        if not others:
            return 1.0
        return _PREFERRED if node == preferred else (1 - _PREFERRED) / others

    # --- what is true ---

    def truth(self, kind: str, id: str, begin: float, end: float,
              nodes: Sequence[str] | None = None) -> dict[str, float]:
        """What a volume, mdisk, drive, node or fc_port did between two times, on average, in all nodes or some.

        read_iops, write_iops, iops in 1/s; read_throughput, write_throughput, throughput in bytes/s; read_response,
        write_response, response in seconds; read_hits, write_hits, hits from 0 to 1; cpu from 0 to 1. What is not
        known of a kind is missing; 0 where nothing was done. Nodes count while they are up. KeyError.
        """
        with self._model.lock:
            item = self._model.find(kind, id)
            total: Counters = defaultdict(float)
            if kind in ('node', 'fc_port'):
                nodes = [id if kind == 'node' else item.node]
            for node in self._model['node'] if nodes is None else nodes:
                for since, until in self._times_up(node, begin, end):
                    for name, value in self._one(kind, id, node, since, until).items():
                        total[name] += value
        return _averages(kind, total, end - begin)

    def _one(self, kind: str, id: str, node: str, begin: float, end: float) -> Counters:
        match kind:
            case 'volume':
                return self.volume(self._model['volume'][id], node, begin, end)
            case 'mdisk':
                return self.mdisk(id, node, begin, end)
            case 'drive':
                return self.drive(id, node, begin, end)
            case 'node':
                return {**self.host(node, begin, end), 'busy_ms': self.busy(node, begin, end)}
            case 'fc_port':
                one = self.port(id, begin, end)
                return {'reads': one['her'] + one['lner'], 'writes': one['cet'] + one['lnet'],
                        'read_bytes': one['hbr'] + one['cbr'] + one['lnbr'],
                        'written_bytes': one['hbt'] + one['cbt'] + one['lnbt']}
        raise KeyError(f'nobody measures a {kind}')

    def _times_up(self, node: str, begin: float, end: float) -> Iterator[tuple[float, float]]:
        past = self._life[node]
        for (since, up), (until, _) in zip(past, [*past[1:], (end, False)], strict=True):
            if up and max(since, begin) < min(until, end):
                yield max(since, begin), min(until, end)


def _iops(volume: Volume) -> float:
    return volume.iops if volume.status in _WORKING else 0.0


def _io(workload: str, work: float) -> Counters:
    """What so many operations of a workload amount to."""
    nature = NATURES[workload]
    reads, writes = work * nature.reads, work * (1 - nature.reads)
    read, written = reads * nature.read_size * 1024, writes * nature.write_size * 1024
    return {'reads': reads, 'missed_reads': reads * (1 - nature.read_hits / 100), 'writes': writes, 'read_bytes': read,
            'written_bytes': written, 'read_ms': reads * (0.3 + 0.08 * (100 - nature.read_hits)),
            'write_ms': writes * (0.2 + 0.04 * (100 - nature.write_hits)),
            'read_hit_bytes': read * nature.read_hits / 100, 'write_hit_bytes': written * nature.write_hits / 100}


def _backend(reads: float, writes: float, read_bytes: float, written_bytes: float) -> Counters:
    return {'reads': reads, 'writes': writes, 'read_bytes': read_bytes, 'written_bytes': written_bytes,
            'external_read_ms': reads * _BACKEND_MS, 'external_write_ms': writes * _BACKEND_MS,
            'read_ms': reads * (_BACKEND_MS + _QUEUE_MS), 'write_ms': writes * (_BACKEND_MS + _QUEUE_MS)}


def _averages(kind: str, total: Counters, seconds: float) -> dict[str, float]:
    def ratio(above: float, below: float) -> float:
        return above / below if below else 0.0

    reads, writes = total['reads'], total['writes']
    read, written = total['read_bytes'], total['written_bytes']
    found = {'read_iops': reads / seconds, 'write_iops': writes / seconds, 'iops': (reads + writes) / seconds,
             'read_throughput': read / seconds, 'write_throughput': written / seconds,
             'throughput': (read + written) / seconds}
    if kind != 'fc_port':
        read_ms, write_ms = total['read_ms'], total['write_ms']
        found.update(read_response=ratio(read_ms, reads) / 1000, write_response=ratio(write_ms, writes) / 1000,
                     response=ratio(read_ms + write_ms, reads + writes) / 1000)
    if kind in ('volume', 'node'):
        read_hits, write_hits = total['read_hit_bytes'], total['write_hit_bytes']
        found.update(read_hits=ratio(read_hits, read), write_hits=ratio(write_hits, written),
                     hits=ratio(read_hits + write_hits, read + written))
    if kind == 'node':
        found['cpu'] = total['busy_ms'] / 1000 / seconds
    return found
