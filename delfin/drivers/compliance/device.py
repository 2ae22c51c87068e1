# SPDX-License-Identifier: Apache-2.0
"""What dynamic rules are tried on: a real array, a simulator that knows the truth, or recorded replies."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

from delfin import exception
from delfin.access import Access
from delfin.common.constants import ACCESS_TYPE

# Group of entry points, "<vendor> <model> = module:Class": devices that need no access information from anybody.
SIMULATORS = 'delfin.compliance.simulators'


class Device:
    """Something to connect to. A real array offers only `access`; simulators derive and tell or do more.

    Methods that answer None (or False) say "not offered here", and rules that need them are skipped. Used as a context
    manager around a run.
    """

    mode: ClassVar[str] = 'device'
    # Whether rules may clear alerts and set up trap receivers on it.
    may_change: bool = False

    def __init__(self, access: Access) -> None:
        self._access = access

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        return None

    def access(self) -> Access:
        """Open access information, as in the body of a registration."""
        return self._access

    def another(self) -> Access | None:
        """Access information of another array of the same make."""
        return None

    def truth(self) -> Mapping[str, list[dict[str, Any]]] | None:
        """What is in it, right in every unit: rows by table (`volumes`, `vol_grp_vol_rels` …), `storage` is one row."""
        return None

    def sessions(self) -> int | None:
        """How many are logged in now, at this array and the other one."""
        return None

    def expire_sessions(self) -> bool:
        """Log everybody out. False if that cannot be done."""
        return False

    def failing(self) -> contextlib.AbstractContextManager[None] | None:
        """While it is open the array lets people log in and refuses everything else with errors."""
        return None

    def trap_of(self, alert: Mapping[str, Any], category: str) -> Mapping[str, str] | None:
        """The trap (see `parse_alert`) that announces a row of `list_alerts`, or its end with category `Recovery`."""
        return None


def from_file(path: str, name: str) -> Device:
    """A real device. The file is the JSON body of a registration; `-` reads it from standard input."""
    return Device(read_access(sys.stdin.read() if path == '-' else _text(Path(path)), path, name))


def read_access(text: str, where: str, name: str) -> Access:
    """Access information from JSON; `vendor` and `model` may be left out."""
    try:
        access = json.loads(text)
    except ValueError as error:
        raise exception.InvalidInput(f'{where} is not JSON: {error}') from None
    if not isinstance(access, dict) or not any(access.get(section) for section in ACCESS_TYPE):
        raise exception.InvalidInput(f'{where} must be the JSON body of a registration: an object with one of the '
                                     f'sections {", ".join(ACCESS_TYPE)}')
    vendor, _, model = name.partition(' ')
    return {**access, 'vendor': vendor, 'model': model}


def simulator(name: str) -> Device:
    """The simulator that an entry point of `SIMULATORS` names, or `module:Class`. `InvalidInput` if there is none."""
    declared = {each.name: each for each in metadata.entry_points(group=SIMULATORS)}
    found = declared.get(name)
    if found is None and ':' in name:
        found = metadata.EntryPoint(name, name, SIMULATORS)
    if found is None:
        known = ', '.join(sorted(declared)) or 'none'
        raise exception.InvalidInput(f'There is no simulator {name!r}. There are: {known}; or give module:Class.')
    try:
        made = found.load()()
    except (ImportError, AttributeError, TypeError) as error:
        raise exception.InvalidInput(f'The simulator {name!r} cannot be used: {error}') from None
    if not isinstance(made, Device):
        raise exception.InvalidInput(f'The simulator {name!r} is no delfin.drivers.compliance.device.Device.')
    return made


def simulators() -> list[str]:
    """Names of the drivers that come with a simulator (or something else that is always there)."""
    return sorted({each.name for each in metadata.entry_points(group=SIMULATORS)})


def _text(path: Path) -> str:
    try:
        return path.read_text('utf-8')
    except (OSError, UnicodeDecodeError) as error:
        raise exception.InvalidInput(f'{path} cannot be read: {error}') from None
