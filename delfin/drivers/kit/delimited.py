# SPDX-License-Identifier: Apache-2.0
"""What command lines print: lists with a header and a delimiter, and one object as a key and a value on each line.

    concise('id!name\\n0!vol 1\\n', '!')                   -> [{'id': '0', 'name': 'vol 1'}]
    detailed('id!0\\nname!vol 1\\n\\ncopy_id!0\\n', '!')      -> [[('id', '0'), ('name', 'vol 1')], [('copy_id', '0')]]

Values are kept as they are: blanks, other delimiters, and line breaks in names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from delfin import exception

Pairs = list[tuple[str, str]]

_KEY = re.compile(r'[A-Za-z][A-Za-z0-9_#-]*')


class Undivided(exception.InvalidResults):
    """A value contains the delimiter, it seems: ask again with another one."""


def concise(text: str, delimiter: str) -> list[dict[str, str]]:
    """The rows of a list by the names in its header, which is its first line. No text is an empty list.

    A line with too few fields is a part of a row: a value has a line break in it. `Undivided` if that does not come out
    even, or a row begins with a broken value.
    """
    lines = _lines(text)
    if not lines:
        return []
    names = lines[0].split(delimiter)
    if not all(map(_KEY.fullmatch, names)):
        raise exception.InvalidResults(f'the answer is no list: it begins with {lines[0][:80]!r}')
    try:        # at once into dicts: the collector of garbage need not look at those
        return [dict(zip(names, line.split(delimiter), strict=True)) for line in lines[1:]]
    except ValueError:
        return [dict(zip(names, fields, strict=True)) for fields in _joined(lines[1:], delimiter, len(names))]


def _joined(lines: list[str], delimiter: str, count: int) -> list[list[str]]:
    """The fields of rows of which some have line breaks in them."""
    rows: list[str] = []
    part = ''
    for line in lines:
        missing = count - 1 - line.count(delimiter)
        if part and not missing and rows:       # it was the rest of the last value of the row before
            rows[-1] += f'\n{part}'
            part = ''
        row = f'{part}\n{line}' if part else line
        if row.count(delimiter) < count - 1:
            part = row
        else:
            rows.append(row)
            part = ''
    if part and rows:
        rows[-1] += f'\n{part}'
    found = [row.split(delimiter) for row in rows or [part]]
    for fields in found:
        if len(fields) != count or '\n' in fields[0]:
            raise Undivided(f'a row has {len(fields)} fields, and the header {count}: {fields[0][:40]!r} …')
    return found


def detailed(text: str, delimiter: str) -> list[Pairs]:
    """The sections of an object, which empty lines separate: keys and values in their order, keys as often as they
    come. What stands behind the first delimiter of a line is the value.
    """
    sections: list[Pairs] = [[]]
    for line in _lines(text):
        key, found, value = line.partition(delimiter)
        if not line:
            sections.append([])
        elif _KEY.fullmatch(key) and (found or not sections[-1] or sections[-1][-1][1]):
            sections[-1].append((key, value))
        elif sections[-1]:      # the value before has a line break in it
            name, begun = sections[-1][-1]
            sections[-1][-1] = name, f'{begun}\n{line}'
        else:
            raise exception.InvalidResults(f'a line has no key: {line[:80]!r}')
    return [section for section in sections if section]


def flat(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The pairs as a dict; of a key that comes several times, the first."""
    found: dict[str, str] = {}
    for key, value in pairs:
        found.setdefault(key, value)
    return found


def blocks(pairs: Iterable[tuple[str, str]], *starts: str) -> Iterator[Pairs]:
    """The pairs from each key in `starts` on up to the next: repeated groups that nothing else separates. What comes
    before the first is left out.
    """
    block: Pairs = []
    for key, value in pairs:
        if key in starts:
            if block:
                yield block
            block = []
        if block or key in starts:
            block.append((key, value))
    if block:
        yield block


def _lines(text: str) -> list[str]:
    """Lines that end in LF or CR LF only: names may contain the other characters that end lines."""
    lines = text.replace('\r\n', '\n').split('\n')
    return lines[:-1] if lines[-1] == '' else lines
