# SPDX-License-Identifier: Apache-2.0
"""How hard an array may be asked: requests at once, requests a second, repetitions and the pauses before them."""

from __future__ import annotations

import contextlib
import contextvars
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar('Item')
Result = TypeVar('Result')


@dataclass(frozen=True, slots=True)
class Limits:
    """For one array, that is, for one driver instance.

    A request that met a busy array or a broken connection is made `attempts` times at most. The pause before the second
    is `first_pause_seconds`, each further is twice as long, none is longer than `longest_pause_seconds`, whatever the
    array asks for.
    """

    at_once: int = 4
    per_second: float | None = None
    attempts: int = 3
    first_pause_seconds: float = 1.0
    longest_pause_seconds: float = 15.0

    def pause(self, attempt: int, asked_for: float | None = None) -> float:
        """Seconds to wait after failed attempt number `attempt` (the first is 1)."""
        seconds = self.first_pause_seconds * 2 ** (attempt - 1)
        return min(self.longest_pause_seconds, max(seconds, asked_for or 0.0))


class Gate:
    """Lets requests through as `Limits` allow. For any number of threads."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic,
                 sleep: Callable[[float], None] = time.sleep) -> None:
        self._places = threading.BoundedSemaphore(limits.at_once)
        self._gap = 1 / limits.per_second if limits.per_second else 0.0
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._next = 0.0

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """One request: waits until it may begin, and holds its place until the block ends."""
        with self._places:
            if self._gap:
                with self._lock:
                    now = self._clock()
                    begin = max(now, self._next)
                    self._next = begin + self._gap
                if begin > now:
                    self._sleep(begin - now)
            yield


def in_parallel(ask: Callable[[Item], Result], items: Iterable[Item], at_once: int) -> list[Result]:
    """`ask` of each item, so many at once; what it returns, in the order of the items.

    The first error ends it: what has not begun is left, and no thread remains when it is raised.
    """
    waiting = list(items)
    if at_once == 1 or len(waiting) < 2:        # noqa: PLR2004
        return [ask(item) for item in waiting]
    with ThreadPoolExecutor(min(at_once, len(waiting)), 'kit') as pool:
        # The context holds what log lines show.
        asked = [pool.submit(contextvars.copy_context().run, ask, item) for item in waiting]
        try:
            return [each.result() for each in asked]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
