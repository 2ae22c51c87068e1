# SPDX-License-Identifier: Apache-2.0
"""The mechanism of the engines, with a shell script in the role of the server."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from tests.engines import Engine, EngineError, plugin
from tests.engines.base import find_program, free_ports, is_free, wait_until

ROOT = Path(__file__).resolve().parents[2]
SERVER = 'echo $$ >pid; echo ready >ready; exec sleep 1000'


class Script(Engine):
    """It "answers" when its script has written the file `ready`."""

    name: ClassVar[str] = 'Script'
    package: ClassVar[str] = 'dash'
    programs: ClassVar[tuple[str, ...]] = ('sh',)

    def __init__(self, script: str = SERVER) -> None:
        super().__init__()
        self.script = script
        self.launched: list[tuple[int, ...]] = []

    def commands(self) -> list[list[str]]:
        self.launched.append(self.ports)
        (self.home / 'ready').unlink(missing_ok=True)
        return [[self.program('sh'), '-c', self.script]]

    def check(self) -> None:
        if (self.home / 'ready').read_text() != 'ready\n':
            raise ValueError('half written')

    def pid(self, file: str = 'pid') -> int:
        return int((self.home / file).read_text())


class Hasty(Script):
    """It is not waited for long when it starts."""

    start_seconds: ClassVar[float] = 2.0


class Impatient(Script):
    """It is not waited for long when it is to stop."""

    stop_seconds: ClassVar[float] = 0.5


def is_alive(pid: int) -> bool:
    try:
        stat = Path(f'/proc/{pid}/stat').read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(')')[2].split()[0] != 'Z'


@pytest.fixture
def script() -> Iterator[Script]:
    with Script() as engine:
        yield engine


def test_data_ports_and_log_survive_a_stop_but_not_the_close(script: Script) -> None:
    directory, ports, first = script.directory, script.ports, script.pid()
    script.write('data/kept', 'kept')
    script.restart()
    assert script.ports == ports
    assert script.pid() != first
    assert (directory / 'home/data/kept').read_text() == 'kept'
    script.close()
    assert not directory.exists()
    assert not script.running
    script.close()


def test_a_running_engine_is_not_started_again(script: Script) -> None:
    assert script.start() is script
    assert len(script.launched) == 1


def test_a_killed_server_is_gone_and_starts_again(script: Script) -> None:
    first = script.pid()
    script.kill()
    assert not script.running
    assert not is_alive(first)
    script.start()
    assert script.running


def test_a_server_that_ends_at_its_start_is_quoted() -> None:
    engine = Script('echo the disk is full >&2; exit 3')
    with pytest.raises(EngineError, match='the disk is full'):
        engine.start()
    assert len(engine.launched) == 1
    assert not list(Path('/tmp').glob(f'delfin-engine-script-{os.getpid()}*'))


def test_a_server_that_does_not_answer_is_quoted_and_ended() -> None:
    engine = Hasty('echo still reading the log; exec sleep 1000')
    with pytest.raises(EngineError, match=r'(?s)did not answer within 2 s.*still reading'):
        engine.start()
    assert not engine.running


def test_a_server_that_does_not_stop_is_killed_and_that_is_said() -> None:
    ignoring = (
        'trap "echo not now" TERM; echo $$ >pid; echo ready >ready; while :; do sleep 0.1; done'
    )
    with Impatient(ignoring) as engine:
        pid = engine.pid()
        with pytest.raises(EngineError, match='(?s)did not stop within.*not now'):
            engine.stop()
        assert not is_alive(pid)
        engine.start()


def test_a_failed_restart_keeps_the_directory_and_the_log(script: Script) -> None:
    script.stop()
    script.script = 'echo out of memory; exit 1'
    with pytest.raises(EngineError, match='out of memory'):
        script.start()
    assert 'out of memory' in script.log_tail()


def test_who_takes_the_port_first_makes_the_engine_take_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import socket

    with socket.socket() as thief:
        thief.bind(('127.0.0.1', 0))
        taken = thief.getsockname()[1]
        offers = itertools.chain([(taken,)], itertools.repeat(free_ports(1)))
        monkeypatch.setattr('tests.engines.base.free_ports', lambda count: next(offers))
        engine = Script()
        refuse = f'echo port {taken} is taken; exit 1'
        monkeypatch.setattr(
            Script,
            'script',
            property(
                lambda self: refuse if self.port == taken else SERVER, lambda self, text: None
            ),
            raising=False,
        )
        with engine:
            assert [ports == (taken,) for ports in engine.launched] == [True, False]


@pytest.mark.parametrize('way', ['stop', 'kill', 'close'])
def test_nothing_that_the_server_started_survives_it(way: str) -> None:
    daemon = 'setsid sh -c "echo \\$\\$ >daemon; exec sleep 1000" & '
    with Script(f'{daemon} while [ ! -s daemon ]; do sleep 0.01; done; {SERVER}') as engine:
        daemon_pid = engine.pid('daemon')
        assert os.getsid(daemon_pid) != os.getsid(engine.pid())
        getattr(engine, way)()
        assert not is_alive(daemon_pid)


def test_the_server_dies_with_its_keeper(script: Script) -> None:
    pid, keeper = script.pid(), script._keeper
    assert keeper is not None
    keeper.kill()
    assert wait_until(lambda: not is_alive(pid), 10)


@pytest.mark.skipif(os.geteuid() != 0, reason='only root can become somebody else')
def test_root_is_not_the_server() -> None:
    with Script(f'id -un >user; {SERVER}') as engine:
        assert (engine.home / 'user').read_text() == 'nobody\n'
        assert engine.run(['id', '-G']).split() == [str(os.stat(engine.home).st_gid)]


def test_an_engine_whose_object_is_forgotten_ends() -> None:
    engine = Script().start()
    pid, directory = engine.pid(), engine.directory
    assert engine._keeper is not None and engine._keeper.stdin is not None
    engine._keeper.stdin.close()
    assert wait_until(lambda: not is_alive(pid) and not directory.exists(), 10)
    engine._keeper.wait(10)


@pytest.mark.parametrize('ready', [True, False], ids=['ready', 'starting'])
def test_nothing_survives_a_test_process_that_is_killed(ready: bool) -> None:
    script = SERVER if ready else SERVER.replace('ready', 'unready')
    program = (
        'import threading; from tests.unit.test_engines_base import Script\n'
        f'engine = Script({script!r})\n'
        'report = engine.commands\n'
        'def commands():\n'
        '    print(engine.directory, flush=True)\n'
        '    return report()\n'
        'engine.commands = commands\n'
        # From a thread that ends: the server must not end with it.
        'thread = threading.Thread(target=engine.start); thread.start(); thread.join()\n'
        'print("ready", flush=True); input()\n'
    )
    with subprocess.Popen(
        [sys.executable, '-c', program],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        directory = Path(process.stdout.readline().strip())
        if ready:
            assert process.stdout.readline() == 'ready\n'
        assert wait_until((directory / 'home/pid').exists, 10)
        assert wait_until((directory / 'home/pid').read_text, 10)
        pid = int((directory / 'home/pid').read_text())
        assert is_alive(pid)
        process.kill()
        assert wait_until(lambda: not is_alive(pid) and not directory.exists(), 10)


def test_the_remains_of_the_dead_are_swept_but_not_those_of_the_living(script: Script) -> None:
    def remains(name: str) -> Path:
        directory = Path(f'/tmp/delfin-engine-script-{name}-{os.getpid()}')
        (directory / 'home').mkdir(parents=True)
        return directory

    old, young = remains('old'), remains('young')
    try:
        for directory in (old, script.directory):
            os.utime(directory, (1, 1))
        Script.sweep()
        assert not old.exists()
        assert young.exists()
        assert script.directory.exists()
    finally:
        (young / 'home').rmdir()
        young.rmdir()


def test_the_highest_version_is_found(tmp_path: Path) -> None:
    for version in ('9.6', '15', '14'):
        program = tmp_path / version / 'bin/tool'
        program.parent.mkdir(parents=True)
        program.write_text('#!/bin/sh\n')
        program.chmod(0o755)
    (tmp_path / '16/bin').mkdir(parents=True)
    pattern = f'{tmp_path}/*/bin'
    assert find_program('tool', [pattern]) == f'{tmp_path}/15/bin/tool'
    assert find_program('tool', ['/nowhere/*', pattern]) == f'{tmp_path}/15/bin/tool'
    assert find_program('sh', ['$PATH', pattern]) is not None
    assert find_program('no-such-tool', ['$PATH', pattern]) is None


def test_a_missing_engine_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    class Absent(Script):
        programs: ClassVar[tuple[str, ...]] = ('sh', 'no-such-server')
        package: ClassVar[str] = 'no-such-package'

    line = 'Script needs no-such-server: apt-get install no-such-package'
    assert Script.missing() is None
    assert Absent.missing() == line
    with pytest.raises(EngineError, match=line):
        Absent().start()
    monkeypatch.delenv('DELFIN_REQUIRE_ENGINES', raising=False)
    with pytest.raises(pytest.skip.Exception, match=line):
        plugin.require(Absent)
    monkeypatch.setenv('DELFIN_REQUIRE_ENGINES', '1')
    with pytest.raises(pytest.fail.Exception, match=line):
        plugin.require(Absent)
    plugin.require(Script)


def test_free_ports_differ_and_are_free() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert all(map(is_free, ports))


def test_waiting_ends_with_the_answer_or_the_time() -> None:
    answers = iter([False, False, True])
    assert wait_until(lambda: next(answers), 10)
    assert not wait_until(lambda: False, 0.05)


def test_a_signal_is_not_lost_on_an_engine_that_has_ended(script: Script) -> None:
    os.kill(script.pid(), signal.SIGKILL)
    assert wait_until(lambda: not script.running, 10)
    script.stop()
    script.start()
