# SPDX-License-Identifier: Apache-2.0
"""What the models of simulated arrays are made of: objects by kind, and what follows from them.

Who changes an object does so in `with model.changing():`, which also makes void what was derived from the model.
"""

from __future__ import annotations

import contextlib
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

T = TypeVar('T')
Condition = TypeVar('Condition')


class Objects:
    """The objects of a kind stand in `model[kind]`, by id, in the order of the array's answers; the array itself is
    `model.system`. `version` grows with each change."""

    def __init__(self, seed: str, system: Any, kinds: Sequence[str]) -> None:
        self.seed = seed
        self.system = system
        self.objects: dict[str, dict[str, Any]] = {kind: {} for kind in kinds}
        self.version = 0
        self.lock = threading.RLock()
        self._derived: dict[object, Any] = {}
        self._derived_of = -1

    def __getitem__(self, kind: str) -> dict[str, Any]:
        return self.objects[kind]

    def find(self, kind: str, id: str) -> Any:
        """One object, the array too; KeyError says which one is missing."""
        if kind == 'system':
            return self.system
        try:
            return self.objects[kind][id]
        except KeyError:
            raise KeyError(f'no {kind} {id!r}') from None

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """Around every change."""
        with self.lock:
            try:
                yield
            finally:
                self.version += 1

    def change(self, kind: str, id: str, values: dict[str, Any]) -> Any:
        """Set attributes of an object; it. ValueError for an attribute that it has not, KeyError if it is missing."""
        with self.changing():
            item = self.find(kind, id)
            for name in values:
                if name == 'id' or not hasattr(item, name):
                    raise ValueError(f'a {kind} has no {name} that could be changed')
            for name, value in values.items():
                setattr(item, name, value)
            return item

    def derived(self, name: object, make: Callable[[], T]) -> T:
        """What `make` returns, remembered until something changes."""
        with self.lock:
            if self._derived_of != self.version:
                self._derived.clear()
                self._derived_of = self.version
            if name not in self._derived:
                self._derived[name] = make()
            found: T = self._derived[name]
            return found

    def by(self, kind: str, attribute: str) -> dict[Any, list[Any]]:
        """The objects of a kind by the value of an attribute."""
        return self.derived((kind, attribute), lambda: self._by(kind, attribute))

    def _by(self, kind: str, attribute: str) -> dict[Any, list[Any]]:
        found = defaultdict(list)
        for item in self.objects[kind].values():
            found[getattr(item, attribute)].append(item)
        return dict(found)


def condition(number: int, normal: Condition, odd: Sequence[Condition], flawless: bool = False) -> Condition:
    """Of the object with that number: every third is in one of the odd conditions, in turn."""
    turn, place = divmod(number, 3)
    return odd[turn % len(odd)] if place == 2 and odd and not flawless else normal
