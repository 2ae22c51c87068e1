# SPDX-License-Identifier: Apache-2.0
"""Which rows exist, which of them changed, and how much they add up to, all in closed form.

Nothing here walks over volumes: an array of ten million volumes knows its pools' sums at once. That works because
volume `i` lives in pool `i % pools` and its size is entry `i` of a short repeating cycle.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

GIB = 2**30
TIB = 2**40

MAX_USED_PERCENT = 60       # no volume or file system is fuller than this

# Decimal bytes, as disks are sold; beyond the last, multiples of it.
_DISK_SIZES = tuple(gigabytes * 10**9 for gigabytes in (600, 1200, 1920, 3840, 7680, 15360, 30720))
SMALLEST_DISK = _DISK_SIZES[0]
_RAID_OVERHEAD = Fraction(4, 3)

_THICK_EVERY = 5


@dataclass(frozen=True, slots=True)
class Extent:
    """The indices of one kind's rows: `base` configured ones, less `removed` at their end, plus `grown` behind it."""

    base: int
    removed: int = 0
    grown: int = 0
    epoch: int = 0
    change_percent: Fraction = Fraction(0)

    @property
    def kept(self) -> range:
        """Configured rows that are still there. Only these are referred to by other rows."""
        return range(max(self.base - self.removed, 0))

    @property
    def fresh(self) -> range:
        """Rows that were added. A removed id never comes back as an added one."""
        return range(self.base, self.base + self.grown)

    def __len__(self) -> int:
        return len(self.kept) + len(self.fresh)

    def __iter__(self) -> Iterator[int]:
        return itertools.chain(self.kept, self.fresh)

    def reference(self, number: int) -> int | None:
        """Index of the row that `number` points to, or None if there is nothing to point to."""
        return number % len(self.kept) if self.kept else None

    def changed_per_epoch(self) -> int:
        """How many rows differ between two consecutive epochs."""
        return math.ceil(self.base * self.change_percent / 100)

    def generations(self) -> Iterator[int]:
        """For each row, in order, how often it has changed since epoch 0.

        Epoch by epoch a window of `changed_per_epoch` places moves over the configured rows, around and around; rows
        take places in strides, so that a change hits rows all over the list. Exactly the window's rows change.
        """
        if not self.kept:
            return itertools.repeat(0, len(self.fresh))
        touched = self.epoch * self.changed_per_epoch()
        if touched == 0:
            return itertools.repeat(0, len(self))
        stride = _stride(self.base)
        changed = (-(-(touched - index * stride % self.base) // self.base) for index in self.kept)
        return itertools.chain(changed, itertools.repeat(0, len(self.fresh)))


def _stride(length: int) -> int:
    """A step that visits all of `length` places and spreads neighbours far apart."""
    stride = max(round(length * 0.618), 1)
    while math.gcd(stride, length) != 1:
        stride += 1
    return stride


@dataclass(frozen=True, slots=True)
class Sizes:
    """Total capacities that repeat: row `i` has entry `i` of `cycle`, and every fifth is thick."""

    cycle: tuple[int, ...]

    def total(self, index: int) -> int:
        """Bytes that row `index` offers."""
        return self.cycle[index % len(self.cycle)]

    @staticmethod
    def is_thick(index: int) -> bool:
        """Whether row `index` takes its whole size from the pool at once."""
        return index % _THICK_EVERY == _THICK_EVERY - 1

    def allocated(self, index: int) -> int:
        """The most that row `index` takes from its pool."""
        return self.total(index) if self.is_thick(index) else self.total(index) * MAX_USED_PERCENT // 100


@dataclass(frozen=True, slots=True)
class Demand:
    """What the members of a pool ask from it, in bytes."""

    total: int = 0
    allocated: int = 0

    def __add__(self, other: Demand) -> Demand:
        return Demand(self.total + other.total, self.allocated + other.allocated)


def demand(sizes: Sizes, indices: range, pools: int, pool: int) -> Demand:
    """Sums over those of `indices` that live in `pool`, one out of `pools`."""
    first = indices.start + (pool - indices.start) % pools
    members = range(first, indices.stop, pools)
    # Both sequences repeat after this many members: the sizes' cycle and the thick ones' share a common period.
    period = math.lcm(len(sizes.cycle), _THICK_EVERY)
    rounds, rest = divmod(len(members), period)
    head, tail = members[:min(period, len(members))], members[:rest]
    return Demand(
        rounds * sum(map(sizes.total, head)) + sum(map(sizes.total, tail)),
        rounds * sum(map(sizes.allocated, head)) + sum(map(sizes.allocated, tail)))


def pool_total(allocated: int, nominal: int, fill_percent: int) -> int:
    """Size of a pool in whole TiB: planned to be filled to `fill_percent`, but never smaller than what it holds."""
    planned = nominal * 100 // fill_percent
    return max(-(-max(planned, allocated) // TIB), 1) * TIB


def disk_capacity(pools_total: int, disks: int) -> int:
    """The smallest disk of which `disks` hold `pools_total` with RAID."""
    needed = math.ceil(pools_total * _RAID_OVERHEAD / disks)
    for size in _DISK_SIZES:
        if size >= needed:
            return size
    return -(-needed // _DISK_SIZES[-1]) * _DISK_SIZES[-1]


def usable(raw: int) -> int:
    """What RAID leaves of `raw` bytes of disks."""
    return int(raw / _RAID_OVERHEAD)
