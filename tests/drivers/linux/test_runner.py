# SPDX-License-Identifier: Apache-2.0
"""Running commands on this machine."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from delfin import exception
from delfin.drivers.linux.runner import LocalRunner, ToolMissing
from delfin.drivers.utils import ssh_connection


@pytest.fixture
def here() -> LocalRunner:
    return LocalRunner()


def python(code: str) -> list[str]:
    return [sys.executable, '-c', code]


def test_output_error_text_and_status_are_kept_apart(here: LocalRunner) -> None:
    done = here.run(['sh', '-c', 'echo out; echo err >&2; exit 3'])
    assert (done.stdout, done.stderr, done.status) == ('out\n', 'err\n', 3)


def test_a_tool_that_does_not_exist_is_missing(here: LocalRunner) -> None:
    with pytest.raises(ToolMissing, match='no-such-tool is not installed'):
        here.run(['no-such-tool'])


def test_arguments_are_never_read_by_a_shell(here: LocalRunner) -> None:
    assert here.run(['printf', '%s', '$(id); `id` > x']).stdout == '$(id); `id` > x'


def test_commands_speak_english(here: LocalRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('LC_ALL', 'de_DE.UTF-8')
    assert here.run(['sh', '-c', 'printf %s "$LC_ALL"']).stdout == 'C'


def test_tools_of_the_administrator_are_found(here: LocalRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('PATH', '/usr/bin:/bin')
    assert '/usr/sbin' in here.run(['sh', '-c', 'printf %s "$PATH"']).stdout.split(':')


def test_a_command_gets_no_input(here: LocalRunner) -> None:
    assert here.run(['cat']).stdout == ''


def test_a_command_that_takes_too_long_is_given_up(here: LocalRunner) -> None:
    started = time.monotonic()
    with pytest.raises(exception.StorageBackendException, match='sleep did not finish within 0.2 seconds'):
        here.run(['sleep', '60'], timeout=0.2)
    assert time.monotonic() - started < 10


def test_its_children_do_not_survive_it(here: LocalRunner, tmp_path: Path) -> None:
    with pytest.raises(exception.StorageBackendException):
        here.run(['sh', '-c', f'sleep 60 & echo $! > {tmp_path}/pid; wait'], timeout=0.5)
    child = int((tmp_path / 'pid').read_text())
    for _ in range(50):
        try:
            state = Path(f'/proc/{child}/stat').read_text().rpartition(')')[2].split()[0]
        except FileNotFoundError:
            return
        if state == 'Z':        # dead; whoever adopts orphans here has not buried it yet
            return
        time.sleep(0.1)
    pytest.fail('the child still runs')


def test_endless_output_is_given_up(here: LocalRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh_connection, 'MAX_OUTPUT_BYTES', 2**20)
    with pytest.raises(exception.StorageBackendException, match='yes wrote more than 1 MiB'):
        here.run(['yes'])


def test_much_error_text_does_not_block_a_command(here: LocalRunner) -> None:
    done = here.run(python('import sys; sys.stderr.write("x" * 10**6); print("done")'), timeout=30)
    assert (len(done.stderr), done.stdout) == (10**6, 'done\n')


def test_bytes_that_are_no_text_are_shown(here: LocalRunner) -> None:
    assert here.run(['printf', r'a\377b']).stdout == r'a\xffb'


def test_many_files_are_read_at_once(here: LocalRunner, tmp_path: Path) -> None:
    for name, content in {'a': 'one\n', 'b': 'two\nlines\n', 'c': ''}.items():
        (tmp_path / name).write_text(content)
    assert here.read_files(f'{tmp_path}/*', '/no/such/file') == {
        f'{tmp_path}/a': 'one', f'{tmp_path}/b': 'two\nlines'}


def test_the_clock_is_read_with_the_files(here: LocalRunner, tmp_path: Path) -> None:
    (tmp_path / 'a').write_text('one\n')
    before = time.time()
    clock, files = here.read_files_now(f'{tmp_path}/*')
    assert files == {f'{tmp_path}/a': 'one'} and int(before * 1000) <= clock <= time.time() * 1000


def test_a_date_without_milliseconds_is_an_error(
        here: LocalRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / 'date').write_text('#!/bin/sh\necho 1800000000%3N\n')      # what busybox prints
    (tmp_path / 'date').chmod(0o755)
    monkeypatch.setenv('PATH', f'{tmp_path}:{os.environ["PATH"]}')
    with pytest.raises(exception.InvalidResults, match='date .* printed .*GNU coreutils are needed'):
        here.read_files_now('/proc/version')


def test_one_file_is_read(here: LocalRunner) -> None:
    assert here.read('/proc/sys/kernel/ostype') == 'Linux'


@pytest.mark.parametrize('pattern', ['/etc/$(id)', '/etc/a b', '/etc/a;id', 'relative', "/etc/'x"])
def test_only_plain_patterns_reach_the_shell(here: LocalRunner, pattern: str) -> None:
    with pytest.raises(ValueError, match='not a file pattern'):
        here.read_files(pattern)


def test_a_grep_without_the_options_is_an_error_and_not_no_files(
        here: LocalRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / 'grep').write_text('#!/bin/sh\necho "grep: unrecognized option: Z" >&2\nexit 2\n')
    (tmp_path / 'grep').chmod(0o755)
    monkeypatch.setenv('PATH', f'{tmp_path}:{os.environ["PATH"]}')
    with pytest.raises(exception.StorageBackendException, match='unrecognized option'):
        here.read_files('/proc/version')


def test_links_are_read_at_once(here: LocalRunner, tmp_path: Path) -> None:
    (tmp_path / 'link').symlink_to('some where')
    (tmp_path / 'file').touch()
    assert here.links(str(tmp_path)) == {f'{tmp_path}/link': 'some where'}
