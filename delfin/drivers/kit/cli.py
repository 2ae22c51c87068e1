# SPDX-License-Identifier: Apache-2.0
"""A command line over SSH: one connection for all threads, opened by the first command, again once when it broke, ended
when the driver goes.

    class AcmeCli(CliSession):
        CODE = re.compile(r'^(ACME[0-9]{4})')               # where the code stands in an error text
        ERRORS = {'ACME0007': kit.NotThere, 'ACME0100': kit.ArrayBusy}

    class AcmeDriver(CliDriver):
        SESSION = AcmeCli

        def list_volumes(self, context):
            return VOLUMES.rows(concise(self.session.read('list', 'volumes', '-delim', '|'), '|'))

A command is a list of arguments, each of which is quoted: what an array or a client calls something can never become a
command. Host keys, time-outs of connecting and the errors of connections are those of `ssh_connection.connect`.
"""

from __future__ import annotations

import itertools
import logging
import re
import shlex
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from delfin import exception
from delfin.common.text import printable
from delfin.drivers.kit.driver import SessionDriver
from delfin.drivers.kit.errors import ArrayBusy, Meaning, NotThere, Refused, ShellBroke, UnknownCommand, meant
from delfin.drivers.kit.limits import Gate, Limits, in_parallel
from delfin.drivers.kit.shell import Output, Shell
from delfin.drivers.utils.ssh_connection import SSHSettings

T = TypeVar('T')

_WORDS = 200        # of the array's own explanation in an error
_NOT_FOUND_STATUS = 127     # of a shell that does not find a command (POSIX 2.8.2)
_NOT_FOUND = 'command not found'


class CliSession:
    """The command line of one array; the arguments are a driver's. For any number of threads.

    Say in a subclass how the array does it: `CODE` finds the code in an error text (its first group), `ERRORS` maps
    codes to exceptions, or to an exception and what to do about it; `LIMITS` says how hard the array may be asked
    (`at_once`: channels), `SECONDS` how long a command may take. A command that does not exist is an `UnknownCommand`.
    """

    CODE: ClassVar[re.Pattern[str] | None] = None
    ERRORS: ClassVar[Mapping[str, Meaning]] = {}
    LIMITS: ClassVar[Limits] = Limits()
    SECONDS: ClassVar[float] = 120.0

    def __init__(self, **access: Any) -> None:
        section = access.get('ssh')
        if not isinstance(section, Mapping) or not section:
            raise exception.InvalidInput('ssh (host, port, username, password) is required.')
        self._shell = Shell(SSHSettings.from_access_info(section))
        self._log = logging.getLogger(type(self).__module__)        # has the driver's level
        self._gate = Gate(self.LIMITS)
        self._sleep: Callable[[float], None] = time.sleep

    # --- what a subclass may say of the array ---

    def words(self, arguments: Sequence[str], changes: bool) -> Sequence[str]:
        """The arguments as the array wants them, for example behind a prefix. `changes`: the command is no read."""
        return arguments

    # --- what drivers use ---

    @property
    def host(self) -> str:
        """The address of the array, as registered."""
        return self._shell.settings.host

    def read(self, *arguments: str) -> str:
        """The output of a command that only reads: asked again when the array is busy or the connection breaks.

        Bytes that are not UTF-8 are shown as `\\xNN`. Raises what `ERRORS` says of the array's code, and what
        `Shell.run` raises; `Refused` for other codes and exit statuses.
        """
        return self._patiently(lambda: self._once(self.words(arguments, False)))

    def change(self, *arguments: str) -> str:
        """As `read`, for a command that changes something: it is sent once."""
        words = self.words(arguments, True)
        try:
            return self._once(words)
        except ShellBroke as error:
            if error.sent:
                raise
            return self._once(words)

    def read_each(self, commands: Iterable[Sequence[str]]) -> list[str | None]:
        """The outputs of many commands in their order, on as many channels as `LIMITS` allow at once; None where the
        array says that there is no such thing (any more).

        For what a command line tells of single objects only.
        """
        return in_parallel(self._there, commands, self.LIMITS.at_once)

    def read_file(self, path: str) -> bytes | None:
        """The content of a file of the array; None if it is not there (any more)."""
        return self._patiently(lambda: self._shell.read_file(path, self.SECONDS))

    def close(self) -> None:
        """End the connection. A later command would open one."""
        self._shell.close()

    # --- within ---

    def _there(self, arguments: Sequence[str]) -> str | None:
        try:
            return self.read(*arguments)
        except NotThere:
            return None

    def _patiently(self, ask: Callable[[], T]) -> T:
        attempt, reconnected = 0, False
        while True:
            attempt += 1
            try:
                with self._gate.turn():
                    return ask()
            except ShellBroke:
                if reconnected:
                    raise
                reconnected = True
            except ArrayBusy as error:
                if attempt >= self.LIMITS.attempts:
                    raise
                seconds = self.LIMITS.pause(attempt)
                self._log.info('%s is asked again in %g s: %s', self.host, seconds, error)
                self._sleep(seconds)

    def _once(self, arguments: Sequence[str]) -> str:
        what = f'"{" ".join(itertools.takewhile(_is_no_option, arguments))}" on {self.host}'
        started = time.monotonic()
        try:
            output = self._shell.run(shlex.join(arguments), what, self.SECONDS)
        except TimeoutError as error:
            raise exception.ConnectTimeout(message=printable(error)) from error
        self._log.debug('%s: %d, %d bytes, %.0f ms', arguments[0], output.status, len(output.stdout),
                        (time.monotonic() - started) * 1000)
        return self._answer(output, what)

    def _answer(self, output: Output, what: str) -> str:
        stdout = output.stdout.decode('utf-8', 'backslashreplace')
        if output.status == 0 and (stdout or not self._code(output)):
            return stdout
        words = printable(_first_line(output.stderr) or _first_line(output.stdout)).strip()[:_WORDS]
        code = self._code(output)
        missing = output.status == _NOT_FOUND_STATUS or code is None and _NOT_FOUND in words
        kind, text = meant(UnknownCommand if missing else self.ERRORS.get(code or '', Refused),
                           f'{what} ended with status {output.status}: {words or "no error text"}')
        raise kind(message=text)

    def _code(self, output: Output) -> str | None:
        for stream in (output.stderr, output.stdout):
            found = self.CODE.search(_first_line(stream)) if self.CODE is not None else None
            if found is not None:
                return found[1]
        return None


class CliDriver(SessionDriver):
    """A driver whose array is reached by one `CliSession` (`self.session`), which `SESSION` names."""

    PROTOCOLS = ('ssh',)
    SESSION: ClassVar[type[CliSession]]
    session: CliSession


def _is_no_option(word: str) -> bool:
    return not word.startswith('-')


def _first_line(stream: bytes) -> str:
    lines = stream[:8192].decode('utf-8', 'backslashreplace').split('\n')
    return next((line for line in lines if line.strip()), '')
