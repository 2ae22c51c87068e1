# SPDX-License-Identifier: Apache-2.0
"""delfin-manage on real installations: keys under a running service, the doctor, a backup taken while it works."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from delfin.db import Database
from delfin.keyring import new_key, read_keys, write_key_file
from tests import packages
from tests.engines import MariaDB, PostgreSQL
from tests.services import Client, Process, Site, wait_for

DOCTOR_SECONDS = 20


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / 'site')


@pytest.fixture
def service(site: Site) -> Iterator[Process]:
    with site.start() as process:
        yield process.ready()


def keys_of(site: Site) -> list[str]:
    return list(read_keys(site.root / 'keys').keys)


def works_with_its_passwords(client: Client, storage_id: str) -> None:
    assert client.sync(storage_id)['state'] == 'done'


# --- keys ---

def test_a_key_is_rotated_under_a_running_service_and_after_its_restart_all_is_well(site: Site) -> None:
    with site.start() as service:
        storage = service.ready().client.register_fake()
        (old,) = keys_of(site)
        assert f'dropped: {old}' in site.manage('key', 'rotate')
        works_with_its_passwords(service.client, storage['id'])
        other = service.client.register_fake(8089)
        assert service.stop() == 0
    with site.start() as service:
        for storage_id in (storage['id'], other['id']):
            works_with_its_passwords(service.ready().client, storage_id)
    assert old not in keys_of(site)


def test_the_three_steps_of_a_rotation_may_be_repeated_each(site: Site, service: Process) -> None:
    storage = service.client.register_fake()
    for step in ('add', 'add', 'rotate', 'prune', 'prune'):
        said = site.manage('key', step)
        works_with_its_passwords(service.client, storage['id'])
    assert 'there is no old key to drop' in said and len(keys_of(site)) == 1


def test_keys_are_listed_by_what_they_are_for(site: Site, service: Process) -> None:
    service.client.register_fake()
    site.manage('key', 'add')
    sealing, following = keys_of(site)
    assert site.manage('key', 'list').splitlines() == [
        f'{sealing}  seals, 1 secrets', f'{following}  is to be next, 0 secrets']


@pytest.mark.parametrize('command', ['add', 'rotate', 'prune', 'list'])
def test_without_a_key_file_a_key_command_is_one_line(site: Site, command: str) -> None:
    (site.root / 'keys').unlink()
    done = site.run('manage', 'key', command)
    assert done.returncode != 0 and 'key generate' in done.stderr and len(done.stderr.splitlines()) == 1


# --- backup ---

def test_a_backup_made_while_arrays_are_synced_can_be_restored(site: Site, tmp_path: Path) -> None:
    saved = tmp_path / 'saved.sqlite'
    with site.start() as service:
        client = service.ready().client
        storage = client.register_fake(volumes='3000')
        wanted = {row['native_volume_id']: row['id'] for row in _volumes(client)}
        ends = threading.Event()
        syncing = threading.Thread(target=_sync_until, args=(ends, site, storage['id']))
        syncing.start()
        try:
            subprocess.run(['sqlite3', site.root / 'delfin.sqlite', f"VACUUM INTO '{saved}'"], check=True, timeout=60)
        finally:
            ends.set()
            syncing.join()
        client.delete(f'/v1/storages/{storage["id"]}')
        service.stop()
    for remains in site.root.glob('delfin.sqlite*'):
        remains.unlink()
    shutil.copy(saved, site.root / 'delfin.sqlite')
    with site.start() as service:
        client = service.ready().client
        assert {row['native_volume_id']: row['id'] for row in _volumes(client)} == wanted
        works_with_its_passwords(client, storage['id'])


def _volumes(client: Client) -> list[dict[str, Any]]:
    pages = [client.get('/v1/volumes', sort='name:asc', offset=offset)['volumes'] for offset in (0, 1000, 2000)]
    return [row for page in pages for row in page]


def _sync_until(ends: threading.Event, site: Site, storage_id: str) -> None:
    client = Client(site.port)
    while not ends.is_set():
        client.sync(storage_id)


def test_without_its_keys_a_backup_shows_its_inventory_and_the_array_can_be_registered_again(site: Site) -> None:
    with site.start() as service:
        storage = service.ready().client.register_fake()
        service.stop()
    write_key_file(site.root / 'keys', dict([new_key()]))
    with site.start() as service:
        client = service.ready().client
        assert client.rows('volumes', storage['id'])
        report = diagnosed(site)
        assert [finding['check'] for finding in report['findings'] if finding['level'] == 'problem'] == [
            'secrets and keys']
        client.delete(f'/v1/storages/{storage["id"]}')
        works_with_its_passwords(client, client.register_fake()['id'])


# --- doctor ---

def diagnosed(site: Site, returncode: int = 1) -> dict[str, Any]:
    """What `doctor --json` says, which must come in time and with this exit code."""
    began = time.monotonic()
    done = site.run('manage', 'doctor', '--json')
    assert time.monotonic() - began < DOCTOR_SECONDS
    assert (done.returncode, done.stderr) == (returncode, '')
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def problems(site: Site) -> dict[str, str]:
    return {finding['check']: finding['message'] for finding in diagnosed(site)['findings']
            if finding['level'] == 'problem'}


def test_a_healthy_installation_has_no_findings_but_good_ones(site: Site, service: Process) -> None:
    service.client.register_fake()
    report = diagnosed(site, 0)
    assert (report['problems'], report['warnings']) == (0, 0), report


def test_the_report_for_people_has_a_line_a_finding_and_a_sum(site: Site, service: Process) -> None:
    lines = site.manage('doctor').splitlines()
    assert lines[-1] == 'problems: 0, warnings: 0'
    assert all(line.startswith('ok       ') for line in lines[:-1]) and len(lines) > 10


def test_a_stopped_service_is_a_problem(site: Site) -> None:
    assert 'start delfin-task, or delfin-all' in problems(site)['task services']


def test_two_services_of_one_name_are_found(site: Site, service: Process, tmp_path: Path) -> None:
    other = Site(tmp_path / 'other', database=site.database)
    with other.start():
        wait_for('them to meet', lambda: 'the row of this node is gone' in site.log.read_text())
        assert 'more than one task service is called' in problems(site)['node names']


def test_the_doctor_changes_nothing(site: Site) -> None:
    def state() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in site.root.rglob('*')
                if path.is_file() and path.suffix not in ('.sqlite-shm', '.sqlite-wal') and 'cache' not in path.parts}
    before = state()
    diagnosed(site)
    assert state() == before


def test_when_everything_is_broken_everything_is_said_and_no_password(tmp_path: Path) -> None:
    site = Site(tmp_path / 'site', python_path=(packages.install('broken_driver', tmp_path),))
    (site.root / 'keys').chmod(0o644)
    with site.config.open('a') as file:
        file.write('[DEFAULT]\ntransport_url = rabbit://delfin:geheim-1@127.0.0.1:1/delfin\n'
                   '[database]\nconnection = mysql+pymysql://delfin:geheim-2@127.0.0.1:1/delfin\n'
                   '[api]\nhost = 0.0.0.0\ntls_key_password = geheim-3\nport = eighty\n[sync]\nworker = 3\n')
    done = site.run('manage', 'doctor')
    assert done.returncode == 1
    for said in ('[api] port', 'chmod 600', 'database answers', 'broker reachable', '[sync] worker',
                 'of package delfin-broken-vendor-driver'):
        assert said in done.stdout
    assert 'geheim' not in done.stdout + done.stderr


@contextlib.contextmanager
def silent_server() -> Iterator[int]:
    """Takes connections and never says a word; its port."""
    with socket.create_server(('127.0.0.1', 0)) as server:
        yield server.getsockname()[1]


def test_servers_that_never_answer_take_no_more_than_their_time(site: Site) -> None:
    with silent_server() as port:
        with site.config.open('a') as file:
            file.write(f'[DEFAULT]\ntransport_url = rabbit://delfin:secret@127.0.0.1:{port}/delfin\n'
                       f'[database]\nconnection = postgresql+psycopg://delfin@127.0.0.1:{port}/delfin\n')
        found = problems(site)
    assert 'no answer in time' in found['database answers']
    assert 'drivers' not in found and 'task service answers' in found


# --- servers whose settings hurt ---

def finding(site: Site, check: str) -> tuple[str, str]:
    """Level and message of a check."""
    (found,) = [finding for finding in diagnosed(site)['findings'] if finding['check'] == check]
    return found['level'], found['message']


def test_pools_that_want_more_connections_than_postgresql_gives_are_a_warning(postgresql: PostgreSQL,
                                                                             tmp_path: Path) -> None:
    with postgresql.database() as url:
        site = Site(tmp_path / 'site', database=url)
        assert finding(site, 'database settings')[0] == 'ok'
        with site.config.open('a') as file:
            file.write('[database]\npool_size = 120\n')
        level, message = finding(site, 'database settings')
    assert level == 'warning' and 'takes 200 connections, the processes of one host may open 241' in message


def test_a_postgresql_database_that_cannot_hold_every_text_is_a_problem(postgresql: PostgreSQL,
                                                                       tmp_path: Path) -> None:
    name = 'doctor_latin1'
    postgresql.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    try:
        site = Site(tmp_path / 'site', database=postgresql.url(name))
        assert 'has encoding LATIN1' in problems(site)['database settings']
    finally:
        postgresql.drop_database(name)


def test_tables_that_somebody_converted_to_another_collation_are_a_problem(mariadb: MariaDB, tmp_path: Path) -> None:
    with mariadb.database() as url:
        site = Site(tmp_path / 'site', database=url)
        assert finding(site, 'database settings')[0] == 'ok'
        with contextlib.closing(Database(url)) as database, database.write() as connection:
            connection.execute(sa.text('ALTER TABLE nodes CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci'))
        assert 'another collation than utf8mb4_nopad_bin: nodes' in problems(site)['database settings']


def test_a_mariadb_connection_of_another_character_set_is_a_problem(mariadb: MariaDB, tmp_path: Path) -> None:
    with mariadb.database() as url:
        site = Site(tmp_path / 'site', database=url)
        site.config.write_text(site.config.read_text().replace('?charset=utf8mb4', '?charset=latin1'))
        assert 'add ?charset=utf8mb4' in problems(site)['database settings']
