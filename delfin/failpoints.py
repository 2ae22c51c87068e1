# SPDX-License-Identifier: Apache-2.0
"""Named moments at which a test makes this process die, freeze or fail.

`DELFIN_FAILPOINTS=claim.after=kill,rows.before=kill:3` kills it when it has committed a claim, or before the third
commit of rows. Actions: `kill` (SIGKILL), `stop` (SIGSTOP, until somebody continues it), `raise`. Unset, a moment
costs one look at an empty dict.
"""

from __future__ import annotations

import itertools
import os
import signal
import threading
from collections.abc import Iterator

VARIABLE = 'DELFIN_FAILPOINTS'

_ACTIONS = ('kill', 'stop', 'raise')


class Hit(Exception):
    """What the action `raise` raises."""


def _parse(text: str) -> dict[str, tuple[str, int]]:
    armed: dict[str, tuple[str, int]] = {}
    for entry in filter(None, text.split(',')):
        name, _, what = entry.partition('=')
        action, _, count = what.partition(':')
        if action not in _ACTIONS or not (count or '1').isdigit():
            raise ValueError(f'{VARIABLE}: {entry}: expected name=action or name=action:count')
        armed[name] = action, int(count or '1')
    return armed


_armed = _parse(os.environ.get(VARIABLE, ''))
_counts: dict[str, Iterator[int]] = {name: itertools.count(1) for name in _armed}
_lock = threading.Lock()


def hit(name: str) -> None:
    """This is the moment `name`."""
    if not _armed or name not in _armed:
        return
    action, at = _armed[name]
    with _lock:
        if next(_counts[name]) != at:
            return
    if action == 'raise':
        raise Hit(name)
    os.kill(os.getpid(), signal.SIGKILL if action == 'kill' else signal.SIGSTOP)
