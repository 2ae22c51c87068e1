# SPDX-License-Identifier: Apache-2.0
"""Performance: what is declared is what is measured, and windows fit together."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delfin.common import constants
from delfin.drivers.fake_storage import FakeStorageDriver
from delfin.kinds import KINDS
from tests.drivers.fake_storage import inventory, make_driver

MINUTE = 60_000
START = 1_700_000_040_000       # a whole minute
VOLUME_IOPS = {'volume': {'iops': {'unit': 'IOPS'}}}
ALL = FakeStorageDriver.get_capabilities(None)['resource_metrics']
KIND_OF_RESOURCE = {
    'storagePool': 'storage_pools', 'volume': 'volumes', 'controller': 'controllers', 'port': 'ports',
    'disk': 'disks', 'filesystem': 'filesystems'}


def collect(driver: FakeStorageDriver, start: int, end: int, wanted: Any = VOLUME_IOPS) -> list[Any]:
    return list(driver.collect_perf_metrics(None, 'storage-1', wanted, start, end))


def points(series: list[Any]) -> dict[tuple[str, str, str, int], float]:
    """All values by series and time; fails on a double."""
    found: dict[tuple[str, str, str, int], float] = {}
    for one in series:
        for when, value in one.values.items():
            key = (one.name, one.labels['resource_type'], one.labels['resource_id'], when)
            assert key not in found
            found[key] = value
    return found


def test_capabilities_name_units_of_the_constants():
    units = {metric.name: metric.unit for metric in vars(constants).values() if isinstance(metric, constants.Metric)}
    capabilities = FakeStorageDriver.get_capabilities(None, filters={'firmware_version': '1.0.0'})
    assert capabilities['is_historic'] is True
    assert set(capabilities['resource_metrics']) == set(constants.ResourceType.ALL) - {'share'}
    for metrics in capabilities['resource_metrics'].values():
        assert metrics
        for name, metric in metrics.items():
            assert metric['unit'] == units[name] and 0 < len(metric['description']) <= 255


def test_everything_declared_is_measured_for_everything_listed():
    driver = make_driver()
    series = collect(driver, START, START + MINUTE, ALL)
    ids = {kind.name: {row[kind.native_id] for row in rows}
           for kind, rows in ((kind, inventory(driver)[kind.name]) for kind in KINDS)}
    expected = {(name, 'storage', driver.get_storage(None)['serial_number']) for name in ALL['storage']}
    for resource, kind in KIND_OF_RESOURCE.items():
        expected |= {(name, resource, native_id) for name in ALL[resource] for native_id in ids[kind]}
    assert {(one.name, one.labels['resource_type'], one.labels['resource_id']) for one in series} == expected


def test_labels_and_values():
    for one in collect(make_driver(), START, START + 3 * MINUTE, ALL):
        resource = one.labels['resource_type']
        assert one.labels['storage_id'] == 'storage-1'
        assert one.labels['type'] == 'RAW'
        assert one.labels['unit'] == ALL[resource][one.name]['unit']
        assert one.labels['resource_name']
        assert list(one.values) == [START, START + MINUTE, START + 2 * MINUTE]
        assert all(isinstance(value, float) and math.isfinite(value) and value >= 0 for value in one.values.values())
        if one.labels['unit'] == '%':
            assert all(value <= 100 for value in one.values.values())


def test_sums_are_sums():
    by_name = {one.name: one.values for one in collect(make_driver(), START, START + 60 * MINUTE,
                                                       {'storage': ALL['storage']})}
    for when in by_name['iops']:
        for total in ('Iops', 'Throughput'):
            parts = by_name[f'read{total}'][when] + by_name[f'write{total}'][when]
            assert by_name[total.lower()][when] == pytest.approx(parts, abs=0.01)
        for mean in ('ResponseTime', 'IoSize', 'CacheHitRatio'):
            both = sorted((by_name[f'read{mean}'][when], by_name[f'write{mean}'][when]))
            assert both[0] - 0.001 <= by_name[mean[0].lower() + mean[1:]][when] <= both[1] + 0.001


def test_only_what_is_asked_for_comes():
    driver = make_driver()
    assert collect(driver, START, START + MINUTE, {}) == []
    assert collect(driver, START, START + MINUTE, {'volume': {}}) == []
    assert collect(driver, START, START + MINUTE, {'share': {'iops': {}}, 'disk': {'bananas': {}}}) == []
    series = collect(driver, START, START + MINUTE, {'port': {'iops': {}}, 'disk': ['throughput']})
    assert {(one.labels['resource_type'], one.name) for one in series} == {('port', 'iops'), ('disk', 'throughput')}


def test_labels_are_not_shared():
    series = collect(make_driver(), START, START + MINUTE)
    series[0].labels['name'] = 'added by the framework'
    assert all('name' not in one.labels for one in series[1:])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 30 * MINUTE), min_size=3, max_size=3).map(sorted), st.sampled_from(['1', '7', '60']))
def test_windows_that_adjoin_have_no_gap_and_no_double(cuts, interval):
    driver = make_driver(volumes='2', sample_interval_seconds=interval)
    first, middle, last = (START - 1000 + cut for cut in cuts)
    left, right = points(collect(driver, first, middle)), points(collect(driver, middle, last))
    assert not left.keys() & right.keys()
    assert left | right == points(collect(driver, first, last))
    step = int(interval) * 1000
    assert {key[3] for key in left} == {when for when in range(first, middle) if when % step == 0}


def test_windows_that_overlap_agree():
    driver = make_driver()
    one = points(collect(driver, START, START + 10 * MINUTE))
    other = points(collect(make_driver(), START + 5 * MINUTE, START + 15 * MINUTE))
    common = one.keys() & other.keys()
    assert len(common) == 40 * 5
    assert all(one[key] == other[key] for key in common)


def test_windows_are_half_open():
    times = [key[3] for key in points(collect(make_driver(volumes='1'), START, START + MINUTE))]
    assert times == [START]
    assert collect(make_driver(), START + 1, START + MINUTE) == []
    assert collect(make_driver(), START, START) == collect(make_driver(), START + MINUTE, START) == []


def test_there_are_no_samples_of_the_future():
    driver = make_driver(volumes='1')
    now = int(time.time() * 1000)
    newest = driver.get_latest_perf_timestamp(None)
    assert newest % MINUTE == 0 and now - MINUTE < newest <= now + MINUTE
    times = [key[3] for key in points(collect(driver, now - 10 * MINUTE, now + 1000 * MINUTE))]
    assert newest <= max(times) <= newest + MINUTE     # a minute may have passed meanwhile


def test_the_array_s_clock_can_be_wrong():
    ahead = make_driver(clock_skew_seconds='86400', sample_interval_seconds='1').get_latest_perf_timestamp(None)
    assert abs(ahead - time.time() * 1000 - 86_400_000) < 10_000
    behind = make_driver(clock_skew_seconds='-86400', sample_interval_seconds='1').get_latest_perf_timestamp(None)
    assert abs(behind - time.time() * 1000 + 86_400_000) < 10_000


def test_many_series_come_as_a_generator():
    driver = make_driver(volumes='20000')
    series = driver.collect_perf_metrics(None, 's', VOLUME_IOPS, START, START + MINUTE)
    assert not isinstance(series, list)
    assert next(iter(series)).labels['resource_id'] == 'volume_0'
