# SPDX-License-Identifier: Apache-2.0
"""What all engines share: finding programs, free ports, a private directory, start, readiness, end
and clean-up."""

from __future__ import annotations

import abc
import contextlib
import ctypes.util
import fcntl
import functools
import os
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from tests.engines.keeper import Plan, as_identity

_ROOT = Path(__file__).resolve().parents[2]
_TMP = Path('/tmp')  # not $TMPDIR: any user can reach it, and the paths of sockets must be short

# Below the range from which the kernel takes ports for outgoing connections (32768 and up), so that
# none of them takes the port of an engine that is stopped for a moment.
_PORTS = range(20000, 32768)
_PORT_ATTEMPTS = 5

# A directory that is unlocked and older belongs to nobody; a younger one may be between its
# creation and its lock.
_STALE_SECONDS = 60.0


class EngineError(RuntimeError):
    """The server or one of its tools failed; the message contains what it had to say."""


class NotPossible(EngineError):
    """This cannot be had here (for instance without root), which is a reason to skip a test."""


@functools.cache
def _without_syncing() -> dict[str, str]:
    """Variables that let fsync do nothing, where libeatmydata is installed.

    What is written survives a SIGKILL, not a power failure, which no test makes; on slow disks
    MariaDB makes a schema five times as fast.
    """
    library = ctypes.util.find_library('eatmydata')
    return {'LD_PRELOAD': library} if library else {}


class _ServerEnded(EngineError):
    """The server ended before it answered."""


class Engine(abc.ABC):
    """A private server. A subclass says which programs it needs, how it is started and how it is
    asked."""

    name: ClassVar[str]
    package: ClassVar[str]  # of Debian
    programs: ClassVar[tuple[str, ...]]
    places: ClassVar[tuple[str, ...]] = ('$PATH', '/usr/sbin')  # patterns, in this order
    root_runs_as: ClassVar[str | None] = 'nobody'  # None: root stays root
    port_count: ClassVar[int] = 1
    start_seconds: ClassVar[float] = 60.0
    stop_seconds: ClassVar[float] = 30.0
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    end_signal: ClassVar[signal.Signals] = signal.SIGKILL  # when the data are thrown away
    end_seconds: ClassVar[float] = 5.0

    def __init__(self) -> None:
        self.ports: tuple[int, ...] = ()
        self._directory: Path | None = None
        self._lock = -1
        self._keeper: subprocess.Popen[bytes] | None = None

    # What a subclass says

    def prepare(self) -> None:  # noqa: B027 - nothing to do is a good default
        """Called once, before the first start, when `home` exists: make keys and the like."""

    @abc.abstractmethod
    def commands(self) -> list[list[str]]:
        """The commands of a start, the last one being the server in the foreground; called before
        each start."""

    @abc.abstractmethod
    def check(self) -> None:
        """Ask the server and raise anything if it does not answer, or if another server answers on
        its port."""

    def environment(self) -> dict[str, str]:
        """The whole environment of the server. That of the tests (PGHOST, RABBITMQ_…) stays
        outside."""
        path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
        return {
            'PATH': path,
            'LANG': 'C.UTF-8',
            'HOME': str(self.home),
            'TMPDIR': str(self.home),
        } | _without_syncing()

    @classmethod  # noqa: B027 - as above
    def release(cls, directory: Path) -> None:
        """Undo what the engine in `directory` did outside of it. Its server is dead, its object may
        be too."""

    # What a test uses

    @classmethod
    def missing(cls) -> str | None:
        """None if this machine has the programs, else a line that says what to install."""
        absent = [program for program in cls.programs if not find_program(program, cls.places)]
        if not absent:
            return None
        return f'{cls.name} needs {", ".join(absent)}: apt-get install {cls.package}'

    @classmethod
    def program(cls, name: str) -> str:
        """The path of one of the engine's programs."""
        path = find_program(name, cls.places)
        if path is None:
            raise EngineError(f'{cls.name} needs {name}: apt-get install {cls.package}')
        return path

    @property
    def running(self) -> bool:
        return self._keeper is not None and self._keeper.poll() is None

    @property
    def directory(self) -> Path:
        """The engine's directory; owned by the user of the tests, open for passing through only."""
        if self._directory is None:
            raise EngineError(f'{self.name} was not started')
        return self._directory

    @property
    def home(self) -> Path:
        """The part of the directory that belongs to the server."""
        return self.directory / 'home'

    @property
    def port(self) -> int:
        return self.ports[0]

    def start(self) -> Self:
        """Start and wait for the first answer; nothing happens if it runs. A first start that fails
        leaves nothing."""
        if self.running:
            return self
        first = self._directory is None
        try:
            if first:
                self._open()
            self._run(attempts=_PORT_ATTEMPTS if first else 1)
        except BaseException:
            if first:
                self.close()
            else:
                self._end(signal.SIGKILL, self.end_seconds)
            raise
        return self

    def stop(self) -> None:
        """Stop in the orderly way; data and ports are kept for the next start."""
        if not self._end(self.stop_signal, self.stop_seconds):
            raise EngineError(
                f'{self.name} did not stop within {self.stop_seconds:g} s of '
                f'{self.stop_signal.name} and was killed; the end of its log:\n{self.log_tail()}'
            )

    def kill(self) -> None:
        """SIGKILL to the server and all its processes, as in a crash; data and ports are kept."""
        self._end(signal.SIGKILL, self.stop_seconds)

    def restart(self) -> None:
        self.stop()
        self.start()

    def close(self) -> None:
        """End the server without ceremony and remove everything."""
        self._end(self.end_signal, self.end_seconds)
        if self._directory is not None:
            self.discard(self._directory)
            self._directory = None
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def log_tail(self, lines: int = 30) -> str:
        """The last lines that the server and its preparation wrote."""
        if self._directory is None or not self._log.exists():
            return ''
        with self._log.open('rb') as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 200 * lines))
            return '\n'.join(log.read().decode(errors='replace').splitlines()[-lines:])

    def run(self, command: Sequence[str], stdin: str = '') -> str:
        """Run a tool to its end as the server's user; its output. It has as long as the server has
        to start."""
        try:
            done = subprocess.run(  # type: ignore[call-overload]
                command,
                input=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=self.start_seconds,
                cwd=self.home,
                env=self.environment(),
                **as_identity(self._identity()),
            )
        except subprocess.TimeoutExpired as error:
            said = (error.stdout or b'').decode(errors='replace')
            raise EngineError(
                f'{command[0]} did not end within {error.timeout:g} s:\n{said}'
            ) from error
        if done.returncode != 0:
            raise EngineError(f'{command[0]} ended with {done.returncode}:\n{done.stdout}')
        return str(done.stdout)

    def write(self, name: str, text: str) -> Path:
        """Write a file below `home` that the server can read, whatever the umask."""
        path = self.home / name
        path.parent.mkdir(mode=0o755, exist_ok=True)
        path.write_text(text)
        path.chmod(0o644)
        return path

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # Remains of dead test processes

    @classmethod
    def sweep(cls) -> None:
        """Remove what test processes left whose keeper was killed with them (or the machine with
        both)."""
        for directory in _TMP.glob(f'{cls._prefix()}*'):
            try:
                lock = _locked(directory)
            except OSError:
                continue  # in use, or removed by somebody else
            try:
                status = os.fstat(lock)
                old = time.time() - status.st_mtime > _STALE_SECONDS
                if old and status.st_uid == os.geteuid():
                    cls.discard(directory)
            finally:
                os.close(lock)

    @classmethod
    def discard(cls, directory: Path) -> None:
        """Remove the directory of an engine whose server is dead, and what belongs to it
        elsewhere."""
        cls.release(directory)
        shutil.rmtree(directory)

    @classmethod
    def _prefix(cls) -> str:
        return f'delfin-engine-{cls.name.lower()}-'

    # The mechanism

    @property
    def _log(self) -> Path:
        return self.directory / 'server.log'

    @classmethod
    def _identity(cls) -> tuple[int, int] | None:
        if os.geteuid() != 0 or cls.root_runs_as is None:
            return None
        user = pwd.getpwnam(cls.root_runs_as)
        return user.pw_uid, user.pw_gid

    def _open(self) -> None:
        for program in self.programs:
            self.program(program)
        self.sweep()
        self._directory = Path(tempfile.mkdtemp(prefix=self._prefix(), dir=_TMP))
        self._lock = _locked(self._directory)
        self._directory.chmod(0o711)
        self.home.mkdir()
        self.home.chmod(0o711)
        identity = self._identity()
        if identity is not None:
            os.chown(self.home, *identity)
        self.prepare()

    def _run(self, attempts: int) -> None:
        """Launch and wait. A server that ends because somebody took its port meanwhile gets others,
        if it may."""
        for left in reversed(range(attempts)):
            if not self.ports or attempts > 1:
                self.ports = free_ports(self.port_count)
            self._launch()
            try:
                return self._await_answer()
            except _ServerEnded:
                if not left or all(map(is_free, self.ports)):
                    raise

    def _launch(self) -> None:
        self._forget_keeper()
        plan = Plan(
            engine=self._importable(),
            directory=str(self.directory),
            test_process=os.getpid(),
            commands=self.commands(),
            environment=self.environment(),
            identity=self._identity(),
            end_signal=self.end_signal,
            end_seconds=self.end_seconds,
        )
        with self._log.open('ab') as log:
            self._keeper = subprocess.Popen(
                plan.arguments(),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                env=os.environ | {'PYTHONPATH': os.pathsep.join([str(_ROOT), *sys.path])},
                start_new_session=True,
                pass_fds=[self._lock],  # in use as long as one of both lives
            )

    @classmethod
    def _importable(cls) -> str:
        """'module:Class' of the nearest class that another process can find; a test may have
        refined it within a function."""
        for kind in cls.__mro__:
            if kind.__module__ != '__main__' and '<locals>' not in kind.__qualname__:
                return f'{kind.__module__}:{kind.__qualname__}'
        raise AssertionError('Engine itself is importable')

    def _await_answer(self) -> None:
        last: Exception | None = None

        def answered() -> bool:
            nonlocal last
            if not self.running:
                raise _ServerEnded(
                    f'{self.name} ended at its start; the end of its log:\n{self.log_tail()}'
                )
            try:
                self.check()
            except Exception as error:  # every client has its own way of saying "not yet"
                last = error
                return False
            return True

        if not wait_until(answered, self.start_seconds):
            raise EngineError(
                f'{self.name} did not answer within {self.start_seconds:g} s ({last}); '
                f'the end of its log:\n{self.log_tail()}'
            )

    def _end(self, number: signal.Signals, seconds: float) -> bool:
        """Send a signal and wait for the end, by SIGKILL if need be; whether the signal
        sufficed."""
        sufficed = True
        if self._keeper is not None:
            self._send(number)
            try:
                self._keeper.wait(seconds)
            except subprocess.TimeoutExpired:
                sufficed = False
                self._send(signal.SIGKILL)
                self._keeper.wait(self.stop_seconds)
            self._forget_keeper()
        return sufficed

    def _send(self, number: signal.Signals) -> None:
        if self._keeper is not None and self._keeper.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # it has ended
                os.write(self._keeper.stdin.fileno(), bytes([number]))

    def _forget_keeper(self) -> None:
        """Let go of a keeper that has ended."""
        if self._keeper is not None and self._keeper.stdin is not None:
            self._keeper.stdin.close()
        self._keeper = None


def wait_until(probe: Callable[[], object], seconds: float) -> bool:
    """Ask again and again, with growing pauses, until the answer is true or the time is over. The
    only place of the tests that waits by the clock."""
    deadline = time.monotonic() + seconds
    pause = 0.01
    while not probe():
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(pause, left))
        pause = min(pause * 1.5, 0.25)
    return True


def find_program(name: str, places: Sequence[str]) -> str | None:
    """The program in the first of the places that has it; of a pattern's folders the highest
    version comes first."""
    for place in places:
        folders = os.get_exec_path() if place == '$PATH' else _newest_first(place)
        found = shutil.which(name, path=os.pathsep.join(folders)) if folders else None
        if found:
            return found
    return None


def _newest_first(pattern: str) -> list[str]:
    folders = [str(folder) for folder in Path('/').glob(pattern.lstrip('/'))]
    return sorted(
        folders, key=lambda folder: [int(n) for n in re.findall(r'\d+', folder)], reverse=True
    )


def free_ports(count: int) -> tuple[int, ...]:
    """Different ports of 127.0.0.1 on which nobody listens at this moment."""
    found: list[int] = []
    for port in random.sample(_PORTS, len(_PORTS)):
        if len(found) == count:
            break
        if is_free(port):
            found.append(port)
    return tuple(found)


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(('127.0.0.1', port))
        except OSError:
            return False
    return True


def _locked(directory: Path) -> int:
    """A descriptor of the directory that holds its exclusive lock; OSError if another process holds
    it."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
