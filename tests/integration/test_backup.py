# SPDX-License-Identifier: Apache-2.0
"""What docs/operations.md says of PostgreSQL, MariaDB and RabbitMQ is done: accounts, databases, backup and restore.

Its blocks `console postgresql` and so on are run against private servers. Names and places of the guide are replaced
by those of the test; `sudo` is a stand-in.
"""

from __future__ import annotations

import configparser
import contextlib
import os
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from delfin.db import Database, ownership
from tests.checkouts import ROOT
from tests.engines import MariaDB, PostgreSQL, RabbitMQ
from tests.services import Client, Site, fake, wait_for

GUIDE = (ROOT / 'docs' / 'operations.md').read_text('utf-8')
NAME = 'guide'      # of account and database: the servers of the tests have an account `delfin`


def blocks(tag: str) -> list[str]:
    """The commands of the blocks with this tag, each block as one script."""
    found = re.findall(rf'^```console {tag}\n(.*?)^```$', GUIDE, re.M | re.S)
    return ['\n'.join(line[2:] for line in block.splitlines() if line[:2] in ('$ ', '> ')) for block in found]


def configuration() -> configparser.RawConfigParser:
    """The guide's addition to delfin.conf."""
    parsed = configparser.RawConfigParser(default_section='')
    (text,) = re.findall(r'^```ini\n(.*?)^```$', GUIDE, re.M | re.S)
    parsed.read_string(text)
    return parsed


@dataclass
class Shell:
    """Runs scripts of the guide: with these stand-ins, and these places instead of the guide's."""

    stand_ins: Path
    variables: Mapping[str, str]
    places: Mapping[str, str]

    def run(self, script: str) -> None:
        for old, new in self.places.items():
            script = script.replace(old, new)
        script = re.sub(r'(?<=\s)delfin(?=[\s.@"]|$)', NAME, script.replace(' -o delfin -g delfin', ''))
        done = subprocess.run(['bash', '-e', '-o', 'pipefail', '-c', script], env={
            'PATH': f'{self.stand_ins}{os.pathsep}{os.environ["PATH"]}', 'LC_ALL': 'C.UTF-8', **self.variables},
            capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, f'{script}\n{done.stdout}{done.stderr}'


def program(path: Path, body: str) -> None:
    path.write_text(f'#!/bin/sh\n{body}\n')
    path.chmod(0o755)


@pytest.fixture(scope='module')
def transport(rabbitmq: RabbitMQ, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The guide's `transport_url`, after its commands were run."""
    stand_ins = tmp_path_factory.mktemp('rabbitmq')
    as_server = f'setpriv --reuid {RabbitMQ.root_runs_as} --regid nogroup --clear-groups' if os.geteuid() == 0 else ''
    variables = ' '.join(f'{name}={shlex.quote(value)}' for name, value in rabbitmq.environment().items())
    program(stand_ins / 'rabbitmqctl', f'cd {rabbitmq.home}\n'
            f'exec {as_server} env {variables} {rabbitmq.program("rabbitmqctl")} --quiet "$@"')
    (script,) = blocks('rabbitmq')
    for line in script.splitlines():        # the account and the virtual host keep their names: they are new
        done = subprocess.run(['sh', '-c', line], env={'PATH': f'{stand_ins}:{os.environ["PATH"]}'},
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
    return configuration()['DEFAULT']['transport_url'].replace(':5672', f':{rabbitmq.port}')


@dataclass
class Installation:
    """What the guide makes: a database of its own, and services that use it."""

    site: Site
    shell: Shell
    tag: str


@pytest.fixture(params=['postgresql', 'mariadb'])
def installation(request: pytest.FixtureRequest, transport: str, tmp_path: Path) -> Iterator[Installation]:
    engine: PostgreSQL | MariaDB = request.getfixturevalue(request.param)
    stand_ins, home, backups = (tmp_path / name for name in ('stand-ins', 'home', 'backups'))
    for folder in (stand_ins, home, backups):
        folder.mkdir()
    program(stand_ins / 'sudo', 'shift 2; exec "$@"')
    (home / '.my.cnf').write_text(
        f'[client]\nhost=127.0.0.1\nport={engine.port}\nuser=delfin\npassword=delfin\nprotocol=tcp\n')
    shell = Shell(stand_ins, {'HOME': str(home), 'PGHOST': '127.0.0.1', 'PGPORT': str(engine.port),
                              'PGUSER': 'delfin', 'PGDATABASE': 'postgres'},
                  {'/etc/delfin': str(tmp_path / 'site'), '/var/backups/delfin': str(backups)})
    shell.run(blocks(request.param)[0])
    (url,) = re.findall(rf'connection = ({"postgresql" if request.param == "postgresql" else "mysql"}.*)', GUIDE)
    url = re.sub(r':\d+/delfin', f':{engine.port}/{NAME}', url.replace('//delfin:', f'//{NAME}:'))
    try:
        yield Installation(Site(tmp_path / 'site', database=url, transport=transport, **{
            'oslo_messaging_rabbit': dict(configuration()['oslo_messaging_rabbit'])}), shell, request.param)
    finally:
        engine.drop_database(NAME)
        engine.execute(f'DROP {"ROLE" if request.param == "postgresql" else "USER"} {NAME}')


@contextlib.contextmanager
def running(site: Site) -> Iterator[Client]:
    with site.start('task') as task, site.start('api') as api:
        yield api.ready().client
        assert [api.stop(), task.stop()] == [0, 0]


def test_a_restored_backup_is_as_it_was_and_its_passwords_can_be_used(installation: Installation) -> None:
    site = installation.site
    with running(site) as client:
        kept, removed = (client.register_fake(port, volumes='300') for port in (9800, 9801))
        for storage in (kept, removed):
            client.synced(storage['id'])
        volumes = client.rows('volumes', kept['id'])
        installation.shell.run(blocks(installation.tag)[1])
        client.delete(f'/v1/storages/{removed["id"]}')
        client.post('/v1/storages', fake(9802), 201)
        assert 'dropped' in site.manage('key', 'rotate')
    (restore,) = blocks(f'{installation.tag} restore')
    installation.shell.run(restore)
    assert 'already' in site.manage('db', 'upgrade')
    with running(site) as client:
        assert {storage['id'] for storage in client.get('/v1/storages')['storages']} == {kept['id'], removed['id']}
        assert client.rows('volumes', kept['id']) == volumes
        wait_for('owners', lambda: _all_owned(site))
        assert [client.sync(storage['id'])['state'] for storage in (kept, removed)] == ['done', 'done']
        assert 'problems: 0' in site.manage('doctor')


def _all_owned(site: Site) -> bool:
    with contextlib.closing(Database(site.database)) as database, database.read() as connection:
        return None not in {held.node for held in ownership.all_held(connection)}
