# SPDX-License-Identifier: Apache-2.0
"""docs/driver-guide.md does what it says: its files are written, installed and run, its commands run in one shell.

How commands and their answers are written: see test_rest_guide.py. Before the first command that speaks with Delfin,
one is started: it finds the driver that was installed meanwhile.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engines.snmp import free_udp_ports, send_trap
from tests.functional.test_rest_guide import ADDRESS, Step, check, steps
from tests.guide import GUIDE, files
from tests.services import Client, Process, Site, wait_for

STEPS = steps(GUIDE)
FILES = files()
SECONDS = 150
MOST_LINES = 150

pytestmark = [pytest.mark.timeout(SECONDS + 60)]


class Sitting:
    """What somebody has who has followed the guide."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.site_packages = folder, folder / 'site'
        self.traps = free_udp_ports()[0]
        self.site = Site(folder / 'delfin', python_path=(self.site_packages,), metrics={'enabled': True},
                         alerts={'listen': f'127.0.0.1:{self.traps}'})
        self.process: Process | None = None
        self.outputs: dict[int, tuple[int, str]] = {}

    @property
    def client(self) -> Client:
        assert self.process is not None
        return self.process.client

    def follow(self) -> None:
        """Run all commands, and start Delfin when the first of them needs it."""
        done, waiting, running = (self.folder / name for name in ('written', 'waiting', 'running'))
        lines = []
        for step in STEPS:
            if ADDRESS in step.command and not any('waiting' in line for line in lines):
                lines.append(_until(waiting, running))
            lines.append(f'{{\n{step.command}\n}} > {self.folder}/{step.line}.out 2>&1\n'
                         f'echo $? > {self.folder}/{step.line}.code\n')
            if step is STEPS[1]:
                lines.append(_until(done, self.folder / 'replaced'))
        script = self.folder / 'guide.sh'
        script.write_text(''.join(lines).replace(ADDRESS, f'http://127.0.0.1:{self.site.port}'), 'utf-8')
        with subprocess.Popen(['bash', '-o', 'pipefail', str(script)], cwd=self.folder, env=self._environment(),
                              stdin=subprocess.DEVNULL, start_new_session=True) as shell:
            try:
                wait_for('the package', done.exists, 30)
                for path, text in FILES.items():
                    (self.folder / path).write_text(text, 'utf-8')
                (self.folder / 'replaced').touch()
                wait_for('the part without Delfin', lambda: waiting.exists() or shell.poll() is not None, SECONDS)
                self.process = self.site.start().ready()
                running.touch()
                assert shell.wait(SECONDS) == 0
            finally:
                if shell.poll() is None:
                    os.killpg(shell.pid, signal.SIGKILL)
        self.outputs = {step.line: (int((self.folder / f'{step.line}.code').read_text()),
                                    (self.folder / f'{step.line}.out').read_text()) for step in STEPS}

    def _environment(self) -> dict[str, str]:
        # pip puts the package into a folder of its own, with what is installed here and nothing from elsewhere.
        return {'PATH': os.pathsep.join([str(Path(sys.executable).parent), os.environ['PATH']]), 'no_proxy': '*',
                'LC_ALL': 'C.UTF-8', 'HOME': str(self.folder), 'PYTHONPATH': str(self.site_packages),
                'PIP_TARGET': str(self.site_packages), 'PIP_NO_DEPS': '1', 'PIP_NO_INDEX': '1',
                'PIP_NO_BUILD_ISOLATION': '0', 'PIP_DISABLE_PIP_VERSION_CHECK': '1',
                'PYTEST_ADDOPTS': '-p no:cacheprovider --color=no'}


def _until(tell: Path, wait: Path) -> str:
    return f'touch {tell}\nuntil [ -e {wait} ]; do sleep 0.05; done\n'


@pytest.fixture(scope='module')
def sitting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sitting]:
    made = Sitting(tmp_path_factory.mktemp('sitting'))
    made.follow()
    sys.path.insert(0, str(made.site_packages))
    yield made
    sys.path.remove(str(made.site_packages))
    for name in [name for name in sys.modules if name.startswith('acme_x1')]:
        del sys.modules[name]
    assert made.process is not None and made.process.stop() == 0


@pytest.mark.parametrize('step', STEPS, ids=lambda step: f'line-{step.line}')
def test_the_guide_shows_what_happens(sitting: Sitting, step: Step) -> None:
    check(step, *sitting.outputs[step.line])


def test_the_driver_is_short() -> None:
    assert len(FILES['acme-x1/acme_x1/driver.py'].splitlines()) <= MOST_LINES


def test_the_files_are_in_the_style_of_the_house(sitting: Sitting) -> None:
    config = GUIDE.parent.parent / 'ruff.toml'
    done = subprocess.run(['ruff', 'check', '--no-cache', '--config', str(config), str(sitting.folder / 'acme-x1')],
                          env=sitting._environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


@pytest.fixture(scope='module')
def simulator(sitting: Sitting) -> Iterator[Any]:
    """Another array than the guide's, which is gone by now."""
    from acme_x1 import simulator  # type: ignore[import-not-found]

    simulator.MINUTE = 1        # it makes a sample each second
    with simulator.AcmeSimulator() as made:
        made.array['serial'] = 'ACME-0043'
        yield made


@pytest.fixture(scope='module')
def storage(sitting: Sitting, simulator: Any) -> dict[str, Any]:
    return sitting.client.register(**simulator.access())


def test_the_inventory_is_what_the_array_has(sitting: Sitting, simulator: Any, storage: dict[str, Any]) -> None:
    assert {row['native_volume_id'] for row in sitting.client.rows('volumes', storage['id'])} == {
        volume['id'] for volume in simulator.volumes}
    (run,) = sitting.client.get(f'/v1/storages/{storage["id"]}/syncs', limit=1)['syncs']
    assert [kind['findings'] for kind in run['kinds'] if kind['findings']] == []


def test_a_trap_becomes_the_alert_that_the_list_has_and_its_end_clears_it(sitting: Sitting, simulator: Any,
                                                                        storage: dict[str, Any]) -> None:
    client = sitting.client

    def alert() -> dict[str, Any]:
        rows = client.get('/v1/alerts', storage_id=storage['id'], sequence_number='18')['alerts']
        assert len(rows) <= 1
        return rows[0] if rows else {'state': None, 'description': None}

    event = {**simulator.events[0], 'number': 18, 'part': 'enclosure 0, slot 8'}
    simulator.events.append(event)
    answer = client.request('PUT', f'/v1/storages/{storage["id"]}/snmp-config', json={
        'host': '127.0.0.1', 'version': 'SNMPv2c', 'community_string': 'public'})
    assert answer.status_code == 200, answer.text
    listed = {'sequence_number': '18', 'alert_id': event['code'], 'location': event['part']}
    wait_for('the trap', lambda: (_send(sitting.traps, simulator.trap_of(listed, 'Fault'), inform=True)
                                  and alert()['state'] == 'open'), 20)
    client.post(f'/v1/storages/{storage["id"]}/alerts/sync')
    wait_for('the list', lambda: alert()['description'] == event['text'], 20)      # of which traps say nothing
    _send(sitting.traps, simulator.trap_of(listed, 'Recovery'))
    wait_for('the end', lambda: alert()['state'] == 'cleared', 20)


def _send(port: int, trap: dict[str, str], inform: bool = False) -> bool:
    trap = dict(trap)
    oid = trap.pop('1.3.6.1.6.3.1.1.4.1.0')
    sent = send_trap(port, oid=oid, inform=inform, variables=[(name, 's', value) for name, value in trap.items()])
    return sent.returncode == 0


def test_metrics_are_collected_without_a_finding(sitting: Sitting, storage: dict[str, Any]) -> None:
    answer = sitting.client.request('PUT', f'/v1/storages/{storage["id"]}/metrics-config', json={'interval_seconds': 5})
    assert answer.status_code == 200, answer.text

    def collected() -> Any:
        status = sitting.client.get(f'/v1/storages/{storage["id"]}/metrics-status')
        measured = status['marks'] and all(mark['newest_at'] for mark in status['marks'])
        return status if measured and status['state'] else None       # it is set when all of a window is stored

    status = wait_for('metrics', collected, 30)
    assert {mark['resource_type'] for mark in status['marks']} == {'volume', 'storagePool'}
    assert (status['state'], status['findings']) == ('done', [])
