# SPDX-License-Identifier: Apache-2.0
"""Who may call an array, and when: lanes, turns and quarantine. One `Array` each, used by the door alone."""

from __future__ import annotations

import enum
import heapq
import itertools
import logging
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from delfin import exception
from delfin.drivers.instances import Instance

LOG = logging.getLogger(__name__)

OVERDUE_BEFORE_QUARANTINE = 2
ABANDONED_AT_MOST = 8
_DOUBLINGS_AT_MOST = 30


class Lane(enum.IntEnum):
    """Who goes first when a driver takes one call at a time."""

    INTERACTIVE = 0
    METRICS = 1
    BULK = 2


@dataclass(frozen=True, slots=True)
class Limits:
    """Deadlines of calls by lane and the pauses of quarantine, in seconds."""

    interactive_seconds: float = 60
    metrics_seconds: float = 120
    bulk_seconds: float = 600
    quarantine_min_seconds: float = 60
    quarantine_max_seconds: float = 3600

    def deadline(self, lane: Lane) -> float:
        """Seconds a call in `lane` may take."""
        return (self.interactive_seconds, self.metrics_seconds, self.bulk_seconds)[lane]


class Array:
    """One array behind the door.

    Whoever reads or writes its attributes holds `changed`, and notifies it of what others may wait for.
    """

    def __init__(self, storage_id: str, limits: Limits, clock: Callable[[], float],
                 on_quarantine: Callable[[str, datetime | None], None]) -> None:
        self.storage_id = storage_id
        self._limits = limits
        self._clock = clock
        self._on_quarantine = on_quarantine
        self.changed = threading.Condition()
        self.stopped = False                # no calls any more
        self.forgotten = False              # by the door: who waits here would call into the void
        self.instance: Instance | None = None
        self.broken = False                 # the instance's session has to be reset before the next call
        self.generation = 0                 # raised whenever the instance is dropped
        self._dropped: dict[int, Instance] = {}         # with calls inside, by generation
        self.waiting: list[tuple[int, int]] = []        # heap of (lane, turn)
        self._turns = itertools.count()
        self.running = 0                    # calls of this generation
        self.calls: Counter[int] = Counter()            # threads still inside, by generation
        self.abandoned = 0                  # threads that did not come back by their deadline
        self.killed = 0                     # calls past their deadline in a row that were ended by force
        self.leaving = 0                    # replaced instances that are logging out
        self.pauses = 0
        self.quarantined_until: float | None = None     # by the clock; None = not quarantined
        self._quarantine_ends: datetime | None = None   # the same moment for people

    @property
    def capacity(self) -> int:
        """Calls that may run at once. The one that builds an instance or resets its session runs alone."""
        if self.instance is None or self.broken or not self.instance.alive:
            return 1
        return self.instance.capacity

    # --- turns ---

    def take_turn(self, method: str, lane: Lane, deadline: float, seconds: float) -> int:
        """Wait until the array takes another call; the generation of the instance that will serve it."""
        ticket = (int(lane), next(self._turns))
        with self.changed:
            self._check_quarantine()
            heapq.heappush(self.waiting, ticket)
            try:
                while self.waiting[0] != ticket or self.running >= self.capacity:
                    self._check_open()
                    left = deadline - self._clock()
                    if left <= 0 or not self.changed.wait(left):
                        raise exception.DriverCallTimeout(method, self.storage_id, seconds, message=(
                            f'{method} of storage {self.storage_id} did not get its turn within {seconds:g} seconds: '
                            'earlier calls are still under way.'))
                    self._check_quarantine()
                self._check_open()
                self.running += 1
                self.calls[self.generation] += 1
                return self.generation
            finally:
                self.waiting.remove(ticket)
                heapq.heapify(self.waiting)
                self.changed.notify_all()

    def leave(self, generation: int) -> Instance | None:
        """A call of this generation has ended. After the last one: the instance that was dropped meanwhile."""
        self.calls[generation] -= 1
        if self.generation == generation:
            self.running -= 1
            return None
        if self.calls[generation]:
            return None
        del self.calls[generation]
        return self._dropped.pop(generation, None)

    def drop(self) -> Instance | None:
        """A new generation begins: calls of the old one no longer count as running.

        The old instance, unless calls are still inside: then the last of them gets it (`leave`).
        """
        instance, self.instance, self.broken = self.instance, None, False
        if not self.calls[self.generation]:
            del self.calls[self.generation]
        elif instance is not None:
            self._dropped[self.generation] = instance
            instance = None
        self.generation += 1
        self.running = 0
        return instance

    def _check_open(self) -> None:
        if self.stopped:
            raise stopping()
        if self.forgotten:
            raise self.given_up()

    def given_up(self) -> exception.ServiceUnavailable:
        """What calls get whose driver was given up meanwhile."""
        return exception.ServiceUnavailable(
            f'the driver of storage {self.storage_id} was given up while a call waited for it; try again')

    # --- quarantine ---

    def overdue(self, killed: bool) -> None:
        """A call has passed its deadline; `killed` if it was ended by force, else its thread is still inside."""
        if killed:
            self.killed += 1
        else:
            self.abandoned += 1
        if self.abandoned + self.killed >= OVERDUE_BEFORE_QUARANTINE:
            self._begin_quarantine()

    def returned(self) -> None:
        """The thread of an abandoned call has come back."""
        self.abandoned -= 1
        self.pauses = 0
        self._end_quarantine()

    def answered(self) -> None:
        """A call has ended within its deadline, well or not."""
        self.killed = 0
        if not self.abandoned:
            self.pauses = 0

    def pardon(self) -> None:
        """Something has changed: the array gets a new chance at once, unless too many threads are inside."""
        self.killed = self.pauses = 0
        if self.abandoned < ABANDONED_AT_MOST:
            self._end_quarantine()

    def _begin_quarantine(self) -> None:
        seconds = min(self._limits.quarantine_min_seconds * 2 ** min(self.pauses, _DOUBLINGS_AT_MOST),
                      self._limits.quarantine_max_seconds)
        self.pauses += 1
        self.quarantined_until = self._clock() + seconds
        self._quarantine_ends = datetime.now(UTC) + timedelta(seconds=seconds)
        LOG.error('storage %s is quarantined for %d s: %d calls to its driver have not returned; check the array, or '
                  'update its access information to try at once', self.storage_id, seconds,
                  self.abandoned + self.killed)
        self._tell()

    def _end_quarantine(self) -> None:
        if self.quarantined_until is not None:
            self.quarantined_until = self._quarantine_ends = None
            self._tell()

    def _tell(self) -> None:
        try:
            self._on_quarantine(self.storage_id, self._quarantine_ends)
        except Exception:       # a database that is away must not break the door
            LOG.warning('the quarantine of storage %s could not be noted', self.storage_id, exc_info=True)

    def _check_quarantine(self) -> None:
        if self.quarantined_until is None:
            return
        over = self._clock() >= self.quarantined_until
        if over and self.abandoned < ABANDONED_AT_MOST:
            self._end_quarantine()
            return
        until = 'an abandoned call returns' if over else f'{self._quarantine_ends:%Y-%m-%dT%H:%M:%SZ}'
        raise exception.StorageQuarantined(self.storage_id, until)


def stopping() -> exception.ServiceUnavailable:
    """What callers get while the door closes."""
    return exception.ServiceUnavailable('the service is stopping; try again')
