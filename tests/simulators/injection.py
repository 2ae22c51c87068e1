# SPDX-License-Identifier: Apache-2.0
"""What is to go wrong with a simulated array, how often, and when."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Generic, TypeVar


@dataclass(kw_only=True)
class Spell:
    """A fault that lets `skip` occasions go right, and then `times` wrong (None: all)."""

    skip: int = 0
    times: int | None = 1


F = TypeVar('F', bound=Spell)


class Faults(Generic[F]):
    """Those that are to come. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[F] = []

    def add(self, fault: F) -> None:
        """From now on, behind those that were added before."""
        with self._lock:
            self._faults.append(replace(fault))

    def clear(self) -> None:
        """All goes right again."""
        with self._lock:
            self._faults.clear()

    def left(self) -> list[dict[str, Any]]:
        """What is still to come."""
        with self._lock:
            return [asdict(fault) for fault in self._faults]

    def take(self, concerns: Callable[[F], bool]) -> F | None:
        """The first fault that concerns what is happening, which is thereby used up."""
        if not self._faults:
            return None
        with self._lock:
            for fault in self._faults:
                if not concerns(fault):
                    continue
                if fault.skip:
                    fault.skip -= 1
                    continue
                if fault.times is not None:
                    fault.times -= 1
                    if not fault.times:
                        self._faults.remove(fault)
                return replace(fault)
        return None
