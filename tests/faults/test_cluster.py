# SPDX-License-Identifier: Apache-2.0
"""Nodes come, go, stand still and die; broker and database are away; clients go on meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from delfin.db import ownership
from tests.checkouts import ROOT
from tests.engines import DatabaseEngine, RabbitMQ
from tests.faults.cluster import HEARTBEAT_SECONDS, LEASE_SECONDS, LONG, Cluster, Load
from tests.services import wait_for

# RabbitMQ 3.10 keeps a quorum queue that was declared less than so long before a crash without a leader: whoever
# publishes to it or consumes from it waits. Nothing outside shows when it is safe. Work is done all the same.
BROKER_SAVES_SECONDS = 6
MOVE_SECONDS = 10           # what the product promises with its usual times
NEW_PASSWORD = 'demo-Passw0rd-2'

# What an owner says that comes too late: it has found another one, or its connection closed in the middle.
LOST = 'belongs to another node now|is put back: the database is away'


# --- parts that are away ---

@pytest.mark.parametrize('how', ['restarted', 'killed'] if LONG else ['restarted'])
def test_a_broker_that_is_away_loses_nothing(cluster: Cluster, broker: RabbitMQ, how: str) -> None:
    cluster.start('b')
    cluster.balanced()
    cluster.advance()
    _wait_until_the_broker_can_be(how)
    with Load(cluster) as load:
        cluster.sync_all()
        broker.stop() if how == 'restarted' else broker.kill()
        cluster.client.post(f'/v1/storages/{next(iter(cluster.arrays))}/sync')
        broker.start()
        wait_for('calls to reach every owner again', lambda: _all_answer(cluster), 30)
    assert not load.complaints, '\n'.join(load.complaints[:10])
    cluster.settled()


@pytest.mark.parametrize('how', ['restarted', 'killed'] if LONG else ['killed'])
def test_a_database_that_is_away_loses_nothing(cluster: Cluster, server: DatabaseEngine, how: str) -> None:
    cluster.start('b')
    cluster.balanced()
    cluster.advance(latency_ms=20)
    with Load(cluster) as load:
        cluster.sync_all()
        server.stop() if how == 'restarted' else server.kill()
        refused = cluster.client.request('GET', '/v1/storages')
        server.start()
        wait_for('calls to reach every owner again', lambda: _all_answer(cluster), 30)
    assert (refused.status_code, 'Retry-After' in refused.headers) == (503, True), refused.text
    assert not load.complaints, '\n'.join(load.complaints[:10])
    cluster.behave()
    cluster.sync_all()
    cluster.settled()


def test_nodes_are_restarted_one_after_the_other_under_load(cluster: Cluster) -> None:
    cluster.start('b')
    cluster.balanced()
    cluster.advance(latency_ms=20)
    with Load(cluster) as load:
        for name in ('a', 'b'):
            cluster.sync_all()
            cluster.stop(name)
            cluster.start(name)
            cluster.balanced()
    assert not load.complaints, '\n'.join(load.complaints[:10])
    cluster.behave()
    cluster.sync_all()
    cluster.settled()


def _wait_until_the_broker_can_be(how: str) -> None:
    if how == 'killed':
        time.sleep(BROKER_SAVES_SECONDS)


def _all_answer(cluster: Cluster) -> bool:
    return all(cluster.client.request('GET', f'/v1/storages/{storage_id}/capabilities').status_code == 200
               for storage_id in cluster.arrays)


# --- an owner that stands still ---

def test_an_owner_that_stood_still_for_too_long_commits_nothing(cluster: Cluster) -> None:
    cluster.start('b', 'rows.before=stop:2')
    cluster.balanced()
    cluster.advance()
    cluster.sync_all()
    wait_for('b to stand still', lambda: cluster.process('b').frozen)
    since = time.monotonic()
    try:
        wait_for('a to finish what b had begun', lambda: not cluster.active_runs(), 30)
    finally:
        cluster.thaw('b', since)
    wait_for('b to say that it has lost the run', lambda: cluster.said('b', LOST))
    cluster.settled()


# --- owners ---

@pytest.fixture(params=['short', 'usual'] if LONG else ['short'])
def timed(request: pytest.FixtureRequest, cluster: Cluster, server: DatabaseEngine, broker: RabbitMQ,
          tmp_path: Path) -> Iterator[tuple[Cluster, float]]:
    """A cluster and how soon its arrays must have moved."""
    if request.param == 'short':
        yield cluster, LEASE_SECONDS + 2 * HEARTBEAT_SECONDS + 2
        return
    usual: dict[str, Any] = {'heartbeat_seconds': 2, 'lease_seconds': 6}
    with server.database() as url, Cluster(tmp_path / 'usual', url, broker.create_vhost(), cluster=usual) as made:
        made.ensure('a')
        made.populate()
        yield made, MOVE_SECONDS


def test_arrays_move_soon_when_nodes_come_go_and_die(timed: tuple[Cluster, float]) -> None:
    cluster, seconds = timed
    took = {'join': _until_moved(cluster, lambda: cluster.start('b'), ('a', 'b')),
            'leave': _until_moved(cluster, lambda: cluster.stop('b'), ('a',))}
    cluster.start('b')
    cluster.balanced()
    took['die'] = _until_moved(cluster, lambda: cluster.kill('b'), ('a',))
    print('arrays moved within', {what: round(value, 2) for what, value in took.items()})
    assert max(took.values()) < seconds, took
    cluster.settled()


def _until_moved(cluster: Cluster, event: Any, names: tuple[str, ...]) -> float:
    """Seconds from the end of an event until every array is shown with its new owner."""
    event()
    began = time.monotonic()
    wanted = [ownership.chosen(storage_id, names) for storage_id in cluster.arrays]

    def moved() -> bool:
        shown = {node['name']: node['storages'] for node in cluster.client.get('/v1/nodes')['nodes'] if node['alive']}
        return shown == {name: wanted.count(name) for name in names}
    wait_for(f'all arrays to be with {names}', moved, 30)
    return time.monotonic() - began


def test_calls_reach_the_new_owner(cluster: Cluster) -> None:
    node = cluster.start('b')
    cluster.balanced()
    storage_id = cluster.owned_by('b')[0]
    _until_answered(cluster, 'PUT', f'/v1/storages/{storage_id}/access-info', _password(NEW_PASSWORD))
    serial_number = cluster.arrays[storage_id].model.serial_number
    asked = [session.pid for session in cluster.sessions() if session.serial_number == serial_number]
    assert asked[-1] == node.pid
    cluster.arrays[storage_id].behave(login_password=NEW_PASSWORD)
    cluster.kill('b')
    _until_answered(cluster, 'GET', f'/v1/storages/{storage_id}/capabilities')
    cluster.settled()


def _until_answered(cluster: Cluster, method: str, path: str, body: Any = None) -> None:
    """Call as a client does: as long as it is told to come back later."""
    def answers() -> bool:
        answer = cluster.client.request(method, path, **({} if body is None else {'json': body}))
        later = (answer.status_code, 'Retry-After' in answer.headers) == (503, True)
        assert later or answer.status_code == 200, answer.text
        return not later
    wait_for('the call to reach an owner', answers, 15)


def test_without_a_node_calls_are_refused_and_work_waits(cluster: Cluster) -> None:
    storage_id = next(iter(cluster.arrays))
    cluster.stop('a')
    cluster.advance()
    for method, path, body in (
            ('GET', f'/v1/storages/{storage_id}/capabilities', None),
            ('PUT', f'/v1/storages/{storage_id}/access-info', _password(NEW_PASSWORD)),
            ('POST', '/v1/storages', cluster.new_array().registration)):
        answer = cluster.client.request(method, path, json=body)
        assert (answer.status_code, 'Retry-After' in answer.headers) == (503, True), (path, answer.text)
    cluster.sync_all()
    assert len([run for run in cluster.active_runs() if 'pending' in run]) == len(cluster.arrays)
    cluster.start('a')
    cluster.settled()


@pytest.mark.parametrize('how', ['restarted', 'killed'] if LONG else ['restarted'])
def test_without_a_broker_calls_are_refused_and_work_is_done_all_the_same(cluster: Cluster, broker: RabbitMQ,
                                                                          how: str) -> None:
    storage_id = next(iter(cluster.arrays))
    cluster.stop('a')
    cluster.advance()
    _wait_until_the_broker_can_be(how)
    broker.stop() if how == 'restarted' else broker.kill()
    try:
        began = time.monotonic()
        cluster.sync_all()
        assert time.monotonic() - began < 10
        cluster.start('a')      # cannot reach the broker, but its work stands in the database
        answer = cluster.client.request('GET', f'/v1/storages/{storage_id}/capabilities')
        wait_for('the work to be done', lambda: not cluster.active_runs())
        assert (answer.status_code, 'Retry-After' in answer.headers) == (503, True), answer.text
    finally:
        broker.start()
    wait_for('calls to reach every owner again', lambda: _all_answer(cluster), 30)
    cluster.settled()


# --- requests that meet ---

def test_an_array_that_is_deleted_during_its_sync_can_be_registered_again_at_once(cluster: Cluster) -> None:
    cluster.start('b')
    cluster.balanced()
    for turn in range(6 if LONG else 3):
        storage_id = list(cluster.arrays)[turn % 2]
        array = cluster.arrays[storage_id]
        array.advance(latency_ms=10 * turn)
        cluster.client.post(f'/v1/storages/{storage_id}/sync')
        wait_for('the sync to run', lambda storage_id=storage_id: any(
            storage_id in run and 'running' in run for run in cluster.active_runs()))
        cluster.remove(storage_id)
        array.behave()
        cluster.register(array=array)
    cluster.settled()


def test_a_password_that_is_changed_during_a_sync_is_used_from_then_on(cluster: Cluster) -> None:
    storage_id, array = next(iter(cluster.arrays.items()))
    array.advance(latency_ms=100)
    run = cluster.client.post(f'/v1/storages/{storage_id}/sync')
    wait_for('the sync to run', lambda: any(storage_id in run and 'running' in run for run in cluster.active_runs()))
    answer = cluster.client.request('PUT', f'/v1/storages/{storage_id}/access-info', json=_password(NEW_PASSWORD))
    assert answer.status_code == 200, answer.text
    assert cluster.client.synced(storage_id, run['id'])['state'] == 'done'
    array.behave(login_password=NEW_PASSWORD)
    assert cluster.client.sync(storage_id)['state'] == 'done'
    cluster.settled()


def _password(password: str) -> dict[str, Any]:
    return {'rest': {'username': 'demo', 'password': password}}


# --- the tests' own services ---

def test_services_of_a_test_run_that_is_killed_die_with_it(tmp_path: Path) -> None:
    program = ('import sys; from pathlib import Path; from tests.services import Site\n'
               'process = Site(Path(sys.argv[1])).start(); print(process.pid, flush=True); sys.stdin.read()')
    run = subprocess.Popen([sys.executable, '-c', program, str(tmp_path)], cwd=ROOT, text=True, stdin=subprocess.PIPE,
                           stdout=subprocess.PIPE, env={**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)})
    with run:
        assert run.stdout is not None
        pid = int(run.stdout.readline())
        assert Path(f'/proc/{pid}').exists()
        run.send_signal(signal.SIGKILL)
    wait_for('the end of the service', lambda: not Path(f'/proc/{pid}').exists(), 10)
