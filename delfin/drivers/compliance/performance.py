# SPDX-License-Identifier: Apache-2.0
"""Rules about metrics: what is said to be measurable comes, nothing else comes, and it fits. Points are read by the
product's own reader.
"""

from __future__ import annotations

import copy
import functools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakKeyDictionary

from delfin import capabilities
from delfin import findings as code
from delfin.capabilities import Capabilities, Metrics
from delfin.drivers import calling
from delfin.drivers.api import Lane
from delfin.drivers.compliance.bench import Bench, Reply
from delfin.drivers.compliance.contract import Level
from delfin.drivers.compliance.inventory import Inventory
from delfin.drivers.compliance.rules import Problem, Skip, remark, rule
from delfin.drivers.sessions import context_for
from delfin.findings import Findings
from delfin.metrics import KINDS_OF, METRICS, Owner
from delfin.task_manager.telemetry.points import Reader

_WINDOW_MS: Final = 900_000
_PAST_MS: Final = 3_600_000         # far enough back that only an array that keeps points has any
_SKEW_MS: Final = 30 * 86_400_000   # a clock that is further off is no clock
_RATIO: Final = '%'
_METHOD: Final = 'collect_perf_metrics'

Points = dict[tuple[str, str, str, str], dict[int, float]]     # resource type, resource id, metric, kind


@dataclass
class Collected:
    """One answer of collect_perf_metrics."""

    reply: Reply
    found: Findings
    points: Points
    raw: int = 0


class Meter:
    """What the rules ask of metrics, each thing once."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    @functools.cached_property
    def spoken(self) -> tuple[Reply, Capabilities, Findings]:
        """What get_capabilities said, and what was understood."""
        reply = self.bench.call('get_capabilities', {'firmware_version': None}, lane=Lane.METRICS)
        able, found = capabilities.read(reply.value if reply.answered else None)
        return reply, able, found

    @property
    def able(self) -> Capabilities:
        """What can be measured; `Skip` if that is nothing."""
        if not self.bench.implemented(_METHOD) or not self.bench.implemented('get_capabilities'):
            raise Skip('get_capabilities or collect_perf_metrics is not implemented')
        able = self.spoken[1]
        if not able.resource_metrics:
            raise Skip('the driver says that nothing can be measured')
        return able

    @functools.cached_property
    def newest(self) -> int:
        """Up to when there are points, as the collector finds out: the array's word, else now."""
        reply = self.bench.call('get_latest_perf_timestamp', lane=Lane.METRICS)
        now = int(time.time() * 1000)
        return reply.value if type(reply.value) is int and abs(reply.value - now) < _SKEW_MS else now

    @functools.cached_property
    def inventory(self) -> Inventory:
        """Whose native ids the points have."""
        return self.bench.inventory

    @functools.cached_property
    def whole(self) -> Collected:
        """Everything of the last fifteen minutes."""
        return self.collect(self.able.resource_metrics)

    def collect(self, wanted: Metrics, start: int | None = None, end: int | None = None) -> Collected:
        """The points of a window (the last fifteen minutes) as far as the product would keep them.

        Of an array that keeps no points what comes is of the time of the answer, which the collector allows for.
        """
        historic = self.able.is_historic
        end = self.newest if end is None else end
        start = end - _WINDOW_MS if start is None else start
        reply = self.bench.call(_METHOD, self.bench.main, copy.deepcopy(wanted), start, end,
                                lane=Lane.METRICS)
        found = Findings()
        owner = Owner(self.bench.main, 'compliance', self.bench.driver_class.__name__, '', '')
        names = {name: self._names(name) for name in wanted}
        reader = Reader(owner, wanted, start, end if historic else end + _WINDOW_MS, names, found)
        entries = list(reply.value) if isinstance(reply.value, list | tuple) else []
        if reply.answered:
            reader.read(entries)
        points = {(name, *key): dict(series.values) for name, kept in reader.found.items()
                  for key, series in kept.by_key.items()}
        return Collected(reply, found, points, len(entries))

    def _names(self, resource_type: str) -> dict[str, str | None] | None:
        kind = KINDS_OF[resource_type]
        listing = self.inventory.listings.get(kind) if kind else None
        return None if listing is None else {str(key): None for key in listing.read}


_METERS: WeakKeyDictionary[Bench, Meter] = WeakKeyDictionary()


def _of(bench: Bench) -> Meter:
    return _METERS.setdefault(bench, Meter(bench))


def _whole(bench: Bench) -> Collected:
    whole = _of(bench).whole
    if not whole.reply.answered:
        raise Skip(f'collect_perf_metrics {whole.reply.why()}')
    return whole


def _listed(found: Findings, *codes: str) -> Iterator[Problem]:
    for finding in found.listing():
        if finding['code'] in codes:
            yield Problem(f'{finding["code"]}: {finding["column"]}, {finding["count"]} time(s), for example '
                          f'{finding["example"]!r}', _METHOD)


@rule('C01', 'get_capabilities has the agreed shape and needs no session',
      'make it a static method; `delfin.capabilities` shows the shape', Level.PERFORMANCE)
def shape(bench: Bench) -> Iterator[Problem]:
    if not bench.implemented('get_capabilities'):
        raise Skip('get_capabilities is not implemented')
    reply, _, found = _of(bench).spoken
    if not reply.answered and reply.stranger is None:
        yield Problem(reply.why(), 'get_capabilities')
    for finding in found.listing():
        if finding['code'] in (code.NOT_A_DOCUMENT, code.NOT_A_NUMBER, code.NOT_A_BOOLEAN, code.UNKNOWN_KEY):
            yield Problem(f'{finding["code"]}: {finding["column"] or "the whole"}, for example {finding["example"]!r}',
                          'get_capabilities')
        elif finding['code'] == code.VERSION_KEYED:
            yield remark('legacy: has a document for each firmware version; look at filters["firmware_version"]',
                         'get_capabilities')
    try:
        calling.call_without_instance(bench.driver_class, 'get_capabilities', bench.main,
                                      context_for(None, bench.main), None)
    except Exception as error:      # third-party code
        yield remark(f'legacy: cannot be asked without an instance ({type(error).__name__})', 'get_capabilities')


@rule('C02', 'It names resource types and metrics of delfin.metrics in their units; others begin with x_ and have one',
      'what is named otherwise is not collected', Level.PERFORMANCE)
def names(bench: Bench) -> Iterator[Problem]:
    if not bench.implemented('get_capabilities'):
        raise Skip('get_capabilities is not implemented')
    for finding in _of(bench).spoken[2].listing():
        if finding['code'] in (code.UNKNOWN_RESOURCE_TYPE, code.UNKNOWN_METRIC, code.WRONG_UNIT):
            yield Problem(f'{finding["code"]}: {finding["column"]}, {finding["example"] or ""}'.rstrip(', '),
                          'get_capabilities')


@rule('C03', 'Every metric that is declared comes, for something of its resource type',
      'do not declare what the array does not measure', Level.PERFORMANCE)
def declared(bench: Bench) -> Iterator[Problem]:
    meter = _of(bench)
    able, whole = meter.able, meter.whole
    if not whole.reply.answered:
        if whole.reply.stranger is None:
            yield Problem(whole.reply.why(), _METHOD)
        return
    if not isinstance(whole.reply.value, list | tuple):
        yield Problem(f'returns {type(whole.reply.value).__name__}, not a list', _METHOD)
        return
    came = {(resource_type, metric) for resource_type, _, metric, _ in whole.points}
    for resource_type, metrics in able.resource_metrics.items():
        kind = KINDS_OF[resource_type]
        listing = meter.inventory.listings.get(kind) if kind else None
        if kind is not None and (listing is None or not listing.read):      # nothing there that could be measured
            continue
        missing = [metric for metric in metrics if (resource_type, metric) not in came]
        if missing:
            yield Problem(f'{resource_type}: {", ".join(missing)} never come(s)', _METHOD)


@rule('C04', 'Only what was asked for comes; nothing, if nothing was',
      'look at resource_metrics', Level.PERFORMANCE)
def asked(bench: Bench) -> Iterator[Problem]:
    meter = _of(bench)
    resource_type, metrics = next(iter(meter.able.resource_metrics.items()))
    name = next(iter(metrics))
    some = meter.collect({resource_type: {name: metrics[name]}})
    yield from _listed(some.found, code.UNASKED_METRIC)
    if meter.collect({}).raw:
        yield Problem('returns points although resource_metrics is empty', _METHOD)


@rule('C05', 'Times are whole ms in the window, each once for a series; values finite, not negative, per cent to 100',
      'the window is [start_time, end_time)', Level.PERFORMANCE)
def points(bench: Bench) -> Iterator[Problem]:
    whole = _whole(bench)
    yield from _listed(whole.found, code.NOT_FINITE, code.OUTSIDE_WINDOW, code.REPEATED_POINT)
    for (resource_type, resource_id, metric, _), series in whole.points.items():
        most = 100 if metric in METRICS and METRICS[metric].unit == _RATIO else float('inf')
        wrong = [value for value in series.values() if value < 0 or value > most]
        if wrong:
            yield Problem(f'{metric} of {resource_type} {resource_id} is {wrong[0]}', _METHOD)
            return


@rule('C06', 'Each series is (metric, labels, values); its resource_id is a native id that the list method answers',
      'labels: storage_id, resource_type, resource_id, resource_name, type, unit', Level.PERFORMANCE)
def labels(bench: Bench) -> Iterator[Problem]:
    yield from _listed(_whole(bench).found, code.NOT_A_SERIES, code.NO_NATIVE_ID, code.UNKNOWN_LABEL,
                       code.UNKNOWN_RESOURCE, code.WRONG_UNIT)


@rule('C07', 'If is_historic is true, points of an hour ago come when they are asked for',
      'else say is_historic: False; what is missed is then known to be lost', Level.PERFORMANCE)
def historic(bench: Bench) -> Iterator[Problem]:
    meter = _of(bench)
    if not meter.able.is_historic:
        raise Skip('is_historic is false')
    if not _whole(bench).points:
        raise Skip('there are no points at all')
    back = min(_PAST_MS, meter.able.retention_seconds * 1000 // 2)
    past = meter.collect(meter.able.resource_metrics, meter.newest - back - _WINDOW_MS, meter.newest - back)
    if past.reply.stranger is None and not past.points:
        yield Problem(f'no points of the time {back // 1000} s ago', _METHOD)


@rule('C08', 'Two windows side by side have the points of the whole: none missing, none twice',
      'start_time is included, end_time is not', Level.PERFORMANCE)
def adjoining(bench: Bench) -> Iterator[Problem]:
    meter = _of(bench)
    if not meter.able.is_historic:
        raise Skip('is_historic is false')
    whole = _whole(bench)
    times = sorted({moment for series in whole.points.values() for moment in series})
    if len(times) < 2:
        raise Skip('there are not two points in time')
    start, middle = times[0], times[len(times) // 2]        # on a point: there the edges show
    parts = [meter.collect(meter.able.resource_metrics, *each)
             for each in ((start, middle), (middle, meter.newest))]
    if not all(part.reply.answered for part in parts):
        return
    expected, got = _moments(whole), [*_moments(parts[0]), *_moments(parts[1])]
    expected = {each for each in expected if start <= each[1] < meter.newest}
    if expected - set(got):
        yield Problem(f'{len(expected - set(got))} points of the whole window are in neither half, for example at '
                      f'{min(moment for _, moment in expected - set(got))}', _METHOD)


def _moments(collected: Collected) -> set[tuple[Any, int]]:
    return {(key, moment) for key, series in collected.points.items() for moment in series}


@rule('C10', 'get_latest_perf_timestamp is epoch ms, near the present, or None',
      'seconds times 1000, by the clock of the array', Level.PERFORMANCE)
def latest(bench: Bench) -> Iterator[Problem]:
    if not bench.implemented('get_latest_perf_timestamp'):
        raise Skip('get_latest_perf_timestamp is not implemented')
    reply = bench.call('get_latest_perf_timestamp', lane=Lane.METRICS)
    if not reply.answered:
        if reply.stranger is None and not reply.refused:
            yield Problem(reply.why(), 'get_latest_perf_timestamp')
    elif reply.value is not None and (type(reply.value) is not int
                                      or abs(reply.value - int(time.time() * 1000)) > _SKEW_MS):
        yield Problem(f'is {reply.value!r}', 'get_latest_perf_timestamp')
