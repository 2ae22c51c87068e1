# SPDX-License-Identifier: Apache-2.0
"""Delfin as its users have it: real processes with configuration files, and an HTTP client.

Its processes end with the test run, however that ends.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests

from delfin.db import Database
from delfin.db.schema import Schema
from delfin.keyring import new_key, write_key_file
from tests.checkouts import free_port
from tests.engines.base import wait_until

START_SECONDS = 40
SYNC_SECONDS = 60
STOP_SECONDS = 10       # what the product promises

FAKE = {'vendor': 'fake_storage', 'model': 'fake_driver'}


def wait_for(what: str, ask: Callable[[], Any], seconds: float = SYNC_SECONDS) -> Any:
    """The first true answer of `ask`; fails with `what` and the last answer when the time is over.

    For things that can only be seen from outside.
    """
    last: list[Any] = [None]

    def probe() -> Any:
        last[0] = ask()
        return last[0]

    if not wait_until(probe, seconds):
        raise AssertionError(f'{what}: not within {seconds} s; last answer: {last[0]!r}')
    return last[0]


class Client:
    """A REST client of one Delfin."""

    def __init__(self, port: int) -> None:
        self.url = f'http://127.0.0.1:{port}'
        self.session = requests.Session()
        self.session.trust_env = False
        self.bodies: list[bytes] = []       # everything ever answered, for those who look for secrets

    def request(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        answer = self.session.request(method, self.url + path, timeout=90, **kwargs)
        self.bodies.append(answer.content + repr(answer.headers).encode())
        return answer

    def get(self, path: str, status: int = 200, **parameters: Any) -> Any:
        """The JSON body of a GET that must have this status."""
        answer = self.request('GET', path, params=parameters)
        assert answer.status_code == status, (path, answer.status_code, answer.text)
        return answer.json()

    def post(self, path: str, body: Any = None, status: int = 202) -> Any:
        """The JSON body (None if it is empty) of a POST that must have this status."""
        answer = self.request('POST', path, **({} if body is None else {'json': body}))
        assert answer.status_code == status, (path, answer.status_code, answer.text)
        return answer.json() if answer.content else None

    def delete(self, path: str, status: int = 202) -> None:
        answer = self.request('DELETE', path)
        assert answer.status_code == status, (path, answer.status_code, answer.text)

    # --- what tests do all the time ---

    def register(self, **body: Any) -> dict[str, Any]:
        """Register a storage and wait for its first sync; the storage."""
        storage = self.post('/v1/storages', body, 201)
        self.synced(storage['id'])
        return self.get(f'/v1/storages/{storage["id"]}')

    def register_fake(self, port: int = 8088, **extra: str) -> dict[str, Any]:
        """A make-believe array; another port makes another array."""
        return self.register(**fake(port, **extra))

    def sync(self, storage_id: str) -> dict[str, Any]:
        """Sync and wait for the end; the run."""
        run = self.post(f'/v1/storages/{storage_id}/sync')
        return self.synced(storage_id, run['id'])

    def synced(self, storage_id: str, run_id: int = 0) -> dict[str, Any]:
        """The run with this id, or the newest one, when it has ended."""
        def ended() -> Any:
            newest = self.get(f'/v1/storages/{storage_id}/syncs', limit=5)['syncs']
            wanted = [run for run in newest if run['id'] == run_id or not run_id][:1]
            return wanted[0] if wanted and wanted[0]['state'] in ('done', 'failed') else None
        return wait_for(f'the sync of {storage_id}', ended)

    def rows(self, kind: str, storage_id: str, nested: bool = False) -> list[dict[str, Any]]:
        """All rows of a kind (its plural name with underscores) of one storage."""
        path = kind.replace('_', '-')
        if nested:
            return self.get(f'/v1/storages/{storage_id}/{path}')[kind]
        return self.get(f'/v1/{path}', storage_id=storage_id)[kind]


def fake(port: int = 8088, **extra: str) -> dict[str, Any]:
    """The registration body of a make-believe array."""
    return {**FAKE, 'rest': {'host': '127.0.0.1', 'port': port, 'username': 'demo', 'password': 'demo-Passw0rd!'},
            'extra_attributes': extra}


def kinds(run: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The kinds of a sync run by name."""
    return {kind['kind']: kind for kind in run['kinds']}


class Site:
    """One installation: configuration, key file, database. Its processes come and go."""

    def __init__(self, root: Path, *, database: str | None = None, transport: str | None = None, debug: bool = False,
                 python_path: tuple[Path, ...] = (), **options: Mapping[str, Any]) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.root = root
        self.port = free_port()
        self.log = root / 'delfin.log'
        self.database = database or f'sqlite:///{root}/delfin.sqlite'
        self.python_path = python_path
        sections: dict[str, dict[str, Any]] = {
            'DEFAULT': {'state_path': root / 'state', 'log_file': self.log, 'debug': debug},
            'api': {'port': self.port, 'workers': 1},
            'database': {'connection': self.database},
            'secrets': {'key_file': root / 'keys'},
            'sync': {'interval_seconds': 0},        # tests ask for the syncs they want
            'alerts': {'listen': '127.0.0.1:0', 'sync_interval_seconds': 0, 'probe_interval_seconds': 0},
            'metrics': {'enabled': False},
        }
        if transport:
            sections['DEFAULT']['transport_url'] = transport
        for section, values in options.items():
            sections.setdefault(section, {}).update(values)
        self.config = root / 'delfin.conf'
        self.config.write_text(''.join(
            f'[{section}]\n' + ''.join(f'{name} = {value}\n' for name, value in values.items())
            for section, values in sections.items()))
        if python_path:         # perhaps another Delfin
            self.manage('key', 'generate')
            self.manage('db', 'upgrade')
        else:                   # what the commands do, in a tenth of their time
            write_key_file(root / 'keys', dict([new_key()]))
            if database is None:
                (root / 'delfin.sqlite').write_bytes(_empty_installation())
            else:
                _upgrade(database)

    def manage(self, *arguments: str) -> str:
        """Run delfin-manage; what it printed."""
        done = self.run('manage', *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one of the programs to its end, which must come soon."""
        # The directory matters: "python -m" looks there first, and here is no other copy of Delfin.
        return subprocess.run(self.command(program, *arguments), env=self.environment(), capture_output=True,
                              text=True, timeout=60, stdin=subprocess.DEVNULL, cwd=self.root)

    def command(self, program: str, *arguments: str) -> list[str]:
        """The command line of one of Delfin's programs."""
        return [sys.executable, '-m', f'delfin.cmd.{program}', '--config-file', str(self.config), *arguments]

    def environment(self) -> dict[str, str]:
        """The environment of its processes. Failpoints are for those a test names."""
        path = os.pathsep.join([*map(str, self.python_path), *filter(None, [os.environ.get('PYTHONPATH')])])
        return {**os.environ, 'PYTHONPATH': path, 'XDG_CACHE_HOME': str(self.root / 'cache')}

    def start(self, program: str = 'all', node: str | None = None, **variables: str) -> Process:
        """Start one of the programs; it may not be ready yet.

        `node` gives it another host name and a log of its own; `variables` go into its environment.
        """
        return Process(self, program, node, variables)

    def log_of(self, node: str) -> Path:
        """The log of the program that was started with this host name."""
        return self.root / f'{node}.log'

    def node_options(self, node: str) -> list[str]:
        """What makes a program another node of this installation."""
        config = self.root / f'{node}.conf'
        config.write_text(f'[DEFAULT]\nhost = {node}\nlog_file = {self.log_of(node)}\n')
        return ['--config-file', str(config)]


def _upgrade(url: str) -> None:
    database = Database(url)
    try:
        Schema(database).upgrade()
    finally:
        database.close()


@functools.cache
def _empty_installation() -> bytes:
    """An SQLite database with the tables and nothing in them."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / 'delfin.sqlite'
        _upgrade(f'sqlite:///{file}')
        return file.read_bytes()


class Process:
    """One of Delfin's programs."""

    def __init__(self, site: Site, program: str, node: str | None = None,
                 variables: Mapping[str, str] | None = None) -> None:
        self.site = site
        self.client = Client(site.port)
        self.log = site.log_of(node) if node else site.log
        self._out = (site.root / f'{node or program}.out').open('ab')
        self._process = subprocess.Popen(
            site.command(program, *(site.node_options(node) if node else ())),
            env={**site.environment(), **(variables or {})}, stdin=subprocess.DEVNULL, stdout=self._out,
            stderr=self._out, cwd=site.root, start_new_session=True, preexec_fn=_watchdog().watch_me)

    @property
    def output(self) -> str:
        return Path(self._out.name).read_text()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def ready(self) -> Self:
        """Wait until it says that it is ready."""
        def answers() -> Any:
            assert self.running, f'it ended at once:\n{self.output}'
            try:
                return self.client.request('GET', '/readiness').status_code == 200
            except requests.ConnectionError:
                return False
        wait_for(f'delfin ready ({self.site.log})', answers, START_SECONDS)
        return self

    def terminate(self) -> None:
        """SIGTERM, without waiting."""
        self._process.send_signal(signal.SIGTERM)

    def stop(self, seconds: float = STOP_SECONDS) -> int:
        """SIGTERM; the exit code."""
        self.terminate()
        try:
            return self._process.wait(seconds)
        finally:
            self._end()

    def kill(self) -> None:
        """SIGKILL, the whole process group."""
        self._end()

    def freeze(self) -> None:
        """SIGSTOP; returns when it stands still."""
        self._process.send_signal(signal.SIGSTOP)
        wait_for('the process to stand still', lambda: self.frozen, 5)

    @property
    def frozen(self) -> bool:
        """Whether it stands still."""
        return Path(f'/proc/{self.pid}/stat').read_text().rpartition(')')[2].split()[0] == 'T'

    def memory_kb(self) -> int:
        """What it holds in memory now."""
        for line in Path(f'/proc/{self.pid}/status').read_text().splitlines():
            if line.startswith('VmRSS:'):
                return int(line.split()[1])
        raise AssertionError('it is gone')

    def thaw(self) -> None:
        """SIGCONT."""
        self._process.send_signal(signal.SIGCONT)

    def wait(self, seconds: float) -> int:
        """The exit code of a process that ends by itself."""
        return self._process.wait(seconds)

    def _end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)
        _watchdog().forget(self.pid)
        self._out.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if not self._out.closed:
            self._end()


# --- the end of a test run ---

_WATCH = """
import contextlib, os, signal, sys
groups = set()
for line in sys.stdin:
    (groups.add if line[0] == '+' else groups.discard)(int(line[1:]))
for group in groups:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
"""


class Watchdog:
    """A process that kills what a test run leaves running. It notices the end of the run, SIGKILL included, because
    its input ends then."""

    def __init__(self) -> None:
        self._process = subprocess.Popen([sys.executable, '-I', '-S', '-c', _WATCH], stdin=subprocess.PIPE,
                                         start_new_session=True)
        assert self._process.stdin is not None
        self._descriptor = self._process.stdin.fileno()

    def watch_me(self) -> None:
        """Called in a new process, before it becomes another program: so there is no moment without watch."""
        os.write(self._descriptor, f'+{os.getpid()}\n'.encode())

    def forget(self, pid: int) -> None:
        """The process group is gone: its number may become another's."""
        os.write(self._descriptor, f'-{pid}\n'.encode())


@functools.cache
def _watchdog() -> Watchdog:
    return Watchdog()
