# SPDX-License-Identifier: Apache-2.0
"""Debian packages: which are missing, and installing them without starting a service."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from installer.console import Problem, RunLog

POLICY = Path('/usr/sbin/policy-rc.d')
SAVED_POLICY = Path('/usr/sbin/policy-rc.d.saved-by-delfin')
NO_SERVICES = """\
#!/bin/sh
# Delfin's installer/test is installing packages whose services must not start. It puts back what was here before.
exit 101
"""
APT_GET = ('apt-get', '-q', '-o', 'DPkg::Lock::Timeout=120')


def can_install() -> bool:
    """Root on Debian, Ubuntu or one of their kin."""
    return os.geteuid() == 0 and is_debian()


def is_debian() -> bool:
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return False
    return 'debian' in f'{release.get("ID")} {release.get("ID_LIKE")}' and shutil.which('apt-get') is not None


def listed(file: Path) -> list[str]:
    """The packages of a list with a comment behind each."""
    names = (line.partition('#')[0].strip() for line in file.read_text().splitlines())
    return [name for name in names if name]


def missing(names: Iterable[str]) -> list[str]:
    wanted = list(names)
    if shutil.which('dpkg-query') is None:
        return wanted
    query = ['dpkg-query', '--show', '--showformat=${Package} ${db:Status-Status}\\n', *wanted]
    answer = subprocess.run(query, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    there = {line.split()[0] for line in answer.splitlines() if line.endswith(' installed')}
    return [name for name in wanted if name not in there]


def command_for(names: Iterable[str]) -> str:
    return f'apt-get install -y {" ".join(names)}'


def install(names: list[str], log: RunLog) -> None:
    """Install packages, asking nothing and starting nothing."""
    env = os.environ | {'DEBIAN_FRONTEND': 'noninteractive'}
    with services_not_started():
        log.run([*APT_GET, 'update'], env)  # its failure shows in the next command, unless the lists were good enough
        if log.run([*APT_GET, 'install', '-y', '--no-install-recommends', *names], env) != 0:
            raise Problem(f'"{command_for(names)}" failed; what apt-get said is in {log.path}')


@contextlib.contextmanager
def services_not_started(policy: Path = POLICY, saved: Path = SAVED_POLICY) -> Iterator[None]:
    """Debian's own way to install a server without starting it, for the time being.

    Putting the previous file back is left to a little process that waits for our end of a pipe to close: that
    happens when we are done, and just so when we fail or are killed.
    """
    _put_back(policy, saved)  # from a run during which the machine went down
    if policy.exists():
        policy.rename(saved)
    guard = subprocess.Popen(
        ['/bin/sh', '-c', 'cat >/dev/null; rm -f "$1"; if [ -e "$2" ]; then mv "$2" "$1"; fi', 'guard', policy, saved],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        policy.write_text(NO_SERVICES)
        policy.chmod(0o755)
        yield
    finally:
        guard.communicate()


def _put_back(policy: Path, saved: Path) -> None:
    if saved.exists():
        saved.rename(policy)
    elif policy.exists() and policy.read_text(errors='replace') == NO_SERVICES:
        policy.unlink()
