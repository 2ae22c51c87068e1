# SPDX-License-Identifier: Apache-2.0
"""The driver `linux host` over a real OpenSSH server: logging in, trusting host keys, staying connected."""

from __future__ import annotations

import contextlib
import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paramiko
import pytest

from delfin import cryptor, exception
from delfin.drivers.linux import LinuxHostDriver
from delfin.drivers.linux.runner import SshRunner, ToolMissing
from delfin.drivers.utils.ssh_connection import SSHSettings
from tests.engines import Account, Sshd

KINDS = ('list_controllers', 'list_disks', 'list_storage_pools', 'list_volumes', 'list_filesystems', 'list_ports')
WRONG_FINGERPRINT = 'SHA256:' + 'A' * 43


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own for the service's user, so that no known_hosts of this machine counts."""
    monkeypatch.setenv('HOME', str(tmp_path))
    (tmp_path / '.ssh').mkdir()
    return tmp_path


@pytest.fixture
def known_hosts(home: Path) -> Path:
    return home / '.ssh' / 'known_hosts'


@pytest.fixture
def access(sshd: Sshd) -> dict[str, Any]:
    """Access information that works: the client's key, the host key by its fingerprint."""
    return {'host': '127.0.0.1', 'port': sshd.port, 'username': sshd.username,
            'private_key': cryptor.encode(sshd.client_key), 'fingerprint': sshd.fingerprint(), 'timeout': 10}


@pytest.fixture
def connect() -> Iterator[Callable[..., LinuxHostDriver]]:
    """Makes drivers and logs them out at the end."""
    drivers = []

    def make(access: dict[str, Any], **changes: Any) -> LinuxHostDriver:
        ssh = {name: value for name, value in (access | changes).items() if value is not None}
        drivers.append(LinuxHostDriver(storage_id='1', ssh=ssh))
        return drivers[-1]

    yield make
    for driver in drivers:
        driver.delete_storage(None)


Connect = Callable[..., LinuxHostDriver]


def works(driver: LinuxHostDriver) -> bool:
    return bool(driver.list_controllers(None))


# --- logging in ---

def test_a_key_logs_in(access: dict[str, Any], connect: Connect) -> None:
    assert works(connect(access))


def test_an_encrypted_key_logs_in_with_its_passphrase(sshd: Sshd, access: dict[str, Any], connect: Connect) -> None:
    assert works(connect(access, private_key=cryptor.encode(sshd.client_key_encrypted),
                         passphrase=cryptor.encode(sshd.passphrase)))


@pytest.mark.parametrize(('passphrase', 'message'), [
    (None, 'it is encrypted; give its passphrase'), ('wrong', 'the passphrase is wrong')])
def test_a_key_that_cannot_be_opened_says_so(
        sshd: Sshd, access: dict[str, Any], connect: Connect, passphrase: str | None, message: str) -> None:
    driver = connect(access, private_key=cryptor.encode(sshd.client_key_encrypted),
                     passphrase=cryptor.encode(passphrase) if passphrase else None)
    with pytest.raises(exception.InvalidPrivateKey, match=f'not a valid RSA private key.*{message}'):
        driver.list_controllers(None)


def test_a_password_logs_in(access: dict[str, Any], connect: Connect, sshd_password_user: Account) -> None:
    assert works(connect(access, private_key=None, username=sshd_password_user.username,
                         password=cryptor.encode(sshd_password_user.password)))


def test_a_wrong_password_is_refused(
        access: dict[str, Any], connect: Connect, sshd_password_user: Account) -> None:
    driver = connect(access, private_key=None, username=sshd_password_user.username,
                     password=cryptor.encode('not the password'))
    with pytest.raises(exception.InvalidUsernameOrPassword, match='refused the password') as caught:
        driver.list_controllers(None)
    assert 'not the password' not in str(caught.value)


def test_a_key_that_the_server_does_not_know_is_refused(access: dict[str, Any], connect: Connect) -> None:
    stranger = new_key_text()
    with pytest.raises(exception.InvalidUsernameOrPassword, match='refused the private key'):
        connect(access, private_key=cryptor.encode(stranger)).list_controllers(None)


def test_paramiko_forgets_the_secret_after_the_login(
        access: dict[str, Any], connect: Connect, sshd_password_user: Account) -> None:
    driver = connect(access, private_key=None, username=sshd_password_user.username,
                     password=cryptor.encode(sshd_password_user.password))
    driver.list_controllers(None)
    assert transport_of(driver).auth_handler.password is None


# --- the host key ---

def test_an_unknown_host_key_is_refused_and_shown(sshd: Sshd, access: dict[str, Any], connect: Connect) -> None:
    with pytest.raises(exception.SSHNotFoundKnownHosts, match='not found in known_hosts') as caught:
        connect(access, fingerprint=None).list_controllers(None)
    assert f'ssh.fingerprint = "{sshd.fingerprint()}"' in str(caught.value)


def test_what_the_message_tells_to_set_is_accepted(access: dict[str, Any], connect: Connect) -> None:
    with pytest.raises(exception.SSHNotFoundKnownHosts) as caught:
        connect(access, fingerprint=None).list_controllers(None)
    line = str(caught.value).split('ssh.pub_key = "')[1].split('"')[0]
    assert works(connect(access, fingerprint=None, pub_key=line))


@pytest.mark.parametrize('kind', ['ed25519', 'ecdsa', 'rsa'])
def test_each_host_key_of_a_server_can_be_pinned_by_its_fingerprint(
        sshd: Sshd, access: dict[str, Any], connect: Connect, kind: str) -> None:
    assert works(connect(access, fingerprint=sshd.fingerprint(kind)))


@pytest.mark.parametrize('kind', ['ed25519', 'ecdsa', 'rsa'])
def test_each_host_key_of_a_server_can_be_pinned_itself(
        sshd: Sshd, access: dict[str, Any], connect: Connect, kind: str) -> None:
    assert works(connect(access, fingerprint=None, pub_key=sshd.host_keys[kind]))


def test_a_pinned_key_may_be_base64_beside_its_type(sshd: Sshd, access: dict[str, Any], connect: Connect) -> None:
    key_type, encoded = sshd.host_keys['rsa'].split()
    assert works(connect(access, fingerprint=None, pub_key=encoded, pub_key_type=key_type))


def test_a_changed_key_names_both_fingerprints(sshd: Sshd, access: dict[str, Any], connect: Connect) -> None:
    stranger = paramiko.ECDSAKey.generate()
    with pytest.raises(exception.SSHNotFoundKnownHosts, match='possible man in the middle') as caught:
        connect(access, fingerprint=None, pub_key=f'{stranger.get_name()} {stranger.get_base64()}'
                ).list_controllers(None)
    assert stranger.fingerprint in str(caught.value) and sshd.fingerprint('ecdsa') in str(caught.value)


def test_a_changed_fingerprint_shows_every_key_of_the_server(
        sshd: Sshd, access: dict[str, Any], connect: Connect) -> None:
    with pytest.raises(exception.SSHNotFoundKnownHosts) as caught:
        connect(access, fingerprint=WRONG_FINGERPRINT).list_controllers(None)
    shown = [WRONG_FINGERPRINT, *(sshd.fingerprint(kind) for kind in ('ed25519', 'ecdsa', 'rsa'))]
    assert [text for text in shown if text not in str(caught.value)] == []


@pytest.mark.parametrize('kind', ['ed25519', 'ecdsa', 'rsa'])
def test_a_host_in_known_hosts_is_accepted(
        sshd: Sshd, access: dict[str, Any], connect: Connect, known_hosts: Path, kind: str) -> None:
    known_hosts.write_text(f'[127.0.0.1]:{sshd.port} {sshd.host_keys[kind]}\n')
    assert works(connect(access, fingerprint=None))


def test_a_hashed_name_in_known_hosts_is_accepted(
        sshd: Sshd, access: dict[str, Any], connect: Connect, known_hosts: Path) -> None:
    name = paramiko.HostKeys.hash_host(f'[127.0.0.1]:{sshd.port}')
    known_hosts.write_text(f'# a remark\nbroken line\n{name} {sshd.host_keys["ecdsa"]} comment\n')
    assert works(connect(access, fingerprint=None))


def test_a_host_known_at_another_port_is_unknown(
        sshd: Sshd, access: dict[str, Any], connect: Connect, known_hosts: Path) -> None:
    known_hosts.write_text(f'127.0.0.1 {sshd.host_keys["ed25519"]}\n')
    with pytest.raises(exception.SSHNotFoundKnownHosts):
        connect(access, fingerprint=None).list_controllers(None)


def test_a_known_host_with_another_key_is_refused(
        sshd: Sshd, access: dict[str, Any], connect: Connect, known_hosts: Path) -> None:
    stranger = paramiko.ECDSAKey.generate()
    known_hosts.write_text(f'[127.0.0.1]:{sshd.port} {stranger.get_name()} {stranger.get_base64()}\n')
    with pytest.raises(exception.SSHNotFoundKnownHosts, match='differs from the known host key'):
        connect(access, fingerprint=None).list_controllers(None)


def test_a_revoked_key_is_refused(sshd: Sshd, access: dict[str, Any], connect: Connect, known_hosts: Path) -> None:
    key = sshd.host_keys['ed25519']
    known_hosts.write_text(f'[127.0.0.1]:{sshd.port} {key}\n@revoked * {key}\n')
    with pytest.raises(exception.SSHNotFoundKnownHosts, match='@revoked'):
        connect(access, fingerprint=None).list_controllers(None)


def test_a_pinned_key_is_not_overruled_by_known_hosts(
        sshd: Sshd, access: dict[str, Any], connect: Connect, known_hosts: Path) -> None:
    known_hosts.write_text(f'[127.0.0.1]:{sshd.port} {sshd.host_keys["ed25519"]}\n')
    with pytest.raises(exception.SSHNotFoundKnownHosts, match='differs from the configured host key'):
        connect(access, fingerprint=WRONG_FINGERPRINT).list_controllers(None)


class WatchingServer(paramiko.ServerInterface):
    """Refuses every login and remembers that somebody tried."""

    def __init__(self) -> None:
        self.attempts: list[str] = []

    def check_auth_none(self, username: str) -> int:
        self.attempts.append('none')
        return paramiko.AUTH_FAILED

    def check_auth_password(self, username: str, password: str) -> int:
        self.attempts.append('password')
        return paramiko.AUTH_FAILED

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        self.attempts.append('publickey')
        return paramiko.AUTH_FAILED

    def get_allowed_auths(self, username: str) -> str:
        return 'password,publickey'


@pytest.fixture
def watching() -> Iterator[tuple[int, WatchingServer, str]]:
    """A server that knows what was tried; its port, itself, and the fingerprint of its host key."""
    server, host_key = WatchingServer(), paramiko.ECDSAKey.generate()
    with socket.create_server(('127.0.0.1', 0)) as listener, contextlib.ExitStack() as stack:
        def serve() -> None:
            with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
                while True:
                    transport = paramiko.Transport(listener.accept()[0])
                    stack.callback(transport.close)
                    transport.add_server_key(host_key)
                    transport.start_server(event=threading.Event(), server=server)
        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1], server, host_key.fingerprint
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize('pinned', [None, WRONG_FINGERPRINT])
@pytest.mark.parametrize('secret', ['password', 'private_key'])
def test_nothing_is_sent_to_a_server_that_is_not_trusted(
        watching: tuple[int, WatchingServer, str], connect: Connect, secret: str, pinned: str | None) -> None:
    port, server, _ = watching
    access = {'host': '127.0.0.1', 'port': port, 'username': 'root', 'timeout': 10, secret: cryptor.encode(
        'secret' if secret == 'password' else new_key_text())}
    with pytest.raises(exception.SSHNotFoundKnownHosts):
        connect(access, fingerprint=pinned).list_controllers(None)
    assert server.attempts == []


def test_the_watching_server_would_notice(watching: tuple[int, WatchingServer, str], connect: Connect) -> None:
    port, server, fingerprint = watching
    access = {'host': '127.0.0.1', 'port': port, 'username': 'root', 'timeout': 10,
              'password': cryptor.encode('secret'), 'fingerprint': fingerprint}
    with pytest.raises(exception.InvalidUsernameOrPassword):
        connect(access).list_controllers(None)
    assert 'password' in server.attempts


# --- the network ---

def test_a_port_where_nobody_listens_is_named(access: dict[str, Any], connect: Connect) -> None:
    with socket.socket() as unused:
        unused.bind(('127.0.0.1', 0))       # bound, not listening: nobody else can take it meanwhile
        port = unused.getsockname()[1]
        with pytest.raises(exception.InvalidIpOrPort, match=f'Invalid ip or port.*127.0.0.1 port {port}'):
            connect(access, port=port).list_controllers(None)


def test_a_name_that_does_not_exist_is_named(access: dict[str, Any], connect: Connect) -> None:
    with pytest.raises(exception.InvalidIpOrPort, match='no-such-host.invalid'):
        connect(access, host='no-such-host.invalid').list_controllers(None)


def test_a_server_that_stays_silent_is_given_up(access: dict[str, Any], connect: Connect) -> None:
    with socket.create_server(('127.0.0.1', 0)) as silent:
        started = time.monotonic()
        with pytest.raises(exception.SSHConnectTimeout, match='SSH connect timeout'):
            connect(access, port=silent.getsockname()[1], timeout=1).list_controllers(None)
    assert time.monotonic() - started < 10


def test_a_service_that_hangs_up_is_no_ssh_service(access: dict[str, Any], connect: Connect) -> None:
    with socket.create_server(('127.0.0.1', 0)) as other:
        def hang_up() -> None:
            connection, _ = other.accept()
            connection.close()
        thread = threading.Thread(target=hang_up, daemon=True)
        thread.start()
        with pytest.raises(exception.SSHException):
            connect(access, port=other.getsockname()[1]).list_controllers(None)
        thread.join(10)


# --- the session ---

def test_one_connection_serves_all_calls(access: dict[str, Any], connect: Connect) -> None:
    driver = connect(access)
    driver.list_controllers(None)
    first = transport_of(driver)
    driver.list_ports(None)
    assert transport_of(driver) is first


def test_small_packets_are_not_held_back(access: dict[str, Any], connect: Connect) -> None:
    driver = connect(access)
    driver.list_controllers(None)
    assert transport_of(driver).sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize('how', ['closed', 'cut'])
def test_a_connection_that_broke_between_two_calls_is_opened_again(
        access: dict[str, Any], connect: Connect, how: str) -> None:
    driver = connect(access)
    driver.list_controllers(None)
    if how == 'closed':
        transport_of(driver).close()
    else:       # the other side is gone, and we do not know it yet
        transport_of(driver).sock.shutdown(socket.SHUT_RDWR)
    assert works(driver)


def test_a_server_that_was_restarted_is_asked_again(connect: Connect) -> None:
    with Sshd() as own:
        driver = connect({'host': '127.0.0.1', 'port': own.port, 'username': own.username, 'timeout': 10,
                          'private_key': cryptor.encode(own.client_key), 'fingerprint': own.fingerprint()})
        driver.list_controllers(None)
        own.kill()
        own.start()
        assert works(driver)


def test_a_reset_drops_the_connection(access: dict[str, Any], connect: Connect) -> None:
    driver = connect(access)
    driver.list_controllers(None)
    transport = transport_of(driver)
    driver.reset_connection(None)
    assert not transport.is_active() and works(driver)


def test_a_removed_storage_is_logged_out(access: dict[str, Any], connect: Connect) -> None:
    driver = connect(access)
    driver.list_controllers(None)
    transport = transport_of(driver)
    driver.delete_storage(None)
    assert not transport.is_active()


# --- commands ---

@pytest.fixture
def runner(access: dict[str, Any]) -> Iterator[SshRunner]:
    remote = SshRunner(SSHSettings.from_access_info(access))
    yield remote
    remote.close()


def test_output_error_text_and_status_are_kept_apart(runner: SshRunner) -> None:
    done = runner.run(['sh', '-c', 'echo out; echo err >&2; exit 3'])
    assert (done.stdout, done.stderr, done.status) == ('out\n', 'err\n', 3)


def test_a_tool_that_does_not_exist_is_missing(runner: SshRunner) -> None:
    with pytest.raises(ToolMissing):
        runner.run(['no-such-tool'])


def test_arguments_arrive_as_they_are(runner: SshRunner) -> None:
    text = '$(id); `id` \' " \\ * ä\n!'
    assert runner.run(['printf', '%s', text]).stdout == text


def test_much_error_text_does_not_block_a_command(runner: SshRunner) -> None:
    done = runner.run(['sh', '-c', 'head -c 5000000 /dev/zero >&2; echo done; head -c 5000000 /dev/zero'], timeout=60)
    assert (len(done.stderr), len(done.stdout)) == (5_000_000, 5_000_005)


def test_a_command_that_takes_too_long_is_given_up(runner: SshRunner) -> None:
    with pytest.raises(exception.StorageBackendException, match='sleep did not finish within 0.5 seconds'):
        runner.run(['sleep', '30'], timeout=0.5)


def test_a_command_that_was_given_up_does_not_disturb_the_next(runner: SshRunner) -> None:
    with pytest.raises(exception.StorageBackendException):
        runner.run(['sleep', '30'], timeout=0.5)
    assert runner.run(['echo', 'next']).stdout == 'next\n'


def test_endless_output_is_given_up(runner: SshRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('delfin.drivers.utils.ssh_connection.MAX_OUTPUT_BYTES', 2**20)
    with pytest.raises(exception.StorageBackendException, match='yes wrote more than 1 MiB'):
        runner.run(['yes'])


def test_a_machine_is_the_same_over_ssh_and_here(access: dict[str, Any], connect: Connect) -> None:
    def rows(driver: LinuxHostDriver) -> dict[str, Any]:
        answers: dict[str, Any] = {'get_storage': [driver.get_storage(None)]}
        for method in KINDS:
            with contextlib.suppress(NotImplementedError):
                answers[method] = getattr(driver, method)(None)
        changing = ('used_capacity', 'free_capacity')      # others write meanwhile
        return {method: [{name: value for name, value in row.items() if name not in changing} for row in found]
                for method, found in answers.items()}
    assert rows(connect(access)) == rows(LinuxHostDriver(storage_id='1', cli={'host': 'localhost'}))


def test_disks_and_ports_are_measured_over_ssh(access: dict[str, Any], connect: Connect) -> None:
    driver = connect(access)
    wanted = {name: driver.get_capabilities(None)['resource_metrics'][name] for name in ('disk', 'port')}
    started = time.time()
    points = driver.collect_perf_metrics(None, '1', wanted, 0, 1)
    assert {point.labels['resource_id'] for point in points} == {
        *(row['native_disk_id'] for row in driver.list_disks(None)),
        *(row['native_port_id'] for row in driver.list_ports(None))}
    assert all(started * 1000 < moment < time.time() * 1000 for point in points for moment in point.values)


def transport_of(driver: LinuxHostDriver) -> paramiko.Transport:
    client = driver._runner._shell._client     # type: ignore[attr-defined]
    return client.get_transport()


def new_key_text() -> str:
    """The text of a private key that nobody knows."""
    text = io.StringIO()
    paramiko.ECDSAKey.generate().write_private_key(text)
    return text.getvalue()
