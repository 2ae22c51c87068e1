# SPDX-License-Identifier: Apache-2.0
"""A driver against what a simulated array once answered over SSH: recorded, replayed, and judged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from delfin import access, cryptor, exception
from delfin.common.masking import Masker
from delfin.drivers.compliance.replay import Replay
from delfin.drivers.compliance.rules import select
from delfin.drivers.compliance.run import Verdict, judge
from delfin.drivers.compliance.subject import registered
from delfin.drivers.ibm.storwize_svc import StorwizeDriver
from delfin.drivers.tools.recording import Recorder
from tests.drivers.ibm.storwize_svc.conftest import FEW, driver_of
from tests.drivers.inventory import inventory
from tests.simulators.clock import Clock
from tests.simulators.ibm.levels import V8_7
from tests.simulators.ibm.server import Storwize
from tests.simulators.ibm.truth import truth

NAME = 'ibm storwize_svc'
NOON = 1763636410
TARGET = {'host': '192.0.2.7', 'port': 162, 'version': 'SNMPv2c'}
WANTED = {'volume': {'iops': {}}}


@pytest.fixture(scope='module')
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, Any], list[Any]]]:
    """The folder, and what the driver said while it was recorded."""
    folder = tmp_path_factory.mktemp('recorded')
    with Storwize(sizes=FEW, level=V8_7, clock=Clock(at=NOON)) as array:
        driver = driver_of(array)
        masker = Masker()
        masker.learn('password', [array.password])
        with Recorder(folder, masker) as recorder:
            rows, _ = inventory(driver)
            list(driver.list_alerts(None))
            newest = driver.get_latest_perf_timestamp(None)
            assert newest is not None
            points = driver.collect_perf_metrics(None, '1', WANTED, newest - 300_000, newest)
            driver.add_trap_config(None, {**TARGET, 'community_string': cryptor.encode('hush-hush')})
            driver.list_storage_pools(None)
        assert recorder.count > 30
        (folder / 'truth.json').write_text(json.dumps(truth(array)))
        driver.delete_storage(None)
    yield folder, rows, points


def test_secrets_stay_out(recorded: tuple[Path, Any, Any]) -> None:
    text = ''.join(file.read_text() for file in recorded[0].iterdir())
    assert 'hush-hush' not in text and 'Simulated-1' not in text
    commands = {entry['command'] for entry in json.loads((recorded[0] / 'commands.json').read_text())}
    assert "lsvdisk -bytes -delim '!'" in commands
    assert any(command.startswith('mksnmpserver') and '***' in command for command in commands)


def test_what_was_recorded_says_the_same_again(recorded: tuple[Path, dict[str, Any], list[Any]]) -> None:
    folder, rows, points = recorded
    with Replay(folder, NAME) as replay:
        driver = StorwizeDriver(**access.for_driver(replay.access(), '1', {}))
        assert inventory(driver)[0] == rows
        end = max(points[0].values) + 300_000
        assert driver.collect_perf_metrics(None, '1', WANTED, end - 300_000, end) == points
        with pytest.raises(exception.StorageBackendException, match='not recorded'):
            driver.session.read('lsdrive')
        driver.delete_storage(None)


def test_a_driver_is_proved_by_it(recorded: tuple[Path, Any, Any]) -> None:
    with Replay(recorded[0], NAME) as device:
        report = judge(next(registered([NAME])), device, rules=select(('R',)))
    assert {result.rule.id for result in report.results if result.verdict is Verdict.FAIL} == set()


def test_a_recording_needs_a_section_that_can_be_replayed(tmp_path: Path) -> None:
    (tmp_path / 'access.json').write_text(json.dumps({'cli': {'host': 'localhost'}}))
    with pytest.raises(exception.InvalidInput, match='rest and ssh'):
        Replay(tmp_path, NAME)
