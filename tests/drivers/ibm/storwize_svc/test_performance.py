# SPDX-License-Identifier: Apache-2.0
"""What the driver makes of statistics files is what the nodes of the simulated array have done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from delfin import exception
from delfin.common.constants import metric_struct
from delfin.drivers.ibm.storwize_svc import StorwizeDriver
from tests.drivers.ibm.storwize_svc.conftest import FEW
from tests.simulators.clock import Clock
from tests.simulators.ibm.levels import V7_8, V8_3
from tests.simulators.ibm.server import Storwize

Drive = Callable[..., StorwizeDriver]
Points = dict[tuple[str, str, str], dict[int, float]]

NOON = 1763636400       # 2025-11-20 12:00 in Berlin, where it is winter
INTERVAL = 300
MIB = 2**20
NAMES = {'readIops': ('read_iops', 1), 'writeIops': ('write_iops', 1), 'iops': ('iops', 1),
         'readThroughput': ('read_throughput', MIB), 'writeThroughput': ('write_throughput', MIB),
         'throughput': ('throughput', MIB), 'responseTime': ('response', 1e-3),
         'readResponseTime': ('read_response', 1e-3), 'writeResponseTime': ('write_response', 1e-3),
         'readCacheHitRatio': ('read_hits', 0.01), 'writeCacheHitRatio': ('write_hits', 0.01),
         'cacheHitRatio': ('hits', 0.01), 'cpuUsage': ('cpu', 0.01)}
KINDS = {'volume': 'volume', 'disk': 'mdisk', 'controller': 'node', 'port': 'fc_port'}
WANTED = StorwizeDriver.get_capabilities(None)['resource_metrics']


@pytest.fixture
def array() -> Iterator[Storwize]:
    with Storwize(sizes=FEW, clock=Clock(at=NOON + 10), flawless=True) as made:
        yield made


def collect(driver: StorwizeDriver, begin: int, end: int, wanted: Any = WANTED) -> Points:
    """The points by resource type, resource and metric; times are epoch seconds."""
    found: list[metric_struct] = driver.collect_perf_metrics(None, '1', wanted, begin * 1000, end * 1000)
    return {(each.labels['resource_type'], each.labels['resource_id'], each.name):
            {time // 1000: value for time, value in each.values.items()} for each in found}


def times(points: Points, resource_type: str = 'volume', resource_id: str = '0') -> list[int]:
    return list(points.get((resource_type, resource_id, 'iops'), {}))


def check(array: Storwize, points: Points) -> None:
    """Counters are whole numbers and statistics have three digits: what little is lost does not add up."""
    wrong = []
    for (resource_type, resource_id, metric), values in points.items():
        name, unit = NAMES.get(metric, ('', 1.0))
        for time, value in values.items():
            truth = array.statistics.truth(KINDS[resource_type], resource_id, time - INTERVAL, time)
            if name and value != pytest.approx(truth[name] / unit, rel=0.01, abs=0.02):
                wrong.append((resource_type, resource_id, metric, time, value, truth[name] / unit))
    assert wrong == []


@pytest.mark.parametrize('level', [V8_3, V7_8], ids=['sftp', 'scp'])
def test_every_kind_is_what_all_nodes_have_counted(level: Any, drive: Drive) -> None:
    with Storwize(sizes=replace(FEW, nodes=4), clock=Clock(at=NOON + 10), flawless=True, level=level) as array:
        points = collect(drive(array), NOON - 900, NOON)
        check(array, points)
        assert times(points) == [NOON - 900, NOON - 600, NOON - 300]
        assert {key[0] for key in points} == set(WANTED)
        assert {key[1] for key in points if key[0] == 'controller'} == set(array.model['node'])
        assert {key[1] for key in points if key[0] == 'port'} == {
            id for id, port in array.model['fc_port'].items() if port.type == 'fc'}
        assert array.connections == 1


def test_the_newest_time_is_that_of_the_newest_file(array: Storwize, driver: StorwizeDriver) -> None:
    assert driver.get_latest_perf_timestamp(None) == NOON * 1000
    array.control.statistics(False)
    array.control.remove_files('*')
    assert driver.get_latest_perf_timestamp(None) is None


def test_windows_side_by_side_have_each_point_once(array: Storwize, driver: StorwizeDriver) -> None:
    whole = collect(driver, NOON - 1800, NOON + 1)
    parts = [collect(driver, begin, end) for begin, end in ((NOON - 1800, NOON - 600), (NOON - 600, NOON + 1))]
    assert times(whole) == [*times(parts[0]), *times(parts[1])] and len(times(whole)) == 7


def test_only_files_that_are_needed_are_fetched(array: Storwize, driver: StorwizeDriver) -> None:
    newest = driver.get_latest_perf_timestamp(None)
    assert newest is not None
    array.log.clear()
    collect(driver, NOON - 300, NOON, {'volume': WANTED['volume']})
    assert array.asked('fetch') == 4        # two nodes, the end of the interval and of that before
    assert array.asked('cpdumps') == 1
    assert array.asked('lsdumps') == 0      # the listing of just now will do
    collect(driver, NOON - 300, NOON, {})
    assert array.asked('fetch') == 4


@pytest.mark.parametrize('node', ['1', '2'])
def test_a_node_that_starts_anew_makes_no_spike(node: str, array: Storwize, driver: StorwizeDriver) -> None:
    """What it counted before it went is not known: no point for that interval, and right ones after it."""
    array.control.reboot(node, 40)
    array.control.advance(900)
    points = collect(driver, NOON - 300, NOON + 901)
    assert times(points) == [NOON - 300, NOON, NOON + 600, NOON + 900]
    assert times(points, 'controller', node) == [NOON - 300, NOON, NOON + 600, NOON + 900]
    check(array, points)


def test_a_node_that_is_down_is_left_out(array: Storwize, driver: StorwizeDriver) -> None:
    array.control.take_down('2')
    array.control.advance(900)
    points = collect(driver, NOON + 300, NOON + 901)
    assert times(points) == [NOON + 300, NOON + 600, NOON + 900]
    assert times(points, 'controller', '2') == []
    check(array, {key: {time: value for time, value in values.items() if time > NOON + 300}
                  for key, values in points.items()})


@pytest.mark.parametrize('spoil', [
    lambda array: array.control.truncate_files('Nv_stats_01-2_251120_115500'),
    lambda array: array.control.spoil('/dumps/iostats/Nv_stats_01-2_251120_115500', 'vanish', times=None)],
    ids=['incomplete', 'gone'])
def test_a_file_that_cannot_be_read_costs_the_sums_of_its_interval(
        spoil: Callable[[Storwize], Any], array: Storwize, driver: StorwizeDriver) -> None:
    spoil(array)
    points = collect(driver, NOON - 900, NOON + 1)
    assert times(points) == [NOON - 900, NOON - 600, NOON]
    assert times(points, 'controller', '1') == [NOON - 900, NOON - 600, NOON - 300, NOON]
    assert times(points, 'controller', '2') == [NOON - 900, NOON - 600, NOON]


def test_a_new_volume_has_points_from_its_second_file_on(array: Storwize, driver: StorwizeDriver) -> None:
    new = array.control.add_volumes(1)[0].id
    array.control.advance(900)
    points = collect(driver, NOON, NOON + 901)
    assert times(points, 'volume', new) == [NOON + 600, NOON + 900]


@pytest.mark.parametrize(('zone', 'at'), [
    ('Europe/Berlin', 1761442210), ('America/New_York', 1762063810), ('Asia/Kolkata', NOON + 10), ('UTC', NOON + 10)])
def test_times_are_those_of_the_array_in_its_zone_also_when_clocks_are_put_back(
        zone: str, at: int, drive: Drive) -> None:
    """The first two are 02:30 in the night of the change, for the second time."""
    with Storwize(sizes=FEW, clock=Clock(at=at), flawless=True, time_zone=zone) as array:
        driver = drive(array)
        array.control.advance(3600)
        end = (at + 3600) // INTERVAL * INTERVAL
        assert driver.get_latest_perf_timestamp(None) == end * 1000
        points = collect(driver, end - 1500, end + 1)
        assert times(points) == [end - 1500 + INTERVAL * step for step in range(6)]
        check(array, points)


def test_somebody_who_may_not_copy_files_is_told_what_is_missing(array: Storwize, driver: StorwizeDriver) -> None:
    array.control.role('Monitor')
    with pytest.raises(exception.NotAuthorized, match='role Administrator'):
        collect(driver, NOON - 300, NOON)


def test_a_statistics_interval_of_a_minute(array: Storwize, driver: StorwizeDriver) -> None:
    array.control.statistics(True, 1)
    array.control.advance(600)
    assert times(collect(driver, NOON + 240, NOON + 601)) == [NOON + 60 * minute for minute in range(4, 11)]
