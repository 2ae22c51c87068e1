# SPDX-License-Identifier: Apache-2.0
"""A door with drivers of `door_drivers` behind it, for tests that hold for threads and for processes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from delfin import exception
from delfin.common.masking import Masker
from delfin.drivers.api import Door, Lane, Limits
from tests.unit.door_drivers import SECRET
from tests.unit.support import PATIENCE_SECONDS, Drivers, in_thread, until

ID = 'storage-1'
START_SECONDS = 3 * PATIENCE_SECONDS        # a process may have to be started
HANG_SECONDS = 0.3                          # deadline of calls that hang, once their driver has been built


class Clock:
    """Real time, plus what the test adds."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead


class House:
    """A door, what it told of quarantines, and what the drivers told."""

    def __init__(self, driver_class: type, directory: Path, isolation: str, **options: Any) -> None:
        self.dir = directory
        self.isolation = isolation
        self.password = SECRET
        self.quarantines: list[Any] = []
        self.clock = Clock()
        self.masker = Masker()
        self.door = Door(
            Drivers(driver_class), lambda storage_id: self.access(), limits=Limits(*[START_SECONDS] * 3),
            masker=self.masker, on_quarantine=lambda storage_id, until: self.quarantines.append(until),
            isolation=isolation, clock=self.clock.monotonic, **options)

    def access(self) -> dict[str, Any]:
        return {'vendor': 'v', 'model': 'm', 'extra_attributes': {'dir': str(self.dir)},
                'rest': {'host': 'h', 'port': 1, 'username': 'u', 'password': self.password}}

    def call(self, method: str = 'get_storage', *args: Any, lane: Lane = Lane.BULK, storage_id: str = ID,
             **kwargs: Any) -> Any:
        return self.door.call(storage_id, method, *args, lane=lane, **kwargs)

    def call_beside(self, *args: Any, **kwargs: Any) -> Any:
        return in_thread(self.call, *args, **kwargs)

    def answer(self, method: str, **kwargs: Any) -> Any:
        return self.door.answer(ID, method, lane=Lane.BULK, **kwargs)

    def hang(self, method: str = 'list_volumes', storage_id: str = ID) -> None:
        """A call passes its deadline. The driver is built before: that may take longer."""
        self.call(storage_id=storage_id)
        with pytest.raises(exception.DriverCallTimeout):
            self.call(method, timeout_seconds=HANG_SECONDS, storage_id=storage_id)

    def told(self, word: str = '') -> list[str]:
        """The lines of the drivers that begin with `word`."""
        path = self.dir / 'told'
        return [line for line in (path.read_text().splitlines() if path.exists() else []) if line.startswith(word)]

    def write(self, name: str, text: str = '') -> None:
        (self.dir / name).write_text(text)

    def pid(self, storage_id: str = ID) -> int:
        """The process of a storage's driver."""
        return self.door._array(storage_id).instance.pid

    def await_told(self, line: str) -> None:
        until(lambda: line in self.told())


def houses(directory: Path, isolation: str) -> Iterator[Any]:
    """The body of a fixture: `house(driver_class)` makes one; all are torn down at the end."""
    made: list[House] = []

    def make(driver_class: type, **options: Any) -> House:
        made.append(House(driver_class, directory, isolation, **options))
        return made[-1]
    yield make
    (directory / 'go').touch()
    for house in made:
        house.door.stop()


def runs(pid: int) -> bool:
    """Whether there is such a process, and it has not ended."""
    try:
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] not in ('Z', 'X')
    except (FileNotFoundError, ProcessLookupError):
        return False
