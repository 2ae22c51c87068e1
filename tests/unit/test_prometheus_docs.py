# SPDX-License-Identifier: Apache-2.0
"""The tables of docs/metrics-in-prometheus.md name what there is, and all of it."""

from __future__ import annotations

import re

from prometheus_client import generate_latest

from delfin.exporter.prometheus import fleet
from delfin.exporter.prometheus.endpoint import PrometheusEndpoint
from delfin.exporter.prometheus.names import OwnNames
from delfin.metrics import METRICS
from delfin.own_metrics import OwnMetrics
from tests.unit.support import ROOT

GUIDE = (ROOT / 'docs' / 'metrics-in-prometheus.md').read_text(encoding='utf-8')


def test_the_names_of_metrics_are_those_of_the_table():
    table = dict(re.findall(r'^\| `(\w+)` \| `delfin_<type>_(\w+)` \|$', GUIDE, re.MULTILINE))
    assert set(table) == set(METRICS)
    for resource_type, metric, family in OwnNames().table():
        kind = re.sub('[A-Z]', lambda letter: f'_{letter[0].lower()}', resource_type)
        assert family.name == f'delfin_{kind}_{table[metric]}'


def test_everything_else_is_named_and_is_there(conf):
    shown = b''.join(generate_latest(registry) for registry in (
        OwnMetrics().registry, PrometheusEndpoint(conf)._registry)).decode()
    there = {name for name in re.findall(r'^# TYPE (\w+) ', shown, re.MULTILINE) if name.startswith('delfin_')}
    there |= {family.name for family in fleet.families()}
    assert set(re.findall(r'`(delfin_[a-z_]+)`', GUIDE)) == there
