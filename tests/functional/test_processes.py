# SPDX-License-Identifier: Apache-2.0
"""Starting and stopping: clean, in time, with work put back; a bad configuration is one readable line."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
import requests

from tests.services import STOP_SECONDS, Client, Process, Site, fake, kinds, wait_for


def _fails(site: Site, program: str, *arguments: str) -> str:
    """The one line of a program that must refuse to start."""
    done = site.run(program, *arguments)
    assert done.returncode not in (0, None)
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, done.stderr
    return lines[0]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / 'site')


def test_health_and_readiness_say_what_is_checked(delfin: Client) -> None:
    assert delfin.get('/healthcheck') == {'status': 'ok'}
    assert delfin.get('/readiness') == {'status': 'ok', 'database': 'ok', 'migrations': 'ok', 'rpc': 'ok'}


@pytest.mark.parametrize('program', ['api', 'task', 'alert'])
def test_a_separate_service_refuses_the_local_transport(site: Site, program: str) -> None:
    line = _fails(site, program)
    assert line.startswith(f'delfin-{program}: ')
    assert 'transport_url' in line
    assert 'rabbit://' in line


@pytest.mark.parametrize(('section', 'name', 'value', 'says'), [
    ('api', 'port', 'eighty', '[api] port'),
    ('api', 'threads', '0', '[api] threads'),
    ('api', 'paste_config', '/nowhere/api-paste.ini', 'paste_config'),
    ('database', 'connection', 'oracle://x', '[database] connection'),
    ('database', 'connection', 'sqlite:////nowhere/delfin.sqlite', 'database cannot be reached'),
    ('database', 'connection', 'postgresql+psycopg://u:geheim@127.0.0.1:1/d', 'database cannot be reached'),
    ('secrets', 'key_file', '/nowhere/keys', 'delfin-manage key generate'),
    ('DEFAULT', 'transport_url', 'carrier-pigeon://', 'transport_url'),
    ('DEFAULT', 'state_path', '/proc/nowhere', 'state_path'),
])
def test_a_bad_option_is_one_line_that_names_it(site: Site, section: str, name: str, value: str, says: str) -> None:
    with site.config.open('a') as file:
        file.write(f'[{section}]\n{name} = {value}\n')
    line = _fails(site, 'all')
    assert says in line
    assert 'geheim' not in line


def test_a_configuration_file_that_is_no_such_thing_is_one_line(site: Site) -> None:
    site.config.write_text('[api\nport 8190')
    assert str(site.config) in _fails(site, 'all')


def test_a_missing_configuration_file_is_one_line(site: Site) -> None:
    site.config.unlink()
    assert str(site.config) in _fails(site, 'all')


def test_an_empty_database_is_one_line_that_says_what_to_run(site: Site) -> None:
    (site.root / 'delfin.sqlite').unlink()
    assert 'delfin-manage db upgrade' in _fails(site, 'all')


def test_a_busy_port_is_one_line_that_names_it(site: Site) -> None:
    with socket.create_server(('127.0.0.1', site.port)):
        assert str(site.port) in _fails(site, 'all')


def test_an_open_key_file_is_refused(site: Site) -> None:
    (site.root / 'keys').chmod(0o644)
    assert 'chmod 600' in _fails(site, 'all')


def test_config_check_names_a_misspelt_option(site: Site) -> None:
    with site.config.open('a') as file:
        file.write('[sync]\nworker = 4\n')
    done = site.run('manage', 'config', 'check')
    assert done.returncode != 0
    assert '[sync] worker' in done.stderr


def test_config_check_is_content_with_a_good_one(site: Site) -> None:
    assert 'good' in site.manage('config', 'check')


def test_upgrading_twice_and_generating_a_key_twice_are_harmless(site: Site) -> None:
    keys = (site.root / 'keys').read_text()
    assert 'already' in site.manage('db', 'upgrade')
    assert 'exists already' in _fails(site, 'manage', 'key', 'generate')
    assert (site.root / 'keys').read_text() == keys


def _hanging_sync(process: Process, site: Site) -> tuple[str, Path]:
    """A storage whose running sync hangs in its list of disks until the returned file changes."""
    control = site.root / 'control.json'
    storage = process.client.register_fake(9300, control_file=str(control))
    control.write_text(json.dumps({'misbehave': 'list_disks:hang'}))
    process.client.post(f'/v1/storages/{storage["id"]}/sync')
    wait_for('the sync to hang', lambda: kinds(process.client.get(
        f'/v1/storages/{storage["id"]}/syncs/latest'))['disks']['state'] == 'running')
    return storage['id'], control


def test_sigterm_stops_in_time_and_puts_a_running_sync_back(site: Site) -> None:
    with site.start() as process:
        storage_id, control = _hanging_sync(process.ready(), site)
        assert process.stop(STOP_SECONDS) == 0
    control.unlink()
    with site.start() as process:
        client = process.ready().client
        run = client.synced(storage_id)
        assert run['state'] == 'done'
        assert run['trigger'] == 'api'      # the one that was interrupted, not another
        assert process.stop() == 0


def test_a_restarted_service_has_its_arrays_at_once_and_is_one_node(site: Site) -> None:
    with site.start() as process:
        client = process.ready().client
        storage = client.register_fake(9301)
        (before,) = client.get('/v1/nodes')['nodes']
        assert process.stop() == 0
    with site.start() as process:
        client = process.ready().client
        client.get(f'/v1/storages/{storage["id"]}/capabilities')        # nobody had to wait
        (after,) = client.get('/v1/nodes')['nodes']
        assert (after['name'], after['storages'], after['alive']) == (before['name'], 1, True)
        assert after['started_at'] > before['started_at']
        assert client.sync(storage['id'])['node'] == after['name']
        assert process.stop() == 0


def test_a_service_under_another_name_takes_over_what_a_stopped_one_had(site: Site) -> None:
    with site.start() as process:
        storage = process.ready().client.register_fake(9302)
        assert process.stop() == 0
    site.config.write_text(site.config.read_text().replace('[DEFAULT]', '[DEFAULT]\nhost = another'))
    with site.start() as process:
        client = process.ready().client
        assert client.sync(storage['id'])['node'] == 'another'
        assert [node['name'] for node in client.get('/v1/nodes')['nodes']] == ['another']
        assert process.stop() == 0


NO_BROKER = 'rabbit://guest:guest@127.0.0.1:1/'


@pytest.mark.parametrize('program', ['api', 'task', 'alert'])
def test_a_service_whose_broker_is_away_still_stops_in_time(tmp_path: Path, program: str) -> None:
    site = Site(tmp_path / 'site', transport=NO_BROKER)
    with site.start(program) as process:
        wait_for('a word about the broker or the API', lambda: site.log.exists() and (
            'Connection refused' in site.log.read_text() or 'REST API on' in site.log.read_text()))
        assert process.stop(STOP_SECONDS) == 0


def test_without_a_broker_the_api_says_so_and_answers_what_it_can(tmp_path: Path) -> None:
    site = Site(tmp_path / 'site', transport=NO_BROKER)
    with site.start('api') as process:
        client = process.client
        (answer,) = wait_for('the API', lambda: _answer(client, '/readiness'))
        assert (answer.status_code, answer.json()['database']) == (503, 'ok')
        assert 'broker' in answer.json()['rpc']
        assert client.get('/v1/storages') == {'storages': []}
        refused = client.request('POST', '/v1/storages', json=fake())
        assert (refused.status_code, refused.json()['error_code']) == (503, 'ServiceUnavailable')
        assert refused.headers['Retry-After']


def _answer(client: Client, path: str) -> list[requests.Response]:
    try:
        return [client.request('GET', path)]
    except requests.ConnectionError:
        return []
