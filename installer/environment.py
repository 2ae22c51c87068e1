# SPDX-License-Identifier: Apache-2.0
"""Virtual environments that are either complete or made anew; with Delfin in them as an editable install."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from installer import packages
from installer.checkout import Checkout, fingerprint, remove
from installer.console import Console, Problem, RunLog, shield

NEEDED_MODULES = ('ensurepip', 'venv', 'sqlite3', 'ssl')
NEEDED_MB = 600
STAMP = 'delfin-environment.json'
# Settings of an outer Python or pip that would send packages elsewhere than into our environment.
FOREIGN_VARIABLES = ('PYTHONHOME', 'PYTHONPATH', 'PYTHONSTARTUP', 'VIRTUAL_ENV', 'PIP_TARGET', 'PIP_PREFIX', 'PIP_ROOT')

# What pip says -> what we say. The first that is found counts.
PIP_PROBLEMS = (
    (r'No space left on device|Errno 28|Disk quota', 'no space left on the disk for the Python packages: make room'),
    (
        r'Retrying \(|Failed to establish a new connection|NameResolutionError|ProxyError|ConnectionError|timed out'
        r'|No matching distribution found|SSLError|HTTP error',
        'pip could not get a package: check the network, or the index and proxy in your pip configuration',
    ),
    (r'Permission denied', 'pip was not permitted to write a file'),
)


def clean_variables() -> dict[str, str]:
    """The caller's environment variables (pip's own settings among them), but none that lead pip or Python astray."""
    env = {name: value for name, value in os.environ.items() if name not in FOREIGN_VARIABLES}
    return env | {'PIP_USER': '0', 'PIP_DISABLE_PIP_VERSION_CHECK': '1', 'PIP_NO_INPUT': '1'}


def require_python_modules(log: RunLog) -> None:
    """Debian packs `ensurepip` apart: install that package when we may, else name the command."""
    lacking = [name for name in NEEDED_MODULES if importlib.util.find_spec(name) is None]
    if not lacking:
        return
    python = f'Python {sys.version_info.major}.{sys.version_info.minor} ({sys.executable})'
    package = _venv_package()
    if package is None or set(lacking) - {'ensurepip', 'venv'}:
        raise Problem(f'{python} was built without {", ".join(lacking)}: name another one, PYTHON=/path/to/python3.12')
    if not packages.can_install():
        raise Problem(f'{python} cannot make virtual environments; as root: {packages.command_for([package])}')
    packages.install([package], log)
    importlib.invalidate_caches()


def _venv_package() -> str | None:
    """The Debian package with `ensurepip` for this Python; None when it is not Debian's Python."""
    real = Path(sys.executable).resolve()
    if not packages.is_debian() or real.parent != Path('/usr/bin'):
        return None
    return 'python3-venv' if Path('/usr/bin/python3').resolve() == real else f'{real.name}-venv'


@dataclass
class Environment:
    """One virtual environment. Its stamp, written last, says for what it was made; without it, it is made anew."""

    checkout: Checkout
    path: Path
    requirements: tuple[Path, ...] = ()
    log: RunLog = field(default_factory=lambda: RunLog(Path(os.devnull)))
    beside: Path | None = None  # other versions of packages: each line `name==version` goes into beside/name-version

    @property
    def bin(self) -> Path:
        return self.path / 'bin'

    @property
    def python(self) -> Path:
        return self.bin / 'python'

    @property
    def stamp_file(self) -> Path:
        return self.path / STAMP

    def flaw(self) -> str | None:
        """Why this environment has to be made anew; None when it is sound (though perhaps not up to date)."""
        if not os.path.lexists(self.path):
            return 'absent'
        stamp = self._stamp()
        if stamp.get('state') != 'complete':
            return 'half made'
        if stamp['checkout'] != str(self.checkout.root):
            return f'made in {stamp["checkout"]}'
        if self._version() != stamp['python']:
            return f'made with Python {stamp["python"]}, which is gone'
        if os.environ.get('PYTHON') and sys.version != stamp['python']:
            return 'made with another Python'
        return None

    def up_to_date(self) -> bool:
        return self._stamp().get('inputs') == self._inputs()

    def prepare(self, console: Console, undo: ExitStack) -> bool:
        """Make it, bring it up to date, or leave it alone; whether anything was done."""
        flaw = self.flaw()
        if flaw is None and self.up_to_date():
            return False
        start = time.monotonic()
        if flaw is None:
            console.begin('Python packages: setup.py, setup.cfg or constraints.txt changed, running pip', long=True)
            self._update()
        else:
            reason = '' if flaw == 'absent' else f' anew ({flaw})'
            console.begin(f'Python environment{reason}: installing packages, about half a minute', long=True)
            self._build(undo)
        count = len(list(self.path.glob('lib/python*/site-packages/*.dist-info')))
        name = self.path.relative_to(self.checkout.root)
        console.done(f'Python environment {name}: {count} packages ({time.monotonic() - start:.0f} s)')
        return True

    def _build(self, undo: ExitStack) -> None:
        require_python_modules(self.log)
        require_space(self.checkout.root, NEEDED_MB)
        remove(self.path)
        undo.callback(self._discard)
        self.path.mkdir(parents=True)
        if self.log.run([sys.executable, '-I', '-m', 'venv', self.path], clean_variables(), hold_lock=True) != 0:
            raise Problem(f'making the virtual environment failed; see {self.log.path}')
        self._install()
        self._write_stamp('complete')

    def _update(self) -> None:
        """Another run of pip. When pip refuses it has put back what it found; only a kill leaves things half done."""
        before = self._stamp()
        self._write_stamp('updating')
        try:
            self._install()
        except Problem:
            self._write_stamp(**before)
            raise
        self._write_stamp('complete')

    def _install(self) -> None:
        # setuptools first: with it, pip builds Delfin here instead of in an environment of its own, which takes longer
        self._pip('setuptools', *(f'--requirement={file}' for file in self.requirements))
        self._pip('--no-build-isolation', '--editable', str(self.checkout.root))
        for requirement in _lines(self.beside):
            folder = self.path / 'beside' / requirement.replace('==', '-')
            if not folder.is_dir():
                self._run_pip('--no-deps', f'--target={folder}', requirement)

    def _pip(self, *arguments: str) -> None:
        self._run_pip(f'--constraint={self.checkout.constraints}', *arguments)

    def _run_pip(self, *arguments: str) -> None:
        pip: list[str | Path] = [self.python, '-I', '-m', 'pip', 'install']
        if self.log.run([*pip, *arguments], clean_variables(), hold_lock=True) != 0:
            raise Problem(f'{explain_pip(self.log.text())}; what pip said is in {self.log.path}')

    def _discard(self) -> None:
        shield()
        remove(self.path)

    def _inputs(self) -> str:
        return fingerprint([*self.checkout.packaging_files(), *self.requirements, *filter(None, [self.beside])])

    def _stamp(self) -> dict[str, str]:
        try:
            stamp = json.loads(self.stamp_file.read_text())
        except (OSError, ValueError):
            return {}
        return stamp if isinstance(stamp, dict) else {}

    def _write_stamp(self, state: str, **facts: str) -> None:
        made = {
            'state': state,
            'checkout': str(self.checkout.root),
            'python': self._version(),
            'inputs': self._inputs(),
            'made': datetime.now(UTC).isoformat(),
        }
        self.stamp_file.write_text(json.dumps(made | facts, indent=2) + '\n')

    def _version(self) -> str:
        """The full version text of its Python; empty when that does not run or finds no pip (a newer minor version)."""
        question = 'import importlib.util as u, sys; u.find_spec("pip") and print(sys.version)'
        command: list[str | Path] = [self.python, '-I', '-c', question]
        try:
            answer = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=30)
        except (OSError, subprocess.TimeoutExpired):
            return ''
        return answer.stdout.removesuffix('\n')


def _lines(file: Path | None) -> list[str]:
    """Of a file of requirements, without comments."""
    text = file.read_text() if file is not None else ''
    return [line for line in map(str.strip, text.splitlines()) if line and not line.startswith('#')]


def require_space(place: Path, megabytes: int) -> None:
    free = shutil.disk_usage(place).free // 2**20
    if free < megabytes:
        raise Problem(f'only {free} MB free on the disk of {place}, {megabytes} MB are needed: make room')


def explain_pip(output: str) -> str:
    for pattern, meaning in PIP_PROBLEMS:
        if re.search(pattern, output):
            return meaning
    errors = [line for line in output.splitlines() if line.lstrip().lower().startswith('error')]
    return f'pip failed ({errors[-1].strip()})' if errors else 'pip failed'
