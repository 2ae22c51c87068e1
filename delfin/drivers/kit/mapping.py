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

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from delfin.alerts import ALERT_COLUMNS
from delfin.drivers.kit import units
from delfin.kinds import KINDS, STORAGE_COLUMNS, Column

LOG = logging.getLogger(__name__)

Convert = str | Mapping[Any, Any] | Callable[[Any], Any]
Reply = Mapping[str, Any]
Find = Callable[[str], Any]     # the value of a field; None if it is unknown

STORAGE, ALERTS = 'storage', 'alerts'       # tables beside those of the kinds
_EXTRA = 'extra.'
_PLAIN = (str, int, float)
_REPORTED_AT_MOST = 100


class _Others:
    def __repr__(self) -> str:
        return 'OTHERS'


OTHERS: Final = _Others()       # in a map: all words that it does not have


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
                 lookup: Callable[[Reply, str], Any] | None = None) -> None:
        """`missing` are values that say "unknown", as text. `any_case` is for arrays whose releases do not agree on how
        fields are spelt: the spelling of the table comes first, then any other.
        """
        self.name = name
        self.columns = dict(columns)
        known = {column.name: column for column in columns_of(name)}
        self._lookup = lookup or field_of
        self._any_case = any_case
        self._missing = frozenset(str(word).strip().lower() for word in ('', *missing))
        self._constants: dict[str, Any] = {}
        self._fields: list[tuple[str, str, Callable[[Any], Any] | None]] = []
        self._made: list[tuple[str, Callable[[Find], Any]]] = []
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
        elif isinstance(source, tuple):
            field, convert = source
            self._fields.append((column, field, _compiled(where, convert, spec)))
        else:
            self._made.append((column, _reader(where, source, spec)))

    def row(self, reply: Reply, **more: Any) -> dict[str, Any]:
        """The row of one reply. `more` are columns that the table cannot tell; None of them means unknown."""
        find = self._finder(reply)
        found: dict[str, Any] = {}
        for column, field, convert in self._fields:
            value = find(field)
            if value is not None:
                value = value if convert is None else convert(value)
                if value is not None:
                    found[column] = value
        for column, read in self._made:
            value = read(find)
            if value is not None:
                found[column] = value
        found |= self._constants
        extra = {column.removeprefix(_EXTRA): found.pop(column) for column in list(found) if column.startswith(_EXTRA)}
        if extra:
            found['extra'] = extra
        found.update((column, value) for column, value in more.items() if value is not None)
        return found

    def _finder(self, reply: Reply) -> Find:
        """Fields of one reply."""
        lookup, missing = self._lookup, self._missing
        folded: dict[str, Any] | None = None

        def find(field: str) -> Any:
            nonlocal folded
            value = lookup(reply, field)
            if value is None:
                if not self._any_case:
                    return None
                if folded is None:
                    folded = {name.lower(): value for name, value in reply.items()}
                value = folded.get(field.lower())
                if value is None:
                    return None
            if isinstance(value, _PLAIN) and str(value).strip().lower() in missing:
                return None
            return value
        return find

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
    if type(reply) is dict or isinstance(reply, Mapping):       # the first is much quicker
        if path in reply:
            return reply[path]
        if '.' not in path:
            return None
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
        self._words = {_word(word): meaning for word, meaning in words.items() if word is not OTHERS}
        self._has_others, self._others = OTHERS in words, words.get(OTHERS)
        self._reported: set[str] = set()

    def known(self, value: Any) -> Any:
        """None for a word that is not in the map."""
        return self._words.get(_word(value), self._others)

    def __call__(self, value: Any) -> Any:
        word = _word(value)
        if word in self._words:
            return self._words[word]
        if self._has_others:
            return self._others
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


def _reader(where: str, source: Source, spec: Column | None, *, last: bool = True) -> Callable[[Find], Any]:
    """What reads a source; `last` says that nothing comes after it."""
    if isinstance(source, constant):
        _check_value(where, spec, source.value)
        return lambda find: source.value
    if isinstance(source, first_of):
        asked = [position for position, each in enumerate(source.sources) if not isinstance(each, constant)]
        ends = last and len(asked) == len(source.sources)       # a constant behind it has the last word
        readers = [_reader(where, each, spec, last=ends and position == asked[-1])
                   for position, each in enumerate(source.sources)]
        return lambda find: next((value for read in readers if (value := read(find)) is not None), None)
    if isinstance(source, combined):
        def made(find: Find) -> Any:
            values = [find(field) for field in source.fields]
            return None if all(value is None for value in values) else source.function(*values)
        return made
    if isinstance(source, str):
        return lambda find: find(source)
    field, given = source
    convert = _compiled(where, given, spec)
    if isinstance(convert, _Words) and not last:
        convert = convert.known

    def converted(find: Find) -> Any:
        value = find(field)
        return None if value is None else convert(value)
    return converted


def _check_value(where: str, spec: Column | None, value: Any) -> None:
    """What the author says must be one of Delfin's words; only arrays may say others."""
    if spec is not None and spec.values and value is not None and value not in spec.values:
        raise ValueError(f'{where}: "{value}" is none of {", ".join(spec.values)}')
