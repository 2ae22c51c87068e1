# SPDX-License-Identifier: Apache-2.0
"""The driver that is judged: its declared name, where its class is, the class or why there is none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from delfin import exception
from delfin.drivers.manager import DriverManager


@dataclass(frozen=True, slots=True)
class Subject:
    """`name` is "<vendor> <model>", `target` "module:Class"; `others` are the names of the other drivers."""

    name: str
    target: str
    driver_class: type | None
    error: str | None = None
    package: str = 'unknown'
    version: str = 'unknown'
    others: tuple[str, ...] = ()

    @property
    def vendor(self) -> str:
        """First word of the name."""
        return self.name.partition(' ')[0]

    @property
    def model(self) -> str:
        """The rest of it."""
        return self.name.partition(' ')[2]

    @classmethod
    def of_class(cls, driver_class: type, name: str = 'vendor model') -> Subject:
        """A class that no entry point names (yet)."""
        return cls(name, f'{driver_class.__module__}:{driver_class.__qualname__}', driver_class)


def registered(names: list[str] | None = None) -> Iterator[Subject]:
    """The drivers with these names, or all that are declared; `StorageDriverNotFound` for a name that is not."""
    manager = DriverManager()
    entries = manager.listing()
    known = [entry.name for entry in entries]
    for name in names or ():
        if name not in known:
            raise exception.StorageDriverNotFound(
                name, message=f"There is no driver '{name}'. There are: {', '.join(sorted(set(known)))}.")
    for place, entry in enumerate(entries):
        if names and entry.name not in names:
            continue
        driver_class = None
        if entry.error is None:
            vendor, _, model = entry.name.partition(' ')
            driver_class = manager.get_class(vendor, model)
        yield Subject(entry.name, entry.target, driver_class, entry.error, entry.package, entry.version,
                      tuple(known[:place] + known[place + 1:]))
