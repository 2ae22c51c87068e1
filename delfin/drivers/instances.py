# SPDX-License-Identifier: Apache-2.0
"""A driver instance as the door sees it: in this process, or (`remote`) in a child process of its own."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from delfin.context import RequestContext
from delfin.drivers import calling
from delfin.drivers.streaming import Chunks

LOG = logging.getLogger(__name__)


class Instance(Protocol):
    """One instance of a driver. `build`, `call` and `close` block as long as the driver takes."""

    @property
    def capacity(self) -> int:
        """Calls that it takes at once."""

    @property
    def alive(self) -> bool:
        """False when it can never answer again."""

    def build(self, arguments: Mapping[str, Any], context: RequestContext) -> None:
        """Construct the driver; most log in here. Once, before any call. Raises what the driver raises."""

    def call(self, method: str, context: RequestContext, *args: Any, **kwargs: Any) -> Any:
        """Call a method of the contract. Rows that the driver yields are a `streaming.Source`.

        Raises what the driver raises, NotImplementedError if there is no such method.
        """

    def close(self, context: RequestContext) -> None:
        """The instance is not needed any more: log out (`delete_storage`) and free what it holds. Never raises."""

    def kill(self) -> bool:
        """End whatever it does, now. False when that is impossible. Never blocks."""


class Instances(Protocol):
    """Makes instances."""

    def make(self, storage_id: str, driver_class: type, name: tuple[str, str]) -> Instance:
        """An instance that is not built yet, of the class that is declared as `name` (vendor, model)."""

    def stop(self) -> None:
        """End all instances that can be ended, make no more."""


class ThreadInstance:
    """A driver in this process. Nothing can end a thread that does not return."""

    def __init__(self, driver_class: type) -> None:
        self._class = driver_class
        self._driver: Any = None

    @property
    def capacity(self) -> int:
        """See `Instance`."""
        return capacity_of(self._class)

    @property
    def alive(self) -> bool:
        """See `Instance`."""
        return True

    def build(self, arguments: Mapping[str, Any], context: RequestContext) -> None:
        """See `Instance`."""
        self._driver = self._class(**arguments)

    def call(self, method: str, context: RequestContext, *args: Any, **kwargs: Any) -> Any:
        """See `Instance`."""
        return perform(self._driver, method, context, *args, **kwargs)

    def close(self, context: RequestContext) -> None:
        """See `Instance`."""
        driver, self._driver = self._driver, None
        if driver is None:
            return
        try:
            calling.call(driver, 'delete_storage', context)
        except BaseException:       # third-party code, and nobody waits for it
            LOG.debug('a replaced driver could not log out', exc_info=True)

    def kill(self) -> bool:
        """See `Instance`."""
        return False


class Threads:
    """Makes instances in this process."""

    def make(self, storage_id: str, driver_class: type, name: tuple[str, str]) -> ThreadInstance:
        """See `Instances`."""
        return ThreadInstance(driver_class)

    def stop(self) -> None:
        """See `Instances`."""


def perform(driver: Any, method: str, context: RequestContext, *args: Any, **kwargs: Any) -> Any:
    """Call a driver. Rows become chunks; iterators inside a dict are run to their end."""
    answer = calling.call(driver, method, context, *args, **kwargs)
    return Chunks(answer) if isinstance(answer, Iterator) else calling.materialise(answer)


def capacity_of(driver_class: type) -> int:
    """`MAX_CONCURRENT_CALLS`, or 1 where it says nothing that makes sense."""
    declared = getattr(driver_class, 'MAX_CONCURRENT_CALLS', 1)
    return declared if isinstance(declared, int) and declared > 0 else 1
