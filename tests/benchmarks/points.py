# SPDX-License-Identifier: Apache-2.0
"""Checking points: what a driver returned, read as the collector reads it, against a bare loop over the same.

The floor looks at each point's number and remembers series and time in a set, and does nothing else: no windows, units,
names or labels. Both get answers of 20,000 series, with one point each and with fifteen.
"""

from __future__ import annotations

import gc
from math import isfinite

from delfin.common.constants import metric_struct
from delfin.findings import Findings
from delfin.metrics import METRICS, Owner
from delfin.task_manager.telemetry.points import Reader
from tests.benchmarks.measure import Comparison, medians

SERIES = 20_000
POINTS = {1: 3.5, 15: 1.5}      # points a series, and the target

_ROUNDS = 15
_START, _STEP = 1_700_000_000_000, 60_000
_WANTED = {'volume': {name: {'unit': metric.unit} for name, metric in METRICS.items()}}
_OWNER = Owner('2f4c0e0e-6d4c-4d47-8d6e-0b7b6f0a7b3a', 'array', 'Example', 'X1', 'SN-1')


def measure() -> list[Comparison]:
    """One comparison for each number of points."""
    return [_compare(points, target) for points, target in POINTS.items()]


def _compare(points: int, target: float) -> Comparison:
    answer = _answer(points)
    end = _START + points * _STEP
    names = {'volume': {f'volume-{number}': f'data {number}' for number in range(SERIES // len(METRICS) + 1)}}

    def delfin() -> int:
        findings = Findings()
        reader = Reader(_OWNER, _WANTED, _START, end, names, findings)
        reader.read(answer)
        return reader.found['volume'].points

    def floor() -> int:
        seen = set()
        for name, labels, values in answer:
            series = (labels['resource_type'], labels['resource_id'], name)
            for time, value in values.items():
                if isfinite(value):
                    seen.add((series, time))
        return len(seen)

    if delfin() != floor() or floor() != SERIES * points:
        raise RuntimeError('the two do not agree about the points')
    gc.collect()
    found = medians({'floor': floor, 'delfin': delfin}, _ROUNDS)
    return Comparison(f'{SERIES:,} series of {points} point{"s" if points > 1 else ""} checked', '',
                      'isfinite and a set', found['floor'], found['delfin'], target)


def _answer(points: int) -> list[metric_struct]:
    """As a driver makes it: a dict of labels and one of values for each series."""
    found = []
    for number in range(SERIES):
        name = list(METRICS)[number % len(METRICS)]
        labels = {'storage_id': _OWNER.storage_id, 'resource_type': 'volume',
                  'resource_id': f'volume-{number // len(METRICS)}', 'resource_name': f'data {number // len(METRICS)}',
                  'type': 'RAW', 'unit': METRICS[name].unit}
        found.append(metric_struct(name, labels, {_START + n * _STEP: number + n / 7 for n in range(points)}))
    return found


if __name__ == '__main__':
    for each in measure():
        print(f'{each.what}: {each.floor:.1f} and {each.delfin:.1f} ms, {each.ratio:.2f} times (target {each.target})')
