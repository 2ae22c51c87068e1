# SPDX-License-Identifier: Apache-2.0
"""The installer's commands where something is wrong or was begun before; the whole cycle is in tests/integration."""

from __future__ import annotations

import fcntl
import importlib.util
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from installer import console, demo, environment, packages, state
from installer import test as test_command
from installer.checkout import Checkout
from installer.client import ApiError, Client
from installer.console import Console, Problem, RunLog
from installer.environment import Environment, explain_pip
from installer.processes import Process, listener, port_is_free
from installer.service import Service
from installer.state import State
from tests.checkouts import ROOT, changes, command, free_port, fresh_copy
from tests.checkouts import environment as variables


@pytest.fixture(scope='module')
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean checkout, with a blank in its path. Every test leaves it clean."""
    return fresh_copy(tmp_path_factory.mktemp('copy') / 'a checkout')


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """The few files of a checkout that environments and states look at."""
    (tmp_path / 'installer').mkdir()
    (tmp_path / 'delfin').mkdir()
    for name in ('setup.py', 'setup.cfg', 'installer/constraints.txt'):
        (tmp_path / name).touch()
    return Checkout(tmp_path)


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(['sleep', '60']) as process:
        yield process
        process.kill()


class TestFront:
    """The shell part: which Python?"""

    @pytest.fixture
    def old_pythons(self, tmp_path: Path) -> Path:
        for name in ('python3', 'python3.11', 'python3.12', 'python3.13'):
            fake = tmp_path / name
            fake.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2 && exit\nexit 1\n')
            fake.chmod(0o755)
        return tmp_path

    def test_old_python_is_one_clear_line(self, copy: Path, old_pythons: Path) -> None:
        answer = command(copy, 'install', PATH=f'{old_pythons}:{os.environ["PATH"]}')
        assert answer.returncode == 1
        assert answer.stderr.count('\n') == 1
        assert 'needs Python 3.11 or newer (python3 is: Python 3.9.2)' in answer.stderr
        assert 'apt-get install -y python3 python3-venv' in answer.stderr
        assert changes(copy) == []

    def test_python_variable_counts(self, copy: Path, old_pythons: Path) -> None:
        path = f'{old_pythons}:{os.environ["PATH"]}'
        assert command(copy, 'install', '--help', PATH=path, PYTHON=sys.executable).returncode == 0
        answer = command(copy, 'install', PYTHON=str(old_pythons / 'python3.12'))
        assert answer.returncode == 1
        assert f'({old_pythons}/python3.12 is: Python 3.9.2)' in answer.stderr

    def test_no_python_at_all(self, copy: Path, tmp_path: Path) -> None:
        for tool in ('sh', 'dirname', 'readlink'):
            (tmp_path / tool).symlink_to(str(shutil.which(tool)))
        answer = command(copy, 'test', PATH=str(tmp_path))
        assert answer.returncode == 1
        assert '(python3 is: none that runs)' in answer.stderr

    @pytest.mark.parametrize('name', ['install', 'uninstall', 'test'])
    def test_help_and_unknown_option(self, copy: Path, name: str) -> None:
        assert f'usage: installer/{name}' in command(copy, name, '--help').stdout
        assert command(copy, name, '--frobnicate').returncode == 2
        assert changes(copy) == []

    def test_shell_is_clean(self) -> None:
        if shutil.which('shellcheck') is None:
            if os.environ.get('DELFIN_REQUIRE_ENGINES') == '1':
                pytest.fail('shellcheck is not installed')
            pytest.skip('shellcheck is not installed')
        names = ('install', 'uninstall', 'test', 'python.sh', 'check-fresh-machine')
        scripts = [*(ROOT / 'installer' / name for name in names), ROOT / '.ci' / 'run']
        answer = subprocess.run(['shellcheck', *scripts], capture_output=True, text=True)
        assert answer.stdout == ''


class TestPython:
    """Debian's Python comes without `ensurepip`."""

    @pytest.fixture(autouse=True)
    def debian_without_ensurepip(self, monkeypatch: pytest.MonkeyPatch) -> None:
        find = importlib.util.find_spec
        monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None if name == 'ensurepip' else find(name))
        monkeypatch.setattr(packages, 'is_debian', lambda: True)
        monkeypatch.setattr(sys, 'executable', '/usr/bin/python3')

    def test_without_root_the_command_is_named(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(os, 'geteuid', lambda: 1000)
        with pytest.raises(Problem, match='as root: apt-get install -y python3-venv$'):
            environment.require_python_modules(RunLog(tmp_path / 'log'))

    def test_root_installs_it(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        asked: list[list[str]] = []
        monkeypatch.setattr(os, 'geteuid', lambda: 0)
        monkeypatch.setattr(packages, 'install', lambda names, log: asked.append(names))
        environment.require_python_modules(RunLog(tmp_path / 'log'))
        assert asked == [['python3-venv']]

    def test_a_python_that_is_not_debians(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(sys, 'executable', '/opt/python/bin/python3.12')
        with pytest.raises(Problem, match='was built without ensurepip: name another one, PYTHON='):
            environment.require_python_modules(RunLog(tmp_path / 'log'))


class TestInstallFails:
    """Each failure is one line, and nothing is left behind."""

    def test_busy_port(self, copy: Path) -> None:
        with socket.create_server(('127.0.0.1', 0)) as server:
            port = server.getsockname()[1]
            answer = command(copy, 'install', '--port', str(port))
        assert answer.returncode == 1
        assert f'port {port} on 127.0.0.1 is taken by ' in answer.stderr
        assert f'(pid {os.getpid()})' in answer.stderr
        assert '--port N' in answer.stderr
        assert changes(copy) == []

    def test_no_network(self, copy: Path) -> None:
        off = {'PIP_CONFIG_FILE': os.devnull, 'PIP_INDEX_URL': 'http://127.0.0.1:9/simple', 'PIP_FIND_LINKS': ''}
        answer = command(copy, 'install', '--port', str(free_port()), PIP_NO_CACHE_DIR='1', PIP_RETRIES='1', **off)
        log = copy / 'build' / 'install.log'
        assert answer.returncode == 1
        assert answer.stderr == (
            'installer/install: pip could not get a package: check the network, or the index and proxy in your pip '
            f'configuration; what pip said is in {log}\n'
        )
        assert 'setuptools' in log.read_text()
        assert changes(copy) == ['!! build/']
        assert command(copy, 'uninstall').returncode == 0
        assert changes(copy) == []

    @pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
    def test_stopped_in_the_middle(self, copy: Path, number: signal.Signals) -> None:
        with subprocess.Popen(
            [copy / 'installer' / 'install', '--port', str(free_port())],
            env=variables(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            # A shell that puts the tests into the background makes everything below it ignore Ctrl-C.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        ) as process:
            _wait_for(lambda: (copy / '.venv' / 'bin').exists())
            process.send_signal(number)
            _, errors = process.communicate()
        assert process.returncode == 130
        assert errors == 'installer/install: stopped before it was done; it can simply be run again\n'
        assert changes(copy) == []

    def test_killed_while_a_program_works_on(self, copy: Path, tmp_path: Path) -> None:
        """Nobody may build on what an orphaned pip still writes to."""
        begun, enough = tmp_path / 'begun', tmp_path / 'enough'
        program = f"touch '{begun}'; until [ -e '{enough}' ]; do sleep 0.1; done"
        script = (
            'from pathlib import Path\n'
            'from installer.checkout import Checkout\n'
            'from installer.console import RunLog\n'
            f'with Checkout.here().lock(): RunLog(Path("/dev/null")).run(["sh", "-c", {program!r}], hold_lock=True)'
        )
        with subprocess.Popen([sys.executable, '-B', '-c', script], cwd=copy) as process:
            _wait_for(begun.exists)
            process.kill()
        try:
            assert 'another installer is at work' in command(copy, 'uninstall').stderr
        finally:
            enough.touch()
        _wait_for(lambda: command(copy, 'uninstall').returncode == 0)

    def test_two_at_once(self, copy: Path) -> None:
        with (copy / 'installer' / 'constraints.txt').open() as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            for name in ('install', 'uninstall'):
                answer = command(copy, name)
                assert answer.returncode == 1
                assert 'another installer is at work' in answer.stderr

    def test_a_state_directory_with_something_else_in_it(self, copy: Path, tmp_path: Path) -> None:
        (tmp_path / 'thesis.tex').touch()
        answer = command(copy, 'install', '--state-dir', str(tmp_path))
        assert answer.returncode == 1
        assert 'neither empty nor a state directory of Delfin' in answer.stderr
        assert [path.name for path in tmp_path.iterdir()] == ['thesis.tex']
        assert changes(copy) == []

    def test_checkout_not_writable(self, checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, 'access', lambda *_: False)
        with pytest.raises(Problem, match='is not writable for you'):
            checkout.must_be_writable()

    def test_no_space(self, checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(shutil, 'disk_usage', lambda _: SimpleNamespace(free=100 * 2**20))
        with pytest.raises(Problem, match='only 100 MB free .* 600 MB are needed'), ExitStack() as undo:
            Environment(checkout, checkout.venv).prepare(Console(io.StringIO()), undo)
        assert not checkout.venv.exists()

    @pytest.mark.parametrize(
        ('error', 'text'),
        [
            (OSError(28, 'No space left on device', '/x'), 'no space left on the disk (/x)'),
            (PermissionError(13, 'Permission denied', '/y'), 'no permission for /y'),
        ],
    )
    def test_errors_of_the_system(self, error: OSError, text: str, capsys: pytest.CaptureFixture[str]) -> None:
        def fail(arguments: list[str]) -> int:
            raise error

        handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
        try:
            assert console.guarded('installer/install', fail, []) == 1
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        assert text in capsys.readouterr().err

    @pytest.mark.parametrize(
        ('output', 'text'),
        [
            ("OSError: [Errno 28] No space left on device: '/x'", 'no space left'),
            ('WARNING: Retrying (Retry(total=4)) after connection broken', 'check the network'),
            ('ERROR: No matching distribution found for alembic', 'check the network'),
            ("PermissionError: [Errno 13] Permission denied: '/x'", 'not permitted'),
            ('noise\nerror: invalid command in setup.py\nnoise', r'pip failed \(error: invalid command in setup.py\)'),
            ('', '^pip failed$'),
        ],
    )
    def test_what_pip_says(self, output: str, text: str) -> None:
        assert re.search(text, explain_pip(output))


class TestEnvironment:
    """Only a complete environment of this very place counts."""

    @pytest.fixture
    def venv(self, checkout: Checkout) -> Environment:
        """A complete one, as far as can be told from outside."""
        made = Environment(checkout, checkout.venv)
        subprocess.run([sys.executable, '-m', 'venv', '--symlinks', '--without-pip', made.path], check=True)
        site = next(made.path.glob('lib/python*/site-packages'))
        (site / 'pip.py').touch()
        made._write_stamp('complete')
        return made

    def test_sound(self, venv: Environment) -> None:
        assert venv.flaw() is None
        assert venv.up_to_date()
        with ExitStack() as undo:
            assert venv.prepare(Console(io.StringIO()), undo) is False

    def test_absent_and_half_made(self, checkout: Checkout) -> None:
        made = Environment(checkout, checkout.venv)
        assert made.flaw() == 'absent'
        made.path.mkdir()
        assert made.flaw() == 'half made'
        (made.path / environment.STAMP).write_text('{"state": "upd')
        assert made.flaw() == 'half made'

    def test_killed_during_an_update(self, venv: Environment) -> None:
        venv._write_stamp('updating')
        assert venv.flaw() == 'half made'

    def test_moved(self, venv: Environment, tmp_path: Path) -> None:
        moved = tmp_path / 'moved'
        moved.mkdir()
        venv.path.rename(moved / '.venv')
        assert Environment(Checkout(moved), moved / '.venv').flaw() == f'made in {tmp_path}'

    def test_its_python_is_gone(self, venv: Environment) -> None:
        venv.python.unlink()
        assert 'which is gone' in str(venv.flaw())

    def test_another_python_is_asked_for(self, venv: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv('PYTHON', 'python3.99')
        monkeypatch.setattr(sys, 'version', '3.99')
        assert venv.flaw() == 'made with another Python'

    @pytest.mark.parametrize('name', ['setup.py', 'setup.cfg', 'installer/constraints.txt'])
    def test_packaging_changed(self, venv: Environment, checkout: Checkout, name: str) -> None:
        (checkout.root / name).write_text('# changed')
        assert venv.flaw() is None
        assert not venv.up_to_date()

    def test_a_refused_update_leaves_it_as_it_was(self, venv: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*arguments: str) -> None:
            raise Problem('pip failed')

        before = (venv.path / environment.STAMP).read_text()
        (venv.checkout.root / 'setup.py').write_text('syntax error')
        monkeypatch.setattr(venv, '_pip', refuse)
        with pytest.raises(Problem), ExitStack() as undo:
            venv.prepare(Console(io.StringIO()), undo)
        assert (venv.path / environment.STAMP).read_text() == before
        assert not venv.up_to_date()

    def test_variables_that_lead_astray(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv('PYTHONPATH', '/elsewhere')
        monkeypatch.setenv('PIP_TARGET', '/elsewhere')
        monkeypatch.setenv('PIP_USER', '1')
        monkeypatch.setenv('PIP_INDEX_URL', 'https://index.example/simple')
        clean = environment.clean_variables()
        assert not {'PYTHONPATH', 'PIP_TARGET'} & set(clean)
        assert (clean['PIP_USER'], clean['PIP_INDEX_URL']) == ('0', 'https://index.example/simple')


class TestState:
    def test_made_once_and_never_overwritten(self, checkout: Checkout) -> None:
        made = State(checkout.state)
        with ExitStack() as undo:
            made.create(checkout, 8191, undo)
            undo.pop_all()
        assert made.directory.stat().st_mode & 0o777 == 0o700
        assert made.conf.stat().st_mode & 0o777 == 0o600
        assert made.address() == ('127.0.0.1', 8191)
        made.conf.write_text('[api]\nhost = 0.0.0.0\nport = 9000\n')
        with ExitStack() as undo:
            made.create(checkout, None, undo)
        assert made.url() == 'http://127.0.0.1:9000'
        with pytest.raises(Problem, match='already says port 9000: write port = 9001 into its'):
            made.check_configuration(9001)

    @pytest.mark.parametrize('existed', [False, True])
    def test_taken_back_after_a_failure(self, checkout: Checkout, existed: bool) -> None:
        if existed:
            checkout.state.mkdir()
        with pytest.raises(KeyError), ExitStack() as undo:
            undo.callback(_unshield, {number: signal.getsignal(number) for number in console_signals()})
            State(checkout.state).create(checkout, None, undo)
            raise KeyError
        assert checkout.state.exists() is existed
        assert not existed or not any(checkout.state.iterdir())

    def test_moved_checkout(self, checkout: Checkout, tmp_path: Path) -> None:
        made = State(checkout.state)
        with ExitStack() as undo:
            made.create(checkout, None, undo)
            undo.pop_all()
        moved = State(made.directory.rename(tmp_path / 'moved'))
        with pytest.raises(Problem, match=f'still names {checkout.state}'):
            moved.check_configuration(None)

    def test_a_directory_elsewhere_is_remembered(self, checkout: Checkout, tmp_path: Path) -> None:
        with ExitStack() as undo:
            elsewhere = state.locate(checkout, str(tmp_path / 'elsewhere'))
            elsewhere.create(checkout, None, undo)
            state.remember(checkout, elsewhere, undo)
            undo.pop_all()
        assert state.locate(checkout, None).directory == tmp_path / 'elsewhere'
        with pytest.raises(Problem, match='this checkout has its state in'):
            state.locate(checkout, str(tmp_path / 'third'))
        state.forget(checkout)
        assert not checkout.state.exists()

    def test_a_key_kept_elsewhere(self, checkout: Checkout, tmp_path: Path) -> None:
        checkout.state.mkdir()
        made = State(checkout.state)
        made.conf.write_text(f'[secrets]\nkey_file = {tmp_path}/$$safe/key\n')
        assert not made.has_key()
        (tmp_path / '$safe').mkdir()
        (tmp_path / '$safe' / 'key').touch()
        assert made.has_key()

    def test_broken_configuration(self, checkout: Checkout) -> None:
        checkout.state.mkdir()
        made = State(checkout.state)
        made.conf.write_text('port 8190\n[api')
        with pytest.raises(Problem, match='cannot be read'):
            made.address()
        made.conf.write_text('[api]\nport = eighty\n')
        with pytest.raises(Problem, match='is no number'):
            made.address()


class TestProcesses:
    def test_a_recycled_number_is_nobody(self, checkout: Checkout, sleeper: subprocess.Popen[bytes]) -> None:
        checkout.state.mkdir()
        service = Service(checkout, Environment(checkout, checkout.venv), State(checkout.state))
        process = Process.of(sleeper.pid)
        assert process is not None
        service._note(process, 'program')
        assert service.process() == process
        noted = json.loads(service.state.pid_file.read_text())
        service.state.pid_file.write_text(json.dumps(noted | {'started': noted['started'] - 1}))
        assert service.process() is None
        assert service.stop() is None
        assert sleeper.poll() is None
        assert not service.state.pid_file.exists()

    @pytest.mark.parametrize('text', ['', '12', '[]', '{"pid": "x"}', '{"pid": 1, "started": 0, "boot": ""}'])
    def test_rubbish_in_the_pid_file(self, checkout: Checkout, text: str) -> None:
        checkout.state.mkdir()
        service = Service(checkout, Environment(checkout, checkout.venv), State(checkout.state))
        service.state.pid_file.write_text(text)
        assert service.process() is None

    def test_stopped_gently(self, sleeper: subprocess.Popen[bytes]) -> None:
        process = Process.of(sleeper.pid)
        assert process is not None
        assert process.terminate(10) is True
        assert sleeper.wait() == -signal.SIGTERM

    def test_killed_when_it_does_not_listen(self) -> None:
        script = 'import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(60)'
        with subprocess.Popen([sys.executable, '-c', script], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            child.stdout.readline()
            process = Process.of(child.pid)
            assert process is not None
            assert process.terminate(0.2) is False
            assert child.wait() == -signal.SIGKILL

    def test_who_listens(self) -> None:
        with socket.create_server(('127.0.0.1', 0)) as server:
            port = server.getsockname()[1]
            assert not port_is_free('127.0.0.1', port)
            assert listener(port).endswith(f'(pid {os.getpid()})')
        assert port_is_free('127.0.0.1', port)
        assert listener(port) == 'another process'


class TestUninstall:
    def test_where_nothing_is_installed(self, copy: Path) -> None:
        assert command(copy, 'uninstall').returncode == 0
        assert changes(copy) == []

    def test_half_installed(self, copy: Path) -> None:
        (copy / '.venv' / 'bin').mkdir(parents=True)
        (copy / 'delfin.egg-info').mkdir()
        (copy / 'delfin' / '__pycache__').mkdir()
        (copy / '.delfin').mkdir()
        assert command(copy, 'uninstall').returncode == 0
        assert changes(copy) == []

    def test_a_folder_that_is_not_ours(self, copy: Path, tmp_path: Path) -> None:
        (tmp_path / 'thesis.tex').touch()
        (copy / 'build').mkdir()
        answer = command(copy, 'uninstall', '--yes', '--state-dir', str(tmp_path))
        assert answer.returncode == 1
        assert 'is no state directory of Delfin' in answer.stderr
        assert (tmp_path / 'thesis.tex').exists()
        assert (copy / 'build').exists(), 'nothing is removed when something is refused'
        (copy / 'build').rmdir()

    def test_keep_data(self, copy: Path, tmp_path: Path) -> None:
        kept = State(copy / '.delfin')
        with ExitStack() as undo:
            kept.create(Checkout(copy), None, undo)
            undo.pop_all()
        assert command(copy, 'uninstall', '--keep-data').returncode == 0
        assert kept.conf.exists()
        assert command(copy, 'uninstall').returncode == 0
        assert changes(copy) == []


class TestPackages:
    """Services do not start, and the machine's own policy comes back whatever happens."""

    @pytest.fixture(params=[None, '#!/bin/sh\nexit 0\n'])
    def policy(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
        policy = tmp_path / 'policy-rc.d'
        if request.param:
            policy.write_text(request.param)
            policy.chmod(0o755)
        yield policy
        if request.param:
            assert policy.read_text() == request.param
            assert os.access(policy, os.X_OK)
        assert [path.name for path in tmp_path.iterdir()] == (['policy-rc.d'] if request.param else [])

    def test_after_success(self, policy: Path) -> None:
        with packages.services_not_started(policy, policy.with_name('saved')):
            assert subprocess.run([policy]).returncode == 101

    def test_after_failure(self, policy: Path) -> None:
        with pytest.raises(Problem), packages.services_not_started(policy, policy.with_name('saved')):
            raise Problem('apt-get failed')

    def test_after_a_kill(self, policy: Path) -> None:
        saved = policy.with_name('saved')
        script = (
            'import sys, time; from pathlib import Path; from installer.packages import services_not_started\n'
            'with services_not_started(Path(sys.argv[1]), Path(sys.argv[2])): print(flush=True); time.sleep(60)'
        )
        holder = [sys.executable, '-c', script, policy, saved]
        with subprocess.Popen(holder, cwd=ROOT, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            assert policy.read_text() == packages.NO_SERVICES
            process.kill()
        _wait_for(lambda: not saved.exists() and _text(policy) != packages.NO_SERVICES)

    def test_after_a_power_cut(self, policy: Path) -> None:
        saved = policy.with_name('saved')
        if policy.exists():
            policy.rename(saved)
        policy.write_text(packages.NO_SERVICES)
        with packages.services_not_started(policy, saved):
            pass

    def test_the_list(self) -> None:
        assert {'postgresql', 'mariadb-server'} <= set(packages.listed(ROOT / 'installer' / 'test-packages.txt'))

    def test_missing(self) -> None:
        if shutil.which('dpkg-query') is None:
            pytest.skip('no Debian')
        assert packages.missing(['dpkg', 'no-such-package-of-delfin']) == ['no-such-package-of-delfin']


class TestDemo:
    def test_kinds_in_one_line(self) -> None:
        done = {'kind': 'storage_pools', 'state': 'done', 'seen': 40, 'created': 39, 'rejected': 1, 'seconds': 0.012}
        assert re.sub(' +', ' ', demo.describe(done)) == 'storage pools 40 found (39 new, 1 rejected) 0.01 s'
        assert 'not supported' in demo.describe({'kind': 'qtrees', 'state': 'unsupported'})
        failed = demo.describe({'kind': 'disks', 'state': 'failed', 'error': 'array said no\nat length'})
        assert re.sub(' +', ' ', failed) == 'disks array said no'

    def test_sizes(self) -> None:
        sizes = [None, 0, 1023, 1024, 1500 * 2**30, 5000 * 2**50]
        assert [demo.human_size(size) for size in sizes] == ['-', '0 B', '1023 B', '1.0 KiB', '1.5 TiB', '5000.0 PiB']

    @pytest.mark.parametrize(
        ('arguments', 'expected'), [(['id-2'], 'id-2'), ({'serial': 'S2'}, 'id-2'), ([], 'id-1'), (None, 'id-1')]
    )
    def test_registered_before(self, arguments: Any, expected: str) -> None:
        class Api(Client):
            def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
                raise ApiError(409, {'error_msg': 'there is one already', 'error_args': arguments})

            def get(self, path: str) -> dict[str, Any]:
                rows = [{'id': f'id-{n}', 'vendor': 'linux', 'model': 'host', 'serial_number': f'S{n}'} for n in (1, 2)]
                return {'storages': rows}

        assert demo.register(Api(''), {'vendor': 'linux', 'model': 'host'}, Console(io.StringIO())) == (expected, False)


class TestTestCommand:
    def test_counts_out_of_the_report(self, tmp_path: Path) -> None:
        file = tmp_path / 'unit.xml'
        file.write_text('<testsuites><testsuite tests="10" failures="1" errors="2" skipped="3"/></testsuites>')
        result = test_command.counted('unit', 1.0, 1, file)
        assert (result.passed, result.failed, result.skipped, result.word) == (4, 3, 3, 'FAILED')

    @pytest.mark.parametrize(('code', 'failed', 'word'), [(0, 0, 'ok'), (1, 1, 'FAILED'), (5, 0, 'no tests')])
    def test_without_a_report(self, tmp_path: Path, code: int, failed: int, word: str) -> None:
        result = test_command.counted('lint', 1.0, code, tmp_path / 'lint.xml')
        assert (result.failed, result.word) == (failed, word)

    def test_last_line_and_exit_code(self) -> None:
        good = test_command.Result('unit', 1.0, 0, passed=5, skipped=1)
        bad = test_command.Result('lint', 1.0, 1, failed=1)
        cases = (([good], '5 passed, 0 failed, 1 skipped', 0), ([good, bad], '5 passed, 1 failed, 1 skipped', 1))
        for results, line, code in cases:
            stream = io.StringIO()
            assert test_command.report(results, Console(stream)) == code
            assert stream.getvalue().splitlines()[-1] == line

    def test_no_test_at_all_is_no_success(self) -> None:
        nothing = test_command.Result('faults', 1.0, test_command.NO_TESTS_COLLECTED)
        assert test_command.report([nothing], Console(io.StringIO())) == 1

    def test_every_environment_is_in_tox_ini(self) -> None:
        text = (ROOT / 'tox.ini').read_text()
        assert f'env_list = {", ".join(test_command.ENVIRONMENTS)}\n' in text

    def test_the_shared_environment_is_the_one_of_tox_ini(self) -> None:
        assert f'{{tox_root}}/{Checkout(ROOT).test_venv.relative_to(ROOT)}/bin' in (ROOT / 'tox.ini').read_text()

    def test_missing_packages(self, checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
        (checkout.installer / 'test-packages.txt').write_text('dpkg\nnonsense-db # really\n')
        monkeypatch.setattr(packages, 'missing', lambda names: ['nonsense-db'])
        monkeypatch.setattr(packages, 'can_install', lambda: False)
        stream = io.StringIO()
        test_command.provide_packages(checkout, False, Console(stream))
        assert 'skipped: not installed: nonsense-db; as root: apt-get install -y nonsense-db' in stream.getvalue()
        with pytest.raises(Problem):
            test_command.provide_packages(checkout, True, Console(stream))


def console_signals() -> tuple[signal.Signals, ...]:
    return signal.SIGINT, signal.SIGTERM, signal.SIGHUP


def _unshield(handlers: dict[signal.Signals, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)


def _text(path: Path) -> str | None:
    try:
        return path.read_text()
    except FileNotFoundError:       # it may go at any moment
        return None


def _wait_for(condition: Any, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, 'waited in vain'
        time.sleep(0.02)
