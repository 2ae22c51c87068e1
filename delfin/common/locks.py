# SPDX-License-Identifier: Apache-2.0
"""Files that one process at a time may use."""

from __future__ import annotations

import fcntl
import os

from delfin import exception


def exclusive(path: str, what: str) -> int:
    """An open file `path`.lock that no other process has; `InvalidConfiguration` if one has it.

    Not the file itself: closing it would take away the locks of SQLite.
    """
    file = os.open(f'{path}.lock', os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        raise exception.InvalidConfiguration(
            f'{what} {path} is in use by another process; give each its own state_path') from None
    return file
