# SPDX-License-Identifier: Apache-2.0
"""The systemd units: systemd understands them, and what they start runs as the user they name.

What they forbid (`ProtectSystem=` and the like) is put into effect by systemd alone, which does not run here.
"""

from __future__ import annotations

import configparser
import contextlib
import os
import pwd
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.checkouts import ROOT
from tests.engines import PostgreSQL, RabbitMQ
from tests.services import Client, Site, wait_for

UNITS = sorted((ROOT / 'etc' / 'systemd').glob('*.service'))
BIN = Path(sys.executable).parent
INSTALLED = '/opt/delfin/bin'
START_SECONDS = 40


def unit(path: Path) -> configparser.RawConfigParser:
    parsed = configparser.RawConfigParser(strict=False)
    parsed.optionxform = str        # type: ignore[assignment,method-assign]
    parsed.read(path)
    return parsed


def require_tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        missing = f'{name} is missing: apt-get install systemd'
        if os.environ.get('DELFIN_REQUIRE_ENGINES') == '1':
            pytest.fail(f'{missing} (DELFIN_REQUIRE_ENGINES=1)', pytrace=False)
        pytest.skip(missing)
    return found


def test_systemd_has_nothing_to_say_against_the_units(tmp_path: Path) -> None:
    verify = require_tool('systemd-analyze')
    for path in UNITS:
        (tmp_path / path.name).write_text(path.read_text().replace(INSTALLED, str(BIN)))
    done = subprocess.run([verify, 'verify', *map(str, tmp_path.iterdir())], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')


@pytest.mark.parametrize('path', UNITS, ids=lambda path: path.stem)
def test_a_unit_leaves_the_service_time_to_stop(path: Path) -> None:
    from delfin.common import config
    (own,) = (opt.default for opt in config.DEFAULT_OPTS if opt.name == 'shutdown_timeout_seconds')
    assert int(unit(path)['Service']['TimeoutStopSec']) > 2 * own


def test_only_the_units_of_the_alert_service_may_use_low_ports() -> None:
    may = {path.stem for path in UNITS if unit(path)['Service'].get('AmbientCapabilities') == 'CAP_NET_BIND_SERVICE'}
    assert may == {'delfin-alert', 'delfin-all'}


# --- what they start ---

@pytest.fixture(scope='module')
def user() -> Iterator[pwd.struct_passwd]:
    """The user of the units; made for this test if that is possible and needed, else whoever runs it."""
    name = unit(UNITS[0])['Service']['User']
    if os.geteuid() != 0:
        yield pwd.getpwuid(os.geteuid())
        return
    try:
        yield pwd.getpwnam(name)
        return
    except KeyError:
        subprocess.run(['useradd', '--system', '--no-create-home', '--shell', '/usr/sbin/nologin', name], check=True)
    try:
        yield pwd.getpwnam(name)
    finally:
        subprocess.run(['userdel', name], check=True, stderr=subprocess.DEVNULL)


@pytest.fixture
def home(user: pwd.struct_passwd) -> Iterator[Path]:
    """A folder that the user of the units reaches (those of pytest are for their owner alone)."""
    with tempfile.TemporaryDirectory(prefix='delfin-unit-') as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.parametrize('path', UNITS, ids=lambda path: path.stem)
def test_what_a_unit_starts_runs_as_its_user_and_stops(path: Path, user: pwd.struct_passwd, home: Path,
                                                       request: pytest.FixtureRequest) -> None:
    embedded = path.stem == 'delfin-all'
    with contextlib.ExitStack() as stack:
        if embedded:
            site = Site(home / 'site')
        else:
            postgresql: PostgreSQL = request.getfixturevalue('postgresql')
            rabbitmq: RabbitMQ = request.getfixturevalue('rabbitmq')
            site = Site(home / 'site', database=stack.enter_context(postgresql.database()),
                        transport=rabbitmq.create_vhost())
        site.log.touch()
        for made in (home, *home.rglob('*')):
            os.chown(made, user.pw_uid, user.pw_gid)
        service = stack.enter_context(started(path, user, site))
        client = Client(site.port)
        wait_for(f'{path.stem} at work', lambda: service.poll() is not None or at_work(path.stem, client, site),
                 START_SECONDS)
        assert service.poll() is None, (home / 'out').read_text()
        assert os.stat(f'/proc/{service.pid}').st_uid == user.pw_uid
        service.send_signal(signal.SIGTERM)
        assert service.wait(int(unit(path)['Service']['TimeoutStopSec'])) == 0


def at_work(name: str, client: Client, site: Site) -> bool:
    """The API answers (it is ready only with a task service); the others say in the log that they run."""
    if name in ('delfin-task', 'delfin-alert'):
        return f'running: {name.removeprefix("delfin-")}' in site.log.read_text()
    with contextlib.suppress(OSError):
        return client.request('GET', '/healthcheck').status_code == 200
    return False


@contextlib.contextmanager
def started(path: Path, user: pwd.struct_passwd, site: Site) -> Iterator[subprocess.Popen[bytes]]:
    """The process of a unit's ExecStart."""
    line = unit(path)['Service']['ExecStart'].replace(INSTALLED, str(BIN))
    command = shlex.split(line.replace('/etc/delfin/delfin.conf', str(site.config)))
    if os.geteuid() == 0:
        # The interpreter may be in a place that is closed to the user (below /root); reading is all this adds.
        command = ['setpriv', '--reuid', str(user.pw_uid), '--regid', str(user.pw_gid), '--clear-groups',
                   '--inh-caps', '+dac_read_search', '--ambient-caps', '+dac_read_search', *command]
    with (site.root.parent / 'out').open('wb') as out:
        process = subprocess.Popen(command, env={**site.environment(), 'HOME': str(site.root)}, cwd=site.root,
                                   stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
