# SPDX-License-Identifier: Apache-2.0
"""Finds work in the database and does it: due sync runs and alert syncs of this node's arrays, and storages to purge.

One thread looks (when the doorbell rings, when a run becomes due, and every few seconds anyway), a bounded pool works.
Stopping puts unfinished runs back; what a crash leaves behind is taken up by whoever owns the array next.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from oslo_config import cfg
from sqlalchemy.exc import SQLAlchemyError

from delfin import exception
from delfin.common.text import first_line
from delfin.context import RequestContext
from delfin.db import Database, alert_feeds, alerts, capacity, engine, metrics, resources, runs, storages
from delfin.db.alert_feeds import Task
from delfin.db.runs import Claim, RunLost
from delfin.drivers.api import Door
from delfin.history.store import History
from delfin.kinds import KINDS, Table
from delfin.task_manager import schedule
from delfin.task_manager.alerting import Alerting
from delfin.task_manager.sync.inventory import Interrupted, Inventory

LOG = logging.getLogger(__name__)

_PURGE_ROWS = 2000
_RETRY_SECONDS = 5.0        # pause after the database was away, or an array could not be called for reasons of ours
_LOGOUT_SECONDS = 3.0       # of all arrays at once, when the service ends
_BUG_SECONDS = 60.0         # pause before a run is tried again that met a bug of ours


class Worker:
    """Takes sync runs, alert syncs and purges for one node."""

    def __init__(self, conf: cfg.ConfigOpts, database: Database, door: Door, inventory: Inventory,
                 alerting: Alerting, history: History | None = None) -> None:
        self._node = conf.host
        self._poll_seconds = conf.sync.poll_interval_seconds
        self._interval_seconds = conf.sync.interval_seconds
        self._confirm_delay_seconds = conf.sync.confirm_delay_seconds
        self._keep_runs = conf.sync.keep_runs
        self._slots = conf.sync.workers
        self._database = database
        self._door = door
        self._inventory = inventory
        self._alerting = alerting
        self._history = history
        self._alert_interval_seconds = conf.alerts.sync_interval_seconds
        self._capacity_keep_days = conf.history.capacity_keep_days
        self._capacity_tidied: date | None = None
        self._bell = threading.Event()
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._claims: dict[Future[Any], Claim] = {}
        self._purges: dict[Future[Any], str] = {}
        self._alert_syncs: dict[Future[Any], str] = {}
        self._pool = ThreadPoolExecutor(max_workers=self._slots + 1, thread_name_prefix='sync')
        # Of their own: an array whose inventory takes long must not keep others' alerts waiting.
        self._alert_pool = ThreadPoolExecutor(max_workers=self._slots, thread_name_prefix='alert-sync')
        self._looker = threading.Thread(target=self._look, name='sync-looker', daemon=True)

    def start(self) -> None:
        """Look for work, what an earlier life of this node left unfinished first of all."""
        self._looker.start()

    def wake(self) -> None:
        """Look now."""
        self._bell.set()

    def stop(self, timeout_seconds: float) -> None:
        """Take no more work, put back what is under way, wait for the workers up to the time-out."""
        deadline = time.monotonic() + timeout_seconds
        self._stopping.set()
        self._bell.set()
        self._door.refuse()
        if self._looker.is_alive():
            self._looker.join(max(0.0, deadline - time.monotonic()))
        with self._lock:
            futures = [*self._claims, *self._purges, *self._alert_syncs]
        _, late = wait(futures, timeout=max(0.0, deadline - time.monotonic()))
        if late:
            LOG.warning('%d pieces of work did not stop in time and are left to the next owner of their arrays',
                        len(late))
        self._door.stop(min(_LOGOUT_SECONDS, max(0.0, deadline - time.monotonic())))
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._alert_pool.shutdown(wait=False, cancel_futures=True)

    # --- looking ---

    def _look(self) -> None:
        plan_at = 0.0
        while not self._stopping.is_set():
            self._bell.clear()
            try:
                if time.monotonic() >= plan_at:     # not whenever a run ends: it looks at every array
                    self._plan()
                    plan_at = time.monotonic() + self._poll_seconds
                self._take_runs()
                self._take_alert_syncs()
                self._take_purges()
                pause = self._pause(plan_at)
            except SQLAlchemyError as error:
                LOG.error('looking for work failed, next try in %d s; is the database up? %s', _RETRY_SECONDS,
                          first_line(error))
                pause = _RETRY_SECONDS
            except Exception:       # nothing would be synced any more
                LOG.exception('looking for work failed')
                pause = _RETRY_SECONDS
            self._bell.wait(pause)

    def _pause(self, plan_at: float) -> float:
        """Seconds until something is to be looked at that nobody rings for."""
        with self._database.read() as connection:
            due = [runs.seconds_to_next(connection, self._node) if self._free() > 0 else None]
            with self._lock:
                working = set(self._alert_syncs.values())
            if len(working) < self._slots:      # else the end of one rings
                due += [alert_feeds.seconds_to_next(connection, self._node, working)]
        return min([max(0.0, plan_at - time.monotonic()), *(max(0.05, each) for each in due if each is not None)])

    def _free(self) -> int:
        with self._lock:
            return self._slots - len(self._claims)

    def _plan(self) -> None:
        """Ask for the syncs that nobody else asks for."""
        with self._database.read() as connection:
            moment = engine.now(connection)
            due = [plan.storage_id for plan in runs.plans(connection, self._node) if schedule.is_due(
                plan.storage_id, self._interval_seconds if plan.interval_seconds is None else plan.interval_seconds,
                plan.last_run_at, moment)]
        for storage_id in due:
            with contextlib.suppress(exception.StorageIsSyncing), self._database.write('schedule') as connection:
                runs.request(connection, storage_id, (), runs.SCHEDULE)
        self._plan_alert_syncs(moment)
        self._delete_old_capacity(moment.date())

    def _plan_alert_syncs(self, moment: datetime) -> None:
        with self._database.read() as connection:
            due = [storage_id for storage_id, last in alert_feeds.plans(connection, self._node) if schedule.is_due(
                f'alerts/{storage_id}', self._alert_interval_seconds, last, moment)]
        for storage_id in due:
            with self._database.write('schedule') as connection:
                alert_feeds.request(connection, storage_id)

    def _delete_old_capacity(self, day: date) -> None:
        """Once a day; every node does it, and the first finds something."""
        if day == self._capacity_tidied:
            return
        deleted = True
        while deleted and not self._stopping.is_set():
            with self._database.write('retention') as connection:
                deleted = capacity.delete_old(connection, self._capacity_keep_days)
        self._capacity_tidied = day

    def _take_runs(self) -> None:
        with self._lock:
            working = {claim.run_id for claim in self._claims.values()}
        free = self._slots - len(working)

        def take(connection: sa.Connection) -> tuple[int, list[Claim]]:
            return (runs.put_back_forgotten(connection, self._node, working),
                    runs.claim(connection, self._node, free) if free > 0 else [])

        forgotten, taken = self._database.attempt(take, 'claim')
        if forgotten:
            LOG.info('%d sync runs that this node had left unfinished are taken up again', forgotten)
        for claim in taken:
            with self._lock:
                future = self._pool.submit(self._sync, claim)
                self._claims[future] = claim
            future.add_done_callback(self._done)

    def _take_alert_syncs(self) -> None:
        with self._lock:
            working = set(self._alert_syncs.values())
        free = self._slots - len(working)
        if free <= 0:
            return
        with self._database.read() as connection:
            due = alert_feeds.due(connection, self._node, working, free)
        for task in due:
            with self._lock:
                future = self._alert_pool.submit(self._sync_alerts, task)
                self._alert_syncs[future] = task.storage_id
            future.add_done_callback(self._done)

    def _take_purges(self) -> None:
        with self._database.read() as connection:
            hidden = storages.hidden(connection, self._node)
        with self._lock:
            waiting = [storage_id for storage_id in hidden if storage_id not in self._purges.values()]
        for storage_id in waiting:
            with self._lock:
                future = self._pool.submit(self._purge, storage_id)
                self._purges[future] = storage_id
            future.add_done_callback(self._done)

    def _done(self, future: Future[Any]) -> None:
        with self._lock:
            self._claims.pop(future, None)
            self._purges.pop(future, None)
            self._alert_syncs.pop(future, None)
        self._bell.set()

    # --- working ---

    def _sync(self, claim: Claim) -> None:
        started = time.monotonic()
        RequestContext(is_admin=True, storage_id=claim.storage_id).update_store()
        try:
            withheld = self._inventory.run(claim)
            with self._database.write('finish') as connection:
                runs.guard(connection, claim)
                state = runs.finish(connection, claim, self._keep_runs)
                if withheld:
                    runs.request(connection, claim.storage_id, withheld, runs.CONFIRM,
                                 delay_seconds=self._confirm_delay_seconds)
            LOG.info('sync run %d of storage %s: %s after %.1f s', claim.run_id, claim.storage_id, state,
                     time.monotonic() - started)
        except RunLost as error:
            LOG.info('%s', error)
        except Interrupted as error:
            LOG.info('sync run %d of storage %s is put back: %s', claim.run_id, claim.storage_id, error)
            self._put_back(claim, 0 if self._stopping.is_set() else _RETRY_SECONDS)
        except Exception:       # a worker must survive
            LOG.exception('sync run %d of storage %s stopped; it is taken up again in %d s', claim.run_id,
                          claim.storage_id, _BUG_SECONDS)
            self._put_back(claim, _BUG_SECONDS)

    def _sync_alerts(self, task: Task) -> None:
        RequestContext(is_admin=True, storage_id=task.storage_id).update_store()
        try:
            self._alerting.sync(task)
        except Exception:       # a worker must survive
            LOG.exception('the alert sync of storage %s stopped; it is made again in %d s', task.storage_id,
                          _BUG_SECONDS)
            with contextlib.suppress(SQLAlchemyError), self._database.write() as connection:
                alert_feeds.put_off(connection, task, _BUG_SECONDS)

    def _put_back(self, claim: Claim, delay_seconds: float = 0) -> None:
        try:
            with self._database.write('put-back') as connection:
                runs.put_back(connection, claim, delay_seconds)
        except SQLAlchemyError as error:
            LOG.warning('sync run %d could not be put back and is found again later: %s', claim.run_id,
                        first_line(error))

    def _purge(self, storage_id: str) -> None:
        """Log out of the array and remove the rows of a deleted storage, in portions that hold nobody up."""
        RequestContext(is_admin=True, storage_id=storage_id).update_store()
        try:
            self._door.forget(storage_id)
            deletes: list[Callable[[sa.Connection], int]] = [
                functools.partial(_delete_rows, spec, storage_id)
                for kind in KINDS for spec in reversed(kind.tables)]
            deletes += [lambda connection: alerts.delete_some(connection, storage_id, _PURGE_ROWS),
                        lambda connection: metrics.delete_gaps(connection, storage_id, _PURGE_ROWS),
                        lambda connection: capacity.delete_some(connection, storage_id, _PURGE_ROWS)]
            for delete in deletes:
                while not self._stopping.is_set():
                    with self._database.write('purge') as connection:
                        if not delete(connection):
                            break
            if not self._stopping.is_set():
                if self._history is not None:
                    self._history.delete(storage_id)
                with self._database.write('purged') as connection:
                    storages.purge(connection, storage_id)
                LOG.info('storage %s is removed', storage_id)
        except SQLAlchemyError as error:
            LOG.error('removing storage %s goes on later: %s', storage_id, first_line(error))


def _delete_rows(spec: Table, storage_id: str, connection: sa.Connection) -> int:
    return resources.delete_some(connection, spec, storage_id, _PURGE_ROWS)
