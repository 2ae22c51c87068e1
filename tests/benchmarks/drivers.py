# SPDX-License-Identifier: Apache-2.0
"""Drivers of real arrays against a bare loop that fetches the same bytes.

Each array is a simulator in a process of its own, without latency, with 10,000 volumes and what usually is around them.
The floor sends what the driver has sent, one request after the other with one session and connection. It does nothing
with the answers, or, as a second floor, reads them (JSON; lines into fields). So the ratios are the cost of everything
that the driver does beside, and may be below 1 where it asks for several things at once.
"""

from __future__ import annotations

import contextlib
import re
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import paramiko
import requests

from delfin import access, service
from delfin.drivers.driver import StorageDriver
from delfin.drivers.huawei.oceanstor import OceanStorDriver
from delfin.drivers.ibm.storwize_svc import StorwizeDriver
from delfin.drivers.kit.shell import Shell
from tests.benchmarks.measure import Comparison, Figure
from tests.drivers.inventory import inventory_methods

VOLUMES = 10_000
TARGET = 1.5
CPU_LIMIT_MS = 50.0         # for 1,000 rows of volumes
LISTS = 20                  # kinds, as most, that a command line lists beside volumes
REQUESTS_BESIDE = 2         # more than full pages: one to see the end, one for something general
_ROUNDS = 5
_START_SECONDS = 60
_TIMEOUT = 60
_CHUNK_BYTES = 65536


class Rig(NamedTuple):
    """A running array with its driver. `record()` begins to note what the driver asks; the function that it returns
    asks the same again, in the plainest way. `move()` changes what the array has to tell, so that it has to make its
    answers anew; `logins` counts those that the array has seen.
    """

    driver: StorageDriver
    page: int                               # volumes in an answer
    singles: int                            # objects that the array tells of only one by one, and lists of others
    record: Callable[[], Recorded]
    move: Callable[[], object]
    logins: Callable[[], int]


class Recorded(NamedTuple):
    """What was asked since, and how to ask it again."""

    count: Callable[[], int]
    repeat: Callable[[bool], None]          # whether answers are read


# --- vendors ---

@contextlib.contextmanager
def huawei(folder: Path) -> Iterator[Rig]:
    """An OceanStor."""
    authority = folder / 'huawei.pem'
    with _process('tests.simulators.huawei', '--port', '0', '--luns', str(VOLUMES), '--move', '0',
                  '--certificate', str(authority)) as said:
        host, port = re.search(r'array +https://(.+):(\d+)/.* as', said).groups()        # type: ignore[union-attr]
        username, password = re.search(r' as (\S+) / (\S+)', said).groups()              # type: ignore[union-attr]
        control = re.search(r'control +(\S+)/', said)[1]                                 # type: ignore[index]
        driver = OceanStorDriver(**access.for_driver({'vendor': 'huawei', 'model': 'oceanstor', 'rest': {
            'host': host, 'port': int(port), 'username': username, 'password': password,
            'ca_cert': authority.read_text()}}, '1', {}))

        def log_in(session: requests.Session) -> None:
            told = session.post(f'https://{host}:{port}/deviceManager/rest/xxxxx/sessions', timeout=_TIMEOUT,
                                json={'username': username, 'password': password, 'scope': '0'}).json()
            session.headers['iBaseToken'] = told['data']['iBaseToken']
        with _bare_session(authority) as session:
            log_in(session)
            yield Rig(driver, 100, 0, lambda: _recorded(driver.session._client, session), partial(_move, control),
                      lambda: int(requests.get(f'{control}/state', timeout=_TIMEOUT).json()['logins']) - 1)
            driver.delete_storage(None)


@contextlib.contextmanager
def ibm(folder: Path) -> Iterator[Rig]:
    """A Storwize: hosts, nodes and external MDisks are told of one by one."""
    with _process('tests.simulators.ibm', '--port', '0', '--volumes', str(VOLUMES), '--level', '8.7',
                  '--control-port', '0') as said:
        host, port = re.search(r'array +(\S+):(\d+) ', said).groups()                    # type: ignore[union-attr]
        username, password, fingerprint = re.search(
            r' as (\S+) / (\S+), (SHA256:\S+)', said).groups()                           # type: ignore[union-attr]
        control = re.search(r'control +(\S+)/', said)[1]                                 # type: ignore[index]
        driver = StorwizeDriver(**access.for_driver({'vendor': 'ibm', 'model': 'storwize_svc', 'ssh': {
            'host': host, 'port': int(port), 'username': username, 'password': password,
            'fingerprint': fingerprint}}, '1', {}))

        def state() -> Any:
            return requests.get(f'{control}/state', timeout=_TIMEOUT).json()
        there = state()['objects']
        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        sock = socket.create_connection((host, int(port)), _TIMEOUT)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)      # else each command waits 40 ms for an ACK
        client.connect(host, int(port), username, password, sock=sock, look_for_keys=False, allow_agent=False)
        with contextlib.closing(client):
            yield Rig(driver, VOLUMES, there['host'] + there['mdisk'] + 2 * there['node'] + LISTS,
                      lambda: _recorded_commands(driver.session._shell, client), partial(_move, control),
                      lambda: int(state()['logins']) - 1)
            driver.delete_storage(None)


def _move(control: str) -> None:
    requests.post(f'{control}/move', json={}, timeout=_TIMEOUT).raise_for_status()


VENDORS = {'huawei oceanstor': huawei, 'ibm storwize_svc': ibm}


# --- the measurement ---

def measure(folder: Path) -> tuple[list[Comparison], list[Figure]]:
    """All vendors, in an interpreter that is set up as the services'."""
    service.tune_interpreter()
    found: tuple[list[Comparison], list[Figure]] = ([], [])
    for name, start in VENDORS.items():
        with start(folder) as rig:
            comparisons, figures = _of(name, rig)
        found[0].extend(comparisons)
        found[1].extend(figures)
    return found


def _of(name: str, rig: Rig) -> tuple[list[Comparison], list[Figure]]:
    def volumes() -> int:
        return sum(1 for _ in rig.driver.list_volumes(None))

    def everything() -> int:
        rows = 0
        for method in inventory_methods(rig.driver):
            answer = getattr(rig.driver, method)(None)
            rows += sum(map(len, answer.values())) if method.endswith('groups') else len(list(answer))
        return rows
    comparisons, figures = [], []
    for what, call in (('volumes', volumes), ('the whole inventory', everything)):
        call()          # logs in, learns
        recorded = rig.record()
        rows = call()
        recorded.repeat(False)
        floors: dict[str, list[float]] = {'the same requests': [], 'the same requests, answers read': []}
        ours, busy = [], []
        anew: tuple[list[float], list[float]] = ([], [])
        for _ in range(_ROUNDS):
            for times, ask in zip(anew, (partial(recorded.repeat, False), call), strict=True):
                rig.move()
                times.append(_milliseconds(ask)[0])
            for times, reads in zip(floors.values(), (False, True), strict=True):
                times.append(_milliseconds(partial(recorded.repeat, reads))[0])
            wall, processor = _milliseconds(call)
            ours.append(wall)
            busy.append(processor / rows * 1000)
        comparisons += [Comparison(
            f'{what}: {rows:,} rows', name, against, statistics.median(times), statistics.median(our_times), TARGET,
            ratios=tuple(our / floor for our, floor in zip(our_times, times, strict=True)))
            for against, times, our_times in (
                ('the same requests, answers made anew', *anew),
                *((against, times, ours) for against, times in floors.items()))]
        figures.append(Figure(f'processor time for 1,000 rows, {what}', name, statistics.median(busy), 'ms',
                              CPU_LIMIT_MS, f'{rows:,} rows', tuple(busy)))
        if what == 'volumes':
            figures.append(Figure('requests for all volumes', name, recorded.count(), '',
                                  VOLUMES / rig.page + REQUESTS_BESIDE, f'pages of {rig.page}'))
        else:
            figures.append(Figure('requests for the whole inventory', name, recorded.count(), '',
                                  rows / rig.page * 2 + rig.singles, f'two for each {rig.page:,} rows' + (
                                  f', and {rig.singles} for what is told of one by one' if rig.singles else '')))
    figures.append(Figure('logins', name, rig.logins(), '', 1, 'in all of this'))
    return comparisons, figures


def _milliseconds(call: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor time."""
    wall, processor = time.perf_counter(), time.process_time()
    call()
    return (time.perf_counter() - wall) * 1000, (time.process_time() - processor) * 1000


# --- asking again ---

def _recorded(client: Any, session: requests.Session) -> Recorded:
    """Of a driver's `RestClient`."""
    asked: list[tuple[str, str, Any]] = []
    do_call = type(client).do_call.__get__(client)

    def noted(url: str, data: Any, method: str, *more: Any) -> Any:
        asked.append((method, url if url.startswith('https://') else f'{client.san_address}{url}', data))
        return do_call(url, data, method, *more)

    def repeat(reads: bool) -> None:
        client.do_call = do_call
        for method, url, data in asked:
            answer = session.request(method, url, json=data, timeout=_TIMEOUT)
            assert answer.json() if reads else answer.content
    client.do_call = noted
    return Recorded(lambda: len(asked), repeat)


def _recorded_commands(shell: Shell, client: paramiko.SSHClient) -> Recorded:
    """Of a driver's connection; asked again with paramiko alone."""
    asked: list[str] = []
    run = type(shell).run.__get__(shell)

    def noted(command: str, *more: Any) -> Any:
        asked.append(command)
        return run(command, *more)

    def repeat(reads: bool) -> None:
        shell.run = run         # type: ignore[method-assign]
        for command in asked:
            # `client.exec_command` ends the input, which servers may take amiss when they have closed the channel.
            with client.get_transport().open_session(timeout=_TIMEOUT) as channel:      # type: ignore[union-attr]
                channel.exec_command(command)
                answer = b''.join(iter(partial(channel.recv, _CHUNK_BYTES), b''))
                channel.recv_exit_status()
            if reads:
                _ = [line.split('!') for line in answer.decode().split('\n')]
    shell.run = noted           # type: ignore[method-assign]
    return Recorded(lambda: len(asked), repeat)


@contextlib.contextmanager
def _bare_session(authority: Path) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        session.verify = str(authority)
        yield session


@contextlib.contextmanager
def _process(module: str, *arguments: str) -> Iterator[str]:
    """A simulator; the first lines that it prints, which say where it is."""
    with subprocess.Popen([sys.executable, '-m', module, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          text=True) as process:
        try:
            assert process.stdout is not None
            said = ''
            ends = time.monotonic() + _START_SECONDS
            while 'traps' not in said:
                line = process.stdout.readline()
                if not line or time.monotonic() > ends:
                    raise RuntimeError(f'{module} did not start')
                said += line
            yield said
        finally:
            process.terminate()
