# SPDX-License-Identifier: Apache-2.0
"""The SSH pool of drivers on a real OpenSSH server: whom it trusts, how many connections it opens, its time limits."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import paramiko
import pytest

from delfin import cryptor, exception
from delfin.drivers.utils import ssh_client
from delfin.drivers.utils.ssh_client import CONNECTIONS_AT_MOST, SSHPool
from tests.checkouts import free_port
from tests.engines import Account, Sshd

MakePool = Callable[..., SSHPool]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home of its own for the service's user, so that no known_hosts of this machine counts."""
    monkeypatch.setenv('HOME', str(tmp_path))


@pytest.fixture
def access(sshd: Sshd, sshd_password_user: Account) -> dict[str, Any]:
    """The section as old clients send it: a password, the host key."""
    kind, key = sshd.host_keys['ed25519'].split()
    return {'host': '127.0.0.1', 'port': str(sshd.port), 'username': sshd_password_user.username,
            'password': cryptor.encode(sshd_password_user.password), 'pub_key': key, 'pub_key_type': kind,
            'conn_timeout': 10}


@pytest.fixture
def pool(access: dict[str, Any]) -> SSHPool:
    return CountingPool(ssh=access, storage_id='1', vendor='v', model='m')


class CountingPool(SSHPool):
    """Knows which connections it has opened."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.opened: list[int] = []

    def create(self) -> paramiko.SSHClient:
        client = super().create()
        self.opened.append(id(client))
        return client


class OwnCreate(SSHPool):
    """As two drivers do it: paramiko by hand, with what the pool knows."""

    def create(self) -> paramiko.SSHClient:
        ssh = paramiko.SSHClient()
        self.set_host_key(f'{self.ssh_host} {self.ssh_pub_key_type} {self.ssh_pub_key}', ssh)
        ssh.connect(hostname=self.ssh_host, port=int(self.ssh_port), username=self.ssh_username,
                    password=cryptor.decode(self.ssh_password), timeout=self.ssh_conn_timeout, look_for_keys=False,
                    allow_agent=False)
        if self.conn_timeout:
            ssh.get_transport().set_keepalive(self.SOCKET_TIMEOUT)
        return ssh


# --- commands ---

def test_a_command_answers_its_output_or_else_its_errors(pool: SSHPool) -> None:
    assert pool.do_exec('echo hello') == 'hello\n'
    assert 'No such file' in pool.do_exec('ls /no/such/file')
    assert pool.do_exec('true') == ''


def test_the_input_of_a_command_stays_open_as_long_as_it_runs(pool: SSHPool) -> None:
    """An end of input that meets the end of a quick command costs the connection with some servers."""
    assert 'sending signal TERM' in pool.do_exec('timeout --verbose 0.2 cat')


def test_much_of_both_streams_arrives(pool: SSHPool) -> None:
    written = pool.do_exec('python3 -c "__import__(\'sys\').stderr.write(\'e\' * 5000000), print(\'o\' * 5000000)"')
    assert written == 'o' * 5000000 + '\n'


def test_a_shell_is_one_shell_for_all_commands(pool: SSHPool) -> None:
    shown = pool.do_exec_shell(['NAME=array', 'echo "I am ${NAME}-1"', 'sleep 0.6', 'echo "the ${NAME} ends"'], 0.2)
    assert 'I am array-1' in shown and 'the array ends' in shown


@pytest.mark.parametrize('words', ['invalid command name', 'login failed', 'is not a recognized command'])
def test_an_array_that_does_not_take_the_command_is_told(pool: SSHPool, words: str) -> None:
    with pytest.raises(exception.StorageBackendException, match=words):
        pool.do_exec(f'echo "lsfoo {words}"')


def test_a_shell_that_does_not_know_a_command_is_another_kind_of_array(pool: SSHPool) -> None:
    with pytest.raises(exception.InvalidIpOrPort):
        pool.do_exec_shell(['echo "Unknown command"'], 0.2)


def test_a_threat_runs_nothing(pool: SSHPool, tmp_path: Path) -> None:
    with pytest.raises(exception.SSHException, match='injection'):
        pool.do_exec(f'echo 1 > {tmp_path}/proof')
    assert not (tmp_path / 'proof').exists()
    assert pool.do_exec('echo still here') == 'still here\n'


# --- whom it trusts ---

@pytest.mark.parametrize('run', [lambda pool: pool.do_exec('true'), lambda pool: pool.do_exec_shell(['true'])])
def test_an_unknown_host_is_refused_and_shown(access: dict[str, Any], sshd: Sshd,
                                              run: Callable[[SSHPool], Any]) -> None:
    with pytest.raises(exception.SSHNotFoundKnownHosts, match='not found in known_hosts') as caught:
        run(SSHPool(ssh={**access, 'pub_key': None, 'pub_key_type': None}))
    assert f'ssh.fingerprint = "{sshd.fingerprint()}"' in caught.value.msg
    assert cryptor.decode(access['password']) not in caught.value.msg


def test_another_host_key_is_refused(access: dict[str, Any], sshd: Sshd) -> None:
    line = f'ssh-rsa {sshd.host_keys["rsa"].split()[1]}'
    other = paramiko.RSAKey.generate(2048).get_base64()
    assert SSHPool(ssh={**access, 'pub_key': line, 'pub_key_type': None}).do_exec('echo yes') == 'yes\n'
    with pytest.raises(exception.SSHNotFoundKnownHosts, match='differs from'):
        SSHPool(ssh={**access, 'pub_key': other, 'pub_key_type': 'ssh-rsa'}).do_exec('true')


def test_a_create_of_the_drivers_own_checks_the_host_key_too(access: dict[str, Any]) -> None:
    assert OwnCreate(ssh=access).do_exec('echo yes') == 'yes\n'
    other = paramiko.ECDSAKey.generate()
    with pytest.raises(exception.DelfinException) as caught:
        OwnCreate(ssh={**access, 'pub_key': other.get_base64(), 'pub_key_type': other.get_name()}).do_exec('true')
    assert isinstance(caught.value, exception.SSHException | exception.SSHNotFoundKnownHosts)


@pytest.mark.parametrize('kind', [SSHPool, OwnCreate])
def test_a_wrong_password_is_called_so(access: dict[str, Any], kind: type[SSHPool]) -> None:
    pool = kind(ssh={**access, 'password': cryptor.encode('not the password')})
    for run in (lambda: pool.do_exec('true'), lambda: pool.do_exec_shell(['true'])):
        with pytest.raises(exception.InvalidUsernameOrPassword, match=r'^Invalid username or password\.') as caught:
            run()
        assert 'not the password' not in caught.value.msg


def test_nobody_at_the_port_is_called_so(access: dict[str, Any]) -> None:
    nowhere = {**access, 'port': free_port()}
    with pytest.raises(exception.InvalidIpOrPort, match='check ssh.host and ssh.port'):
        SSHPool(ssh=nowhere).do_exec('true')
    with pytest.raises(exception.ConnectTimeout, match='Unable to connect to port'):
        OwnCreate(ssh=nowhere).do_exec('true')
    with pytest.raises(exception.InvalidIpOrPort, match='Unable to connect to port'):
        OwnCreate(ssh=nowhere).do_exec_shell(['true'])


# --- connections ---

def test_a_connection_is_used_again(pool: CountingPool) -> None:
    for _ in range(3):
        pool.do_exec('true')
    assert len(pool.opened) == 1


def test_many_threads_share_three_connections(pool: CountingPool) -> None:
    with ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(lambda number: pool.do_exec(f'echo {number}'), range(24)))
    assert answers == [f'{number}\n' for number in range(24)]
    assert 1 <= len(pool.opened) <= CONNECTIONS_AT_MOST


def test_who_finds_all_in_use_waits_for_one(pool: CountingPool) -> None:
    held = [pool.get() for _ in range(CONNECTIONS_AT_MOST)]
    got: list[Any] = []
    waiter = threading.Thread(target=lambda: got.append(pool.get()))
    waiter.start()
    pool.put(held[1])
    waiter.join(10)
    assert got == [held[1]]
    pool.ssh_conn_timeout = 0.02
    with pytest.raises(exception.SSHException, match='all 3 connections'):
        pool.get()


def test_a_connection_is_given_back_after_an_error(pool: CountingPool) -> None:
    with pytest.raises(ZeroDivisionError), pool.item() as ssh:
        assert isinstance(ssh, paramiko.SSHClient)
        raise ZeroDivisionError
    with pool.item() as again:
        assert again is ssh


def test_a_dead_connection_is_replaced(pool: CountingPool) -> None:
    with pool.item() as ssh:
        ssh.close()
    assert pool.do_exec('echo alive') == 'alive\n'
    assert len(pool.opened) == 2


def test_a_connection_that_a_driver_has_lost_is_missed_by_nobody(pool: CountingPool) -> None:
    for _ in range(2 * CONNECTIONS_AT_MOST):
        pool.get()
        gc.collect()
    assert pool.do_exec('echo here') == 'here\n'


def test_a_removed_connection_is_closed_and_makes_room(pool: CountingPool) -> None:
    held = [pool.get() for _ in range(CONNECTIONS_AT_MOST)]
    pool.remove(held[0])
    pool.put(held[0])       # as `item` does at its end
    assert held[0].get_transport() is None
    assert pool.get() not in held


def test_tests_of_drivers_replace_get_by_anything(access: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    pool = SSHPool(ssh=access)
    anything = {paramiko.SSHClient()}
    monkeypatch.setattr(SSHPool, 'get', lambda self: anything)
    with pool.item() as ssh:
        assert ssh is anything
    monkeypatch.undo()
    assert pool.do_exec('echo real') == 'real\n'


# --- time ---

def test_a_silent_command_is_given_up_with_its_connection(pool: CountingPool) -> None:
    pool.do_exec('true')
    pool.ssh_conn_timeout = 0.3
    with pytest.raises(exception.ConnectTimeout, match=r'nothing came for 0\.3 seconds'):
        pool.do_exec('sleep 30')
    pool.ssh_conn_timeout = 10
    assert pool.do_exec('echo next') == 'next\n'
    assert len(pool.opened) == 2


def test_a_command_that_goes_on_for_ever_is_given_up(pool: CountingPool, monkeypatch: pytest.MonkeyPatch) -> None:
    pool.do_exec('true')
    pool.ssh_conn_timeout = 0.5
    monkeypatch.setattr(ssh_client, 'COMMAND_TIMEOUTS', 2)
    with pytest.raises(exception.ConnectTimeout, match='did not end within 1 seconds'):
        pool.do_exec('python3 -uc "[print(n, __import__(\'time\').sleep(0.1)) for n in range(100)]"')
    with pytest.raises(exception.SSHConnectTimeout, match='the shell timed out'):
        pool.do_exec_shell(['while true', 'do echo on; sleep 0.1', 'done'], 0.2)


def test_output_that_ends_with_its_connection_is_no_answer(pool: CountingPool) -> None:
    """The command kills what it hangs on, sshd's process for this connection."""
    with pytest.raises(exception.SSHException, match='ended before the command'):
        pool.do_exec('python3 -uc "print(\'half\'), __import__(\'os\').kill(__import__(\'os\').getppid(), 9)"')
    assert pool.do_exec('echo next') == 'next\n'
