# SPDX-License-Identifier: Apache-2.0
"""The time inside a simulator, which tests can move."""

from __future__ import annotations

import threading
import time


class Clock:
    """Epoch seconds: call it. Without `at` it goes with the machine's clock; with it, it stands still until moved."""

    def __init__(self, at: float | None = None) -> None:
        self._lock = threading.Lock()
        self._at = at
        self._ahead = 0.0

    def __call__(self) -> float:
        with self._lock:
            return (time.time() if self._at is None else self._at) + self._ahead

    def advance(self, seconds: float) -> float:
        """Move forward, or back; the time it then is."""
        with self._lock:
            self._ahead += seconds
        return self()

    def set(self, at: float) -> None:
        """Let it be that time; it goes on from there if it goes at all."""
        self.advance(at - self())
