# SPDX-License-Identifier: Apache-2.0
"""When arrays are asked for their metrics: one thread looks, a bounded pool of threads collects.

What is due is computed from the clock, the interval and the last collection (`due_at`); the thread sleeps until the
earliest. Every few seconds, and whenever somebody rings, it reads from the database which arrays are this node's.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from typing import Protocol

from sqlalchemy.exc import SQLAlchemyError

from delfin import exception
from delfin.common.text import first_line
from delfin.context import RequestContext
from delfin.db import Database, metrics
from delfin.db.metrics import Plan
from delfin.task_manager import schedule
from delfin.task_manager.telemetry.collector import Collector, Lost, Outcome, Settings

LOG = logging.getLogger(__name__)

_FIRST_SECONDS = 10             # within which a new array is asked for the first time
_PUT_OFF_SECONDS = 5.0          # after an error of ours; and no failure is tried again before
_BUG_SECONDS = 60.0
_LATE_SHARE = 0.1               # of an interval; later than that is too late
_ROUNDING_SECONDS = 0.001       # a collection that began with its slot must not seem to have begun before it


class Observer(Protocol):
    """Is told how collections go, for the service's own metrics."""

    def collection(self, storage_id: str, state: str, seconds: float, late_seconds: float, points: int,
                   rejected: dict[str, int]) -> None:
        """One has ended, after so many seconds; it had begun so much later than it was due."""


class _Nobody:
    def collection(self, storage_id: str, state: str, seconds: float, late_seconds: float, points: int,
                   rejected: dict[str, int]) -> None:
        return None


def due_at(plan: Plan, settings: Settings, now: float) -> float | None:
    """Epoch seconds at which an array is to be asked next; None if never.

    Slots of the interval's length are shifted for each array, so that thousands are spread evenly. A new array does not
    wait for its slot. What failed is tried again at its own time.
    """
    if not settings.wanted(plan):
        return None
    interval = settings.interval(plan)
    name = f'metrics/{plan.storage_id}'
    if plan.collected_at is None:
        first = max(1, min(_FIRST_SECONDS, interval // 10))
        return schedule.slot_start(name, first, _moment(now)).timestamp() + first
    last = min(plan.collected_at, now)      # a clock that was set back must not stop it
    next_slot = schedule.slot_start(name, interval, _moment(last + _ROUNDING_SECONDS)).timestamp() + interval
    return next_slot if plan.retry_at is None else min(next_slot, max(plan.retry_at, last + _PUT_OFF_SECONDS))


def newer(read: Plan, known: Plan | None) -> Plan:
    """What was read of an array, unless it was read before the end of a collection that is known here: then the array
    would be asked again at once.
    """
    if known is None or known.collected_at is None or (
            read.collected_at is not None and read.collected_at >= known.collected_at - _ROUNDING_SECONDS):
        return read
    return dataclasses.replace(read, collected_at=known.collected_at, retry_at=known.retry_at)


class Telemetry:
    """Collects the metrics of this node's arrays."""

    def __init__(self, database: Database, node: str, collector: Collector, settings: Settings, *, workers: int,
                 poll_seconds: float, holds: Callable[[str], bool], forget: Callable[[str], None],
                 observer: Observer | None = None, clock: Callable[[], float] = time.time) -> None:
        self._database, self._node, self._collector, self._settings = database, node, collector, settings
        self._poll_seconds, self._holds, self._forget = poll_seconds, holds, forget
        self._observer: Observer = observer or _Nobody()
        self._clock = clock
        self._lock = threading.Lock()
        self._plans: dict[str, Plan] = {}
        self._due: dict[str, float] = {}
        self._busy: dict[str, Future[None]] = {}
        self._bell = threading.Event()
        self._reload = True
        self._stopping = threading.Event()
        self._free = workers
        self._pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix='metrics')
        self._looker = threading.Thread(target=self._look, name='metrics-looker', daemon=True)

    def start(self) -> None:
        """Begin; what was missed while nothing ran is fetched."""
        self._looker.start()

    def wake(self) -> None:
        """Something has changed: an array, a setting."""
        self._reload = True
        self._bell.set()

    def lost(self, storage_ids: Collection[str]) -> None:
        """These arrays are another node's now, or nobody's."""
        with self._lock:
            for storage_id in storage_ids:
                self._plans.pop(storage_id, None)
                self._due.pop(storage_id, None)
        for storage_id in storage_ids:
            self._forget(storage_id)

    def stop(self, timeout_seconds: float) -> None:
        """Begin nothing more, wait for what is under way up to the time-out. The door must refuse calls by now."""
        deadline = time.monotonic() + timeout_seconds
        self._stopping.set()
        self._bell.set()
        if self._looker.is_alive():
            self._looker.join(timeout_seconds)
        with self._lock:
            busy = list(self._busy.values())
        wait(busy, timeout=max(0.0, deadline - time.monotonic()))
        self._pool.shutdown(wait=False, cancel_futures=True)

    # --- looking ---

    def _look(self) -> None:
        reload_at = 0.0
        while not self._stopping.is_set():
            self._bell.clear()
            try:
                if self._reload or time.monotonic() >= reload_at:
                    self._reload = False
                    self._load()
                    reload_at = time.monotonic() + self._poll_seconds
                pause = min(self._begin_due(), max(0.0, reload_at - time.monotonic()))
            except SQLAlchemyError as error:
                LOG.error('metrics are collected later, next try in %d s; is the database up? %s', _PUT_OFF_SECONDS,
                          first_line(error))
                pause, self._reload = _PUT_OFF_SECONDS, True
            except Exception:       # nothing would be collected any more
                LOG.exception('looking for metrics to collect failed')
                pause = _PUT_OFF_SECONDS
            self._bell.wait(pause)

    def _load(self) -> None:
        with self._database.read() as connection:
            plans = metrics.plans(connection, self._node)
        now = self._clock()
        with self._lock:
            gone = self._plans.keys() - {plan.storage_id for plan in plans}
            self._plans = {plan.storage_id: newer(plan, self._plans.get(plan.storage_id)) for plan in plans}
            due = {}
            for plan in self._plans.values():
                moment = due_at(plan, self._settings, now)
                if moment is None or plan.storage_id in self._busy:
                    continue
                before = self._due.get(plan.storage_id)
                # The first slot of a new array must not become the next one while somebody looks.
                due[plan.storage_id] = min(moment, before) if before and plan.collected_at is None else moment
            self._due = due
        for storage_id in gone:
            self._forget(storage_id)

    def _begin_due(self) -> float:
        """Begin what is due; seconds until the next. When there is more than can be begun, those come first that are
        soonest late by a tenth of their interval.
        """
        now = self._clock()
        with self._lock:
            ready = sorted((moment + _LATE_SHARE * self._settings.interval(self._plans[storage_id]), moment, storage_id)
                           for storage_id, moment in self._due.items() if moment <= now)
            for _, moment, storage_id in ready[:self._free]:
                del self._due[storage_id]
                self._free -= 1
                self._busy[storage_id] = self._pool.submit(self._work, self._plans[storage_id], moment)
            if not self._free:
                return self._poll_seconds       # the end of one rings
            return min((max(0.01, moment - now) for moment in self._due.values()), default=self._poll_seconds)

    # --- working ---

    def _work(self, plan: Plan, due: float) -> None:
        """The body of a thread of the pool."""
        RequestContext(is_admin=True, storage_id=plan.storage_id).update_store()
        began, at = time.monotonic(), self._clock()
        outcome, again = self._collect(plan)
        if outcome is not None:
            self._observer.collection(plan.storage_id, outcome.state, time.monotonic() - began, max(0.0, at - due),
                                      outcome.points, outcome.rejected)
        if not self._holds(plan.storage_id):
            self._forget(plan.storage_id)       # it was told while it went
        with self._lock:
            self._busy.pop(plan.storage_id, None)
            self._free += 1
            if plan.storage_id in self._plans:
                done = dataclasses.replace(plan, collected_at=at, retry_at=None)
                self._plans[plan.storage_id] = done
                next_at = due_at(done, self._settings, self._clock())
                if next_at is not None:
                    self._due[plan.storage_id] = next_at if again is None else min(next_at, self._clock() + again)
        if outcome is not None and outcome.state == metrics.FAILED:
            self._reload = True         # for the time at which it is tried again
        self._bell.set()

    def _collect(self, plan: Plan) -> tuple[Outcome | None, float | None]:
        """How it went, and after how many seconds to go on before the interval is over."""
        try:
            outcome = self._collector.collect(plan, self._node)
        except Lost:
            return None, _PUT_OFF_SECONDS       # or another epoch is ours meanwhile
        except exception.ServiceUnavailable as error:
            if not self._stopping.is_set():
                LOG.info('metrics of storage %s are collected later: %s', plan.storage_id, error)
            return None, _PUT_OFF_SECONDS
        except SQLAlchemyError as error:
            LOG.error('metrics of storage %s are collected later; is the database up? %s', plan.storage_id,
                      first_line(error))
            return None, _PUT_OFF_SECONDS
        except Exception:       # a worker must survive
            LOG.exception('collecting metrics of storage %s failed', plan.storage_id)
            return None, _BUG_SECONDS
        if outcome.state == metrics.FAILED:
            LOG.warning('metrics of storage %s could not be collected: %s', plan.storage_id, outcome.error)
        else:
            LOG.debug('metrics of storage %s: %d points', plan.storage_id, outcome.points)
        return outcome, 0.0 if outcome.more else None


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
