# SPDX-License-Identifier: Apache-2.0
"""What there is to do for one exporter, a round at a time: deliver what is in its queue, or tell the state.

Rounds are made by one thread, while this node has claimed the exporter. No transaction spans a call of an exporter.
"""

from __future__ import annotations

import logging
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic
from typing import NamedTuple, Protocol

import sqlalchemy as sa

from delfin.common.text import printable
from delfin.db import Database, alerts, engine, exports
from delfin.db.exports import ALERTS, Queued, Stream
from delfin.exporter.base_exporter import DeliveryFailed, EventRefused
from delfin.exporter.cargo import Cargo

LOG = logging.getLogger(__name__)

CLEARED_FOR = timedelta(minutes=15)     # how long a state feed is told of what was cleared

_LONGEST_ERROR = 300
_FEED_SHARE = 10        # a feed rests ten times as long as it took: with many alerts a round is no small thing
# What an exporter raises when it cannot cope with an event, rather than with its receiver.
_BUGS = (TypeError, LookupError, AttributeError, UnicodeError, ArithmeticError)
_URL = re.compile(r'(://)\S+|(with url: )\S+')


@dataclass(frozen=True)
class Pace:
    """How fast things go; tests are in more of a hurry."""

    lease_seconds: float = 30.0         # a node that was silent for so long has lost its exporters
    renew_seconds: float = 5.0
    poll_seconds: float = 5.0           # for events of other processes, which do not wake us
    collect_seconds: float = 0.5        # between two batches, unless there is enough for a full one
    feed_seconds: float = 60.0
    feed_rest_seconds: float = 1.0
    first_pause_seconds: float = 1.0    # after a failure; doubled with each further one
    longest_pause_seconds: float = 60.0
    deadline_seconds: float = 60.0      # of one call of an exporter
    attempts: int = 10                  # with events that a receiver refuses,
    patience_seconds: float = 300.0     # and over at least so long
    tidy_seconds: float = 10.0          # between two looks at the length of queues


class Rest(NamedTuple):
    """How long to wait for the next round: `least` in any case, `most` unless somebody wakes us."""

    least: float
    most: float


class CallFailed(Exception):
    """An exporter raised `cause`."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__()
        self.cause = cause


Call = Callable[..., None]
"""Calls a method of the exporter by name, after the context with these arguments; raises `CallFailed`."""

Guard = Callable[[sa.Connection], bool]
"""Whether the exporter is still this node's, in this transaction."""


class Work(Protocol):
    """One of the two kinds."""

    def round(self, call: Call) -> Rest:
        """Do what there is to do now."""

    def failed(self, reason: str) -> Rest:
        """A call came to nothing."""


class Backoff:
    """The pauses after failures."""

    def __init__(self, name: str, pace: Pace, jitter: Callable[[float, float], float] = random.uniform) -> None:
        self._name, self._pace, self._jitter = name, pace, jitter
        self.failures = 0

    def failed(self, reason: str) -> Rest:
        """Longer each time, and not for all at the same moment."""
        pause = min(self._pace.longest_pause_seconds, self._pace.first_pause_seconds * 2 ** min(self.failures, 30))
        self.failures += 1
        (LOG.warning if self.failures == 1 else LOG.debug)('exporter %s: %s; next attempt in %.0f s', self._name,
                                                           reason, pause)
        pause *= self._jitter(0.8, 1.2)
        return Rest(pause, pause)

    def succeeded(self) -> None:
        """From the start."""
        if self.failures:
            LOG.info('exporter %s works again after %d failed attempts', self._name, self.failures)
        self.failures = 0


class Events:
    """Delivers what is queued for an exporter, the oldest first."""

    def __init__(self, database: Database, name: str, guard: Guard, cargo: Cargo, pace: Pace,
                 clock: Callable[[], float] = monotonic) -> None:
        self._database, self._name, self._guard, self._cargo, self._pace = database, name, guard, cargo, pace
        self._clock = clock
        self._backoff = Backoff(name, pace)
        self._limit = cargo.rows
        self._refusals = 0
        self._refused_at = 0.0              # the first of them
        self._handled: list[Queued] = []    # delivered, but it could not be written down

    def round(self, call: Call) -> Rest:
        """Deliver one batch."""
        if self._handled:
            self._done(self._handled)
        with self._database.read() as connection:
            batch = exports.waiting(connection, self._name, self._limit, self._cargo.stream)
        if not batch:
            return Rest(self._pace.collect_seconds, self._pace.poll_seconds)
        data = self._cargo.unpack([queued for queued in batch if self._cargo.wanted(queued)])
        if data:
            try:
                call('dispatch', data)
            except CallFailed as error:
                return self._not_delivered(batch, error.cause)
            self._backoff.succeeded()
        self._handled = batch
        self._done(batch)
        full = len(batch) == self._limit
        self._grow()
        return Rest(0, 0) if full else Rest(self._pace.collect_seconds, self._pace.poll_seconds)

    def failed(self, reason: str) -> Rest:
        """See `Work`."""
        _note_failure(self._database, self._name, reason, self._cargo.stream)
        return self._backoff.failed(reason)

    def _done(self, batch: Sequence[Queued]) -> None:
        """Take it out of the queue: as delivered what the exporter has got, the rest without a word."""
        delivered = [queued.id for queued in batch if self._cargo.wanted(queued)]
        unwanted = [queued.id for queued in batch if not self._cargo.wanted(queued)]

        def record(connection: sa.Connection) -> None:
            if not self._guard(connection):
                return
            if delivered:
                exports.delivered(connection, self._name, delivered, self._cargo.stream)
            exports.remove(connection, unwanted, self._cargo.stream)

        self._database.attempt(record, 'export')
        self._handled = []

    def _grow(self) -> None:
        self._limit = min(self._cargo.rows, self._limit * 2)
        if self._limit == self._cargo.rows or not self._is_out_of_patience():
            self._refusals = 0

    def _not_delivered(self, batch: Sequence[Queued], error: BaseException) -> Rest:
        reason = reason_of(error)
        self._limit = len(batch)            # the same again
        final = isinstance(error, EventRefused) and error.final
        if isinstance(error, (EventRefused, *_BUGS)):
            self._refusals += 1
            if self._refusals == 1:
                self._refused_at = self._clock()
            final = final or self._is_out_of_patience()
        if not final:
            return self.failed(reason)
        if len(batch) > 1:                  # one of them will be the one
            self._limit = len(batch) // 2
        else:
            self._drop(batch[0], reason)
        return Rest(0, 0)

    def _is_out_of_patience(self) -> bool:
        return (self._refusals >= self._pace.attempts
                and self._clock() - self._refused_at >= self._pace.patience_seconds)

    def _drop(self, queued: Queued, reason: str) -> None:
        LOG.error('exporter %s: %s is dropped, its receiver will not take it: %s', self._name,
                  self._cargo.describe(queued), reason)

        def record(connection: sa.Connection) -> None:
            if self._guard(connection):
                exports.drop(connection, self._name, [queued.id], reason, self._cargo.stream)

        self._database.attempt(record, 'export')
        self._refusals = 0


class State:
    """Tells a state feed what stands."""

    def __init__(self, database: Database, name: str, guard: Guard, pace: Pace,
                 clock: Callable[[sa.Connection], datetime] = engine.now) -> None:
        self._database, self._name, self._guard, self._pace = database, name, guard, pace
        self._clock = clock
        self._backoff = Backoff(name, pace)

    def round(self, call: Call) -> Rest:
        """Tell all of it."""
        begun = monotonic()
        with self._database.read() as connection:
            moment = self._clock(connection)
            rows = alerts.standing(connection, moment - CLEARED_FOR)
        try:
            call('tell', rows, moment)
        except CallFailed as error:
            return self.failed(reason_of(error.cause))
        self._backoff.succeeded()

        def record(connection: sa.Connection) -> None:
            if self._guard(connection):
                exports.worked(connection, self._name)

        self._database.attempt(record, 'export')
        least = max(self._pace.feed_rest_seconds, _FEED_SHARE * (monotonic() - begun))
        return Rest(min(least, self._pace.feed_seconds), self._pace.feed_seconds)

    def failed(self, reason: str) -> Rest:
        """See `Work`."""
        _note_failure(self._database, self._name, reason, ALERTS)
        return self._backoff.failed(reason)


def reason_of(error: BaseException) -> str:
    """An error of an exporter in one line. Third parties' errors quote URLs, which may hold a secret."""
    text = ' '.join(printable(error).split())
    if not isinstance(error, DeliveryFailed):
        text = _URL.sub(lambda match: f'{match[1] or match[2]}…', f'{type(error).__name__}: {text}'.rstrip(': '))
    return ''.join(character if character.isprintable() else '?' for character in text)[:_LONGEST_ERROR]


def _note_failure(database: Database, name: str, reason: str, stream: Stream) -> None:
    database.attempt(lambda connection: exports.failed(connection, name, reason, stream), 'export')
