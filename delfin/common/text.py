# SPDX-License-Identifier: Apache-2.0
"""Text from outside made fit for a database, JSON and a terminal."""

from __future__ import annotations


def clean(value: str) -> str:
    """Plain text without NUL (PostgreSQL refuses it) and lone surrogates (no encoding has them)."""
    value = str.__str__(value)      # a subclass of str may say something else of itself
    if '\0' in value:
        value = value.replace('\0', '')
    if not value.isascii():
        value = value.encode('utf-8', 'replace').decode('utf-8')
    return value


def printable(value: object) -> str:
    """`str(value)`, cleaned; never raises, whatever the object's own `__str__` does."""
    try:
        return clean(str(value))
    except Exception:       # objects of third parties
        return f'<{type(value).__name__}>'


def first_line(error: BaseException) -> str:
    """What an error says, in one line; of SQLAlchemy's the database's own words."""
    cause = getattr(error, 'orig', None) or error
    return (printable(cause).strip().splitlines() or [type(cause).__name__])[0]
