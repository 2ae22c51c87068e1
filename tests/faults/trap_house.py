# SPDX-License-Identifier: Apache-2.0
"""An installation whose alert services are killed, and what must hold of the INFORMs they have acknowledged.

    with house.stream() as stream:
        house.kill('left')
        house.start('left')
        house.hears(stream)         # every sender has seen one more acknowledgement
    house.settled(stream)           # every acknowledged one is an alert, once; nothing else is
"""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import pytest
import sqlalchemy as sa

from delfin.db import Database
from delfin.db.sqlalchemy import models
from delfin.failpoints import VARIABLE
from tests.engines import DatabaseEngine
from tests.engines.base import wait_until
from tests.engines.snmp import User, free_udp_ports
from tests.faults.senders import PAUSE_SECONDS, NetSnmp, Plain, Pysnmp, Sender, Stream
from tests.services import Client, Process, Site, fake, wait_for

LEFT, RIGHT, SMALL = SERVICES = 'left', 'right', 'small'         # the last one has little room for its spool
SETTLE_SECONDS = 60
START_SECONDS = 40

_RUNNING = 'running: alert'
_SPOOL = 'traps.sqlite'
_DISK_BYTES = 34 * 2**20       # a spool needs 31 MiB to begin with
_SIGNED = User('signed', ('SHA-256', 'a-phrase-to-sign-with'))
_SEALED = User('sealed', ('SHA-256', 'a-phrase-to-sign-with'), ('AES', 'a-phrase-to-seal-with'))


class Row(NamedTuple):
    """What matters of a stored alert."""

    sequence_number: str
    storage_id: str
    state: str
    count: int


class _Site(Site):
    """Alert services have a spool and a port of their own."""

    def __init__(self, root: Path, **options: Any) -> None:
        self.trap_ports = {name: free_udp_ports()[0] for name in SERVICES}
        super().__init__(root, **options)

    def node_options(self, node: str) -> list[str]:
        options = super().node_options(node)
        if node in self.trap_ports:
            with Path(options[-1]).open('a') as config:
                config.write(f'state_path = {self.state_of(node)}\n'
                             f'[alerts]\nlisten = 127.0.0.1:{self.trap_ports[node]}\n')
        return options

    def state_of(self, node: str) -> Path:
        """Where its spool is."""
        return self.root / f'state-{node}'


class Disk:
    """A small disk of its own (in memory) at `path`."""

    def __init__(self, path: Path) -> None:
        self._path, self._ballast = path, path / 'ballast'

    def fill(self) -> None:
        """To the last byte."""
        with contextlib.suppress(OSError), self._ballast.open('ab', buffering=0) as ballast:
            while True:
                ballast.write(bytes(65536))

    def make_room(self) -> None:
        """Take away what `fill` has put there."""
        self._ballast.unlink()

    def __enter__(self) -> Self:
        self._path.mkdir()
        done = subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size={_DISK_BYTES}', 'none', str(self._path)],
                              capture_output=True, text=True, timeout=10)
        if done.returncode != 0:
            self._path.rmdir()
            pytest.skip(f'a small disk needs the right to mount one: {done.stderr.strip()}')
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        subprocess.run(['umount', '--lazy', str(self._path)], check=True, timeout=10)
        self._path.rmdir()


class House:
    """API, task service, arrays that send, and alert services that come and go."""

    def __init__(self, root: Path, server: DatabaseEngine, database: str, transport: str) -> None:
        self.server = server
        self.site = _Site(root / 'site', database=database.replace('%', '%%'), transport=transport,
                          oslo_messaging_rabbit={'rabbit_quorum_queue': True, 'rabbit_transient_quorum_queue': True})
        self.database = Database(database)
        self.client = Client(self.site.port)
        self.plain = [Plain(f'plain-{number}', f'127.0.7.{number}') for number in (1, 2)]
        self.senders: list[Sender] = [
            *self.plain, Pysnmp('signed', '127.0.7.3', _SIGNED), Pysnmp('sealed', '127.0.7.4', _SEALED),
            NetSnmp('net-snmp-2c', '127.0.7.5', root / 'net-snmp-2c'),
            NetSnmp('net-snmp-3', '127.0.7.6', root / 'net-snmp-3', _SEALED)]
        self._runs = itertools.count(1)
        self._processes: dict[str, Process] = {}
        self._starts: Counter[str] = Counter()
        self._seen: dict[Path, int] = {}

    def open(self) -> None:
        """Start API and task service, register the arrays."""
        for program in ('task', 'api'):
            self._processes[program] = self.site.start(program, program)
        self._processes['api'].ready()
        for number, sender in enumerate(self.senders):
            sender.storage_id = self.client.register(**fake(21001 + number, volumes='5'))['id']
            answer = self.client.request('PUT', f'/v1/storages/{sender.storage_id}/snmp-config',
                                         json=sender.configuration)
            assert answer.status_code == 200, answer.text

    # --- alert services ---

    def start(self, name: str = LEFT, failpoints: str = '') -> None:
        """Start one and wait until it receives, or has died of its failpoint."""
        process = self.begin(name, failpoints)
        if not wait_until(lambda: not process.running or self._said(name, _RUNNING) > self._starts[name],
                          START_SECONDS) or not (process.running or failpoints):
            raise AssertionError(f'{name} did not start:\n{self.evidence(name)}')
        self._starts[name] = self._said(name, _RUNNING)

    def begin(self, name: str = LEFT, failpoints: str = '') -> Process:
        """The same without waiting."""
        self.kill(name)
        self._starts[name] = self._said(name, _RUNNING)
        process = self._processes[name] = self.site.start('alert', name, **{VARIABLE: failpoints})
        return process

    def kill(self, name: str = LEFT) -> None:
        """SIGKILL."""
        process = self._processes.pop(name, None)
        if process is not None:
            process.kill()

    def process(self, name: str = LEFT) -> Process:
        """Of an alert service."""
        return self._processes[name]

    def only(self, *names: str) -> None:
        """These alert services run, without failpoints; what the logs say up to now belongs to an earlier test."""
        for name in SERVICES:
            self.kill(name)
        for name in names:
            self.start(name)
        for log in self._logs():
            self._new_lines(log)

    def port(self, name: str = LEFT) -> int:
        """Where it receives."""
        return self.site.trap_ports[name]

    def waiting(self, name: str = LEFT) -> int:
        """How many notifications are in its spool."""
        path = self.site.state_of(name) / _SPOOL
        if not path.exists():
            return 0
        with contextlib.closing(sqlite3.connect(f'file:{path}?mode=ro', uri=True, timeout=5)) as spool:
            return int(spool.execute('SELECT count(*) FROM traps').fetchone()[0])

    def damage(self, name: str) -> list[str]:
        """What is wrong with its spool."""
        state = self.site.state_of(name)
        with contextlib.closing(sqlite3.connect(f'file:{state / _SPOOL}?mode=ro', uri=True, timeout=5)) as spool:
            found = [str(row[0]) for row in spool.execute('PRAGMA integrity_check')]
        return [problem for problem in found if problem != 'ok'] + [path.name for path in state.glob('*damaged*')]

    # --- senders ---

    def run(self) -> str:
        """The name of another run: no two have sequence numbers in common."""
        return f'run{next(self._runs)}'

    def stream(self, *names: str, senders: Sequence[Sender] = (), pause_seconds: float = PAUSE_SECONDS) -> Stream:
        """Senders (all of them) that will send to these services (or to the left one)."""
        return Stream(self.run(), senders or self.senders, [self.port(name) for name in names or (LEFT,)],
                      pause_seconds)

    def hears(self, stream: Stream, more: int = 1, seconds: float = 30, name: str = LEFT) -> None:
        """Until every sender has seen so many more acknowledgements."""
        before = stream.counts()

        def heard() -> bool:
            for sender in stream.senders:
                assert sender.error is None, sender.error
            return all(count >= before[name] + more for name, count in stream.counts().items())

        if not wait_until(heard, seconds):
            raise AssertionError(f'acknowledged: {before} … {stream.counts()}\n{self.evidence(name)}')

    # --- what must hold ---

    def alerts(self, run: str) -> list[Row]:
        """The stored alerts of a run."""
        c = models.alerts.c
        with self.database.read() as connection:
            return [Row(*row) for row in connection.execute(
                sa.select(*(c[name] for name in Row._fields)).where(c.sequence_number.like(f'{run}-%')))]

    def states(self, run: str) -> dict[str, list[str]]:
        """Those of the alerts of a run, by sequence number."""
        found: dict[str, list[str]] = defaultdict(list)
        for row in self.alerts(run):
            found[row.sequence_number].append(row.state)
        return dict(found)

    def settled(self, stream: Stream, seconds: float = SETTLE_SECONDS) -> None:
        """Spools become empty, and the alerts are exactly those that were acknowledged, or at least sent."""
        self.drained(seconds)
        rows, sent = self.alerts(stream.run), stream.sent
        twice = {number for sender in self.plain for number in sender.twice}
        found = Counter(row.sequence_number for row in rows)
        problems = [f'{len(numbers)} {what}, e.g. {sorted(numbers)[:3]}' for what, numbers in (
            ('acknowledged and lost', stream.acknowledged - found.keys()),
            ('never sent', found.keys() - sent.keys()),
            ('more than one row', {number for number, count in found.items() if count > 1}),
            ('counted more than once', {row.sequence_number for row in rows if row.count != 1} - twice),
            ("another array's", {row.sequence_number for row in rows if row.sequence_number in sent
                                 and row.storage_id != sent[row.sequence_number].storage_id})) if numbers]
        assert not [*problems, *self.bugs()], '\n'.join([f'{stream.counts()}', *problems, *self.bugs()])

    def drained(self, seconds: float = SETTLE_SECONDS) -> None:
        """Until no notification waits in a spool."""
        wait_for('spools to be empty', lambda: not any(map(self.waiting, SERVICES)), seconds)

    def bugs(self) -> list[str]:
        """A traceback in a log is a bug, whatever became of the rows; so are traps that could not be read."""
        found = []
        for log in self._logs():
            text = log.read_text(errors='replace')[self._seen.get(log, 0):]
            if 'Traceback' in text:
                found.append(f'{log.name}: …{text[max(0, text.index("Traceback") - 500):][:3000]}')
        with self.database.read() as connection:
            found += [f'failed: {row.source}: {row.error}'
                      for row in connection.execute(sa.select(models.failed_traps).limit(3))]
        return found

    def said(self, text: str, name: str = LEFT) -> bool:
        """Whether a log has it since the test began."""
        log = self.site.log_of(name)
        return log.exists() and text in log.read_text(errors='replace')[self._seen.get(log, 0):]

    def evidence(self, name: str) -> str:
        """The end of its log."""
        return '\n'.join(line for path in (self.site.log_of(name), self.site.root / f'{name}.out') if path.exists()
                         for line in path.read_text(errors='replace').splitlines()[-8:])

    def _said(self, name: str, text: str) -> int:
        log = self.site.log_of(name)
        return log.read_text(errors='replace').count(text) if log.exists() else 0

    def _logs(self) -> Iterator[Path]:
        for pattern in ('*.log', '*.out'):
            yield from sorted(self.site.root.glob(pattern))

    def _new_lines(self, log: Path) -> None:
        self._seen[log] = len(log.read_text(errors='replace'))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        for name in list(self._processes):
            self._processes.pop(name).kill()
        self.database.close()
