# SPDX-License-Identifier: Apache-2.0
"""From what a driver returned to what a column takes.

The rules (docs/architecture.md, "Coercion"): numeric text and floats become integers, truthy texts booleans, over-long
text is cut with a finding, unknown keys are ignored with a finding, empty text is unknown. Only a row without a usable
native id is rejected.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from delfin import findings as code
from delfin.common.text import clean
from delfin.findings import Findings
from delfin.kinds import BIGINT_MAX, TEXT_LENGTH, Column, ColumnType, Key, Table

# Part of every fingerprint: raise it when a stored row must be written anew although its source did not change.
FINGERPRINT_VERSION = b'1'

_TRUE = frozenset({'true', 'yes', 'on', '1', 'enabled', 'y', 't'})
_FALSE = frozenset({'false', 'no', 'off', '0', 'disabled', 'n', 'f'})
_UNKNOWN_NUMBERS = frozenset({'', 'unknown', 'infinite', 'n/a', 'na', 'none', 'null', '-', '--'})
_SILENT = frozenset({'storage_id', 'extra', 'id', 'created_at', 'updated_at'})

Coercer = Callable[[Any, Findings], Any]


class Rejected(Exception):
    """The row cannot be stored. `key` tells which row it was meant to be; None when that is unknown."""

    def __init__(self, key: Key | None = None) -> None:
        super().__init__()
        self.key = key


class RowReader:
    """Coerces rows of one table."""

    def __init__(self, spec: Table) -> None:
        self._spec = spec
        self._key = [(name, native_id(name)) for name in spec.key]
        self._columns = [(column.name, coercer(column)) for column in spec.columns if column.name not in spec.key]
        self._known = {column.name for column in spec.columns} | _SILENT

    def read(self, row: Any, found: Findings) -> tuple[Key, dict[str, Any]]:
        """(natural key, dict with every column, `extra` and `fingerprint`); `Rejected` if there is no usable key."""
        if not isinstance(row, Mapping):
            found.add(code.NOT_A_ROW, example=type(row).__name__)
            raise Rejected
        try:
            given = [row.get(name) for name, _ in self._key]
        except Exception as error:      # a mapping of the driver's own
            found.add(code.ROW_UNREADABLE, example=type(error).__name__)
            raise Rejected from None
        parts = [read(value, found) for value, (_, read) in zip(given, self._key, strict=True)]
        key: Key = parts[0] if len(parts) == 1 else tuple(parts)
        try:
            values = dict(zip(self._spec.key, parts, strict=True))
            get = row.get
            for name, read in self._columns:
                value = get(name)
                values[name] = None if value is None else read(value, found)
            given_extra = get('extra')
            values['extra'] = extra(given_extra, found) if given_extra else None
            if not row.keys() <= self._known:
                for name in row.keys() - self._known:
                    found.add(code.UNKNOWN_KEY, column=text_of(name), example=None)
            values['fingerprint'] = fingerprint(values)
        except Exception as error:      # values are objects of third-party code
            found.add(code.ROW_UNREADABLE, example=f'{parts[0]}: {type(error).__name__}')
            raise Rejected(key) from None
        return key, values


def read_columns(columns: Iterable[Column], row: Mapping[str, Any], found: Findings) -> dict[str, Any]:
    """The values of `columns` in one row, coerced; absent ones are None."""
    return {column.name: None if row.get(column.name) is None else coercer(column)(row[column.name], found)
            for column in columns}


def fingerprint(values: Mapping[str, Any]) -> bytes:
    """16 bytes that change when the row does."""
    body = orjson.dumps(list(values.values()), option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(body, digest_size=16, person=FINGERPRINT_VERSION).digest()


def coercer(column: Column) -> Coercer:
    """The function that turns a value (never None) into what `column` stores.

    Values as they should be are looked at first: hundreds of thousands of them go through here.
    """
    name = column.name
    if column.type is ColumnType.INTEGER:
        lowest = column.unlikely_below
        if lowest:
            return lambda value, found: (
                value if type(value) is int and lowest <= value <= BIGINT_MAX
                else likely(whole_number(value, name, found), lowest, name, found))
        return lambda value, found: (
            value if type(value) is int and 0 <= value <= BIGINT_MAX else whole_number(value, name, found))
    if column.type is ColumnType.BOOLEAN:
        return lambda value, found: value if value is True or value is False else boolean(value, name, found)
    if column.values:
        known = {value.lower(): value for value in column.values}
        canonical = frozenset(column.values)
        return lambda value, found: (
            value if type(value) is str and value in canonical else enumerated(value, name, known, found))
    length = column.length
    return lambda value, found: (
        value if type(value) is str and 0 < len(value) <= length and value.isascii() and '\0' not in value
        else text(value, name, found, length))


def native_id(name: str) -> Coercer:
    """A native id is text exactly as the array names the thing: never cut, never empty."""
    def read(value: Any, found: Findings) -> str:
        if isinstance(value, str):
            cleaned = _clean(value, name, found)
        elif isinstance(value, int) and not isinstance(value, bool) and abs(value) <= BIGINT_MAX:
            cleaned = str(value)
        else:
            cleaned = ''
        if not cleaned:
            found.add(code.NO_NATIVE_ID, name)
            raise Rejected
        if len(cleaned) > TEXT_LENGTH:
            found.add(code.NATIVE_ID_TOO_LONG, name, cleaned)
            raise Rejected
        return cleaned
    return read


def text(value: Any, name: str, found: Findings, length: int = TEXT_LENGTH) -> str | None:
    """Text of at most `length` characters; empty text is unknown."""
    if not isinstance(value, str):
        if isinstance(value, Mapping | list | tuple | set | bytes | bytearray):
            found.add(code.NOT_TEXT, name, type(value).__name__)
            return None
        try:
            value = str(value)
        except ValueError:      # a number of thousands of digits
            found.add(code.NOT_TEXT, name, type(value).__name__)
            return None
    value = _clean(value, name, found)
    if len(value) > length:
        found.add(code.TEXT_CUT, name, value)
        value = value[:length]
    return value or None


def enumerated(value: Any, name: str, known: Mapping[str, str], found: Findings) -> str | None:
    """A value of an enumeration in its canonical spelling; another value is kept and reported."""
    given = text(value, name, found)
    if given is None:
        return None
    canonical = known.get(given.lower())
    if canonical is None:
        found.add(code.UNKNOWN_VALUE, name, given)
        return given
    return canonical


def whole_number(value: Any, name: str, found: Findings) -> int | None:
    """An integer from 0 to 2^63-1, from numbers and numeric text; anything else is unknown."""
    number: float | int | None
    if type(value) is int:
        number = value
    elif isinstance(value, bool):
        number = None
    elif isinstance(value, str):
        number = _parse(value)
        if number is None and value.strip().lower() == '':
            return None
    else:
        try:
            number = value if isinstance(value, float) else int(value)
        except (TypeError, ValueError, OverflowError):
            number = None
    if isinstance(number, float):
        number = int(number) if math.isfinite(number) else None
    if number is None or not 0 <= number <= BIGINT_MAX:
        found.add(code.NOT_A_NUMBER, name, value)
        return None
    return number


def likely(number: int | None, lowest: int, name: str, found: Findings) -> int | None:
    """The number, reported if it is so small that another unit was meant, it seems. 0 is nothing in every unit."""
    if number is not None and 0 < number < lowest:
        found.add(code.UNLIKELY_UNIT, name, number)
    return number


def _parse(value: str) -> float | int | None:
    value = value.strip()
    if value.lower() in _UNKNOWN_NUMBERS or len(value) > 40 or '_' in value:
        return None
    for parse in (int, float):
        try:
            return parse(value)
        except ValueError:
            continue
    return None


def boolean(value: Any, name: str, found: Findings) -> bool | None:
    """True or False, from booleans, numbers and the usual words."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return bool(value)
    word = value.strip().lower() if isinstance(value, str) else None
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    if word != '':
        found.add(code.NOT_A_BOOLEAN, name, value)
    return None


def extra(value: Any, found: Findings) -> dict[str, Any] | None:
    """Vendor fields: a JSON-able dict with text keys, or nothing."""
    if not value:
        return None
    if not isinstance(value, Mapping):
        found.add(code.NOT_TEXT, 'extra', type(value).__name__)
        return None
    try:
        body = orjson.dumps(dict(value), option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SORT_KEYS)
        document: dict[str, Any] = orjson.loads(body)
    except (TypeError, ValueError):
        found.add(code.NOT_TEXT, 'extra', 'not JSON')
        return None
    if b'\\u0000' in body:      # perhaps a NUL: PostgreSQL takes none, not even inside JSON
        document = _without_nul(document, found)
    return document


def _without_nul(value: Any, found: Findings) -> Any:
    if isinstance(value, str):
        return _clean(value, 'extra', found)
    if isinstance(value, list):
        return [_without_nul(item, found) for item in value]
    if isinstance(value, dict):
        return {_without_nul(name, found): _without_nul(item, found) for name, item in value.items()}
    return value


def text_of(value: Any) -> str:
    """A short printable form of a key."""
    return value[:64] if isinstance(value, str) else type(value).__name__


def _clean(value: str, name: str, found: Findings) -> str:
    cleaned = clean(value)
    if cleaned != str.__str__(value):
        found.add(code.TEXT_CLEANED, name, cleaned)
    return cleaned
