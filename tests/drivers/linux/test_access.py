# SPDX-License-Identifier: Apache-2.0
"""Access information: what is accepted, and what an operator reads when it is not."""

from __future__ import annotations

import base64
import socket
from typing import Any

import paramiko
import pytest

from delfin import cryptor, exception
from delfin.drivers.linux import LinuxHostDriver
from delfin.drivers.linux.runner import LocalRunner, SshRunner
from delfin.drivers.utils import ssh_connection
from delfin.drivers.utils.ssh_connection import SSHSettings

SSH = {'host': '192.0.2.1', 'port': 22, 'username': 'collector', 'password': cryptor.encode('secret')}


def driver(**access: Any) -> LinuxHostDriver:
    return LinuxHostDriver(storage_id='1', vendor='linux', model='host', **access)


@pytest.mark.parametrize('host', ['localhost', '127.0.0.1', '::1', socket.gethostname()])
def test_cli_is_this_machine(host: str) -> None:
    assert isinstance(driver(cli={'host': host})._runner, LocalRunner)


def test_cli_reaches_no_other_machine() -> None:
    with pytest.raises(exception.InvalidInput, match='use ssh instead'):
        driver(cli={'host': '192.0.2.1'})


def test_ssh_is_for_other_machines_and_for_this_one() -> None:
    assert isinstance(driver(ssh=SSH | {'host': 'localhost'})._runner, SshRunner)


def test_of_two_sections_ssh_wins_for_another_machine() -> None:
    assert isinstance(driver(ssh=SSH, cli={'host': 'localhost'})._runner, SshRunner)


def test_of_two_sections_for_this_machine_cli_wins() -> None:
    assert isinstance(driver(ssh=SSH | {'host': '127.0.0.1'}, cli={'host': 'localhost'})._runner, LocalRunner)


def test_some_section_is_needed() -> None:
    with pytest.raises(exception.InvalidInput, match='needs an ssh section'):
        driver(rest={'host': 'x'})


@pytest.mark.parametrize(('wrong', 'message'), [
    ({'host': ''}, 'needs a host and a username'),
    ({'username': None}, 'needs a host and a username'),
    ({'password': None}, 'needs a password or a private_key'),
    ({'port': 'x'}, 'ssh.port must be a number'),
    ({'port': 70000}, 'ssh.port must be a number'),
    ({'timeout': '0'}, 'ssh.timeout must be'),
    ({'timeout': 'nan'}, 'ssh.timeout must be'),
    ({'fingerprint': 'aa:bb:cc'}, 'ssh.fingerprint must look like "SHA256:"'),
    ({'pub_key': 'rubbish'}, 'ssh.pub_key must be a public host key'),
    ({'pub_key': 'ssh-rsa AAAA'}, 'ssh.pub_key must be a public host key'),
])
def test_the_message_names_the_field_that_is_wrong(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(exception.InvalidInput, match=message):
        SSHSettings.from_access_info(SSH | wrong)


@pytest.fixture(scope='module')
def key() -> paramiko.PKey:
    return paramiko.ECDSAKey.generate()


def test_a_host_key_may_be_a_line_of_a_pub_file(key: paramiko.PKey) -> None:
    line = f'{key.get_name()} {key.get_base64()} root@nas1'
    assert SSHSettings.from_access_info(SSH | {'pub_key': line}).host_key == key


def test_a_host_key_may_be_its_base64_with_the_type_beside_it(key: paramiko.PKey) -> None:
    fields = {'pub_key': key.get_base64(), 'pub_key_type': key.get_name()}
    assert SSHSettings.from_access_info(SSH | fields).host_key == key


def test_a_host_key_of_another_type_than_stated_is_refused(key: paramiko.PKey) -> None:
    with pytest.raises(exception.InvalidInput, match='of type ecdsa-sha2-nistp256, not ssh-rsa'):
        SSHSettings.from_access_info(SSH | {'pub_key': key.get_base64(), 'pub_key_type': 'ssh-rsa'})


def test_fingerprints_are_those_of_ssh_keygen() -> None:
    # ssh-keygen -lf: a key whose fingerprint was printed by OpenSSH 9.2.
    blob = 'AAAAC3NzaC1lZDI1NTE5AAAAIPFI4OuxFx7P7xREZchDq2jSGcDVjj1Q+FkMJ5QhDJ6n'
    key = paramiko.Ed25519Key(data=base64.b64decode(blob))
    assert ssh_connection.fingerprint(key) == 'SHA256:2grL3d01+3B/mzscNVZBbGamrBzFuJHqTWMFUEZJzwY'


def test_settings_can_be_printed_without_secrets() -> None:
    settings = SSHSettings.from_access_info(SSH | {'private_key': 'KEYTEXT', 'passphrase': 'PASSPHRASE'})
    assert not any(secret in repr(settings) for secret in ('KEYTEXT', 'PASSPHRASE', str(SSH['password'])))


@pytest.mark.parametrize(('text', 'message'), [
    ('rubbish', 'must be the text of an OpenSSH or PEM private key'),
    ('PuTTY-User-Key-File-3: ssh-ed25519', 'convert it with "puttygen'),
])
def test_a_private_key_that_cannot_be_read_says_what_to_give(text: str, message: str) -> None:
    settings = SSHSettings.from_access_info(SSH | {'private_key': cryptor.encode(text)})
    with pytest.raises(exception.InvalidPrivateKey, match=f'not a valid RSA private key.*{message}'):
        ssh_connection.connect(settings)


def test_a_secret_that_cannot_be_decoded_is_not_quoted() -> None:
    settings = SSHSettings.from_access_info(SSH | {'private_key': 'plain text, not encoded!'})
    with pytest.raises(exception.InvalidInput, match='ssh.private_key: a secret cannot be decoded') as caught:
        ssh_connection.connect(settings)
    assert 'plain text' not in str(caught.value)


def test_new_access_information_is_used_from_the_next_command_on() -> None:
    linux = driver(cli={'host': 'localhost'})
    linux.reset_connection(None, ssh=SSH)
    assert isinstance(linux._runner, SshRunner)


def test_wrong_new_access_information_leaves_the_old_in_place() -> None:
    linux = driver(cli={'host': 'localhost'})
    with pytest.raises(exception.InvalidInput):
        linux.reset_connection(None, ssh={'host': 'x'})
    assert isinstance(linux._runner, LocalRunner)
