# SPDX-License-Identifier: Apache-2.0
"""Conversions by name: from what a vendor writes to what Delfin has.

For columns (`mapping`): bytes, bit/s, epoch milliseconds, text, whole numbers. For metrics (`metrics`): the unit that
the metric has in Delfin. Powers of 1000 are called "decimal", since GB means either: 'GiB' is 2^30, 'decimal GB' 10^9.

What cannot be converted is handed on as it is, so that Delfin reports it with the value and stores "unknown".
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from fractions import Fraction
from typing import Any, Final

Conversion = Callable[[Any], Any]

_BYTES, _BIT_RATE, _BYTE_RATE, _DURATION, _RATE, _SHARE = (
    'bytes', 'bits per second', 'bytes per second', 'seconds', 'operations per second', 'share')


@dataclass(frozen=True, slots=True)
class Unit:
    """So many of the base unit of a quantity."""

    quantity: str
    size: Fraction


def _units() -> dict[str, Unit]:
    sizes: dict[str, tuple[str, int | Fraction]] = {
        'B': (_BYTES, 1), '512-byte sectors': (_BYTES, 512), 'bit/s': (_BIT_RATE, 1), 'B/s': (_BYTE_RATE, 1),
        'ns': (_DURATION, Fraction(1, 10**9)), 'us': (_DURATION, Fraction(1, 10**6)),
        'ms': (_DURATION, Fraction(1, 10**3)), 's': (_DURATION, 1),
        'IOPS': (_RATE, 1), '%': (_SHARE, Fraction(1, 100)), 'ratio': (_SHARE, 1)}
    for power, letter in enumerate('KMGTP', 1):
        for quantity, per in ((_BYTES, ''), (_BYTE_RATE, '/s')):
            sizes[f'{letter}iB{per}'] = quantity, 1024**power
            sizes[f'decimal {letter}B{per}'] = quantity, 1000**power
    for power, letter in enumerate('kMG', 1):
        sizes[f'{letter}bit/s'] = _BIT_RATE, 1000**power
    return {name: Unit(quantity, Fraction(size)) for name, (quantity, size) in sizes.items()}


UNITS: Final[Mapping[str, Unit]] = _units()

# The units of Delfin's metrics, of which two are called as they are not here.
_OURS: Final = {'MB/s': 'MiB/s', 'KB': 'KiB'}
_AMBIGUOUS: Final = {f'{letter}B{per}' for letter in 'kKMGTP' for per in ('', '/s')}

_DIGITS: Final = 1000       # Python refuses to read many more, which is to be no error
_HEX: Final = re.compile(r'0[xX](?:[0-9A-Fa-f]{2})+')
_DATE: Final = re.compile(r'(\d+)-(\d+)-(\d+),(\d+):(\d+):(\d+)(?:\.(\d))?(?:,([+-])(\d+):(\d+))?')


def number(value: Any) -> int | float | None:
    """A finite number, or the number in a text; None for everything else."""
    if type(value) is int:
        return value
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str):
        if value.isdecimal() and len(value) < _DIGITS:       # most are
            return int(value)
        text = value.strip()
        if '_' in text:
            return None
        try:
            return int(text)
        except ValueError:
            pass
        try:
            value = float(text)
        except ValueError:
            return None
    return value if isinstance(value, float) and math.isfinite(value) else None


def factor(unit: str, into: str) -> float:
    """What a number in `unit` is to be multiplied with to be one in `into`, the unit of a metric of Delfin's.

    ValueError for an unknown unit and for one of something else.
    """
    ours, theirs = UNITS[_OURS.get(into, into)], _unit(unit)
    if ours.quantity != theirs.quantity:
        raise ValueError(f'{unit} are {theirs.quantity}, {into} are {ours.quantity}')
    return float(theirs.size / ours.size)


def conversion(name: str) -> Conversion:
    """The conversion of that name for columns; ValueError if there is none."""
    found = _CONVERSIONS.get(name)
    if found is not None:
        return found
    unit = _unit(name)
    if unit.quantity not in (_BYTES, _BIT_RATE):
        raise ValueError(f'"{name}" is no unit of a column')
    size = int(unit.size)

    def scaled(value: Any) -> Any:
        given = number(value)
        return value if given is None else _rounded(given * size)
    return scaled


def whole_factor(name: str) -> int | None:
    """What the conversion of that name multiplies whole numbers with; None if it does something else."""
    if name in _CONVERSIONS:
        return {'integer': 1, 'epoch ms': 1, 'epoch s': 1000}.get(name)
    conversion(name)
    return int(_unit(name).size)


def epoch_seconds(value: Any) -> Any:
    """Epoch milliseconds of epoch seconds, a number or text."""
    given = number(value)
    return value if given is None else _rounded(given * 1000)


def iso_time(value: Any) -> Any:
    """Epoch milliseconds of a time like 2026-01-31T12:00:00Z. One without zone may be any: it is handed on."""
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return value
    return value if moment.tzinfo is None else round(moment.timestamp() * 1000)


def whole(value: Any) -> Any:
    """The nearest whole number."""
    given = number(value)
    return value if given is None else _rounded(given)


def product(*values: Any) -> Any:
    """All of them multiplied and rounded; None if one is unknown. One that is no number is handed on."""
    found: int | float = 1
    for value in values:
        if value is None:
            return None
        given = number(value)
        if given is None:
            return value
        try:
            found *= given
        except OverflowError:       # a whole number beyond all fractions
            return value
    return _rounded(found)


def total(*values: Any) -> Any:
    """The sum of those that are known. One that is no number is handed on."""
    given = [number(value) for value in values if value is not None]
    if None in given:
        return next(value for value in values if value is not None and number(value) is None)
    try:
        return _rounded(sum(value for value in given if value is not None)) if given else None
    except OverflowError:
        return next(value for value in values if value is not None)


def _rounded(value: float) -> int | float:
    """The nearest whole number; what has become infinite stays."""
    return value if isinstance(value, int) or not math.isfinite(value) else round(value)


def hex_text(value: Any) -> Any:
    """Text that an SNMP trap may hold as octets, `0x436865636b`; anything else stays, also text that is a number or
    looks like one without being marked so.
    """
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        return value
    octets = bytes.fromhex(value[2:])
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return octets.decode('latin-1')


def date_and_time(value: Any) -> Any:
    """Epoch milliseconds of a DateAndTime of SNMP (RFC 2579): `2026-1-31,13:0:0.0,+1:0`, or its octets as `0x…`.

    One without zone is unknown: it is the device's own time, wherever that is.
    """
    if not isinstance(value, str):
        return value
    fields = _date_of_octets(value) or _date_of_display(value)
    if fields is None:
        return value
    year, month, day, hour, minute, second, tenths, zone = fields
    if zone is None:
        return None
    try:
        at = datetime(year, month, day, hour, minute, min(second, 59),      # 60 is a leap second
                      tenths * 100_000, timezone(timedelta(minutes=zone)))
    except ValueError:
        return value
    return round(at.timestamp() * 1000)


def _date_of_octets(value: str) -> tuple[Any, ...] | None:
    if not _HEX.fullmatch(value):
        return None
    octets = bytes.fromhex(value[2:])
    if len(octets) not in (8, 11):
        return None
    year, *moment = struct.unpack('>H6B', octets[:8])
    return year, *moment, _zone(chr(octets[8]), octets[9], octets[10]) if len(octets) > 8 else None     # noqa: PLR2004


def _date_of_display(value: str) -> tuple[Any, ...] | None:
    match = _DATE.fullmatch(value.strip())
    if match is None:
        return None
    *moment, tenths, sign, hours, minutes = match.groups()
    return *map(int, moment), int(tenths or 0), _zone(sign, int(hours), int(minutes)) if sign else None


def _zone(sign: str, hours: int, minutes: int) -> int:
    """Minutes east of Greenwich."""
    return (hours * 60 + minutes) * (-1 if sign == '-' else 1)


def text(value: Any) -> Any:
    """Text without blanks around it; numbers become text."""
    return str(value).strip() if isinstance(value, str | int | float) and not isinstance(value, bool) else value


_CONVERSIONS: Final[Mapping[str, Conversion]] = {
    'text': text, 'integer': whole, 'epoch s': epoch_seconds, 'epoch ms': whole, 'ISO 8601': iso_time,
    'DateAndTime': date_and_time, 'hex text': hex_text}


def names() -> list[str]:
    """All that `conversion` knows."""
    return [*_CONVERSIONS, *(name for name, unit in UNITS.items() if unit.quantity in (_BYTES, _BIT_RATE))]


def _unit(name: str) -> Unit:
    if name in UNITS:
        return UNITS[name]
    if name in _AMBIGUOUS:
        letter, per = name[0].upper(), name[2:]
        raise ValueError(f'"{name}" may mean two things: say "{letter}iB{per}" (powers of 1024) or '
                         f'"decimal {letter}B{per}" (powers of 1000)')
    raise ValueError(f'there is no unit or conversion "{name}"; known are {", ".join([*_CONVERSIONS, *UNITS])}')
