# SPDX-License-Identifier: Apache-2.0
"""Runs the selected exporters: a thread for each, on one node at a time.

A row in the database says which node runs an exporter; the node renews it, and when it falls silent another one takes
over. Exporters do not wait for each other: one whose receiver is away, or that never returns, delays nobody.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from oslo_config import cfg
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from delfin.common.text import first_line
from delfin.context import get_admin_context
from delfin.db import Database, engine, exports
from delfin.exporter import manager
from delfin.exporter.base_exporter import DeliveryFailed
from delfin.exporter.manager import Group, Selected
from delfin.exporter.work import CallFailed, Events, Pace, Rest, State, Work, reason_of

LOG = logging.getLogger(__name__)

_MOST_LOST_THREADS = 3          # of one exporter, which never returned; then it is left alone
_RETIRE_SECONDS = 86400.0       # after which the queue of an exporter that nobody runs any more is thrown away
_DATABASE_SECONDS = 5.0         # pause after the database was away


class Runner:
    """All exporters of a group that take turns on nodes. `InvalidConfiguration` when one of them cannot be made.

    `selected` are those of this node, `[…] exporters` unless it is given.
    """

    def __init__(self, conf: cfg.ConfigOpts, database: Database, *, group: Group = manager.ALERTS,
                 selected: Sequence[Selected] | None = None, pace: Pace | None = None,
                 clock: Callable[[sa.Connection], datetime] = engine.now) -> None:
        self._database = database
        self._pace = pace or Pace()
        self._node: str = conf.host
        self._group, self._stream = group, group.stream
        self._most: int = conf[group.section].export_queue_max
        self._lanes = [_Lane(each, conf, database, self._pace, clock)
                       for each in (manager.select(conf, group) if selected is None else selected)]
        self._stopping = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name='exporters', daemon=True)
        self._tidy_at = 0.0
        self._database_away = False

    def start(self) -> None:
        """Begin to take what there is to export."""
        for lane in self._lanes:
            lane.start()
        self._watcher.start()

    def wake(self) -> None:
        """Something was queued."""
        for lane in self._lanes:
            lane.wake()

    def stop(self, timeout_seconds: float) -> None:
        """Leave the exporters to other nodes; what is being delivered has until the time-out. Also if not started."""
        deadline = time.monotonic() + timeout_seconds
        self._stopping.set()
        for lane in self._lanes:
            lane.stop()
        if self._watcher.is_alive():
            self._watcher.join(max(0.0, deadline - time.monotonic()))
        # One that is still under way is not released: another node would overtake it.
        ended = [lane.name for lane in self._lanes if lane.join(max(0.0, deadline - time.monotonic()))]
        try:
            self._database.attempt(lambda connection: exports.release(connection, ended, self._node,
                                                                                 self._stream))
        except SQLAlchemyError as error:
            LOG.warning('exporters could not be released, other nodes take them over in %.0f s: %s',
                        self._pace.lease_seconds, type(error).__name__)

    def _watch(self) -> None:
        while not self._stopping.is_set():
            for lane in self._lanes:
                self._try(lane.renew)
                self._try(lane.look)
            if time.monotonic() >= self._tidy_at:
                self._try(self._tidy)
                self._tidy_at = time.monotonic() + self._pace.tidy_seconds
            self._stopping.wait(self._pace.renew_seconds)

    def _try(self, action: Callable[[], None]) -> None:
        try:
            action()
        except SQLAlchemyError as error:
            if not self._database_away:
                LOG.error('exporters wait for the database: %s', first_line(error))
            self._database_away = True
        except Exception:       # nothing would be exported any more
            LOG.exception('looking after exporters failed')
        else:
            self._database_away = False

    def _tidy(self) -> None:
        """Keep queues within their bound, also of exporters that nobody runs; forget those nobody has run for long."""
        with self._database.read() as connection:
            too_long = [name for name, depth in exports.depth(connection, self._stream).items() if depth > self._most]
        for name in too_long:
            dropped = self._database.attempt(lambda connection, name=name: exports.cut(   # type: ignore[misc]
                connection, name, self._most, self._stream), 'export')
            LOG.error('exporter %s: its receiver has been away for so long that the %d oldest %s are dropped '
                      '([%s] export_queue_max = %d)', name, dropped,
                      'events' if self._stream is exports.ALERTS else 'points', self._group.section, self._most)
        names = [lane.name for lane in self._lanes]
        for name in self._database.attempt(lambda connection: exports.retire(
                connection, names, _RETIRE_SECONDS, self._stream)):
            LOG.info('exporter %s is forgotten: no node has run it for a day', name)


class _Shift:
    """A thread of an exporter and the object that it calls."""

    def __init__(self, exporter: Any) -> None:
        self.exporter = exporter
        self.over = False                           # it is to do nothing more, whenever it comes back
        self.busy_since: float | None = None        # in a call of the exporter
        self.thread: threading.Thread | None = None


class _Over(Exception):
    """The call came back too late: somebody else has taken over."""


class _Lane:
    """One exporter: its claim, its thread, and a new one in place of one that hangs."""

    def __init__(self, selected: Selected, conf: cfg.ConfigOpts, database: Database, pace: Pace,
                 clock: Callable[[sa.Connection], datetime]) -> None:
        self.name = selected.name
        self._selected, self._conf, self._database, self._pace = selected, conf, database, pace
        self._node: str = conf.host
        self._work: Work = (
            Events(database, self.name, self._claim, selected.cargo, pace)
            if selected.takes_events else State(database, self.name, self._claim, pace, clock))
        self._lock = threading.Lock()
        self._bell = threading.Event()
        self._stopping = threading.Event()
        self._held_until = float('-inf')
        self._pause_until = float('-inf')
        self._lost: list[threading.Thread] = []
        self._shift: _Shift | None = _Shift(selected.create(conf))

    # --- from outside ---

    def start(self) -> None:
        if self._shift is not None:
            self._begin(self._shift)

    def wake(self) -> None:
        self._bell.set()

    def stop(self) -> None:
        self._stopping.set()
        self._bell.set()

    def join(self, timeout_seconds: float) -> bool:
        """Whether nothing of it goes on."""
        with self._lock:
            threads = [*self._lost, *([self._shift.thread] if self._shift and self._shift.thread else [])]
        deadline = time.monotonic() + timeout_seconds
        for thread in threads:
            if thread.is_alive():
                thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)

    def renew(self) -> None:
        """Claim the exporter for another while."""
        begun = time.monotonic()
        held = self._is_held()
        try:
            mine = self._database.attempt(self._claim, 'export')
        except IntegrityError:      # another node was a moment faster to make the row
            mine = False
        self._held_until = begun + self._pace.lease_seconds if mine else float('-inf')
        if mine and not held:
            LOG.info('exporter %s runs on this node now', self.name)
            self._bell.set()
        elif held and not mine:
            LOG.warning('exporter %s has been taken over by another node', self.name)

    def look(self) -> None:
        """Give up a call that does not return, and go on with a new exporter in a new thread."""
        with self._lock:
            shift = self._shift
            self._lost = [thread for thread in self._lost if thread.is_alive()]
            hangs = (shift is not None and shift.busy_since is not None
                     and time.monotonic() - shift.busy_since > self._pace.deadline_seconds)
            if shift is not None and hangs:
                shift.over = True
                self._shift = None
                if shift.thread is not None:
                    self._lost.append(shift.thread)
            lost = len(self._lost)
        if hangs:
            self._rest(self._work.failed(f'it did not return within {self._pace.deadline_seconds:g} s'))
            if lost >= _MOST_LOST_THREADS:
                LOG.error('exporter %s is left alone until one of %d calls returns; a restart ends them', self.name,
                          lost)
        if self._shift is None and lost < _MOST_LOST_THREADS and not self._stopping.is_set():
            self._shift = _Shift(self._selected.create(self._conf))
            self._begin(self._shift)

    # --- its thread ---

    def _begin(self, shift: _Shift) -> None:
        shift.thread = threading.Thread(target=self._run, args=(shift,), name=f'export-{self.name}', daemon=True)
        shift.thread.start()

    def _run(self, shift: _Shift) -> None:
        while not self._stopping.is_set() and not shift.over:
            rest = self._step(shift)
            if shift.over:
                return
            if rest.least > 0:
                self._stopping.wait(rest.least)
            if rest.most > rest.least:
                self._bell.wait(rest.most - rest.least)
            self._bell.clear()

    def _step(self, shift: _Shift) -> Rest:
        """One round, if it is our turn."""
        left = self._pause_until - time.monotonic()
        if left > 0:
            return Rest(left, left)
        if not self._is_held():
            return Rest(0, self._pace.poll_seconds)
        try:
            return self._work.round(lambda method, *args: self._call(shift, method, *args))
        except _Over:
            return Rest(0, 0)
        except SQLAlchemyError as error:
            LOG.error('exporter %s waits for the database: %s', self.name, first_line(error))
        except Exception:       # a bug of ours must not end the exporter
            LOG.exception('exporter %s failed', self.name)
        return Rest(_DATABASE_SECONDS, _DATABASE_SECONDS)

    def _call(self, shift: _Shift, method: str, *args: Any) -> None:
        """Third-party code runs here: it may raise anything, or never return."""
        with self._lock:
            if shift.over:
                raise _Over
            shift.busy_since = time.monotonic()
        failure: BaseException | None = None
        try:
            getattr(shift.exporter, method)(get_admin_context(), *args)
        except BaseException as error:
            failure = error
        with self._lock:
            shift.busy_since = None
            if shift.over:
                LOG.warning('a call of exporter %s that was given up has ended%s', self.name,
                            '' if failure is None else f': {reason_of(failure)}')
                raise _Over
        if failure is not None:
            raise CallFailed(failure if isinstance(failure, Exception) else DeliveryFailed(reason_of(failure)))

    def _rest(self, rest: Rest) -> None:
        self._pause_until = time.monotonic() + rest.least

    def _is_held(self) -> bool:
        return time.monotonic() < self._held_until

    def _claim(self, connection: sa.Connection) -> bool:
        return exports.claim(connection, self.name, self._node, self._pace.lease_seconds,
                             events=self._selected.takes_events, stream=self._selected.group.stream)
