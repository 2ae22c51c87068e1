# SPDX-License-Identifier: Apache-2.0
"""From the text of tools to values: unknown is always None."""

from __future__ import annotations

import json
import re
from typing import Any

from delfin import exception
from delfin.drivers.driver import Row

_OCTAL = re.compile(r'\\([0-7]{3})')
_TRUE = (True, 1, '1', 'true', 'yes')
_FALSE = (False, 0, '0', 'false', 'no')


def json_of(tool: str, text: str) -> Any:
    """The JSON document a tool printed; `InvalidResults` if it is none (cut off, for example)."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise exception.InvalidResults(f'{tool} printed something that is not JSON: {error}') from error


def entries(tool: str, document: Any, *path: str | int) -> list[dict[str, Any]]:
    """The list of objects at `path` in a JSON document; `InvalidResults` if there is none."""
    try:
        for step in path:
            document = document[step]
        if isinstance(document, list) and all(isinstance(entry, dict) for entry in document):
            return document
    except (LookupError, TypeError):
        pass
    raise exception.InvalidResults(f'{tool} printed JSON without the list {".".join(map(str, path))}')


def integer(value: Any) -> int | None:
    """A whole number of 0 or more from a number or decimal text. Tools write -1 for unknown, and so is less than 0."""
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if number >= 0 else None


def number(value: Any) -> float | None:
    """A number of 0 or more, like a percentage."""
    try:
        result = float(value)
    except (TypeError, ValueError):
        return None
    return result if 0 <= result < float('inf') else None


def flag(value: Any) -> bool | None:
    """A boolean; util-linux writes true and false since 2.33, "1" and "0" before."""
    if value in _TRUE:
        return True
    return False if value in _FALSE else None


def text(value: Any) -> str | None:
    """Text without the blanks that fixed-width fields of SCSI and DMI are padded with; None if nothing is left."""
    return str(value).strip() or None if value is not None else None


def unescape_octal(value: str) -> str:
    r"""`\040` to a blank: how the kernel and nfs-utils write blanks in paths; bytes are UTF-8."""
    if '\\' not in value:
        return value
    raw = _OCTAL.sub(lambda match: chr(int(match[1], 8) & 0xFF), value.encode().decode('latin-1'))
    return raw.encode('latin-1').decode('utf-8', 'backslashreplace')


def row(**values: Any) -> Row:
    """A row of what is known: None and empty `extra` are left out."""
    return {name: value for name, value in values.items() if value is not None and value != {}}


def extra(**values: Any) -> dict[str, Any]:
    """The vendor fields of a row that are known."""
    return {name: value for name, value in values.items() if value not in (None, '', [], ())}
