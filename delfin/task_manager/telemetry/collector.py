# SPDX-License-Identifier: Apache-2.0
"""One collection of one array: what can be measured, what of it is due, ask, check, hand over, move the marks.

Marks move in the transaction that queues the points for the exporters, and only while the array is this node's (its
epoch). So a point is never lost and, after a crash in between, at most comes twice.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import sqlalchemy as sa

from delfin import capabilities as able
from delfin import exception
from delfin import findings as code
from delfin.capabilities import Capabilities
from delfin.common.constants import metric_struct
from delfin.db import Database, exports, metrics, ownership
from delfin.db.exports import Points
from delfin.db.metrics import Feed, Plan
from delfin.drivers.api import Door, Lane
from delfin.drivers.errors import is_hopeless
from delfin.exporter import cargo
from delfin.findings import Findings
from delfin.metrics import Gap, Mark, Owner
from delfin.task_manager.telemetry import windows
from delfin.task_manager.telemetry.points import Reader
from delfin.task_manager.telemetry.windows import Window

LOG = logging.getLogger(__name__)

_CAPABILITIES_SECONDS = 900.0       # after which the driver is asked again what can be measured
_MOST_SKEW_MS = 100 * 365 * 86_400_000      # what is further off is no time


@dataclass(frozen=True, slots=True)
class Settings:
    """What the installation says of the collection."""

    enabled: bool = True
    interval_seconds: int = 300
    settle_seconds: int = 60

    def interval(self, plan: Plan) -> int:
        """Seconds between collections of an array: its own setting, else its driver's advice, else the common one."""
        return plan.interval_seconds or plan.advised_seconds or self.interval_seconds

    def wanted(self, plan: Plan) -> bool:
        """Whether the array's metrics are to be collected."""
        return self.enabled if plan.enabled is None else plan.enabled


class Listener(Protocol):
    """Is told at once of what is collected: see `MetricsListenerBase`."""

    def collected(self, owner: Owner, resource_type: str, series: Sequence[metric_struct],
                  interval_seconds: float) -> None:
        """Points of one resource type."""


@dataclass
class Outcome:
    """How a collection went. `points` were kept; `more` says that it is to go on at once."""

    state: str = metrics.DONE
    error: str | None = None
    points: int = 0
    rejected: dict[str, int] = field(default_factory=dict)      # entries and points that were ignored, by finding
    more: bool = False


class Lost(Exception):
    """The array is another node's now, or nobody's."""


class Collector:
    """Collects through the door into the queues of the exporters and to the listeners.

    `on_queued` is told when there is something in the queues; `clock` gives epoch seconds.
    """

    def __init__(self, database: Database, door: Door, settings: Settings, listeners: Sequence[Listener] = (), *,
                 on_queued: Callable[[], None] = lambda: None, clock: Callable[[], float] = time.time) -> None:
        self._database, self._door, self._settings = database, door, settings
        self._listeners, self._on_queued, self._clock = listeners, on_queued, clock

    def collect(self, plan: Plan, node: str) -> Outcome:
        """Collect what is due. What the array does wrong is recorded; `Lost`, `ServiceUnavailable` (ours) and errors of
        the database go to the caller, and nothing has moved.
        """
        with self._database.read() as connection:
            feed = metrics.feed(connection, plan.storage_id)
        if feed is None:
            raise Lost
        return _Run(self, plan, node, feed).run()


class _Run:
    """One collection."""

    def __init__(self, house: Collector, plan: Plan, node: str, feed: Feed) -> None:
        self._database, self._door, self._settings = house._database, house._door, house._settings
        self._listeners, self._on_queued, self._clock = house._listeners, house._on_queued, house._clock
        self._storage_id, self._epoch, self._node, self._feed = plan.storage_id, plan.epoch, node, feed
        self._interval = self._settings.interval(plan)
        self._began = self._clock()
        self._findings = Findings()
        self._skew_ms: int | None = None
        self._outcome = Outcome()

    def run(self) -> Outcome:
        """See `Collector.collect`."""
        try:
            capabilities = self._capabilities()
        except exception.ServiceUnavailable:
            raise
        except exception.DelfinException as error:
            self._put_off(self._feed.marks, Capabilities(), error)
            return self._end(metrics.FAILED, error)
        wanted = capabilities.selected(self._feed.selection)
        self._forget(self._feed.marks.keys() - wanted.keys())
        if not wanted:
            return self._end(metrics.UNSUPPORTED)
        try:
            newest = self._latest()
        except exception.ServiceUnavailable:
            raise
        except exception.DelfinException as error:
            self._put_off(wanted, capabilities, error)
            return self._end(metrics.FAILED, error)
        if newest is not None:
            end = newest
        elif capabilities.is_historic:
            end = int((self._began - self._settings.settle_seconds) * 1000)
        else:
            end = int(self._began * 1000)
        due = windows.plan(wanted, self._feed.marks, capabilities, self._interval * 1000, end, self._began)
        for resource_type in due.set_back:
            self._findings.add(code.CLOCK_SET_BACK, resource_type)
        self._outcome.more = due.more
        gaps = {gap.resource_type: gap for gap in due.gaps}
        failure: exception.DelfinException | None = None
        for window in due.windows:
            part = {resource_type: wanted[resource_type] for resource_type in window.resource_types}
            if failure is None or not _ends_a_run(failure):
                try:
                    self._collect(window, part, gaps, certain=newest is not None)
                    continue
                except exception.ServiceUnavailable:
                    raise
                except exception.DelfinException as error:
                    failure = error
            self._put_off(part, capabilities, failure)
        return self._end(metrics.DONE if failure is None else metrics.FAILED, failure)

    # --- asking ---

    def _call(self, method: str, *args: Any) -> Any:
        """What a method answers; None if the driver does not have it."""
        try:
            return self._door.call(self._storage_id, method, *args, lane=Lane.METRICS)
        except NotImplementedError:
            return None

    def _capabilities(self) -> Capabilities:
        """What is known of them, or what the driver says now."""
        feed = self._feed
        known = None if feed.capabilities is None else able.read(feed.capabilities)[0]
        if known is not None and feed.capabilities_of == feed.firmware_version and feed.capabilities_at is not None \
                and 0 <= self._began - feed.capabilities_at < _CAPABILITIES_SECONDS:
            return known
        try:
            spec = self._call('get_capabilities', {'firmware_version': feed.firmware_version})
        except exception.ServiceUnavailable:
            raise
        except exception.DelfinException as error:
            if known is None or _ends_a_run(error):
                raise
            LOG.warning('what can be measured of storage %s is not known anew: %s', self._storage_id, error)
            return known
        capabilities, findings = able.read(spec, feed.firmware_version)

        def save(connection: sa.Connection) -> None:
            self._guard(connection)
            metrics.save_capabilities(connection, self._storage_id, capabilities.document(), findings.listing(),
                                      feed.firmware_version, self._began, capabilities.interval_seconds)

        self._database.attempt(save, 'capabilities')
        return capabilities

    def _forget(self, resource_types: Collection[str]) -> None:
        """What is not measured any more, or not wanted: it would seem to be late, or to fail, for ever."""
        def write(connection: sa.Connection) -> None:
            self._guard(connection)
            metrics.forget_types(connection, self._storage_id, resource_types)

        if resource_types:
            self._database.attempt(write, 'marks')

    def _latest(self) -> int | None:
        """Epoch ms of the array's newest sample by its own clock; None if it does not say."""
        answer = self._call('get_latest_perf_timestamp')
        if answer is None:
            return None
        try:
            newest = int(answer)
        except (TypeError, ValueError, OverflowError):
            newest = -1
        skew = newest - int(self._began * 1000)
        if newest < 0 or abs(skew) > _MOST_SKEW_MS:
            self._findings.add(code.NOT_A_NUMBER, 'get_latest_perf_timestamp', answer)
            return None
        self._skew_ms = skew
        return newest

    def _collect(self, window: Window, wanted: able.Metrics, gaps: Mapping[str, Gap], *, certain: bool) -> None:
        asked_at = self._now_ms() + (self._skew_ms or 0)
        until = asked_at if window.end is None else window.end
        try:
            with self._door.answer(self._storage_id, 'collect_perf_metrics', self._storage_id, wanted, window.start,
                                   until, lane=Lane.METRICS) as answer:
                if answer is None:
                    raise exception.InvalidResults('collect_perf_metrics returned None, not a list')
                reader = self._reader(window, wanted)
                try:
                    reader.read(answer)
                except TypeError:       # of an answer that is no list; entries are seen to
                    raise exception.InvalidResults(
                        f'collect_perf_metrics returned {type(answer).__name__}, not a list') from None
        except NotImplementedError:
            raise exception.StorageCapabilityNotSupported(
                message='the driver says what can be measured, but has no collect_perf_metrics') from None
        self._store(window, reader, gaps, asked_at, certain)

    def _reader(self, window: Window, wanted: able.Metrics) -> Reader:
        with self._database.read() as connection:
            names = {resource_type: metrics.names(connection, self._storage_id, resource_type)
                     for resource_type in wanted}
        # What is measured at the moment of the answer comes after the question.
        end = self._now_ms() + (self._skew_ms or 0) + self._interval * 1000 if window.end is None else window.end
        return Reader(self._feed.owner, wanted, window.start, end, names, self._findings)

    # --- writing ---

    def _guard(self, connection: sa.Connection) -> None:
        if not ownership.hold(connection, self._storage_id, self._node, self._epoch):
            raise Lost

    def _store(self, window: Window, reader: Reader, gaps: Mapping[str, Gap], asked_at: int, certain: bool) -> None:
        owner = self._feed.owner
        portions: list[Points] = []
        marks: dict[str, dict[str, Any]] = {}
        newest_of_all = max((found.newest for found in reader.found.values() if found.newest is not None), default=None)
        for resource_type, found in reader.found.items():
            # What is measured at the moment of the answer is measured together, whether or not there is a point of it.
            newest = newest_of_all if window.end is None else found.newest
            portions += cargo.pack(owner, resource_type, found.series)
            marks[resource_type] = {
                'collected_until': windows.reached(window, newest, asked_at, self._interval * 1000, certain),
                'failures': 0, 'retry_at': None, 'error': None, 'points': found.points,
                'unknown_resources': found.unknown,
                **({} if found.newest is None else {'newest_at': found.newest})}

        lost = [_seen(gaps[resource_type], reader.found[resource_type].series) for resource_type in marks
                if resource_type in gaps]

        def write(connection: sa.Connection) -> None:
            self._guard(connection)
            metrics.set_marks(connection, self._storage_id, marks)
            metrics.add_gaps(connection, self._storage_id, lost)
            exports.put_points(connection, portions)

        self._database.attempt(write, 'points')
        for gap in lost:
            LOG.warning('metrics of %s of storage %s are lost for %.0f s (%s)', gap.resource_type, self._storage_id,
                        (gap.end - gap.begin) / 1000, gap.reason)
        for resource_type, found in reader.found.items():
            self._outcome.points += found.points
            if found.series:
                self._tell(owner, resource_type, found.series)
        if portions:        # listeners first: they are quick, and share the interpreter with exporters
            self._on_queued()

    def _tell(self, owner: Owner, resource_type: str, series: Sequence[metric_struct]) -> None:
        for listener in self._listeners:
            try:
                listener.collected(owner, resource_type, series, self._interval)
            except Exception:       # third-party code; the queues have the points
                LOG.exception('a listener for metrics failed')

    def _put_off(self, part: Collection[str], capabilities: Capabilities, error: exception.DelfinException) -> None:
        """Marks stay; when to try again is written beside them."""
        marks: dict[str, dict[str, Any]] = {}
        for resource_type in part:
            known = self._feed.marks.get(resource_type) or Mark(int(self._began * 1000) - self._interval * 1000)
            failures = known.failures + 1
            pause = windows.retry_seconds(failures, self._interval, capabilities)
            marks[resource_type] = {'collected_until': known.until, 'failures': failures, 'error': error.msg,
                                    'retry_at': metrics.moment_of(self._began + pause)}

        def write(connection: sa.Connection) -> None:
            self._guard(connection)
            metrics.set_marks(connection, self._storage_id, marks)

        self._database.attempt(write, 'points')

    def _end(self, state: str, error: exception.DelfinException | None = None) -> Outcome:
        self._outcome.state = state
        self._outcome.error = None if error is None else f'{error.error_code}: {error.msg}'
        listing = self._findings.listing()
        for finding in listing:
            self._outcome.rejected[finding['code']] = (
                self._outcome.rejected.get(finding['code'], 0) + finding['count'])

        def write(connection: sa.Connection) -> None:
            self._guard(connection)
            metrics.finish(connection, self._storage_id, self._began, self._clock(), state, self._outcome.error,
                           listing, self._skew_ms)

        self._database.attempt(write, 'collected')
        return self._outcome

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)


def _seen(gap: Gap, series: Sequence[metric_struct]) -> Gap:
    """A gap ends where points begin: an array forgets by a clock and a measure of its own."""
    return gap._replace(end=max(gap.end, min((next(iter(each.values)) for each in series), default=gap.end)))


def _ends_a_run(error: exception.DelfinException) -> bool:
    """Whether the array is left alone for now. One that did not answer in time would keep the next question, too."""
    return is_hopeless(error) or isinstance(error, exception.DriverCallTimeout)
