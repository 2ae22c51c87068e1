# SPDX-License-Identifier: Apache-2.0
"""What lanes have read of traps goes into the database: alerts, what could not be read, and the marks of the lanes."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from delfin.alert_manager.interpreter import Meaning, Trap
from delfin.common.text import first_line
from delfin.db import Database, alert_feeds, alerts, is_away, traps
from delfin.db.traps import Failed

LOG = logging.getLogger(__name__)

_TOGETHER = 1000                # traps of one transaction: others wait for their storages meanwhile
_SYNC_DELAY_SECONDS = 5.0       # an array that announces something needs a moment to list it
# What storing may raise for what is stored, beside SQLAlchemy's own errors: engines are given values past it.
_REFUSALS = (SQLAlchemyError, ArithmeticError, LookupError, TypeError, ValueError)

Work = tuple[int, Trap | None, Meaning]      # a trap of the spool and what it says; no trap: it was malformed


@dataclass(eq=False)
class _Portion:
    """What one lane of a spool has read, and what became of it."""

    spool_id: str
    lane: int
    work: Sequence[Work]
    done: bool = False
    error: BaseException | None = None


class Store:
    """Where lanes bring what they have read. `ring()` tells the task services that an alert sync is wanted,
    `on_change()` exporters that there is news.

    While one transaction is under way others wait, and the next one takes along whatever waits: what a transaction
    costs beside its alerts is paid once, so the more traps come, the less each costs. A lane keeps its order.
    """

    def __init__(self, database: Database, *, node: str, keep_failed: int, ring: Callable[[], None],
                 on_change: Callable[[], None]) -> None:
        self._database, self._node, self._keep_failed = database, node, keep_failed
        self._ring, self._on_change = ring, on_change
        self._waiting: deque[_Portion] = deque()
        self._waiting_lock = threading.Lock()
        self._writing = threading.Lock()
        self.stored = 0

    def put(self, spool_id: str, lane: int, work: Sequence[Work]) -> None:
        """Store it; returns when it is in the database. What the database refuses becomes a failed trap.

        Raises what the database raises when it is away; nothing of `work` is stored then.
        """
        portion = _Portion(spool_id, lane, work)
        with self._waiting_lock:
            self._waiting.append(portion)
        with self._writing:
            while not portion.done:
                self._write_next()
        if portion.error is not None:
            raise portion.error

    def _write_next(self) -> None:
        """One transaction for what waits, or, if the database refuses something of it, one for each lane."""
        portions = self._next()
        try:
            self._write(portions)
        except _REFUSALS as error:
            refused = not is_away(error)
            for portion in portions:
                portion.error = self._write_alone(portion) if refused else error
        except BaseException as error:      # each lane has to hear of it, or it would wait for ever
            for portion in portions:
                portion.error = error
        for portion in portions:
            portion.done = True

    def _next(self) -> list[_Portion]:
        with self._waiting_lock:
            portions = [self._waiting.popleft()]
            count = len(portions[0].work)
            while self._waiting and count + len(self._waiting[0].work) <= _TOGETHER:
                portions.append(self._waiting.popleft())
                count += len(portions[-1].work)
            return portions

    def _write_alone(self, portion: _Portion) -> BaseException | None:
        """One transaction for a lane, or, if the database refuses one of its traps, one for each of them."""
        try:
            try:
                self._write([portion])
            except _REFUSALS as error:
                if is_away(error):
                    raise
                LOG.warning('the database refused traps (%s); they are stored one by one', first_line(error))
                for entry in portion.work:
                    self._write_one(portion, entry)
        except BaseException as error:
            return error
        return None

    def _write_one(self, portion: _Portion, entry: Work) -> None:
        try:
            self._write([_Portion(portion.spool_id, portion.lane, [entry])])
        except _REFUSALS as error:
            if is_away(error):
                raise
            number, trap, _ = entry
            refused = Meaning(error=f'the database refused it: {first_line(error)}')
            self._write([_Portion(portion.spool_id, portion.lane, [(number, trap, refused)])])

    def _write(self, portions: Sequence[_Portion]) -> None:
        work = [entry for portion in portions for entry in portion.work]
        reports = [meaning.report for _, _, meaning in work if meaning.report is not None]
        failed = [failure(trap, meaning.error) for _, trap, meaning in work
                  if trap is not None and meaning.error is not None]
        wanted = sorted({storage_id for _, _, meaning in work for storage_id in meaning.sync})

        def write(connection: sa.Connection) -> None:
            # All at once, in the order that everybody keeps: one after the other would meet others crosswise.
            live = alerts.lock(connection, {*wanted, *(report.storage_id for report in reports)})
            alerts.apply(connection, reports, live)
            traps.add_failed(connection, failed, self._node, self._keep_failed)
            for storage_id in wanted:
                alert_feeds.request(connection, storage_id, delay_seconds=_SYNC_DELAY_SECONDS)
            traps.set_marks(connection, {
                (portion.spool_id, portion.lane): portion.work[-1][0] for portion in portions})

        self._database.attempt(write, 'traps')
        self.stored += len(reports)
        for trap in failed[:1]:
            LOG.error('%d trap(s) could not be read and are kept (GET /v1/traps/failed); the first one, from %s: %s',
                      len(failed), trap.source, trap.error)
        try:        # it is stored: an error must not have it stored once more
            if wanted:
                self._ring()
            self._on_change()
        except Exception:
            LOG.exception('nobody could be told of new alerts; they are found without it, a little later')


def failure(trap: Trap, error: str) -> Failed:
    """A trap as it is kept to be read and tried again."""
    return Failed(trap.received_at, trap.source, trap.storage_ids, trap.version, trap.variables, error)
