# SPDX-License-Identifier: Apache-2.0
"""When a storage or pool will be full, by the trend of its last days.

The trend is the median of the slopes between all pairs of days (Theil-Sen): a clean-up, a migration or a day with a
wrong number moves it hardly, while least squares would follow them for weeks. It is taken over 30 days, which have
whole weeks and a month's end and still say how things go now; over 90 where 30 have too few days.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

WINDOWS_DAYS: Final = (30, 90)
FEWEST_DAYS: Final = 7              # with a number, and from the first to the last: a whole week
FURTHEST_DAYS: Final = 3650         # what is further away is no forecast


@dataclass(frozen=True, slots=True)
class Level:
    """How full something was on a day: bytes used, and how many more fit (None: not known)."""

    day: date
    used: int
    free: int | None


@dataclass(frozen=True, slots=True)
class Forecast:
    """`bytes_per_day` is None when too few days are known, `days_to_full` also when it does not grow, or so slowly
    that it takes more than ten years. What has no room left is full in 0 days.
    """

    bytes_per_day: float | None
    days_to_full: float | None


def level(row: Mapping[str, Any]) -> Level | None:
    """Of a row with `day`, `total_capacity`, `used_capacity`, `free_capacity`; None if it does not say what is used."""
    total, used, free = row['total_capacity'], row['used_capacity'], row['free_capacity']
    if used is None and total is not None and free is not None:
        used = total - free
    if used is None:
        return None
    # What the array calls free counts: total may have reserves that nobody can use.
    if free is None and total is not None:
        free = max(0, total - used)
    return Level(row['day'], used, free)


def forecast(levels: Iterable[Level], today: date) -> Forecast:
    """Of levels in any order, at most one a day. What stood there long ago, and no more lately, is not forecast."""
    known = sorted((each for each in levels if each.day <= today), key=lambda each: each.day)
    for days in WINDOWS_DAYS:
        recent = [each for each in known if each.day > today - timedelta(days=days)]
        if len(recent) >= FEWEST_DAYS and (recent[-1].day - recent[0].day).days >= FEWEST_DAYS - 1:
            rate = slope(recent)
            return Forecast(rate, _days(recent[-1].free, rate))
    newest = known[-1] if known and known[-1].day > today - timedelta(days=WINDOWS_DAYS[-1]) else None
    return Forecast(None, 0.0 if newest and newest.free == 0 else None)


def slope(levels: Sequence[Level]) -> float:
    """Bytes a day: the median over all pairs of different days."""
    return float(statistics.median((later.used - earlier.used) / (later.day - earlier.day).days
                                   for earlier, later in itertools.combinations(levels, 2)))


def _days(free: int | None, rate: float) -> float | None:
    if free is None:
        return None
    if free == 0:
        return 0.0
    days = free / rate if rate > 0 else FURTHEST_DAYS + 1
    return days if days <= FURTHEST_DAYS else None
