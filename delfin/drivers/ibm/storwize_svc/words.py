# SPDX-License-Identifier: Apache-2.0
"""How values are written: conversions that the tables name. What cannot be converted is handed on as it is."""

from __future__ import annotations

import re
from decimal import Decimal

_SIZE = re.compile(r'([0-9]+(?:\.[0-9]+)?) ?([KMGTPE]?)B?')
_POWERS = {letter: power for power, letter in enumerate(('', *'KMGTPE'))}
_SPEED = re.compile(r'([0-9]+) ?(Gb|Mb)(?:/s)?')
_BITS = {'Gb': 10**9, 'Mb': 10**6}
_NO_SPEED = 'N/A'


def bytes_of(text: str) -> int | str:
    """`40.00TB`: powers of 1024, rounded by the array."""
    found = _SIZE.fullmatch(text.strip())
    return int(Decimal(found[1]) * 1024 ** _POWERS[found[2]]) if found is not None else text


def speed(text: str) -> int | str | None:
    """`16Gb`, `10Gb/s`, `100Mb/s` in bit/s."""
    found = _SPEED.fullmatch(text.strip())
    if found is None:
        return None if text.strip() == _NO_SPEED else text
    return int(found[1]) * _BITS[found[2]]


def first_word(text: str) -> str:
    """`8.3.1.2 (build 150.24.2008101830000)`: the level alone."""
    return text.split(' ', 1)[0]


def named(owner: str | None, name: str | None) -> str | None:
    """`node1_4`; the name alone where there is no owner."""
    return f'{owner}_{name}' if owner and name else name


def canister(enclosure: str | None, place: str | None, name: str | None) -> str | None:
    """Where a node is; those without enclosure stand for themselves."""
    return f'enclosure {enclosure}, canister {place}' if enclosure and place else name
