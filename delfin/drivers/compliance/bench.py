# SPDX-License-Identifier: Apache-2.0
"""Where a driver is tried: the product's own door with one class behind it, and somebody who watches.

All calls go through `Bench.call`. What they raise, log and change is noted, for the rules that judge that. What many
rules look at (the inventory, capabilities) is asked for once.
"""

from __future__ import annotations

import copy
import functools
import logging
import tempfile
import threading
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from delfin import access as access_info
from delfin import cryptor, exception
from delfin.access import Access
from delfin.common.masking import Masker
from delfin.common.text import printable
from delfin.drivers import errors
from delfin.drivers.api import Door, Lane, Limits
from delfin.drivers.compliance.contract import claimed, implemented
from delfin.drivers.compliance.device import Device
from delfin.drivers.compliance.inventory import Inventory
from delfin.drivers.compliance.traces import Traces
from delfin.drivers.manager import DriverManager, options_of
from delfin.drivers.verify import verify_for

CALL_SECONDS = 60.0         # of a call to a device that is well
HOSTILE_SECONDS = 60.0      # of a call to one that is not: what registration has, the shortest deadline there is
SOCKET_SECONDS = 5.0        # what such a call is told to wait for the device (`timeout` of the section)
LEAVING_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Patience:
    """Time limits in seconds: of calls, of calls to hostile devices, the `timeout` that the latter are given, and how
    long threads and sockets may take to end after the log-out.
    """

    call: float = CALL_SECONDS
    hostile: float = HOSTILE_SECONDS
    socket: float = SOCKET_SECONDS
    leaving: float = LEAVING_SECONDS


@dataclass(frozen=True, slots=True)
class Reply:
    """What a call came to: a value (rows as a list), an error of the family, or `refused` (NotImplementedError)."""

    method: str
    value: Any = None
    error: exception.DelfinException | None = None
    refused: bool = False

    @property
    def answered(self) -> bool:
        """Whether there is a value."""
        return self.error is None and not self.refused

    @property
    def stranger(self) -> str | None:
        """Name of an exception that should not have left the driver."""
        return errors.unexpected(self.error) if self.error is not None else None

    def why(self) -> str:
        """In words, for problems."""
        if self.refused:
            return 'raises NotImplementedError'
        if self.error is not None:
            return f'raises {self.error.error_code}: {printable(self.error)[:200]}'
        return 'answers'


class WatchingMasker(Masker):
    """The product's net under its errors and log lines, which also notes what falls in."""

    def __init__(self) -> None:
        super().__init__()
        self.caught: list[str] = []

    def leaks(self, text: str) -> bool:
        """Whether there is a secret in it."""
        return super().mask(text) != text

    def mask(self, text: str) -> str:
        """See `Masker`."""
        masked = super().mask(text)
        if masked != text:
            self.caught.append(masked[:200])
        return masked


# What these log of an error is what the error says, which is looked at by itself.
_OUR_LOGS = frozenset({'delfin.drivers.api', 'delfin.drivers.sessions', 'delfin.drivers.instances'})


class _LogWatch(logging.Handler):
    """Sees every record of drivers and their libraries, also of levels that are not shown."""

    def __init__(self, masker: WatchingMasker) -> None:
        super().__init__(logging.DEBUG)
        self._masker = masker
        self.leaks: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        if record.name in _OUR_LOGS:
            return
        try:
            text = logging.Formatter('%(message)s').format(record)
        except Exception:       # arguments that do not fit: logging itself would print them
            text = f'{record.msg!r} {record.args!r}'
        if self._masker.leaks(text):
            self.leaks.add(f'{record.name}, {record.levelname}')


class _OneDriver(DriverManager):
    """Has this class under every name."""

    def __init__(self, driver_class: type) -> None:
        super().__init__()
        self._class = driver_class

    def get_class(self, vendor: str, model: str) -> type:
        """See `DriverManager`."""
        return self._class


class Bench:
    """One driver class and one device. A context manager: afterwards everything is logged out and as it was."""

    def __init__(self, driver_class: type, device: Device, patience: Patience | None = None) -> None:
        self.driver_class = driver_class
        self.device = device
        self.patience = patience or Patience()
        self.masker = WatchingMasker()
        self.replies: list[Reply] = []
        self.changed_arguments: list[str] = []
        self.levels = claimed(driver_class)
        self._accesses: dict[str, Access] = {}
        self._directory = tempfile.TemporaryDirectory(prefix='delfin-compliance-')
        self._watch = _LogWatch(self.masker)
        self._lock = threading.Lock()
        self.traces = Traces()
        limits = Limits(self.patience.call, self.patience.call, self.patience.call)
        self._door = Door(_OneDriver(driver_class), self._accesses.__getitem__, limits=limits, masker=self.masker,
                          verify=lambda access: verify_for(access, True, Path(self._directory.name)))
        self.main = self.add(device.access())

    def __enter__(self) -> Self:
        root = logging.getLogger()
        self._level = root.level
        root.addHandler(self._watch)
        root.setLevel(logging.DEBUG)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        for storage_id in list(self._accesses):
            self.forget(storage_id)
        self._door.stop()
        root = logging.getLogger()
        root.setLevel(self._level)
        root.removeHandler(self._watch)
        self._directory.cleanup()

    # --- arrays ---

    def add(self, access: Access) -> str:
        """Let the door know an array; its storage id. Nothing is called yet."""
        storage_id = str(uuid.uuid4())
        self._accesses[storage_id] = copy.deepcopy(access)
        # Known for good: a leak may come after the array has gone.
        self.masker.learn(f'known {storage_id}', access_info.secrets(access, options_of(self.driver_class)))
        return storage_id

    def forget(self, storage_id: str) -> None:
        """Log out, as when a storage is removed."""
        self._door.forget(storage_id)
        self._accesses.pop(storage_id, None)

    def arguments(self, access: Access) -> dict[str, Any]:
        """What `reset_connection` gets of access information."""
        given = access_info.for_driver(access, '', options_of(self.driver_class))
        del given['storage_id']     # the door takes an argument of this name for its own
        return {**given, 'verify': verify_for(access, True, Path(self._directory.name))}

    @staticmethod
    def trap_config(receiver: Mapping[str, Any], community: str) -> dict[str, Any]:
        """What `add_trap_config` gets, anew each time."""
        return {**receiver, 'community_string': cryptor.encode(community)}

    # --- calls ---

    def implemented(self, method: str) -> bool:
        """Whether the class has a method of its own."""
        return implemented(self.driver_class, method)

    def call(self, method: str, *args: Any, storage_id: str | None = None, seconds: float | None = None,
             lane: Lane = Lane.INTERACTIVE, **kwargs: Any) -> Reply:
        """Call a method of the array (the main one) through the door."""
        before = copy.deepcopy((args, kwargs))
        error: exception.DelfinException | None = None
        value, refused = None, False
        try:
            value = self._door.call(storage_id or self.main, method, *args, lane=lane, timeout_seconds=seconds,
                                    **kwargs)
        except NotImplementedError:
            refused = True
        except exception.DelfinException as raised:
            error = raised
        reply = Reply(method, value, error, refused)
        with self._lock:
            self.replies.append(reply)
            if (args, kwargs) != before:
                self.changed_arguments.append(method)
        return reply

    def leaks(self) -> Iterator[str]:
        """Where secrets were seen."""
        yield from (f'an error says: {text}' for text in dict.fromkeys(self.masker.caught))
        yield from (f'a log line of {where}' for where in sorted(self._watch.leaks))

    # --- what is asked for once ---

    @functools.cached_property
    def storage(self) -> Reply:
        """The answer of get_storage."""
        return self.call('get_storage')

    @functools.cached_property
    def inventory(self) -> Inventory:
        """All kinds, asked for the first time. Its rows are marked afterwards: see `again`."""
        first = Inventory.ask(self)
        first.mark()
        return first

    @functools.cached_property
    def again(self) -> Inventory:
        """All kinds once more."""
        _ = self.inventory
        return Inventory.ask(self)

    @functools.cached_property
    def truth(self) -> Mapping[str, list[dict[str, Any]]] | None:
        """What the device says is true."""
        return self.device.truth()

    @functools.cached_property
    def alerts(self) -> Reply:
        """The complete list of alerts."""
        return self.call('list_alerts', None)
