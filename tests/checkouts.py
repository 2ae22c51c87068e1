# SPDX-License-Identifier: Apache-2.0
"""Copies of this checkout, for the tests of the installer: what git knows or would add, committed anew."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GIT = ('git', '-c', 'user.name=test', '-c', 'user.email=test@localhost', '-c', 'init.defaultBranch=main')


def fresh_copy(target: Path) -> Path:
    """A clean checkout at `target`, as `git clone` would give it."""
    listing = [*GIT, '-c', f'safe.directory={ROOT}', 'ls-files', '-z', '--cached', '--others', '--exclude-standard']
    names = subprocess.run(listing, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout.decode().split('\0')
    for name in filter(None, names):
        if (ROOT / name).is_file():  # not deleted in the work tree
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    for command in (['init', '-q'], ['add', '-A'], ['commit', '-q', '-m', 'copy']):
        subprocess.run([*GIT, *command], cwd=target, check=True)
    return target


def changes(checkout: Path) -> list[str]:
    """Whatever is not as committed, ignored files too."""
    status = [*GIT, 'status', '--short', '--ignored']
    return subprocess.run(status, cwd=checkout, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()


def command(checkout: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run one of the installer's commands in a copy, without a terminal."""
    return subprocess.run(
        [checkout / 'installer' / arguments[0], *arguments[1:]],
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
    )


def environment(**variables: str) -> dict[str, str]:
    """Our variables without those that would lead an installer to another checkout's things."""
    return {name: value for name, value in os.environ.items() if name not in ('PYTHON', 'DELFIN_STATE_DIR')} | variables


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return int(probe.getsockname()[1])
