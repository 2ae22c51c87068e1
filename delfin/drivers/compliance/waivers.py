# SPDX-License-Identifier: Apache-2.0
"""Waivers: problems that are known and forgiven until a day. They are shown in every report.

    [[waiver]]
    driver = "acme x1"
    rule = "R05"
    method = "list_ports"           # optional
    reason = "port type unknown to us until firmware 3 tells it"
    expires = 2027-03-31
"""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from delfin import exception

_KEYS = {'driver': str, 'rule': str, 'reason': str, 'expires': datetime.date}


@dataclass(frozen=True, slots=True)
class Waiver:
    """One problem forgiven: of a rule, in one method or (None) in all. The day of `expires` is the last one."""

    driver: str
    rule: str
    reason: str
    expires: datetime.date
    method: str | None = None

    def covers(self, driver: str, rule: str, method: str | None) -> bool:
        """Whether it is about this problem."""
        return (self.driver, self.rule) == (driver, rule) and self.method in (None, method)

    def expired(self, today: datetime.date) -> bool:
        """Whether it forgives nothing any more."""
        return today > self.expires


def read(path: Path) -> list[Waiver]:
    """The waivers of a TOML file. `InvalidInput` says which entry is wrong, and how."""
    try:
        content = tomllib.loads(path.read_text('utf-8'))
    except (OSError, ValueError) as error:
        raise exception.InvalidInput(f'{path} cannot be read as TOML: {error}') from None
    entries = content.get('waiver')
    if not isinstance(entries, list) or content.keys() != {'waiver'}:
        raise exception.InvalidInput(f'{path} must consist of [[waiver]] entries')
    return [_waiver(entry, f'{path}, waiver {number}') for number, entry in enumerate(entries, 1)]


def _waiver(entry: Any, where: str) -> Waiver:
    unknown = entry.keys() - _KEYS.keys() - {'method'}
    if unknown:
        raise exception.InvalidInput(f'{where}: unknown {", ".join(sorted(unknown))}')
    for key, kind in _KEYS.items():
        value = entry.get(key)
        if not isinstance(value, kind) or isinstance(value, datetime.datetime) or not value:
            what = 'a date like 2027-03-31' if kind is datetime.date else 'text'
            raise exception.InvalidInput(f'{where}: {key} must be {what}')
    return Waiver(entry['driver'], entry['rule'], entry['reason'], entry['expires'], entry.get('method'))


def applying(waivers: Iterable[Waiver], driver: str, rule: str, method: str | None) -> Waiver | None:
    """The waiver that lasts longest of those that are about a problem."""
    return max((each for each in waivers if each.covers(driver, rule, method)), key=lambda each: each.expires,
               default=None)
