# SPDX-License-Identifier: Apache-2.0
"""What the tools work on: a driver, by its name or by its class, and access information from a file."""

from __future__ import annotations

import getpass
import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from delfin import exception
from delfin.access import Access
from delfin.api.schemas.storages import normal_form, registration
from delfin.common.constants import ACCESS_TYPE
from delfin.drivers.manager import DriverManager

_NEED_PASSWORD = ('rest', 'smis')
_UNNAMED = 'vendor', 'model'       # of a class that no entry point names


class Drivers(DriverManager):
    """The declared drivers, of which one may be a class that is not declared (yet)."""

    def __init__(self, name: str) -> None:
        """`name` is "vendor model", or "module:Class", which is looked for in the working directory, too."""
        super().__init__()
        self.only: type | None = None
        if ':' in name:
            self.only = _class_at(name)
            self.vendor, self.model = _UNNAMED
        else:
            self.vendor, _, self.model = name.partition(' ')

    def get_class(self, vendor: str, model: str) -> type:
        """As of the base; the class that was named by its place has any name."""
        return self.only or super().get_class(vendor, model)

    def chosen(self) -> type:
        """The class of the driver that was named; `StorageDriverNotFound` if it cannot be used."""
        try:
            return self.get_class(self.vendor, self.model)
        except exception.StorageDriverNotFound as error:
            names = [name for name in self.names() if name.lower() == f'{self.vendor} {self.model}'.lower()]
            hint = f'Did you mean "{names[0]}"?' if names else (
                'Is its package installed in this Python? Installed are: ' + ', '.join(self.names()) + '.')
            raise exception.StorageDriverNotFound(message=f'{error.msg} {hint}') from None


def _class_at(target: str) -> type:
    module, _, name = target.partition(':')
    if '' not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(importlib.import_module(module), name)
    except Exception as error:      # third-party code
        raise exception.StorageDriverNotFound(message=(
            f'{target} cannot be loaded: {type(error).__name__}: {error}')) from None
    if not isinstance(found, type):
        raise exception.StorageDriverNotFound(message=f'{target} is no class.')
    return found


def read_access(path: str, vendor: str, model: str, ask: Callable[[str], str] = getpass.getpass) -> Access:
    """Open access information from a file with the body of a registration (`-`: standard input).

    `vendor` and `model` are the driver's, whatever the file says. A password that is not there is asked for, so that it
    need not lie in a file. `InvalidInput` names what is wrong.
    """
    try:
        body: Any = json.loads(sys.stdin.read() if path == '-' else Path(path).read_text('utf-8'))
    except OSError as error:
        raise exception.InvalidInput(f'{path}: {error.strerror}') from None
    except ValueError as error:
        raise exception.InvalidInput(f'{path} is not JSON: {error}') from None
    body = normal_form(body)
    if not isinstance(body, dict):
        raise exception.InvalidInput(f'{path} must hold the body of a registration: {{"rest": {{"host": …}}}}')
    for section in ACCESS_TYPE:
        given = body.get(section)
        if section in _NEED_PASSWORD and isinstance(given, dict) and not given.get('password'):
            given['password'] = ask(f'Password of {given.get("username")} at {given.get("host")}: ')
    return registration({**body, 'vendor': vendor, 'model': model})
