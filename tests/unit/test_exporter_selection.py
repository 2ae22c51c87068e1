# SPDX-License-Identifier: Apache-2.0
"""Which exporters run: what `[alerts] exporters` may say."""

from __future__ import annotations

import pytest

from delfin import exception
from delfin.exporter import manager
from delfin.exporter.alertmanager import AlertmanagerFeed
from delfin.exporter.file import JsonLinesExporter
from delfin.exporter.kafka import AlertExporterKafka, PerformanceExporterKafka
from delfin.exporter.log import LogExporter
from delfin.exporter.webhook import WebhookExporter
from tests.unit.exporter_support import declare

PLAIN = '''
class Ticket:
    def dispatch(self, ctxt, data):
        pass
'''


@pytest.fixture
def selected(conf):
    def select(*names):
        conf.set_override('exporters', list(names), 'alerts')
        return {each.name: each.exporter_class for each in manager.select(conf)}
    return select


def test_the_built_in_ones_by_name(selected):
    assert selected('log', 'alertmanager', 'webhook') == {
        'log': LogExporter, 'alertmanager': AlertmanagerFeed, 'webhook': WebhookExporter}


def test_class_names_work_as_well(selected):
    assert selected('WebhookExporter') == {'webhook': WebhookExporter}


def test_a_configuration_of_soda_delfin_selects_ours(selected):
    assert selected('AlertExporterExample', 'AlertExporterPrometheus') == {
        'log': LogExporter, 'alertmanager': AlertmanagerFeed}


def test_kafka_goes_by_the_name_that_it_has_there(selected):
    assert selected('kafka') == selected('AlertExporterKafka') == {'kafka': AlertExporterKafka}


def test_exporters_of_metrics(conf):
    conf.set_override('exporters', ['PerformanceExporterKafka', 'file'], 'metrics')
    assert {each.name: each.exporter_class for each in manager.select(conf, manager.METRICS)} == {
        'kafka': PerformanceExporterKafka, 'file': JsonLinesExporter}


def test_one_exporter_under_two_names_runs_once(selected):
    assert list(selected('log', 'LogExporter', 'AlertExporterExample')) == ['log']


def test_no_exporter_at_all(selected):
    assert selected() == {}


@pytest.mark.parametrize('name', ['ticket', 'Ticket'])
def test_a_third_partys_class_needs_no_base_class(selected, monkeypatch, tmp_path, name):
    declare(monkeypatch, tmp_path, PLAIN, ticket='third_party:Ticket')
    assert [(name, cls.__name__) for name, cls in selected(name).items()] == [('ticket', 'Ticket')]


def test_nobody_takes_the_name_of_a_built_in_one(selected, monkeypatch, tmp_path):
    declare(monkeypatch, tmp_path, PLAIN, log='third_party:Ticket')
    assert selected('log') == {'log': LogExporter}


def test_an_unknown_name_is_told_with_the_known_ones(selected):
    with pytest.raises(exception.InvalidConfiguration, match="no exporter 'kafak'; installed are alertmanager, "
                                                             'kafka, log, webhook'):
        selected('log', 'kafak')


@pytest.mark.parametrize(('code', 'reason'), [
    ('import no_such_module', "ModuleNotFoundError: No module named 'no_such_module'"),
    ('raise SystemExit(3)', 'SystemExit: 3'),
    ('Ticket = 7', 'third_party:Ticket is no class'),
    ('class Ticket: pass', r'third_party:Ticket has no method dispatch\(ctxt, data\)'),
])
def test_one_that_cannot_be_loaded_is_told_by_name(selected, monkeypatch, tmp_path, code, reason):
    declare(monkeypatch, tmp_path, code, ticket='third_party:Ticket')
    with pytest.raises(exception.InvalidConfiguration, match=f'exporter "ticket" cannot be used: {reason}'):
        selected('ticket')


def test_one_that_nobody_selects_is_not_even_imported(selected, monkeypatch, tmp_path):
    declare(monkeypatch, tmp_path, 'raise SystemExit(3)', ticket='third_party:Ticket')
    assert list(selected('log')) == ['log']


def test_one_that_cannot_be_made_is_told_by_name(conf, selected, monkeypatch, tmp_path):
    declare(monkeypatch, tmp_path, PLAIN + '\n    def __init__(self):\n        raise KeyError("TICKET_URL")',
            ticket='third_party:Ticket')
    selected('ticket')
    with pytest.raises(exception.InvalidConfiguration, match='exporter "ticket" cannot be used: KeyError: .TICKET_URL'):
        manager.select(conf)[0].create(conf)
