# SPDX-License-Identifier: Apache-2.0
"""Drivers as they are in the field, one habit each, through one running Delfin: registered, synced twice, a trap
parsed, metrics collected. The package `legacy_drivers` has the drivers; here stands what must come of them.
"""

from __future__ import annotations

import dataclasses
import json
import secrets
import shutil
import socket
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from delfin.alert_manager.snmp import ber
from tests import packages
from tests.engines import Account, Sshd
from tests.engines.snmp import free_udp_ports
from tests.services import Client, Site, kinds, wait_for
from tests.simulators.tls import Answer, Authority, Request, TlsServer
from tests.unit.snmp_support import HEAD, community_message, notification

OID = '1.3.6.1.4.1.32473.9.'
PASSWORD = 'Pa55word-of-old-arrays'
GIB = 2**30


@dataclasses.dataclass(frozen=True)
class Habit:
    """What must come of a driver, where that differs from what comes of a sound one."""

    access: str = 'rest'                            # which house it finds its array in
    volumes: tuple[str, ...] = ('1', '2')
    failed: Mapping[str, str] = dataclasses.field(default_factory=dict)     # kind -> what the error begins with
    withheld: bool = False                          # the second list of volumes is not believed
    alert: Mapping[str, Any] = dataclasses.field(default_factory=lambda: {'alert_name': 'disk failed'})
    measures: bool = True
    findings: tuple[str, ...] = ()                  # codes that the second sync must report
    storage: Mapping[str, Any] = dataclasses.field(default_factory=dict)


HABITS: dict[str, Habit] = {
    # sessions
    'login_in_constructor': Habit('https'),
    'client_subclass': Habit('https'),
    'own_session': Habit('https'),
    'own_session_class': Habit('https'),
    'init_as_reset': Habit('https', failed={'storage_pools': 'NotAuthorized'}),      # what comes after it works
    # ssh
    'pool_exec': Habit('ssh'),
    'pool_item': Habit('ssh'),
    'own_pool': Habit('ssh'),
    'scratch_files': Habit('ssh'),
    # rows
    'stray_keys': Habit(findings=('unknown_key',)),
    'misspelt': Habit(findings=('unknown_key', 'unknown_value')),
    'numeric_text': Habit(findings=('not_a_number',), storage={
        'total_capacity': 1024000000, 'used_capacity': 512000000, 'free_capacity': 512000000, 'raw_capacity': None}),
    'integer_ids': Habit(storage={'serial_number': '4711'}),
    'repeated_ids': Habit(findings=('repeated_native_id',)),
    'foreign_storage_id': Habit(),
    'nothing_to_tell': Habit(),
    'odd_alerts': Habit(alert={'alert_name': 'disk failed', 'severity': 'Sev1', 'sequence_number': '77',
                               'occur_time': 1700000000000}),
    # shapes
    'generators': Habit(),
    'tuples': Habit(),
    'odd_names': Habit(),
    'swallowing': Habit(),
    'decorated': Habit(),
    'capabilities_without_decorator': Habit(),
    'capabilities_of_instance': Habit(),
    'capabilities_by_version': Habit(),
    'capabilities_by_version_always': Habit(),
    'parses_as_method': Habit(),
    'parses_with_state': Habit(alert={'alert_name': 'disk failed', 'severity': 'Critical'}),
    'parses_incompletely': Habit(alert={'alert_name': 'listed'}),
    'nested_metrics': Habit(),
    'shared_labels': Habit(),
    'without_base': Habit(measures=False),
    'anothers_subclass': Habit(storage={'vendor': 'rebranded'}),
    # failures
    'swallowed_errors': Habit(withheld=True),
    'foreign_errors': Habit(failed={
        'disks': "StorageBackendException: Exception from Storage Backend: list_disks raised KeyError: 'size'",
        'ports': 'StorageBackendException: Exception from Storage Backend: list_ports raised RuntimeError'}),
    'exits': Habit(failed={'disks': 'StorageBackendException'}),
    'own_texts': Habit(failed={
        'disks': 'InvalidResults: The results are invalid. disk {0} has no size',
        'ports': 'StorageBackendException: Exception from Storage Backend: {0}.',
        'controllers': 'StorageBackendException: The array is busy: rebuilding.'}),
    'logs_secrets': Habit(failed={'disks': 'StorageBackendException: Exception from Storage Backend: POST /login '
                                           'password=***', 'ports': 'StorageBackendException'}),
    # state
    'context_storage_id': Habit(),
    'several_arrays': Habit('several', volumes=('array-1-1', 'array-1-2')),
    'module_globals': Habit(),
    'storage_record': Habit(),
    'eventlets': Habit(),
    'libraries': Habit(),
    'tools_everywhere': Habit(storage={'total_capacity': 4 * 2**40, 'free_capacity': 0}),
    'changes_access': Habit(),
}


# --- where the arrays are ---

class Web:
    """An array behind HTTPS whose tokens end with a logout, and each of its own accord after some requests."""

    LIFE = 5

    def __init__(self) -> None:
        self.tokens: dict[str, int] = {}

    def __call__(self, request: Request) -> Answer:
        token = request.headers.get('X-Token', '')
        if request.path == '/login':
            if json.loads(request.body) != {'username': 'admin', 'password': PASSWORD}:
                return Answer({'error': 'unauthorized'}, 401)
            token = secrets.token_hex(8)
            self.tokens[token] = self.LIFE
            return Answer({'token': token})
        if request.path == '/logout':
            self.tokens.pop(token, None)
            return Answer({})
        self.tokens[token] = self.tokens.get(token, 0) - 1
        if self.tokens[token] < 0 and not request.headers.get('Authorization', '').startswith('Basic '):
            return Answer({'error': 'unauthorized'}, 401)
        return Answer([{'id': number, 'size': GIB} for number in (1, 2)])


@pytest.fixture(scope='module')
def houses(sshd: Sshd, sshd_password_user: Account) -> Iterator[dict[str, dict[str, Any]]]:
    """Access information by the name of a house."""
    home = sshd.home / sshd_password_user.username
    files = {'version': '1.0\r\n',
             'volumes': ''.join(f'Volume ID: {number}\r\nSize: 1GB\r\n\r\n' for number in (1, 2)),
             'Nv_stats_node1_240214_102030': '<volumes><volume id="1"/><volume id="2"/></volumes>'}
    for name, text in files.items():
        (home / name).write_bytes(text.encode())
        shutil.chown(home / name, sshd_password_user.username)
    kind, key = sshd.host_keys['ed25519'].split()
    authority = Authority()
    certificate = authority.issue('127.0.0.1')
    rest = {'host': 'array.example', 'port': 8443, 'username': 'admin', 'password': PASSWORD}
    with TlsServer(Web(), certificate) as server:
        yield {
            'rest': {'rest': rest},
            'https': {'rest': {**rest, 'host': server.host, 'port': server.port, 'ca_cert': authority.pem}},
            'ssh': {'ssh': {'host': '127.0.0.1', 'port': sshd.port, 'username': sshd_password_user.username,
                            'password': sshd_password_user.password, 'pub_key': key, 'pub_key_type': kind}},
            'several': {'rest': rest, 'extra_attributes': {'array_id': 'array-1'}},
        }


# --- one story for all ---

@dataclasses.dataclass
class Life:
    """What came of a driver."""

    storage: dict[str, Any]
    runs: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    rows: list[dict[str, dict[str, Any]]] = dataclasses.field(default_factory=list)     # volumes after each sync
    alert: dict[str, Any] = dataclasses.field(default_factory=dict)
    capabilities: dict[str, Any] = dataclasses.field(default_factory=dict)
    metrics: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def path(self) -> str:
        """Of its storage."""
        return f'/v1/storages/{self.storage["id"]}'


class Story:
    """All drivers live side by side, one chapter after the other: there is one wait for all, not one for each."""

    def __init__(self, client: Client, trap_port: int, houses: Mapping[str, Any]) -> None:
        self.client, self.trap_port = client, trap_port
        self.lives: dict[str, Life] = {}
        self.failures: dict[str, str] = {}      # what was answered to those that could not be registered
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda model: self._register(model, houses[HABITS[model].access]), HABITS))
        self._look(dict.fromkeys(self.lives, 0))
        self._look({model: client.post(f'{life.path}/sync')['id'] for model, life in self.lives.items()})
        self._send_traps()
        wait_for('every alert', self._find_alerts, 40)
        wait_for('every metric', self._find_metrics, 40)
        for life in self.lives.values():
            life.storage = client.get(life.path)
            life.capabilities = client.request('GET', f'{life.path}/capabilities').json()

    def _register(self, model: str, access: Mapping[str, Any]) -> None:
        answer = self.client.request('POST', '/v1/storages', json={'vendor': 'legacy', 'model': model, **access})
        if answer.status_code == 201:
            self.lives[model] = Life(answer.json())
        else:
            self.failures[model] = answer.text

    def _look(self, run_ids: Mapping[str, int]) -> None:
        """What the syncs came to, when all have ended."""
        wait_for('every sync', lambda: all(storage['sync_status'] != 'SYNCING' for storage in self.client.get(
            '/v1/storages', limit=100)['storages']), 90)
        for model, run_id in run_ids.items():
            life = self.lives[model]
            life.runs.append(self.client.synced(life.storage['id'], run_id))
            life.rows.append({row['native_volume_id']: row for row in self.client.rows('volumes', life.storage['id'])})

    def _send_traps(self) -> None:
        for number, life in enumerate(self.lives.values(), 1):
            address = f'127.0.77.{number}'
            body = {'host': address, 'version': 'SNMPv2c', 'community_string': 'public'}
            answer = self.client.request('PUT', f'{life.path}/snmp-config', json=body)
            assert answer.status_code == 200, answer.text
            send_trap(self.trap_port, address, life.storage['serial_number'])

    def _find_alerts(self) -> bool:
        found = {(alert['storage_id'], alert['alert_name']): alert
                 for alert in self.client.get('/v1/alerts', limit=500)['alerts']}
        for model, life in self.lives.items():
            life.alert = found.get((life.storage['id'], HABITS[model].alert['alert_name']), {})
        return all(life.alert for life in self.lives.values())

    def _find_metrics(self) -> bool:
        for life in self.lives.values():
            if not life.metrics.get('state'):
                life.metrics = self.client.get(f'{life.path}/metrics-status')
        return all(life.metrics['state'] for life in self.lives.values())


def send_trap(port: int, address: str, serial_number: str) -> None:
    """A v2c trap from an address."""
    texts = {1: 'disk failed', 2: '17', 3: 'bay 4', 4: serial_number}
    datagram = community_message(1, notification([*HEAD, *(
        ber.Variable(f'{OID}{number}', ber.OCTET_STRING, text.encode()) for number, text in texts.items())]))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind((address, 0))
        sender.sendto(datagram, ('127.0.0.1', port))


@pytest.fixture(scope='module')
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    package = packages.install('legacy_drivers', tmp_path_factory.mktemp('pip'))
    root = tmp_path_factory.mktemp('legacy')
    (root / 'home').mkdir()
    (port,) = free_udp_ports()
    return Site(root / 'site', python_path=(package,), alerts={
        'listen': f'127.0.0.1:{port}', 'sync_interval_seconds': 0, 'probe_interval_seconds': 0},
        metrics={'enabled': True, 'interval_seconds': 30, 'settle_seconds': 0})


@pytest.fixture(scope='module')
def story(site: Site, houses: dict[str, Any]) -> Iterator[Story]:
    """What came of all drivers, and a Delfin that still runs."""
    port = int(site.config.read_text().partition('listen = 127.0.0.1:')[2].split()[0])
    bundle = site.root / 'other-ca.pem'
    bundle.write_text(Authority('Another CA').pem)
    with site.start(REQUESTS_CA_BUNDLE=str(bundle)) as process:     # which sessions of drivers must not believe
        client = process.ready().client
        yield Story(client, port, houses)
        assert process.stop() == 0
    shown = b''.join([*client.bodies, site.log.read_bytes(), process.output.encode()])
    assert PASSWORD.encode() not in shown


@pytest.fixture(params=HABITS)
def model(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def life(story: Story, model: str) -> Life:
    assert model not in story.failures, story.failures[model]
    return story.lives[model]


@pytest.fixture
def habit(model: str) -> Habit:
    return HABITS[model]


def test_it_registers_and_shows_what_it_said(life: Life, habit: Habit, model: str) -> None:
    assert life.storage['model'] == model
    assert {name: life.storage[name] for name in habit.storage} == habit.storage
    assert life.storage['sync_status'] == ('FAILED' if habit.failed else 'SYNCED')


def test_its_first_sync_stores_its_rows(life: Life, habit: Habit) -> None:
    assert life.rows[0].keys() == set(habit.volumes)
    for row in life.rows[0].values():
        assert row['total_capacity'] == GIB
        assert row['storage_id'] == life.storage['id']


def test_its_second_sync_changes_nothing(life: Life, habit: Habit) -> None:
    stable = [{native_id: (row['id'], row['created_at'], row['updated_at']) for native_id, row in rows.items()}
              for rows in life.rows]
    assert stable[0] == stable[1]
    for name, kind in kinds(life.runs[1]).items():
        assert kind['state'] in ('done', 'unsupported') or name in habit.failed, kind
        assert kind['created'] + kind['updated'] + kind['deleted'] == 0, kind


def test_what_fails_is_told_by_kind(life: Life, habit: Habit) -> None:
    for run in life.runs:
        errors = {name: kind['error'] for name, kind in kinds(run).items() if kind['state'] == 'failed'}
        assert errors.keys() == habit.failed.keys()
        assert all(errors[name].startswith(text) for name, text in habit.failed.items()), errors


def test_what_was_odd_is_reported(life: Life, habit: Habit) -> None:
    found = {finding['code'] for kind in life.runs[1]['kinds'] for finding in kind['findings'] or ()}
    expected = {*habit.findings, *(['deletion_withheld'] if habit.withheld else [])}
    assert found == expected


def test_its_trap_becomes_an_alert(life: Life, habit: Habit) -> None:
    assert {name: life.alert[name] for name in habit.alert} == habit.alert
    assert life.alert['storage_id'] == life.storage['id']


def test_its_metrics_are_collected(life: Life, habit: Habit) -> None:
    if not habit.measures:
        assert life.capabilities['error_code'] == 'StorageCapabilityNotSupported'
        return
    assert life.capabilities['spec']['resource_metrics']['volume']['iops']['unit'] == 'IOPS'
    (mark,) = life.metrics['marks']
    assert (life.metrics['state'], mark['resource_type'], mark['error']) == ('done', 'volume', None)
    assert mark['points'] >= 2


def test_its_description_shows_no_error(story: Story, model: str) -> None:
    shown = story.client.get(f'/v1/drivers/legacy/{model}')
    assert (shown['status'], shown['error']) == ('ok', None)


# --- what takes two ---

def test_two_arrays_behind_one_address_stay_apart(story: Story, houses: dict[str, Any]) -> None:
    """Also where the driver could share an instance: each array has its own."""
    first, access = story.lives['several_arrays'], {**houses['several'], 'extra_attributes': {'array_id': 'array-2'}}
    second = story.client.register(vendor='legacy', model='several_arrays', **access)
    for storage, name in ((first.storage, 'array-1'), (second, 'array-2')):
        assert {row['native_volume_id'] for row in story.client.rows('volumes', storage['id'])} == {
            f'{name}-1', f'{name}-2'}


def test_every_driver_of_the_package_was_there(story: Story) -> None:
    listed = story.client.get('/v1/drivers')['drivers']
    assert {driver['model'] for driver in listed if driver['vendor'] == 'legacy'} == HABITS.keys()
