# SPDX-License-Identifier: Apache-2.0
"""What a driver leaves behind in the process: threads and sockets that were not there before."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

_POLL_SECONDS = 0.01
_OURS = 'driver-'       # threads of the door


class Traces:
    """The state when this was made, to compare with."""

    def __init__(self) -> None:
        self._threads = set(threading.enumerate())
        self._sockets = _sockets()

    def left(self, patience_seconds: float) -> list[str]:
        """What is there now and was not; waits for it to go, as some things take their time."""
        deadline = time.monotonic() + patience_seconds
        while True:
            found = list(self._found())
            if not found or time.monotonic() >= deadline:
                return found
            time.sleep(_POLL_SECONDS)

    def _found(self) -> Iterator[str]:
        for thread in threading.enumerate():
            if thread not in self._threads and thread.is_alive() and not thread.name.startswith(_OURS):
                yield f'the thread {thread.name}'
        sockets = len(_sockets() - self._sockets)
        if sockets:
            yield f'{sockets} open socket{"s" if sockets > 1 else ""}'


def _sockets() -> set[str]:
    found = set()
    for descriptor in os.listdir('/proc/self/fd'):
        try:
            target = os.readlink(f'/proc/self/fd/{descriptor}')
        except OSError:     # closed meanwhile
            continue
        if target.startswith('socket:'):
            found.add(target)
    return found
