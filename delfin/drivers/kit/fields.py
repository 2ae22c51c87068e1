# SPDX-License-Identifier: Apache-2.0
"""What reads the columns of `mapping.Table` out of a reply.

Each reader is there twice. Calling it is the rule: what the value is, for everything that an array may send. `write`
puts the same into the code of a function, for what arrays usually send, and lets the rule decide on all the rest. An
array has ten thousand volumes with eleven columns, and calling a function for each of these takes ten times as long as
what there is to do.
"""

from __future__ import annotations

import itertools
import linecache
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from delfin.drivers.kit import units

LOG = logging.getLogger(__name__)

Reply = Mapping[str, Any]
Lookup = Callable[[Reply, str], Any]

_REPORTED_AT_MOST = 100
_REMEMBERED_AT_MOST = 1000
_LONG, _DIGITS_AT_MOST = 19, 30
_BLANKS = ' \t\r\n\v\f\x1c\x1d\x1e\x1f\x85\xa0'


class _Others:
    def __repr__(self) -> str:
        return 'OTHERS'


OTHERS: Final = _Others()       # in a map: all words that it does not have


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


_numbers = itertools.count(1)


class Code:
    """The text of a function with one argument, and the objects that it names."""

    def __init__(self, title: str, function: str, argument: str) -> None:
        self._file, self._function = f'<{title}, {next(_numbers)}>', function
        self._lines = [f'def {function}({argument}):']
        self._indent = 1
        self._names: dict[str, Any] = {}
        self._known: dict[int, str] = {}

    def line(self, text: str) -> None:
        """One more statement."""
        self._lines.append('    ' * self._indent + text)

    def block(self, text: str) -> None:
        """A statement that those up to the next `end` belong to."""
        self.line(text)
        self._indent += 1

    def end(self) -> None:
        """Of a block."""
        self._indent -= 1

    def name(self, value: Any) -> str:
        """What an object is called in the text."""
        found = self._known.get(id(value))
        if found is None:
            found = self._known[id(value)] = f'_{len(self._known)}'
            self._names[found] = value
        return found

    def function(self) -> Callable[[Any], Any]:
        """The function. Tracebacks show its lines."""
        text = '\n'.join(self._lines) + '\n'
        linecache.cache[self._file] = len(text), None, text.splitlines(keepends=True), self._file
        exec(compile(text, self._file, 'exec'), self._names)        # noqa: S102  no text of anybody else is in it
        made: Callable[[Any], Any] = self._names[self._function]
        return made


class Missing:
    """What all fields of a table have in common: which values say "unknown", and where else a field may be."""

    def __init__(self, words: Iterable[str], any_case: bool, lookup: Lookup) -> None:
        self.words = frozenset(str(word).strip().lower() for word in ('', *words))
        # What a missing value may begin with; of most values one character is seen.
        self.suspicious = frozenset(letter for word in self.words for letter in (word[:1], word[:1].upper())) | (
            frozenset(_BLANKS))
        self.numbers = frozenset(number for word in self.words if isinstance(number := units.number(word), int))
        self.decimals = frozenset(word for word in self.words if word.isdecimal())
        self._any_case, self._lookup = any_case, lookup
        self._spellings: dict[tuple[str, ...], dict[str, str]] = {}

    def says(self, value: Any) -> bool:
        """Whether a value means that there is none."""
        if type(value) is str:
            return value[:1] in self.suspicious and value.strip().lower() in self.words
        if type(value) is int:
            return value in self.numbers
        return isinstance(value, str | float) and str(value).strip().lower() in self.words

    def may_be_elsewhere(self, field: str) -> bool:
        """Whether a reply that does not have the field under its very name may have it."""
        return self._any_case or self._lookup is not field_of or '.' in field

    def elsewhere(self, reply: Reply, field: str) -> Any:
        """A field that the reply does not have under its very name; None if it does not have it at all."""
        plain = self._lookup is field_of and '.' not in field
        value = None if plain else self._lookup(reply, field)
        if value is not None or not self._any_case:
            return value
        shape = tuple(reply)
        names = self._spellings.get(shape)
        if names is None:
            if len(self._spellings) >= _REMEMBERED_AT_MOST:
                self._spellings.clear()
            names = self._spellings[shape] = {str(name).lower(): name for name in shape}
        name = names.get(field.lower())
        return None if name is None else reply[name]


class Reader(ABC):
    """Says what a reply says of a column; None if that is unknown."""

    @abstractmethod
    def __call__(self, reply: Reply) -> Any:
        """The rule."""

    @abstractmethod
    def write(self, code: Code, into: str) -> None:
        """Statements that set `into` to the same, where `get` is `reply.get`."""


class Given(Reader):
    """A value that the author knows."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __call__(self, reply: Reply) -> Any:
        return self._value

    def write(self, code: Code, into: str) -> None:
        code.line(f'{into} = {code.name(self._value)}')


class Field(Reader):
    """A field, converted by a function if there is one."""

    def __init__(self, missing: Missing, name: str, convert: Callable[[Any], Any] | None = None) -> None:
        self.missing, self.name, self.convert = missing, name, convert
        self._may_be_elsewhere = missing.may_be_elsewhere(name)

    def __call__(self, reply: Reply) -> Any:
        value = reply.get(self.name)
        if value is None and self._may_be_elsewhere:
            value = self.missing.elsewhere(reply, self.name)
        if value is None or self.missing.says(value):
            return None
        return value if self.convert is None else self.convert(value)

    def write(self, code: Code, into: str) -> None:
        missing = self.missing
        code.line(f'{into} = get({self.name!r})')
        code.block(f'if type({into}) is str:')
        code.line(f'if {into}[:1] in {code.name(missing.suspicious)} and '
                  f'(not {into} or {into}.strip().lower() in {code.name(missing.words)}): {into} = None')
        if self.convert is not None:
            code.line(f'else: {into} = {code.name(self.convert)}({into})     # {self.name!r}')
        code.end()
        code.line(f'else: {into} = {code.name(self)}(reply)')


class Scaled(Field):
    """A whole number, also as text, times another one. What is no such number is left to the conversion."""

    def __init__(self, missing: Missing, name: str, convert: Callable[[Any], Any], factor: int) -> None:
        super().__init__(missing, name, convert)
        self._times = '' if factor == 1 else f' * {factor}'

    def write(self, code: Code, into: str) -> None:
        code.line(f'{into} = get({self.name!r})')
        code.line(f'if {_is_decimal(code, self.missing, into)}: {into} = int({into}){self._times}')
        code.line(f'else: {into} = {code.name(self)}(reply)')


class Worded(Field):
    """A field with words of the vendor's, which a map puts into Delfin's. One that is not in it is kept as given and
    logged once, if it `keeps_unknown`; without that it is unknown, because something else decides then.
    """

    def __init__(self, missing: Missing, name: str, words: Mapping[Any, Any], where: str, *,
                 keeps_unknown: bool) -> None:
        super().__init__(missing, name, self._meaning)
        self._where, self._keeps_unknown = where, keeps_unknown
        self._words = {_word(word): meaning for word, meaning in words.items() if word is not OTHERS}
        self._has_others, self._others = OTHERS in words, words.get(OTHERS)
        self._reported: set[str] = set()
        self._seen: dict[str, Any] = {}         # what values mean, as the array writes them

    def __call__(self, reply: Reply) -> Any:
        value = reply.get(self.name)
        found = super().__call__(reply)
        if type(value) is str and len(self._seen) < _REMEMBERED_AT_MOST:
            self._seen[value] = found
        return found

    def _meaning(self, value: Any) -> Any:
        word = _word(value)
        if word in self._words:
            return self._words[word]
        if self._has_others or not self._keeps_unknown:
            return self._others
        if word not in self._reported and len(self._reported) < _REPORTED_AT_MOST:
            self._reported.add(word)
            LOG.warning('%s: the driver does not know the value %r of the array; it is kept as given', self._where,
                        str(value)[:80])
        return str(value)

    def write(self, code: Code, into: str) -> None:
        seen = code.name(self._seen)
        code.line(f'try: {into} = {seen}[get({self.name!r})]')
        code.line(f'except (KeyError, TypeError): {into} = {code.name(self)}(reply)')


class FirstOf(Reader):
    """The first of several that gives a value."""

    def __init__(self, readers: Sequence[Reader]) -> None:
        self._readers = readers

    def __call__(self, reply: Reply) -> Any:
        return next((value for read in self._readers if (value := read(reply)) is not None), None)

    def write(self, code: Code, into: str) -> None:
        for position, reader in enumerate(self._readers):
            if position:
                code.block(f'if {into} is None:')
            reader.write(code, into)
        for _ in self._readers[1:]:
            code.end()


class Combined(Reader):
    """What a function makes of several fields, of which one at least is known."""

    def __init__(self, function: Callable[..., Any], fields: Sequence[Field]) -> None:
        self._function, self._fields = function, fields

    def __call__(self, reply: Reply) -> Any:
        values = [field(reply) for field in self._fields]
        return None if all(value is None for value in values) else self._function(*values)

    def write(self, code: Code, into: str) -> None:
        values = [f'{into}{number}' for number in range(len(self._fields))]
        for value, field in zip(values, self._fields, strict=True):
            field.write(code, value)
        known = ' or '.join(f'{value} is not None' for value in values)
        fields = ', '.join(repr(field.name) for field in self._fields)
        code.line(f'{into} = {code.name(self._function)}({", ".join(values)}) if {known} else None     # {fields}')


class Product(Combined):
    """Two fields multiplied, of which the second usually is a number of the driver's own."""

    def __init__(self, first: Field, second: Field) -> None:
        super().__init__(units.product, (first, second))

    def write(self, code: Code, into: str) -> None:
        first, second = self._fields
        other = f'{into}1'
        code.line(f'{into} = get({first.name!r})')
        code.line(f'{other} = get({second.name!r})')
        usual = f'{_is_decimal(code, first.missing, into)} and type({other}) is int'
        if second.missing.numbers:
            usual += f' and {other} not in {code.name(second.missing.numbers)}'
        code.line(f'if {usual}: {into} = int({into}) * {other}')
        code.line(f'else: {into} = {code.name(self)}(reply)')


def _is_decimal(code: Code, missing: Missing, name: str) -> str:
    """A condition: the value is text, and a number of digits only that does not say "unknown"."""
    # Numbers that say so usually are the largest that some field can hold; nothing so long need be looked at.
    short = frozenset(word for word in missing.decimals if len(word) < _LONG)
    limit = _LONG if len(short) < len(missing.decimals) else _DIGITS_AT_MOST
    condition = f'type({name}) is str and {name}.isdecimal() and len({name}) < {limit}'
    return f'{condition} and {name} not in {code.name(short)}' if short else condition


def _word(value: Any) -> str:
    return str(value).strip().lower()
