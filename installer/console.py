# SPDX-License-Identifier: Apache-2.0
"""Talking to the person at the keyboard: progress lines, one clear line for each problem, and the log of a run."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
NO_RIGHTS = {errno.EACCES, errno.EPERM, errno.EROFS}


class Problem(Exception):
    """Something the person must put right. The text is one line and says what to do next."""


class Stopped(KeyboardInterrupt):
    """SIGTERM or SIGHUP came: clean up as after Ctrl-C."""


class Console:
    """Progress on standard output; a line is rewritten in place only where somebody watches it live."""

    def __init__(self, stream: IO[str] | None = None):
        self.stream = stream or sys.stdout
        self.live = self.stream.isatty() and os.environ.get('TERM', 'dumb') != 'dumb'
        self.pending = False

    def say(self, text: str = '') -> None:
        self._write(text + '\n')

    def begin(self, text: str, long: bool = False) -> None:
        """Say what is being done: on a terminal until the next line takes its place, elsewhere if it takes long."""
        if self.live or long:
            self._write(f'  ..  {text}' + ('' if self.live else '\n'))
        self.pending = self.live

    def done(self, text: str, mark: str = 'ok') -> None:
        self._write(f'  {mark}  {text}\n')

    def _write(self, text: str) -> None:
        if self.pending:
            text = '\r\033[K' + text
            self.pending = False
        try:
            self.stream.write(text)
            self.stream.flush()
        except BrokenPipeError:  # somebody piped us into `head`: go on in silence
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())


class RunLog:
    """What the programs called by a run had to say, in full. Begun with the first of them, kept only on failure."""

    def __init__(self, path: Path):
        self.path = path
        self._file: IO[bytes] | None = None

    def open(self) -> IO[bytes]:
        if self._file is None:
            self.path.parent.mkdir(exist_ok=True)
            self._file = self.path.open('wb')
        return self._file

    def run(self, command: Sequence[str | Path], env: dict[str, str] | None = None, hold_lock: bool = False) -> int:
        """Run a program to its end with all its output in the log; its exit code.

        With `hold_lock` the program has a share in the lock of the checkout: should we be killed, it stays locked until
        the program has ended, too.
        """
        log = self.open()
        log.write(f'$ {" ".join(map(str, command))}\n'.encode())
        log.flush()
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, close_fds=not hold_lock
        )
        return done.returncode

    def note(self, lines: list[str]) -> None:
        log = self.open()
        log.write('\n'.join([*lines, '']).encode())
        log.flush()

    def text(self) -> str:
        return self.path.read_text(errors='replace') if self.path.exists() else ''

    def remove(self) -> None:
        """After a success: also the log of an earlier failure goes."""
        if self._file is not None:
            self._file.close()
        if self.path.exists():
            self.path.unlink()
            if not any(self.path.parent.iterdir()):
                self.path.parent.rmdir()


def last_lines(path: Path, count: int) -> list[str]:
    try:
        return path.read_text(errors='replace').splitlines()[-count:]
    except OSError:
        return []


def guarded(name: str, command: Callable[[list[str]], int], arguments: list[str]) -> int:
    """Run a command; whatever goes wrong becomes one line on stderr and a non-zero exit code."""
    sys.stdout.reconfigure(errors='replace')  # type: ignore[union-attr]
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    try:
        return command(arguments)
    except Problem as problem:
        return _fail(name, str(problem))
    except KeyboardInterrupt:
        return _fail(name, 'stopped before it was done; it can simply be run again', 130)
    except OSError as error:
        if error.errno in NO_SPACE:
            where = error.filename or 'while writing'
            return _fail(name, f'no space left on the disk ({where}): make room, then run it again')
        if error.errno in NO_RIGHTS:
            return _fail(name, f'no permission for {error.filename}: run as its owner, or put the rights right')
        raise


def shield() -> None:
    """From here on only cleaning up: a second Ctrl-C must not leave half of that undone."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _stop(number: int, frame: object) -> None:
    raise Stopped


def _fail(name: str, text: str, code: int = 1) -> int:
    print(f'{name}: {text}', file=sys.stderr)
    return code
