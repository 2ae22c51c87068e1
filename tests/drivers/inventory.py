# SPDX-License-Identifier: Apache-2.0
"""All that a driver says of an array, as Delfin reads it, compared with what is known to be true."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from delfin.coerce import RowReader
from delfin.drivers.compliance.bench import Reply
from delfin.drivers.compliance.contract import METHODS
from delfin.drivers.compliance.inventory import STORAGE, Inventory
from delfin.drivers.driver import StorageDriver
from delfin.findings import Findings
from delfin.kinds import KINDS

Driver = TypeVar('Driver', bound=StorageDriver)

Table = dict[Any, dict[str, Any]]       # by native id, values of all columns


def inventory_methods(driver: StorageDriver) -> list[str]:
    """Names of the methods of `driver` that list something of the inventory, `get_storage` first."""
    return ['get_storage', *(name for name, method in METHODS.items() if method.kind is not None
                             and getattr(type(driver), name) is not getattr(StorageDriver, name))]


def inventory(driver: StorageDriver, methods: Iterable[str] | None = None) -> tuple[dict[str, Table], list[str]]:
    """Every table as it would be stored, and what Delfin finds odd about it, references that lead nowhere included."""
    found = Inventory()
    for name in methods or inventory_methods(driver):
        value = getattr(driver, name)(None)
        value = value if isinstance(value, Mapping) else list(value)
        if name == 'get_storage':
            found._take_storage(Reply(name, value))
        else:
            found.take(name, Reply(name, value))
    found._find_dangling()
    odd = [f'{name}: {finding}' for name, listing in found.listings.items()
           for finding in (*listing.found.listing(), *listing.placeholders.items(), *listing.addresses.items(),
                           *listing.texts)]
    return {name: listing.read for name, listing in found.listings.items()}, odd + list(found.shapes.values())


def as_stored(truth: Mapping[str, Iterable[Mapping[str, Any]]]) -> dict[str, Table]:
    """The same of rows that are known to be true."""
    return {name: _read(name, rows) for name, rows in truth.items()}


def assert_same(said: Mapping[str, Table], truth: Mapping[str, Iterable[Mapping[str, Any]]]) -> None:
    """What a driver says of an array is what is true, of every kind and row by row."""
    right = as_stored(truth)
    assert said.keys() == right.keys()
    for name, table in said.items():
        assert table.keys() == right[name].keys(), name
        wrong = [(key, column, value, right[name][key][column]) for key, row in table.items()
                 for column, value in row.items() if value != right[name][key][column] and column != 'fingerprint']
        assert wrong == [], name


def leaving(make: Callable[..., Driver]) -> Iterator[Callable[..., Driver]]:
    """The body of a fixture: `make`, for any number of drivers, which log out at its end."""
    made: list[Driver] = []

    def driver(*args: Any, **kwargs: Any) -> Driver:
        made.append(make(*args, **kwargs))
        return made[-1]
    yield driver
    for each in made:
        each.delete_storage(None)


def _read(name: str, rows: Iterable[Mapping[str, Any]]) -> Table:
    reader = RowReader(STORAGE if name == STORAGE.name else KINDS.table(name))
    read = [reader.read(dict(row), Findings()) for row in rows]
    assert len(dict(read)) == len(read), f'{name}: ids are not unique'
    return dict(read)
