# SPDX-License-Identifier: Apache-2.0
"""Exporters on every database: the queue, and who runs what."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from oslo_config import cfg

from delfin.common import config
from delfin.db import Database, exports
from delfin.exporter.runner import Runner
from tests.services import wait_for
from tests.unit.exporter_support import FAST, Array, Web, row_of

ALERTS = 250


@pytest.fixture
def web() -> Iterator[Web]:
    with Web() as web:
        yield web


@pytest.fixture
def conf(web: Web, tmp_path: Path) -> Iterator[cfg.ConfigOpts]:
    loaded = config.load([], 'delfin-test', default_config_files=[], default_config_dirs=[])
    key = tmp_path / 'key'
    key.touch(0o600)
    key.write_text('f3b8c1d2e4a5968778695a4b3c2d1e0f')
    loaded.set_override('url', web.http, 'webhook')
    loaded.set_override('secret_file', str(key), 'webhook')
    loaded.set_override('exporters', ['webhook'], 'alerts')
    yield loaded
    config.CONF.reset()


def claimed(database: Database) -> bool:
    with database.read() as connection:
        return bool(exports.listing(connection))


def test_two_nodes_that_start_at_once_deliver_each_event_once_and_in_order(
        conf: cfg.ConfigOpts, database: Database, web: Web) -> None:
    array = Array(database)
    runners = []
    for node in ('node-1', 'node-2'):
        conf.set_override('host', node)
        runners.append(Runner(conf, database, pace=FAST))
    with contextlib.ExitStack() as stop:
        for runner in runners:
            stop.callback(runner.stop, 5)
            runner.start()
        wait_for('the claim', lambda: claimed(database))
        for begin in range(0, ALERTS, 50):
            array.says(*({'category': 'Fault', 'sequence_number': str(number)}
                         for number in range(begin, begin + 50)))
            for runner in runners:
                runner.wake()
        wait_for('the last delivery', lambda: row_of(database, 'webhook')['delivered'] == ALERTS)
    events = [event for post in web.posts for event in post['events']]
    assert [event['alert']['sequence_number'] for event in events] == [str(number) for number in range(ALERTS)]
    assert len({event['id'] for event in events}) == ALERTS
