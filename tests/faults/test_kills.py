# SPDX-License-Identifier: Apache-2.0
"""A killed process: what it had begun is found in the database and done."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.services import Client, Site, kinds, wait_for

# Where the sync stands when the process is killed: it hangs in the list of this kind.
MOMENTS = ['storage_pools', 'disks', 'masking_views']


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / 'site', sync={'interval_seconds': 0})


def _state(client: Client, storage_id: str, kind: str) -> str:
    return kinds(client.get(f'/v1/storages/{storage_id}/syncs/latest'))[kind]['state']


@pytest.mark.parametrize('kind', MOMENTS)
def test_a_sync_whose_process_is_killed_is_finished_by_the_next_one(site: Site, kind: str) -> None:
    control = site.root / 'control.json'
    control.write_text(json.dumps({'epoch': 0}))
    with site.start() as process:
        client = process.ready().client
        storage = client.register_fake(control_file=str(control))
        before = {row['native_volume_id']: row['id'] for row in client.rows('volumes', storage['id'])}
        control.write_text(json.dumps({'misbehave': f'list_{kind}:hang', 'epoch': 1, 'change_percent': 50}))
        run = client.post(f'/v1/storages/{storage["id"]}/sync')
        wait_for('the sync to hang', lambda: _state(client, storage['id'], kind) == 'running')
        process.kill()
    control.write_text(json.dumps({'epoch': 1, 'change_percent': 50}))
    with site.start() as process:
        client = process.ready().client
        finished = client.synced(storage['id'])
        assert (finished['id'], finished['state'], finished['trigger']) == (run['id'], 'done', 'api')
        assert {result['state'] for result in finished['kinds']} == {'done'}
        assert {row['native_volume_id']: row['id'] for row in client.rows('volumes', storage['id'])} == before
        shown = client.get(f'/v1/storages/{storage["id"]}')
        assert (shown['sync_status'], shown['failed_kinds']) == ('SYNCED', [])
        assert process.stop() == 0


def test_a_registration_whose_process_is_killed_leaves_nothing_and_can_be_repeated(site: Site) -> None:
    control = site.root / 'control.json'
    control.write_text(json.dumps({'misbehave': 'get_storage:hang'}))
    with site.start() as process:
        client = process.ready().client
        with pytest.raises(OSError):
            client.session.post(client.url + '/v1/storages', timeout=2, json={
                'vendor': 'fake_storage', 'model': 'fake_driver', 'extra_attributes': {'control_file': str(control)},
                'rest': {'host': '127.0.0.1', 'port': 8088, 'username': 'u', 'password': 'p'}})
        process.kill()
    control.unlink()
    with site.start() as process:
        client = process.ready().client
        assert client.get('/v1/storages') == {'storages': []}
        assert client.register_fake(control_file=str(control))['sync_status'] == 'SYNCED'
        assert process.stop() == 0


def test_a_removal_whose_process_is_killed_is_finished_by_the_next_one(site: Site) -> None:
    control = site.root / 'control.json'
    control.write_text('{}')
    with site.start() as process:
        client = process.ready().client
        storage = client.register_fake(control_file=str(control), volumes='3000')
        control.write_text(json.dumps({'misbehave': 'delete_storage:hang'}))
        client.delete(f'/v1/storages/{storage["id"]}')
        process.kill()
    control.unlink()
    with site.start() as process:
        client = process.ready().client
        wait_for('the removal', lambda: f'storage {storage["id"]} is removed' in site.log.read_text())
        assert client.register_fake(volumes='10')['serial_number'] == storage['serial_number']
        assert process.stop() == 0
