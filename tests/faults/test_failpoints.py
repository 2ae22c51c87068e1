# SPDX-License-Identifier: Apache-2.0
"""A process is killed right before or after each commit that it makes: the others, or its next life, finish the work.

In short: the points that tell most, on one engine. With DELFIN_LONG=1: all of them, on PostgreSQL and MariaDB.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import requests

from tests.faults.cluster import API, LONG, Cluster
from tests.services import wait_for

VICTIM = 'b'
NEW_PASSWORD = 'demo-Passw0rd-2'
WORKER_DIED = 'Unexpected exit from worker'

Provoke = Callable[[Cluster, str], None]


@dataclass(frozen=True)
class Point:
    """A moment at which a process dies. `count`: it is the how-manieth of its kind."""

    name: str
    provoke: Provoke
    count: int = 1
    back: bool = False      # the victim is started again; else the others have to do without it

    @property
    def failpoint(self) -> str:
        return f'{self.name}=kill:{self.count}'

    def __str__(self) -> str:
        return f'{self.name}-{"back" if self.back else "gone"}'


# --- how a node comes to its failpoint ---

def sync(cluster: Cluster, failpoint: str, **behaviour: object) -> None:
    """All arrays have other rows, and are synced by two nodes."""
    cluster.start(VICTIM, failpoint)
    cluster.balanced()
    cluster.advance(**behaviour)
    cluster.sync_all()
    cluster.wait_for_end_of(VICTIM)


def slow_sync(cluster: Cluster, failpoint: str) -> None:
    """A sync that lasts for some heartbeats."""
    sync(cluster, failpoint, latency_ms=150)


def work_waits(cluster: Cluster, failpoint: str) -> None:
    """The victim finds work that was asked for while no node was there."""
    cluster.stop('a')
    cluster.advance()
    cluster.sync_all()
    cluster.start(VICTIM, failpoint)
    cluster.wait_for_end_of(VICTIM)
    cluster.start('a')


def take_over(cluster: Cluster, failpoint: str) -> None:
    """The victim dies while it takes what another node leaves behind in the middle of a sync."""
    cluster.start(VICTIM, failpoint)
    cluster.balanced()
    cluster.advance(latency_ms=50)
    cluster.sync_all()
    cluster.stop('a')
    cluster.wait_for_end_of(VICTIM)
    cluster.start('a')


def stop(cluster: Cluster, failpoint: str) -> None:
    """The victim is told to stop while it syncs."""
    cluster.start(VICTIM, failpoint)
    cluster.balanced()
    cluster.advance(misbehave='list_disks:hang')
    cluster.sync_all()
    wait_for('all syncs to hang', lambda: _hanging(cluster))
    cluster.process(VICTIM).terminate()
    cluster.wait_for_end_of(VICTIM)


def _hanging(cluster: Cluster) -> bool:
    return all(kind['state'] == 'running' for storage_id in cluster.owned_by(VICTIM)
               for kind in cluster.client.get(f'/v1/storages/{storage_id}/syncs/latest')['kinds']
               if kind['kind'] == 'disks')


def schedule(cluster: Cluster, failpoint: str) -> None:
    """Arrays are synced without being asked for."""
    cluster.start(VICTIM, failpoint)
    cluster.balanced()
    cluster.advance()
    set_interval(cluster, 1)
    cluster.wait_for_end_of(VICTIM)
    set_interval(cluster, 0)
    cluster.sync_all()


def set_interval(cluster: Cluster, seconds: int) -> None:
    for storage_id in cluster.arrays:
        answer = cluster.client.request('PUT', f'/v1/storages/{storage_id}', json={'sync_interval_seconds': seconds})
        assert answer.status_code == 200, answer.text


def register(cluster: Cluster, failpoint: str) -> None:
    """Arrays are registered until one is the victim's. A client that is refused tries again."""
    cluster.start(VICTIM, failpoint)
    cluster.balanced()
    while VICTIM in cluster.running():
        array = cluster.new_array()
        answer = cluster.client.request('POST', '/v1/storages', json=array.registration)
        if answer.status_code == 503:
            assert 'Retry-After' in answer.headers
            wait_for('the victim to be forgotten', lambda: not cluster.alive(VICTIM))
            cluster.register(array=array)
        else:
            assert answer.status_code == 201, answer.text
            cluster.arrays[answer.json()['id']] = array
    cluster.wait_for_end_of(VICTIM)


def update_access(cluster: Cluster, failpoint: str) -> None:
    """The password of an array changes. A client that is refused tries again."""
    cluster.start(VICTIM, failpoint)
    cluster.balanced()
    storage_id = cluster.owned_by(VICTIM)[0]
    body = {'rest': {'username': 'demo', 'password': NEW_PASSWORD}}

    def changed() -> bool:
        answer = cluster.client.request('PUT', f'/v1/storages/{storage_id}/access-info', json=body)
        later = (answer.status_code, 'Retry-After' in answer.headers) == (503, True)
        assert later or answer.status_code == 200, answer.text
        return not later
    wait_for('the victim to die of it', lambda: changed() or VICTIM not in cluster.running())
    cluster.wait_for_end_of(VICTIM)
    wait_for('the change of the password', changed)
    cluster.arrays[storage_id].behave(login_password=NEW_PASSWORD)
    assert cluster.client.sync(storage_id)['state'] == 'done'


def delete(cluster: Cluster, failpoint: str) -> None:
    """A storage goes. The same array can be registered again meanwhile."""
    cluster.start(VICTIM, failpoint)
    cluster.balanced()
    storage_id = max(cluster.owned_by(VICTIM), key=lambda owned: len(cluster.arrays[owned].model.rows('volumes')))
    array = cluster.remove(storage_id)
    cluster.wait_for_end_of(VICTIM)
    wait_for('the victim to be forgotten', lambda: not cluster.alive(VICTIM))
    cluster.register(array=array)


# --- how the API comes to its failpoint ---

def api(ask: Callable[[Cluster, str], requests.Response]) -> Provoke:
    """A worker of the API dies of a call; it comes back, and the client tries again."""
    def provoke(cluster: Cluster, failpoint: str) -> None:
        storage_id = next(iter(cluster.arrays))
        cluster.kill(API)
        cluster.start(API, failpoint)
        cluster.advance()
        before = cluster.said(API, WORKER_DIED)
        with contextlib.suppress(requests.ConnectionError):     # when the answer was not on its way yet
            ask(cluster, storage_id)
        wait_for('the death of the worker', lambda: cluster.said(API, WORKER_DIED) > before)
        wait_for('a new worker', cluster.answers)
        cluster.kill(API)
        cluster.start(API)
        answer = ask(cluster, storage_id)
        if answer.request.method == 'DELETE':
            assert answer.status_code in (202, 404), answer.text
            cluster.register(array=cluster.arrays.pop(storage_id))
        else:
            assert answer.status_code == 202, answer.text
        cluster.sync_all()
    return provoke


ask_for_one = api(lambda cluster, storage_id: cluster.client.request('POST', f'/v1/storages/{storage_id}/sync'))
ask_for_all = api(lambda cluster, storage_id: cluster.client.request('POST', '/v1/storages/sync'))
ask_for_end = api(lambda cluster, storage_id: cluster.client.request('DELETE', f'/v1/storages/{storage_id}'))

EVERY = {
    'claim': (work_waits, 1), 'kind': (sync, 7), 'storage': (sync, 1), 'rows': (sync, 2), 'finish': (sync, 1),
    'heartbeat': (slow_sync, 3), 'move': (take_over, 1), 'put-back': (stop, 1), 'schedule': (schedule, 1),
    'register': (register, 1), 'access': (update_access, 1), 'purge': (delete, 3), 'purged': (delete, 1),
    'request': (ask_for_one, 1), 'request-all': (ask_for_all, 1), 'hide': (ask_for_end, 1),
    'doorbell': (ask_for_all, 1),
}
TELLING = ('claim.after', 'kind.after', 'rows.before', 'move.before', 'register.after', 'purge.after',
           'request-all.after', 'hide.after')


def points() -> Iterator[Point]:
    """All points, or those that tell most. Every other victim comes back."""
    names = [f'{name}.{moment}' for name in EVERY for moment in ('before', 'after')] if LONG else TELLING
    for number, name in enumerate(names):
        provoke, count = EVERY[name.partition('.')[0]]
        # Both moments with and without a return, over the pairs.
        yield Point(name, provoke, count, back=bool((number + number // 2 * LONG) % 2))


@pytest.mark.parametrize('point', list(points()), ids=str)
def test_work_that_a_process_dies_of_is_done_by_others(cluster: Cluster, point: Point) -> None:
    point.provoke(cluster, point.failpoint)
    cluster.behave()
    if point.back and VICTIM not in cluster.running():
        cluster.start(VICTIM)
    cluster.settled()
