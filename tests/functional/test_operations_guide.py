# SPDX-License-Identifier: Apache-2.0
"""docs/operations.md does what it says: its console blocks and the commands of its table for the night are run, in one
shell, on a make-believe machine.

On that machine `/etc`, `/var` and `/opt/delfin` are folders of the test, and ports 8190 and 162 are others. What only
root on a real system can do has stand-ins: `systemctl` starts and stops what the real units say, `node2` is a folder,
and `useradd`, `chown`, `sudo` and `journalctl` do next to nothing. Blocks that need a server (`console postgresql` and
the like) are run by tests/integration/test_backup.py. How blocks are written: see test_rest_guide.py.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.checkouts import ROOT, free_port
from tests.engines.snmp import free_udp_ports
from tests.functional.test_rest_contract import expect
from tests.functional.test_rest_guide import Step, claimed, pattern, steps

GUIDE = ROOT / 'docs' / 'operations.md'
STEPS = steps(GUIDE)
SECONDS = 240

_MISSING = [name for name in ('bash', 'curl', 'sqlite3', 'setsid') if not shutil.which(name)]

pytestmark = [pytest.mark.timeout(SECONDS + 30), pytest.mark.skipif(bool(_MISSING), reason=f'missing: {_MISSING}')]

_SYSTEMCTL = '''
import os, re, shlex, signal, subprocess, sys, time
from pathlib import Path
root = Path(sys.argv[1])
arguments = [word for word in sys.argv[2:] if not word.startswith('-')]
verb, units = arguments[0], arguments[1:]
for unit in units:
    text = (root / f'etc/systemd/system/{unit}.service').read_text()
    pid = root / f'run/{unit}.pid'
    if verb == 'stop':
        number = int(pid.read_text())
        os.kill(number, signal.SIGTERM)
        while Path(f'/proc/{number}').exists():
            time.sleep(0.05)
        pid.unlink()
    else:
        command = re.search('^ExecStart=(.*)$', text, re.M)[1]
        command = [re.sub('^(/etc|/opt)', f'{root}\\\\1', word) for word in shlex.split(command)]
        with (root / f'run/{unit}.log').open('ab') as log:
            # A grandchild, which its real parent does not have to bury.
            out = subprocess.run(['setsid', 'sh', '-c', '"$@" >&2 & echo $!', 'sh', *command], stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=log, check=True, cwd=root / 'var/lib/delfin')
        pid.write_bytes(out.stdout)
'''


class Machine:
    """A machine whose root is a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.port = free_port()
        self.trap_port = free_udp_ports()[0]
        self.programs = root / 'stand-ins'
        for name in ('etc/systemd/system', 'run', 'node2', 'opt/delfin/bin', 'stand-ins', 'work'):
            (root / name).mkdir(parents=True)
        (root / 'work' / 'etc').symlink_to(ROOT / 'etc')
        for name in ('useradd', 'chown', 'chgrp', 'journalctl'):
            self._program(self.programs / name, ':')
        self._program(self.programs / 'sudo', 'shift 2; exec "$@"')
        self._program(self.programs / 'scp', f'exec cp "$1" "$2" "{root}/node2/${{3##*/}}"')
        self._program(self.programs / 'ssh', f'cd "{root}/node2" && eval "$(echo "$2" | sed "s#[^ ]*/etc/delfin/##g")"')
        (root / 'systemctl.py').write_text(_SYSTEMCTL)
        self._program(self.programs / 'systemctl', f'exec "{sys.executable}" "{root}/systemctl.py" "{root}" "$@"')
        for name in ('manage', 'all', 'api', 'task', 'alert'):
            config = f'--config-file "{root}/etc/delfin/delfin.conf" ' if name == 'manage' else ''
            # As console scripts do, not from the working directory: services have folders of drivers there.
            self._program(root / 'opt/delfin/bin' / f'delfin-{name}',
                          f'exec "{sys.executable}" -P -m delfin.cmd.{name} {config}"$@"')

    def _program(self, path: Path, body: str) -> None:
        path.write_text(f'#!/bin/sh\n{body}\n')
        path.chmod(0o755)

    def here(self, text: str) -> str:
        """A text of the guide with this machine's places."""
        text = re.sub(r'(?<![\w./])/(etc|var|opt/delfin)(?=/)', rf'{self.root}/\1', text)
        text = re.sub(r':162\b', f':{self.trap_port}', text).replace('8190', str(self.port))
        return text.replace(' -o delfin -g delfin', '')

    def run(self, steps: list[Step]) -> dict[int, tuple[int, str]]:
        """Exit code and output of every step, by its line."""
        script = self.root / 'guide.sh'
        script.write_text(''.join(
            f'{{\n{self.here(step.command)}\n}} > {self.root}/{step.line}.out 2>&1\n'
            f'echo $? > {self.root}/{step.line}.code\n'
            for step in steps), 'utf-8')
        path = os.pathsep.join(map(str, (self.programs, self.root / 'opt/delfin/bin', Path(sys.executable).parent,
                                         os.environ['PATH'])))
        subprocess.run(['bash', '-o', 'pipefail', str(script)], cwd=self.root / 'work', check=True, timeout=SECONDS,
                       stdin=subprocess.DEVNULL, env={'PATH': path, 'no_proxy': '*', 'LC_ALL': 'C.UTF-8'})
        return {step.line: (int((self.root / f'{step.line}.code').read_text()),
                            (self.root / f'{step.line}.out').read_text()) for step in steps}

    def close(self) -> None:
        """End what was started."""
        for file in self.root.glob('run/*.pid'):
            with contextlib.suppress(ProcessLookupError, ValueError):
                os.kill(int(file.read_text()), signal.SIGKILL)


def night_steps() -> list[Step]:
    """The commands in the second column of the table for the night."""
    lines = GUIDE.read_text('utf-8').splitlines()
    start = lines.index('## At three in the morning')
    return [Step(number, found[1], '') for number, line in enumerate(lines, 1) if number > start
            if (found := re.match(r'^\|[^|]*\| `([^`]*)` \|', line))]


NIGHT = night_steps()


@pytest.fixture(scope='module')
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with contextlib.closing(Machine(tmp_path_factory.mktemp('machine'))) as machine:
        yield machine


@pytest.fixture(scope='module')
def outputs(machine: Machine) -> dict[int, tuple[int, str]]:
    return machine.run([*STEPS, *NIGHT])


@pytest.mark.parametrize('step', STEPS, ids=lambda step: f'line-{step.line}')
def test_the_guide_shows_what_happens(outputs: dict[int, tuple[int, str]], machine: Machine, step: Step) -> None:
    code, output = outputs[step.line]
    assert code == 0, output
    text = machine.here(step.answer)
    if text.startswith(('{"', '[')):
        expected, text = claimed(text)
        found, end = json.JSONDecoder().raw_decode(output)
        expect(expected, found)
        output = output[end:].lstrip('\n')
    if step.answer:
        assert pattern(text.strip('\n')).fullmatch(output.rstrip('\n')), output


@pytest.mark.parametrize('step', NIGHT, ids=lambda step: f'line-{step.line}')
def test_the_commands_for_the_night_can_be_run(outputs: dict[int, tuple[int, str]], step: Step) -> None:
    code, output = outputs[step.line]
    assert code == 0, output


def test_the_guide_has_something_to_run() -> None:
    assert len(STEPS) > 50 and len(NIGHT) > 7


def test_the_key_that_was_copied_to_another_node_is_the_one_in_use(outputs: dict[int, tuple[int, str]],
                                                                  machine: Machine) -> None:
    def first_key(path: Path) -> str:
        return next(line for line in path.read_text().splitlines() if not line.startswith('#')).split()[0]
    assert first_key(machine.root / 'node2' / 'keys') == first_key(machine.root / 'etc/delfin/keys')
    assert stat.S_IMODE((machine.root / 'node2' / 'keys').stat().st_mode) == 0o600


def test_every_unit_of_the_guide_is_there() -> None:
    shipped = {path.stem for path in (ROOT / 'etc' / 'systemd').glob('*.service')}
    assert shipped == set(re.findall(r'^\| `(delfin-[a-z]+)` \|', GUIDE.read_text('utf-8'), re.M))


def test_every_log_line_of_the_guide_is_one_that_delfin_writes() -> None:
    """A message that is put together from several literals is one text."""
    source = '\n'.join(re.sub(r"'\s*\n\s*f?'", '', path.read_text('utf-8')) for path in (ROOT / 'delfin').rglob('*.py'))
    text = GUIDE.read_text('utf-8').partition('| Line | Means |')[2].partition('\n\n')[0]
    lines = re.findall(r'^\| `([^`]+)`', text, re.M)
    missing = [line for line in lines if not re.search('.*'.join(map(re.escape, line.split('…'))), source)]
    assert len(lines) > 5 and missing == []
