# SPDX-License-Identifier: Apache-2.0
"""The doctor: each usual mistake is found, named, and comes with what to do; whatever is broken, it answers in time."""

from __future__ import annotations

import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from oslo_config import cfg

from delfin import rpc
from delfin.common import config
from delfin.db import Database, alert_sources, engine, exports, metrics, ownership, storages, traps
from delfin.db.engine import now
from delfin.db.sqlalchemy import models
from delfin.doctor import GROUPS, alerting, base, broker, examine, fleet, host
from delfin.doctor import database as database_checks
from delfin.doctor.base import Finding, Level, Patient, Unreachable
from delfin.keyring import Keyring, new_key, place, write_key_file
from delfin.version import version_string
from tests.simulators.tls import Answer, Authority, Certificate, TlsServer, self_signed
from tests.unit import support

Check = Callable[[Patient], Iterable[Finding]]
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


@pytest.fixture
def configured(tmp_path: Path, key_file: Path, database: Database) -> Iterator[Callable[..., Patient]]:
    """A patient of the test's database and key file, with other options: `configured(api={'port': 1})`."""
    patients: list[Patient] = []

    def make(**sections: Mapping[str, Any]) -> Patient:
        config.CONF.reset()
        path = tmp_path / 'delfin.conf'
        path.write_text(configuration(tmp_path, key_file, **sections))
        patients.append(Patient(config.load(['--config-file', str(path)], 'delfin-test', default_config_dirs=[])))
        return patients[-1]
    yield make
    for patient in patients:
        patient.close()
    config.CONF.reset()


def configuration(root: Path, key_file: Path, **sections: Mapping[str, Any]) -> str:
    wanted: dict[str, dict[str, Any]] = {
        'DEFAULT': {'host': 'node-1', 'state_path': root}, 'secrets': {'key_file': key_file}}
    for name, options in sections.items():
        wanted.setdefault(name, {}).update(options)
    return ''.join(f'[{name}]\n' + ''.join(f'{option} = {value}\n' for option, value in options.items())
                   for name, options in wanted.items())


@pytest.fixture
def patient(configured: Callable[..., Patient]) -> Patient:
    return configured()


def worst(check: Check, patient: Patient) -> str:
    """The first finding that is not ok, as its line; '' if all is well."""
    bad = [finding.line() for finding in check(patient) if finding.level is not Level.OK]
    return bad[0] if bad else ''


def free_port() -> int:
    with socket.create_server(('127.0.0.1', 0)) as taken:
        return int(taken.getsockname()[1])


# --- how an examination goes ---

def fine(patient: Patient) -> Iterator[Finding]:
    yield base.ok(fine, 'well')


def breaks(patient: Patient) -> Iterator[Finding]:
    yield base.ok(breaks, 'so far')
    raise RuntimeError('a bug')


def hangs(patient: Patient) -> Iterator[Finding]:
    threading.Event().wait(3)
    yield base.ok(hangs, 'too late')


def is_away(patient: Patient) -> Iterator[Finding]:
    raise Unreachable('nobody there; start it')
    yield


def test_a_check_that_breaks_costs_only_itself(patient: Patient) -> None:
    found = base.examine(patient.conf, [('group', [breaks, fine])], 5)
    assert [finding.line() for finding in found] == [
        'problem  breaks: could not be examined: RuntimeError: a bug', 'ok       fine: well']


def test_a_check_that_hangs_costs_its_group_and_no_more_time_than_there_is(patient: Patient) -> None:
    began = time.monotonic()
    found = base.examine(patient.conf, [('one', [fine, hangs, fine]), ('two', [fine])], 0.3)
    assert time.monotonic() - began < 2
    assert [finding.line() for finding in found] == [
        'ok       fine: well', 'problem  hangs: no answer in time; nothing more is known of "one"',
        'ok       fine: well']


def test_what_cannot_be_reached_is_said_once(patient: Patient) -> None:
    found = base.examine(patient.conf, [('group', [is_away, fine])], 5)
    assert [finding.line() for finding in found] == ['problem  is away: nobody there; start it']


def test_other_peoples_messages_lose_the_passwords(configured: Callable[..., Patient]) -> None:
    patient = configured(database={'connection': 'postgresql+psycopg://u:geheim-1@h/d'},
                         DEFAULT={'transport_url': 'rabbit://u:geheim-2@h/v'}, api={'tls_key_password': 'geheim-3'})
    text = patient.clean(RuntimeError('geheim-1\n geheim-2 and geheim-3'))
    assert text == '*** *** and ***'


def test_a_configuration_that_cannot_be_read_is_the_only_finding(tmp_path: Path) -> None:
    path = tmp_path / 'delfin.conf'
    path.write_text('[api\n')
    found = examine(['--config-file', str(path)], 'delfin-test')
    assert [(finding.level, finding.check) for finding in found] == [
        (Level.PROBLEM, 'configuration'), (Level.WARNING, 'everything else')]


def test_one_wrong_option_does_not_hide_other_problems(tmp_path: Path) -> None:
    path = tmp_path / 'delfin.conf'
    path.write_text(configuration(tmp_path, tmp_path / 'no-keys', api={'port': 'eighty'}))
    try:
        found = examine(['--config-file', str(path)], 'delfin-test')
    finally:
        config.CONF.reset()
    problems = {finding.check for finding in found if finding.level is Level.PROBLEM}
    assert {'configuration', 'key file', 'database file'} <= problems


def test_every_check_is_examined() -> None:
    named = [check for _, checks in GROUPS for check in checks]
    assert len(named) == len(set(named)) > 25 and all(check.__doc__ for check in named)


# --- the host ---

def test_a_misspelt_option_is_named(configured: Callable[..., Patient]) -> None:
    assert '[sync] worker is unknown' in worst(host.configuration_files, configured(sync={'worker': 3}))


def test_a_name_that_every_host_has_is_a_warning_with_a_broker(configured: Callable[..., Patient]) -> None:
    patient = configured(DEFAULT={'host': 'localhost', 'transport_url': 'rabbit://u:p@127.0.0.1:1/'})
    assert 'set another host' in worst(host.host_name, patient)


def test_an_unfinished_rotation_is_pointed_out(patient: Patient, keyring: Keyring) -> None:
    assert worst(host.key_file, patient) == ''
    keyring.add_next()
    assert 'run "delfin-manage key rotate"' in worst(host.key_file, patient)
    keyring.promote_next()
    assert 'run "delfin-manage key prune"' in worst(host.key_file, patient)


@pytest.mark.skipif(os.geteuid() != 0, reason='only root can give files away')
def test_a_key_file_of_another_user_is_pointed_out(patient: Patient, key_file: Path) -> None:
    os.chown(key_file, 1, 1)
    assert 'belongs to daemon' in worst(host.key_file, patient)


@pytest.mark.parametrize(('free', 'says'), [(2 ** 40, ''), (500 * 2 ** 20, 'warning  '), (2 ** 20, 'problem  ')])
def test_a_disk_without_room_is_noticed(patient: Patient, monkeypatch: pytest.MonkeyPatch, free: int,
                                        says: str) -> None:
    monkeypatch.setattr(host.shutil, 'disk_usage', lambda path: type('Usage', (), {'free': free}))
    found = worst(host.state_directory, patient)
    assert found.startswith(says) and bool(found) == bool(says)


def test_a_missing_state_directory_is_a_problem(configured: Callable[..., Patient], tmp_path: Path) -> None:
    patient = configured(DEFAULT={'state_path': tmp_path / 'none'})
    assert worst(host.state_directory, patient).startswith('problem')


def test_few_file_descriptors_are_a_warning(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host.resource, 'getrlimit', lambda number: (256, 4096))
    assert 'LimitNOFILE' in worst(host.file_descriptors, patient)


def test_an_api_that_is_open_to_the_network_is_a_warning(configured: Callable[..., Patient]) -> None:
    patient = configured(api={'host': '0.0.0.0', 'allow_unauthenticated_network_access': 'true'})
    assert 'can register and delete storages' in worst(host.api_exposure, patient)


def test_a_port_of_somebody_else_is_a_problem(configured: Callable[..., Patient]) -> None:
    with socket.create_server(('127.0.0.1', 0)) as taken:
        port = taken.getsockname()[1]
        closer = threading.Thread(target=lambda: taken.accept()[0].close())
        closer.start()
        assert f'port {port}' in worst(host.api_port, configured(api={'port': port}))
        closer.join()


def test_a_port_with_a_delfin_is_well_and_one_without_anybody_a_warning(configured: Callable[..., Patient]) -> None:
    class Healthy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"status": "ok"}')

        def log_message(self, *args: Any) -> None:
            pass
    with HTTPServer(('127.0.0.1', 0), Healthy) as server:
        answering = threading.Thread(target=server.handle_request)
        answering.start()
        assert worst(host.api_port, configured(api={'port': server.server_port})) == ''
        answering.join()
    assert 'nobody listens' in worst(host.api_port, configured(api={'port': free_port()}))


@pytest.fixture
def with_tls(configured: Callable[..., Patient], tmp_path: Path) -> Callable[..., Patient]:
    """A patient whose API has this certificate."""
    def make(certificate: Certificate, **api: Any) -> Patient:
        for name, text in (('cert', certificate.pem), ('key', certificate.private_pem)):
            (tmp_path / name).touch(0o600)
            (tmp_path / name).write_text(text)
        return configured(DEFAULT={'transport_url': 'rabbit://u:p@127.0.0.1:1/'}, api={
            'tls_cert_file': tmp_path / 'cert', 'tls_key_file': tmp_path / 'key', **api})
    return make


def test_a_delfin_with_tls_is_known_by_its_certificate(with_tls: Callable[..., Patient]) -> None:
    ours, other = self_signed('127.0.0.1'), self_signed('127.0.0.1')
    with TlsServer(lambda request: Answer({}), ours) as server:
        assert worst(host.api_port, with_tls(ours, port=server.port)) == ''
        assert worst(host.api_port, with_tls(other, port=server.port)).startswith('problem')


@pytest.mark.parametrize(('days', 'says'), [(30, ''), (5, 'warning  api certificate: expires on'),
                                            (-1, 'problem  api certificate')])
def test_a_certificate_that_ends_soon_is_a_warning_and_one_that_has_ended_a_problem(
        with_tls: Callable[..., Patient], days: int, says: str) -> None:
    patient = with_tls(Authority().issue('127.0.0.1', days=(-9, days)))
    found = base.examine(patient.conf, [('API', [host.api_certificate])], 5)
    lines = [finding.line() for finding in found if finding.level is not Level.OK]
    assert len(lines) == bool(says) and ''.join(lines).startswith(says)


# --- the database ---

def test_a_missing_database_is_not_made_by_looking_for_it(configured: Callable[..., Patient], tmp_path: Path) -> None:
    patient = configured(DEFAULT={'state_path': tmp_path / 'other'})
    found = base.examine(patient.conf, [group for group in GROUPS if group[0] == 'database'], 5)
    assert len(found) == 1 and 'db upgrade' in found[0].message
    assert not (tmp_path / 'other').exists()


@pytest.mark.parametrize(('mounts', 'kind'), [
    ('/dev/sda1 / ext4 rw 0 0\nserver:/x /var nfs4 rw 0 0\n', 'nfs4'),
    ('server:/x / nfs rw 0 0\n/dev/sdb /var/lib xfs rw 0 0\n', 'xfs'),
    ('/dev/sda1 / ext4 rw 0 0\nserver:/x /var/lib\\040x cifs rw 0 0\n', 'ext4')])
def test_the_file_system_of_the_database_is_the_innermost(mounts: str, kind: str) -> None:
    assert database_checks.file_system(Path('/var/lib/delfin.sqlite'), mounts) == kind


def test_a_database_on_a_network_file_system_is_a_problem(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_checks, 'file_system', lambda path, mounts: 'nfs4')
    assert 'network file system (nfs4)' in worst(database_checks.database_file, patient)


def test_a_database_that_is_away_is_said_without_its_password(configured: Callable[..., Patient]) -> None:
    patient = configured(database={'connection': 'postgresql+psycopg://u:geheim@127.0.0.1:1/d'})
    found = base.examine(patient.conf, [group for group in GROUPS if group[0] == 'database'], 10)
    assert [finding.check for finding in found] == ['database answers']
    assert '127.0.0.1:1/d cannot be used' in found[0].message and 'geheim' not in repr(found)


def test_an_old_schema_comes_with_the_command(patient: Patient, database: Database) -> None:
    with database.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0001'"))
    with pytest.raises(Unreachable, match='db upgrade'):
        list(database_checks.schema_version(patient))


@pytest.mark.parametrize(('seconds', 'says'), [(0, ''), (100, 'behind'), (-100, 'ahead of')])
def test_a_clock_that_is_wrong_is_a_warning(patient: Patient, monkeypatch: pytest.MonkeyPatch, seconds: int,
                                            says: str) -> None:
    now = engine.now
    monkeypatch.setattr(engine, 'now', lambda connection: now(connection) + timedelta(seconds=seconds))
    assert says in worst(database_checks.clock, patient)


def test_a_secret_of_a_lost_key_names_storage_and_key(patient: Patient, database: Database, keyring: Keyring,
                                                      key_file: Path) -> None:
    storage_id = with_secret(database, keyring)
    lost = keyring.key_ids()[0]
    assert worst(database_checks.secrets_and_keys, patient) == ''
    write_key_file(key_file, dict([new_key()]))
    found = worst(database_checks.secrets_and_keys, patient)
    assert f'key {lost}, which secrets of storage {storage_id} need' in found and 'backup' in found


def test_a_secret_whose_key_was_pruned_says_where_the_key_is(patient: Patient, database: Database, keyring: Keyring,
                                                            key_file: Path) -> None:
    with_secret(database, keyring)
    keyring.add_newest()
    keyring.drop(keyring.keys().old_ids)
    assert f'put its line from {key_file}.pruned back' in worst(database_checks.secrets_and_keys, patient)


def with_secret(database: Database, keyring: Keyring) -> str:
    storage_id = support.add_storage(database)
    with database.write() as connection:
        storages.set_access(connection, storage_id, {'rest': {
            'password': keyring.seal('x', place(storage_id, 'rest', 'password'))}})
    return storage_id


# --- nodes and storages ---

@pytest.fixture
def living(database: Database, keyring: Keyring) -> None:
    """A node that is well."""
    join(database, 'node-1', keyring.key_ids())


def join(database: Database, name: str, key_ids: list[str], seconds: float = 60, version: str | None = None) -> None:
    with database.write() as connection:
        ownership.join(connection, ownership.Node(name, 'boot', version or version_string()), key_ids, seconds)


def change(database: Database, table: sa.Table, **values: Any) -> None:
    with database.write() as connection:
        connection.execute(sa.update(table), values)


def ago(database: Database, age: timedelta) -> Any:
    with database.read() as connection:
        return engine.now(connection) - age


def test_a_good_fleet_has_nothing_but_good_findings(patient: Patient, database: Database, living: None,
                                                   storage_id: str) -> None:
    assert [worst(check, patient) for check in fleet.CHECKS if check is not fleet.node_names] == (
        [''] * (len(fleet.CHECKS) - 1))


def test_without_a_living_task_service_nothing_works(patient: Patient) -> None:
    assert 'no task service is alive' in worst(fleet.task_services, patient)


def test_a_dead_node_is_named(patient: Patient, database: Database, living: None) -> None:
    join(database, 'node-2', [], -1)
    assert 'node node-2 has been silent since' in worst(fleet.task_services, patient)


def test_a_node_of_another_version_is_named(patient: Patient, database: Database, keyring: Keyring) -> None:
    join(database, 'node-2', keyring.key_ids(), version='0.0.0')
    assert 'node node-2 runs version 0.0.0' in worst(fleet.node_versions, patient)


def test_a_node_without_our_key_is_a_problem(patient: Patient, database: Database) -> None:
    join(database, 'node-2', ['feedbeef'])
    assert re.match(r'problem .* node node-2 does not have key', worst(fleet.node_keys, patient))


def test_a_node_that_seals_with_a_key_unknown_here_is_a_problem(patient: Patient, database: Database,
                                                               keyring: Keyring) -> None:
    join(database, 'node-2', ['feedbeef', *keyring.key_ids()])
    assert 'copy its key file to this host' in worst(fleet.node_keys, patient)


def test_a_node_that_still_seals_with_the_old_key_is_a_warning(patient: Patient, database: Database,
                                                              keyring: Keyring) -> None:
    old = keyring.key_ids()
    keyring.add_newest()
    join(database, 'node-2', [*old, keyring.keys().sealing_id])
    assert re.match(r'warning .* node node-2 still seals', worst(fleet.node_keys, patient))


def test_an_array_of_a_dead_node_is_named(patient: Patient, database: Database, living: None, storage_id: str) -> None:
    change(database, models.ownership, node='node-9')
    assert f'nobody looks after storage {storage_id}' in worst(fleet.storage_owners, patient)


def test_a_quarantined_array_is_named(patient: Patient, database: Database, living: None, storage_id: str) -> None:
    change(database, models.storages, quarantined_until=ago(database, -MINUTE))
    assert storage_id in worst(fleet.quarantine, patient)


def test_an_array_that_failed_once_is_no_finding_and_one_that_fails_for_a_day_is(
        patient: Patient, database: Database, living: None, storage_id: str) -> None:
    with database.write() as connection:
        connection.execute(sa.insert(models.sync_failures), {
            'storage_id': storage_id, 'kind': 'volumes', 'failed_at': engine.now(connection)})
    assert worst(fleet.failing_storages, patient) == ''
    change(database, models.storages, created_at=ago(database, 2 * DAY))
    assert storage_id in worst(fleet.failing_storages, patient)


@pytest.mark.parametrize(('age', 'found'), [(MINUTE, False), (10 * MINUTE, True)])
def test_a_sync_that_waits_for_minutes_is_a_problem(patient: Patient, database: Database, living: None,
                                                    storage_id: str, age: timedelta, found: bool) -> None:
    from delfin.db import runs
    with database.write() as connection:
        runs.request(connection, storage_id, (), runs.SCHEDULE)
    change(database, models.sync_runs, not_before=ago(database, age))
    assert (storage_id in worst(fleet.waiting_syncs, patient)) == found


def test_a_removal_that_does_not_end_is_named(patient: Patient, database: Database, storage_id: str) -> None:
    with database.write() as connection:
        storages.hide(connection, storage_id)
    change(database, models.storages, deleted_at=ago(database, 10 * MINUTE))
    assert storage_id in worst(fleet.unfinished_removals, patient)


def test_two_task_services_of_one_name_are_found(patient: Patient, database: Database, keyring: Keyring, living: None,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    """Each beats right after the other: whoever looks in between sees only one of them."""
    monkeypatch.setattr(fleet.time, 'sleep', lambda seconds: join(database, 'node-1', keyring.key_ids()))
    assert 'more than one task service is called node-1' in worst(fleet.node_names, patient)


def test_a_task_service_that_goes_on_is_not_taken_for_two(patient: Patient, database: Database, keyring: Keyring,
                                                         living: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def beat(seconds: float) -> None:
        with database.write() as connection:
            ownership.renew(connection, ownership.Node('node-1', 'boot', version_string()), keyring.key_ids(), 60)
    monkeypatch.setattr(fleet.time, 'sleep', beat)
    assert worst(fleet.node_names, patient) == ''


# --- the broker ---

def test_the_default_account_of_the_broker_is_a_warning(configured: Callable[..., Patient]) -> None:
    patient = configured(DEFAULT={'transport_url': 'rabbit://guest:guest@127.0.0.1:1/delfin'})
    assert 'account guest' in worst(broker.transport_url, patient)


def test_queues_on_one_node_of_the_broker_are_a_warning(configured: Callable[..., Patient]) -> None:
    url = {'transport_url': 'rabbit://delfin:secret@127.0.0.1:1/delfin'}
    assert 'rabbit_quorum_queue and rabbit_transient_quorum_queue should be true' in worst(
        broker.broker_queues, configured(DEFAULT=url))
    assert worst(broker.broker_queues, configured(DEFAULT=url, oslo_messaging_rabbit={
        'rabbit_quorum_queue': 'true', 'rabbit_transient_quorum_queue': 'true'})) == ''


def test_a_broker_that_is_away_is_said_once_and_without_its_password(configured: Callable[..., Patient]) -> None:
    port = free_port()
    patient = configured(DEFAULT={'transport_url': f'rabbit://delfin:geheim@127.0.0.1:{port}/delfin'})
    found = base.examine(patient.conf, [('broker', broker.CHECKS)], 5)
    assert f'127.0.0.1:{port} (Connection refused) cannot be reached' in found[-1].message
    assert 'geheim' not in repr(found)


def test_one_dead_node_of_the_broker_is_a_warning(configured: Callable[..., Patient]) -> None:
    with closing(socket.create_server(('127.0.0.1', 0))) as alive:
        patient = configured(DEFAULT={'transport_url': f'rabbit://u:p@127.0.0.1:{free_port()},'
                                      f'u:p@127.0.0.1:{alive.getsockname()[1]}/'})
        assert worst(broker.broker_reachable, patient).startswith('warning')


def test_a_transport_that_is_none_is_a_problem_without_the_url(configured: Callable[..., Patient]) -> None:
    patient = configured(DEFAULT={'transport_url': 'rabbit://u:geheim@host:port/'})
    found = base.examine(patient.conf, [('broker', broker.CHECKS)], 5)
    assert found and all(finding.level is Level.PROBLEM and 'geheim' not in finding.message for finding in found)


@pytest.fixture(autouse=True)
def rpc_options(conf: cfg.ConfigOpts) -> None:
    """Made known before a test changes them."""
    rpc.register(conf)


# --- traps and exporters ---

def test_an_address_to_listen_at_that_is_none_is_named(configured: Callable[..., Patient]) -> None:
    assert "'nonsense' is not an address and a port" in worst(
        alerting.trap_addresses, configured(alerts={'listen': '127.0.0.1:162,nonsense'}))


def test_who_listens_nowhere_is_told(configured: Callable[..., Patient]) -> None:
    assert 'listen is empty' in worst(alerting.trap_addresses, configured(alerts={'listen': ''}))


def test_an_agent_that_does_not_answer_is_named(patient: Patient) -> None:
    storage_id = support.add_storage(patient.database)
    with patient.database.write() as connection:
        alert_sources.put(connection, storage_id, {'host': '192.0.2.1', 'version': 'SNMPv2c'})
    assert worst(alerting.silent_agents, patient) == ''
    with patient.database.write() as connection:
        alert_sources.note_probe(connection, storage_id, alert_sources.FAILED, 'no answer')
    assert storage_id in worst(alerting.silent_agents, patient)


def test_refused_traps_of_configured_senders_are_a_warning_and_those_of_strangers_are_not(patient: Patient) -> None:
    storage_id = support.add_storage(patient.database)
    with patient.database.write() as connection:
        alert_sources.put(connection, storage_id, {'host': '192.0.2.1, a', 'version': 'SNMPv2c'})
        moment = now(connection)
        traps.add_rejected(connection, [traps.Count('198.51.100.7', 'unknown_sender', 9, moment, moment)])
    assert worst(alerting.refused_traps, patient) == ''
    with patient.database.write() as connection:
        traps.add_rejected(connection, [traps.Count('192.0.2.1', 'wrong_community', 1, moment, moment)])
    assert '192.0.2.1 (wrong_community)' in worst(alerting.refused_traps, patient)


def test_a_trap_that_no_driver_could_read_is_a_warning(patient: Patient) -> None:
    with patient.database.write() as connection:
        traps.add_failed(connection, [traps.Failed(now(connection), '192.0.2.1', ('a',), 'SNMPv2c', {}, 'a bug')],
                         'node-1', 10)
    assert 'a bug' in worst(alerting.failed_traps, patient)


def test_exporters_are_well_fail_or_are_run_by_nobody(patient: Patient) -> None:
    with patient.database.write() as connection:
        exports.claim(connection, 'webhook', 'node-1', 60, events=True)
    assert worst(alerting.exporting, patient) == ''
    with patient.database.write() as connection:
        exports.failed(connection, 'webhook', 'refused')
    assert 'exporter webhook of alerts fails, 0 events wait: refused' in worst(alerting.exporting, patient)
    with patient.database.write() as connection:
        exports.worked(connection, 'webhook')
        exports.release(connection, ['webhook'], 'node-1')
    assert 'no node runs exporter webhook of alerts' in worst(alerting.exporting, patient)


def test_metrics_that_wait_for_an_exporter_are_a_warning(patient: Patient) -> None:
    with patient.database.write() as connection:
        exports.claim(connection, 'file', 'node-1', 60, events=True, stream=exports.METRICS)
        exports.put_points(connection, [exports.Points(b'points', 1_000_001)])
    assert '1000001 points wait for exporter file of metrics' in worst(alerting.exporting, patient)


def test_metrics_that_cannot_be_collected_are_a_warning(patient: Patient) -> None:
    storage_id = support.add_storage(patient.database)
    assert worst(fleet.metric_collections, patient) == ''
    with patient.database.write() as connection:
        metrics.finish(connection, storage_id, 1e9, 1e9, 'failed', 'no answer', [], None)
    assert storage_id in worst(fleet.metric_collections, patient)
