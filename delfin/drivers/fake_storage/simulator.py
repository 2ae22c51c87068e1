# SPDX-License-Identifier: Apache-2.0
"""The make-believe array as a device of `delfin-compliance`: knows the truth about itself, and fails when told to."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar

from delfin.access import Access
from delfin.drivers.compliance.device import Device
from delfin.drivers.fake_storage import alerts
from delfin.drivers.fake_storage.model import FakeArray, Identity
from delfin.drivers.fake_storage.options import Settings
from delfin.drivers.fake_storage.recipes import RECIPES, SIZE_OF_KIND

_PASSWORD = 'fake-pass-word'
_HOST = 'fake-1.example.org'
_OTHER_HOST = 'fake-2.example.org'


class FakeSimulator(Device):
    """One make-believe array with a password, and another one beside it."""

    mode: ClassVar[str] = 'simulator'
    may_change = True
    driver: ClassVar[str] = 'fake_storage fake_driver'

    def __init__(self, **options: str) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix='delfin-simulator-')
        self._control = Path(self._directory.name, 'control.json')
        self._options = options
        super().__init__(self._access_to(_HOST))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._directory.cleanup()

    def _access_to(self, host: str) -> Access:
        vendor, _, model = self.driver.partition(' ')
        return {'vendor': vendor, 'model': model,
                'rest': {'host': host, 'port': 8443, 'username': 'admin', 'password': _PASSWORD},
                'extra_attributes': {**self._options, 'login_password': _PASSWORD,
                                     'control_file': str(self._control)}}

    def another(self) -> Access | None:
        """See `Device`."""
        return self._access_to(_OTHER_HOST)

    def array(self) -> FakeArray:
        """The array behind the access information."""
        settings = Settings.parse(self.access()['extra_attributes'])
        return FakeArray(settings, Identity.of(settings, self.access()), RECIPES)

    def truth(self) -> Mapping[str, list[dict[str, Any]]] | None:
        """See `Device`."""
        array = self.array()
        told: dict[str, list[dict[str, Any]]] = {'storage': [array.storage()]}
        for kind, size in SIZE_OF_KIND.items():
            told[kind] = list(array.rows(size))
            if RECIPES[size].members is not None:
                relation, pairs = array.relations(size)
                told[relation.table.name] = list(pairs)
        return told

    def failing(self) -> contextlib.AbstractContextManager[None] | None:
        """See `Device`."""
        return self._refusing()

    @contextlib.contextmanager
    def _refusing(self) -> Iterator[None]:
        self._control.write_text(json.dumps({'misbehave': '*:raise_typed'}))
        try:
            yield
        finally:
            self._control.unlink()

    def trap_of(self, alert: Mapping[str, Any], category: str) -> Mapping[str, str] | None:
        """See `Device`."""
        return alerts.trap_of(alert, category)
