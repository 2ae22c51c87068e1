# SPDX-License-Identifier: Apache-2.0
"""The key of all secrets changes while two task services and an API, each with its own key file, go on working."""

from __future__ import annotations

import contextlib
import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from delfin import access
from delfin.db import Database, ownership, storages
from delfin.keyring import Keyring, read_keys
from delfin.rotation import Rotation
from tests.engines import MariaDB, PostgreSQL, RabbitMQ
from tests.services import Client, Process, Site, fake, wait_for

NODES = ('one', 'two')
PASSWORD = fake()['rest']['password']
_PAUSE_SECONDS = 0.6        # each registration is followed by a sync
QUICK = {'cluster': {'heartbeat_seconds': 0.5, 'lease_seconds': 2.5},
         'oslo_messaging_rabbit': {'rabbit_quorum_queue': True, 'rabbit_transient_quorum_queue': True}}


class Hosts:
    """Three hosts: one for the API, two with a task service. The operator works on host `one`."""

    def __init__(self, root: Path, database: str, transport: str, *, shared_key_file: bool = False) -> None:
        self._stack = contextlib.ExitStack()
        self._shared = shared_key_file
        self.database = Database(database)
        self.processes: dict[str, Process] = {}
        self.sites: dict[str, Site] = {}
        for name in (*NODES, 'api'):
            site = Site(root / name, database=database.replace('%', '%%'), transport=transport, **QUICK)
            self.sites[name] = site
            if shared_key_file:
                site.config.write_text(site.config.read_text().replace(
                    f'key_file = {site.root}', f'key_file = {self.sites["one"].root}'))
            else:
                (site.root / 'keys').write_bytes(self.key_file('one').read_bytes())

    def key_file(self, name: str) -> Path:
        return self.sites['one' if self._shared else name].root / 'keys'

    def copy_key_file(self, *names: str) -> None:
        """As an operator does it with `scp` and `mv`."""
        for name in names:
            new = self.key_file(name).with_name('keys.new')
            new.touch(0o600)
            new.write_bytes(self.key_file('one').read_bytes())
            new.replace(self.key_file(name))

    def start(self) -> Client:
        for name in NODES:
            self.processes[name] = self._stack.enter_context(self.sites[name].start('task', node=name))
        api = self._stack.enter_context(self.sites['api'].start('api'))
        wait_for('both nodes', lambda: set(self.living()) == set(NODES))
        return api.ready().client

    def restart(self) -> None:
        """New processes, which know no other keys than those in their files."""
        for name in NODES:
            assert self.processes[name].stop() == 0
            self.processes[name] = self._stack.enter_context(self.sites[name].start('task', node=name))
        wait_for('both nodes', lambda: set(self.living()) == set(NODES))

    def living(self) -> list[str]:
        with self.database.read() as connection:
            return ownership.alive(connection)

    def one_for_each(self) -> list[str]:
        """An array of each node; none while a node has none."""
        with self.database.read() as connection:
            owned = {held.node: held.storage_id for held in ownership.all_held(connection)}
        return list(owned.values()) if owned.keys() == set(NODES) else []

    def keys_in_use(self) -> set[str]:
        keyring = Keyring(str(self.key_file('one')))
        return {secret.key_id for secret in Rotation(self.database, keyring, '').secrets()}

    def refuses(self, *command: str) -> str:
        """What delfin-manage says that must not do it."""
        done = self.sites['one'].run('manage', *command)
        assert done.returncode != 0, done.stdout
        return done.stderr

    def close(self) -> None:
        self._stack.close()
        self.database.close()


class Registrations:
    """Somebody who registers one array after the other, from `start` to `end`."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._ends = threading.Event()
        self._enough = threading.Condition()
        self._pool = ThreadPoolExecutor(1)
        self.ids: list[str] = []

    def __enter__(self) -> Registrations:
        self._work = self._pool.submit(self._register)
        return self

    def __exit__(self, *error: object) -> None:
        self._ends.set()
        self._pool.shutdown()
        if error[0] is None:
            self._work.result()

    def more(self, count: int = 2) -> None:
        """Wait until so many more have been registered."""
        with self._enough:
            wanted = len(self.ids) + count
            assert self._enough.wait_for(lambda: len(self.ids) >= wanted or self._work.done(), 60)
        if self._work.done():
            self._work.result()

    def _register(self) -> None:
        for port in itertools.count(20000):
            if self._ends.wait(_PAUSE_SECONDS):
                return
            storage = self._client.post('/v1/storages', fake(port, volumes='3', disks='1'), 201)
            with self._enough:
                self.ids.append(storage['id'])
                self._enough.notify_all()


def test_registrations_go_on_while_the_key_is_changed_host_by_host(postgresql: PostgreSQL, rabbitmq: RabbitMQ,
                                                                   tmp_path: Path) -> None:
    with (postgresql.database() as database,
          contextlib.closing(Hosts(tmp_path, database, rabbitmq.create_vhost())) as hosts):
        _change_host_by_host(hosts)


def _change_host_by_host(hosts: Hosts) -> None:
    client = hosts.start()
    with Registrations(client) as registrations:
        registrations.more(4)
        (old,) = hosts.keys_in_use()
        hosts.sites['one'].manage('key', 'add')
        new = read_keys(hosts.key_file('one')).next_id
        registrations.more()
        assert f'node two does not know key {new} yet' in hosts.refuses('key', 'rotate')
        hosts.copy_key_file('two')
        hosts.sites['one'].manage('key', 'rotate')
        registrations.more(4)       # the API and host two still seal with the old key
        assert hosts.keys_in_use() == {old, new}
        assert f'node two does not seal with key {new} yet' in hosts.refuses('key', 'prune')
        hosts.copy_key_file('two', 'api')
        registrations.more()
        assert f'dropped: {old}' in hosts.sites['one'].manage('key', 'prune')
        registrations.more()
        hosts.copy_key_file('two', 'api')
        registrations.more()
    assert hosts.keys_in_use() == {new}
    _every_secret_can_be_used(hosts, client, registrations.ids)


def test_one_command_is_enough_where_all_read_one_key_file(mariadb: MariaDB, rabbitmq: RabbitMQ,
                                                           tmp_path: Path) -> None:
    with (mariadb.database() as database,
          contextlib.closing(Hosts(tmp_path, database, rabbitmq.create_vhost(), shared_key_file=True)) as hosts):
        client = hosts.start()
        with Registrations(client) as registrations:
            registrations.more()
            (old,) = hosts.keys_in_use()
            assert f'dropped: {old}' in hosts.sites['one'].manage('key', 'rotate')
            registrations.more()
        (new,) = hosts.keys_in_use()
        assert [new] == list(read_keys(hosts.key_file('one')).keys) != [old]
        _every_secret_can_be_used(hosts, client, registrations.ids)


def _every_secret_can_be_used(hosts: Hosts, client: Client, ids: list[str]) -> None:
    """By processes that know nothing of the old key."""
    for name in hosts.sites:
        keyring = Keyring(str(hosts.key_file(name)))
        with hosts.database.read() as connection:
            for storage_id in ids:
                opened = access.unseal(storages.access(connection, storage_id), storage_id, keyring)
                assert opened['rest']['password'] == PASSWORD
    hosts.restart()
    for storage_id in wait_for('an array for each node', hosts.one_for_each):
        assert client.sync(storage_id)['state'] == 'done'
