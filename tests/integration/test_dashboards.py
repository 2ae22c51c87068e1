# SPDX-License-Identifier: Apache-2.0
"""Every expression of a dashboard and of a rule has data in a real Prometheus that scrapes a real Delfin."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator
from typing import Any

import cramjam
import pytest
import requests

from delfin.exporter.prometheus.names import ordered
from delfin.exporter.prometheus.remote_write import Sample, Series, encode, encode_labels
from etc.monitoring import rules
from etc.monitoring.dashboards import DASHBOARDS
from etc.monitoring.grafana import Choice, Dashboard, Panel
from tests.checkouts import ROOT, free_port
from tests.engines.base import wait_until
from tests.engines.plugin import require
from tests.engines.prometheus import Prometheus
from tests.services import Site, wait_for

SECONDS = 60
DAY, HOUR = 86_400, 3_600
RULES = ROOT / 'etc' / 'prometheus' / 'delfin.rules.yml'


@pytest.fixture(scope='module')
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """It scrapes a Delfin with two arrays, has eight days of history of their capacity, and evaluates the rules."""
    require(Prometheus)
    folder, port = tmp_path_factory.mktemp('delfin'), free_port()
    site = Site(folder, sync={'interval_seconds': HOUR},
                metrics={'enabled': False, 'interval_seconds': 5, 'settle_seconds': 0, 'exporters': 'prometheus, file'},
                metrics_file={'path': folder / 'metrics.jsonl'}, prometheus={'port': port})
    with Prometheus() as server, site.start() as delfin:
        client = delfin.ready().client
        made = [client.register_fake(sample_interval_seconds='1', volumes='3', disks='3', array_id=array)['id']
                for array in ('A', 'B')]
        # Not sooner: a node reads the inventory of an array when its first metrics come, and then every 30 seconds.
        for storage_id in made:
            path = f'/v1/storages/{storage_id}/metrics-config'
            client.request('PUT', path, json={'enabled': True}).raise_for_status()
        server.configure([{'job_name': 'delfin', 'honor_labels': True,
                           'static_configs': [{'targets': [f'127.0.0.1:{port}']}]}], [str(RULES)], late='10d')
        _remember(server, 'delfin_storage_used_bytes', 2)
        _remember(server, 'delfin_storage_pool_used_bytes', 8)
        _remember(server, 'delfin_filesystem_used_bytes', 12)
        yield server
        assert delfin.stop() == 0
    assert server.warnings() == []


def _remember(server: Prometheus, metric: str, number: int) -> None:
    """Eight days in which capacity grew from nothing to what it is now, without a hole."""
    found = wait_for(metric, lambda: len(now := server.query(metric)) == number and now, SECONDS)
    end = int(time.time()) // HOUR * HOUR
    history = [Series(encode_labels(ordered(each['metric'])), [
        Sample(1000 * (end - age), float(each['value'][1]) * (1 - age / (8 * DAY)))
        for age in range(8 * DAY, 0, -240)]) for each in found]
    answer = requests.post(f'{server.url}/api/v1/write', bytes(cramjam.snappy.compress_raw(encode(history))), headers={
        'Content-Encoding': 'snappy', 'X-Prometheus-Remote-Write-Version': '0.1.0'}, timeout=SECONDS)
    assert answer.status_code == 204, answer.text


def empty(server: Prometheus, expressions: list[str]) -> list[str]:
    """Those that have no value at this moment."""
    return [expression for expression in expressions if not any(
        math.isfinite(float(each['value'][1])) for each in server.query(expression))]


def all_have_data(server: Prometheus, expressions: list[str]) -> None:
    left = expressions

    def ask() -> bool:
        nonlocal left
        left = empty(server, left)
        return not left

    assert wait_until(ask, SECONDS), left


def chosen(server: Prometheus, dashboard: Dashboard) -> dict[str, str]:
    """A value for each variable, as Grafana finds it."""
    values = {'__range': '1h', '__rate_interval': '1m'}
    for variable in dashboard.variables:
        if isinstance(variable, Choice):
            values[variable.name] = variable.values[1]
            continue
        texts = [','.join(f'{name}="{value}"' for name, value in sorted(each['metric'].items()))
                 for each in server.query(filled(variable.expression, values))]
        pattern = re.compile(variable.pattern.strip('/').replace('(?<', '(?P<'))
        found = [match for match in map(pattern.search, texts) if match]
        assert found and len(found) == len(texts) and all(match['text'] for match in found), texts
        values[variable.name] = found[0]['value']
    return values


def filled(expression: str, values: dict[str, str]) -> str:
    return re.sub(r'\$(\w+)', lambda name: values[name[1]], expression)


@pytest.mark.parametrize('dashboard', DASHBOARDS, ids=lambda dashboard: dashboard.uid)
def test_every_panel_has_data(prometheus: Prometheus, dashboard: Dashboard) -> None:
    values = chosen(prometheus, dashboard)
    expressions = [filled(query.expression, values) for panel in dashboard.contents if isinstance(panel, Panel)
                   for query in panel.queries]
    all_have_data(prometheus, expressions)


def test_every_rule_has_data(prometheus: Prometheus) -> None:
    """What alerts look at, and every metric that a condition names."""
    expressions = [rule.expression if isinstance(rule, rules.Record) else rule.value
                   for group in rules.GROUPS for rule in group.rules]
    names = sorted({name for group in rules.GROUPS for alert in group.alerts()
                    for name in re.findall(r'delfin[:_][a-z_:]+', alert.condition)})
    all_have_data(prometheus, expressions + names)


def test_prometheus_evaluates_every_rule(prometheus: Prometheus) -> None:
    found = wait_for('their first time', lambda: all(
        rule['health'] != 'unknown' for rule in prometheus.rules()) and prometheus.rules(), SECONDS)
    assert [rule for rule in found if rule['health'] != 'ok'] == []
    assert len(found) == sum(len(group.rules) for group in rules.GROUPS)


def test_arrays_that_grow_are_told_of_before_they_are_full(prometheus: Prometheus) -> None:
    """By the history: from nothing to what is used in eight days."""
    def pending() -> Any:
        return prometheus.query('ALERTS{alertname="DelfinPoolDaysToFull"}')

    assert {each['metric']['alertstate'] for each in wait_for('the alert', pending, SECONDS)} == {'pending'}


def test_promtool_finds_nothing_to_complain_of(prometheus: Prometheus) -> None:
    assert 'SUCCESS' in prometheus.promtool('check', 'rules', str(RULES))


def test_each_rule_fires_when_it_should_and_only_then(prometheus: Prometheus) -> None:
    """The stories stand beside the rules."""
    assert 'SUCCESS' in prometheus.promtool('test', 'rules', str(RULES.with_suffix('.test.yml')))
