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

What one field cannot tell, several can:

    'status': first_of(('health', {'dead': 'error'}), ('state', {'ok': 'available', OTHERS: 'error'})),
    'name': first_of('label', 'path'),                          # the first that has a value
    'total_capacity': product('blocks', 'block_size'),
    'location': combined(lambda rack, slot: f'{rack}/{slot}', 'rack', 'slot'),

A field that is absent, null, empty or one of `missing` is unknown: the column stays away. A word that a map does not
have is kept as the array said it, never guessed; Delfin reports it with the sync, and it is logged once. Words are
compared as text and without case, so a map with '1' also fits the number 1; None in a map says "unknown", and OTHERS
stands for all words that are not in it, for vendors who say "else".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from delfin.alerts import ALERT_COLUMNS
from delfin.drivers.kit import units
from delfin.drivers.kit.fields import (
    OTHERS,
    Code,
    Combined,
    Field,
    FirstOf,
    Given,
    Lookup,
    Missing,
    Product,
    Reader,
    Reply,
    Scaled,
    Worded,
    field_of,
)
from delfin.kinds import KINDS, STORAGE_COLUMNS, Column

__all__ = ['ALERTS', 'OTHERS', 'STORAGE', 'Source', 'Table', 'columns_of', 'combined', 'constant', 'field_of',
           'first_of', 'product']

Convert = str | Mapping[Any, Any] | Callable[[Any], Any]

STORAGE, ALERTS = 'storage', 'alerts'       # tables beside those of the kinds
_EXTRA = 'extra.'


@dataclass(frozen=True, slots=True)
class constant:  # noqa: N801  reads as a word in tables
    """A column that is the same in every row."""

    value: Any


@dataclass(frozen=True, slots=True, init=False)
class first_of:  # noqa: N801
    """The first of several sources that gives a value: `first_of('name', 'path', constant('?'))`.

    A word that a map does not have gives none, so that the next source decides; the last one keeps it as given.
    """

    sources: tuple[Source, ...]

    def __init__(self, *sources: Source) -> None:
        object.__setattr__(self, 'sources', sources)


@dataclass(frozen=True, slots=True, init=False)
class combined:  # noqa: N801
    """What a function makes of several fields. It gets None for those that are unknown, and is not called if all are;
    it returns None for unknown.
    """

    function: Callable[..., Any]
    fields: tuple[str, ...]

    def __init__(self, function: Callable[..., Any], *fields: str) -> None:
        object.__setattr__(self, 'function', function)
        object.__setattr__(self, 'fields', fields)


def product(*fields: str) -> combined:
    """Fields multiplied, for a count and what one is: `product('blocks', 'block_size')`."""
    return combined(units.product, *fields)


Source = str | tuple[str, Convert] | constant | first_of | combined


class Table:
    """A table for the kind `name` (a name of `delfin.kinds`, a relation's, 'storage' or 'alerts')."""

    def __init__(self, name: str, columns: Mapping[str, Source], *, missing: Iterable[str] = (), any_case: bool = False,
                 lookup: Lookup = field_of) -> None:
        """`missing` are values that say "unknown", as text. `any_case` is for arrays whose releases do not agree on how
        fields are spelt: the spelling of the table comes first, then any other. `lookup` finds what a reply does not
        have under the very name of a field.
        """
        self.name = name
        self.columns = dict(columns)
        known = {column.name: column for column in columns_of(name)}
        self.id_column = '' if name in (STORAGE, ALERTS) else KINDS.table(name).key[0]
        self._missing = Missing(missing, any_case, lookup)
        self._constants: dict[str, Any] = {}
        self._columns: list[tuple[str, Reader]] = []
        self._extras: list[tuple[str, Reader]] = []
        for column, source in self.columns.items():
            if column in known:
                where, spec = f'{name}.{column}', known[column]
                if isinstance(source, constant):
                    self._constants[column] = _checked(where, spec, source.value)
                else:
                    self._columns.append((column, self._reader(where, source, spec)))
            elif column.startswith(_EXTRA):
                self._extras.append((column.removeprefix(_EXTRA), self._reader(f'{name}.{column}', source, None)))
            else:
                raise ValueError(f'{name} have no column "{column}"; vendor fields are called extra.{column}')
        self._row: Callable[[Reply], dict[str, Any]] = self._compile_first
        self._id = dict(self._columns).get(self.id_column)

    def row(self, reply: Reply, **more: Any) -> dict[str, Any]:
        """The row of one reply. `more` are columns that the table cannot tell; None of them means unknown."""
        if type(reply) is not dict and not isinstance(reply, Mapping):
            reply = {}
        found = self._row(reply)
        for column, value in more.items():
            if value is not None:
                found[column] = value
        return found

    def rows(self, replies: Iterable[Reply], **more: Any) -> Iterator[dict[str, Any]]:
        """A row for each reply, one by one."""
        if more:
            for reply in replies:
                yield self.row(reply, **more)
        else:
            for reply in replies:
                yield self._row(reply) if type(reply) is dict else self.row(reply)

    def id_of(self, reply: Reply) -> Any:
        """The native id of one reply and nothing else of it; None if it has none, or the table does not say which."""
        return None if self._id is None else self._id(reply)

    def row_by_readers(self, reply: Reply) -> dict[str, Any]:
        """What `row` gives, without the code that was made of the table: the rule that the code has to follow."""
        found = {**self._constants, **{
            column: value for column, read in self._columns if (value := read(reply)) is not None}}
        extra = {column: value for column, read in self._extras if (value := read(reply)) is not None}
        return {**found, 'extra': extra} if extra else found

    def unfilled(self) -> list[str]:
        """Columns of the kind that the table says nothing of."""
        return [column.name for column in columns_of(self.name) if column.name not in self.columns]

    def _compile_first(self, reply: Reply) -> dict[str, Any]:
        """A table that is used is made to code, as one function for all its columns."""
        code = Code(f'table of {self.name}', 'row', 'reply')
        code.line('get = reply.get')
        code.line(f'found = {code.name(self._constants)}.copy()' if self._constants else 'found = {}')
        for into, columns in (('found', self._columns), ('extra', self._extras)):
            if columns is self._extras and columns:
                code.line('extra = {}')
            for column, reader in columns:
                reader.write(code, 'value')
                code.line(f'if value is not None: {into}[{column!r}] = value')
        if self._extras:
            code.line("if extra: found['extra'] = extra")
        code.line('return found')
        self._row = code.function()
        return self._row(reply)

    def _reader(self, where: str, source: Source, spec: Column | None, *, last: bool = True) -> Reader:
        """What reads a source; `last` says that nothing comes after it."""
        if isinstance(source, str):
            return Field(self._missing, source)
        if isinstance(source, constant):
            return Given(_checked(where, spec, source.value))
        if isinstance(source, combined):
            fields = [Field(self._missing, field) for field in source.fields]
            if source.function is units.product and len(fields) == 2:       # noqa: PLR2004
                return Product(*fields)
            return Combined(source.function, fields)
        if isinstance(source, first_of):
            asked = [each for each in source.sources if not isinstance(each, constant)]
            ends = last and len(asked) == len(source.sources)       # a constant behind it has the last word
            return FirstOf([self._reader(where, each, spec, last=ends and each is asked[-1])
                            for each in source.sources])
        field, convert = source
        if isinstance(convert, Mapping):
            for meaning in convert.values():
                _checked(where, spec, meaning)
            return Worded(self._missing, field, convert, where, keeps_unknown=last)
        if isinstance(convert, str):
            try:
                factor = units.whole_factor(convert)
                return (Field(self._missing, field, units.conversion(convert)) if factor is None else
                        Scaled(self._missing, field, units.conversion(convert), factor))
            except ValueError as error:
                raise ValueError(f'{where}: {error}') from None
        return Field(self._missing, field, convert)


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


def _checked(where: str, spec: Column | None, value: Any) -> Any:
    """The value, which must be one of Delfin's words if an author says it; only arrays may say others."""
    if spec is not None and spec.values and value is not None and value not in spec.values:
        raise ValueError(f'{where}: "{value}" is none of {", ".join(spec.values)}')
    return value
