# SPDX-License-Identifier: Apache-2.0
"""What the load of simulated arrays is like: workloads, which are busy at different times of day with different things.

How busy a workload is depends on seed and time alone, so that a test and an array that are asked separately agree.
"""

from __future__ import annotations

import math
import threading
import zlib
from dataclasses import dataclass

WORKLOADS = ('database', 'office', 'backup', 'steady')

_DAY, _HOUR = 86400.0, 3600.0
_MINUTE = 60


@dataclass(frozen=True)
class Nature:
    """Of a workload. `reads` is their part of all I/O; sizes are in KB, hit ratios in percent."""

    reads: float
    read_size: int
    write_size: int
    read_hits: int
    write_hits: int


NATURES = {'database': Nature(0.7, 8, 8, 80, 95), 'office': Nature(0.6, 16, 16, 60, 90),
           'backup': Nature(0.1, 256, 512, 10, 40), 'steady': Nature(0.5, 32, 32, 50, 80)}


def busyness(seed: str, workload: str, at: int) -> float:
    """From 0 to 1 at an epoch second (the hours are UTC): a curve of the day with a little noise."""
    hour = at % _DAY / _HOUR
    match workload:
        case 'office':
            shape = 0.1 + 0.8 * max(0.0, math.sin(math.pi * (hour - 7) / 12)) if 7 <= hour <= 19 else 0.1
        case 'backup':
            shape = 0.9 if hour >= 22 or hour < 4 else 0.02
        case 'database':
            shape = 0.5 + 0.4 * math.sin(2 * math.pi * (hour - 8) / 24)
        case _:
            shape = 0.5
    noise = zlib.crc32(f'{seed} {workload} {at}'.encode()) / 2**32
    return shape * (0.9 + 0.2 * noise)


class Work:
    """What is done in the course of time: busyness, summed up minute by minute. Thread-safe.

    `between` of two times, and any time between them, add up exactly enough for counters that never go back.
    """

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._lock = threading.Lock()
        self._sums: dict[str, list[float]] = {workload: [0.0] for workload in WORKLOADS}
        self._first: int | None = None          # minute at which the sums begin

    def between(self, workload: str, begin: float, end: float) -> float:
        """Seconds that a workload, always at its busiest, would have taken for the same; 0 if end is before begin."""
        if end <= begin:
            return 0.0
        with self._lock:
            return self._until(workload, end) - self._until(workload, begin)

    def _until(self, workload: str, at: float) -> float:
        minute = int(at // _MINUTE)
        if self._first is None or minute < self._first:
            self._first = minute - 2 * 24 * 60
            self._sums = {workload: [0.0] for workload in WORKLOADS}
        sums = self._sums[workload]
        while len(sums) <= minute - self._first:
            sums.append(sums[-1] + _MINUTE * busyness(self._seed, workload, (self._first + len(sums) - 1) * _MINUTE))
        rest = at - minute * _MINUTE
        return sums[minute - self._first] + rest * busyness(self._seed, workload, minute * _MINUTE)
