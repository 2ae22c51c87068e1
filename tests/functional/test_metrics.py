# SPDX-License-Identifier: Apache-2.0
"""Metrics of make-believe arrays, from the driver through a real `delfin-all` into a file."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from tests.services import Process, Site, wait_for

STEP_MS = 1000
SELECTION = {'volume': ['iops', 'readIops'], 'storage': ['iops']}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Collected every five seconds, from arrays that measure every second."""
    return Site(tmp_path, metrics={'enabled': True, 'interval_seconds': 5, 'settle_seconds': 0, 'exporters': 'file'},
                metrics_file={'path': tmp_path / 'metrics.jsonl'})


def points(site: Site) -> dict[tuple[str, ...], list[int]]:
    """Times by series that are wanted, as often as they came."""
    found: dict[tuple[str, ...], list[int]] = defaultdict(list)
    file = site.root / 'metrics.jsonl'
    for line in (file.read_text().splitlines() if file.exists() else []):
        message: dict[str, Any] = json.loads(line)
        series = (message['storage']['id'], message['resource']['type'], message['resource']['id'], message['metric'])
        if message['metric'] in SELECTION.get(message['resource']['type'], ()):
            found[series] += [time for time, _ in message['points']]
    return found


def newest(site: Site) -> int:
    return min((max(times) for times in points(site).values()), default=0)


def register(process: Process, **extra: str) -> str:
    storage_id = process.client.register_fake(sample_interval_seconds='1', volumes='3', **extra)['id']
    answer = process.client.request('PUT', f'/v1/storages/{storage_id}/metrics-config', json={'selection': SELECTION})
    assert answer.status_code == 200
    return storage_id


@pytest.mark.parametrize('end', ['stop', 'kill'])
def test_a_service_that_ends_leaves_no_hole(site: Site, end: str) -> None:
    """What was measured while nothing ran is fetched by the next start."""
    with site.start() as first:
        first.ready()
        storage_id = register(first)
        wait_for('the first points', lambda: newest(site))
        getattr(first, end)()
    before = newest(site)
    with site.start() as second:
        second.ready()
        wait_for('points of after the start', lambda: newest(site) > before + 10 * STEP_MS)
        status = second.client.get(f'/v1/storages/{storage_id}/metrics-status')
        second.stop()
    assert status['gaps'] == [] and status['state'] == 'done'
    found = points(site)
    assert {(series[1], series[3]) for series in found} == {
        (resource_type, name) for resource_type, names in SELECTION.items() for name in names}
    for series in found:
        times = sorted(set(found[series]))
        assert times == list(range(times[0], times[-1] + 1, STEP_MS)), series
        if end == 'stop':
            assert len(times) == len(found[series]), 'a point came twice, though nothing broke off'


def test_an_array_that_fails_is_tried_again_and_nothing_is_missing(site: Site) -> None:
    """SODA Delfin loses what an array does not answer at the fifth attempt."""
    control = site.root / 'control.json'
    control.write_text('{"misbehave": "collect_perf_metrics:raise"}')
    with site.start() as process:
        process.ready()
        storage_id = register(process, control_file=str(control))
        path = f'/v1/storages/{storage_id}/metrics-status'
        failed = wait_for('a failure', lambda: next(
            (mark for mark in process.client.get(path)['marks'] if mark['failures']), None))
        control.write_text('{}')
        wait_for('the next attempts', lambda: not any(mark['failures'] for mark in process.client.get(path)['marks']))
        process.stop()
    assert 'its author did not expect' in failed['error'] and failed['retry_at']
    for series, times in points(site).items():
        assert sorted(set(times)) == list(range(min(times), max(times) + 1, STEP_MS)), series
