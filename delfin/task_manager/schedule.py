# SPDX-License-Identifier: Apache-2.0
"""When an array is due without anybody asking.

Time is cut into slots of the interval's length, shifted for each array by a fraction that depends on its id: thousands
of arrays are spread evenly, nothing has to be remembered, and what was missed while nothing ran is made up for once.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def is_due(name: str, interval_seconds: int, last: datetime | None, now: datetime) -> bool:
    """Whether nothing has been begun since the present slot of `name` began. An interval of 0 is never due."""
    return interval_seconds > 0 and (last is None or last < slot_start(name, interval_seconds, now))


def slot_start(name: str, interval_seconds: int, now: datetime) -> datetime:
    """Begin of the slot in which `now` lies."""
    number = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), 'big')
    shift = timedelta(milliseconds=number % (interval_seconds * 1000))
    return now - (now - _EPOCH - shift) % timedelta(seconds=interval_seconds)
