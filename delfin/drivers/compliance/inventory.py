# SPDX-License-Identifier: Apache-2.0
"""The inventory as a driver answered it, read by the product's own coercion; rules look at what was found meanwhile."""

from __future__ import annotations

import copy
import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from delfin import exception
from delfin import findings as code
from delfin.coerce import Rejected, RowReader
from delfin.drivers.compliance.contract import METHODS
from delfin.findings import Findings
from delfin.kinds import KINDS, STORAGE_COLUMNS, Column, ColumnType, Key, Table
from delfin.task_manager.sync.inventory import rows_by_table

if TYPE_CHECKING:
    from delfin.drivers.compliance.bench import Bench, Reply

# The storage as a table, so that it is looked at like the rest.
STORAGE: Final = Table('storage', ('serial_number',), STORAGE_COLUMNS)

_MARK: Final = 'delfin_compliance_mark'
_PLACEHOLDERS: Final = frozenset({'', '-', '--', 'n/a', 'na', 'none', 'null', 'unknown', 'infinite', 'nan'})
_MAC: Final = re.compile(r'[0-9A-Fa-f]{2}([:-]?[0-9A-Fa-f]{2}){5}([:-]?[0-9A-Fa-f]{2}){0,2}')


@dataclass
class Listing:
    """The rows of one table: as they came, and as they were read.

    `placeholders` are columns with a word instead of nothing, `addresses` those without an address, with an example.
    """

    method: str
    table: Table
    rows: list[Any]
    found: Findings = field(default_factory=Findings)
    read: dict[Key, dict[str, Any]] = field(default_factory=dict)
    rejected: bool = False
    placeholders: dict[str, Any] = field(default_factory=dict)
    addresses: dict[str, Any] = field(default_factory=dict)
    texts: set[str] = field(default_factory=set)       # number columns that came as text

    def examine(self) -> None:
        """Read all rows."""
        reader = RowReader(self.table)
        for row in self.rows:
            try:
                key, values = reader.read(self._without_placeholders(row), self.found)
            except Rejected:
                self.rejected = True
                continue
            if key in self.read:
                self.found.add(code.REPEATED_NATIVE_ID, self.table.key[0], key)
                continue
            self.read[key] = values
            for column in self.table.columns:
                if values[column.name] is not None and not _is_address(column.name, values[column.name]):
                    self.addresses.setdefault(column.name, values[column.name])

    def _without_placeholders(self, row: Any) -> Any:
        if not isinstance(row, Mapping):
            return row
        cleaned = dict(row)
        for column in self.table.columns:
            if column.name in cleaned and column.name not in self.table.key:
                value = cleaned[column.name]
                if _is_placeholder(value, column):
                    self.placeholders.setdefault(column.name, value)
                    cleaned[column.name] = None
                elif column.type is ColumnType.INTEGER and isinstance(value, str | float):
                    self.texts.add(column.name)
        return cleaned

    def doubtful(self) -> set[str]:
        """Columns of which something was found already."""
        found = {finding['column'] for finding in self.found.listing()}
        return found | self.placeholders.keys() | self.addresses.keys()

    def findings(self, *codes: str) -> Iterator[str]:
        """What was found of these kinds, in words."""
        for finding in self.found.listing():
            if finding['code'] in codes:
                where = f'{self.table.name}.{finding["column"]}' if finding['column'] else self.table.name
                example = f', for example {finding["example"]!r}' if finding['example'] is not None else ''
                yield f'{where}: {finding["code"]} in {finding["count"]} row(s){example}'


def _is_placeholder(value: Any, column: Column) -> bool:
    """A word or number that stands for "unknown"; in an enumeration that lists it `unknown` is a value."""
    if isinstance(value, str):
        word = value.strip().lower()
        return word in _PLACEHOLDERS and word not in (known.lower() for known in column.values)
    return column.type is ColumnType.INTEGER and not isinstance(value, bool) and value in (-1, -1.0)


def _is_address(column: str, value: Any) -> bool:
    if column == 'mac_address':
        return _MAC.fullmatch(value) is not None
    if column not in ('ipv4', 'ipv6'):
        return True
    try:
        return ipaddress.ip_interface(value).version == int(column[-1])
    except ValueError:
        return False


@dataclass
class Inventory:
    """One round of questions. `replies` by method; `shapes` says what was wrong with an answer as a whole."""

    replies: dict[str, Reply] = field(default_factory=dict)
    listings: dict[str, Listing] = field(default_factory=dict)      # by table
    shapes: dict[str, str] = field(default_factory=dict)            # by method
    given: list[Any] = field(default_factory=list)                  # the driver's own rows

    @classmethod
    def ask(cls, bench: Bench, storage_id: str | None = None) -> Inventory:
        """Ask an array for everything."""
        found = cls()
        found._take_storage(bench.call('get_storage', storage_id=storage_id))
        for method in METHODS.values():
            if method.kind is not None and bench.implemented(method.name):
                found.take(method.name, bench.call(method.name, storage_id=storage_id))
        found._find_dangling()
        return found

    def _take_storage(self, reply: Reply) -> None:
        self.replies[reply.method] = reply
        if reply.answered:
            if not isinstance(reply.value, Mapping):
                self.shapes[reply.method] = f'returns {type(reply.value).__name__}, not a dict'
                return
            self._add(Listing(reply.method, STORAGE, [reply.value]))

    def take(self, method: str, reply: Reply) -> None:
        """Read one answer."""
        self.replies[method] = reply
        if not reply.answered:
            return
        kind = KINDS[str(METHODS[method].kind)]
        if reply.value is None:
            self.shapes[method] = 'returns None, not rows'
            return
        if kind.answer_key is not None and isinstance(reply.value, Mapping):
            wanted = {kind.answer_key, *(relation.answer_key for relation in kind.relations)}
            if reply.value.keys() != wanted:
                self.shapes[method] = f'returns the keys {sorted(map(str, reply.value))}, not {sorted(wanted)}'
                return
        try:
            tables = rows_by_table(kind, reply.value)
        except exception.InvalidResults as error:
            self.shapes[method] = error.msg
            return
        for table, rows in tables:
            self._add(Listing(method, table, list(rows)))

    def _add(self, listing: Listing) -> None:
        self.given += listing.rows
        listing.rows = [_copied(row) for row in listing.rows]
        listing.examine()
        self.listings[listing.table.name] = listing

    def _find_dangling(self) -> None:
        for listing in self.listings.values():
            for column in listing.table.columns:
                target = self.listings.get(column.refers_to) if column.refers_to else None
                if target is None:      # what the array does not list at all cannot be missed
                    continue
                for values in listing.read.values():
                    if values[column.name] is not None and values[column.name] not in target.read:
                        listing.found.add(code.DANGLING_REFERENCE, column.name, values[column.name])

    def mark(self) -> None:
        """Write into the rows that the driver gave away: they must be nobody else's."""
        for row in self.given:
            if isinstance(row, dict):
                row[_MARK] = True

    def marked(self) -> Iterator[Listing]:
        """Listings in which a mark of an earlier round shows up."""
        for listing in self.listings.values():
            if any(isinstance(row, Mapping) and _MARK in row for row in listing.rows):
                yield listing

    def keys(self) -> dict[str, set[Key]]:
        """Native ids by table."""
        return {name: set(listing.read) for name, listing in self.listings.items()}


def _copied(row: Any) -> Any:
    try:
        return copy.deepcopy(row)
    except Exception:       # objects of third-party code
        return row
