# SPDX-License-Identifier: Apache-2.0
"""What one call has read of the array and the call that follows it can use."""

from __future__ import annotations

import math
import threading
import time
from typing import Generic, TypeVar

T = TypeVar('T')


class Left(Generic[T]):
    """An answer that is used once at most, and within `seconds`. For several threads."""

    def __init__(self, seconds: float = math.inf) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._left: T | None = None
        self._at = 0.0

    def put(self, answer: T) -> None:
        """Leave an answer, in place of an earlier one."""
        with self._lock:
            self._left, self._at = answer, time.monotonic()

    def take(self) -> T | None:
        """What is left, which nobody gets a second time; None if there is nothing or it is old."""
        with self._lock:
            left, self._left = self._left, None
            return left if time.monotonic() - self._at < self._seconds else None
