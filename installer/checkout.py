# SPDX-License-Identifier: Apache-2.0
"""The checkout: its folders, its lock, and fingerprints of what is in it."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from installer.console import Problem


class Checkout:
    """Where the product lies, and where the installer puts what it makes."""

    def __init__(self, root: Path):
        self.root = root
        self.installer = root / 'installer'
        self.constraints = self.installer / 'constraints.txt'
        self.test_requirements = self.installer / 'test-requirements.txt'
        self.test_beside = self.installer / 'test-beside.txt'
        self.venv = root / '.venv'
        self.test_venv = root / '.tox' / 'shared'  # inside .tox so that removing .tox removes everything of the tests
        self.results = root / '.tox' / 'results'
        self.state = root / '.delfin'
        self.build = root / 'build'

    @classmethod
    def here(cls) -> Checkout:
        return cls(Path(__file__).resolve().parent.parent)

    def must_be_writable(self) -> None:
        if not os.access(self.root, os.W_OK):
            raise Problem(f'{self.root} is not writable for you: run as its owner, or clone it to a place of your own')

    @contextlib.contextmanager
    def lock(self, wait: bool = False) -> Iterator[None]:
        """One installer at a time. The lock is on a file that is there anyway, so no lock file is ever left behind."""
        with self.constraints.open('r+') as file:
            os.set_inheritable(file.fileno(), True)  # for the programs that are to hold it: RunLog.run(hold_lock=True)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                raise Problem(f'another installer is at work in {self.root}: wait until it has finished') from None
            yield

    def packaging_files(self) -> list[Path]:
        return [self.root / 'setup.py', self.root / 'setup.cfg', self.constraints]

    def program_files(self) -> list[Path]:
        """Everything a running service has loaded, so that a change of any of it asks for a restart."""
        return [*self.packaging_files(), *sorted((self.root / 'delfin').rglob('*.py'))]


def fingerprint(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        content = file.read_bytes() if file.exists() else b''
        digest.update(f'{file.name}\0{len(content)}\0'.encode() + content)
    return digest.hexdigest()


def remove(path: Path) -> bool:
    """Remove a file, link or folder, whatever it is; whether there was something."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)
    else:
        return False
    return True
