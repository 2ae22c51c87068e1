# SPDX-License-Identifier: Apache-2.0
"""A make-believe array that notes who holds a session to it, and when.

It is copied beside an entry point of its own (see `tests.faults.cluster`), and every process that uses it appends to
the file that DELFIN_WITNESS names: one line for each session that begins or ends.
"""

from __future__ import annotations

import os
import time
from typing import Any

from delfin.drivers.fake_storage import FakeStorageDriver


class WitnessDriver(FakeStorageDriver):
    """The fake driver with a journal. A session begins with the instance and ends with `delete_storage`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._note('begins')

    def delete_storage(self, context: Any) -> None:
        """Log out."""
        super().delete_storage(context)
        self._note('ends')

    def _note(self, what: str) -> None:
        line = f'{time.monotonic():.3f} {os.getpid()} {id(self)} {self.array().serial_number} {what}\n'
        journal = os.open(os.environ['DELFIN_WITNESS'], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(journal, line.encode())        # one write: lines of several processes never mix
        finally:
            os.close(journal)
