# SPDX-License-Identifier: Apache-2.0
"""Who writes next: the writers of one process in the order in which they came.

SQLite has one writer at a time and no queue: who finds it busy sleeps and tries again, and may find it busy again and
again while others come and go. With traps, syncs and requests in one process some waited for seconds.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Iterator


class Turns:
    """A lock that is given in the order of asking."""

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._lock = threading.Lock()
        self._busy = False
        self._waiting: deque[threading.Lock] = deque()

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for it, have it, pass it on. `TimeoutError` when it does not come in time."""
        gate = self._queue()
        if gate is not None and not gate.acquire(timeout=self._timeout_seconds) and not self._came_after_all(gate):
            raise TimeoutError
        try:
            yield
        finally:
            self._pass_on()

    def _queue(self) -> threading.Lock | None:
        """What opens when it is our turn; None if that is now."""
        with self._lock:
            if not self._busy:
                self._busy = True
                return None
            gate = threading.Lock()
            gate.acquire()
            self._waiting.append(gate)
            return gate

    def _came_after_all(self, gate: threading.Lock) -> bool:
        """Leave the queue, unless the turn came at this very moment."""
        with self._lock:
            if gate in self._waiting:
                self._waiting.remove(gate)
                return False
            return True

    def _pass_on(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._busy = False
