# SPDX-License-Identifier: Apache-2.0
"""Exporters in real processes: two nodes, one of them killed; the example and the commands of docs/exporters.md."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from delfin.db import Database, exports
from tests.checkouts import ROOT
from tests.services import Site, wait_for
from tests.unit.exporter_support import Array, Web

GUIDE = (ROOT / 'docs' / 'exporters.md').read_text()
KEY = 'f3b8c1d2e4a5968778695a4b3c2d1e0f'
ALERTS = 200

# What the alert service does with exporters, and nothing else of it.
NODE = '''
import sys
from delfin.common import config
from delfin.exporter.runner import Runner
from delfin.exporter.work import Pace
from delfin.service import open_database
conf = config.load(sys.argv[1:], 'exporters')
runner = Runner(conf, open_database(conf), pace=Pace(lease_seconds=2, renew_seconds=0.3, poll_seconds=0.1))
runner.start()
sys.stdin.read()
runner.stop(5)
'''


def blocks(language: str) -> list[str]:
    """The code blocks of the guide in a language."""
    return re.findall(rf'^```{language}\n(.*?)^```$', GUIDE, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope='module')
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The guide's example, installed with pip into a folder of its own."""
    root = tmp_path_factory.mktemp('example')
    (root / 'sources').mkdir()
    for name, text in zip(('alert_file.py', 'setup.py'), blocks('python'), strict=True):
        (root / 'sources' / name).write_text(text)
    subprocess.run([sys.executable, '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-deps',
                    '--no-build-isolation', '--no-index', '--target', str(root / 'site'), str(root / 'sources')],
                   check=True, capture_output=True, text=True, timeout=120)
    return root / 'site'


class Installation:
    """A database, a receiver, and nodes that export to it and into the example's file."""

    def __init__(self, root: Path, example: Path, web: Web) -> None:
        self.web = web
        self.file = root / 'alerts.jsonl'
        self.key = root / 'webhook.key'
        self.key.touch(0o600)
        self.key.write_text(KEY)
        self._site = Site(root / 'site', python_path=(example,), alerts={'exporters': 'webhook, file'},
                          webhook={'url': web.http, 'secret_file': self.key}, alert_file={'path': self.file})
        self.database = Database(self._site.database)
        self.array = Array(self.database)
        self.nodes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, node: str) -> None:
        self.nodes[node] = subprocess.Popen(
            [sys.executable, '-c', NODE, '--config-file', str(self._site.config), *self._site.node_options(node)],
            env=self._site.environment(), cwd=self._site.root, stdin=subprocess.PIPE)

    def runs_on(self) -> dict[str, str | None]:
        """Which node runs which exporter."""
        with self.database.read() as connection:
            return {row['name']: row['node'] for row in exports.listing(connection)}

    def waiting(self) -> int:
        with self.database.read() as connection:
            return sum(exports.depth(connection).values())

    def posted(self) -> list[tuple[str, str]]:
        """(event id, sequence number) of all that the receiver got."""
        return [(event['id'], event['alert']['sequence_number'])
                for post in self.web.posts for event in post['events']]

    def written(self) -> list[tuple[str, str]]:
        """The same of the example's file."""
        lines = [json.loads(line) for line in self.file.read_text().splitlines()] if self.file.exists() else []
        return [(alert['event_id'], alert['sequence_number']) for alert in lines]

    def close(self) -> None:
        for process in self.nodes.values():
            with contextlib.suppress(OSError):
                process.stdin.close()       # type: ignore[union-attr]
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.database.close()


@pytest.fixture
def installation(tmp_path: Path, example: Path) -> Iterator[Installation]:
    with Web() as web:
        made = Installation(tmp_path, example, web)
        yield made
        made.close()


def first_arrivals(arrived: list[tuple[str, str]]) -> list[int]:
    """Sequence numbers without repetitions of an event, in the order in which they came first."""
    return [int(number) for number in dict(arrived).values()]


def test_a_killed_node_loses_nothing_and_the_other_one_goes_on(installation: Installation) -> None:
    installation.start('node-1')
    wait_for('node-1', lambda: set(installation.runs_on().values()) == {'node-1'} and len(installation.runs_on()) == 2)
    installation.start('node-2')
    for number in range(ALERTS):
        installation.array.fault(number)
        if number == ALERTS // 2:
            wait_for('the first deliveries', lambda: installation.posted() and installation.written())
            os.kill(installation.nodes['node-1'].pid, signal.SIGKILL)
    wait_for('the last delivery', lambda: installation.waiting() == 0)
    assert installation.runs_on() == {'webhook': 'node-2', 'file': 'node-2'}
    assert first_arrivals(installation.posted()) == list(range(ALERTS))
    assert first_arrivals(installation.written()) == list(range(ALERTS))


def test_a_node_that_stops_hands_over(installation: Installation) -> None:
    installation.start('node-1')
    wait_for('node-1', lambda: installation.runs_on().get('webhook') == 'node-1')
    installation.array.fault(1)
    wait_for('the delivery', installation.posted)
    process = installation.nodes['node-1']
    process.stdin.close()       # type: ignore[union-attr]
    assert process.wait(20) == 0
    assert installation.runs_on() == {'webhook': None, 'file': None}


def test_the_command_of_the_guide_verifies_a_post(installation: Installation, tmp_path: Path) -> None:
    installation.start('node-1')
    wait_for('node-1', lambda: installation.runs_on().get('webhook') == 'node-1')
    installation.array.fault(1, description='ünïcode')
    request: Any = wait_for('the post', lambda: installation.web.requests)[0]
    (tmp_path / 'body.json').write_bytes(request.body)
    header = dict(part.split('=', 1) for part in request.headers['X-Delfin-Signature'].split(','))
    command = next(block for block in blocks('sh') if 'dgst' in block)
    done = subprocess.run(['sh', '-c', command], env={**os.environ, 't': header['t']}, cwd=tmp_path,
                          capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == header['v1']
    assert header['v1'] == hmac.new(KEY.encode(), f'{header["t"]}.'.encode() + request.body, hashlib.sha256).hexdigest()
