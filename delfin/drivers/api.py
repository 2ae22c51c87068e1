# SPDX-License-Identifier: Apache-2.0
"""The one door to the devices. Every driver call of every service passes `Door.call` or `Door.answer`.

What it applies, in this order:

* *Admission.* Whoever made the door may refuse a storage (another node's, for example).
* *Lanes* (`lanes`). Each array has an interactive, a metrics and a bulk lane. A driver takes `MAX_CONCURRENT_CALLS`
  calls at a time (1 unless it says more); waiting calls take turns, interactive ones first, metrics next, bulk last.
* *Deadline.* A call runs in a thread of its own. When its deadline passes, the call is abandoned together with its
  thread and the driver instance, and counted. A thread cannot be killed; it ends when the driver returns. A driver in a
  process of its own is killed with it.
* *Quarantine* (`lanes`). After two abandoned calls the array is left alone until one of them returns, its access
  information changes, or a pause ends that doubles from one minute to one hour. With eight calls abandoned it waits for
  a return.
* *Instances* (`sessions`), in this process or each in one of its own (`instances`, `remote`). One for each array,
  built by its first call. After an error that speaks of a lost session
  the next call begins with `reset_connection`; where that fails, with a new instance.
* *Rows that come* (`streaming`), *calling rules* for drivers of every age (`calling`), *errors* of one family without
  secrets (`errors`), *timing*.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from delfin import access as access_info
from delfin import exception, own_metrics
from delfin.common.masking import Masker
from delfin.context import RequestContext
from delfin.db import is_away
from delfin.drivers import calling, errors
from delfin.drivers.instances import Instance, Instances, Threads
from delfin.drivers.lanes import Array, Lane, Limits, stopping
from delfin.drivers.manager import DriverManager, options_of
from delfin.drivers.remote import Processes
from delfin.drivers.sessions import Call, Sessions, context_for, start_thread
from delfin.drivers.streaming import Handover, Source

__all__ = ['Door', 'Lane', 'Limits']

LOG = logging.getLogger(__name__)

LOGOUT_SECONDS = 10


Work = Callable[[Call], Any]


class Door:
    """All driver calls of one process.

    `load_access(storage_id)` gives the open access information; `verify(access)` what drivers are told about
    certificates (True, False, or the path of a CA bundle); `on_quarantine(storage_id, until)` is told when an
    array is left alone (`until` a time) and when that is over (None); `admit(storage_id)` is asked before each `call`
    and `answer`, and what it raises goes to the caller; `isolation` is `thread` or `process`; `clock`
    gives seconds.
    """

    def __init__(self, drivers: DriverManager, load_access: Callable[[str], access_info.Access], *,
                 limits: Limits | None = None, masker: Masker | None = None,
                 verify: Callable[[access_info.Access], bool | str] = lambda access: True,
                 on_quarantine: Callable[[str, datetime | None], None] = lambda storage_id, until: None,
                 admit: Callable[[str], None] | None = None, isolation: str = 'thread',
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._load_access = load_access
        self._limits = limits or Limits()
        self._masker = masker or Masker()
        self._on_quarantine = on_quarantine
        self._admit = admit or (lambda storage_id: None)
        self._sessions = Sessions(drivers, load_access, self._masker, verify,
                                  _instances(isolation))
        self._clock = clock
        self._arrays: dict[str, Array] = {}
        self._lock = threading.Lock()
        self._under_way: dict[Handover, Array] = {}
        self._stopped = False

    # --- calls ---

    def call(self, storage_id: str, method: str, *args: Any, lane: Lane, context: RequestContext | None = None,
             timeout_seconds: float | None = None, **kwargs: Any) -> Any:
        """Call `method(context, *args)` of the storage's driver and return its answer, generators run to their end.

        Raises NotImplementedError when the driver does not have the method, and of Delfin's family whatever else goes
        wrong: `DriverCallTimeout`, `StorageQuarantined`, `AccessInfoNotFound`, what the driver raised.
        """
        with self.answer(storage_id, method, *args, lane=lane, context=context, timeout_seconds=timeout_seconds,
                         **kwargs) as answer:
            return calling.materialise(answer)

    @contextlib.contextmanager
    def answer(self, storage_id: str, method: str, *args: Any, lane: Lane, context: RequestContext | None = None,
               timeout_seconds: float | None = None, **kwargs: Any) -> Iterator[Any]:
        """Like `call`, but where the driver yields rows the answer is an iterator, of rows that come as they are made.

        The driver waits when its rows are not taken, so memory holds a few thousand; that time does not count towards
        the deadline, which may pass, as other errors may come, at any row. Until the driver's generator has ended,
        the array takes no other call (unless its driver takes several). Leave the block early to stop it.
        """
        self._admit(storage_id)
        array = self._array(storage_id)

        def work(call: Call) -> Any:
            return self._sessions.take(array, call).call(method, call.context, *args, **kwargs)

        with self._run(array, method, work, lane, context, timeout_seconds) as answer:
            yield answer

    def discover(self, access: access_info.Access, storage_id: str, *, context: RequestContext | None = None,
                 timeout_seconds: float | None = None) -> Any:
        """Build a driver from open access information and ask it who it is; the instance stays for later calls.

        Call `forget` when the storage does not get registered after all.
        """
        array = self._array(storage_id)

        def work(call: Call) -> Any:
            return self._sessions.take(array, call, access).call('get_storage', call.context)

        with self._run(array, 'get_storage', work, Lane.INTERACTIVE, context, timeout_seconds) as answer:
            return calling.materialise(answer)

    def parse_alert(self, storage_id: str, alert: Mapping[str, str], *, context: RequestContext | None = None) -> Any:
        """One trap to one alert, or None. Needs no session unless the driver's method uses its instance's state."""
        access = self._load_access(storage_id)
        driver_class = self._sessions.class_of(access)
        self._masker.learn(storage_id, access_info.secrets(access, options_of(driver_class)))
        call_context = context_for(context, storage_id)
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

        Who waits for a call to it gets `ServiceUnavailable`. Never raises: the storage goes, whatever its driver says.
        """
        array = self._array(storage_id)
        with self._lock:
            under_way = [handover for handover, of in self._under_way.items() if of is array]
        for handover in under_way:
            handover.refuse(array.given_up())
        with array.changed:
            instance = array.instance
        if instance is not None and tell_driver:
            self._say_goodbye(array, instance)
        with self._lock:
            self._arrays.pop(storage_id, None)
        with array.changed:
            ended = {instance, array.instance}
            array.drop()
            array.pardon()
            array.forgotten = True
            array.changed.notify_all()
        for each in ended:
            if each is not None:
                each.kill()
        self._masker.forget(storage_id)

    def _say_goodbye(self, array: Array, instance: Instance) -> None:
        def work(call: Call) -> None:
            with array.changed:
                if array.instance is not instance:      # replaced, and told already
                    return
            instance.call('delete_storage', call.context)
        try:
            with self._run(array, 'delete_storage', work, Lane.INTERACTIVE, None, LOGOUT_SECONDS):
                pass
        except (exception.DelfinException, NotImplementedError) as error:
            LOG.warning('delete_storage of storage %s failed: %s', array.storage_id, error)

    def reset(self, storage_id: str) -> None:
        """The access information changed: the next call builds a new driver, and a quarantine is over.

        The old instance logs out when its last call has ended.
        """
        array = self._array(storage_id)
        with array.changed:
            unused = array.drop()
            array.pardon()
            array.changed.notify_all()
        if unused is not None:
            self._sessions.retire(array, unused)

    def abandoned(self) -> dict[str, int]:
        """How many calls of each storage passed their deadline and are still inside the driver; only those with any."""
        with self._lock:
            arrays = list(self._arrays.values())
        return {array.storage_id: array.abandoned for array in arrays if array.abandoned}

    def refuse(self) -> None:
        """Take no new calls, and let those who wait for running ones go with `ServiceUnavailable`."""
        with self._lock:
            self._stopped = True
            arrays, under_way = list(self._arrays.values()), list(self._under_way)
        for handover in under_way:
            handover.refuse(stopping())
        for array in arrays:
            with array.changed:
                array.stopped = True
                array.changed.notify_all()

    def stop(self, logout_seconds: float = 0.0) -> None:
        """Refuse all calls, log out of the arrays whose driver is idle, for at most so long, and end what can be ended.

        Arrays have few sessions; those that nobody ends stay for as long as half an hour.
        """
        self.refuse()
        with self._lock:
            arrays = list(self._arrays.values())
        if logout_seconds > 0:
            self._sessions.log_out_of(arrays, logout_seconds)
        self._sessions.stop()

    # --- the life of a call ---

    def _array(self, storage_id: str) -> Array:
        with self._lock:
            array = self._arrays.get(storage_id)
            if array is None:
                array = Array(storage_id, self._limits, self._clock, self._on_quarantine)
                array.stopped = self._stopped
                self._arrays[storage_id] = array
            return array

    @contextlib.contextmanager
    def _run(self, array: Array, method: str, work: Work, lane: Lane, context: RequestContext | None,
             timeout_seconds: float | None) -> Iterator[Any]:
        """Do `work` in its turn, in a thread of its own, within its deadline; what it answers."""
        seconds = self._limits.deadline(lane) if timeout_seconds is None else timeout_seconds
        deadline = self._clock() + seconds
        call = Call(method, context_for(context, array.storage_id),
                     array.take_turn(method, lane, deadline, seconds))
        handover = Handover(deadline, self._clock, functools.partial(self._abandon, array, call, seconds),
                            functools.partial(self._clean, method))
        with self._lock:
            self._under_way[handover] = array
            if self._stopped:
                handover.refuse(stopping())
        started = self._clock()
        start_thread(f'driver-{method}-{array.storage_id[:8]}', self._execute, array, call, work, handover)
        try:
            yield handover.answer()
        finally:
            if not handover.leave():
                start_thread(f'driver-watch-{array.storage_id[:8]}', handover.watch)
            LOG.debug('%s of storage %s took %.3f s', method, array.storage_id, self._clock() - started)

    def _execute(self, array: Array, call: Call, work: Work, handover: Handover) -> None:
        """The body of a call's thread."""
        call.context.update_store()
        answer: Any = None
        error: BaseException | None = None
        try:
            answer = work(call)
            if isinstance(answer, Source):
                handover.pass_on(answer)
        except BaseException as raised:     # SystemExit from a driver must not pass for success
            error = raised
            if not isinstance(error, NotImplementedError | exception.DelfinException):
                LOG.debug('driver of storage %s raised', array.storage_id, exc_info=True)
        with self._lock:
            self._under_way.pop(handover, None)
        with array.changed:
            if error is not None and call.instance is array.instance and errors.session_lost(error):
                array.broken = array.instance is not None
            in_time = handover.end(answer, error)
            done_with = {array.leave(call.generation), call.instance if call.private else None}
            if in_time and array.generation == call.generation:
                array.answered()
            elif not in_time and not call.killed:
                array.returned()
                LOG.info('an abandoned call to storage %s returned', array.storage_id)
            array.changed.notify_all()
        for instance in done_with:
            if instance is not None:
                self._sessions.retire(array, instance)

    def _abandon(self, array: Array, call: Call, seconds: float, handover: Handover) -> None:
        """Give up waiting, unless the call has ended meanwhile. One step with the end of a call: see `_execute`."""
        with array.changed:
            if not handover.give_up(exception.DriverCallTimeout(call.method, array.storage_id, f'{seconds:g}')):
                return
            call.abandoned = True
            call.killed = call.instance is not None and call.instance.kill()
            if array.generation == call.generation:
                array.drop()
            array.overdue(call.killed)
            array.changed.notify_all()
        own_metrics.PROCESS.driver_call_abandoned()
        LOG.error('%s of storage %s did not return within %g s and was %s; is the array reachable?',
                  call.method, array.storage_id, seconds, 'killed' if call.killed else 'abandoned')

    def _clean(self, method: str, error: BaseException) -> Exception:
        """What callers get of an error of a driver, or of our own before the driver was asked."""
        if is_away(error):      # our own database, asked for the access information
            return exception.ServiceUnavailable('the database cannot be reached; try again later')
        if isinstance(error, NotImplementedError):
            return NotImplementedError(self._masker.mask(str(error)))
        return errors.translate(error, method, self._masker.mask)


def _instances(isolation: str) -> Instances:
    return Processes() if isolation == 'process' else Threads()
