# SPDX-License-Identifier: Apache-2.0
"""The instances of drivers behind the door: built by the first call of an array, reset after a lost session, replaced
when that fails or the access information changes, logged out when nobody uses them any more.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from delfin import access as access_info
from delfin import exception
from delfin.common.masking import Masker
from delfin.context import RequestContext, get_admin_context
from delfin.drivers import errors
from delfin.drivers.instances import Instance, Instances
from delfin.drivers.lanes import Array, stopping
from delfin.drivers.manager import DriverManager, options_of

LOG = logging.getLogger(__name__)

_REFUSED = (exception.InvalidUsernameOrPassword, exception.InvalidCredential)
LOGOUTS_AT_MOST = 2     # instances of one array that log out beside the calls; more are left to the array's own limits
_LOGOUTS_AT_ONCE = 32   # of all arrays, when the service ends


@dataclass
class Call:
    """A call under way, for its body: the context for the driver; it notes the instance it works with.

    `private`: the instance is no other call's, since it came too late to become the array's.
    """

    method: str
    context: RequestContext
    generation: int
    instance: Instance | None = None
    private: bool = False
    abandoned: bool = False
    killed: bool = False


class Sessions:
    """Gives calls the instances they work with. See `Door` for the arguments."""

    def __init__(self, drivers: DriverManager, load_access: Callable[[str], access_info.Access], masker: Masker,
                 verify: Callable[[access_info.Access], bool | str], instances: Instances) -> None:
        self._drivers = drivers
        self._load_access = load_access
        self._masker = masker
        self._verify = verify
        self._instances = instances

    def stop(self) -> None:
        """End what can be ended."""
        self._instances.stop()

    def class_of(self, access: access_info.Access) -> type:
        """The driver class; `StorageDriverNotFound` when there is none."""
        return self._drivers.get_class(access['vendor'], access['model'])

    def take(self, array: Array, call: Call, access: access_info.Access | None = None) -> Instance:
        """The array's instance, made fit for a call. Runs in the call's thread: most drivers log in here."""
        with array.changed:
            current = array.generation == call.generation       # else the instance there is another call's
            kept = array.instance if current else None
            broken = array.broken
            if kept is not None and kept.alive and not broken:
                call.instance = kept
                return kept
        access = access if access is not None else self._load_access(array.storage_id)
        driver_class = self.class_of(access)
        arguments = self._arguments(array.storage_id, access, driver_class)
        if kept is not None and kept.alive and self._reset_session(array, call, kept, arguments):
            return kept
        if kept is not None:
            with array.changed:
                if array.instance is kept:
                    array.instance, array.broken = None, False
            self.retire(array, kept)
        return self._build(array, call, driver_class, access, arguments)

    def _reset_session(self, array: Array, call: Call, instance: Instance, arguments: Mapping[str, Any]) -> bool:
        """Whether the driver has dropped its lost session and works with the current access information."""
        self._use(array, call, instance)
        try:
            instance.call('reset_connection', call.context, **arguments)
        except BaseException as error:      # third-party code
            clean = errors.translate(error, 'reset_connection', self._masker.mask)
            if isinstance(clean, _REFUSED):     # one more login with the same words might lock the account
                raise clean from None
            LOG.info('the session of storage %s could not be reset, its driver is built anew: %s', array.storage_id,
                     clean)
            return False
        with array.changed:
            if array.instance is instance:
                array.broken = False
                array.changed.notify_all()      # those who wait may run beside this call
        return True

    def _build(self, array: Array, call: Call, driver_class: type, access: access_info.Access,
               arguments: Mapping[str, Any]) -> Instance:
        instance = self._instances.make(array.storage_id, driver_class, (access['vendor'], access['model']))
        self._use(array, call, instance)
        try:
            instance.build(arguments, call.context)
        except BaseException:
            instance.kill()
            raise
        with array.changed:
            call.private = array.generation != call.generation or array.instance is not None
            if not call.private:
                array.instance = instance
                array.changed.notify_all()      # it may take several calls
        return instance

    def _use(self, array: Array, call: Call, instance: Instance) -> None:
        """Note it before it is asked for anything, so that it can be ended when it does not answer."""
        with array.changed:
            if array.stopped or call.abandoned:
                raise stopping()
            call.instance = instance

    def _arguments(self, storage_id: str, access: access_info.Access, driver_class: type) -> dict[str, Any]:
        """Keyword arguments of the driver's constructor and of `reset_connection`."""
        options = options_of(driver_class)
        self._masker.learn(storage_id, access_info.secrets(access, options))
        return {**access_info.for_driver(access, storage_id, options), 'verify': self._verify(access)}

    def retire(self, array: Array, instance: Instance) -> None:
        """Let an instance that was replaced log out, beside whatever goes on."""
        with array.changed:
            if array.stopped or array.leaving >= LOGOUTS_AT_MOST or not instance.alive:
                instance.kill()
                return
            array.leaving += 1
        start_thread(f'driver-log-out-{array.storage_id[:8]}', self._log_out, array, instance)

    def log_out_of(self, arrays: Iterable[Array], timeout_seconds: float) -> None:
        """Let all instances log out that nobody uses and that are well, many at once; returns within the time-out."""
        idle: deque[tuple[Array, Instance]] = deque()
        for array in arrays:
            with array.changed:
                well = array.quarantined_until is None and not array.broken
                instance = array.drop()
                if instance is not None and instance.alive and well:
                    array.leaving += 1
                    idle.append((array, instance))
        ended = threading.Semaphore(0)

        def work() -> None:
            with contextlib.suppress(IndexError):       # nothing is left
                while True:
                    self._log_out(*idle.popleft())
            ended.release()

        deadline = time.monotonic() + timeout_seconds
        threads = min(_LOGOUTS_AT_ONCE, len(idle))
        for number in range(threads):
            start_thread(f'driver-log-out-{number}', work)
        for _ in range(threads):
            if not ended.acquire(timeout=max(0.0, deadline - time.monotonic())):
                LOG.warning('not all arrays were logged out of within %g s; their sessions end by themselves',
                            timeout_seconds)
                return

    def _log_out(self, array: Array, instance: Instance) -> None:
        context = context_for(None, array.storage_id)
        context.update_store()
        try:
            instance.close(context)
        finally:
            with array.changed:
                array.leaving -= 1


def start_thread(name: str, body: Callable[..., None], *args: Any) -> None:
    """Run `body` in a thread that does not keep the process from ending."""
    threading.Thread(target=body, args=args, name=name, daemon=True).start()


def context_for(context: RequestContext | None, storage_id: str) -> RequestContext:
    """A fresh context for each call: drivers may write on it."""
    fresh = RequestContext.from_dict((context or get_admin_context()).to_dict())
    fresh.storage_id = storage_id
    return fresh
