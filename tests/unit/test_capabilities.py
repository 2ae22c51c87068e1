# SPDX-License-Identifier: Apache-2.0
"""What drivers say that can be measured: what counts of it, and what is wrong with the rest."""

from __future__ import annotations

import pytest

from delfin import capabilities
from delfin.common import constants
from delfin.metrics import KINDS_OF, METRICS

IOPS = {'unit': 'IOPS', 'description': 'operations a second'}


def codes(findings):
    return {(finding['code'], finding['column']) for finding in findings.listing()}


def read(resource_metrics, **more):
    return capabilities.read({'is_historic': True, 'resource_metrics': resource_metrics, **more})


def test_there_are_sixteen_metrics_and_every_type_may_have_them():
    assert len(METRICS) == 16
    found, findings = read({resource_type: {name: {'unit': metric.unit, 'description': 'x'}
                                            for name, metric in METRICS.items()} for resource_type in KINDS_OF})
    assert not findings.listing()
    assert {resource_type: len(metrics) for resource_type, metrics in found.resource_metrics.items()} == dict.fromkeys(
        constants.ResourceType.ALL, 16)


def test_what_was_read_is_read_again_without_a_finding():
    found, _ = read({'Volume': ['iops', 'readIops'], 'disk': {'iops': IOPS}}, collect_interval='60',
                    failed_job_collect_interval=20, performance_metric_retention_window=7200)
    again, findings = capabilities.read(found.document())
    assert (again, findings.listing()) == (found, [])
    assert (found.interval_seconds, found.retry_seconds, found.retention_seconds) == (60, 20, 7200)


@pytest.mark.parametrize(('metrics', 'finding'), [
    ({'iops': IOPS, 'speed': IOPS}, ('unknown_metric', 'volume.speed')),
    ({'iops': IOPS, 'responseTime': {'unit': 'us'}}, ('wrong_unit', 'volume.responseTime')),
    ({'iops': IOPS, 'x_depth': {'description': 'no unit'}}, ('wrong_unit', 'volume.x_depth')),
    ({'iops': IOPS, 'x_ü': {'unit': 'a'}}, ('unknown_metric', 'volume.x_ü')),
    ({'iops': IOPS, 7: IOPS}, ('unknown_metric', 'volume.int')),
])
def test_a_wrong_entry_costs_that_entry(metrics, finding):
    found, findings = read({'volume': metrics})
    assert set(found.resource_metrics['volume']) == {'iops'}
    assert codes(findings) == {finding}


def test_a_resource_type_that_nobody_knows_costs_itself():
    found, findings = read({'volume': {'iops': IOPS}, 'lun': {'iops': IOPS}, 'disk': 'all of them'})
    assert set(found.resource_metrics) == {'volume'}
    assert codes(findings) == {('unknown_resource_type', 'lun'), ('not_a_document', 'disk')}


def test_a_metric_of_a_vendor_is_marked_by_its_name():
    found, findings = read({'volume': {'x_queueDepth': {'unit': 'IOs', 'description': 'waiting'}}})
    assert found.resource_metrics == {'volume': {'x_queueDepth': {'unit': 'IOs', 'description': 'waiting'}}}
    assert not findings.listing()


def test_units_that_differ_in_case_only_are_the_same():
    found, _ = read({'volume': {'throughput': {'unit': 'mb/s'}}})
    assert found.resource_metrics['volume']['throughput']['unit'] == 'MB/s'


@pytest.mark.parametrize(('firmware', 'metric'), [
    ('NetApp Release 9.8P1', 'writeIops'), ('9.9.1', 'throughput'), ('9.1', 'iops'), ('8.3', 'iops'),
    (None, 'throughput')])
def test_documents_by_version_are_chosen_by_the_firmware(firmware, metric):
    spec = {version: {'is_historic': True, 'resource_metrics': {'volume': {name: None}}}
            for version, name in ((9.0, 'iops'), (9.8, 'writeIops'), (9.9, 'throughput'))}
    found, findings = capabilities.read(spec, firmware)
    assert list(found.resource_metrics['volume']) == [metric]
    assert codes(findings) == {('version_keyed', None)}


@pytest.mark.parametrize('spec', [None, {}, [], 'iops', 7])
def test_who_says_nothing_useful_measures_nothing(spec):
    assert capabilities.read(spec)[0].resource_metrics == {}


def test_unknown_keys_and_numbers_that_are_none_are_findings():
    found, findings = capabilities.read({'is_historic': 'yes', 'resource_metrics': {}, 'colour': 1,
                                         'performance_metric_retention_window': 'long', 'collect_interval': 0})
    assert found.is_historic
    assert codes(findings) == {('unknown_key', 'colour'), ('not_a_number', 'performance_metric_retention_window'),
                               ('not_a_number', 'collect_interval')}


def test_a_selection_takes_some():
    found, _ = read({'volume': ['iops', 'readIops'], 'disk': ['iops'], 'port': ['iops']})
    chosen = found.selected({'volume': ['iops', 'writeIops'], 'disk': None, 'controller': None})
    assert {each: list(metrics) for each, metrics in chosen.items()} == {'volume': ['iops'], 'disk': ['iops']}
    assert found.selected(None) is found.resource_metrics
    assert found.selected({'volume': []}) == {}
