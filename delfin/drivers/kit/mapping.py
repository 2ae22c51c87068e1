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
Read = Callable[[Reply], Any]       # what a reply says of a column; None if that is unknown

STORAGE, ALERTS = 'storage', 'alerts'       # tables beside those of the kinds
_EXTRA = 'extra.'
_REPORTED_AT_MOST = 100
_REMEMBERED_AT_MOST = 1000
_BLANKS = ' \t\r\n\v\f\x1c\x1d\x1e\x1f\x85\xa0'


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
        self._fields = _Fields(missing, any_case, lookup)
        self._constants: dict[str, Any] = {}
        self._reads: list[tuple[str, Read]] = []
        self._extras: list[tuple[str, Read]] = []
        for column, source in self.columns.items():
            if column in known:
                self._add(self._reads, column, source, known[column])
            elif column.startswith(_EXTRA):
                self._add(self._extras, column.removeprefix(_EXTRA), source, None)
            else:
                raise ValueError(f'{name} have no column "{column}"; vendor fields are called extra.{column}')

    def _add(self, reads: list[tuple[str, Read]], column: str, source: Source, spec: Column | None) -> None:
        where = f'{self.name}.{column}' if spec is not None else f'{self.name}.{_EXTRA}{column}'
        if isinstance(source, constant) and spec is not None:
            _check_value(where, spec, source.value)
            self._constants[column] = source.value
        else:
            reads.append((column, self._fields.reader(where, source, spec)))

    def row(self, reply: Reply, **more: Any) -> dict[str, Any]:
        """The row of one reply. `more` are columns that the table cannot tell; None of them means unknown."""
        if type(reply) is not dict and not isinstance(reply, Mapping):
            reply = {}
        found = dict(self._constants)
        for column, read in self._reads:
            value = read(reply)
            if value is not None:
                found[column] = value
        if self._extras:
            extra = {column: value for column, read in self._extras if (value := read(reply)) is not None}
            if extra:
                found['extra'] = extra
        if more:
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


class _Fields:
    """Makes what reads fields. This is run for every field of every row: it looks at as little as possible."""

    def __init__(self, missing: Iterable[str], any_case: bool, lookup: Callable[[Reply, str], Any] | None) -> None:
        self._missing = frozenset(str(word).strip().lower() for word in ('', *missing))
        # What a missing value may begin with; of most values one character is seen.
        self._suspicious = frozenset(letter for word in self._missing for letter in (word[:1], word[:1].upper())) | (
            frozenset(_BLANKS))
        self._numbers = frozenset(number for word in self._missing if isinstance(number := units.number(word), int))
        self._any_case = any_case
        self._lookup = lookup or field_of
        self._spellings: dict[tuple[str, ...], dict[str, str]] = {}

    def reader(self, where: str, source: Source, spec: Column | None, *, last: bool = True) -> Read:
        """What reads a source; `last` says that nothing comes after it."""
        if isinstance(source, str):
            return self._field(source, None)
        if isinstance(source, constant):
            _check_value(where, spec, source.value)
            return lambda reply: source.value
        if isinstance(source, combined):
            return self._combined(source)
        if isinstance(source, first_of):
            return self._first_of(where, source, spec, last)
        field, given = source
        convert = _compiled(where, given, spec)
        if not isinstance(convert, _Words):
            return self._field(field, convert)
        seen, read_anyhow = convert.seen, self._field(field, convert if last else convert.known)

        def read(reply: Reply) -> Any:
            value = reply.get(field)
            return seen[value] if type(value) is str and value in seen else read_anyhow(reply)
        return read

    def _field(self, field: str, convert: Callable[[Any], Any] | None) -> Read:
        suspicious, missing, numbers = self._suspicious, self._missing, self._numbers
        is_missing, lookup = self._is_missing, self._lookup
        plain = lookup is field_of and '.' not in field
        otherwise = self._otherwise_spelt if self._any_case else None

        def read(reply: Reply) -> Any:
            value = reply.get(field) if plain else lookup(reply, field)
            if value is None:
                if otherwise is None:
                    return None
                value = otherwise(reply, field)
                if value is None:
                    return None
            if type(value) is str:
                if value[:1] in suspicious and value.strip().lower() in missing:
                    return None
            elif value in numbers if type(value) is int else is_missing(value):
                return None
            return value if convert is None else convert(value)
        return read

    def _is_missing(self, value: Any) -> bool:
        """For what is no plain text and no whole number."""
        return isinstance(value, str | float) and str(value).strip().lower() in self._missing

    def _otherwise_spelt(self, reply: Reply, field: str) -> Any:
        shape = tuple(reply)
        names = self._spellings.get(shape)
        if names is None:
            if len(self._spellings) >= _REMEMBERED_AT_MOST:
                self._spellings.clear()
            names = self._spellings[shape] = {str(name).lower(): name for name in shape}
        name = names.get(field.lower())
        return None if name is None else reply[name]

    def _first_of(self, where: str, source: first_of, spec: Column | None, last: bool) -> Read:
        asked = [position for position, each in enumerate(source.sources) if not isinstance(each, constant)]
        ends = last and len(asked) == len(source.sources)       # a constant behind it has the last word
        readers = [self.reader(where, each, spec, last=ends and position == asked[-1])
                   for position, each in enumerate(source.sources)]

        def read(reply: Reply) -> Any:
            for each in readers:
                value = each(reply)
                if value is not None:
                    return value
            return None
        return read

    def _combined(self, source: combined) -> Read:
        readers = [self._field(field, None) for field in source.fields]
        function = source.function
        if function is units.product and len(readers) == 2:     # noqa: PLR2004  the usual case, in a third of the time
            first, second = readers

            def multiplied(reply: Reply) -> Any:
                one, other = first(reply), second(reply)
                if type(one) is str and type(other) is int and one.isdecimal() and one.isascii():
                    return int(one) * other
                return None if one is None and other is None else units.product(one, other)
            return multiplied

        def read(reply: Reply) -> Any:
            values = [each(reply) for each in readers]
            return function(*values) if values.count(None) < len(values) else None
        return read


class _Words:
    """Vendor's words to Delfin's."""

    def __init__(self, where: str, words: Mapping[Any, Any]) -> None:
        self._where = where
        self._words = {_word(word): meaning for word, meaning in words.items() if word is not OTHERS}
        self._has_others, self._others = OTHERS in words, words.get(OTHERS)
        self._reported: set[str] = set()
        self.seen: dict[str, Any] = {}      # what known words mean, by how the array writes them

    def known(self, value: Any) -> Any:
        """None for a word that is not in the map."""
        word = _word(value)
        if word not in self._words:
            return self._others
        if type(value) is str and len(self.seen) < _REMEMBERED_AT_MOST:
            self.seen[value] = self._words[word]
        return self._words[word]

    def __call__(self, value: Any) -> Any:
        word = _word(value)
        if word in self._words:
            return self.known(value)
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


def _check_value(where: str, spec: Column | None, value: Any) -> None:
    """What the author says must be one of Delfin's words; only arrays may say others."""
    if spec is not None and spec.values and value is not None and value not in spec.values:
        raise ValueError(f'{where}: "{value}" is none of {", ".join(spec.values)}')
