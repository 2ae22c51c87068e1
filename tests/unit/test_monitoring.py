# SPDX-License-Identifier: Apache-2.0
"""Dashboards and rules are those of their tables, complete, and speak of nothing that is not there."""

from __future__ import annotations

import configparser
import itertools
import json
import re
from typing import Any

import pytest
from prometheus_client import generate_latest

from delfin.exporter.prometheus import fleet
from delfin.exporter.prometheus.endpoint import PrometheusEndpoint
from delfin.exporter.prometheus.names import OwnNames
from delfin.own_metrics import OwnMetrics
from etc.monitoring import GUIDE, files, rules
from tests.unit.support import ROOT

FILES = dict(files())
DASHBOARDS = [json.loads(text) for path, text in FILES.items() if path.suffix == '.json']
BY_DASHBOARD = pytest.mark.parametrize('dashboard', DASHBOARDS, ids=lambda dashboard: dashboard['uid'])
ALERTS = [alert for group in rules.GROUPS for alert in group.alerts()]
OF_GRAFANA = {'__range', '__rate_interval', '__url_time_range'}


def targets(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    return [target for panel in dashboard['panels'] for target in panel.get('targets', ())]


def variables(dashboard: dict[str, Any]) -> list[str]:
    return [variable['name'] for variable in dashboard['templating']['list']]


# --- files ---

@pytest.mark.parametrize('path', FILES, ids=str)
def test_a_file_is_what_the_tables_make(path):
    assert (ROOT / path).read_text(encoding='utf-8') == FILES[path], 'run python -m etc.monitoring'


def test_every_file_is_installed():
    setup = configparser.ConfigParser()
    setup.read(ROOT / 'setup.cfg')
    installed = setup['options.data_files']
    assert {path for folder in ('share/delfin/grafana', 'share/delfin/prometheus') for path in installed[
        folder].split()} == {str(path) for path in FILES if path != GUIDE}
    assert {f'etc/grafana/{path.name}' for path in (ROOT / 'etc' / 'grafana').iterdir()} == set(
        installed['share/delfin/grafana'].split())


# --- dashboards ---

@BY_DASHBOARD
def test_panels_have_numbers_of_their_own_and_do_not_overlap(dashboard):
    ids = [panel['id'] for panel in dashboard['panels']]
    assert len(ids) == len(set(ids))
    places = [panel['gridPos'] for panel in dashboard['panels']]
    assert all(place['x'] + place['w'] <= 24 for place in places)
    cells = [(x, y) for place in places for x, y in itertools.product(
        range(place['x'], place['x'] + place['w']), range(place['y'], place['y'] + place['h']))]
    assert len(cells) == len(set(cells))


@BY_DASHBOARD
def test_every_panel_asks_something_of_the_chosen_source(dashboard):
    for panel in dashboard['panels']:
        if panel['type'] != 'row':
            assert panel['targets'] and panel['datasource']['uid'] == '${datasource}'
            letters = [target['refId'] for target in panel['targets']]
            assert len(letters) == len(set(letters)) and all(target['expr'] for target in panel['targets'])


@BY_DASHBOARD
def test_every_variable_that_is_used_is_defined_before_and_every_one_is_used(dashboard):
    known = OF_GRAFANA | {'datasource'}
    for variable in dashboard['templating']['list']:
        assert set(re.findall(r'\$(\w+)', variable.get('definition', ''))) <= known
        known.add(variable['name'])
    used = set(re.findall(r'\$\{?(\w+)', json.dumps(dashboard)))
    assert {name for name in used if not name.startswith('__')} == set(variables(dashboard))
    assert {name for target in targets(dashboard) for name in re.findall(r'\$(\w+)', target['expr'])} <= known


@BY_DASHBOARD
def test_links_lead_to_dashboards_that_have_the_variables(dashboard):
    there = {other['uid']: set(variables(other)) for other in DASHBOARDS}
    for uid, given in re.findall(r'"/d/([^?"]+)\?([^"]*)"', json.dumps(dashboard)):
        assert set(re.findall(r'&var-(\w+)=', given)) <= there[uid]


@BY_DASHBOARD
def test_columns_of_tables_are_values_or_labels_of_their_queries(dashboard):
    for panel in dashboard['panels']:
        if panel['type'] == 'table':
            values = {f'Value #{target["refId"]}' for target in panel['targets']}
            named = {override['matcher']['options'] for override in panel['fieldConfig']['overrides']}
            assert {name for name in named if name.startswith('Value')} == (values if len(values) > 1 else {'Value'})


@BY_DASHBOARD
def test_rows_of_tables_can_become_one(dashboard):
    """The name of a metric would be a column, and keep them apart."""
    for panel in dashboard['panels']:
        if panel['type'] == 'table' and len(panel['targets']) > 1:
            assert all(re.match(r'(max|sum) by \(', target['expr']) for target in panel['targets'])


def test_uids_do_not_change():
    """Others link to them."""
    assert [dashboard['uid'] for dashboard in DASHBOARDS] == [
        'delfin-fleet', 'delfin-array', 'delfin-pool', 'delfin-volume', 'delfin-port']


# --- what they speak of ---

@pytest.fixture
def shown(conf):
    """All metrics that Delfin may show."""
    own = b''.join(generate_latest(registry) for registry in (
        OwnMetrics().registry, PrometheusEndpoint(conf)._registry)).decode()
    histograms = re.findall(r'^# TYPE (\w+) histogram$', own, re.MULTILINE)
    return {*re.findall(r'^# TYPE (\w+) ', own, re.MULTILINE), *(f'{name}_bucket' for name in histograms),
            *(family.name for family in fleet.families()), *(family.name for _, _, family in OwnNames().table())}


def test_every_metric_is_one_that_delfin_shows(shown):
    text = '\n'.join([
        *(target['expr'] for dashboard in DASHBOARDS for target in targets(dashboard)),
        *(variable.get('definition', '') for dashboard in DASHBOARDS for variable in dashboard['templating']['list']),
        *(rule.expression for group in rules.GROUPS for rule in group.rules)])
    named = set(re.findall(r'\bdelfin_[a-z_]+\b', text))
    assert len(named) > 80 and named <= shown


def test_every_recorded_series_is_made_before_it_is_used():
    made: set[str] = set()
    for rule in (rule for group in rules.GROUPS for rule in group.rules):
        assert set(re.findall(r'delfin:[a-z_:]+', rule.expression)) <= made
        if isinstance(rule, rules.Record):
            made.add(rule.name)


# --- alerts ---

@pytest.mark.parametrize('alert', ALERTS, ids=lambda alert: f'{alert.name}-{alert.severity}')
def test_an_alert_has_a_story_in_which_it_fires(alert):
    stories = (ROOT / 'etc' / 'prometheus' / 'delfin.rules.test.yml').read_text()
    assert f'alertname="{alert.name}", severity="{alert.severity}"' in stories


@pytest.mark.parametrize('group', rules.GROUPS, ids=lambda group: group.name)
def test_the_guide_has_the_section_that_alerts_name(group):
    headings = re.findall(r'^#+ (.*)$', (ROOT / GUIDE).read_text(encoding='utf-8'), re.MULTILINE)
    assert [heading.lower().replace(' ', '-') for heading in headings].count(group.anchor) == 1
    assert rules.table(group) in FILES[GUIDE]


def test_names_of_alerts_are_told_apart_by_their_severity():
    keys = [(alert.name, alert.severity) for alert in ALERTS]
    assert len(keys) == len(set(keys))
