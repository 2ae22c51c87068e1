# SPDX-License-Identifier: Apache-2.0
"""`delfin-driver watch`: a command again whenever a file of a package changes."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

_LOOK_SECONDS = 0.5


def folder_of(driver_class: type) -> Path:
    """Where the package of a class lies."""
    return Path(str(sys.modules[driver_class.__module__].__file__)).parent


def watch(folder: Path, command: Sequence[str], keep_on: Callable[[], bool] = lambda: True,
          look_seconds: float = _LOOK_SECONDS) -> None:
    """Run `command` now and after each change of a Python file in `folder`; each time in a new process, which has read
    everything anew.
    """
    seen: dict[Path, int] | None = None
    while keep_on():
        found = _times(folder)
        if found != seen:
            seen = found
            print(f'--- {time.strftime("%H:%M:%S")}, {folder}', flush=True)
            subprocess.run(command, check=False)
        time.sleep(look_seconds)


def _times(folder: Path) -> dict[Path, int]:
    found = {}
    for file in folder.rglob('*.py'):
        with contextlib.suppress(FileNotFoundError):        # an editor puts another one in its place
            found[file] = file.stat().st_mtime_ns
    return found
