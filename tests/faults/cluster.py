# SPDX-License-Identifier: Apache-2.0
"""One installation of several nodes on real parts, arrays whose rows can be computed, and what must hold at last.

    cluster.ensure('a')
    cluster.start('b', failpoints='rows.before=kill:2')
    cluster.balanced()              # every array is where it belongs
    cluster.advance()               # other rows on every array
    cluster.sync_all()
    cluster.wait_for_end_of('b')
    cluster.settled()               # nothing lost, doubled, stuck, or in two hands
"""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import shutil
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import requests
import sqlalchemy as sa

from delfin.db import Database, ownership
from delfin.db.sqlalchemy import models
from delfin.drivers.fake_storage.model import FakeArray, Identity
from delfin.drivers.fake_storage.options import Settings
from delfin.drivers.fake_storage.recipes import RECIPES, SIZE_OF_KIND
from delfin.failpoints import VARIABLE
from delfin.kinds import KINDS, Table
from tests.engines.base import wait_until
from tests.services import Client, Process, Site, wait_for

LONG = os.environ.get('DELFIN_LONG') == '1'
# Of random moments. The processes of pytest-xdist must find the same tests, so the number of their run gives the seed.
_RUN = os.environ.get('PYTEST_XDIST_TESTRUNUID', str(time.time_ns()))
SEED = int(os.environ.get('DELFIN_SEED') or random.Random(_RUN).randrange(10**6))

HEARTBEAT_SECONDS = 0.5
LEASE_SECONDS = 2.5
SETTLE_SECONDS = 40
HAND_OVER_SECONDS = 5       # how long two nodes may hold sessions to one array
CHANGE_PERCENT = 30
ARRAYS = 6
BIG = 4500                  # volumes that take several transactions
API = 'api'

# Never half of a kind: Delfin would wait and ask a second time.
_LOSING = ('volumes', 'disks', 'hosts', 'volume_groups', 'masking_views')
_GAINING = ('volumes', 'ports', 'filesystems', 'volume_groups')

Row = dict[str, Any]
Rows = dict[Any, Row]       # by natural key: text, or a tuple of texts for pairs


class Array:
    """A make-believe array whose state is in our hands, and which tells which rows Delfin must have of it."""

    def __init__(self, number: int, control: Path, volumes: int = 40) -> None:
        self.number = number
        self._extra = {'volumes': str(volumes), 'control_file': str(control)}
        self._control = control
        self._state: Row = {'epoch': 0, 'change_percent': CHANGE_PERCENT}
        self.behave()

    @property
    def registration(self) -> Row:
        """The body of its registration."""
        return {'vendor': 'witness', 'model': 'witness_driver', 'extra_attributes': self._extra,
                'rest': {'host': '127.0.0.1', 'port': self.number, 'username': 'demo', 'password': 'demo-Passw0rd!'}}

    def behave(self, **values: Any) -> None:
        """From now on, e.g. `misbehave='list_volumes:hang'`, with the rows it has."""
        temporary = self._control.with_suffix('.new')
        temporary.write_text(json.dumps(self._state | values))
        temporary.replace(self._control)

    def advance(self, **values: Any) -> None:
        """Other rows: some change, some go, some come."""
        epoch = self._state['epoch'] + 1
        self._state |= {'epoch': epoch, **{f'remove.{size}': epoch % 2 for size in _LOSING},
                        **{f'grow.{size}': epoch % 3 for size in _GAINING}}
        self.behave(**values)

    @property
    def model(self) -> FakeArray:
        """The array as the driver makes it now."""
        settings = Settings.parse(self._extra).overridden(self._state)
        return FakeArray(settings, Identity.of(settings, self.registration), RECIPES)

    def rows(self) -> dict[str, Rows]:
        """The rows that there must be, by table."""
        model, result = self.model, {}
        for kind in KINDS:
            size = SIZE_OF_KIND[kind.name]
            result[kind.name] = _by_key(kind.table, model.rows(size))
            for relation in kind.relations:
                result[relation.table.name] = _by_key(relation.table, model.relations(size)[1])
        return result


class Session(NamedTuple):
    """What a process held: from when to when, on the clock of `time.monotonic`; open ones end in the future."""

    serial_number: str
    pid: int
    begin: float
    end: float


class Cluster:
    """A database, a broker, one delfin-api, task services that come and go, and arrays."""

    def __init__(self, root: Path, database: str, transport: str, **options: Mapping[str, Any]) -> None:
        sections: dict[str, dict[str, Any]] = {
            'cluster': {'heartbeat_seconds': HEARTBEAT_SECONDS, 'lease_seconds': LEASE_SECONDS},
            'sync': {'interval_seconds': 0, 'poll_interval_seconds': 1},
            'oslo_messaging_rabbit': {'rabbit_quorum_queue': True, 'rabbit_transient_quorum_queue': True}}
        for section, values in options.items():
            sections.setdefault(section, {}).update(values)
        self.site = Site(root / 'site', database=database.replace('%', '%%'), transport=transport,
                         python_path=(_install_witness(root / 'driver'),), **sections)
        self.database = Database(database)
        self.client = Client(self.site.port)
        self.arrays: dict[str, Array] = {}
        self._numbers = itertools.count(20001)
        self._root = root
        self._journal = root / 'sessions'
        self._processes: dict[str, Process] = {}
        self._armed: set[str] = set()
        self._ended: dict[int, float] = {}          # by pid: when a task service had ended
        self._frozen: list[tuple[int, float, float]] = []
        self._seen: dict[Path, int] = {}            # how much of each log was looked at
        self._ids: dict[tuple[str, str], dict[Any, str]] = {}       # by table and storage: our ids by key

    # --- processes ---

    def start(self, name: str, failpoints: str = '') -> Process:
        """Start a node (or the API) that is not running. Returns when it has joined the others, or died of it."""
        return self.begin(name, failpoints)()

    def begin(self, name: str, failpoints: str = '') -> Callable[[], Process]:
        """Start a node (or the API) that is not running; a function that waits until it has joined the others."""
        assert name not in self.running(), f'{name} runs already'
        self.forget(name)
        before = self._lives().get(name)
        process = self._processes[name] = self.site.start(
            'api' if name == API else 'task', name, **{'DELFIN_WITNESS': str(self._journal), VARIABLE: failpoints})
        if failpoints:
            self._armed.add(name)

        def joined() -> bool:
            return not process.running or (self.answers() if name == API else self._lives().get(name) != before)

        def wait() -> Process:
            wait_for(f'the start of {name}', joined, 40)
            assert process.running or failpoints, f'{name} ended at once:\n{self.evidence(name)}'
            return process

        return wait

    def ensure(self, *names: str) -> None:
        """The API and these nodes run without failpoints, no other node runs, every array is where it belongs."""
        for name in self.running() - {API, *names}:
            self.kill(name) if name in self._armed else self.stop(name)
        waits = []
        for name in (API, *names):
            if name in self.running() and name in self._armed:
                self.kill(name)
            if name not in self.running():
                waits.append(self.begin(name))
        for wait in waits:
            wait()
        self.balanced()
        if names:
            wait_for('calls to reach a node', lambda: self.client.request('GET', '/readiness').status_code == 200, 30)

    def running(self) -> set[str]:
        """Names of the processes that run."""
        return {name for name, process in self._processes.items() if process.running}

    def process(self, name: str) -> Process:
        """A process by name."""
        return self._processes[name]

    def kill(self, name: str) -> None:
        """SIGKILL."""
        self._processes[name].kill()
        self.forget(name)

    def stop(self, name: str, seconds: float = 10) -> float:
        """SIGTERM, and the end in good order; how long it took."""
        began = time.monotonic()
        status = self._processes[name].stop(seconds)
        assert status == 0, f'{name} ended with {status}:\n{self.evidence(name)}'
        self.forget(name)
        return time.monotonic() - began

    def wait_for_end_of(self, name: str, seconds: float = 30) -> None:
        """Until a process has died at its failpoint."""
        process = self._processes[name]
        if not wait_until(lambda: not process.running, seconds):
            raise AssertionError(f'{name} did not come to its failpoint:\n{self.evidence(name)}')
        self.forget(name)

    def freeze(self, name: str) -> None:
        """SIGSTOP."""
        self._processes[name].freeze()

    def thaw(self, name: str, since: float) -> None:
        """SIGCONT to a node that has stood still since then (on the monotonic clock)."""
        process = self._processes[name]
        self._frozen.append((process.pid, since, time.monotonic()))
        process.thaw()

    def forget(self, name: str) -> None:
        """Note that a process has ended; kill what is left of it."""
        process = self._processes.pop(name, None)
        self._armed.discard(name)
        if process is not None:
            process.kill()
            self._ended[process.pid] = time.monotonic()

    def answers(self) -> bool:
        """Whether the API does."""
        try:
            return self.client.request('GET', '/v1/storages').status_code == 200
        except requests.ConnectionError:
            return False

    def alive(self, name: str) -> bool:
        """Whether the others believe that a node lives."""
        with self.database.read() as connection:
            return name in ownership.alive(connection)

    def _lives(self) -> dict[str, str]:
        with self.database.read() as connection:
            return {row.name: row.boot for row in connection.execute(sa.select(models.nodes))}

    # --- arrays ---

    def register(self, volumes: int = 40, array: Array | None = None) -> str:
        """Register an array, or a new one; its id."""
        array = array or self.new_array(volumes)
        storage_id: str = self.client.post('/v1/storages', array.registration, 201)['id']
        self.arrays[storage_id] = array
        return storage_id

    def populate(self) -> None:
        """Register arrays until node `a` and a second one called `b` both have some."""
        def shares() -> list[int]:
            owners = [ownership.chosen(storage_id, ('a', 'b')) for storage_id in self.arrays]
            return [owners.count('a'), owners.count('b')]

        while len(self.arrays) < ARRAYS or min(shares()) < 2:
            self.register(BIG if len(self.arrays) < 2 else 40)
        self.settled()

    def remove(self, storage_id: str) -> Array:
        """Delete a storage; its array."""
        self.client.delete(f'/v1/storages/{storage_id}')
        return self.arrays.pop(storage_id)

    def new_array(self, volumes: int = 40) -> Array:
        """An array that is not registered yet."""
        number = next(self._numbers)
        return Array(number, self._root / f'control-{number}.json', volumes)

    def advance(self, **values: Any) -> None:
        """Other rows on every array; `values` is how it behaves."""
        for array in self.arrays.values():
            array.advance(**values)

    def behave(self, **values: Any) -> None:
        """The same rows on every array, and another behaviour."""
        for array in self.arrays.values():
            array.behave(**values)

    def sync_all(self) -> None:
        """Ask for a sync of every array."""
        self.client.post('/v1/storages/sync')

    def owners(self) -> dict[str, str | None]:
        """Who owns the arrays we registered."""
        with self.database.read() as connection:
            return {held.storage_id: held.node for held in ownership.all_held(connection)
                    if held.storage_id in self.arrays}

    def owned_by(self, name: str) -> list[str]:
        """The arrays of a node."""
        return [storage_id for storage_id, owner in self.owners().items() if owner == name]

    def balanced(self, seconds: float = 20) -> None:
        """Wait until every array is with the node that should have it."""
        def wrong() -> list[str]:
            nodes, owners = self.running() - {API}, self.owners()
            return [f'{storage_id} is with {owners.get(storage_id)} instead of {wanted}'
                    for storage_id in self.arrays
                    if (wanted := ownership.chosen(storage_id, nodes)) != owners.get(storage_id)]
        self._wait_until_right(wrong, seconds)

    # --- what must hold ---

    def settled(self, seconds: float = SETTLE_SECONDS) -> None:
        """Every storage becomes SYNCED with exactly its array's rows, and nothing is left behind anywhere."""
        self._wait_until_right(self._unfinished, seconds)
        self._wait_until_right(self._sessions_too_many, HAND_OVER_SECONDS)
        problems = [*self._wrong_rows(), *self._overlaps(), *self._bugs()]
        assert not problems, '\n'.join(problems)

    def active_runs(self) -> list[str]:
        """Runs that are pending or running."""
        runs = models.sync_runs
        with self.database.read() as connection:
            return [f'run {run.id} of {run.storage_id}: {run.state}, node {run.node}, epoch {run.epoch}, {run.trigger}'
                    for run in connection.execute(sa.select(runs).where(runs.c.active == 1))]

    def _unfinished(self) -> list[str]:
        found = self.active_runs()
        shown = {storage['id']: storage for storage in self.client.get('/v1/storages')['storages']}
        for storage_id in self.arrays:
            status = shown[storage_id]['sync_status'] if storage_id in shown else 'lost'
            if status != 'SYNCED':
                found.append(f'storage {storage_id} is {status}: {self._why(storage_id) if status != "lost" else ""}')
        with self.database.read() as connection:
            stored = set(connection.execute(sa.select(models.storages.c.id)).scalars())
            living = set(ownership.alive(connection))
            found += [f'storage {held.storage_id} is with {held.node}, which is not alive'
                      for held in ownership.all_held(connection) if held.node not in living]
        return found + [f'storage {storage_id} is not purged' for storage_id in stored - self.arrays.keys()]

    def _why(self, storage_id: str) -> str:
        run = self.client.get(f'/v1/storages/{storage_id}/syncs/latest')
        return ', '.join(f'{kind["kind"]} {kind["state"]} {kind["error"]}' for kind in run['kinds']
                         if kind['state'] != 'done') + f' (run {run["id"]}, {run["state"]}, {run["trigger"]})'

    def _wrong_rows(self) -> Iterator[str]:
        expected = {storage_id: array.rows() for storage_id, array in self.arrays.items()}
        with self.database.read() as connection:
            for spec in (table for kind in KINDS for table in kind.tables):
                stored: dict[str, list[Row]] = defaultdict(list)
                for row in connection.execute(sa.select(models.table(spec))).mappings():
                    stored[row['storage_id']].append(dict(row))
                yield from (f'{len(stored[storage_id])} {spec.name} of {storage_id}, which is not registered'
                            for storage_id in stored.keys() - self.arrays.keys())
                for storage_id in self.arrays:
                    yield from _differences(f'{spec.name} of {storage_id}', spec, stored[storage_id],
                                            expected[storage_id][spec.name])
                    yield from self._changed_ids(spec, storage_id, stored[storage_id])

    def _changed_ids(self, spec: Table, storage_id: str, rows: Sequence[Row]) -> Iterator[str]:
        known, ids = self._ids.get((spec.name, storage_id), {}), {_key(spec, row): row['id'] for row in rows}
        self._ids[spec.name, storage_id] = ids
        changed = [key for key in known.keys() & ids.keys() if known[key] != ids[key]]
        if changed:
            yield f'{spec.name} of {storage_id}: {len(changed)} rows have got another id, e.g. {changed[0]}'

    def _bugs(self) -> Iterator[str]:
        """A traceback in a log is a bug, whatever became of the rows."""
        for log in sorted(self.site.root.glob('*.log')):
            text = self._new_lines(log)
            if 'Traceback' in text:
                yield f'{log.name}: ...{text[max(0, text.index("Traceback") - 500):][:3000]}'

    def _new_lines(self, log: Path) -> str:
        text = log.read_text(errors='replace')
        seen, self._seen[log] = self._seen.get(log, 0), len(text)
        return text[seen:]

    def turn_the_page(self) -> None:
        """What the logs say up to now belongs to an earlier test."""
        for log in self.site.root.glob('*.log'):
            self._new_lines(log)

    # --- sessions ---

    def sessions(self) -> list[Session]:
        """Every session that was ever begun."""
        found, begun, now = [], {}, time.monotonic()
        for line in self._journal.read_text().splitlines() if self._journal.exists() else ():
            moment, pid, instance, serial_number, what = line.split()
            key = (int(pid), instance, serial_number)
            if what == 'begins':
                begun[key] = float(moment)
            elif key in begun:
                found.append(Session(serial_number, int(pid), begun.pop(key), float(moment)))
        found += [Session(serial_number, pid, begin, self._ended.get(pid, now + 1))
                  for (pid, _, serial_number), begin in begun.items()]
        return sorted(found, key=lambda session: session.begin)

    def _sessions_too_many(self) -> list[str]:
        now = time.monotonic()
        count = Counter(session.serial_number for session in self.sessions() if session.end > now)
        return [f'{number} sessions to {serial_number}' for serial_number, number in count.items() if number > 1]

    def _overlaps(self) -> Iterator[str]:
        """Two nodes at one array, longer than a hand-over takes. A node that stands still can end nothing."""
        by_array: dict[str, list[Session]] = defaultdict(list)
        for session in self.sessions():
            by_array[session.serial_number] += self._moving(session)
        for serial_number, held in by_array.items():
            for one, other in itertools.combinations(held, 2):
                seconds = min(one.end, other.end) - max(one.begin, other.begin)
                if one.pid != other.pid and seconds > HAND_OVER_SECONDS:
                    yield f'processes {one.pid} and {other.pid} both held {serial_number} for {seconds:.1f} s'

    def _moving(self, session: Session) -> list[Session]:
        parts = [session]
        for pid, since, until in self._frozen:
            if pid == session.pid and parts[-1].begin < since < parts[-1].end:
                last = parts.pop()
                parts += [last._replace(end=since), last._replace(begin=until)]
        return parts

    # --- evidence ---

    def _wait_until_right(self, wrong: Callable[[], list[str]], seconds: float) -> None:
        problems: list[str] = []

        def right() -> bool:
            problems[:] = wrong()
            return not problems

        if not wait_until(right, seconds):
            raise AssertionError('\n'.join([f'after {seconds:g} s:', *problems, *map(self.evidence, self._logs())]))

    def _logs(self) -> list[str]:
        return sorted(log.stem for log in self.site.root.glob('*.log'))

    def evidence(self, name: str, lines: int = 25) -> str:
        """The end of what a process has said, without requests that went well."""
        texts = [path.read_text(errors='replace') for path in (self.site.log_of(name), self.site.root / f'{name}.out')
                 if path.exists()]
        kept = [line for text in texts for line in text.splitlines() if ' 200 ' not in line]
        return '\n'.join([f'--- log of {name} ---', *kept[-lines:]])

    def said(self, name: str, pattern: str) -> int:
        """How often a process's log matches."""
        return len(re.findall(pattern, self.site.log_of(name).read_text(errors='replace')))

    def close(self) -> None:
        """Kill everything."""
        for name in list(self._processes):
            self.forget(name)
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()


class Load:
    """Clients that use an installation while something happens to it.

    A call may succeed, or be told to come back later (503 with Retry-After); everything else is a complaint.
    """

    def __init__(self, cluster: Cluster, threads: int = 3) -> None:
        self.complaints: list[str] = []
        self.statuses: Counter[int] = Counter()
        self._cluster = cluster
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,), daemon=True) for number in range(threads)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(100)

    def _run(self, first: int) -> None:
        client = Client(self._cluster.site.port)
        ids = list(self._cluster.arrays)
        for turn in itertools.count(first):
            storage_id = ids[turn % len(ids)]
            for method, path, body in (
                    ('GET', '/v1/storages', None), ('GET', f'/v1/volumes?storage_id={storage_id}&limit=10', None),
                    ('POST', f'/v1/storages/{storage_id}/sync', None),
                    ('PUT', f'/v1/storages/{storage_id}', {'note': f'turn {turn}'}),
                    ('GET', f'/v1/storages/{storage_id}/capabilities', None)):
                if self._stopping.wait(0.05):
                    return
                self._call(client, method, path, body)

    def _call(self, client: Client, method: str, path: str, body: Any) -> None:
        began = time.monotonic()
        try:
            answer = client.request(method, path, **({} if body is None else {'json': body}))
        except requests.RequestException as error:
            self.complaints.append(f'{method} {path}: {type(error).__name__}: {error}')
            return
        seconds = time.monotonic() - began
        self.statuses[answer.status_code] += 1
        later = answer.status_code == 503 and 'Retry-After' in answer.headers
        if not (answer.ok or later) or seconds > 30:
            self.complaints.append(f'{method} {path}: {answer.status_code} after {seconds:.1f} s: {answer.text[:300]}')


# --- rows ---

def _key(spec: Table, row: Mapping[str, Any]) -> Any:
    return row[spec.key[0]] if len(spec.key) == 1 else tuple(row[name] for name in spec.key)


def _by_key(spec: Table, rows: Any) -> Rows:
    return {_key(spec, row): {column.name: row.get(column.name) for column in spec.columns} for row in rows}


def _differences(what: str, spec: Table, stored: Sequence[Row], expected: Rows) -> Iterator[str]:
    found = _by_key(spec, stored)
    for problem, keys in (
            ('doubled', [None] * (len(stored) - len(found))),
            ('lost', expected.keys() - found.keys()),
            ('too many', found.keys() - expected.keys()),
            ('different', [key for key in expected.keys() & found.keys() if expected[key] != found[key]])):
        if keys:
            example = next(iter(keys))
            yield f'{what}: {len(keys)} rows {problem}, e.g. {example}: {found.get(example)} / {expected.get(example)}'


# --- the driver ---

def _install_witness(target: Path) -> Path:
    """A package with the entry point of the witness, for PYTHONPATH."""
    description = target / 'delfin_witness-1.0.dist-info'
    description.mkdir(parents=True)
    shutil.copy(Path(__file__).with_name('witness.py'), target / 'delfin_witness.py')
    (description / 'METADATA').write_text('Metadata-Version: 2.1\nName: delfin-witness\nVersion: 1.0\n')
    (description / 'entry_points.txt').write_text(
        '[delfin.storage.drivers]\nwitness witness_driver = delfin_witness:WitnessDriver\n')
    return target
