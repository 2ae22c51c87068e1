# SPDX-License-Identifier: Apache-2.0
"""From counters that only grow to rates, for drivers of machines that count and keep no history.

A driver reads all counters that it is asked for, and gives the reading to a `RateMeter`, which keeps the one before:

    meter = RateMeter()                                 # one for the life of the driver instance
    rates = meter.measure(read(), again=read)           # read() -> Reading
    rates.per_second['disk-1']['reads']                 # the mean since the call before
    rates.time                                          # when that was measured

A rate is the mean since the last reading of the same thing. Where there is none to go by - the first call, a reboot, a
thing that is new or was replaced, a counter that is smaller than it was (reset, or run over) - nothing is guessed: the
meter pauses for a second, reads again, and gives the mean of that second; all others are then measured up to the second
reading, too. So every thing that stays has a rate in every call, and no rate is negative or the growth of years.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar('K', bound=Hashable)

PAUSE_SECONDS = 1.0         # between two readings in one call
SHORTEST_SECONDS = 0.9      # less than the pause by what clocks like /proc/uptime round off
OLDEST_SECONDS = 86_400.0   # a reading before this one is no measure of now; it is forgotten


@dataclass(frozen=True, slots=True)
class Reading(Generic[K]):
    """All counters at one moment.

    `counters` maps each thing to its counters by name. The key of a thing should not outlive it: let it contain
    whatever changes when it is replaced by another one of the same name. `seconds` is by a clock of the machine that
    nobody sets, like its uptime; `time` is epoch ms by its ordinary clock. `era` changes when everything starts from
    zero, like the id of the boot.
    """

    counters: Mapping[K, Mapping[str, int]]
    seconds: float
    time: int
    era: str = ''


@dataclass(frozen=True, slots=True)
class Rates(Generic[K]):
    """Growth per second of each counter of each thing, measured at `time` (epoch ms by the machine's clock)."""

    time: int
    per_second: Mapping[K, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Growth(Generic[K]):
    """What was counted in `seconds`; `begun` has counted from zero meanwhile, or is not in both readings."""

    seconds: float
    counters: Mapping[K, Mapping[str, int]]
    begun: frozenset[K]

    @property
    def restarted(self) -> bool:
        """Whether the machine itself seems to have begun anew: at least as many things have as have gone on counting.
        (Idle ones do not tell.)
        """
        busy = sum(any(counters.values()) for counters in self.counters.values())
        return bool(self.begun) and len(self.begun) >= busy

    def per_second(self) -> dict[K, dict[str, float]]:
        """The rates."""
        return {key: {name: value / self.seconds for name, value in counters.items()}
                for key, counters in self.counters.items()}


def growth(older: Reading[K], newer: Reading[K]) -> Growth[K]:
    """Between two readings, of which the older one may be of any age. ValueError if it is not older."""
    seconds = newer.seconds - older.seconds
    if seconds <= 0:
        raise ValueError('the readings are of the same time, or in the wrong order')
    grown, begun = {}, set()
    for key, counters in newer.counters.items():
        past = older.counters.get(key)
        if past is not None and older.era == newer.era and _grew(past, counters):
            grown[key] = {name: value - past[name] for name, value in counters.items()}
        elif past is not None or any(counters.values()):
            begun.add(key)
    return Growth(seconds, grown, frozenset(begun))


@dataclass(frozen=True, slots=True)
class _Past:
    """The counters of one thing as they were."""

    counters: Mapping[str, int]
    seconds: float
    era: str


class RateMeter(Generic[K]):
    """Keeps the last reading of everything. Not for several threads at once."""

    def __init__(self, pause: Callable[[float], None] = time.sleep) -> None:
        self._pause = pause
        self._past: dict[K, _Past] = {}

    def measure(self, reading: Reading[K], again: Callable[[], Reading[K]]) -> Rates[K]:
        """The rates of everything in `reading`, up to then. If that of something cannot be told yet, `again` is called
        a second later, and the rates of all are up to that reading; what is gone by then has none.

        Readings of different things may take turns: each thing goes by its own last reading.
        """
        rates = self._grown(reading)
        if len(rates) < len(reading.counters):
            self._pause(PAUSE_SECONDS)
            reading = again()
            rates = self._grown(reading)
        for key in rates:
            self._past[key] = _past(reading, key)
        self._past = {key: past for key, past in self._past.items()
                      if past.era == reading.era and reading.seconds - past.seconds <= OLDEST_SECONDS}
        return Rates(reading.time, rates)

    def forget(self) -> None:
        """Begin anew, because what is read from now on is something else."""
        self._past.clear()

    def _grown(self, reading: Reading[K]) -> dict[K, dict[str, float]]:
        """The rates of what was read long enough ago; what begins (anew) with this reading is noted."""
        rates = {}
        for key, counters in reading.counters.items():
            past = self._past.get(key)
            if past is None or not _continues(past, reading, counters):
                self._past[key] = _past(reading, key)
            elif (elapsed := reading.seconds - past.seconds) >= SHORTEST_SECONDS:
                rates[key] = {name: (value - past.counters[name]) / elapsed for name, value in counters.items()}
        return rates


def _past(reading: Reading[K], key: K) -> _Past:
    return _Past(reading.counters[key], reading.seconds, reading.era)


def _continues(past: _Past, reading: Reading[K], counters: Mapping[str, int]) -> bool:
    return (past.era == reading.era and 0 <= reading.seconds - past.seconds <= OLDEST_SECONDS
            and _grew(past.counters, counters))


def _grew(past: Mapping[str, int], counters: Mapping[str, int]) -> bool:
    """Whether the counters are those of the same thing, and none is smaller than it was."""
    return past.keys() == counters.keys() and all(value >= past[name] for name, value in counters.items())
