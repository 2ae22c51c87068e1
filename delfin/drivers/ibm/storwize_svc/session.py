# SPDX-License-Identifier: Apache-2.0
"""The CLI: commands, with the prefix that the product wants, and their lists and objects. Error codes: `tables`."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, ClassVar, NamedTuple, TypeVar

from delfin import exception
from delfin.drivers import kit
from delfin.drivers.ibm.storwize_svc import tables
from delfin.drivers.kit.delimited import Pairs, Undivided, concise, detailed, flat

T = TypeVar('T')

Reply = dict[str, str]


class Prefixes(NamedTuple):
    """What stands before commands that read, and before those that change something."""

    read: tuple[str, ...]
    change: tuple[str, ...]


PLAIN = Prefixes((), ())


class StorwizeSession(kit.CliSession):
    """One array. For any number of threads."""

    CODE = re.compile(r'\b(CMMVC[0-9]{4}E)\b')
    ERRORS = tables.ERRORS
    LIMITS = kit.Limits(at_once=4)
    PREFIXES: ClassVar[Sequence[Prefixes]] = (PLAIN,)     # which of them it is shows when `lssystem` is known

    def __init__(self, **access: Any) -> None:
        super().__init__(**access)
        self._lock = threading.RLock()
        self._prefixes: Prefixes | None = None
        self._delimiter = tables.DELIMITERS[0]
        self._names: dict[str, str] = {}        # which of several commands the array knows

    # --- asking ---

    def words(self, arguments: Sequence[str], changes: bool) -> Sequence[str]:
        """See `CliSession`."""
        prefixes = self._prefixes or self._probed()
        return [*(prefixes.change if changes else prefixes.read), *arguments]

    def rows(self, *command: str) -> list[Reply]:
        """The rows of a list. Values may contain anything: if the delimiter is in one, another is taken."""
        first = self._delimiter
        for delimiter in (first, *(each for each in tables.DELIMITERS if each != first)):
            try:
                found = concise(self.read(*command, '-delim', delimiter), delimiter)
            except Undivided as error:
                undivided = error
            else:
                self._delimiter = delimiter
                return found
        raise exception.InvalidResults(f'"{command[0]}" on {self.host}: {undivided.msg}')

    def rows_if_known(self, *command: str) -> list[Reply] | None:
        """`rows`; None where this code level has no such command."""
        try:
            return self.rows(*command)
        except kit.UnknownCommand:
            return None

    def sections(self, *command: str) -> list[Pairs]:
        """What the array tells of one object; values are split off at the first delimiter."""
        return detailed(self.read(*command, '-delim', tables.DELIMITERS[0]), tables.DELIMITERS[0])

    def objects(self, command: Sequence[str], ids: Iterable[str]) -> Iterator[list[Pairs]]:
        """`sections` of many objects. Those that have gone meanwhile have none."""
        for text in self.read_each([*command, '-delim', tables.DELIMITERS[0], each] for each in ids):
            yield detailed(text or '', tables.DELIMITERS[0])

    def known(self, ask: Callable[[str], T], *names: str) -> T:
        """What `ask` makes of the first of these commands that the array has. Which it is is remembered."""
        remembered = self._names.get(names[0])
        for name in names if remembered is None else (remembered,):
            try:
                found = ask(name)
            except kit.UnknownCommand as error:
                refused = error
            else:
                self._names[names[0]] = name
                return found
        raise refused

    def system(self) -> Reply:
        """The array itself. `InvalidIpOrPort` if it is none of this kind."""
        try:
            return flat(pair for section in self.sections('lssystem') for pair in section)
        except kit.UnknownCommand as error:
            raise self._stranger(error) from error

    # --- within ---

    def _probed(self) -> Prefixes:
        with self._lock:
            if self._prefixes is None:
                self._prefixes = self._probe()
            return self._prefixes

    def _probe(self) -> Prefixes:
        if len(self.PREFIXES) == 1:
            return self.PREFIXES[0]
        for prefixes in self.PREFIXES:
            try:
                self._once([*prefixes.read, 'lssystem', '-delim', tables.DELIMITERS[0]])
            except kit.UnknownCommand as error:
                refused = error
            else:
                return prefixes
        raise self._stranger(refused)

    def _stranger(self, error: kit.UnknownCommand) -> exception.InvalidIpOrPort:
        return exception.InvalidIpOrPort(message=(
            f'Invalid ip or port. {self.host} is no array of this kind ({error.msg}): check ssh.host, and vendor and '
            'model of the registration.'))
