# SPDX-License-Identifier: Apache-2.0
"""Running read-only commands, on this machine or over SSH.

Both ways run the same commands and read files with the same tools, so that a machine gives the same rows either way.
Commands are argument lists; the only text that a shell interprets are file patterns, which are constants of this
package and are checked.
"""

from __future__ import annotations

import abc
import contextlib
import os
import re
import selectors
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass

from delfin import exception
from delfin.drivers.kit.errors import ShellBroke
from delfin.drivers.kit.shell import Shell
from delfin.drivers.utils import ssh_connection
from delfin.drivers.utils.ssh_connection import CHUNK_BYTES, limit_output

COMMAND_TIMEOUT_SECONDS = 60.0
TOOL_MISSING_STATUS = 127       # of a shell that does not find the command (POSIX 2.8.2)
SYSTEM_PATHS = ('/usr/local/sbin', '/usr/sbin', '/sbin')    # ordinary users often lack them

_EPOCH_MS = '+%s%3N'
_PATTERN = re.compile(r'/[\w./*-]+')
_PATH_SCRIPT = f'PATH="$PATH:{":".join(SYSTEM_PATHS)}"; export PATH; exec "$@" </dev/null'


class ToolMissing(Exception):
    """The program does not exist on the machine."""

    def __init__(self, tool: str) -> None:
        super().__init__(f'{tool} is not installed')
        self.tool = tool


@dataclass(frozen=True, slots=True)
class Completed:
    """A finished command. Bytes that are not UTF-8 are shown as `\\xNN`."""

    tool: str
    stdout: str
    stderr: str
    status: int

    def require(self, *statuses: int, hint: str = '') -> str:
        """The output, if the exit status is 0 or one of `statuses`; else `StorageBackendException`."""
        if self.status == 0 or self.status in statuses:
            return self.stdout
        first_line = next((line.strip() for line in self.stderr.splitlines() if line.strip()), 'no error text')
        raise exception.StorageBackendException(
            f'{self.tool} ended with status {self.status}: {first_line}{f" ({hint})" if hint else ""}')


class Runner(abc.ABC):
    """Where commands run. Not for several threads at once."""

    address: str | None = None      # of the machine as we reach it; None: it is this one

    @abc.abstractmethod
    def run(self, argv: Sequence[str], timeout: float = COMMAND_TIMEOUT_SECONDS) -> Completed:
        """Run a command with LC_ALL=C and no input. `ToolMissing` if it does not exist; `StorageBackendException` if
        it takes more than `timeout` seconds or writes more than `ssh_connection.MAX_OUTPUT_BYTES`.
        """

    def read_files(self, *patterns: str) -> dict[str, str]:
        """Contents by path of all readable files that match, without the last line feed, in one round trip.

        Files that are empty, absent or unreadable are left out: in /proc and /sys "no such file", "permission denied"
        and "invalid argument" (the speed of a port without link) all mean that the kernel does not tell.
        """
        return _files_of(self._grep(patterns))

    def read_files_now(self, *patterns: str) -> tuple[int, dict[str, str]]:
        """The machine's clock (epoch ms) and, read just after that, what `read_files` gives; still one round trip."""
        clock, _, rest = self._grep(patterns, f'date {_EPOCH_MS} && ').partition('\n')
        if not clock.isdecimal():
            raise exception.InvalidResults(f'date {_EPOCH_MS} printed {clock[:40]!r}; GNU coreutils are needed')
        return int(clock), _files_of(rest)

    def _grep(self, patterns: Sequence[str], before: str = '') -> str:
        for pattern in patterns:
            if _PATTERN.fullmatch(pattern) is None:
                raise ValueError(f'not a file pattern: {pattern}')
        # GNU grep as "cat with names": -Z ends names with NUL, which no name and no text file contains.
        found = self.run(['sh', '-c', f'{before}exec grep -asZH "" -- {" ".join(patterns)}'])
        if found.stderr:    # -s silences what concerns files: this is a grep without these options
            found.require()
        return found.require(1, 2)      # 1: all are empty; 2: some cannot be read

    def read(self, path: str) -> str | None:
        """The content of one small file, or None if it cannot be read or is empty."""
        return self.read_files(path).get(path)

    def links(self, *directories: str) -> dict[str, str]:
        """Targets of the symbolic links in these directories, by path."""
        found = self.run(['find', *directories, '-maxdepth', '1', '-type', 'l', '-printf', r'%p\0%l\0'])
        fields = found.require().split('\0')
        return dict(zip(fields[0::2], fields[1::2], strict=False))

    def close(self) -> None:
        """Let go of the session, if there is one; the next command opens a new one."""
        return None


class LocalRunner(Runner):
    """Commands on this machine, as the user that the service runs as."""

    def run(self, argv: Sequence[str], timeout: float = COMMAND_TIMEOUT_SECONDS) -> Completed:
        path = os.pathsep.join((os.environ.get('PATH', os.defpath), *SYSTEM_PATHS))
        # Asked first, because a folder of PATH that we may not enter turns "not found" into "permission denied".
        program = shutil.which(argv[0], path=path)
        if program is None:
            raise ToolMissing(argv[0])
        try:
            process = subprocess.Popen(
                [program, *argv[1:]], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd='/',
                env={**os.environ, 'LC_ALL': 'C', 'PATH': path}, start_new_session=True)
        except OSError as error:    # out of processes, another architecture …
            raise exception.StorageBackendException(f'{argv[0]} cannot be started: {error}') from error
        try:
            stdout, stderr = _collect_local(process, argv[0], timeout)
        except BaseException:
            _kill(process)
            raise
        finally:
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
        return _completed(argv[0], stdout, stderr, process.returncode)


class SshRunner(Runner):
    """Commands over one SSH connection, which is opened by the first command and opened again once when it broke."""

    def __init__(self, settings: ssh_connection.SSHSettings) -> None:
        self._shell = Shell(settings)
        self.address = settings.host

    def run(self, argv: Sequence[str], timeout: float = COMMAND_TIMEOUT_SECONDS) -> Completed:
        # A POSIX shell and env for whatever login shell the account has (csh, fish): they agree on quoted words.
        command = shlex.join(['env', 'LC_ALL=C', 'sh', '-c', _PATH_SCRIPT, 'sh', *argv])
        try:
            try:
                output = self._shell.run(command, argv[0], timeout)
            except ShellBroke:      # our commands only read: it is safe to run one again
                output = self._shell.run(command, argv[0], timeout)
        except ShellBroke as error:
            raise exception.SSHException(f'{self.address}: the connection broke twice while running {argv[0]}: '
                                         f'{error.error_args[0]}') from error
        except TimeoutError:
            raise _too_slow(argv[0], timeout) from None
        return _completed(argv[0], output.stdout, output.stderr, output.status)

    def close(self) -> None:
        self._shell.close()


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a process and its children. One that hangs in the kernel (on a dead disk) cannot be waited for."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(1)


def _collect_local(process: subprocess.Popen[bytes], tool: str, timeout: float) -> tuple[bytes, bytes]:
    """Everything the process writes until it closes both streams and ends."""
    deadline = time.monotonic() + timeout
    stdout, stderr = bytearray(), bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ, stdout)     # type: ignore[arg-type]
        selector.register(process.stderr, selectors.EVENT_READ, stderr)     # type: ignore[arg-type]
        while selector.get_map():
            ready = selector.select(max(0.0, deadline - time.monotonic()))
            if not ready:
                raise _too_slow(tool, timeout)
            for key, _ in ready:
                data = os.read(key.fd, CHUNK_BYTES)
                if not data:
                    selector.unregister(key.fileobj)
                key.data.extend(data)
                limit_output(tool, stdout, stderr)
    try:
        process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise _too_slow(tool, timeout) from None
    return bytes(stdout), bytes(stderr)


def _too_slow(tool: str, timeout: float) -> exception.StorageBackendException:
    return exception.StorageBackendException(f'{tool} did not finish within {timeout:g} seconds and was given up')


def _completed(tool: str, stdout: bytes, stderr: bytes, status: int) -> Completed:
    if status == TOOL_MISSING_STATUS:
        raise ToolMissing(tool)
    return Completed(tool, stdout.decode('utf-8', 'backslashreplace'), stderr.decode('utf-8', 'backslashreplace'),
                     status)


def _files_of(output: str) -> dict[str, str]:
    """Contents by path from the lines `path NUL line` that grep prints for every line of every file."""
    lines: dict[str, list[str]] = {}
    for record in output.split('\n'):
        path, separator, line = record.partition('\0')
        if separator:
            lines.setdefault(path, []).append(line)
    return {path: '\n'.join(content) for path, content in lines.items()}
