# SPDX-License-Identifier: Apache-2.0
"""A chart of an array, from the first collection on: its points are the array's own, also after the process was killed,
and go with the storage.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from delfin.drivers.fake_storage import FakeStorageDriver
from tests.services import Client, Process, Site, fake, wait_for

ARRAY = fake(9000, volumes='6', pools='2', sample_interval_seconds='1')


class Installation:
    """A Delfin with one array whose metrics are collected every five seconds."""

    def __init__(self, root: Path) -> None:
        self.site = Site(root, metrics={'enabled': True, 'interval_seconds': 5, 'settle_seconds': 0})
        self.process: Process = self.site.start().ready()
        self.storage_id: str = self.client.register(**ARRAY)['id']

    @property
    def client(self) -> Client:
        return self.process.client

    def kill(self) -> None:
        """At once, and start again."""
        self.process.kill()
        self.process = self.site.start().ready()

    def series(self, **parameters: Any) -> list[dict[str, Any]]:
        path = f'/v1/storages/{self.storage_id}/metrics'
        return self.client.get(path, resource_type='volume', **parameters)['metrics']

    def collected(self, since: int = 0) -> list[dict[str, Any]]:
        """All series of all volumes, when there is a point of later than this moment."""
        return wait_for('points of metrics', lambda: [
            each for each in self.series() if each['points'][-1][0] > since and each['metric'] == 'iops']
            and self.series())


@pytest.fixture(scope='module')
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    made = Installation(tmp_path_factory.mktemp('delfin'))
    yield made
    assert made.process.stop() == 0


def the_array_says(installation: Installation, series: dict[str, Any]) -> dict[int, float]:
    """What the array itself says of the time of a series."""
    driver = FakeStorageDriver(storage_id=installation.storage_id, **ARRAY)
    wanted = {'volume': {series['metric']: {'unit': series['unit']}}}
    first, last = series['points'][0][0], series['points'][-1][0]
    return next(each.values for each in driver.collect_perf_metrics(
        None, installation.storage_id, wanted, first, last + 1) if each.labels['resource_id'] == series['resource_id'])


def test_points_are_those_of_the_array_without_a_hole(installation: Installation) -> None:
    found = installation.collected()
    assert {each['resource_id'] for each in found} == {
        volume['native_volume_id'] for volume in installation.client.rows('volumes', installation.storage_id)}
    for series in found:
        assert {moment: pytest.approx(value) for moment, value in series['points']} == the_array_says(
            installation, series)


def test_means_are_made_of_the_same_points(installation: Installation) -> None:
    raw = installation.collected()[0]
    name = {'metric': raw['metric'], 'resource_id': raw['resource_id']}
    day = 86_400
    begin = raw['points'][0][0] // (day * 1000) * day * 1000
    end = raw['points'][-1][0] + 1
    (mean,) = installation.series(**name, step=day, start=begin, end=end)
    values = [value for moment, value in raw['points'] if moment // (day * 1000) * day * 1000 == begin]
    assert mean['points'][0] == [begin, pytest.approx(sum(values) / len(values))]


def test_a_killed_process_goes_on_where_it_was(installation: Installation) -> None:
    before = {(each['resource_id'], each['metric']): each['points'] for each in installation.collected()}
    installation.kill()
    for series in installation.collected(since=int(time.time() * 1000)):
        known = before[series['resource_id'], series['metric']]
        moments = [moment for moment, _ in series['points']]
        assert moments == sorted(set(moments)) and {moment for moment, _ in known} <= set(moments)
        assert {moment: pytest.approx(value) for moment, value in series['points']} == the_array_says(
            installation, series)


def test_the_capacity_of_today_stands_in_its_history(installation: Installation) -> None:
    path = f'/v1/storages/{installation.storage_id}/capacity-history'
    storage = installation.client.get(f'/v1/storages/{installation.storage_id}')
    (found,) = installation.client.get(path)['capacity_history']
    assert (found['kind'], found['native_id'], found['days_to_full'], found['bytes_per_day']) == (
        'storages', None, None, None)
    (point,) = found['points']
    assert point.pop('day') in {datetime.now(UTC).date().isoformat(), storage['last_sync_at'][:10]}
    assert point == {name: storage[name] for name in ('total_capacity', 'used_capacity', 'free_capacity')}
    pools = installation.client.get(path, kind='storage_pools')['capacity_history']
    assert [(each['native_id'], each['name'], len(each['points'])) for each in pools] == sorted(
        (pool['native_storage_pool_id'], pool['name'], 1)
        for pool in installation.client.rows('storage_pools', installation.storage_id))


def test_a_removed_storage_takes_its_points_along(installation: Installation) -> None:
    client = installation.client
    client.delete(f'/v1/storages/{installation.storage_id}')
    client.get(f'/v1/storages/{installation.storage_id}/metrics?resource_type=volume', 404)
    wait_for('its sheets are gone', lambda: not sheets(installation.site.root))


def sheets(root: Path) -> list[Any]:
    """The sheets that are in the files of the history."""
    found: list[Any] = []
    for file in root.glob('state/history/*/*.sqlite'):
        connection = sqlite3.connect(f'file:{file}?mode=ro', uri=True)
        found += connection.execute('SELECT * FROM sheets').fetchall()
        connection.close()
    return found
