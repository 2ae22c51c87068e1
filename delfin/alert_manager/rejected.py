# SPDX-License-Identifier: Apache-2.0
"""What was refused at the door, counted by sender and reason in bounded memory, and told to the log in few lines."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal

LOG = logging.getLogger(__name__)

Reason = Literal[
    'unknown_sender', 'wrong_community', 'unknown_user', 'wrong_engine', 'wrong_security_level', 'wrong_digest',
    'not_in_time_window', 'decryption_failed', 'malformed', 'replayed', 'too_long', 'spool_full', 'unsupported']

REST: Final = ''                    # stands for all addresses for which there was no room

_MINUTE_SECONDS = 60.0
_FORGET_SECONDS = 3600.0            # an address that was silent for so long makes room

_MEANINGS: Final[dict[Reason, str]] = {
    'unknown_sender': 'no storage has this alert source',
    'wrong_community': 'the community is not the one of its alert source',
    'unknown_user': 'the user is not the one of its alert source',
    'wrong_engine': 'the engine id is not the one of its alert source',
    'wrong_security_level': 'the security level is not the one of its alert source',
    'wrong_digest': 'the authentication failed; compare protocol and key',
    'not_in_time_window': 'its time is outside the window; it is a replay, or the device lost its clock',
    'decryption_failed': 'it cannot be decrypted; compare protocol and key',
    'malformed': 'it is no SNMP notification',
    'replayed': 'it has come before',
    'too_long': 'it is too long',
    'spool_full': 'there is no room to keep it; look at the disk and the database',
    'unsupported': 'it asks for something that Delfin does not do',
}


@dataclass(frozen=True, slots=True)
class Count:
    """So many were refused, from epoch ms to epoch ms. `address` may be `REST`."""

    address: str
    reason: Reason
    count: int
    first_at: int
    last_at: int


class _Entry:
    """One address and reason."""

    __slots__ = ('count', 'first', 'last', 'line_at', 'untold')

    def __init__(self) -> None:
        self.count = 0                      # since the last drain
        self.first = self.last = 0.0
        self.line_at = float('-inf')
        self.untold = 0                     # since the last line

    def add(self, count: int, first: float, last: float) -> None:
        self.first = min(self.first, first) if self.count else first
        self.last = max(self.last, last)
        self.count += count


class Rejected:
    """Counts of what was refused; for any thread.

    `most` addresses at most: those that are there stay as long as they are heard, what comes from others is one sum
    for each reason. At most `most_lines` log lines a minute, one for each address and reason; each says how many it
    stands for.
    """

    def __init__(self, most: int = 1000, clock: Callable[[], float] = time.time, most_lines: int = 20) -> None:
        self._most, self._clock, self._most_lines = most, clock, most_lines
        self._lock = threading.Lock()
        self._entries: dict[tuple[str, Reason], _Entry] = {}
        self._reasons: Counter[str] = Counter()     # how many each address has; without REST
        self._minute = float('-inf')                # when the minute began whose lines are counted
        self._lines = 0

    def note(self, address: str, reason: Reason) -> None:
        """A datagram from `address` was refused."""
        now = self._clock()
        key = address, reason
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                key, entry = self._place(address, reason)
            entry.add(1, now, now)
            entry.untold += 1
            told = self._tell(entry, now)
        if told:
            _log(key, told)

    def drain(self) -> list[Count]:
        """What came since the last drain. Call it every minute or so: it also says what no line has said yet."""
        now = self._clock()
        with self._lock:
            drained = [Count(address, reason, entry.count, int(entry.first * 1000), int(entry.last * 1000))
                       for (address, reason), entry in self._entries.items() if entry.count]
            lines = [(key, told) for key, entry in self._entries.items() if (told := self._tell(entry, now))]
            for entry in self._entries.values():
                entry.count = 0
            self._forget(now)
        for key, told in lines:
            _log(key, told)
        return drained

    def give_back(self, counts: Iterable[Count]) -> None:
        """What was drained and could not be stored; it comes with the next drain."""
        with self._lock:
            for count in counts:
                _, entry = self._place(count.address, count.reason)
                entry.add(count.count, count.first_at / 1000, count.last_at / 1000)

    def _place(self, address: str, reason: Reason) -> tuple[tuple[str, Reason], _Entry]:
        """The entry that counts this, or the one for the rest if there is no room for another address."""
        # A flood from forged addresses leaves room for configured senders that do something wrong.
        most = self._most * 3 // 4 if reason == 'unknown_sender' else self._most
        if address not in self._reasons and len(self._reasons) >= most:
            address = REST
        entry = self._entries.get((address, reason))
        if entry is None:
            entry = self._entries[address, reason] = _Entry()
            if address != REST:
                self._reasons[address] += 1
        return (address, reason), entry

    def _tell(self, entry: _Entry, now: float) -> int:
        """How many a line is due for that is to be written now; 0: none."""
        if not entry.untold or abs(now - entry.line_at) < _MINUTE_SECONDS:
            return 0
        if abs(now - self._minute) >= _MINUTE_SECONDS:
            self._minute, self._lines = now, 0
        if self._lines >= self._most_lines:
            return 0
        self._lines += 1
        told, entry.untold, entry.line_at = entry.untold, 0, now
        return told

    def _forget(self, now: float) -> None:
        """Make room where nothing was heard for long. What no line has said of it is said with the rest."""
        silent = [key for key, entry in self._entries.items()
                  if key[0] != REST and abs(now - entry.last) > _FORGET_SECONDS]
        for address, reason in silent:
            untold = self._entries.pop((address, reason)).untold
            self._reasons[address] -= 1
            if not self._reasons[address]:
                del self._reasons[address]
            if untold:
                self._entries.setdefault((REST, reason), _Entry()).untold += untold


def _log(key: tuple[str, Reason], count: int) -> None:
    address, reason = key
    LOG.warning('refused %d %s from %s: %s (%s)', count, 'datagram' if count == 1 else 'datagrams',
                _printable(address) or 'other addresses', _MEANINGS[reason], reason)


def _printable(text: str) -> str:
    return ''.join(character if character.isprintable() else '?' for character in text[:64])
