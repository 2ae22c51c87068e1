# SPDX-License-Identifier: Apache-2.0
"""Tables that make rows of replies: column <- field of the reply, and how to convert it.

    VOLUMES = Table('volumes', {
        'native_volume_id': 'id',                               # taken as it is
        'native_storage_pool_id': 'pool.id',                    # a field inside a field
        'total_capacity': ('size_mib', 'MiB'),                  # converted by name: see `units`
        'status': ('state', {'ok': 'available', 'failed': 'error'}),    # word by word
        'type': constant('thin'),
        'extra.created_by': 'creator',                          # no column: shown under `extra`
    }, missing=('n/a',))

    rows = VOLUMES.rows(replies)

A field that is absent, null, empty or one of `missing` is unknown: the column stays away. A word that a map does not
have is kept as the array said it, never guessed; Delfin reports it with the sync, and it is logged once. Words are
compared as text and without case, so a map with '1' also fits the number 1; None in a map says "unknown".
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from delfin.alerts import ALERT_COLUMNS
from delfin.drivers.kit import units
from delfin.kinds import KINDS, STORAGE_COLUMNS, Column

LOG = logging.getLogger(__name__)

Convert = str | Mapping[Any, Any] | Callable[[Any], Any]
Reply = Mapping[str, Any]

STORAGE, ALERTS = 'storage', 'alerts'       # tables beside those of the kinds
_EXTRA = 'extra.'
_REPORTED_AT_MOST = 100


@dataclass(frozen=True, slots=True)
class constant:  # noqa: N801  reads as a word in tables
    """A column that is the same in every row."""

    value: Any


Source = str | tuple[str, Convert] | constant


class Table:
    """A table for the kind `name` (a name of `delfin.kinds`, a relation's, 'storage' or 'alerts')."""

    def __init__(self, name: str, columns: Mapping[str, Source], *, missing: Iterable[str] = (),
                 lookup: Callable[[Reply, str], Any] | None = None) -> None:
        self.name = name
        self.columns = dict(columns)
        known = {column.name: column for column in columns_of(name)}
        self._lookup = lookup or field_of
        self._missing = frozenset(str(word).strip().lower() for word in ('', *missing))
        self._constants: dict[str, Any] = {}
        self._fields: list[tuple[str, str, Callable[[Any], Any] | None]] = []
        for column, source in self.columns.items():
            if column not in known and not column.startswith(_EXTRA):
                raise ValueError(f'{name} have no column "{column}"; vendor fields are called extra.{column}')
            self._add(column, source, known.get(column))

    def _add(self, column: str, source: Source, spec: Column | None) -> None:
        where = f'{self.name}.{column}'
        if isinstance(source, constant):
            _check_value(where, spec, source.value)
            self._constants[column] = source.value
        elif isinstance(source, str):
            self._fields.append((column, source, None))
        else:
            field, convert = source
            self._fields.append((column, field, _compiled(where, convert, spec)))

    def row(self, reply: Reply, **more: Any) -> dict[str, Any]:
        """The row of one reply. `more` are columns that the table cannot tell; None of them means unknown."""
        found: dict[str, Any] = {}
        for column, field, convert in self._fields:
            value = self._lookup(reply, field)
            if value is None or isinstance(value, str) and value.strip().lower() in self._missing:
                continue
            value = value if convert is None else convert(value)
            if value is not None:
                found[column] = value
        found |= self._constants
        extra = {column.removeprefix(_EXTRA): found.pop(column) for column in list(found) if column.startswith(_EXTRA)}
        if extra:
            found['extra'] = extra
        found.update((column, value) for column, value in more.items() if value is not None)
        return found

    def rows(self, replies: Iterable[Reply], **more: Any) -> Iterator[dict[str, Any]]:
        """A row for each reply, one by one."""
        for reply in replies:
            yield self.row(reply, **more)

    def unfilled(self) -> list[str]:
        """Columns of the kind that the table says nothing of."""
        return [column.name for column in columns_of(self.name) if column.name not in self.columns]


def columns_of(name: str) -> tuple[Column, ...]:
    """The columns of a kind, a relation, the storage or alerts; ValueError if there is no such table."""
    if name == STORAGE:
        return STORAGE_COLUMNS
    if name == ALERTS:      # the last two say whose alert a trap is
        return (*ALERT_COLUMNS, Column('serial_number'), Column('storage_name'))
    try:
        return KINDS.table(name).columns
    except KeyError:
        names = ', '.join([STORAGE, ALERTS, *(table.name for table in KINDS.tables())])
        raise ValueError(f'there is no table "{name}"; there are {names}') from None


def field_of(reply: Any, path: str) -> Any:
    """The field of that name, or the one that the dots lead to (numbers count in lists); None if there is none."""
    if isinstance(reply, Mapping) and path in reply:
        return reply[path]
    for step in path.split('.'):
        if isinstance(reply, Mapping):
            reply = reply.get(step)
        elif isinstance(reply, list | tuple) and step.isdecimal() and int(step) < len(reply):
            reply = reply[int(step)]
        else:
            return None
    return reply


class _Words:
    """Vendor's words to Delfin's."""

    def __init__(self, where: str, words: Mapping[Any, Any]) -> None:
        self._where = where
        self._words = {_word(word): meaning for word, meaning in words.items()}
        self._reported: set[str] = set()

    def __call__(self, value: Any) -> Any:
        word = _word(value)
        if word in self._words:
            return self._words[word]
        if word not in self._reported and len(self._reported) < _REPORTED_AT_MOST:
            self._reported.add(word)
            LOG.warning('%s: the driver does not know the value %r of the array; it is kept as given', self._where,
                        str(value)[:80])
        return str(value)


def _word(value: Any) -> str:
    return str(value).strip().lower()


def _compiled(where: str, convert: Convert, spec: Column | None) -> Callable[[Any], Any]:
    if isinstance(convert, Mapping):
        for meaning in convert.values():
            _check_value(where, spec, meaning)
        return _Words(where, convert)
    if isinstance(convert, str):
        try:
            return units.conversion(convert)
        except ValueError as error:
            raise ValueError(f'{where}: {error}') from None
    return convert


def _check_value(where: str, spec: Column | None, value: Any) -> None:
    """What the author says must be one of Delfin's words; only arrays may say others."""
    if spec is not None and spec.values and value is not None and value not in spec.values:
        raise ValueError(f'{where}: "{value}" is none of {", ".join(spec.values)}')
