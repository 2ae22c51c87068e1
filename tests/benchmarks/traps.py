# SPDX-License-Identifier: Apache-2.0
"""Receivers of traps beside each other: what a trap costs, on one core.

    python -m tests.benchmarks.traps [--rounds 5] [--count 5000]

Each receiver is a process on a core of its own; the traps come from another process (`tests.traps`) on another core, in
a burst that the receiver's socket buffer can hold, so that none is lost and the receiver does nothing but work. What it
costs is the processor time of the receiver's process, user and kernel, divided by the traps; its rate is that of the
burst from the first datagram to the last trap that is done with. The receivers take turns, and a ratio is one of the
same round: microseconds depend on the machine, ratios hardly do.

* `snmptrapd` of net-snmp with its text log, without look-ups of names;
* a plain notification receiver of pysnmp on asyncio, which counts;
* Delfin into the spool: `delfin_into_spool`.
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
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from tests.benchmarks.measure import Comparison
from tests.engines.base import wait_until
from tests.engines.snmp import USERS, Snmptrapd, User
from tests.traps import Child, Traffic

SOURCES = 4
COUNT = 5_000
ROUNDS = 5
COMMUNITY = 'public'
VERSIONS: Mapping[str, User | None] = {'v2c': None, 'v3 authPriv': USERS[-1]}
# Delfin's cost as a part of snmptrapd's.
TARGETS: Mapping[str, float] = {'v2c': 1 / 1.5, 'v3 authPriv': 1 / 1.3}

_BUFFER_BYTES = 4 << 20
_TRAP_BYTES_IN_BUFFER = 1280    # what the kernel counts for one of 300 to 400 bytes
_WARM_UP = 100
_SECONDS = 120.0
_RATIO = '{:.2f}'


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


def measure(folder: Path, rounds: int = ROUNDS) -> list[Comparison]:
    """Delfin's cost of a trap against snmptrapd's."""
    return comparisons(readings(folder, rounds), DELFIN)


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


# --- the command ---

def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog='python -m tests.benchmarks.traps',
                                     description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--rounds', type=int, default=ROUNDS)
    parser.add_argument('--count', type=int, default=COUNT, help='traps of a burst')
    parser.add_argument('--receive', type=json.loads, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.receive is not None:
        _CHILDREN[given.receive.pop('what')](**given.receive)
        return
    with tempfile.TemporaryDirectory(prefix='delfin-benchmarks-') as folder:
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
