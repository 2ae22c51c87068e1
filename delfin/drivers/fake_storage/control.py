# SPDX-License-Identifier: Apache-2.0
"""The control file: changes the array's behaviour while a service runs, from outside of its process."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from delfin import exception
from delfin.drivers.fake_storage.options import Settings

LOG = logging.getLogger(__name__)

# Where the file is and who may log in decide over the driver's life; the file itself must not move.
_NOT_HERE = ('control_file',)


class ControlFile:
    """A JSON object at `settings['control_file']` whose keys override `settings`; without a path, nothing does.

    A missing, unreadable or invalid file changes nothing and is logged once, until it gets well or fails otherwise.
    Write it elsewhere and rename it over the old one, or a call may find it half written (and ignore it).
    """

    def __init__(self, settings: Settings) -> None:
        self._base = settings
        self._path = Path(settings['control_file']) if settings['control_file'] else None
        # Replaced as a whole, so that calls in several threads need no lock.
        self._last: tuple[bytes | None, Settings] = (None, settings)
        self._problem = ''

    def settings(self) -> Settings:
        """What holds now."""
        if self._path is None:
            return self._base
        try:
            content = self._path.read_bytes()
            if content != self._last[0]:
                self._last = (content, self._parse(content))
        except (OSError, ValueError, RecursionError, exception.InvalidInput) as error:
            self._ignore(str(error))
            return self._base
        self._problem = ''
        return self._last[1]

    def _parse(self, content: bytes) -> Settings:
        given = json.loads(content)
        if not isinstance(given, dict):
            raise ValueError('it is not a JSON object')
        for name in _NOT_HERE:
            if name in given:
                raise ValueError(f'{name} cannot be set in it')
        return self._base.overridden(given)

    def _ignore(self, problem: str) -> None:
        if problem != self._problem:
            LOG.warning('the control file %s of a fake array is ignored: %s', self._path, problem)
            self._problem = problem
