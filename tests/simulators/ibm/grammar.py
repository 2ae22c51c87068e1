# SPDX-License-Identifier: Apache-2.0
"""How the CLI writes what it shows: tables (one line for each object), and records (one line for each attribute).

Nothing is quoted or escaped, whatever the delimiter; a control character is a `?`, or the line would be torn.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Row = tuple[object, ...]
_CONTROL = re.compile(r'[\x00-\x1f\x7f\x85\u2028\u2029]')
_UNITS = ('MB', 'GB', 'TB', 'PB')


class Size(int):
    """Bytes, which are shown with a unit unless -bytes is given."""


@dataclass(frozen=True, slots=True)
class Table:
    """The concise view of objects."""

    columns: tuple[str, ...]
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Record:
    """The detailed view: sections of pairs. Keys may repeat."""

    sections: Sequence[Sequence[tuple[str, object]]]


@dataclass(frozen=True, slots=True)
class Manner:
    """What the options of a command say about that. Without `delimiter`, tables are padded with blanks."""

    delimiter: str | None = None
    header: bool = True
    bytes: bool = False
    raw: bool = False           # control characters as they are


def without(view: Table | Record, names: frozenset[str]) -> Table | Record:
    """The view as it was before these columns, or keys, were there."""
    if isinstance(view, Record):
        return Record([[pair for pair in section if pair[0] not in names] for section in view.sections])
    kept = [place for place, column in enumerate(view.columns) if column not in names]
    if len(kept) == len(view.columns):
        return view
    return Table(tuple(view.columns[place] for place in kept),
                 [tuple(row[place] for place in kept) for row in view.rows])


def size(bytes: int) -> str:
    """With two digits and the largest unit that leaves something in front of the point."""
    value, unit = bytes / 2**20, 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f'{value:.2f}{_UNITS[unit]}'


def written(value: object, manner: Manner) -> str:
    """One value."""
    match value:
        case None:
            return ''
        case bool():
            return 'yes' if value else 'no'
        case Size():
            return str(int(value)) if manner.bytes else size(value)
    text = str(value)
    return text if manner.raw or text.isascii() and text.isprintable() else _CONTROL.sub('?', text)


def show(view: Table | Record, manner: Manner) -> str:
    """What goes to stdout; nothing at all for a table without rows."""
    return _table(view, manner) if isinstance(view, Table) else _record(view, manner)


def _table(table: Table, manner: Manner) -> str:
    if not table.rows:
        return ''
    lines: list[Sequence[str]] = [table.columns] if manner.header else []
    lines += [[written(value, manner) for value in row] for row in table.rows]
    if manner.delimiter is not None:
        return ''.join(f'{manner.delimiter.join(line)}\n' for line in lines)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ''.join(f'{_padded(line, widths)}\n' for line in lines)


def _padded(line: Sequence[str], widths: Iterable[int]) -> str:
    return ' '.join(text.ljust(width) for text, width in zip(line, widths, strict=True))


def _record(record: Record, manner: Manner) -> str:
    return '\n'.join(''.join(f'{_pair(key, written(value, manner), manner)}\n' for key, value in section)
                     for section in record.sections)


def _pair(key: str, value: str, manner: Manner) -> str:
    if not manner.header:
        return value
    if manner.delimiter is not None:
        return f'{key}{manner.delimiter}{value}'
    return f'{key} {value}' if value else key
