# SPDX-License-Identifier: Apache-2.0
"""delfin-api, delfin-task and delfin-alert as processes of their own, on RabbitMQ and a database server."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from delfin.db import Database, storages
from tests.engines import MariaDB, PostgreSQL, RabbitMQ
from tests.services import Client, Process, Site, fake, wait_for

SERVICES = ('alert', 'task', 'api')


@pytest.fixture(scope='module', params=['postgresql', 'mariadb'])
def site(request: pytest.FixtureRequest, rabbitmq: RabbitMQ,
         tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    engine: PostgreSQL | MariaDB = request.getfixturevalue(request.param)
    with engine.database() as url:
        yield Site(tmp_path_factory.mktemp(request.param), database=url.replace('%', '%%'),
                   transport=rabbitmq.create_vhost(),
                   oslo_messaging_rabbit={'rabbit_quorum_queue': True, 'rabbit_transient_quorum_queue': True})


@pytest.fixture
def services(site: Site) -> Iterator[dict[str, Process]]:
    with contextlib.ExitStack() as stack:
        processes = {name: stack.enter_context(site.start(name)) for name in SERVICES}
        processes['api'].ready()
        yield processes


@pytest.fixture
def delfin(services: dict[str, Process]) -> Client:
    return services['api'].client


def test_a_storage_lives_its_life_over_broker_and_database(delfin: Client) -> None:
    storage = delfin.register_fake(9400, volumes='2500')
    assert storage['sync_status'] == 'SYNCED'
    pages = [delfin.get('/v1/volumes', storage_id=storage['id'], offset=offset)['volumes']
             for offset in (0, 1000, 2000)]
    assert [len(page) for page in pages] == [1000, 1000, 500]
    ids = {row['id'] for page in pages for row in page}
    assert delfin.sync(storage['id'])['state'] == 'done'
    assert {row['id'] for row in delfin.get('/v1/volumes', storage_id=storage['id'])['volumes']} <= ids
    group = delfin.rows('volume_groups', storage['id'], nested=True)[0]
    assert group['volumes']
    delfin.delete(f'/v1/storages/{storage["id"]}')
    wait_for('the purge', lambda: delfin.get('/v1/volumes')['volumes'] == [])


def test_errors_of_the_driver_cross_the_broker_unchanged(delfin: Client) -> None:
    error = delfin.post('/v1/storages', fake(9401, login_password='another'), 400)
    assert error['error_code'] == 'InvalidUsernameOrPassword'
    error = delfin.post('/v1/storages', {**fake(9402), 'vendor': 'nobody'}, 404)
    assert (error['error_code'], error['error_args']) == ('StorageDriverNotFound', ['nobody fake_driver'])


def test_every_service_stops_cleanly(services: dict[str, Process]) -> None:
    assert {name: process.stop() for name, process in services.items()} == dict.fromkeys(SERVICES, 0)


def test_without_a_task_service_calls_are_refused_and_work_waits(services: dict[str, Process], site: Site) -> None:
    client = services['api'].client
    storage = client.register_fake(9403)
    assert services['task'].stop() == 0
    run = client.post(f'/v1/storages/{storage["id"]}/sync')
    answer = client.request('GET', '/readiness')
    assert (answer.status_code, answer.json()['database']) == (503, 'ok')
    with site.start('task'):
        assert client.synced(storage['id'], run['id'])['state'] == 'done'


def test_no_password_is_in_the_messages_or_the_database(delfin: Client, site: Site) -> None:
    storage = delfin.register_fake(9404)
    with Database(site.database).read() as connection:
        assert 'demo-Passw0rd!' not in repr(storages.access(connection, storage['id']))
