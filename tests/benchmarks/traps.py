# SPDX-License-Identifier: Apache-2.0
"""Traps: what receiving one costs beside other receivers, and what becomes of many in a real `delfin-all`.

    python -m tests.benchmarks.traps [--rounds 5] [--count 5000]
    python -m tests.benchmarks.traps --alerts [--seconds 300] [--engines sqlite,postgresql]

The first is reception, on one core. Each receiver is a process on a core of its own; the traps come from another
process (`tests.traps`) on another core, in a burst that the receiver's socket buffer can hold, so that none is lost and
the receiver does nothing but work. What it costs is the processor time of the receiver's process, user and kernel,
divided by the traps; its rate is that of the burst from the first datagram to the last trap that is done with. The
receivers take turns, and a ratio is one of the same round: microseconds depend on the machine, ratios hardly do.

* `snmptrapd` of net-snmp with its text log, without look-ups of names;
* a plain notification receiver of pysnmp on asyncio, which counts;
* Delfin into the spool: `delfin_into_spool`.

The second is the way from a datagram to an alert, in a real `delfin-all` with 100 arrays, each of which sends from an
address of its own:

* 500 traps a second of distinct alerts. Each says when it was made; this process looks into the database with a
  connection of its own every 20 ms and notes when it first sees the alert. What it tells is therefore up to 20 ms too
  much, never too little;
* a storm of traps of one alert, which must become one row that counts them all;
* on SQLite, a burst as fast as loopback carries it, while syncs of 100,000 volumes follow one another. Lost is what was
  sent and did not become an alert.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import json
import mmap
import os
import socket
import sqlite3
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import psycopg
import sqlalchemy as sa

from delfin.alert_manager.sockets import open_socket
from delfin.common.config import ALERTS_OPTS
from delfin.db import Database
from delfin.drivers.fake_storage.options import SIZES
from tests.benchmarks import report
from tests.benchmarks.databases import ROWS
from tests.benchmarks.measure import Comparison, Figure, percentile
from tests.benchmarks.readers import _ended, _syncing
from tests.engines import PostgreSQL
from tests.engines.base import wait_until
from tests.engines.snmp import USERS, Snmptrapd, User, free_udp_ports
from tests.services import Client, Process, Site, fake, wait_for
from tests.traps import Child, Sent, Traffic

SOURCES = 4
COUNT = 5_000
ROUNDS = 5
COMMUNITY = 'public'
VERSIONS: Mapping[str, User | None] = {'v2c': None, 'v3 authPriv': USERS[-1]}
# Delfin's cost as a part of snmptrapd's.
TARGETS: Mapping[str, float] = {'v2c': 1 / 1.5, 'v3 authPriv': 1 / 1.3}

ENGINES = ('sqlite', 'postgresql')
ARRAYS = 100
RATE = 500
SECONDS = 300.0
P99_LIMIT_SECONDS = 1.0
BURST = 50_000
STORM = 20_000

_BUFFER_BYTES = 4 << 20
_TRAP_BYTES_IN_BUFFER = 1280    # what the kernel counts for one of 300 to 400 bytes
_WARM_UP = 4000          # what a long-running receiver has behind it: memory that it was given, code that is hot
_SECONDS = 120.0
_RATIO = '{:.2f}'

_FIRST_ARRAY_PORT = 9000
_LARGE_ARRAY_PORT = 8088
_STORM_RATE = 4_000         # a storm that fits into small buffers: it is its rows that are counted
_LOOK_SECONDS = 0.02
_QUIET_SECONDS = 30.0       # what has not become visible in so long a silence never does
_PROBE_SECONDS = 120.0
# Numbers of traps, and so of alerts; the storm's one alert is number 0.
_PACED_FIRST, _BURST_FIRST = 1_000_000, 2_000_000


class Receiver(Protocol):
    """A running receiver."""

    pid: int
    port: int

    def handled(self) -> int:
        """How many traps it has done with since its start."""

    def last_at(self) -> float:
        """When it had done with the last of them, epoch seconds."""


Open = Callable[[Path, Traffic], AbstractContextManager[Receiver]]


@dataclasses.dataclass(frozen=True)
class Reading:
    """One burst into one receiver."""

    receiver: str
    version: str
    round: int
    count: int
    processor_us: float     # of a trap
    rate: float             # traps a second on one core


# --- receivers ---

class _Snmptrapd:
    def __init__(self, engine: Snmptrapd) -> None:
        self._engine = engine
        self._read = 0
        self._count = 0
        self.port = engine.port
        self.pid = _process('snmptrapd', str(engine.log))
        self._before = 0
        self._before = self.handled()       # its own check

    def handled(self) -> int:
        with self._engine.log.open('rb') as log:
            log.seek(self._read)
            text = log.read()
        whole = text.rfind(b'\n') + 1
        self._read += whole
        self._count += sum(line.startswith(b'.') for line in text[:whole].splitlines())
        return self._count - self._before

    def last_at(self) -> float:
        return self._engine.log.stat().st_mtime


@contextlib.contextmanager
def snmptrapd(folder: Path, traffic: Traffic) -> Iterator[Receiver]:
    """net-snmp's, with its text log."""
    users = [traffic.user] if traffic.user else []
    with Snmptrapd([traffic.community], users, traffic.engine_ids, buffer_bytes=_BUFFER_BYTES) as engine:
        yield _Snmptrapd(engine)


_COUNTER = struct.Struct('<Qd')     # traps, time of the last one


class _Child:
    def __init__(self, process: subprocess.Popen[str], port: int, counter: mmap.mmap) -> None:
        self.pid = process.pid
        self.port = port
        self._counter = counter

    def handled(self) -> int:
        return int(_COUNTER.unpack_from(self._counter)[0])

    def last_at(self) -> float:
        return float(_COUNTER.unpack_from(self._counter)[1])


@contextlib.contextmanager
def pysnmp(folder: Path, traffic: Traffic) -> Iterator[Receiver]:
    """A plain notification receiver, in a child."""
    with _child('pysnmp', folder, traffic) as receiver:
        yield receiver


@contextlib.contextmanager
def _child(what: str, folder: Path, traffic: Traffic, **more: Any) -> Iterator[Receiver]:
    """This module as a receiver of its own process, which tells its port and counts in a shared file."""
    file = folder / f'{what}-counter'
    file.write_bytes(bytes(_COUNTER.size))
    order = json.dumps({'what': what, 'counter': str(file), 'community': traffic.community, 'user': traffic.user,
                        'engine_ids': traffic.engine_ids, **more})
    with file.open('r+b') as opened, mmap.mmap(opened.fileno(), _COUNTER.size) as counter, subprocess.Popen(
            [sys.executable, '-m', 'tests.benchmarks.traps', '--receive', order],
            cwd=Path(__file__).resolve().parents[2], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f'the receiver {what} ended at once')
            yield _Child(process, int(line), counter)
        finally:
            process.kill()


def _receive_with_pysnmp(counter: str, community: str, user: Sequence[Any] | None, engine_ids: Sequence[str]) -> None:
    """The child: tells its port, then receives and counts until its standard input ends."""
    from pysnmp.carrier.asyncio.dgram import udp
    from pysnmp.entity import config, engine
    from pysnmp.entity.rfc3413 import ntfrcv
    from pysnmp.proto import rfc1902

    receiving = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiving.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
    receiving.bind(('127.0.0.1', 0))
    receiving.setblocking(False)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    snmp = engine.SnmpEngine()
    transport = udp.UdpAsyncioTransport(loop=loop).open_server_mode(sock=receiving)
    config.add_transport(snmp, udp.DOMAIN_NAME, transport)
    config.add_v1_system(snmp, 'area', community)
    if user is not None:
        name, (_, auth_phrase), (_, privacy_phrase) = user
        for engine_id in engine_ids:
            config.add_v3_user(snmp, name, config.USM_AUTH_HMAC96_SHA, auth_phrase, config.USM_PRIV_CFB128_AES,
                               privacy_phrase, securityEngineId=rfc1902.OctetString(hexValue=engine_id))
    with Path(counter).open('r+b') as opened, mmap.mmap(opened.fileno(), _COUNTER.size) as shared:
        count = 0

        def received(*_: object) -> None:
            nonlocal count
            count += 1
            _COUNTER.pack_into(shared, 0, count, time.time())

        ntfrcv.NotificationReceiver(snmp, received)
        loop.add_reader(sys.stdin, loop.stop)
        print(receiving.getsockname()[1], flush=True)
        loop.run_forever()


@contextlib.contextmanager
def delfin_into_spool(folder: Path, traffic: Traffic) -> Iterator[Receiver]:
    """Delfin's reception, from the socket to the commit of its spool, in a child."""
    spool = Path(tempfile.mkdtemp(prefix='spool-', dir=folder))
    with _child('delfin', folder, traffic, spool=str(spool / 'traps.sqlite'), addresses=traffic.addresses) as receiver:
        yield receiver


def _receive_with_delfin(counter: str, community: str, user: Sequence[Any] | None, engine_ids: Sequence[str],
                         spool: str, addresses: Sequence[str]) -> None:
    """The child: as the alert service receives, without what comes behind the spool."""
    from delfin.alert_manager import receiver, sockets, sources
    from delfin.alert_manager.rejected import Rejected
    from delfin.alert_manager.snmp.usm import User as V3User
    from delfin.alert_manager.spool import Spool

    known = []
    for number, address in enumerate(addresses):
        v3_user = None
        if user is not None:
            name, (_, auth_phrase), (_, privacy_phrase) = user
            v3_user = V3User(name.encode(), 'authPriv', 'HMACSHA', auth_phrase, 'AES', privacy_phrase)
        known.append(sources.Source(f'storage-{number}', (address,), None if user else community.encode(), v3_user,
                                    bytes.fromhex(engine_ids[number]) if user else None))
    listener = sockets.open_socket('127.0.0.1', 0, _BUFFER_BYTES)
    rejected = Rejected()
    reader = sockets.Reader([listener], lambda host: rejected.note(host, 'too_long'))
    with Path(counter).open('r+b') as opened, mmap.mmap(opened.fileno(), _COUNTER.size) as shared:
        receiving = receiver.Receiver(
            reader, types.SimpleNamespace(table=sources.Table(known)), Spool(spool), rejected,     # type: ignore[arg-type]
            on_stored=lambda lanes: _COUNTER.pack_into(shared, 0, receiving.received, time.time()),
            pin=lambda storage_id, engine_id: None)
        receiving.start()
        print(listener.port, flush=True)
        sys.stdin.read()
        os._exit(0)


FLOOR = 'snmptrapd'
DELFIN = 'Delfin'
RECEIVERS: Mapping[str, Open] = {FLOOR: snmptrapd, 'pysnmp': pysnmp, DELFIN: delfin_into_spool}
_CHILDREN: Mapping[str, Callable[..., None]] = {'pysnmp': _receive_with_pysnmp, 'delfin': _receive_with_delfin}


# --- measuring ---

def readings(folder: Path, rounds: int = ROUNDS, count: int = COUNT) -> list[Reading]:
    """All receivers with all versions, in turns."""
    count = min(count, _fitting())
    found = []
    for version, user in VERSIONS.items():
        traffic = Traffic(0, sources=SOURCES, community=COMMUNITY, user=user)
        for number in range(rounds):
            for name, open_receiver in RECEIVERS.items():
                with open_receiver(folder, traffic) as receiver:
                    us, rate = _burst(receiver, traffic, count)
                found.append(Reading(name, version, number, count, us, rate))
    return found


def measure(folder: Path, engines: Sequence[str], seconds: float,
            say: Callable[[str], None]) -> tuple[list[Comparison], list[Figure]]:
    """Delfin's cost of a trap against snmptrapd's; loss and latency on the way to the alert."""
    say('traps into the spool')
    return comparisons(readings(folder), DELFIN), alert_figures(folder, engines, seconds, say)


def comparisons(found: Sequence[Reading], subject: str) -> list[Comparison]:
    """What a trap costs the subject, in milliseconds, against snmptrapd; nothing if it was not measured."""
    compared = []
    for version in VERSIONS:
        own, floor = (_costs(found, name, version) for name in (subject, FLOOR))
        if own:
            compared.append(Comparison(
                f'a {version} trap into the spool, processor time', 'sqlite', 'snmptrapd with its text log',
                statistics.median(floor) / 1000, statistics.median(own) / 1000, TARGETS[version],
                ratios=tuple(mine / its for mine, its in zip(own, floor, strict=True))))
    return compared


def _costs(found: Sequence[Reading], receiver: str, version: str) -> list[float]:
    return [one.processor_us for one in found if (one.receiver, one.version) == (receiver, version)]


def _burst(receiver: Receiver, traffic: Traffic, count: int) -> tuple[float, float]:
    """Microseconds of processor time of a trap, and traps a second."""
    traffic = dataclasses.replace(traffic, port=receiver.port)
    sending, receiving = _cores()
    for task in Path(f'/proc/{receiver.pid}/task').iterdir():
        os.sched_setaffinity(int(task.name), {receiving})
    with Child(traffic, _WARM_UP) as child:
        child.ready()
        child.go()
        child.result()
    _await(receiver, _WARM_UP)
    with Child(dataclasses.replace(traffic, first=_WARM_UP), count) as child:
        os.sched_setaffinity(child.pid, {sending})
        child.ready()
        busy, began = _processor_ns(receiver.pid), time.time()
        child.go()
        _await(receiver, _WARM_UP + count)
        busy = _processor_ns(receiver.pid) - busy
        child.result()
    return busy / count / 1000, count / (receiver.last_at() - began)


def _await(receiver: Receiver, count: int) -> None:
    if not wait_until(lambda: receiver.handled() >= count, _SECONDS):
        raise RuntimeError(f'{receiver.handled()} of {count} traps arrived: the buffer is small, or they were refused')


def _cores() -> tuple[int, int]:
    """One to send from, one to receive on; the same if there is but one."""
    cores = sorted(os.sched_getaffinity(0))
    return cores[0], cores[-1]


def _fitting() -> int:
    """How many traps the largest buffer holds that a process without rights can have here, with some room."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        return probe.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) * 9 // 10 // _TRAP_BYTES_IN_BUFFER


def _processor_ns(pid: int) -> int:
    """What the living threads of a process have used, user and kernel."""
    return sum(int((task / 'schedstat').read_text().split()[0]) for task in Path(f'/proc/{pid}/task').iterdir())


def _process(program: str, argument: str) -> int:
    """The process that runs the program with the argument."""
    for process in Path('/proc').glob('[0-9]*'):
        with contextlib.suppress(OSError):
            if (process / 'exe').readlink().name == program and argument.encode() in (process / 'cmdline').read_bytes():
                return int(process.name)
    raise RuntimeError(f'no {program} with {argument}')


# --- from datagram to alert ---

def alert_figures(folder: Path, engines: Sequence[str], seconds: float, say: Callable[[str], None]) -> list[Figure]:
    """Distinct alerts for so many seconds and a storm on each engine, and on SQLite a burst beside syncs."""
    figures: list[Figure] = []
    for engine in (engine for engine in ENGINES if engine in engines):
        with _house(engine, folder) as house:
            say(f'{engine}: {RATE} traps/s for {seconds:g} s')
            figures += _paced(house, seconds)
            say(f'{engine}: a storm of one alert')
            figures.append(_storm(house))
            if engine == 'sqlite':
                say(f'{engine}: a burst beside syncs')
                figures.append(_burst_beside_syncs(house))
    return figures


@dataclasses.dataclass(frozen=True)
class _House:
    """A running `delfin-all` that knows the arrays of `traffic`."""

    engine: str
    site: Site
    process: Process
    traffic: Traffic


@contextlib.contextmanager
def _house(engine: str, folder: Path) -> Iterator[_House]:
    root = folder / f'traps-{engine}'
    traffic = Traffic(free_udp_ports()[0], sources=ARRAYS, community=COMMUNITY)
    with contextlib.ExitStack() as stack:
        database = None
        if engine == 'postgresql':
            database = stack.enter_context(stack.enter_context(PostgreSQL()).database())
        site = Site(root, database=database, alerts={'listen': f'127.0.0.1:{traffic.port}'})
        process = stack.enter_context(site.start()).ready()
        _register(process, traffic.addresses)
        yield _House(engine, site, process, traffic)
        process.stop()


def _register(process: Process, addresses: Sequence[str]) -> None:
    """An array without resources for each address; returns when Delfin has nothing more to do about them."""
    def register(number: int) -> None:
        client = Client(process.site.port)
        body = fake(_FIRST_ARRAY_PORT + number, **dict.fromkeys(SIZES, '0'))
        storage = client.post('/v1/storages', body, 201)
        answer = client.request('PUT', f'/v1/storages/{storage["id"]}/snmp-config', json={
            'host': addresses[number], 'version': 'SNMPv2c', 'community_string': COMMUNITY,
            'expiration': 1, 'retry_num': 0})
        if answer.status_code != 200:
            raise RuntimeError(f'{addresses[number]}: {answer.text}')

    def at_rest() -> bool:
        storages = process.client.get('/v1/storages', limit=1000)['storages']
        configs = process.client.get('/v1/snmp-configs')['snmp_configs']
        return (all(one['sync_status'] == 'SYNCED' for one in storages)
                and len(configs) == len(addresses) and all(one['probe_state'] for one in configs))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(register, range(len(addresses))))
    wait_for('all arrays synced and their agents asked once', at_rest, _PROBE_SECONDS)


def _paced(house: _House, seconds: float) -> Iterator[Figure]:
    traffic = dataclasses.replace(house.traffic, first=_PACED_FIRST)
    numbers = range(_PACED_FIRST, _PACED_FIRST + round(RATE * seconds))
    with _looking(house) as look, Child(traffic, len(numbers), RATE) as child:
        child.ready()
        child.go()
        seen = _watch(look, numbers)
        sent = child.result()
    _check_spool(house)
    waits = [one.at - one.made_at for one in seen.values()]
    if not waits:
        raise RuntimeError(f'no trap became an alert: see {house.site.log}')
    behind = (f'{RATE} traps/s from {ARRAYS} sources for {sent.seconds:.0f} s, at worst {sent.lag_seconds:.2f} s '
              f'behind time')
    yield Figure('from datagram to visible alert, p99', house.engine, percentile(waits, 99), 's', P99_LIMIT_SECONDS,
                 f'median {statistics.median(waits):.3f} s, max {max(waits):.2f} s; {behind}')
    yield Figure(f'lost of {len(numbers):,} traps, {RATE} each second', house.engine, len(numbers) - len(seen),
                 'traps', 0, _told_losses(house))


def _storm(house: _House) -> Figure:
    """Raises unless the storm is one row that has counted every trap."""
    traffic = dataclasses.replace(house.traffic, sources=1, alerts=1)
    database = Database(house.site.database)
    statement = sa.text('SELECT count(*), max(count) FROM alerts WHERE sequence_number = :number')

    def stored() -> tuple[int, int]:
        with database.read() as connection:
            rows, count = connection.execute(statement, {'number': f'{0:010}'}).one()
        return rows, count or 0
    try:
        with Child(traffic, STORM, _STORM_RATE) as child:
            child.ready()
            began = time.monotonic()
            child.go()
            child.result()
            complete = wait_until(lambda: stored() == (1, STORM), _QUIET_SECONDS)
            seconds = time.monotonic() - began
        rows, count = stored()
    finally:
        database.close()
    if not complete:
        raise RuntimeError(f'{STORM} traps of one alert became {rows} rows, the largest of {count}; '
                           f'{_told_losses(house)}: see {house.site.log}')
    return Figure(f'rows of {STORM:,} traps of one alert', house.engine, rows, 'rows', 1,
                  f'its count is {count:,}; {_STORM_RATE:,} traps/s, all counted after {seconds:.1f} s')


def _burst_beside_syncs(house: _House) -> Figure:
    control = house.site.root / 'array.json'
    control.write_text('{}')
    storage = house.process.client.post('/v1/storages', fake(
        _LARGE_ARRAY_PORT, volumes=str(ROWS), control_file=str(control)), 201)
    _ended(house.process, storage['id'])
    traffic = dataclasses.replace(house.traffic, first=_BURST_FIRST)
    numbers = range(_BURST_FIRST, _BURST_FIRST + BURST)
    client = Client(house.site.port)        # the other one is of the thread that syncs
    with _looking(house) as look, Child(traffic, BURST) as child:
        child.ready()
        with _syncing(house.process, storage['id'], control) as done:
            wait_for('a sync under way', lambda: done or client.get(
                f'/v1/storages/{storage["id"]}')['sync_status'] == 'SYNCING')
            before, began = len(done), time.time()
            child.go()
            seen = _watch(look, numbers)
            finished = len(done) - before
        sent = child.result()
    _check_spool(house)
    return Figure(f'lost of a burst of {BURST:,} traps while syncs of {ROWS:,} volumes follow one another',
                  house.engine, BURST - len(seen), 'traps', 0, _burst_basis(house, sent, seen, began, finished))


def _burst_basis(house: _House, sent: Sent, seen: Mapping[int, _Seen], began: float, finished: int) -> str:
    last = max((one.at for one in seen.values()), default=began) - began
    return (f'receive buffer of {_receive_buffer() / 2**20:.0f} MiB; sent in {sent.seconds:.2f} s ({sent.rate:,.0f} '
            f'traps/s); all that arrived were alerts after {last:.1f} s, {finished} syncs ended meanwhile; '
            f'{_told_losses(house)}')


def _receive_buffer() -> int:
    """What the kernel gives a process with our rights that asks for what Delfin asks for by default."""
    asked = next(option.default for option in ALERTS_OPTS if option.name == 'receive_buffer_mb')
    listener = open_socket('127.0.0.1', 0, asked * 2**20)
    try:
        return listener.buffer_bytes
    finally:
        listener.close()


def _told_losses(house: _House) -> str:
    """What kernel and Delfin say themselves of what they did not take."""
    refused = sum(row['count'] for row in Client(house.site.port).get('/v1/traps/rejected')['rejected_traps'])
    return f'kernel dropped {_dropped(house.traffic.port):,}, Delfin refused {refused:,}'


def _dropped(port: int) -> int:
    """How many datagrams the kernel has thrown away at a UDP port of IPv4."""
    lines = Path('/proc/net/udp').read_text().splitlines()[1:]
    return sum(int(fields[-1]) for fields in map(str.split, lines) if fields[1].endswith(f':{port:04X}'))


def _check_spool(house: _House) -> None:
    """What waits for longer than we do is neither an alert nor lost. Rows leave the spool after their alerts are seen.
    """
    def waiting() -> int:
        count, = spool.execute('SELECT count(*) FROM traps').fetchone()
        return int(count)
    with contextlib.closing(sqlite3.connect(house.site.root / 'state' / 'traps.sqlite')) as spool:
        if not wait_until(lambda: not waiting(), _QUIET_SECONDS):
            raise RuntimeError(f'{waiting()} traps still wait in the spool: see {house.site.log}')


# --- looking for alerts ---

@dataclasses.dataclass(frozen=True)
class _Seen:
    """A trap's alert: when the trap was made and when the alert could be read, epoch seconds."""

    made_at: float
    at: float


# The (sequence number, occur_time) of alerts that were not there before, and perhaps of some that were.
Look = Callable[[], Iterable[tuple[str, int]]]


def _watch(look: Look, numbers: range) -> dict[int, _Seen]:
    """Look until all these traps are alerts, or no further one becomes one."""
    seen: dict[int, _Seen] = {}
    news_at = time.monotonic()
    while len(seen) < len(numbers) and time.monotonic() - news_at < _QUIET_SECONDS:
        rows = look()
        at, before = time.time(), len(seen)
        for text, made_ms in rows:
            number = int(text)
            if number in numbers and number not in seen:
                seen[number] = _Seen(made_ms / 1000, at)
        if len(seen) > before:
            news_at = time.monotonic()
        time.sleep(_LOOK_SECONDS)
    return seen


@contextlib.contextmanager
def _looking(house: _House) -> Iterator[Look]:
    """A reader's own connection."""
    if house.engine == 'sqlite':
        file = sa.make_url(house.site.database).database
        with contextlib.closing(sqlite3.connect(f'file:{file}?mode=ro', uri=True, isolation_level=None)) as connection:
            yield _SqliteLook(connection)
    else:
        url = sa.make_url(house.site.database).set(drivername='postgresql').render_as_string(hide_password=False)
        with psycopg.connect(url, autocommit=True) as server:
            server.execute('SET enable_seqscan = off')      # to look must not cost what is looked at
            yield _PostgresqlLook(server)


class _SqliteLook:
    """One writes at a time, and rows are numbered as they are written."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._last, = connection.execute('SELECT coalesce(max(rowid), 0) FROM alerts').fetchone()

    def __call__(self) -> Iterable[tuple[str, int]]:
        rows = self._connection.execute(
            "SELECT rowid, sequence_number, occur_time FROM alerts WHERE rowid > ? AND origin = 'trap' ORDER BY rowid",
            (self._last,)).fetchall()
        if rows:
            self._last = rows[-1][0]
        return [(number, made_ms) for _, number, made_ms in rows]


class _PostgresqlLook:
    """Transactions end in another order than they began. One that could not be seen last time was open then, or has
    begun since: its alerts are not older than the oldest one that was open then.
    """

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._since = self._oldest()

    def _oldest(self) -> Any:
        row = self._connection.execute(
            "SELECT min(xact_start) AT TIME ZONE 'utc' - interval '10 ms' FROM pg_stat_activity "
            "WHERE datname = current_database() AND backend_type = 'client backend'").fetchone()
        assert row is not None
        return row[0]

    def __call__(self) -> Iterable[tuple[str, int]]:
        oldest = self._oldest()
        rows = self._connection.execute(
            "SELECT sequence_number, occur_time FROM alerts WHERE created_at >= %s AND origin = 'trap'",
            (self._since,)).fetchall()
        self._since = oldest
        return rows


# --- the command ---

def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog='python -m tests.benchmarks.traps',
                                     description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--rounds', type=int, default=ROUNDS)
    parser.add_argument('--count', type=int, default=COUNT, help='traps of a burst')
    parser.add_argument('--alerts', action='store_true', help='not reception, but the way to the alert')
    parser.add_argument('--seconds', type=float, default=SECONDS, help=f'how long {RATE} traps/s go on, with --alerts')
    parser.add_argument('--engines', default=','.join(ENGINES), help='which databases, separated by commas, with '
                                                                     '--alerts')
    parser.add_argument('--receive', type=json.loads, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.receive is not None:
        _CHILDREN[given.receive.pop('what')](**given.receive)
        return
    with tempfile.TemporaryDirectory(prefix='delfin-benchmarks-') as folder:
        if given.alerts:
            print(report.text([], alert_figures(Path(folder), given.engines.split(','), given.seconds,
                                                lambda text: print(text, file=sys.stderr, flush=True))))
            return
        found = readings(Path(folder), given.rounds, given.count)
    for line in _table(found):
        print(line)


def _table(found: Sequence[Reading]) -> Iterator[str]:
    head = ('receiver', 'version', 'µs of CPU a trap', 'traps/s on a core', f'speed, {FLOOR} = 1', 'rounds')
    layout = '{:<10} {:<12} {:>17} {:>18} {:>21}  {}'
    yield f'{found[0].count} traps in a burst from {SOURCES} sources'
    yield layout.format(*head)
    for version in VERSIONS:
        floor = _costs(found, FLOOR, version)
        for name in RECEIVERS:
            costs = _costs(found, name, version)
            rate = statistics.median(one.rate for one in found if (one.receiver, one.version) == (name, version))
            ratios = [its / own for own, its in zip(costs, floor, strict=True)]
            yield layout.format(name, version, f'{statistics.median(costs):.1f}', f'{rate:,.0f}',
                                _RATIO.format(statistics.median(ratios)),
                                ' to '.join(map(_RATIO.format, (min(ratios), max(ratios)))))


if __name__ == '__main__':
    main()
