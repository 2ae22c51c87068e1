# SPDX-License-Identifier: Apache-2.0
"""From a clean checkout to a running Delfin and back to a clean checkout, as a person would go."""

from __future__ import annotations

import json
import re
import signal
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from installer.processes import Process, port_is_free
from tests.checkouts import changes, command, free_port, fresh_copy

DRIVER = '''\
"""A driver somebody adds: a folder and a line in setup.py."""

from delfin.drivers.fake_storage import FakeStorageDriver


class ShinyDriver(FakeStorageDriver):
    pass
'''


class Cycle:
    """One checkout, installed on a port of its own."""

    def __init__(self, checkout: Path, port: int):
        self.checkout = checkout
        self.port = port

    def install(self, *options: str) -> str:
        answer = command(self.checkout, 'install', *options)
        assert answer.returncode == 0, answer.stdout + answer.stderr
        assert answer.stderr == ''
        return answer.stdout

    def get(self, path: str) -> dict[str, Any]:
        with urllib.request.urlopen(f'http://127.0.0.1:{self.port}{path}', timeout=30) as answer:
            return dict(json.load(answer))

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(f'http://127.0.0.1:{self.port}{path}', json.dumps(body).encode())
        request.add_header('Content-Type', 'application/json')
        with urllib.request.urlopen(request, timeout=60) as answer:
            return dict(json.load(answer))

    def process(self) -> Process:
        noted = json.loads((self.checkout / '.delfin' / 'delfin.pid').read_text())
        return Process(noted['pid'], noted['started'], noted['boot'])


@pytest.fixture(scope='module')
def cycle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cycle]:
    checkout = fresh_copy(tmp_path_factory.mktemp('cycle') / 'delfin')
    yield Cycle(checkout, free_port())
    command(checkout, 'uninstall', '--yes')


@pytest.mark.timeout(300)
def test_install_use_and_uninstall(cycle: Cycle) -> None:
    _first_install(cycle)
    _second_install_is_quick_and_harmless(cycle)
    _a_new_driver_needs_a_folder_and_a_line(cycle)
    _a_killed_service_is_started_again(cycle)
    _a_half_made_environment_is_made_anew(cycle)
    _uninstall(cycle)


def _first_install(cycle: Cycle) -> None:
    told = cycle.install('--port', str(cycle.port))
    assert '\r' not in told and '\033' not in told, 'no control characters without a terminal'
    assert re.search(r'ok  volumes +\d+ found', told)
    assert 'This machine:' in told
    assert f'curl http://127.0.0.1:{cycle.port}/v1/storages' in told
    registered = cycle.get('/v1/storages')['storages']
    assert len(registered) == 2
    assert all(storage['status'] for storage in registered)
    state = cycle.checkout / '.delfin'
    modes = {name: (state / name).stat().st_mode & 0o777 for name in ('.', 'delfin.conf', 'delfin.key')}
    assert modes == {'.': 0o700, 'delfin.conf': 0o600, 'delfin.key': 0o600}
    made = {line.split()[1] for line in changes(cycle.checkout) if '__pycache__' not in line}
    assert made - {'delfin.egg-info/'} == {'.venv/', '.delfin/'}  # not every setuptools leaves the egg-info


def _second_install_is_quick_and_harmless(cycle: Cycle) -> None:
    before, process = cycle.get('/v1/storages'), cycle.process()
    key = (cycle.checkout / '.delfin' / 'delfin.key').read_bytes()
    begun = time.monotonic()
    cycle.install()
    assert time.monotonic() - begun < 10, 'about a second; more only on a busy machine'
    assert (cycle.get('/v1/storages'), cycle.process()) == (before, process)
    assert (cycle.checkout / '.delfin' / 'delfin.key').read_bytes() == key


def _a_new_driver_needs_a_folder_and_a_line(cycle: Cycle) -> None:
    folder = cycle.checkout / 'delfin' / 'drivers' / 'shiny'
    folder.mkdir()
    (folder / '__init__.py').write_text(DRIVER)
    setup = cycle.checkout / 'setup.py'
    known = "'linux host = "
    line = "'shiny one = delfin.drivers.shiny:ShinyDriver',\n"
    setup.write_text(setup.read_text().replace(known, f'{line}            {known}'))
    told = cycle.install()
    assert 'setup.py, setup.cfg or constraints.txt changed' in told
    assert 'stopped to be started again: the code, its environment or the configuration changed' in told
    access = {'host': '127.0.0.1', 'port': 8089, 'username': 'someone', 'password': 'something'}
    storage = cycle.post('/v1/storages', {'vendor': 'shiny', 'model': 'one', 'rest': access})
    assert storage['id'] in {row['id'] for row in cycle.get('/v1/storages')['storages']}


def _a_killed_service_is_started_again(cycle: Cycle) -> None:
    old = cycle.process()
    old._send(signal.SIGKILL)
    assert old._gone_within(10)
    assert 'delfin-all started' in cycle.install('--no-demo')
    assert cycle.process() != old


def _a_half_made_environment_is_made_anew(cycle: Cycle) -> None:
    command(cycle.checkout, 'install', '--stop')
    assert port_is_free('127.0.0.1', cycle.port)
    (cycle.checkout / '.venv' / 'delfin-environment.json').unlink()
    told = cycle.install('--no-demo')
    assert 'Python environment anew (half made)' in told
    assert len(cycle.get('/v1/storages')['storages']) == 3


def _uninstall(cycle: Cycle) -> None:
    process = cycle.process()
    answer = command(cycle.checkout, 'uninstall')
    assert answer.returncode == 0, answer.stderr
    assert 'delfin-all stopped' in answer.stdout
    assert not process.alive()
    assert port_is_free('127.0.0.1', cycle.port)
    assert changes(cycle.checkout) == [' M setup.py', '?? delfin/drivers/shiny/']
