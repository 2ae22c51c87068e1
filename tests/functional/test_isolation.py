# SPDX-License-Identifier: Apache-2.0
"""`[drivers] isolation = process`: each storage's driver in a process of its own, and what that saves the others."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.services import Client, Process, Site, kinds, wait_for

DEADLINE_SECONDS = 15       # a process has to be started in it, on a busy machine
BYTES_AT_MOST = 80 * 2**20        # the option says 40 to 60


def processes_of(storage_id: str) -> set[int]:
    """The driver processes of a storage, as an operator finds them: its id stands in their command lines."""
    found = set()
    for entry in Path('/proc').glob('[0-9]*'):
        try:
            arguments = (entry / 'cmdline').read_text().split('\0')
        except (FileNotFoundError, ProcessLookupError):
            continue
        if 'delfin.drivers.child' in arguments and storage_id in arguments:
            found.add(int(entry.name))
    return found


class Array:
    """A registered make-believe array that can be told how to behave."""

    def __init__(self, client: Client, control: Path, port: int) -> None:
        self.client = client
        self.control = control
        self.id: str = client.register_fake(port, control_file=str(control))['id']

    def behave(self, **values: Any) -> None:
        temporary = self.control.with_suffix('.new')
        temporary.write_text(json.dumps(values))
        temporary.replace(self.control)

    def process(self) -> int:
        """Its only process."""
        [pid] = processes_of(self.id)
        return pid


@pytest.fixture(scope='module')
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp('isolation'), drivers={
        'isolation': 'process', 'inventory_timeout_seconds': DEADLINE_SECONDS})


@pytest.fixture(scope='module')
def delfin(site: Site) -> Iterator[Process]:
    with site.start() as process:
        yield process.ready()


@pytest.fixture(scope='module')
def array(delfin: Process, site: Site) -> Array:
    return Array(delfin.client, site.root / 'one.json', 10001)


@pytest.fixture(scope='module')
def neighbour(delfin: Process, site: Site) -> Array:
    return Array(delfin.client, site.root / 'two.json', 10002)


def test_every_storage_has_one_process_and_all_its_rows(delfin: Process, array: Array, neighbour: Array) -> None:
    assert array.process() != neighbour.process()
    assert delfin.client.rows('volumes', array.id) and delfin.client.rows('volumes', neighbour.id)


def test_a_process_takes_as_much_memory_as_the_option_says(array: Array) -> None:
    pages = int(Path(f'/proc/{array.process()}/statm').read_text().split()[1])
    assert pages * os.sysconf('SC_PAGE_SIZE') < BYTES_AT_MOST


def test_a_call_that_hangs_costs_its_own_storage_a_kind_and_a_process(delfin: Process, array: Array,
                                                                      neighbour: Array) -> None:
    before, beside = array.process(), neighbour.process()
    array.behave(misbehave='list_volumes:hang')
    run = delfin.client.post(f'/v1/storages/{array.id}/sync')
    assert delfin.client.sync(neighbour.id)['state'] == 'done'
    volumes = kinds(delfin.client.synced(array.id, run['id']))['volumes']
    assert volumes['state'] == 'failed' and f'did not answer within {DEADLINE_SECONDS} seconds' in volumes['error']
    array.behave()
    assert delfin.client.sync(array.id)['state'] == 'done'
    assert before != array.process() and neighbour.process() == beside


def test_a_driver_that_is_killed_is_back_with_the_next_sync(delfin: Process, array: Array, site: Site) -> None:
    os.kill(array.process(), signal.SIGKILL)
    wait_for('the line in the log', lambda: 'has ended by itself (killed by SIGKILL)' in site.log.read_text())
    assert delfin.client.sync(array.id)['state'] == 'done'
    array.process()


def test_a_trial_of_new_access_information_leaves_no_process(delfin: Process, array: Array) -> None:
    before = array.process()
    answer = delfin.client.request('PUT', f'/v1/storages/{array.id}/access-info', json={
        'rest': {'host': '127.0.0.1', 'port': 10001, 'username': 'demo', 'password': 'another-Passw0rd!'}})
    assert answer.status_code in (200, 202), answer.text
    wait_for('the end of the processes with the old password', lambda: before not in processes_of(array.id))
    delfin.client.sync(array.id)
    array.process()


def test_what_a_driver_logs_and_raises_holds_no_secret(delfin: Process, array: Array, site: Site) -> None:
    array.behave(misbehave='list_disks:secret_leak')
    disks = kinds(delfin.client.sync(array.id))['disks']
    array.behave()
    assert 'login failed' in disks['error']
    assert 'Passw0rd!' not in json.dumps(disks) + site.log.read_text()


def test_a_deleted_storage_has_no_process(delfin: Process, site: Site) -> None:
    gone = Array(delfin.client, site.root / 'three.json', 10003)
    assert gone.process()
    delfin.client.delete(f'/v1/storages/{gone.id}')
    wait_for('the end of its process', lambda: not processes_of(gone.id))


def test_a_killed_service_leaves_no_process(delfin: Process, array: Array, neighbour: Array) -> None:
    """The last test: even with a call under way."""
    neighbour.behave(misbehave='list_volumes:hang')
    delfin.client.post(f'/v1/storages/{neighbour.id}/sync')
    assert array.process() and neighbour.process()
    delfin.kill()
    wait_for('the end of all', lambda: not processes_of(array.id) | processes_of(neighbour.id))


def test_a_service_that_is_stopped_leaves_no_process(site: Site, array: Array, neighbour: Array) -> None:
    """It takes up what was interrupted, and ends in time."""
    neighbour.behave()
    with site.start() as process:
        process.ready()
        assert process.client.sync(array.id)['state'] == 'done'
        assert processes_of(array.id)
        assert process.stop() == 0
    wait_for('the end of all', lambda: not processes_of(array.id) | processes_of(neighbour.id))
