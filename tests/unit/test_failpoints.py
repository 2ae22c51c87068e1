# SPDX-License-Identifier: Apache-2.0
"""Moments at which a test makes a process die, freeze or fail."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys

import pytest
import sqlalchemy as sa

from delfin import failpoints
from delfin.db import storages
from tests.engines.base import wait_until
from tests.unit.support import PATIENCE_SECONDS, ROOT


def start(armed, script='failpoints.hit("claim.after")\nprint("went on")'):
    """A process of its own with this environment."""
    return subprocess.Popen(
        [sys.executable, '-c', f'from delfin import failpoints\n{script}'], cwd=ROOT, text=True,
        env={**os.environ, failpoints.VARIABLE: armed}, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def run(armed, **kwargs):
    process = start(armed, **kwargs)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


@pytest.fixture
def arm(monkeypatch):
    """Arm failpoints of this process."""
    def with_text(text):
        armed = failpoints._parse(text)
        monkeypatch.setattr(failpoints, '_armed', armed)
        monkeypatch.setattr(failpoints, '_counts', {name: itertools.count(1) for name in armed})
    return with_text


def test_unarmed_moments_pass():
    assert run('')[:2] == (0, 'went on\n')


def test_other_moments_pass():
    assert run('claim.before=kill,rows.after=kill')[:2] == (0, 'went on\n')


def test_a_process_dies_at_an_armed_moment():
    assert run('claim.after=kill')[:2] == (-signal.SIGKILL, '')


def test_a_process_dies_the_third_time():
    script = 'for number in range(5):\n    print(number, flush=True)\n    failpoints.hit("claim.after")'
    assert run('claim.after=kill:3', script=script)[:2] == (-signal.SIGKILL, '0\n1\n2\n')


def test_a_process_freezes_until_somebody_continues_it():
    process = start('claim.after=stop')

    def state():
        with open(f'/proc/{process.pid}/stat') as file:
            return file.read().rpartition(')')[2].split()[0]
    try:
        assert wait_until(lambda: state() == 'T', PATIENCE_SECONDS)
        process.send_signal(signal.SIGCONT)
        out, _ = process.communicate(timeout=PATIENCE_SECONDS)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, out) == (0, 'went on\n')


@pytest.mark.parametrize('text', ['claim.after', 'claim.after=explode', 'claim.after=kill:often', '=', 'kill'])
def test_a_misspelt_moment_ends_the_process_at_once(text):
    """A test that is not armed would prove nothing."""
    code, out, err = run(text)
    assert (code, out) == (1, '')
    assert err.strip().splitlines()[-1].startswith(f'ValueError: {failpoints.VARIABLE}: {text}: ')


def test_before_the_commit_nothing_is_stored(arm, database, storage_id):
    arm('hide.before=raise')
    with pytest.raises(failpoints.Hit), database.write('hide') as connection:
        storages.hide(connection, storage_id)
    with database.read() as connection:
        assert storages.ids(connection) == [storage_id]


def test_after_the_commit_everything_is(arm, database, storage_id):
    arm('hide.after=raise')
    with pytest.raises(failpoints.Hit), database.write('hide') as connection:
        storages.hide(connection, storage_id)
    with database.read() as connection:
        assert storages.ids(connection) == []


def test_a_transaction_that_fails_by_itself_does_not_reach_its_moments(arm, database):
    arm('hide.before=raise,hide.after=raise')
    with pytest.raises(sa.exc.OperationalError), database.write('hide') as connection:
        connection.execute(sa.text('nonsense'))
