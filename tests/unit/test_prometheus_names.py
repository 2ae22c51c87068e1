# SPDX-License-Identifier: Apache-2.0
"""What Prometheus calls our metrics, and in which units."""

from __future__ import annotations

import re

import pytest

from delfin.common.constants import ResourceType
from delfin.exporter.prometheus.names import OwnNames, SodaNames, written
from delfin.metrics import METRICS
from tests.unit.metrics_support import ODD, points


@pytest.mark.parametrize(('resource_type', 'metric', 'value', 'name', 'shown'), [
    ('volume', 'readIops', 12, 'delfin_volume_read_iops', 12),
    ('volume', 'readThroughput', 1.5, 'delfin_volume_read_throughput_bytes_per_second', 1.5 * 2**20),
    ('storagePool', 'responseTime', 5, 'delfin_storage_pool_response_time_seconds', 0.005),
    ('filesystem', 'writeIoSize', 8, 'delfin_filesystem_write_io_size_bytes', 8192),
    ('disk', 'cacheHitRatio', 97, 'delfin_disk_cache_hit_ratio', 0.97),
    ('controller', 'cpuUsage', 7, 'delfin_controller_cpu_usage_ratio', 0.07),
])
def test_our_names_are_in_base_units(resource_type, metric, value, name, shown):
    family = OwnNames().family(resource_type, metric, METRICS[metric].unit)
    assert (family.name, value * family.times / family.per) == (name, shown)


def test_every_metric_of_every_resource_type_has_a_name_of_its_own():
    families = [family for _, _, family in OwnNames().table()]
    assert len({family.name for family in families}) == len(families) == len(METRICS) * len(ResourceType.ALL)
    assert all(re.fullmatch('[a-z_]+', family.name) and family.help.endswith('.') for family in families)


def test_a_vendors_metric_keeps_its_spelling_and_tells_its_unit():
    family = OwnNames().family('storagePool', 'x_dirtyPages', 'pages')
    assert family.name == 'delfin_storage_pool_vendor_dirtyPages'
    assert 'in pages' in family.help


def test_a_metric_that_nobody_knows_has_no_name():
    assert OwnNames().family('volume', 'latency', 'ms') is None
    assert SodaNames().family('volume', 'latency', 'ms') is None


def test_labels_of_ours_say_what_and_whose_it_is():
    labels = dict(OwnNames().labels(points('0x17', {}, resource_name='prod').labels))
    assert labels == {'resource_id': '0x17', 'resource_name': 'prod', 'storage_name': 'array',
                      'storage_id': '5f0e8b5a-0000-4000-8000-000000000001'}


def test_an_aggregate_is_told_from_what_was_measured():
    assert ('type', 'MAX') in OwnNames().labels(points('1', {}, type='MAX').labels)


def test_names_of_soda_delfin_are_as_its_users_know_them():
    names, series = SodaNames(), points('0x17', {}, 'readResponseTime', resource_name='prod')
    family = names.family('volume', 'readResponseTime', 'ms')
    assert (family.name, family.times, family.per) == ('volume_readResponseTime', 1, 1)
    assert dict(names.labels(series.labels)) == {
        'storage_id': series.labels['storage_id'], 'storage_name': 'array', 'storage_sn': 'SN-1',
        'resource_type': 'volume', 'resource_id': '0x17', 'type': 'RAW', 'unit': 'ms', 'value_type': 'gauge'}


def test_label_values_are_escaped():
    assert written((('a', ODD),)) == r'a="a \"b\" \\ c\nd 🦆"'


def test_what_no_text_can_hold_is_taken_out():
    assert dict(OwnNames().labels(points('a\0b\ud800', {}).labels))['resource_id'] == 'ab?'
