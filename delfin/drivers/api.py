# SPDX-License-Identifier: Apache-2.0
"""The one door to the devices. Every driver call of every service passes `Door.call`.

What it applies, in this order:

* *Lanes.* Each array has an interactive, a metrics and a bulk lane. A driver takes `MAX_CONCURRENT_CALLS` calls at a
  time (1 unless it says more); waiting calls take turns, interactive ones first, metrics next, bulk last.
* *Deadline.* A call runs in a thread of its own. When its deadline passes, the call is abandoned together with its
  thread and the driver instance, and counted. A thread cannot be killed; it ends when the driver returns.
* *Quarantine.* After two abandoned calls the array is left alone until one of them returns, its access information
  changes, or a pause ends that doubles from one minute to one hour. With eight calls abandoned it waits for a return.
* *Calling rules* for drivers of every age (`calling`), *errors* of one family without secrets (`errors`), *timing*.
"""

from __future__ import annotations

import enum
import heapq
import itertools
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future, InvalidStateError, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from delfin import access as access_info
from delfin import exception
from delfin.common.masking import Masker
from delfin.context import RequestContext, get_admin_context
from delfin.db import is_away
from delfin.drivers import calling, errors
from delfin.drivers.manager import DriverManager, options_of

LOG = logging.getLogger(__name__)

ABANDONED_BEFORE_QUARANTINE = 2
ABANDONED_AT_MOST = 8


LOGOUT_SECONDS = 10


@dataclass
class _Call:
    """What the body of a call is given: the context for the driver; it notes the instance it works with."""

    context: RequestContext
    driver: Any = None


Work = Callable[[_Call], Any]


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


@dataclass
class _Array:
    """One array behind the door."""

    storage_id: str
    changed: threading.Condition = field(default_factory=threading.Condition)
    driver: Any = None
    driver_class: type | None = None
    generation: int = 0                                 # raised whenever the instance is dropped
    waiting: list[tuple[int, int]] = field(default_factory=list)        # heap of (lane, turn)
    running: int = 0
    calls: Counter[int] = field(default_factory=Counter)                # threads still inside, by generation
    abandoned: int = 0
    pauses: int = 0
    quarantined_until: float | None = None              # monotonic; None = not quarantined
    quarantine_ends: datetime | None = None             # the same moment for people

    @property
    def capacity(self) -> int:
        if self.driver is None:         # the first call builds it, alone
            return 1
        declared = getattr(self.driver_class, 'MAX_CONCURRENT_CALLS', 1)
        return declared if isinstance(declared, int) and declared > 0 else 1


class Door:
    """All driver calls of one process.

    `load_access(storage_id)` gives the open access information; `verify(access)` what drivers are told about
    certificates (True, False, or the path of a CA bundle); `on_quarantine(storage_id, until)` is told when an
    array is left alone (`until` a time) and when that is over (None).
    """

    def __init__(self, drivers: DriverManager, load_access: Callable[[str], access_info.Access], *,
                 limits: Limits | None = None, masker: Masker | None = None,
                 verify: Callable[[access_info.Access], bool | str] = lambda access: True,
                 on_quarantine: Callable[[str, datetime | None], None] | None = None) -> None:
        self._drivers = drivers
        self._load_access = load_access
        self._limits = limits or Limits()
        self._masker = masker or Masker()
        self._verify = verify
        self._on_quarantine = on_quarantine or (lambda storage_id, until: None)
        self._arrays: dict[str, _Array] = {}
        self._lock = threading.Lock()
        self._turns = itertools.count()
        self._under_way: set[Future[Any]] = set()
        self._stopped = False

    # --- calls ---

    def call(self, storage_id: str, method: str, *args: Any, lane: Lane, context: RequestContext | None = None,
             timeout_seconds: float | None = None, **kwargs: Any) -> Any:
        """Call `method(context, *args)` of the storage's driver and return its answer, generators run to their end.

        Raises NotImplementedError when the driver does not have the method, and of Delfin's family whatever else goes
        wrong: `DriverCallTimeout`, `StorageQuarantined`, `AccessInfoNotFound`, what the driver raised.
        """
        array = self._array(storage_id)

        def work(call: _Call) -> Any:
            call.driver = self._driver(array)
            return calling.materialise(calling.call(call.driver, method, call.context, *args, **kwargs))

        return self._run(array, method, work, lane, context, timeout_seconds)

    def discover(self, access: access_info.Access, storage_id: str, *, context: RequestContext | None = None,
                 timeout_seconds: float | None = None) -> Any:
        """Build a driver from open access information and ask it who it is; the instance stays for later calls.

        Call `forget` when the storage does not get registered after all.
        """
        array = self._array(storage_id)

        def work(call: _Call) -> Any:
            call.driver = self._driver(array, access)
            return calling.call(call.driver, 'get_storage', call.context)

        return self._run(array, 'get_storage', work, Lane.INTERACTIVE, context, timeout_seconds)

    def parse_alert(self, storage_id: str, alert: Mapping[str, str], *, context: RequestContext | None = None) -> Any:
        """One trap to one alert, or None. Needs no session unless the driver's method uses its instance's state."""
        access = self._load_access(storage_id)
        driver_class = self._class_of(access)
        self._masker.learn(storage_id, access_info.secrets(access, options_of(driver_class)))
        call_context = _context_for(context, storage_id)
        try:
            return calling.call_without_instance(driver_class, 'parse_alert', storage_id, call_context, dict(alert))
        except calling.NeedsInstance:
            return self.call(storage_id, 'parse_alert', dict(alert), lane=Lane.INTERACTIVE, context=context)
        except Exception as error:      # third-party code
            clean = errors.translate(error, 'parse_alert', self._masker.mask)
            if isinstance(clean, exception.IncompleteTrapInformation | exception.InvalidResults):
                raise clean from None
            raise exception.InvalidResults(clean.msg) from None

    def forget(self, storage_id: str, *, tell_driver: bool = True) -> None:
        """Drop the storage's driver. With `tell_driver` its `delete_storage` is called first, so that it can log out.

        Never raises: the storage goes, whatever its driver says.
        """
        array = self._array(storage_id)
        with array.changed:
            driver = array.driver
        if driver is not None and tell_driver:
            try:
                self._run(array, 'delete_storage', lambda call: calling.call(driver, 'delete_storage', call.context),
                          Lane.INTERACTIVE, None, LOGOUT_SECONDS)
            except (exception.DelfinException, NotImplementedError) as error:
                LOG.warning('delete_storage of storage %s failed: %s', storage_id, error)
        with array.changed:
            _drop_driver(array)
        self.reset(storage_id)
        with self._lock:
            self._arrays.pop(storage_id, None)
        self._masker.forget(storage_id)

    def reset(self, storage_id: str) -> None:
        """The access information changed: the next call builds a new driver, and a quarantine is over.

        The old instance logs out when its last call has ended.
        """
        array = self._array(storage_id)
        with array.changed:
            if array.driver is not None and not array.calls[array.generation]:
                threading.Thread(target=_log_out, args=(array.driver, _context_for(None, storage_id)), daemon=True,
                                 name=f'driver-log-out-{storage_id[:8]}').start()
            _drop_driver(array)
            array.pauses = 0
            if array.abandoned < ABANDONED_AT_MOST:
                self._end_quarantine(array)
            array.changed.notify_all()

    def stop(self) -> None:
        """Refuse new calls and let those who wait for running ones go with `ServiceUnavailable`."""
        with self._lock:
            self._stopped = True
            arrays, futures = list(self._arrays.values()), list(self._under_way)
        for future in futures:
            _settle(future, error=_stopping())
        for array in arrays:
            with array.changed:
                array.changed.notify_all()

    # --- lanes, deadlines, quarantine ---

    def _array(self, storage_id: str) -> _Array:
        with self._lock:
            return self._arrays.setdefault(storage_id, _Array(storage_id))

    def _run(self, array: _Array, method: str, work: Work, lane: Lane, context: RequestContext | None,
             timeout_seconds: float | None) -> Any:
        seconds = self._limits.deadline(lane) if timeout_seconds is None else timeout_seconds
        deadline = time.monotonic() + seconds
        generation = self._take_turn(array, method, lane, deadline, seconds)
        call = _Call(_context_for(context, array.storage_id))
        future: Future[Any] = Future()
        with self._lock:
            self._under_way.add(future)
        started = time.monotonic()
        threading.Thread(target=self._execute, args=(array, generation, work, call, future),
                         name=f'driver-{method}-{array.storage_id[:8]}', daemon=True).start()
        try:
            if self._stopped:
                _settle(future, error=_stopping())
            wait([future], timeout=max(0.0, deadline - time.monotonic()))
            if self._abandon(array, generation, future, method, seconds):
                LOG.error('%s of storage %s did not return within %g s and was abandoned; is the array reachable?',
                          method, array.storage_id, seconds)
            error = future.exception()
        finally:
            with self._lock:
                self._under_way.discard(future)
            LOG.debug('%s of storage %s took %.3f s', method, array.storage_id, time.monotonic() - started)
        if error is None:
            return future.result()
        if is_away(error):      # our own database, asked for the access information
            raise exception.ServiceUnavailable('the database cannot be reached; try again later')
        if isinstance(error, NotImplementedError):
            raise NotImplementedError(self._masker.mask(str(error)))
        raise errors.translate(error, method, self._masker.mask)

    def _execute(self, array: _Array, generation: int, work: Work, call: _Call, future: Future[Any]) -> None:
        """The body of a call's thread."""
        call.context.update_store()
        outcome: dict[str, Any]
        try:
            outcome = {'result': work(call)}
        except BaseException as error:      # SystemExit from a driver must not pass for success
            if not isinstance(error, NotImplementedError | exception.DelfinException):
                LOG.debug('driver of storage %s raised', array.storage_id, exc_info=True)
            outcome = {'error': error}
        with array.changed:
            in_time = _settle(future, **outcome)
            array.calls[generation] -= 1
            orphaned = not array.calls[generation] and array.generation != generation
            if array.generation == generation:
                array.running -= 1
            if not in_time and array.abandoned:
                array.abandoned -= 1
                array.pauses = 0
                self._end_quarantine(array)
                LOG.info('an abandoned call to storage %s returned', array.storage_id)
            array.changed.notify_all()
        if orphaned and call.driver is not None and not self._stopped:
            _log_out(call.driver, call.context)

    def _take_turn(self, array: _Array, method: str, lane: Lane, deadline: float, seconds: float) -> int:
        """Wait until the array takes another call; the generation of the instance that will serve it."""
        ticket = (int(lane), next(self._turns))
        with array.changed:
            self._check_quarantine(array)
            heapq.heappush(array.waiting, ticket)
            try:
                while array.waiting[0] != ticket or array.running >= array.capacity:
                    if self._stopped:
                        raise _stopping()
                    left = deadline - time.monotonic()
                    if left <= 0 or not array.changed.wait(left):
                        raise exception.DriverCallTimeout(method, array.storage_id, seconds, message=(
                            f'{method} of storage {array.storage_id} did not get its turn within {seconds:g} seconds: '
                            'earlier calls are still under way.'))
                    self._check_quarantine(array)
                if self._stopped:
                    raise _stopping()
                array.running += 1
                array.calls[array.generation] += 1
                return array.generation
            finally:
                array.waiting.remove(ticket)
                heapq.heapify(array.waiting)
                array.changed.notify_all()

    def _abandon(self, array: _Array, generation: int, future: Future[Any], method: str, seconds: float) -> bool:
        """Give up waiting; False when the call has ended meanwhile. One step with the end of a call: see `_execute`."""
        with array.changed:
            if not _settle(future, error=exception.DriverCallTimeout(method, array.storage_id, f'{seconds:g}')):
                return False
            if array.generation == generation:
                _drop_driver(array)
            array.abandoned += 1
            if array.abandoned >= ABANDONED_BEFORE_QUARANTINE:
                self._begin_quarantine(array)
            array.changed.notify_all()
            return True

    def _begin_quarantine(self, array: _Array) -> None:
        seconds = min(self._limits.quarantine_min_seconds * 2 ** array.pauses, self._limits.quarantine_max_seconds)
        array.pauses += 1
        array.quarantined_until = time.monotonic() + seconds
        array.quarantine_ends = datetime.now(UTC) + timedelta(seconds=seconds)
        LOG.error('storage %s is quarantined for %d s: %d calls to its driver have not returned; check the array, or '
                  'update its access information to try at once', array.storage_id, seconds, array.abandoned)
        self._tell_quarantine(array)

    def _end_quarantine(self, array: _Array) -> None:
        if array.quarantined_until is not None:
            array.quarantined_until = array.quarantine_ends = None
            self._tell_quarantine(array)

    def _tell_quarantine(self, array: _Array) -> None:
        try:
            self._on_quarantine(array.storage_id, array.quarantine_ends)
        except Exception:       # a database that is away must not break the door
            LOG.warning('the quarantine of storage %s could not be noted', array.storage_id, exc_info=True)

    def _check_quarantine(self, array: _Array) -> None:
        if array.quarantined_until is None:
            return
        over = time.monotonic() >= array.quarantined_until
        if over and array.abandoned < ABANDONED_AT_MOST:
            self._end_quarantine(array)
            return
        until = 'an abandoned call returns' if over else f'{array.quarantine_ends:%Y-%m-%dT%H:%M:%SZ}'
        raise exception.StorageQuarantined(array.storage_id, until)

    # --- drivers ---

    def _class_of(self, access: access_info.Access) -> type:
        return self._drivers.get_class(access['vendor'], access['model'])

    def _driver(self, array: _Array, access: access_info.Access | None = None) -> Any:
        """The array's instance, built now if there is none. Runs in the call's thread: most drivers log in here."""
        with array.changed:
            if array.driver is not None:
                return array.driver
            generation = array.generation
        access = access if access is not None else self._load_access(array.storage_id)
        driver_class = self._class_of(access)
        options = options_of(driver_class)
        self._masker.learn(array.storage_id, access_info.secrets(access, options))
        arguments = access_info.for_driver(access, array.storage_id, options)
        driver = driver_class(**arguments, verify=self._verify(access))
        with array.changed:
            if array.generation == generation and array.driver is None:
                array.driver, array.driver_class = driver, driver_class
            return array.driver if array.generation == generation else driver


def _drop_driver(array: _Array) -> None:
    """A new generation begins: calls of the old one no longer count as running."""
    array.driver = None
    array.generation += 1
    array.running = 0


def _log_out(driver: Any, context: RequestContext) -> None:
    """An instance that was replaced is nobody's any more; its session at the array should not stay open."""
    try:
        calling.call(driver, 'delete_storage', context)
    except Exception:       # third-party code, and nobody waits for it
        LOG.debug('a replaced driver could not log out', exc_info=True)


def _settle(future: Future[Any], *, result: Any = None, error: BaseException | None = None) -> bool:
    """Give the future its outcome unless it has one; whether this was the first."""
    try:
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)
    except InvalidStateError:       # somebody was faster
        return False
    return True


def _context_for(context: RequestContext | None, storage_id: str) -> RequestContext:
    """A fresh context for each call: drivers may write on it."""
    fresh = RequestContext.from_dict((context or get_admin_context()).to_dict())
    fresh.storage_id = storage_id
    return fresh


def _stopping() -> exception.ServiceUnavailable:
    return exception.ServiceUnavailable('the service is stopping; try again')
