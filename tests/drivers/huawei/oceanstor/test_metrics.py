# SPDX-License-Identifier: Apache-2.0
"""Metrics are what the model in the simulator does, in Delfin's units, on every firmware."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from delfin import exception
from delfin.common.constants import metric_struct
from delfin.drivers.huawei.oceanstor import OceanStorDriver
from tests.drivers.huawei.oceanstor.conftest import FEW
from tests.simulators.huawei import OCEANSTOR_6, OceanStor, Sizes
from tests.simulators.huawei.firmware import BY_NAME

# Delfin's name -> the simulator's, and what one of its is in Delfin's unit.
NAMES = {'iops': ('iops', 1), 'readIops': ('read_iops', 1), 'writeIops': ('write_iops', 1),
         'throughput': ('throughput', 1), 'readThroughput': ('read_throughput', 1),
         'writeThroughput': ('write_throughput', 1), 'responseTime': ('response_time', 0.001),
         'readResponseTime': ('read_response_time', 0.001), 'writeResponseTime': ('write_response_time', 0.001),
         'ioSize': ('io_size', 1), 'readIoSize': ('read_io_size', 1), 'writeIoSize': ('write_io_size', 1),
         'cacheHitRatio': ('hit_ratio', 1), 'readCacheHitRatio': ('read_hit_ratio', 1),
         'writeCacheHitRatio': ('write_hit_ratio', 1), 'cpuUsage': ('cpu_usage', 1)}
KINDS = {'storagePool': ('pool',), 'volume': ('lun',), 'controller': ('controller',), 'disk': ('disk',),
         'port': ('fc_port', 'fcoe_port', 'sas_port', 'pcie_port', 'bond_port')}
EVERYTHING = OceanStorDriver.get_capabilities(None)['resource_metrics']
Drive = Callable[..., OceanStorDriver]


def collect(driver: OceanStorDriver, metrics: dict[str, Any] = EVERYTHING) -> list[metric_struct]:
    return driver.collect_perf_metrics(None, '1', metrics, 0, 1)


@pytest.mark.parametrize('firmware', BY_NAME)
def test_every_sample_is_the_models(firmware: str, drive: Drive) -> None:
    with OceanStor(sizes=FEW, firmware=BY_NAME[firmware], clock=lambda: 1_700_000_003.0) as array:
        series = collect(drive(array))
        sample = functools.cache(array.metrics.sample)
        seen = set()
        for name, labels, values in series:
            kind = next(kind for kind in KINDS[labels['resource_type']] if labels['resource_id'] in array.model[kind])
            [(time, value)] = values.items()
            theirs, factor = NAMES[name]
            exact = sample(kind, labels['resource_id'], time // 1000)[theirs] * factor
            assert value == pytest.approx(exact, rel=1e-9), (name, labels)
            seen.add((kind, labels['resource_id']))
            assert labels['unit'] == EVERYTHING[labels['resource_type']][name]['unit']
        hidden = array.firmware.missing
        assert seen == {(kind, id) for kinds in KINDS.values() for kind in kinds if kind not in hidden
                        for id in array.model[kind]}


def test_samples_of_many_objects_come_in_batches(drive: Drive) -> None:
    with OceanStor(sizes=Sizes(luns=300), firmware=BY_NAME['dorado-v6']) as array:
        driver = drive(array)
        assert len(collect(driver, {'volume': {'iops': {}}})) == 300
        array.log.clear()
        collect(driver, {'volume': {'iops': {}}})
        # Three full pages of LUNs and one behind them, three batches of samples.
        assert [array.asked('lun'), array.asked('server/compositeinfo'), len(array.log)] == [4, 3, 7]


def test_an_array_without_batches_is_asked_for_each_object_and_its_path_is_remembered(drive: Drive) -> None:
    with OceanStor(sizes=FEW, firmware=BY_NAME['v3']) as array:
        driver = drive(array)
        collect(driver, {'volume': {'iops': {}}})
        array.log.clear()
        collect(driver, {'volume': {'iops': {}}})
        assert len(array.log) == 1 + FEW.luns       # the list, and a sample of each
        assert array.asked('performance_statistic/cur_statistic_data') == 0


def test_what_has_no_sample_costs_nothing_else(array: OceanStor, driver: OceanStorDriver) -> None:
    array.control.hide_sample('lun', '3')
    array.control.blank_metric('throughput')
    series = collect(driver, {'volume': {'iops': {}, 'throughput': {}}})
    assert {each.labels['resource_id'] for each in series} == set(array.model['lun']) - {'3'}
    assert {each.name for each in series} == {'iops'}


def test_an_object_that_goes_meanwhile_costs_nothing_else(drive: Drive) -> None:
    with OceanStor(sizes=FEW, firmware=OCEANSTOR_6) as array:
        driver = drive(array)
        collect(driver, {'volume': {'iops': {}}})
        listed = driver.list_volumes(None)
        driver.list_volumes = lambda context: list(listed)      # type: ignore[method-assign]
        array.control.remove('lun', '5')
        assert len(collect(driver, {'volume': {'iops': {}}})) == FEW.luns - 1


def test_nothing_is_asked_about_what_nobody_wants(array: OceanStor, driver: OceanStorDriver) -> None:
    assert collect(driver, {'share': {'iops': {}}}) == []
    assert not array.log


def test_an_array_that_collects_nothing_says_what_to_do(array: OceanStor, driver: OceanStorDriver) -> None:
    driver.session.put('/performance_statistic_switch', {'CMO_PERFORMANCE_SWITCH': '0'})
    with pytest.raises(exception.StorageBackendException, match='switch performance monitoring on'):
        collect(driver)
