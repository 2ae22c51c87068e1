# SPDX-License-Identifier: Apache-2.0
"""The exporters `prometheus` and `remote_write`, and a real Prometheus that scrapes and receives."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from oslo_config import cfg

from delfin.common import config
from delfin.common.constants import ResourceType
from delfin.db import Database
from delfin.db.schema import Schema
from delfin.exporter.prometheus.endpoint import PrometheusEndpoint
from delfin.exporter.prometheus.remote_write import PrometheusRemoteWrite
from delfin.metrics import METRICS, Owner
from delfin.own_metrics import OwnMetrics
from tests.checkouts import free_port
from tests.engines.prometheus import Prometheus
from tests.services import wait_for
from tests.unit.metrics_support import ODD, points
from tests.unit.support import add_storage, give

SECONDS = 30
Configure = Callable[..., cfg.ConfigOpts]


@pytest.fixture(scope='module')
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    path = tmp_path_factory.mktemp('database') / 'delfin.sqlite'
    with contextlib.closing(Database(f'sqlite:///{path}')) as database:
        Schema(database).upgrade()
        yield database


@pytest.fixture(scope='module')
def configure(tmp_path_factory: pytest.TempPathFactory) -> Configure:
    def make(node: str = 'node-1', remote_write: str = '', **options: object) -> cfg.ConfigOpts:
        file = tmp_path_factory.mktemp('etc') / 'delfin.conf'
        file.write_text(f'[DEFAULT]\nhost = {node}\n[remote_write]\nurl = {remote_write}\n[prometheus]\n' + ''.join(
            f'{name} = {value}\n' for name, value in {'port': free_port(), **options}.items()))
        return config.load(['--config-file', str(file)], 'test', cfg.ConfigOpts(), default_config_dirs=[])
    return make


@pytest.fixture(scope='module')
def nodes(database: Database, configure: Configure) -> Iterator[list[PrometheusEndpoint]]:
    """Two task services with our names and one with those of SODA Delfin."""
    made = [PrometheusEndpoint(configure('node-1'), OwnMetrics(), fleet_seconds=0.5),
            PrometheusEndpoint(configure('node-2'), OwnMetrics(), fleet_seconds=0.5),
            PrometheusEndpoint(configure('node-3', names='soda'), OwnMetrics())]
    for node in made:
        node.start(database)
    yield made
    for node in made:
        node.stop(1)


@pytest.fixture(scope='module', autouse=True)
def without_complaints(prometheus: Prometheus) -> Iterator[None]:
    """Prometheus may say nothing in its log but that a repetition was repeated."""
    yield
    assert [line for line in prometheus.warnings() if 'Out of order sample from remote write' not in line] == []


@pytest.fixture(scope='module')
def owner(database: Database) -> Owner:
    return Owner(add_storage(database), ODD, 'Example', 'X1', 'SN-1')


@pytest.fixture(scope='module')
def scraping(prometheus: Prometheus, nodes: list[PrometheusEndpoint], configure: Configure) -> Prometheus:
    """Prometheus with the scrape configuration of docs/metrics-in-prometheus.md."""
    targets = [f'127.0.0.1:{node.address[1]}' for node in nodes]
    prometheus.configure([{'job_name': 'delfin', 'honor_labels': True, 'static_configs': [{'targets': targets}]}])
    return prometheus


def series(prometheus: Prometheus, expression: str) -> list[dict[str, str]]:
    return [found['metric'] for found in prometheus.query(expression)]


def values(prometheus: Prometheus, expression: str) -> list[float]:
    return [float(found['value'][1]) for found in prometheus.query(expression)]


def test_what_is_collected_is_found_in_prometheus_with_its_odd_names(
        scraping: Prometheus, nodes: list[PrometheusEndpoint], owner: Owner) -> None:
    nodes[0].collected(owner, 'volume', [points(ODD, {5: 250}, 'responseTime', owner=owner, resource_name=ODD)], 60)
    found = wait_for('the series', lambda: scraping.query('delfin_volume_response_time_seconds'), SECONDS)
    assert [each['metric'] for each in found] == [{
        '__name__': 'delfin_volume_response_time_seconds', 'job': 'delfin', 'resource_id': ODD, 'resource_name': ODD,
        'storage_id': owner.storage_id, 'storage_name': ODD}]
    assert found[0]['value'][1] == '0.25'


def test_an_array_that_moves_to_another_node_begins_no_new_series(
        scraping: Prometheus, nodes: list[PrometheusEndpoint], owner: Owner, database: Database) -> None:
    for at, node in enumerate(nodes[:2]):
        nodes[1 - at].forget(owner.storage_id)
        give(database, owner.storage_id, f'node-{at + 1}')
        node.collected(owner, 'volume', [points('1', {at: at + 1}, owner=owner)], 60)
        wait_for(f'node {at + 1}', lambda at=at: values(scraping, 'delfin_volume_iops') == [at + 1], SECONDS)
        wait_for('its alerts', lambda: values(scraping, 'delfin_alerts{severity="Fatal"}') == [0], SECONDS)
    for name in ('delfin_volume_iops', 'delfin_storage_info'):
        assert values(scraping, f'count(count_over_time({name}[1h]))') == [1]


def test_nodes_are_told_apart_where_they_speak_of_themselves(
        scraping: Prometheus, nodes: list[PrometheusEndpoint]) -> None:
    targets = {f'127.0.0.1:{node.address[1]}' for node in nodes}
    wait_for('all', lambda: {each['instance'] for each in series(scraping, 'delfin_build_info')} == targets, SECONDS)
    assert len(values(scraping, 'delfin_syncs{state="running"}')) == len(nodes)


def test_names_of_soda_delfin_arrive(
        scraping: Prometheus, nodes: list[PrometheusEndpoint], owner: Owner) -> None:
    nodes[2].collected(owner, 'storagePool', [points(ODD, {5: 7}, 'readResponseTime', owner=owner,
                                                     resource_type='storagePool')], 60)
    wait_for('the series', lambda: series(scraping, 'storagePool_readResponseTime') == [{
        '__name__': 'storagePool_readResponseTime', 'job': 'delfin', 'storage_id': owner.storage_id,
        'storage_name': ODD, 'storage_sn': 'SN-1', 'resource_type': 'storagePool', 'resource_id': ODD, 'type': 'RAW',
        'unit': 'ms', 'value_type': 'gauge'}], SECONDS)


@pytest.fixture
def writer(prometheus: Prometheus, configure: Configure) -> PrometheusRemoteWrite:
    return PrometheusRemoteWrite.create(configure(remote_write=f'{prometheus.url}/api/v1/write'))


def test_points_are_written_with_their_times(
        prometheus: Prometheus, writer: PrometheusRemoteWrite, owner: Owner) -> None:
    begin = int(time.time()) - 3000
    data = [points(ODD, {1000 * (begin + 60 * minute): minute for minute in range(50)}, 'ioSize', owner=owner,
                   resource_type='disk')]
    writer.dispatch(None, data)             # type: ignore[arg-type]
    for minute in (0, 1, 49):
        found, = prometheus.query('delfin_disk_io_size_bytes', time=begin + 60 * minute + 1)
        assert float(found['value'][1]) == 1024 * minute
    assert found['metric'] == {'__name__': 'delfin_disk_io_size_bytes', 'job': 'delfin', 'resource_id': ODD,
                               'storage_id': owner.storage_id, 'storage_name': ODD}


def test_after_a_repetition_the_new_points_are_there(
        prometheus: Prometheus, writer: PrometheusRemoteWrite, owner: Owner) -> None:
    begin = int(time.time()) - 3000
    for count in (30, 50):
        writer.dispatch(None, [points(str(volume), {        # type: ignore[arg-type]
            1000 * (begin + 60 * minute): minute for minute in range(count)}, 'throughput', owner=owner)
            for volume in range(20)])
    assert values(prometheus, 'count_over_time(delfin_volume_throughput_bytes_per_second[1h])') == [50] * 20


def test_promtool_finds_nothing_to_complain_of(
        prometheus: Prometheus, nodes: list[PrometheusEndpoint], owner: Owner, database: Database) -> None:
    give(database, owner.storage_id, 'node-1')
    for resource_type in ResourceType.ALL:
        nodes[0].collected(owner, resource_type, [points('1', {5: 7}, metric, owner=owner, resource_type=resource_type)
                                                  for metric in METRICS], 60)

    def text() -> Any:
        return requests.get(f'http://127.0.0.1:{nodes[0].address[1]}/metrics', timeout=SECONDS).text

    wait_for('the inventory', lambda: 'delfin_storage_info{' in text(), SECONDS)
    assert text().count('# TYPE delfin_') > len(METRICS) * len(ResourceType.ALL)
    assert prometheus.promtool('check', 'metrics', stdin=text()) == ''
