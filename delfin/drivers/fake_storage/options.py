# SPDX-License-Identifier: Apache-2.0
"""What the make-believe array reads from `extra_attributes` and from its control file: one table of options.

All values are text, as in `extra_attributes`; a control file may write them as JSON numbers, booleans and (for
`misbehave`) objects. Some options are scoped: `latency_ms` is for every method, `latency_ms.list_volumes` for one.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from delfin import exception
from delfin.drivers.fake_storage.actions import ACTIONS, METHODS, Shape

MAX_ROWS = 10_000_000       # with the sizes in `model`, these two keep every sum of capacities inside 64 bits
MAX_GROWTH = 1_000_000
LAZY_ABOVE_ROWS = 10_000    # from here on a list is a generator unless `yield_rows` says otherwise

# Size options: what they count, how many there are if nobody says otherwise.
SIZES: Mapping[str, int] = {
    'pools': 4,
    'volumes': 40,
    'controllers': 2,
    'ports': 8,
    'disks': 24,
    'quotas': 6,
    'filesystems': 6,
    'qtrees': 12,
    'shares': 8,
    'initiators': 16,
    'hosts': 8,
    'host_groups': 2,
    'port_groups': 2,
    'volume_groups': 4,
    'masking_views': 6,
    'alerts': 5,
}

_DECIMAL = re.compile(r'[0-9]{1,15}(\.[0-9]{1,15})?')
_TRUE = ('true', 'yes', 'on', '1')
_FALSE = ('false', 'no', 'off', '0')


@dataclass(frozen=True, slots=True)
class Option:
    """One option: how its text becomes a value (`parse` raises ValueError with a reason) and what it is for.

    `scopes` are the names that may follow a dot to say "only there".
    """

    name: str
    description: str
    parse: Callable[[str], Any]
    default: str = ''
    secret: bool = False
    scopes: tuple[str, ...] = ()

    def names(self) -> Iterator[str]:
        """The option's own name, then the scoped ones."""
        yield self.name
        for scope in self.scopes:
            yield f'{self.name}.{scope}'


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise ValueError(f'must be a whole number from {low} to {high}')
        return value
    return parse


def _number(low: int, high: int) -> Callable[[str], Fraction]:
    """Exact, so that `change_percent=0.7` of 1000 rows is 7 rows and not 8."""
    def parse(text: str) -> Fraction:
        # The pattern comes first: Fraction('1e999999999') is legal and takes for ever.
        value = Fraction(text) if _DECIMAL.fullmatch(text) else None
        if value is None or not low <= value <= high:
            raise ValueError(f'must be a number from {low} to {high}')
        return value
    return parse


def _flag(text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise ValueError('must be true or false')


def _flag_or_unset(text: str) -> bool | None:
    return _flag(text) if text else None


def _misbehave(text: str) -> dict[str, str]:
    """`list_volumes:raise,list_disks:hang` as a dict; a method may be a pattern like `list_*`, the last word counts."""
    actions: dict[str, str] = {}
    for item in filter(None, (part.strip() for part in text.split(','))):
        pattern, colon, action = (word.strip() for word in item.partition(':'))
        if not colon or action not in ACTIONS:
            raise ValueError(f'{item!r} is not <method>:<action> with an action out of {", ".join(ACTIONS)}')
        methods = _matching(pattern, ACTIONS[action].shapes)
        if not methods:
            raise ValueError(f'{action} cannot be done by {pattern!r}')
        actions.update(dict.fromkeys(methods, action))
    return actions


def _matching(pattern: str, shapes: frozenset[Shape]) -> list[str]:
    """Methods that `pattern` names and that can misbehave so; construction only if it is named in full."""
    return [method for method, shape in METHODS.items()
            if shape in shapes and (method == pattern if method == 'init' else fnmatch.fnmatchcase(method, pattern))]


def _size_options() -> Iterator[Option]:
    for name, size in SIZES.items():
        what = name.replace('_', ' ')
        yield Option(name, f'Number of {what}.', _whole(0, MAX_ROWS), str(size))


_METHODS = tuple(method for method in METHODS if method != 'init')
_KINDS = tuple(SIZES)

OPTIONS: tuple[Option, ...] = (
    Option('seed', 'Another seed makes another array behind the same endpoint.', str, '0'),
    Option('array_id', 'Name of one array out of several behind the same endpoint.', str),
    Option('serial_number', 'Serial number; without it one is derived from endpoint, array_id and seed.', str),
    *_size_options(),
    Option('yield_rows', f'true: lists are generators; false: they are lists; unset: generators above '
                         f'{LAZY_ABOVE_ROWS} rows.', _flag_or_unset),
    Option('epoch', 'State of the array: from one epoch to the next, change_percent of the rows change.',
           _whole(0, 10**9), '0'),
    Option('change_percent', 'Percentage (rounded up to whole rows) of the rows of a kind that change with each epoch: '
                             'another used capacity, status or description under the same id.',
           _number(0, 100), '1', scopes=_KINDS),
    Option('grow', 'Rows of a kind that are added behind the configured number.', _whole(0, MAX_GROWTH), '0',
           scopes=_KINDS),
    Option('remove', 'Rows of a kind that are taken away from the end of the configured number.',
           _whole(0, MAX_ROWS), '0', scopes=_KINDS),
    Option('latency_ms', 'How long a call takes at least.', _number(0, 86_400_000), '0', scopes=_METHODS),
    Option('misbehave', 'Comma-separated <method>:<action>; patterns like list_* are allowed and the last word counts. '
                        'Method init is the constructor. Actions: '
                        + '; '.join(f'{name} ({action.help})' for name, action in ACTIONS.items()) + '.',
           _misbehave),
    Option('hang_seconds', 'How long a hanging call hangs if nothing releases it; then it answers normally.',
           _number(0, 10**9), '86400'),
    Option('control_file', 'Path of a JSON object that is read before every call and overrides the other options; '
                           'null unsets one.', str),
    Option('login_password', 'The only password the array accepts; without it any is accepted. Plain in the control '
                             'file, encoded in extra_attributes.', str, secret=True),
    Option('sample_interval_seconds', 'Seconds between two performance samples.', _whole(1, 86_400), '60'),
    Option('clock_skew_seconds', "How far the array's clock is ahead of ours; negative if it is behind.",
           _whole(-10**9, 10**9), '0'),
)

_BY_NAME: Mapping[str, Option] = {name: option for option in OPTIONS for name in option.names()}


class Settings:
    """Parsed options. `settings['volumes']` is the value given or the default."""

    __slots__ = ('_values',)

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = dict(values)

    @classmethod
    def parse(cls, given: Mapping[str, Any] | None, open_secret: Callable[[str], str] = str) -> Settings:
        """Read options as a client or a control file wrote them.

        `open_secret` decodes the secret ones. Raises InvalidInput for an unknown name (saying which are known) and
        for a bad value (saying what is expected; a secret's value is never quoted).
        """
        return cls(_DEFAULTS | _parse(given or {}, open_secret))

    def overridden(self, given: Mapping[str, Any]) -> Settings:
        """A copy in which the options in `given` replace ours and None unsets one; raises InvalidInput like `parse`."""
        unset = {name for name, value in given.items() if value is None}
        kept = {name: value for name, value in self._values.items() if name not in unset}
        return Settings(_DEFAULTS | kept | _parse(given, str))

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def scoped(self, name: str, scope: str) -> Any:
        """The value of `name` for one kind or method: the scoped one if given, else the general one."""
        return self._values.get(f'{name}.{scope}', self._values[name])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Settings) and self._values == other._values

    def __hash__(self) -> int:
        raise TypeError('settings are compared, not hashed')


def _parse(given: Mapping[str, Any], open_secret: Callable[[str], str]) -> dict[str, Any]:
    unknown = [str(name) for name in given if name not in _BY_NAME]
    if unknown:
        raise exception.InvalidInput(f'The fake driver has no option {_enumerate(unknown)}. It has '
                                     f'{_enumerate(_described(option) for option in OPTIONS)}.')
    return {name: _value(name, _BY_NAME[name], value, open_secret)
            for name, value in given.items() if value is not None}


def _value(name: str, option: Option, given: Any, open_secret: Callable[[str], str]) -> Any:
    try:
        text = _as_text(given)
        return option.parse(open_secret(text) if option.secret and text else text.strip())
    except ValueError as error:
        raise exception.InvalidInput(f'Option {name} of the fake driver: {error}.') from None


def _as_text(given: Any) -> str:
    match given:
        case str():
            return given
        case bool():
            return str(given).lower()
        case int() | float():
            return str(given)
        case Mapping():
            return ','.join(f'{key}:{value}' for key, value in given.items())
    raise ValueError(f'must be text, not {type(given).__name__}')


def _described(option: Option) -> str:
    return f'{option.name}[.<name>]' if option.scopes else option.name


def _enumerate(names: Iterable[str]) -> str:
    return ', '.join(sorted(names))


_DEFAULTS: dict[str, Any] = {option.name: option.parse(option.default) for option in OPTIONS}


def describe() -> dict[str, dict[str, Any]]:
    """All options in the form of `StorageDriver.get_driver_options`, scoped names included."""
    described: dict[str, dict[str, Any]] = {}
    for name, option in _BY_NAME.items():
        if name == option.name:
            described[name] = {'description': option.description, 'secret': option.secret, 'default': option.default,
                               'required': False}
        else:
            scope = name.removeprefix(f'{option.name}.')
            described[name] = {'description': f'{option.name} for {scope} only.', 'secret': option.secret,
                               'required': False}
    return described
