# SPDX-License-Identifier: Apache-2.0
"""The process between a test process and its server, which outlives neither the one nor the other.

A test process can die without a chance to clean up (SIGKILL, a crash, a time limit), and a server
can leave processes behind that no longer belong to its process group (epmd makes itself a daemon,
sshd starts a session for each login, PostgreSQL one for each backend). The keeper therefore

* notices the end of the test process through a pidfd, whichever of its threads started the engine;
* adopts every orphan among the server's descendants (it is their "child subreaper"), so that none
  escapes it;
* takes the server with it when it is killed itself (the server has PR_SET_PDEATHSIG set);
* removes the engine's directory when the test process is gone and cannot.

It takes orders on its standard input: each byte is the number of a signal for the server, SIGKILL
meaning the server and all its descendants. The end of the input means that the engine was
abandoned.
"""

from __future__ import annotations

import ctypes
import dataclasses
import importlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclasses.dataclass(frozen=True)
class Plan:
    """What the keeper of one server run has to know; it travels as JSON on the keeper's command
    line."""

    engine: str  # 'module:Class', whose `discard` removes the directory of a dead test process
    directory: str
    test_process: int
    commands: list[list[str]]  # run one after the other; the last one is the server
    environment: dict[str, str]
    identity: tuple[int, int] | None  # user and group id to run as, None: those of the keeper
    end_signal: int
    end_seconds: float

    def arguments(self) -> list[str]:
        """The command that starts a keeper, which must be able to import what the caller can."""
        program = 'from tests.engines import keeper; keeper.main()'
        return [sys.executable, '-c', program, json.dumps(dataclasses.asdict(self))]

    @classmethod
    def from_arguments(cls) -> Plan:
        fields = json.loads(sys.argv[1])
        if fields['identity'] is not None:
            fields['identity'] = tuple(fields['identity'])
        return cls(**fields)


def as_identity(identity: tuple[int, int] | None) -> dict[str, object]:
    """The arguments of `subprocess` that run a command as this user and group, without further
    groups."""
    if identity is None:
        return {}
    user, group = identity
    return {'user': user, 'group': group, 'extra_groups': []}


def main() -> None:
    """Run the plan to its end and leave with the status of the last command that ran."""
    plan = Plan.from_arguments()
    os.umask(0o022)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    status = 1
    try:
        test_process = os.pidfd_open(plan.test_process)
        for command in plan.commands:
            status = _Run(plan, command).watch(test_process)
            if status != 0:
                break
    except (_Abandoned, ProcessLookupError):
        module, name = plan.engine.split(':')
        getattr(importlib.import_module(module), name).discard(Path(plan.directory))
    sys.exit(status if status >= 0 else 128 - status)


class _Abandoned(Exception):
    """Nobody is left who could stop the server."""


class _Run:
    """One command of the plan, from its start until it and all its descendants are gone."""

    def __init__(self, plan: Plan, command: list[str]) -> None:
        self._plan = plan
        self._process = subprocess.Popen(  # type: ignore[call-overload]
            command,
            stdin=subprocess.DEVNULL,
            cwd=Path(plan.directory) / 'home',
            env=plan.environment,
            start_new_session=True,
            preexec_fn=_dying_with(os.getpid()),
            **as_identity(plan.identity),
        )
        self._pidfd = os.pidfd_open(self._process.pid)

    def watch(self, test_process: int) -> int:
        """Carry out orders until the command ends; its status."""
        poller = select.poll()
        for descriptor in (test_process, self._pidfd, sys.stdin.fileno()):
            poller.register(descriptor, select.POLLIN)
        try:
            while True:
                ready = {descriptor for descriptor, _ in poller.poll()}
                if self._pidfd in ready:
                    return int(self._process.wait())
                if test_process in ready:
                    raise _Abandoned
                orders = os.read(sys.stdin.fileno(), 16)
                if not orders:
                    raise _Abandoned
                for number in orders:
                    self._signal(number)
        except _Abandoned:
            self._signal(self._plan.end_signal)
            _wait_for(self._pidfd, self._plan.end_seconds)
            raise
        finally:
            _kill_descendants()
            os.close(self._pidfd)

    def _signal(self, number: int) -> None:
        for pid in _descendants() if number == signal.SIGKILL else [self._process.pid]:
            _send(pid, number)


def _kill_descendants() -> None:
    """Kill and reap until nothing is left; an orphan of the killed becomes a child of ours and has
    its turn."""
    while children := [pid for pid, parent in _parents() if parent == os.getpid()]:
        for pid in _descendants():
            _send(pid, signal.SIGKILL)
        for pid in children:
            os.waitpid(pid, 0)


def _descendants() -> list[int]:
    """Every process below this one, parents before their children."""
    parents = dict(_parents())
    found = [os.getpid()]
    for ancestor in found:  # grows while it is walked
        found.extend(pid for pid, parent in parents.items() if parent == ancestor)
    return found[1:]


def _parents() -> Iterator[tuple[int, int]]:
    """Each process of the machine with its parent."""
    for entry in os.listdir('/proc'):
        if entry.isdigit():
            try:
                stat = Path('/proc', entry, 'stat').read_text(errors='replace')
            except (FileNotFoundError, ProcessLookupError):
                continue
            yield int(entry), int(stat.rpartition(')')[2].split()[1])


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return  # it was faster


def _wait_for(pidfd: int, seconds: float) -> None:
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    poller.poll(seconds * 1000)


def _dying_with(keeper: int) -> Callable[[], None]:
    """What the server's process does before it becomes the server. It comes after the change of
    user, because a change of user clears the death signal."""

    def prepare() -> None:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != keeper:
            os._exit(1)

    return prepare


def _prctl(option: int, value: int) -> None:
    if _LIBC.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f'prctl({option}) refused')
