# SPDX-License-Identifier: Apache-2.0
"""The exporter `alertmanager` and a real Alertmanager."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from oslo_config import cfg

from delfin.common import config
from delfin.db import Database, alerts, engine, exports
from delfin.db.schema import Schema
from delfin.exporter.alertmanager import AlertmanagerFeed
from delfin.exporter.runner import Runner
from delfin.exporter.work import Pace, State
from tests.engines.alertmanager import Alertmanager
from tests.services import wait_for
from tests.unit.exporter_support import FAST, Array

SECONDS = 20


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with contextlib.closing(Database(f'sqlite:///{tmp_path}/delfin.sqlite')) as database:
        Schema(database).upgrade()
        yield database


@pytest.fixture
def conf(alertmanager: Alertmanager) -> Iterator[cfg.ConfigOpts]:
    loaded = config.load([], 'delfin-test', default_config_files=[], default_config_dirs=[])
    loaded.set_override('urls', [alertmanager.url], 'alertmanager')
    loaded.set_override('delfin_url', 'http://delfin.example.com:8190', 'alertmanager')
    loaded.set_override('exporters', ['alertmanager'], 'alerts')
    yield loaded
    config.CONF.reset()


@pytest.fixture
def array(database: Database) -> Array:
    return Array(database)


@pytest.fixture
def shown(alertmanager: Alertmanager, array: Array) -> Callable[[], list[dict[str, Any]]]:
    """What Alertmanager shows as firing of the array."""
    return lambda: alertmanager.alerts(filter=f'storage_id="{array.storage_id}"')


@pytest.fixture
def runner(conf: cfg.ConfigOpts, database: Database) -> Iterator[Runner]:
    runner = Runner(conf, database, pace=FAST)
    runner.start()
    yield runner
    runner.stop(5)


def severities(found: list[dict[str, Any]]) -> list[str]:
    return sorted(alert['labels']['severity'] for alert in found)


def test_an_alert_fires_with_our_labels_and_is_resolved(array: Array, runner: Runner, shown: Any) -> None:
    array.fault(3)
    runner.wake()
    alert, = wait_for('the alert', shown, SECONDS)
    assert alert['status']['state'] == 'active'
    assert alert['labels'] == {
        'alertname': 'Disk failed', 'delfin_id': array.alert_id(3), 'alert_id': '0x17', 'alert_name': 'Disk failed',
        'severity': 'Major', 'category': 'Fault', 'type': 'EquipmentAlarm', 'resource_type': 'Disk',
        'location': 'slot 3', 'storage_id': array.storage_id, 'storage_name': 'array', 'serial_number': 'SN-1',
        'vendor': 'Example', 'model': 'X1'}
    assert alert['annotations']['summary'] == 'Disk 3 does not answer.'
    assert alert['generatorURL'] == f'http://delfin.example.com:8190/v1/alerts/{array.alert_id(3)}'
    array.recovery(3)
    runner.wake()
    wait_for('its end', lambda: not shown(), SECONDS)


def test_one_that_gets_worse_and_better_fires_once_each_time(array: Array, runner: Runner, shown: Any) -> None:
    for severity in ('Minor', 'Critical', 'Minor'):
        array.fault(1, severity=severity)
        runner.wake()
        wait_for(severity, lambda severity=severity: severities(shown()) == [severity], SECONDS)


def test_one_that_comes_back_fires_again(array: Array, runner: Runner, shown: Any) -> None:
    for _ in range(2):
        array.fault(1)
        runner.wake()
        wait_for('the alert', shown, SECONDS)
        array.recovery(1)
        runner.wake()
        wait_for('its end', lambda: not shown(), SECONDS)


def test_maintenance_ends_it_and_its_end_brings_it_back(
        array: Array, runner: Runner, database: Database, shown: Any) -> None:
    array.fault(1)
    for muted in (False, True, False):
        with database.write() as connection:
            alerts.set_muted(connection, array.storage_id, muted)
        runner.wake()
        wait_for(f'muted: {muted}', lambda muted=muted: bool(shown()) is not muted, SECONDS)


def test_odd_texts_of_an_array_are_taken(array: Array, runner: Runner, shown: Any) -> None:
    array.fault(1, alert_name='"ünïcode"\n{}=~\\', location='\ud800', description='x' * 4000, occur_time=2**62)
    runner.wake()
    alert, = wait_for('the alert', shown, SECONDS)
    assert alert['labels']['alertname'] == '"ünïcode"\n{}=~\\'


def test_15_minutes_after_the_end_nothing_is_sent_any_more(
        array: Array, conf: cfg.ConfigOpts, database: Database, alertmanager: Alertmanager) -> None:
    with database.write() as connection:
        assert exports.claim(connection, 'alertmanager', 'node-1', 3600, events=False)
    feed = AlertmanagerFeed.create(conf)
    shift = [timedelta()]
    state = State(database, 'alertmanager', lambda connection: True, Pace(),
                  lambda connection: engine.now(connection) + shift[0])

    def posted_after(minutes: int) -> tuple[int, int]:
        """How many firing and resolved alerts Alertmanager counts in a round."""
        shift[0] = timedelta(minutes=minutes)
        before = alertmanager.received()
        state.round(lambda method, *args: feed.tell(None, *args))       # type: ignore[arg-type]
        after = alertmanager.received()
        return tuple(after[status] - before.get(status, 0) for status in ('firing', 'resolved'))   # type: ignore

    array.fault(1)
    assert posted_after(0) == (1, 0)
    array.recovery(1)
    assert [posted_after(minutes) for minutes in (0, 3, 6, 9, 12, 14)] == [(0, 1)] * 6
    assert [posted_after(minutes) for minutes in (16, 60, 100_000)] == [(0, 0)] * 3


def test_a_thousand_alerts_arrive(array: Array, runner: Runner, shown: Any) -> None:
    array.says(*({'category': 'Fault', 'sequence_number': str(number)} for number in range(1200)))
    runner.wake()
    wait_for('1,200 alerts', lambda: len(shown()) == 1200, SECONDS)
