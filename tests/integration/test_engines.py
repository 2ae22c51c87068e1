# SPDX-License-Identifier: Apache-2.0
"""The engines themselves: each one really starts, answers a real client, survives what it should
and leaves nothing."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import amqp
import paramiko
import pytest
import requests
import sqlalchemy as sa

from tests.engines import (
    Account,
    DatabaseEngine,
    Engine,
    EngineError,
    MariaDB,
    NotPossible,
    PostgreSQL,
    RabbitMQ,
    Sshd,
)
from tests.engines.alertmanager import Alertmanager
from tests.engines.base import wait_until
from tests.engines.plugin import require
from tests.engines.snmp import (
    SYS_LOCATION,
    TRAP_OID,
    USERS,
    Snmpd,
    Snmptrapd,
    User,
    Variable,
    get,
    send_trap,
)
from tests.traps import Generator, Traffic

ROOT = Path(__file__).resolve().parents[2]
ENGINES = [PostgreSQL, MariaDB, RabbitMQ, Sshd, Alertmanager, Snmpd, Snmptrapd]
TEXT = 'Größe 容量 💾'


def processes_of(directory: Path) -> list[str]:
    """Every process that was started for the engine in the directory."""
    found = []
    for process in Path('/proc').glob('[0-9]*'):
        with contextlib.suppress(OSError):
            traces = (process / 'cmdline').read_bytes() + (process / 'environ').read_bytes()
            if str(directory).encode() in traces or str(directory) in os.readlink(process / 'cwd'):
                found.append((process / 'stat').read_text())
    return found


def shared_memory_of(directory: Path) -> set[str]:
    """The System V segment that the engine names as its own (only PostgreSQL has one)."""
    try:
        return {(directory / 'home/data/postmaster.pid').read_text().splitlines()[6].split()[1]}
    except FileNotFoundError:
        return set()


def shared_memory() -> set[str]:
    return {row.split()[1] for row in Path('/proc/sysvipc/shm').read_text().splitlines()[1:]}


def accounts() -> set[str]:
    lines = Path('/etc/passwd').read_text() + Path('/etc/group').read_text()
    return {line.split(':')[0] for line in lines.splitlines() if line.startswith('delfintest')}


def user_of(engine: Engine) -> int:
    """The user id under which the server's processes run."""
    [uid] = {
        os.stat(f'/proc/{line.split()[0]}').st_uid
        for line in processes_of(engine.directory)
        if '(python' not in line  # its keeper
    }
    return uid


@pytest.fixture(params=ENGINES, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> type[Engine]:
    kind: type[Engine] = request.param
    require(kind)
    return kind


@pytest.fixture
def running(kind: type[Engine], request: pytest.FixtureRequest) -> Engine:
    """The engine of the session, for looking only."""
    engine: Engine = request.getfixturevalue(kind.__name__.lower())
    return engine


@pytest.fixture(scope='module', params=[PostgreSQL, MariaDB], ids=lambda kind: kind.name)
def database_engine(request: pytest.FixtureRequest) -> Iterator[DatabaseEngine]:
    """One of our own: these tests stop and kill it."""
    require(request.param)
    with request.param() as engine:
        yield engine


class TestEveryEngine:
    def test_whatever_way_it_ends_it_leaves_nothing(self, kind: type[Engine]) -> None:
        with kind() as engine:
            directory = engine.directory
            assert processes_of(directory)
            engine.stop()
            assert not processes_of(directory)
            engine.start()
            engine.check()
            assert processes_of(directory)
            engine.kill()
            assert not processes_of(directory)
            memory = shared_memory_of(directory)
            assert bool(memory) == (kind is PostgreSQL)
            assert memory <= shared_memory()  # a crash does leave it
        assert not directory.exists()
        assert not memory & shared_memory()

    def test_two_of_a_kind_do_not_meet(self, kind: type[Engine], running: Engine) -> None:
        with kind() as other:
            assert not set(running.ports) & set(other.ports)
            running.check()
            own, other.ports = other.ports, running.ports
            with pytest.raises(Exception, match='belongs to|greets with'):
                other.check()  # it meets a stranger on its port and notices
            other.ports = own
            other.check()
            other.kill()
            running.check()

    def test_it_listens_on_the_loopback_only(self, running: Engine) -> None:
        protocol, listens = (
            ('udp', '07') if isinstance(running, Snmpd | Snmptrapd) else ('tcp', '0A')
        )
        table = ''.join(Path(f'/proc/net/{protocol}{kind}').read_text() for kind in ('', '6'))
        for port in running.ports:
            hosts = {
                row.split()[1].split(':')[0]
                for row in table.splitlines()
                if f':{port:04X} ' in row and row.split()[3] == listens
            }
            assert hosts
            assert hosts <= {'0100007F', '00000000000000000000000001000000'}

    def test_it_keeps_out_of_the_common_shared_memory(self, running: Engine) -> None:
        for line in processes_of(running.directory):
            assert '/dev/shm/' not in Path(f'/proc/{line.split()[0]}/maps').read_text()

    def test_only_sshd_is_root(self, running: Engine) -> None:
        is_root = user_of(running) == 0
        assert is_root == (os.geteuid() == 0 and isinstance(running, Sshd))

    def test_a_killed_test_process_leaves_nothing(self, kind: type[Engine]) -> None:
        program = (
            f'from tests.engines import *; from {kind.__module__} import {kind.__name__}\n'
            f'engine = {kind.__name__}().start()\n'
            'import os\n'
            'if isinstance(engine, Sshd) and os.geteuid() == 0: engine.password_user()\n'
            'print(engine.directory, flush=True); input()\n'
        )
        with subprocess.Popen(
            [sys.executable, '-c', program],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            directory = Path(process.stdout.readline().strip())
            assert processes_of(directory)
            memory = shared_memory_of(directory)
            users = {name for name in accounts() if (directory / 'home' / name).exists()}
            assert bool(users) == (kind is Sshd and os.geteuid() == 0)
            process.kill()
            assert wait_until(lambda: not processes_of(directory) and not directory.exists(), 30)
        assert not users & accounts()
        assert not memory & shared_memory()

    def test_a_dead_server_says_why(self, kind: type[Engine]) -> None:
        class Broken(kind):  # type: ignore[misc, valid-type]
            def commands(self) -> list[list[str]]:
                *others, server = super().commands()
                if kind is RabbitMQ:
                    self.write('rabbitmq.conf', 'no_such_option = 1\n')
                    return [*others, server]
                if kind in (Snmpd, Snmptrapd):  # only warn of an option that they do not know
                    return [*others, [*server, 'nosuchtransport:1']]
                return [*others, [*server, '--no-such-option']]

        with pytest.raises(EngineError, match='(?s)ended at its start; the end of its log:.*[a-z]'):
            Broken().start()


class TestDatabases:
    def test_databases_are_fresh_and_hold_any_text(self, database_url: str) -> None:
        engine = sa.create_engine(database_url, poolclass=sa.NullPool)
        table = sa.Table('t', sa.MetaData(), sa.Column('text', sa.String(50)))
        assert not sa.inspect(engine).get_table_names()
        table.metadata.create_all(engine)
        with engine.begin() as connection:
            connection.execute(table.insert().values(text=TEXT))
            assert connection.execute(sa.select(table)).scalar_one() == TEXT

    def test_what_is_committed_survives_sigkill(self, database_engine: DatabaseEngine) -> None:
        database_engine.start()
        with database_engine.database() as url:
            engine = sa.create_engine(url)
            with engine.begin() as connection:
                connection.execute(sa.text('CREATE TABLE t (n INTEGER)'))
                connection.execute(sa.text('INSERT INTO t VALUES (7)'))
            with engine.connect() as connection:
                database_engine.kill()
                with pytest.raises(sa.exc.DBAPIError):
                    connection.execute(sa.text('SELECT n FROM t'))
            database_engine.start()
            with engine.connect() as connection:
                assert connection.execute(sa.text('SELECT n FROM t')).scalar_one() == 7
            engine.dispose()

    def test_a_stop_does_not_wait_for_clients(self, database_engine: DatabaseEngine) -> None:
        database_engine.start()
        with database_engine.database() as url:
            engine = sa.create_engine(url)
            connection = engine.connect()
            connection.execute(sa.text('SELECT 1'))
            database_engine.stop()
            connection.invalidate()
            connection.close()
            engine.dispose()

    def test_a_database_is_gone_afterwards_also_one_in_use(
        self, database_engine: DatabaseEngine
    ) -> None:
        database_engine.start()
        with database_engine.database() as url:
            engine = sa.create_engine(url)
            connection = engine.connect()
            connection.execute(sa.text('SELECT 1'))
        with contextlib.suppress(sa.exc.DBAPIError):
            connection.close()
        engine.dispose()
        with pytest.raises(sa.exc.DBAPIError), sa.create_engine(url).connect():
            pass

    def test_a_database_can_have_a_given_name(self, database_engine: DatabaseEngine) -> None:
        database_engine.start()
        assert database_engine.create_database('given_name') == database_engine.url('given_name')
        database_engine.drop_database('given_name')
        database_engine.drop_database('given_name')
        with pytest.raises(ValueError, match='plain lower-case'):
            database_engine.create_database('x; DROP DATABASE y')


# What Delfin does with it: a call through oslo.messaging, in a process of its own because the
# library keeps state for the whole process.
RPC = """
import sys
import oslo_messaging
from oslo_config import cfg

class Endpoint:
    def double(self, context, number):
        return 2 * number

cfg.CONF([])
transport = oslo_messaging.get_rpc_transport(cfg.CONF, url=sys.argv[1])
target = oslo_messaging.Target(topic='t', server='s')
server = oslo_messaging.get_rpc_server(transport, target, [Endpoint()], executor='threading')
server.start()
client = oslo_messaging.get_rpc_client(transport, oslo_messaging.Target(topic='t'), timeout=20)
print(client.call({}, 'double', number=21))
server.stop()
server.wait()
"""


class TestRabbitMQ:
    def test_remote_calls_work(self, rabbitmq: RabbitMQ) -> None:
        for url in (rabbitmq.url(), rabbitmq.create_vhost()):
            done = subprocess.run(
                [sys.executable, '-c', RPC, url], capture_output=True, text=True, timeout=60
            )
            assert done.stdout == '42\n', done.stderr

    def test_virtual_hosts_come_and_go(self, rabbitmq: RabbitMQ) -> None:
        url = rabbitmq.create_vhost('some-name')
        assert url == rabbitmq.url('some-name')
        rabbitmq.delete_vhost('some-name')
        with pytest.raises(EngineError, match='some-name'):
            rabbitmq.delete_vhost('some-name')

    def test_a_confirmed_message_survives_sigkill(self) -> None:
        require(RabbitMQ)
        with RabbitMQ() as engine:
            queue = {'queue': 'kept', 'durable': True, 'auto_delete': False}
            with self.channel(engine) as channel:
                channel.queue_declare(**queue)
                # The broker answers before the declaration is on its disk; only messages have a
                # confirmation that means it.
                engine.run([engine.program('rabbitmqctl'), 'eval', 'mnesia:sync_log().'])
                message = amqp.Message(TEXT, delivery_mode=2)
                channel.basic_publish_confirm(message, routing_key='kept')
            engine.kill()
            engine.start()
            with self.channel(engine) as channel:
                channel.queue_declare(**queue)
                assert channel.basic_get('kept', no_ack=True).body == TEXT

    @contextlib.contextmanager
    def channel(self, engine: RabbitMQ) -> Iterator[amqp.Channel]:
        with amqp.Connection(f'127.0.0.1:{engine.port}', confirm_publish=True) as connection:
            yield connection.channel()


class TestSshd:
    @contextlib.contextmanager
    def client(
        self, sshd: Sshd, username: str, kind: str = 'ed25519', **credentials: object
    ) -> Iterator[paramiko.SSHClient]:
        """Log in; only the host key of that kind is accepted."""
        name, key = sshd.host_keys[kind].split()
        client = paramiko.SSHClient()
        line = paramiko.hostkeys.HostKeyEntry.from_line(f'[127.0.0.1]:{sshd.port} {name} {key}')
        assert line is not None
        client.get_host_keys().add(line.hostnames[0], name, line.key)
        options = {'look_for_keys': False, 'allow_agent': False, 'timeout': 20} | credentials
        with client:
            client.connect('127.0.0.1', sshd.port, username, **options)
            yield client

    def output(self, client: paramiko.SSHClient, command: str) -> str:
        output: str = client.exec_command(command, timeout=20)[1].read().decode()
        return output

    def key(self, sshd: Sshd) -> paramiko.PKey:
        return paramiko.Ed25519Key.from_private_key(io.StringIO(sshd.client_key))

    @pytest.mark.parametrize('kind', ['ed25519', 'ecdsa', 'rsa'])
    def test_a_key_logs_in_and_each_host_key_is_right(self, sshd: Sshd, kind: str) -> None:
        with self.client(sshd, sshd.username, kind, pkey=self.key(sshd)) as client:
            assert self.output(client, 'id -un').strip() == sshd.username
            assert f'127.0.0.1 {sshd.port}' in self.output(client, 'echo $SSH_CONNECTION')

    def test_the_encrypted_key_needs_its_passphrase(self, sshd: Sshd) -> None:
        text = sshd.client_key_encrypted
        with pytest.raises(paramiko.PasswordRequiredException):
            paramiko.Ed25519Key.from_private_key(io.StringIO(text))
        key = paramiko.Ed25519Key.from_private_key(io.StringIO(text), sshd.passphrase)
        with self.client(sshd, sshd.username, pkey=key) as client:
            assert client.open_sftp().listdir('/')

    def test_the_fingerprint_is_that_of_openssh(self, sshd: Sshd) -> None:
        for kind, line in sshd.host_keys.items():
            told = sshd.run(['ssh-keygen', '-l', '-f', '-'], stdin=line)
            assert told.split()[1] == sshd.fingerprint(kind)

    def test_a_password_logs_in_and_a_wrong_one_does_not(
        self, sshd: Sshd, sshd_password_user: Account
    ) -> None:
        username, password = sshd_password_user
        with self.client(sshd, username, password=password) as client:
            assert self.output(client, 'id -un; pwd').split() == [
                username,
                str(sshd.home / username),
            ]
        for _ in range(3):
            with (
                pytest.raises(paramiko.AuthenticationException),
                self.client(sshd, username, password='wrong'),
            ):
                pass

    def test_a_kill_ends_sessions_and_a_start_allows_new_ones(self) -> None:
        require(Sshd)
        with Sshd() as sshd:
            key = self.key(sshd)
            with self.client(sshd, sshd.username, pkey=key) as client:
                client.exec_command('exec sleep 1000')
                sshd.kill()
                transport = client.get_transport()
                assert wait_until(lambda: not (transport and transport.is_active()), 20)
            sshd.start()
            with self.client(sshd, sshd.username, pkey=key) as client:
                assert self.output(client, 'echo $0')

    @pytest.mark.skipif(os.geteuid() != 0, reason='only root makes accounts')
    def test_accounts_and_logins_are_gone_afterwards(self) -> None:
        require(Sshd)
        with Sshd() as sshd:
            account = sshd.password_user()
            assert account.username in accounts()
            with self.client(sshd, *account[:1], password=account.password) as client:
                client.exec_command('exec sleep 1000')
                directory = sshd.directory
                sshd.close()
        assert account.username not in accounts()
        assert not processes_of(directory)

    @pytest.mark.skipif(os.geteuid() != 0, reason='only root makes accounts')
    def test_accounts_without_a_directory_are_swept(self) -> None:
        require(Sshd)
        name = f'delfintest{os.getpid()}'
        home = f'/tmp/delfin-engine-sshd-{os.getpid()}/home/{name}'
        command = ['useradd', '--system', '--no-create-home', '--home-dir', home, name]
        subprocess.run(command, check=True, timeout=60)
        Sshd.sweep()
        assert name not in accounts()

    @pytest.mark.skipif(os.geteuid() == 0, reason='root can')
    def test_without_root_there_is_no_password(self, sshd: Sshd) -> None:
        with pytest.raises(NotPossible, match='only root'):
            sshd.password_user()


class TestAlertmanager:
    def test_a_posted_alert_is_listed_until_it_is_resolved(
        self, alertmanager: Alertmanager
    ) -> None:
        self.post(alertmanager, {'alertname': 'pool full', 'n': '1'}, '2099-01-01T00:00:00Z')
        [alert] = alertmanager.alerts(filter='n="1"')
        assert alert['labels'] == {'alertname': 'pool full', 'n': '1'}
        assert alert['status']['state'] == 'active'
        assert alertmanager.alerts(active=False) == []
        resolved = alertmanager.received()['resolved']
        self.post(alertmanager, {'alertname': 'pool full', 'n': '1'}, '2001-01-01T00:00:00Z')
        assert alertmanager.alerts(filter='n="1"') == []
        assert alertmanager.received()['resolved'] == resolved + 1

    def post(self, alertmanager: Alertmanager, labels: dict[str, str], ends_at: str) -> None:
        alert = {'labels': labels, 'startsAt': '2000-01-01T00:00:00Z', 'endsAt': ends_at}
        answer = requests.post(f'{alertmanager.url}/api/v2/alerts', json=[alert], timeout=20)
        assert answer.status_code == 200, answer.text


class TestSnmpd:
    @pytest.mark.parametrize('host', ['127.0.0.1', '::1'])
    def test_communities_and_users_of_each_level_are_told(
        self, snmpd: Snmpd, tmp_path: Path, host: str
    ) -> None:
        if host not in snmpd.hosts:
            pytest.skip(f'this machine has no {host}')
        location = get(snmpd.port, SYS_LOCATION, tmp_path, host=host, community='public')
        assert location == snmpd.directory.name
        for user in snmpd.users:
            assert get(snmpd.port, SYS_LOCATION, tmp_path, host=host, user=user) == location

    def test_strangers_are_told_nothing(self, snmpd: Snmpd, tmp_path: Path) -> None:
        with pytest.raises(EngineError, match='Timeout'):
            get(snmpd.port, SYS_LOCATION, tmp_path, community='wrong', timeout_seconds=0.3)
        _, signed, _ = snmpd.users
        forger = signed._replace(auth=('SHA', 'another-phrase'))
        with pytest.raises(EngineError, match='Authentication failure'):
            get(snmpd.port, SYS_LOCATION, tmp_path, user=forger)


PROTOCOLS = [
    *((name, None) for name in ('MD5', 'SHA', 'SHA-224', 'SHA-256', 'SHA-384', 'SHA-512')),
    *(('SHA', name) for name in ('DES', 'AES', 'AES-192', 'AES-256', 'AES-192-C', 'AES-256-C')),
]


class TestSnmptrapd:
    """And the commands that send to it."""

    def variable(self, text: str) -> Variable:
        return Variable('1.3.6.1.4.1.32473.1.8.0', 's', text)

    def logged(self, snmptrapd: Snmptrapd, text: str) -> str:
        """The line with the variables of the one trap that has the text."""
        assert wait_until(lambda: any(text in line for line in snmptrapd.traps()), 20)
        [line] = (line for line in snmptrapd.traps() if text in line)
        return line

    @pytest.mark.parametrize('version', ['1', '2c'])
    def test_a_trap_is_logged_with_the_address_it_came_from(
        self, snmptrapd: Snmptrapd, version: str
    ) -> None:
        text = f'fan {version}'
        sent = send_trap(
            snmptrapd.port, version=version, source='127.0.9.9', variables=[self.variable(text)]
        )
        assert (sent.returncode, sent.stderr) == (0, '')
        assert (TRAP_OID in self.logged(snmptrapd, text)) == (version == '2c')
        assert '[127.0.9.9]:' in snmptrapd.log.read_text()

    def test_an_inform_fails_unless_it_is_answered(self, snmptrapd: Snmptrapd) -> None:
        sent = send_trap(snmptrapd.port, inform=True, variables=[self.variable('answered')])
        assert sent.returncode == 0
        self.logged(snmptrapd, 'answered')
        refused = send_trap(
            snmptrapd.port, inform=True, community='wrong', timeout_seconds=0.3
        )
        assert (refused.returncode, 'Timeout' in refused.stderr) == (1, True)

    def test_traps_and_informs_of_users_with_every_protocol(self) -> None:
        require(Snmptrapd)
        engine_id = '80007ed9017f000909'
        users = [
            User(
                f'{auth}/{privacy}',
                (auth, 'signing-phrase'),
                (privacy, 'sealing-phrase') if privacy else None,
            )
            for auth, privacy in PROTOCOLS
        ]
        with Snmptrapd(users=[User('plain'), *users], engine_ids=[engine_id]) as snmptrapd:
            for user in snmptrapd.users:
                trap, inform = (self.variable(f'{user.user} {kind}.') for kind in ('trap', 'inform'))
                send_trap(
                    snmptrapd.port,
                    version='3',
                    engine_id=engine_id,
                    variables=[trap],
                    **user._asdict(),
                )
                sent = send_trap(
                    snmptrapd.port, version='3', inform=True, variables=[inform], **user._asdict()
                )
                assert sent.returncode == 0, sent.stderr
                self.logged(snmptrapd, trap.value)
                self.logged(snmptrapd, inform.value)
            send_trap(
                snmptrapd.port,
                version='3',
                engine_id='80007ed9017f000a0a',
                variables=[self.variable('of another engine')],
                **user._asdict(),
            )
            snmptrapd.check()  # what was sent before has been seen
            assert not [line for line in snmptrapd.traps() if 'of another engine' in line]

    @pytest.mark.parametrize('user', [None, *USERS], ids=lambda user: user.user if user else 'v2c')
    def test_the_traps_of_the_generator_are_believed(self, user: User | None) -> None:
        require(Snmptrapd)
        traffic = Traffic(0, sources=3, user=user)
        with Snmptrapd(engine_ids=traffic.engine_ids) as snmptrapd:
            with Generator(dataclasses.replace(traffic, port=snmptrapd.port)) as generator:
                generator.burst(4)
                generator.paced(200, seconds=0.02)
            assert wait_until(lambda: len(snmptrapd.traps()) >= 8, 20)
            number = re.compile(r'32473\.1\.6\.0 = STRING: "0*(\d+)"')
            numbers = number.findall('\n'.join(snmptrapd.traps()))
            assert sorted(numbers) == [str(number) for number in range(8)]
            assert all(f'[{one}]:' in snmptrapd.log.read_text() for one in traffic.addresses)

    def test_its_own_check_is_not_among_the_traps(self, snmptrapd: Snmptrapd) -> None:
        before = len(snmptrapd.traps())
        snmptrapd.check()
        assert len(snmptrapd.traps()) == before


def test_ctrl_c_at_the_start_leaves_nothing(kind: type[Engine]) -> None:
    """An interruption while the server starts."""
    engine = kind()
    seen: list[Path] = []

    def interrupt() -> None:
        seen.append(engine.directory)
        signal.raise_signal(signal.SIGINT)

    engine.check = interrupt  # type: ignore[method-assign]
    # A shell that puts the tests into the background makes everything below it ignore Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            engine.start()
    finally:
        signal.signal(signal.SIGINT, before)
    assert not seen[0].exists()
    assert not processes_of(seen[0])
